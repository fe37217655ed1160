"""`make full-size` on a tiny shape: models that are what they say, a sweep over them, and a report that adds up."""

import fcntl
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    return importlib.import_module("random_models")


@pytest.fixture
def full_size(models: ModuleType) -> ModuleType:
    return importlib.import_module("full_size")


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_model_has_the_sizes_and_the_spectra_that_it_should(
    architecture: str, models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = models.ModelShape(2, 3, 48, 16, 500, architecture, 80)
    if architecture == "gpt2":
        shape = models.ModelShape(2, 3, 48, 16, 500)
    monkeypatch.setitem(models.MODELS, "tried", shape)
    models.build_model("tried", tmp_path, None)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert (model.config.num_hidden_layers, model.config.vocab_size) == (2, 500)
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == 500
    names = dict(model.named_parameters())
    matrices = [weight for name, weight in names.items() if weight.ndim == 2 and "wpe" not in name]
    assert sum(weight.numel() for weight in matrices) == shape.n_parameters
    with torch.no_grad():
        if architecture == "gpt2":
            block = model.transformer.h[1]
            W_V, W_O = block.attn.c_attn.weight[:, 2 * 48 :], block.attn.c_proj.weight
            mlps = {"mlp_in": block.mlp.c_fc.weight, "mlp_out": block.mlp.c_proj.weight}
        else:
            block = model.model.layers[1]
            W_V, W_O = block.self_attn.v_proj.weight.T, block.self_attn.o_proj.weight.T
            mlps = {"mlp_in": block.mlp.up_proj.weight.T, "mlp_out": block.mlp.down_proj.weight.T}
        tolerance = {"gpt2": 1e-4, "llama": 0.03}[architecture]  # of bfloat16
        for kind, weight in mlps.items():
            torch.testing.assert_close(
                torch.linalg.svdvals(weight.double()), models.law(kind, 48), rtol=tolerance, atol=0
            )
        for head in range(3):
            part = slice(16 * head, 16 * (head + 1))
            values = torch.linalg.svdvals((W_V[:, part] @ W_O[part]).double())
            torch.testing.assert_close(values[:16], models.law("ov", 16), rtol=tolerance, atol=0)
            assert values[16] < tolerance * values[0]


def test_a_build_that_was_interrupted_goes_on_to_the_same_weights(
    models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.build_model("tiny", tmp_path / "whole", None)

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(models, "embedding", stop)
        with pytest.raises(KeyboardInterrupt):
            models.build_model("tiny", tmp_path / "cut", None)
    first = tmp_path / "cut/model-00001-of-00003.safetensors"
    before = first.stat().st_mtime_ns
    models.build_model("tiny", tmp_path / "cut", None)
    assert first.stat().st_mtime_ns == before
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    for path in (tmp_path / "whole").glob("*.safetensors"):
        again = load_file(tmp_path / "cut" / path.name)
        assert all(torch.equal(again[name], weight) for name, weight in load_file(path).items())


@pytest.mark.slow
@pytest.mark.workflow
def test_a_sweep_is_run_and_its_cost_adds_up(
    full_size: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["full_size.py", "--models", "tiny", "--settings", "raw", "--target", "tokens"]
    monkeypatch.setattr(sys, "argv", [*command, "--directory", str(tmp_path), "--cores", "2"])
    monkeypatch.setattr(full_size, "LOOK_EVERY", 0.1)
    # A lock that Snakemake has left behind.
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"{tmp_path}/results/other\n")
    assert full_size.main() == 0

    costs = pd.read_csv(tmp_path / "full_size.csv", index_col="rule")
    counts = {"fetch_model": 1, "extract_weights": 1, "decode_tokens": 1, "view_tokens": 3}
    counts |= {"decompose_matrices": 3, "project_directions": 3}
    assert costs["jobs"].to_dict() == counts
    [run] = json.loads((tmp_path / "runs.json").read_text())
    assert run["jobs"] == sum(counts.values())
    assert costs["share"].sum() == pytest.approx(1)
    assert (costs["start_up_seconds"] > 0).all()
    assert costs["seconds"].sum() < 2 * run["wall"]
    # Every job of these imports torch, which takes more than this and less than that.
    assert costs.loc[["decompose_matrices", "project_directions"], "max_rss_mib"].between(100, 2000).all()
    assert sum(path.stat().st_size for path in (tmp_path / "results").rglob("*") if path.is_file()) < 2 * run["disk"]
    printed = capfd.readouterr().out
    assert f"tiny; settings: 1; cores: 2; runs: 1; jobs: 12; wall time: {run['wall']:.0f} s" in printed

    # Nothing is left to do: the next run adds nothing.
    assert full_size.main() == 0
    assert [one["jobs"] for one in json.loads((tmp_path / "runs.json").read_text())] == [run["jobs"], 0]
    assert "runs: 1; jobs: 12;" in capfd.readouterr().out


@pytest.mark.parametrize("cores", ["0", "-3", "many"])
def test_cores_that_are_no_number_of_cores_are_refused_before_models_are_built(
    cores: str,
    full_size: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["full_size.py", "--cores", cores, "--directory", str(tmp_path / "new")])
    with pytest.raises(SystemExit):
        full_size.main()
    assert "argument --cores: " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_directory_that_cannot_be_one_is_named(
    full_size: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file/below"):
        monkeypatch.setattr(sys, "argv", ["full_size.py", "--directory", str(directory)])
        assert full_size.main() == 1
        assert capsys.readouterr().err.startswith(f"cannot write to {directory}: ")


def test_two_runs_in_one_directory_and_a_disk_that_is_too_small_are_refused(
    full_size: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["full_size.py", "--models", "gpt2-xl", "--directory", str(tmp_path)])
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert full_size.main() == 1
    assert f"a run is at work in {tmp_path}" in capsys.readouterr().err
    monkeypatch.setattr(full_size, "BYTES_OF_LIST", 10**9)
    assert full_size.main() == 1
    assert f"no room for that in {tmp_path}" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
