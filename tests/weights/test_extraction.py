"""Extraction takes the numbers of the checkpoint as they are, in TransformerLens' shapes, and nothing but weights."""

import codecs
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from gguf_files import llama_cpp_metadata, llama_cpp_tensors, make_gguf, write_gguf
from svdlens.models.gguf_conversion import convert_gguf
from svdlens.spec.settings import Setting
from svdlens.weights.extraction import GROUPS, extract_steps, extract_weights
from svdlens.weights.factors import factors, unembed
from svdlens.weights.weight_files import WeightFile, save_tensors
from tiny import make_tiny, make_tiny_gpt2

LAYERS, WIDTH, HEADS, D_HEAD = 2, 16, 4, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("model") / "tiny", layers=LAYERS, width=WIDTH, heads=HEADS, seed=3)


@pytest.fixture(scope="module")
def outputs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("weights")
    outputs = {group: directory / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, outputs)
    return outputs


def test_extracted_numbers_are_those_of_the_checkpoint(model: Path, outputs: dict[str, Path]) -> None:
    """The oracle is the layout of the checkpoint: [in, out], query key value side by side, heads side by side."""
    raw = load_file(model / "model.safetensors")
    expected: dict[str, dict[str, np.ndarray]] = {
        "attention": {},
        "mlp": {},
        "unembed": {
            "unembed.W_U": raw["wte.weight"].T,
            "embed.W_E": raw["wte.weight"],
            "ln_final.w": raw["ln_f.weight"],
        },
        "gains": {"ln_final.w": raw["ln_f.weight"]},
    }
    for layer in range(LAYERS):
        three = np.split(raw[f"h.{layer}.attn.c_attn.weight"], 3, axis=1)
        for name, weight in zip(("W_Q", "W_K", "W_V"), three, strict=True):
            heads = np.stack([weight[:, head * D_HEAD : (head + 1) * D_HEAD] for head in range(HEADS)])
            expected["attention"][f"blocks.{layer}.attn.{name}"] = heads
        W_O = raw[f"h.{layer}.attn.c_proj.weight"].reshape(HEADS, D_HEAD, WIDTH)
        expected["attention"] |= {
            f"blocks.{layer}.attn.W_O": W_O,
            f"blocks.{layer}.ln1.w": raw[f"h.{layer}.ln_1.weight"],
        }
        expected["mlp"] |= {
            f"blocks.{layer}.mlp.W_in": raw[f"h.{layer}.mlp.c_fc.weight"],
            f"blocks.{layer}.mlp.W_out": raw[f"h.{layer}.mlp.c_proj.weight"],
            f"blocks.{layer}.ln2.w": raw[f"h.{layer}.ln_2.weight"],
        }
        expected["gains"] |= {
            f"blocks.{layer}.ln1.w": raw[f"h.{layer}.ln_1.weight"],
            f"blocks.{layer}.ln2.w": raw[f"h.{layer}.ln_2.weight"],
        }
    assert sorted(expected) == sorted(GROUPS)
    for group, tensors in expected.items():
        written = load_file(outputs[group])
        assert sorted(written) == sorted(tensors)
        for name, tensor in tensors.items():
            assert written[name].dtype == np.float32
            np.testing.assert_array_equal(written[name], tensor, err_msg=name)


def test_extraction_twice_gives_the_same_bytes(model: Path, outputs: dict[str, Path], tmp_path: Path) -> None:
    """Also where texts of the model begin with a byte order mark."""
    again = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    marked = shutil.copytree(model, tmp_path / "marked")
    for text in marked.glob("*.json"):
        text.write_bytes(codecs.BOM_UTF8 + text.read_bytes())
    extract_weights(marked, again)
    assert all(again[group].read_bytes() == outputs[group].read_bytes() for group in GROUPS)


@pytest.mark.parametrize("architecture", ["gemma", "bert"])
def test_the_file_of_gains_has_what_the_other_files_have(architecture: str, tmp_path: Path) -> None:
    """Also where the checkpoint has them without the 1, and where a model has none."""
    outputs = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    extract_weights(make_tiny(architecture, tmp_path / "tiny"), outputs)
    files = {group: load_file(path) for group, path in outputs.items()}
    gains = files.pop("gains")
    elsewhere = {name: tensor for file in files.values() for name, tensor in file.items() if tensor.ndim == 1}
    assert sorted(gains) == sorted(elsewhere)
    assert len(gains) == (0 if architecture == "bert" else 5)
    assert all(np.array_equal(gain, elsewhere[name]) for name, gain in gains.items())


