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
from svdlens.sweep.config_checks import check_configuration, load_schema, registered_names, take_copies
from svdlens.sweep.config_files import file_of
from svdlens.sweep.plan import CHOSEN_ROWS, Sweep
from svdlens.sweep.schema_checks import resolved
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


# Like WRONG, but asked of the library alone: a value of another kind, and what would be valid.
OF_ANOTHER_KIND: dict[str, tuple[str, tuple[str, ...]]] = {
    "number as text": ("directions: '64'", ("directions: '64' is not valid", "at least 1", "or `all`", "Write 64.")),
    "none": ("directions: 0", ("directions: 0 is not valid", "whole number at least 1, at most 32767 or `all`")),
    "word": ("directions: al", ("directions: 'al' is not valid", "Did you mean 'all'?")),
    "nothing": ("directions:", ("directions: null is not valid",)),
    "text with an exponent": ("random_directions: 1e3", ("'1e3' is not valid", "whole number", "Write 1000.")),
    "text that would not be valid": ("tokens: '3'", ("tokens: '3' is not valid. It takes: whole number at least 15.",)),
    "sign with a point": (
        "labellers: {coherence: {signs: [1.0]}}",
        ("signs.0: 1.0 is not valid", "`1`, `-1`", "Write 1."),
    ),
    "layer with a point": (
        "models: {tiny: {token_tables: [{matrix: ov, layer: 1.0, head: 0}]}}",
        ("models.tiny.token_tables.0.layer: 1.0 is not valid", "whole number at least 0", "Write 1."),
    ),
    "number for true": ("stability: 1", ("stability: 1 is not valid. It takes: true or false.",)),
    "no layers": ("sweep: {layers: []}", ("sweep.layers", "non-empty")),
    "layer before the first": ("models: {tiny: {layers: [0, -1]}}", ("models.tiny.layers.1: -1 is less than",)),
    "another architecture": (
        "models: {tiny: {architecture: mamba}}",
        (f"models.tiny.architecture: 'mamba' is not one of {', '.join(ARCHITECTURES)}.",),
    ),
    "number for a name": ("figures: {select: '3'}", ("figures.select: '3' is not valid. It takes: `all` or list.",)),
    "without random directions": (
        "controls: [rotated]",
        ("controls: random_unit has to be among them, and is not. Write [random_unit, rotated].",),
    ),
    "no controls": ("controls: []", ("random_unit has to be among them, and is not. Write [random_unit].",)),
    "misspelled and without random directions": ("controls: [rotatd]", ("'rotatd' is not one of", "'rotated'?")),
    "one head": ("sweep: {heads: 3}", ("sweep.heads: 3 is not valid. It takes: list.", "Write [3].")),
    "head with a point": ("sweep: {heads: [1.0]}", ("sweep.heads.0: 1.0 is not valid", "Write 1.")),
    "figures": ("figures: {select: 5}", ("figures.select: 5 is not valid. It takes: `all` or list.",)),
    "figure": ("figures: {select: [spectra, on]}", ("figures.select.1: YAML takes true", "in quotes")),
    "figure twice": ("figures: {select: [spectra, spectra]}", ("figures.select", "non-unique")),
    "one for a list": ("sweep: {models: tiny}", ("sweep.models: 'tiny' is not valid. It takes: list", "Write [tiny].")),
    "model without anything": ("models: {tiny: }", ("models.tiny: null is not valid. It takes: mapping.",)),
    "setting off": ("settings: {off: [fold_ln]}", ("settings: YAML takes false", "on, off, yes and no", "in quotes")),
    "swept setting on": ("sweep: {settings: [raw, on]}", ("sweep.settings.1: YAML takes true", "in quotes")),
    "own setting off": ("models: {tiny: {settings: [off]}}", ("models.tiny.settings.0: YAML takes false", "in quotes")),
    "model null": ("models: {null: {path: source}}", ("models: YAML takes null", "in quotes")),
    "date": ("models: {2024-01-01: {path: source}}", ("models: YAML takes 2024-01-01", "in quotes")),
    "file 7": ("models: {tiny: {sha256: {7: abc}}}", ("models.tiny.sha256: YAML takes 7", "in quotes")),
    "published file 7": (
        "labellers: {published: {sha256: {7: abc}}}",
        ("labellers.published.sha256: YAML takes 7", "in quotes"),
    ),
    "switch no": ("settings: {mine: [no]}", ("settings.mine.0: YAML takes false", "in quotes")),
    "path 7": ("models: {tiny: {path: 7}}", ("models.tiny.path: YAML takes 7", "in quotes")),
    "key 7": ("sweep: {7: ov}", ("sweep.7: 7 is no key. Keys: models, settings",)),
    "key of the sweep": (
        "layers: [0]",
        ("layers: 'layers' is no key", "Elsewhere it is one: `models.NAME.layers`, `sweep.layers`."),
    ),
    "key of the top level": (
        "sweep: {directions: 5}",
        ("sweep.directions: ", "Elsewhere it is one: `directions`, `labellers.coherence.dir"),
    ),
    "key of exports": (
        "exports: {tokens: 20}",
        ("exports.tokens: 'tokens' is no key", "Elsewhere it is one: `tokens`, "),
    ),
    "key of figures": ("select: all", ("select: 'select' is no key", "Elsewhere it is one: `figures.select`.")),
    "key of a list": ("figures: {layer: 1}", ("figures.layer: ", "Did you mean 'labeller'?")),
    "beginning of a name": ("sweep: {models: [gpt2]}", ("'gpt2' is no model", "Did you mean 'gpt2-small'?")),
    "capitals": ("sweep: {readouts: [w_u]}", ("'w_u' is not one of W_U", "Did you mean 'W_U'?")),
    "a single word": ("query: fire", ("query: 'fire' is not valid. It takes: list.", "Write [fire].")),
    "a year": ("query: [1999]", ("query.0: YAML takes 1999 for something other than text", "in quotes")),
    "no words": ("query: []", ("query: [] should be non-empty", "as in [fire, flame, burning]")),
    "empty word": ("query: [fire, ' ']", ("query.1: ' ' does not match", "A word is not empty.")),
    "word twice": ("query: [fire, fire]", ("query: ['fire', 'fire'] has non-unique", "each once")),
    "query of a single word": ("trace: {queries: {a: fire}}", ("trace.queries.a: 'fire' is not", "Write [fire].")),
    "query without words": ("trace: {queries: {a: }}", ("trace.queries.a: null is not valid. It takes: list.",)),
    "name of a query": ("trace: {queries: {../a: [fire]}}", ("trace.queries: '../a'", "letters, digits, dots")),
    "name of the other query": (
        "trace: {queries: {best_list: [fire]}}",
        ("trace.queries: best_list is the name", "Take another name."),
    ),
    "head of another model": (
        "on_prompt: {heads: [{model: tinny, layer: 0, head: 0, indices: [0]}]}",
        ("on_prompt.heads.0.model: 'tinny' is not in the sweep. In it: tiny.", "Did you mean 'tiny'?"),
    ),
    "vectors": ("trace: {vectors: [pinv_WU]}", ("trace.vectors.0: 'pinv_WU'", "Did you mean 'pinv_W_U'?")),
    "model that is not swept": (
        "trace: {models: [gpt2-small]}",
        ("trace.models: 'gpt2-small' is not in the sweep. In it: tiny.",),
    ),
    "setting that is not swept": (
        "{trace: {settings: [fold]}, sweep: {settings: [raw]}}",
        ("trace.settings: 'fold' is not in the sweep. In it: raw.",),
    ),
    "setting of another model": (
        "{query: [fire], trace: {models: [tiny], settings: [raw]}, models: {tiny: {settings: [fold]}}, "
        "sweep: {models: [tiny, wordnet-2layer], settings: [raw]}}",
        ("trace: the sweep has no tiny in raw", "Leave `settings` out"),
    ),
    "best list without labels": (
        "{trace: {best_list: true}, sweep: {labellers: [published, coherence], settings: [post2022, raw], "
        "models: [gpt2-small]}}",
        ("trace.best_list: published labels nothing of gpt2-small in raw", "Write best_list: false"),
    ),
    "vectors that a model lacks": (
        "{query: [fire], trace: {vectors: [W_U]}, sweep: {settings: [raw], readouts: [W_E]}, "
        "models: {tiny: {architecture: bert}}}",
        ("trace.vectors: tiny has no weights for W_U", "Write `vectors: [W_U, W_E]`"),
    ),
}


