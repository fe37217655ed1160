"""Real gpt2-small attention weights of layers 9 and 11, inside a model of gpt2-small's shape, through the workflow."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from shared_data import shared
from tiny import tiny_weights

pytestmark = pytest.mark.workflow

PROJECT = Path(__file__).parents[2]
LAYERS, WIDTH, HEADS, VOCABULARY, POSITIONS = 12, 768, 12, 50257, 1024
# Published with the issue that these weights came with: raw weights, layer 11, heads 0 to 11.
TOP_VALUES = [120.9, 38.2, 38.1, 28.6, 97.8, 39.5, 37.6, 33.3, 480.9, 38.3, 29.1, 119.4]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """A finished spectra target. All weights but the attention of two layers are random, in float16 to be quick."""
    attention, tokenizer = shared("gpt2-small-attention"), shared("gpt2-tokenizer")
    place = tmp_path_factory.mktemp("gpt2_shaped")
    model = place / "model"
    shutil.copytree(tokenizer, model)
    weights = tiny_weights(LAYERS, WIDTH, VOCABULARY, POSITIONS, seed=0)
    weights = {name: values.astype(np.float16) for name, values in weights.items()}
    for layer in (9, 11):
        for name, values in load_file(attention / f"layer_{layer:02}.safetensors").items():
            name = name if name in weights else name.removeprefix("transformer.")
            assert weights[name].shape == values.shape
            weights[name] = values
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_layer": LAYERS,
        "n_positions": POSITIONS,
        "vocab_size": VOCABULARY,
    }
    (model / "config.json").write_text(json.dumps(config))
    configuration = {
        "models": {"gpt2-shaped": {"path": "model"}},
        "sweep": {"models": ["gpt2-shaped"], "settings": ["raw", "post2022"], "matrices": ["ov"]},
    }
    (place / "sweep.yaml").write_text(yaml.dump(configuration))
    command = [sys.executable, "-m", "snakemake", "-s", PROJECT / "Snakefile", "--directory", place]
    command += ["--configfile", place / "sweep.yaml", "--cores", "2", "spectra"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "results"


def test_top_values_of_layer_11(sweep):
    spectra = pd.read_parquet(sweep / "spectra/model=gpt2-shaped/setting=raw/ov.parquet")
    top = spectra.query("layer == 11 and index == 0").sort_values("head")["value"]
    assert top.round(1).tolist() == pytest.approx(TOP_VALUES, abs=0.051)


@pytest.mark.parametrize("setting", ["raw", "post2022"])
def test_every_value_agrees_with_numpy(sweep, setting):
    """Dense float64 product of the factors as the checkpoint has them, without any of our code."""
    spectra = pd.read_parquet(sweep / f"spectra/model=gpt2-shaped/setting={setting}/ov.parquet")
    width = WIDTH // HEADS
    for layer in (9, 11):
        raw = load_file(shared("gpt2-small-attention") / f"layer_{layer:02}.safetensors")
        weights = {name.split(f"h.{layer}.")[1]: values.astype(np.float64) for name, values in raw.items()}
        values_weight = weights["attn.c_attn.weight"][:, 2 * WIDTH :]
        if setting == "post2022":
            values_weight = weights["ln_1.weight"][:, None] * values_weight
        for head in range(HEADS):
            columns = slice(head * width, (head + 1) * width)
            dense = values_weight[:, columns] @ weights["attn.c_proj.weight"][columns]
            expected = np.linalg.svd(dense, compute_uv=False)[:width]
            found = spectra.query("layer == @layer and head == @head").sort_values("index")["value"].to_numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


def test_how_many_of_the_top_30_values_are_isolated(sweep):
    """Published for all twelve layers of raw gpt2-small: 44 % are 1 % away from both neighbours. Here are two layers.

    Counted from the float64 values of numpy as well, without any of our code.
    """
    spectra = pd.read_parquet(sweep / "spectra/model=gpt2-shaped/setting=raw/ov.parquet").query("layer in (9, 11)")
    top = spectra.query("index < 30")
    found = top.groupby("layer").apply(lambda rows: (rows["cluster_spread"] == 0).mean())
    for layer in (9, 11):
        weights = load_file(shared("gpt2-small-attention") / f"layer_{layer:02}.safetensors")
        W_V = weights[f"transformer.h.{layer}.attn.c_attn.weight"][:, 2 * WIDTH :].astype(np.float64)
        W_O = weights[f"transformer.h.{layer}.attn.c_proj.weight"].astype(np.float64)
        isolated = []
        for head in range(HEADS):
            columns = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            values = np.linalg.svd(W_V[:, columns] @ W_O[columns], compute_uv=False)[:31]
            apart = -np.diff(values) / values[:-1] >= 0.01
            isolated += [apart[i] and (i == 0 or apart[i - 1]) for i in range(30)]
        assert found[layer] == pytest.approx(np.mean(isolated), abs=1e-9)
        assert 0.3 < found[layer] < 0.6