def test_heads_and_old_names_change_no_weight_of_an_encoder(tmp_path: Path) -> None:
    """The bridge reads such files as it reads those of the encoder by itself."""
    plain = make_tiny("bert", tmp_path / "plain")
    other = make_tiny("bert", tmp_path / "other", model_class_name="BertForPreTraining", seed=1)
    tensors = load_file(other / "model.safetensors")
    encoder = {f"bert.{name}": tensor for name, tensor in load_file(plain / "model.safetensors").items()}
    assert encoder.keys() < tensors.keys()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = {
        next((name.replace(now, then) for now, then in old.items() if now in name), name): tensor
        for name, tensor in {**tensors, **encoder}.items()
    }
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    weights = []
    for directory in (plain, other):
        outputs = {group: tmp_path / f"{directory.name}-{group}.safetensors" for group in GROUPS}
        extract_weights(directory, outputs)
        weights.append({group: path.read_bytes() for group, path in outputs.items()})
    assert weights[0] == weights[1]


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bert"])
def test_extraction_needs_no_architectures(architecture: str, tmp_path: Path) -> None:
    directory = make_tiny(architecture, tmp_path / "tiny")
    written = []
    for turn in range(2):
        outputs = {group: tmp_path / f"{turn}-{group}.safetensors" for group in GROUPS}
        extract_weights(directory, outputs)
        written.append([path.read_bytes() for path in outputs.values()])
        config = json.loads((directory / "config.json").read_text())
        config.pop("architectures", None)
        (directory / "config.json").write_text(json.dumps(config))
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("gpt2", {}),
        ("llama", {}),
        ("llama", {"num_key_value_heads": 4, "head_dim": 32}),
        ("qwen2", {}),
        ("gemma2", {}),
    ],
)
def test_every_step_lies_where_its_weight_does(architecture: str, sizes: dict[str, int], tmp_path: Path) -> None:
    """Weights and steps are taken apart alike: each weight is still a whole number of its own steps.

    In Q4_0 that is so without an offset. The steps of a tiny model's blocks differ, so that others would not do.
    """
    _, path = make_gguf(architecture, tmp_path, "Q4_0", **sizes)
    model = tmp_path / "converted"
    model.mkdir()
    convert_gguf(path, model, "mine", architecture, "model 'mine'")
    outputs = {group: tmp_path / f"{group}.safetensors" for group in ("attention", "mlp")}
    extract_weights(model, outputs)
    extract_steps(model, tmp_path / "steps.safetensors")
    steps = load_file(tmp_path / "steps.safetensors")
    matrices = {
        name: weight for path in outputs.values() for name, weight in load_file(path).items() if weight.ndim > 1
    }
    assert sorted(steps) == sorted(matrices)
    for name, weight in matrices.items():
        assert steps[name].shape == weight.shape and steps[name].dtype == np.float32
        numbers = weight / steps[name]
        np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-2)
        assert np.abs(numbers).max() > 6


def test_weights_that_were_not_rounded_have_no_steps(model: Path, tmp_path: Path) -> None:
    extract_steps(model, tmp_path / "steps.safetensors")
    assert load_file(tmp_path / "steps.safetensors") == {}
    # And in a file in which only some were, the others have none.
    source, path = make_gguf("gpt2", tmp_path, "Q4_0")
    tensors = {
        name: (values, "Q4_0" if values.ndim == 2 and "attn_qkv" in name else "F32")
        for name, values in llama_cpp_tensors(source).items()
    }
    write_gguf(path, llama_cpp_metadata(source), tensors)
    (tmp_path / "converted").mkdir()
    convert_gguf(path, tmp_path / "converted", "mine", "gpt2", "model 'mine'")
    extract_steps(tmp_path / "converted", tmp_path / "some.safetensors")
    names = {name.split(".", 2)[2] for name in load_file(tmp_path / "some.safetensors")}
    assert names == {"attn.W_Q", "attn.W_K", "attn.W_V"}


def test_any_of_the_files_can_be_had_alone(model: Path, outputs: dict[str, Path], tmp_path: Path) -> None:
    for group in GROUPS:
        extract_weights(model, {group: tmp_path / group})
        assert (tmp_path / group).read_bytes() == outputs[group].read_bytes()


def test_factors_multiply_to_the_matrices_of_the_residual_stream(outputs: dict[str, Path]) -> None:
    """What attention and MLP do to a row x of the residual stream: x @ W, and for QK the score x @ W @ y."""
    attention, mlp = WeightFile(outputs["attention"]), WeightFile(outputs["mlp"])
    raw = {**load_file(outputs["attention"]), **load_file(outputs["mlp"])}
    raw = {name: tensor.astype(np.float64) for name, tensor in raw.items()}
    x, y = np.random.default_rng(0).standard_normal((2, WIDTH))
    for head in range(HEADS):
        W_V, W_O = (factor[head].numpy() for factor in factors(attention, "ov", 1, Setting()))
        moved = (x @ raw["blocks.1.attn.W_V"][head]) @ raw["blocks.1.attn.W_O"][head]
        np.testing.assert_allclose(x @ (W_V @ W_O), moved, atol=1e-12)
        W_Q, W_K_T = (factor[head].numpy() for factor in factors(attention, "qk", 1, Setting()))
        score = (x @ raw["blocks.1.attn.W_Q"][head]) @ (y @ raw["blocks.1.attn.W_K"][head])
        np.testing.assert_allclose(x @ (W_Q @ W_K_T) @ y, score, atol=1e-12)
    for matrix, name in (("mlp_in", "W_in"), ("mlp_out", "W_out")):
        (weight,) = factors(mlp, matrix, 1, Setting())
        np.testing.assert_array_equal(weight.numpy(), raw[f"blocks.1.mlp.{name}"])
    assert unembed(WeightFile(outputs["unembed"]), Setting()).shape == (WIDTH, 320)


def test_a_weight_file_gives_float64_and_counts_layers_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "attention.safetensors"
    tensors = {f"blocks.{layer}.ln1.w": torch.full((3,), 0.1 + layer) for layer in range(12)}  # "9" > "11" as text
    save_tensors(path, tensors, {"matrix": "none"})
    weights = WeightFile(path)
    assert weights.layers == 12
    assert weights["blocks.11.ln1.w"].dtype == torch.float64
    assert torch.equal(weights["blocks.11.ln1.w"], tensors["blocks.11.ln1.w"].double())
    with pytest.raises(Exception, match=r"blocks\.12\.ln1\.w"):
        weights["blocks.12.ln1.w"]