@pytest.mark.parametrize("case", OF_ANOTHER_KIND)
def test_what_would_be_valid_is_said(case: str) -> None:
    change, parts = OF_ANOTHER_KIND[case]
    said = message(config_with(TINY, yaml.safe_load(change)))
    assert all(part in said for part in parts), said
    assert "\n" not in said and said.endswith((".", "?"))
    assert said.count(" Write ") <= 1 or "Did you mean" not in said


def keys_of(node: dict[str, Any], where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key of the schema that stands under names of the schema, with its node."""
    for name, child in node.get("properties", {}).items():
        child = resolved(child, load_schema(SCHEMA))
        yield (*where, name), child
        yield from keys_of(child, (*where, name))


KEYS = dict(keys_of(load_schema(SCHEMA)))
NUMBERS = [
    key
    for key, node in KEYS.items()
    for kind in [node, *node.get("anyOf", [])]
    if kind.get("type") in ("integer", "number")
]
ALTERNATIVES = [key for key, node in KEYS.items() if {"anyOf", "oneOf"} & set(node)]


def change_of(key: tuple[str, ...], value: object) -> dict[str, Any]:
    return {key[0]: change_of(key[1:], value) if key[1:] else value}


@pytest.mark.parametrize("key", NUMBERS, ids=".".join)
def test_a_number_is_finite_and_no_truth_value_and_a_whole_one_has_no_point(key: tuple[str, ...]) -> None:
    dotted = ".".join(key)
    for value in (True, float("nan"), float("inf")):
        assert message(config_with(TINY, change_of(key, value))).startswith(f"{dotted}: ")
    if KEYS[key].get("type") != "number":
        said = message(config_with(TINY, change_of(key, 20.0)))
        assert said.startswith(f"{dotted}: 20.0 is not valid. It takes: whole number") and " Write 20." in said
        check_configuration(config_with(TINY, change_of(key, 20)), load_schema(SCHEMA))


@pytest.mark.parametrize("key", ALTERNATIVES, ids=".".join)
def test_of_a_key_with_alternatives_each_is_named(key: tuple[str, ...]) -> None:
    said = message(config_with(TINY, change_of(key, 0.5)))
    assert said.startswith(f"{'.'.join(key)}: 0.5 is not valid. It takes: ")
    names = {"integer": "whole number", "array": "list"}
    for choice in KEYS[key].get("anyOf", []) + KEYS[key].get("oneOf", []):
        assert (f"`{choice['const']}`" if "const" in choice else names[choice["type"]]) in said


def test_there_are_such_keys() -> None:
    assert len(NUMBERS) >= 12 and len(ALTERNATIVES) >= 2


def test_what_is_right_passes() -> None:
    schema = load_schema(SCHEMA)
    names = ("sweep", "bundled", "nine_settings", "nine_settings_bundled")
    demo = [PROJECT / f"profiles/demo/{name}.yaml" for name in names]
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


@pytest.mark.parametrize("number", range(11))
def test_a_key_that_is_none_is_named_with_where_it_is(number: int) -> None:
    config = config_with()
    mappings = list(closed_mappings(config))
    assert len(mappings) == 11
    where, mapping = mappings[number]
    mapping["zzz"] = 1
    entry = "zzz" if where == "the top level" else f"{where}.zzz"
    assert message(config).startswith(f"{entry}: 'zzz' is no key. Keys: ")
    # Which is how the file is found that has it.
    assert file_of(message(config), {"mine.yaml": config, "other.yaml": config_with()}) == "mine.yaml"


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


# --- a copy in place of a download


def test_a_path_takes_the_place_of_a_download_and_the_model_is_the_same() -> None:
    copies = {"models": {name: {"path": f"copy/{name}"} for name in ("gpt2-small", "gpt2-medium", "smollm2-135m")}}
    given = config_with(copies)
    check_configuration(given, load_schema(SCHEMA))
    places = Sweep(config_with()).labelled_places
    assert [place for place in places if place.labeller == "published"]
    take_copies(given)
    small, medium, smollm = (given["models"][name] for name in copies["models"])
    assert Sweep(given).labelled_places == places
    assert small == {
        "path": "copy/gpt2-small",
        "sha256": CONFIG["models"]["gpt2-small"]["sha256"],
        "token_tables": CONFIG["models"]["gpt2-small"]["token_tables"],
    }
    assert set(medium) == {"path", "token_tables"}
    # In a wheel the file has a folder.
    assert list(smollm["sha256"]) == ["SmolLM2-135M-Instruct.Q4_1.gguf"] and "wheel" not in smollm
    assert given["models"]["gpt2-large"] == CONFIG["models"]["gpt2-large"]
    # What is right stays right, as every job of a cluster checks it again.
    check_configuration(given, load_schema(SCHEMA))


def test_a_path_beside_a_source_on_this_machine_is_one_source_too_many() -> None:
    for name in ("wordnet-2layer", "all-minilm-l6-v2"):
        said = message(config_with({"models": {name: {"path": "copy"}}}))
        assert said.startswith(f"models.{name}: has path, ") and "just one of `repo`" in said


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
    assert (
        "labellers.new.level: 'level' is no key. Keys: matrices, sides, signs, directions, control_lists."
        in message(config_with(TINY, wrong))
    )
    assert ", new. Did you mean 'new'?" in message(config_with(TINY, {"sweep": {"labellers": ["nwe"]}}))


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
