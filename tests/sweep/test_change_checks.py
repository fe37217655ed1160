"""Differences and adapters in the catalogue: what is wrong with one is said, and the rest is that of the base."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from svdlens.errors import SvdlensError
from svdlens.sweep.change_checks import models_of
from svdlens.sweep.config_checks import check_configuration, load_schema
from svdlens.sweep.plan import Sweep

PROJECT = Path(__file__).parents[2]
SCHEMA = load_schema(PROJECT / "rules/config.schema.yaml")
MODELS: dict[str, Any] = {
    "base": {
        "path": "base",
        "architecture": "llama",
        "settings": ["raw"],
        "matrices": ["ov"],
        "token_counts": "a.parquet",
    },
    "tuned": {"path": "tuned", "architecture": "llama"},
    "other": {"path": "other"},
    "delta": {"diff": {"of": "tuned", "minus": "base"}},
    "lora": {"adapter": {"path": "lora", "of": "base"}, "matrices": ["qk"]},
}


def config_with(models: dict[str, Any], **changes: Any) -> dict[str, Any]:
    config = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    config["sweep"] |= {"models": ["delta", "lora"], "labellers": ["coherence"]}
    return copy.deepcopy(config | {"models": config["models"] | MODELS | models} | changes)


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "itself": ({"delta": {"diff": {"of": "base", "minus": "base"}}}, ("models.delta.diff", "minus itself is zero")),
    "unknown": ({"delta": {"diff": {"of": "tunde", "minus": "base"}}}, ("delta.diff.of", "'tunde'", "'tuned'?")),
    "unknown base": ({"lora": {"adapter": {"path": "a", "of": "bsae"}}}, ("lora.adapter.of: 'bsae' is no model",)),
    "of a difference": (
        {"second": {"diff": {"of": "delta", "minus": "base"}}},
        ("models.second.diff.of: delta is a difference", "no weights of its own"),
    ),
    "of an adapter": ({"second": {"adapter": {"path": "a", "of": "lora"}}}, ("lora is an adapter",)),
    "no adapters of the architecture": (
        {"lora": {"adapter": {"path": "a", "of": "all-minilm-l6-v2"}}},
        ("models.lora.adapter.of: all-minilm-l6-v2 is of the architecture bert", "gpt_neox", "`diff`"),
    ),
    "architectures": (
        {"delta": {"diff": {"of": "other", "minus": "base"}}},
        ("other is of the architecture gpt2 and base of llama",),
    ),
    "no minus": ({"delta": {"diff": {"of": "tuned"}}}, ("models.delta.diff", "'minus'")),
    "no place": ({"lora": {"adapter": {"of": "base"}}}, ("models.lora.adapter has neither path nor bundled",)),
    "two places": (
        {"lora": {"adapter": {"of": "base", "path": "a", "bundled": "b"}}},
        ("models.lora.adapter has path and bundled",),
    ),
    "vocabulary": (
        {"lora": MODELS["lora"] | {"matrices": ["ov", "unembed", "embed"]}},
        ("models.lora: unembed and embed of a difference or an adapter", "those of base", "lora.matrices: [ov]"),
    ),
    "a way out": ({"lora": {"adapter": {"of": "base", "bundled": "../b"}}}, ("models.lora.adapter.bundled",)),
    "two sources": (
        {"delta": {"path": "x", "diff": {"of": "tuned", "minus": "base"}}},
        ("models.delta: has path, diff", "just one"),
    ),
    "another architecture": (
        {"delta": {**MODELS["delta"], "architecture": "gpt2"}},
        ("models.delta.architecture is gpt2, and that of base is llama", "Leave it out"),
    ),
    "checksums": (
        {"delta": {**MODELS["delta"], "sha256": {"model.safetensors": "0" * 64}}},
        ("models.delta.sha256", "Pin those of tuned and base"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_way_out(case: str) -> None:
    models, said = WRONG[case]
    with pytest.raises(SvdlensError) as error:
        check_configuration(config_with(models), SCHEMA)
    assert all(part in str(error.value) for part in said), error.value


def test_an_edit_of_one_is_refused() -> None:
    for model in ("delta", "lora"):
        edit = {"model": model, "setting": "raw", "directions": [{"matrix": "ov", "layer": 0, "head": 0, "index": 0}]}
        with pytest.raises(SvdlensError, match=rf"edits.mine.model: {model} is a difference or an adapter"):
            check_configuration(config_with({}, edits={"mine": edit}), SCHEMA)


def test_what_one_does_not_say_is_that_of_its_base() -> None:
    config = config_with({})
    check_configuration(config, SCHEMA)
    sweep = Sweep(config)
    assert [sweep.choice(model, "settings") for model in ("delta", "lora")] == [["raw"], ["raw"]]
    assert [sweep.choice(model, "matrices") for model in ("delta", "lora")] == [["ov"], ["qk"]]
    assert sweep.architecture("delta") == sweep.architecture("lora") == sweep.architecture("base")
    assert config["models"]["lora"]["token_counts"] == "a.parquet" and "path" not in config["models"]["lora"]
    assert [models_of(config["models"][name]) for name in ("base", "delta", "lora")] == [
        [],
        ["tuned", "base"],
        ["base"],
    ]


def test_no_effects_are_measured_of_one() -> None:
    config = config_with({})
    config["sweep"]["models"] = ["delta", "lora", "base"]
    check_configuration(config, SCHEMA)
    assert {place.model for place in Sweep(config).effect_places} == {"base"}
