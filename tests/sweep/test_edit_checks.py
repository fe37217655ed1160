"""Edits with one thing wrong, as far as no model is needed to see it; and what is right passes."""

from typing import Any

import pytest
import yaml

from configurations import SCHEMA, config_with
from svdlens.errors import SvdlensError
from svdlens.sweep.config_checks import check_configuration, load_schema
from svdlens.sweep.plan import Sweep

OV = "{matrix: ov, layer: 0, head: 1, index: 2}"
TINY: dict[str, Any] = {
    "models": {
        "tiny": {"path": "source"},
        "encoder": {"path": "e", "architecture": "bert"},
        "gemma": {"path": "g", "architecture": "gemma2"},
    },
    "sweep": {"models": ["tiny"], "settings": ["raw"]},
}
WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "model": ("model: tin", (".model: 'tin' is no model", "Did you mean 'tiny'?")),
    "setting": ("setting: rwa", (".setting: 'rwa' is no setting", "Did you mean 'raw'?")),
    "encoder": ("model: encoder", ("encoder (bert) predicts no next token", "gpt2")),
    "setting of another family": ("{model: gemma, setting: fold}", ("settings.fold uses read_center",)),
    "matrix of another family": (
        "directions: [{matrix: mlp_gate, layer: 0, index: 0}]",
        ("'mlp_gate' is none of the matrices of tiny",),
    ),
    "pattern": ("directions: [{matrix: qk, layer: 0, head: 0, index: 0}]", ("qk is not edited", "ov, mlp_in")),
    "no such matrix": ("directions: [{matrix: vo, layer: 0, head: 0, index: 0}]", ("'vo' is not one of ov",)),
    "no head": ("directions: [{matrix: ov, layer: 0, index: 0}]", ("`head` is for ov, and needed there",)),
    "a head": ("directions: [{matrix: mlp_in, layer: 0, head: 0, index: 0}]", ("`head` is for ov",)),
    "layer below 0": ("directions: [{matrix: mlp_in, layer: -1, index: 0}]", ("layer", "-1 is less than")),
    "index beyond what is kept": (
        "directions: [{matrix: mlp_in, layer: 0, index: 64}]",
        ("64 directions of each matrix are kept", "Write `directions: 65`"),
    ),
    "both signs": (
        f"directions: [{OV}, {{matrix: ov, layer: 0, head: 1, index: 2, sign: -1}}]",
        ("with both signs, which are one direction",),
    ),
    "sign": ("directions: [{matrix: mlp_in, layer: 0, index: 0, sign: 2}]", ("2 is not one of 1, -1",)),
    "no directions": ("directions: []", ("directions", "non-empty")),
    "word": ("directions: bset", ("'bset' is not valid", "Did you mean 'best'?")),
    "eps nan": ("eps: .nan", ("edits.mine.eps: nan is no finite number",)),
    "eps infinite": ("eps: -.inf", ("edits.mine.eps: -inf is no finite number",)),
    "eps as text": ("eps: '-1'", ("edits.mine.eps: '-1' is not valid", "Write -1.")),
    "eps as a word": ("eps: fited", ("edits.mine.eps: 'fited' is not valid", "Did you mean 'fitted'?")),
    "one prompt to fit on": (
        "{eps: fitted, prompts: [{prompt: a, targets: [b]}]}",
        ("edits.mine.eps: fitted", "there is 1 prompt", "or a number"),
    ),
    "eps without cosines": (
        "eps: proportional",
        ("edits.mine.eps: proportional", "cosines with a query", "directions: {trace: QUERY, top: 10}"),
    ),
    "no such query": (
        "directions: {trace: fier, top: 3}",
        ("edits.mine.directions.trace: 'fier' is no query", "has fire.", "Did you mean 'fire'?"),
    ),
    "no top": ("directions: {trace: fire}", ("'top' is a required property",)),
    "top of none": ("directions: {trace: fire, top: 0}", ("directions.top: 0 is less than",)),
    "not traced": (
        "{setting: fold, directions: {trace: fire, top: 1}}",
        ("no query is looked for in tiny in fold, but in tiny in raw", "trace.models"),
    ),
    "path": ("path: indirect", ("'indirect' is not one of total, direct", "Did you mean 'direct'?")),
    "direct path of what reads": (
        "{path: direct, directions: [{matrix: mlp_in, layer: 0, index: 0}]}",
        ("mlp_in does not write", "Write path: total, or edit ov or mlp_out"),
    ),
    "direct path through a norm": ("{model: gemma, path: direct}", ("gemma (gemma2) a norm stands between",)),
    "key": ("esp: 1", ("'esp' is no key", "Did you mean 'eps'?")),
    "prompt without targets": ("prompts: [{prompt: a}]", ("prompts", "'targets' is a required property")),
    "empty target": ("prompts: [{prompt: a, targets: [' ']}]", ("prompts.0.targets.0",)),
    "braces": ("prompts: 'a{b}.jsonl'", ("edits.mine.prompts: a{b}.jsonl", "wildcard")),
}


