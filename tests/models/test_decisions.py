"""What svdlens decides where files say two things is said once, in the log and in provenance.json."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fetch_model import main
from svdlens.weights.extraction import GROUPS, extract_weights
from tiny import END_OF_TEXT, make_tiny


def untied(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].copy()
    tensors["lm_head.weight"][-1, -1] += 1
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


def tied_twice(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].copy()
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


def holes(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    ids = {END_OF_TEXT: 0} | {f"t{id}": id for id in range(8, 320)}
    (directory / "vocab.json").write_text(json.dumps(ids))
    (directory / "merges.txt").write_text("")


def special(directory: Path) -> None:
    (directory / "special_tokens_map.json").write_text('{"pad_token": "<pad>"}')


CASES: dict[str, tuple[dict[str, object], Callable[[Path], object], list[str]]] = {
    "nothing": ({}, lambda directory: None, []),
    "tied, and there twice": ({}, tied_twice, []),
    "untied": ({}, untied, ["lm_head.weight and wte.weight differ: lm_head.weight is read as W_U"]),
    "padding": ({"padding_rows": 3}, lambda directory: None, ["the last 3 of the 323 rows of W_U have no token"]),
    "one row of padding": (
        {"padding_rows": 1},
        lambda directory: None,
        ["the last of the 321 rows of W_U has no token: it is taken for padding"],
    ),
    "holes": ({}, holes, ["7 ids have no token, and their text is empty: 1, 2, 3, 4, 5 and 2 more."]),
    "special tokens": ({}, special, ["1 special token has neither an id in a file nor a row: <pad>."]),
}


@pytest.mark.parametrize("case", CASES)
def test_decisions_are_said_once(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options, change, expected = CASES[case]
    directory = make_tiny("gpt2", tmp_path / "tiny", **options)
    change(directory)
    said = fetch(directory, "gpt2", tmp_path, caplog)
    assert len(said) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, said, strict=True))


def test_heads_of_an_encoder_and_its_padding_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = make_tiny("bert", tmp_path / "tiny", padding_rows=2, model_class_name="BertForMaskedLM")
    heads, padding = fetch(directory, "bert", tmp_path, caplog)
    assert heads.startswith("5 tensors of heads on top of the model are not read: cls.predictions.bias")
    assert "rows of W_E have no token" in padding


def fetch(directory: Path, architecture: str, results: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The decisions in provenance.json, which are those in the log."""
    provenance = results / "models" / "mine" / "provenance.json"
    source = {"path": str(directory), "architecture": architecture}
    with caplog.at_level(logging.WARNING, "svdlens"):
        main(
            SimpleNamespace(
                wildcards=SimpleNamespace(model="mine"),
                params=SimpleNamespace(source=source),
                output=SimpleNamespace(provenance=provenance),
            )
        )
    decisions: list[str] = json.loads(provenance.read_text())["decisions"]
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("svdlens")]
    assert logged == [f"model 'mine': {sentence}" for sentence in decisions]
    return decisions


def test_the_unembedding_is_the_one_that_is_said(tmp_path: Path) -> None:
    directory = make_tiny("gpt2", tmp_path / "tiny")
    untied(directory)
    outputs = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    extract_weights(directory, outputs)
    tensors = load_file(directory / "model.safetensors")
    np.testing.assert_array_equal(load_file(outputs["unembed"])["unembed.W_U"].T, tensors["lm_head.weight"])
