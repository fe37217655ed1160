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
from wrong_configurations import WRONG

TINY = {"models": {"tiny": {"path": "source"}}, "sweep": {"models": ["tiny"]}}
NEW = LabellerEntry("new", "svdlens.labels.new", "a new labeller", ("yes",))


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
    demo = [PROJECT / "profiles/demo" / name for name in ("sweep.yaml", "bundled.yaml", "nine_settings.yaml")]
    changes = [yaml.safe_load(path.read_text("utf-8")) for path in demo]
    for config in (config_with(), *map(config_with, changes), config_with(TINY)):
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