def checked(edit: str, **changes: Any) -> None:
    base = {"model": "tiny", "setting": "raw", "directions": yaml.safe_load(f"[{OV}]")}
    changes.setdefault("trace", {"queries": {"fire": ["fire"]}})
    config = config_with(TINY, {"edits": {"mine": base | yaml.safe_load(edit)}} | changes)
    check_configuration(config, load_schema(SCHEMA))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_way_out(case: str) -> None:
    edit, parts = WRONG[case]
    with pytest.raises(SvdlensError) as error:
        checked(edit)
    assert all(part in str(error.value) for part in parts), error.value
    assert "\n" not in str(error.value)


def test_what_the_sweep_lacks_is_said() -> None:
    with pytest.raises(SvdlensError, match=r"basis: varimax.*Write basis: svd"):
        checked("{}", basis="varimax", controls=["random_unit"])
    with pytest.raises(SvdlensError, match=r"coherence gives tiny in fold none"):
        checked("{directions: best, setting: fold}")
    with pytest.raises(SvdlensError, match=r"coherence gives tiny in raw none"):
        checked("directions: best", labellers={"coherence": {"sides": ["read"]}})
    with pytest.raises(SvdlensError, match=r"only layers 1, 3 and heads 1 are decomposed"):
        checked("{}", sweep={"models": ["tiny"], "settings": ["raw"], "layers": [3, 1], "heads": [1]})
    traced = "{directions: {trace: fire, top: 1}}"
    with pytest.raises(SvdlensError, match=r"'fire' is no query.* has none.*queries: \{fire: \[its words\]"):
        checked(traced, trace={})
    with pytest.raises(SvdlensError, match=r"none can be edited with path: total. Sweep one of ov, mlp_in"):
        checked(traced, models={"tiny": {"matrices": ["qk"]}})
    with pytest.raises(SvdlensError, match=r"none can be edited with path: direct. Sweep one of ov, mlp_out"):
        checked("{path: direct, directions: {trace: fire, top: 1}}", models={"tiny": {"matrices": ["mlp_in"]}})


@pytest.mark.parametrize(
    "edit",
    [
        "{}",
        "directions: best",
        "{eps: 0, groups: true, path: direct}",
        "{prompts: mine.jsonl, text: mine.txt}",
        "{setting: fold, prompts: [{prompt: a, targets: [b]}]}",
        "{eps: proportional, path: direct, directions: {trace: fire, top: 5}}",
        "eps: fitted",
        "directions: [{matrix: mlp_in, layer: 3, index: 63, sign: -1}, {matrix: mlp_out, layer: 0, index: 0}]",
    ],
)
def test_what_is_right_passes(edit: str) -> None:
    checked(edit)


def test_what_is_edited_of_a_query() -> None:
    edits = {
        "total": {"model": "tiny", "setting": "raw", "directions": {"trace": "fire", "top": 2}},
        "direct": {"model": "tiny", "setting": "raw", "directions": {"trace": "fire", "top": 2}, "path": "direct"},
        "asked": {"model": "tiny", "setting": "raw", "directions": {"trace": "ice", "top": 2}},
    }
    # A query on the command line is one, and leaves edits of the others right, which are not made then.
    config = config_with(TINY, {"edits": edits, "trace": {"queries": {"fire": ["fire"]}}, "query": ["ice"]})
    check_configuration(config, load_schema(SCHEMA))
    sweep = Sweep(config)
    assert sweep.edited_matrices("total") == ["ov", "mlp_in", "mlp_out"]
    assert sweep.edited_matrices("direct") == ["ov", "mlp_out"]
    assert sweep.edit_query("total") == "fire" and sweep.query_names == ["ice"]
