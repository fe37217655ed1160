"""Tables from Python are those of the workflow, of models in memory and in directories; models stay as they are."""

import copy
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import is_progress_bar_enabled

import svdlens
from svdlens.spec.architectures import ARCHITECTURES
from tiny import make_tiny
from workflow import SWEEP, Workflow

pytest_plugins = ["workflow_fixtures"]

FEW = {"directions": 4, "tokens": 5, "labels": False}


def loaded(directory: Path, **options: Any) -> tuple[Any, Any]:
    """Model and tokenizer as transformers has them."""
    kind = AutoModel if "bert" in directory.name else AutoModelForCausalLM
    return kind.from_pretrained(directory, **options), AutoTokenizer.from_pretrained(directory)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of every architecture."""
    place = tmp_path_factory.mktemp("models")
    return {name: make_tiny(name, place / name, padding_rows=8) for name in ARCHITECTURES}


def of_workflow(finished: Workflow, kind: str, pattern: str) -> pd.DataFrame:
    """The rows of all matrices, in the order of the sweep; `pattern` is the name of each file."""
    directory = finished.results / kind / "model=tiny/setting=raw"
    paths = [directory / pattern.format(name) for name in SWEEP["sweep"]["matrices"]]
    return pd.concat([pd.read_parquet(path, partitioning=None) for path in paths], ignore_index=True)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_categorical=False, check_dtype=False, check_exact=True)


@pytest.mark.workflow
@pytest.mark.parametrize("in_memory", [True, False])
def test_they_are_those_of_the_workflow(finished: Workflow, in_memory: bool) -> None:
    source = finished.directory / "source"
    model, tokenizer = loaded(source) if in_memory else (source, None)
    sizes = {name: SWEEP[name] for name in ("random_directions", "rotated_directions")}
    found = svdlens.directions(model, tokenizer, controls=["rotated", "random_unit"], **sizes)
    tokens = of_workflow(finished, "tokens", "{}.parquet")
    labels = of_workflow(finished, "labels", "{}.coherence.parquet")
    singular = found[found["control"].isna()].reset_index(drop=True)
    same(singular[tokens.columns], tokens)
    same(singular[labels.columns], labels)
    for control in ("rotated", "random_unit"):
        expected = of_workflow(finished, "controls", f"{{}}.{control}.parquet")
        same(found[found["control"] == control].reset_index(drop=True)[expected.columns], expected)
    assert len(found) == len(tokens) + sum((found["control"] == name).sum() for name in ("rotated", "random_unit"))
    measured = of_workflow(finished, "spectra", "{}.parquet").drop(columns=["stability_noise", "stability_float32"])
    same(svdlens.spectra(model, tokenizer)[measured.columns], measured)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_in_memory_is_its_directory_and_stays_as_it_is(models: dict[str, Path], architecture: str) -> None:
    model, tokenizer = loaded(models[architecture])
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config, pointers = copy.deepcopy(model.config.to_dict()), [tensor.data_ptr() for tensor in model.parameters()]
    ids = torch.arange(5)[None]
    with torch.no_grad():
        outputs = model.eval()(ids)[0]
    model.train()
    torch.manual_seed(3)
    threads, expected = torch.get_num_threads(), torch.rand(2)
    torch.manual_seed(3)
    found = svdlens.directions(model, tokenizer, matrices=ARCHITECTURES[architecture].matrices, **FEW)
    assert torch.equal(torch.rand(2), expected)
    assert (torch.get_num_threads(), torch.is_grad_enabled(), model.training) == (threads, True, True)
    same(found, svdlens.directions(models[architecture], matrices=ARCHITECTURES[architecture].matrices, **FEW))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert [tensor.data_ptr() for tensor in model.parameters()] == pointers
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.config.to_dict() == config
    with torch.no_grad():
        assert torch.equal(model.eval()(ids)[0], outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_was_changed_in_memory_is_what_is_read(models: dict[str, Path], dtype: torch.dtype) -> None:
    """The oracle is numpy's dense SVD in float64 and every logit of its vectors; embeddings are tied or not."""
    for architecture in ("gpt2", "qwen2"):
        model, tokenizer = loaded(models[architecture], dtype=dtype)
        layer = model.transformer.h[1] if architecture == "gpt2" else model.model.layers[1]
        linear = layer.mlp.c_proj if architecture == "gpt2" else layer.mlp.down_proj
        with torch.no_grad():
            linear.weight.add_(torch.randn(linear.weight.shape, generator=torch.Generator().manual_seed(1)))
        weight = linear.weight.detach().double().numpy()
        _, values, right = np.linalg.svd(weight if architecture == "gpt2" else weight.T, full_matrices=False)
        spectrum = svdlens.spectra(model, tokenizer, matrices="mlp_out", layers=[1])
        np.testing.assert_allclose(spectrum["value"], values, rtol=1e-6)
        lists = svdlens.directions(model, tokenizer, matrices="mlp_out", layers=[1], **FEW)
        scores = right[:4] @ model.lm_head.weight.detach().double().numpy()[: len(tokenizer)].T
        best = {frozenset(np.argsort(sign * row)[:5].tolist()) for row in scores for sign in (1, -1)}
        assert {frozenset(ids.tolist()) for ids in lists["token_ids"]} == best


