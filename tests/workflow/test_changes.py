"""A difference of two models, and an adapter of one, through the workflow."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from adapters import make_adapter
from workflow import SWEEP, Workflow, messages

pytest_plugins = ["workflow_fixtures"]

MATRICES = ["ov", "mlp_out"]
CHANGES: dict[str, Any] = SWEEP | {
    "models": {
        "tiny": {"path": "source", "matrices": MATRICES},
        "tuned": {"path": "tuned"},
        "delta": {"diff": {"of": "tuned", "minus": "tiny"}},
        "lora": {"adapter": {"path": "adapter", "of": "tiny"}},
    },
    "sweep": SWEEP["sweep"] | {"models": ["delta", "lora"]},
}
MODULES = ("attn.c_proj", "mlp.c_proj")


def plant(directory: Path) -> np.ndarray:
    """Write `tuned` and `adapter` beside `source`, both with one vector more in what writes; return its list of tokens,
    the best first."""
    shutil.copytree(directory / "source", directory / "tuned")
    tensors = load_file(directory / "source/model.safetensors")
    planted = tensors["wte.weight"][300] / np.linalg.norm(tensors["wte.weight"][300])
    make_adapter(directory / "adapter", directory / "source", "gpt2", dict.fromkeys(MODULES, 1), layers=(0,))
    factors = load_file(directory / "adapter/adapter_model.safetensors")
    for module in MODULES:
        name = f"base_model.model.transformer.h.0.{module}.lora_"
        factors[f"{name}B.weight"][:, 0] = planted
        tensors[f"h.0.{module}.weight"] += 4 * np.outer(factors[f"{name}A.weight"][0], planted)
    save_file(factors, directory / "adapter/adapter_model.safetensors")
    save_file(tensors, directory / "tuned/model.safetensors", {"format": "pt"})
    return np.argsort(-(tensors["wte.weight"] @ planted), kind="stable")


@pytest.mark.workflow
def test_what_was_planted_is_the_first_direction(tiny: Workflow) -> None:
    """With its tokens, read through the base; and what a change cannot have is refused by name."""
    best = plant(tiny.directory)
    run = tiny.finish("tokens", "spectra", config=CHANGES)
    assert (run.counts["fetch_model"], run.counts["extract_change"]) == (4, 2)
    assert not {"extract_weights", "measure_stability"} & run.rules
    for model in ("delta", "lora"):
        for matrix in MATRICES:
            place = f"model={model}/setting=raw/{matrix}.parquet"
            tokens = pd.read_parquet(tiny.results / "tokens" / place, partitioning=None)
            rows = tokens.query("side == 'write' and index == 0 and layer == 0")
            for ids in rows["token_ids"]:
                assert list(ids[:10]) in (best[:10].tolist(), best[::-1][:10].tolist())
            assert set(rows["sign"]) == {1, -1}
            spectra = pd.read_parquet(tiny.results / "spectra" / place, partitioning=None)
            assert spectra["stability_noise"].isna().all()
            assert (spectra.query("index > 0")["value"] < 1e-6 * spectra["value"].max()).all()

    for asked, said in (
        ("effects", "no direction of this sweep has an effect to measure"),
        ("examples", "is a difference or an adapter, which reads no text by itself"),
        ("weights", "weights are those of models"),
        ("results/weights/lora/raw.safetensors", "no rule of this configuration makes"),
        ("results/effects/model=lora/setting=raw/ov.parquet", "lora is a difference or an adapter"),
    ):
        run = tiny.run(asked, "--dry-run", config=CHANGES)
        assert run.status != 0 and any(said in message for message in messages(run)), (asked, run.printed)