def test_layers_and_heads_are_those_of_the_whole(models: dict[str, Path]) -> None:
    whole = svdlens.directions(models["llama"], setting=["read_gain", "unembed_gain", "vocab_center"], **FEW)
    part = svdlens.directions(
        str(models["llama"]),
        setting=["read_gain", "unembed_gain", "vocab_center"],
        matrices=["ov", "mlp_out"],
        layers=[1, 1],
        heads=[3, 0],
        **FEW,
    )
    chosen = whole[(whole["layer"] == 1) & (whole["head"].isin([0, 3]) | (whole["matrix"] == "mlp_out"))]
    same(part, chosen[chosen["matrix"] != "mlp_in"].reset_index(drop=True))


@pytest.mark.slow
def test_embeddings_are_kept_where_one_says_so_and_made_anew_when_damaged(
    models: dict[str, Path], tmp_path: Path
) -> None:
    cache = tmp_path / "new" / "cache"
    asked = {"matrices": "mlp_out", "directions": 4, "random_directions": 20}
    first = svdlens.directions(models["gpt2"], cache=cache, **asked)
    [kept] = cache.iterdir()
    content = kept.read_bytes()
    same(svdlens.directions(models["gpt2"], cache=str(cache), **asked), first)
    kept.write_bytes(content[:-100])
    same(svdlens.directions(models["gpt2"], cache=cache, **asked), first)
    assert kept.read_bytes() == content
    with pytest.raises(svdlens.SvdlensError, match="is a file"):
        svdlens.directions(models["gpt2"], cache=kept, **asked)


def test_nothing_stays_behind_and_nothing_is_shown(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model, tokenizer = loaded(models["gpt2"])
    capfd.readouterr()
    svdlens.spectra(model, tokenizer, matrices="ov")
    assert capfd.readouterr() == ("", "")
    assert is_progress_bar_enabled()
    with pytest.raises(svdlens.SvdlensError, match="the model has 2 layers, 0 to 1, and no 7"):
        svdlens.spectra(models["gpt2"], matrices="ov", layers=[7])
    assert list(tmp_path.iterdir()) == []


WRONG: dict[str, dict[str, Any]] = {
    "none of the matrices": {"matrices": "OV"},
    "is no switch": {"setting": "fold"},
    "the model has 2 layers": {"layers": [7]},
    "the model has 4 heads": {"heads": 4},
    "none of the readouts": {"readouts": "W_X"},
    "readouts is empty": {"readouts": []},
    "controls is None": {"controls": None},
    "seed is 'a'": {"seed": "a"},
    "no such file": {"token_counts": "/nowhere/counts.parquet", "labels": True, "tokens": 15},
    "cannot be written to": {"cache": "/proc/cache", "labels": True, "tokens": 15},
    "the labeller reads the first 15": {"labels": True},
    # Nothing is wrong with what is asked for.
    "no temporary directory can be made": {},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_asked_for_is_checked_before_the_model_is_saved(
    said: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no place to save it to, which would be said next."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/temporary")
    for model, tokenizer in (loaded(models["gpt2"]), (models["gpt2"], None)):
        with pytest.raises(svdlens.SvdlensError, match=said):
            svdlens.directions(model, tokenizer, **FEW | WRONG[said])


def test_threads_may_call_for_the_same_model_and_a_default_device_is_no_matter(models: dict[str, Path]) -> None:
    model, tokenizer = loaded(models["gpt2"])
    config, said, threads = model.config, model.config.to_json_string(), torch.get_num_threads()
    found: list[pd.DataFrame] = []

    def call() -> None:
        found.append(svdlens.directions(model, tokenizer, matrices="ov", threads=1, **FEW))

    running = [threading.Thread(target=call) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert model.config is config and config.to_json_string() == said
    assert torch.get_num_threads() == threads
    # In place of another device, of which this machine need not have one.
    torch.set_default_device("meta")
    try:
        call()
        assert torch.empty(0).is_meta
    finally:
        torch.set_default_device(None)
    assert len(found) == 5
    for one in found[1:]:
        same(one, found[0])
