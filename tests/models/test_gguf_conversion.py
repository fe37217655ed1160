"""A GGUF file becomes the model that it was made of: against that model, and against transformers' own loading."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.gguf.dequant import GGML_BLOCK
from transformers.integrations.gguf.dequant import dequantize as dequantize_with_torch
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from gguf_files import SIZES, interleave_halves, llama_cpp_metadata, llama_cpp_tensors, make_gguf, write_gguf
from svdlens.errors import SvdlensError
from svdlens.models import gguf_tensors
from svdlens.models.checks import check_model_directory
from svdlens.models.gguf_conversion import (
    GGUF_ARCHITECTURES,
    convert_gguf,
    llama3_factors,
)
from svdlens.models.gguf_header import readable_types
from svdlens.models.gguf_rounding import SHARE
from svdlens.models.gguf_tensors import GgufTensor, float32_rows
from svdlens.models.token_texts import read_vocabulary
from svdlens.spec.architectures import ARCHITECTURES
from tiny import make_tiny

SENTENCES = ["the cat sat", " two  spaces, and 1234", "Ünïcode 你好\n", "<|endoftext|>", ""]


def convert(path: Path, architecture: str) -> tuple[Path, dict[str, str]]:
    directory = path.parent / "converted"
    directory.mkdir()
    quantisation = convert_gguf(path, directory, "mine", architecture, "model 'mine'")
    assert check_model_directory(directory, "mine", architecture) == 0
    return directory, quantisation


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.arange(60).reshape(2, 30) * 5
    with torch.no_grad():
        return model.eval()(ids).logits


def load(directory: Path, **how: Any) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, **how)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False}),
        ("llama", {"num_key_value_heads": 4, "head_dim": 32, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"rms_norm_eps": 1e-3, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen2", {"tie_word_embeddings": False}),
        ("gemma2", {}),
        ("gpt2", {}),
    ],
)
def test_unquantised_weights_come_back_as_they_were(architecture: str, config: dict[str, Any], tmp_path: Path) -> None:
    source, path = make_gguf(architecture, tmp_path, **config)
    converted, quantisation = convert(path, architecture)
    before, after = load_file(source / "model.safetensors"), load_file(converted / "model.safetensors")
    assert set(quantisation.values()) == {"F32"}
    assert before.keys() == after.keys() == quantisation.keys()
    for name, weights in before.items():
        # 1 + w was rounded where the file keeps that.
        tolerance = 2e-7 if name.endswith("norm.weight") and architecture == "gemma2" else 0
        torch.testing.assert_close(after[name], weights, rtol=0, atol=tolerance)
    torch.testing.assert_close(logits(load(converted)), logits(load(source)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quantisation", ["F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"])
@pytest.mark.parametrize("tied", [True, False])
def test_quantised_weights_are_those_that_transformers_reads(quantisation: str, tied: bool, tmp_path: Path) -> None:
    _, path = make_gguf("llama", tmp_path, quantisation, tie_word_embeddings=tied)
    converted, found = convert(path, "llama")
    ours, theirs = load(converted), load(tmp_path, gguf_file=path.name)
    assert set(found.values()) == {quantisation, "F32"}
    theirs_by_name = theirs.state_dict()
    for name, weights in ours.state_dict().items():
        assert torch.equal(weights, theirs_by_name[name]), name
    assert torch.equal(logits(ours), logits(theirs))


@pytest.mark.parametrize("architecture", ["qwen2", "gemma2"])
def test_other_architectures_are_quantised_as_transformers_reads_them(architecture: str, tmp_path: Path) -> None:
    _, path = make_gguf(architecture, tmp_path, "Q8_0")
    converted, _ = convert(path, architecture)
    theirs = load(tmp_path, gguf_file=path.name).state_dict()
    for name, weights in load(converted).state_dict().items():
        assert torch.equal(weights, theirs[name]), name


@pytest.mark.filterwarnings("ignore:invalid value")  # random bits are infinite scales, too
@pytest.mark.parametrize("number", sorted(GGML_BLOCK))
def test_every_type_is_dequantised_as_torch_does(number: int) -> None:
    """Against the implementation in torch of transformers, on blocks of random bits."""
    values_in_block, bytes_in_block = GGML_BLOCK[number]
    random = np.random.default_rng(number)
    blocks = random.integers(0, 256, (12, 2 * bytes_in_block), np.uint8)
    tensor = GgufTensor(readable_types()[number], (12, 2 * values_in_block), blocks)
    order = random.permutation(12)
    ours = np.concatenate(list(float32_rows(tensor, order)))
    theirs = dequantize_with_torch(torch.from_numpy(blocks[order]), number).numpy().reshape(ours.shape)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs[np.isfinite(theirs)]).max())


def test_pieces_of_any_size_make_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = make_gguf("llama", tmp_path, "Q4_1")
    whole, _ = convert(path, "llama")
    monkeypatch.setattr(gguf_tensors, "VALUES_AT_ONCE", 100)
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    convert_gguf(path, pieces, "mine", "llama", "model 'mine'")
    for name in ("model.safetensors", "rounding_steps.safetensors"):
        assert (pieces / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gpt2"])
def test_steps_lie_where_the_weights_do(architecture: str, tmp_path: Path) -> None:
    """In every group of weights with one step, all are as many steps apart as a whole number says."""
    _, path = make_gguf(architecture, tmp_path, "Q4_1")
    converted, quantisation = convert(path, architecture)
    weights = load_file(converted / "model.safetensors")
    steps = load_file(converted / "rounding_steps.safetensors")
    layers = [name for name, found in quantisation.items() if found == "Q4_1" and ("layers." in name or "h." in name)]
    assert sorted(steps) == sorted(layers) and len(steps) in (8, 14)
    for name, step in steps.items():
        weight = weights[name]
        if architecture == "gpt2":  # nn.Linear has rows where GPT-2 has columns
            weight, step = weight.T, step.T
        groups = weight.reshape(len(weight), -1, SHARE)
        numbers = (groups - groups.amin(dim=-1, keepdim=True)) / step[..., None]
        assert (numbers - numbers.round()).abs().max() < 1e-2
        assert numbers.max() > 5


@pytest.mark.parametrize("quantisation", ["F32", "F16"])
def test_what_is_not_quantised_has_no_file_of_steps(quantisation: str, tmp_path: Path) -> None:
    _, path = make_gguf("llama", tmp_path, quantisation)
    converted, _ = convert(path, "llama")
    assert not (converted / "rounding_steps.safetensors").exists()


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_tokens_keep_their_ids_and_texts(architecture: str, tmp_path: Path) -> None:
    source, path = make_gguf(architecture, tmp_path)
    converted, _ = convert(path, architecture)
    assert read_vocabulary(converted) == read_vocabulary(source)
    before, after = AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(converted)
    for sentence in SENTENCES:
        assert after(sentence).input_ids == before(sentence).input_ids
        assert after.decode(after(sentence).input_ids) == sentence
    assert after.eos_token_id == before.eos_token_id
    assert after.all_special_ids == before.all_special_ids


ROPE = {
    "linear": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0},
    "yarn": {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 8},
}


@pytest.mark.parametrize("kind", ROPE)
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_scaled_rotary_frequencies_are_kept(kind: str, architecture: str, tmp_path: Path) -> None:
    prefix, rope = f"{architecture}.rope.scaling", ROPE[kind]
    metadata = {f"{prefix}.type": kind, f"{prefix}.factor": rope["factor"]}
    metadata[f"{prefix}.original_context_length"] = rope.get("original_max_position_embeddings")
    source, path = make_gguf(architecture, tmp_path, metadata=metadata, rope_parameters=rope)
    converted, _ = convert(path, architecture)
    config = AutoConfig.from_pretrained(converted)
    assert {key: config.rope_parameters[key] for key in rope} == rope
    torch.testing.assert_close(logits(load(converted)), logits(load(source)), rtol=1e-5, atol=1e-5)


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def with_frequencies(directory: Path, factors: np.ndarray) -> tuple[Path, Path]:
    config = {"head_dim": 128, "rope_parameters": LLAMA3, "max_position_embeddings": 16_384}
    source = make_tiny("llama", directory / "source", **{**SIZES["llama"], **config})
    tensors = {name: (values, "F32") for name, values in llama_cpp_tensors(source).items()}
    tensors["rope_freqs.weight"] = (factors.astype(np.float32), "F32")
    write_gguf(directory / "tiny.gguf", llama_cpp_metadata(source), tensors)
    return source, directory / "tiny.gguf"


def test_the_frequencies_of_llama_3_are_recognised(tmp_path: Path) -> None:
    """Against transformers' own frequencies of this rope_type."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    factors = llama3_factors(LLAMA3["rope_theta"], 128, 8.0)
    source, path = with_frequencies(tmp_path, factors)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](AutoConfig.from_pretrained(source), "cpu")
    plain = LLAMA3["rope_theta"] ** (-np.arange(0, 128, 2) / 128)
    np.testing.assert_allclose(plain / factors, scaled.numpy(), rtol=1e-5)
    converted, quantisation = convert(path, "llama")
    config = AutoConfig.from_pretrained(converted)
    assert {key: config.rope_parameters[key] for key in LLAMA3} == LLAMA3
    assert "rope_freqs.weight" not in quantisation


@pytest.mark.parametrize("factors", [np.linspace(1, 3, 64), np.ones(7), np.full(64, np.nan)])
def test_other_frequencies_are_refused(factors: np.ndarray, tmp_path: Path) -> None:
    _, path = with_frequencies(tmp_path, factors)
    with pytest.raises(SvdlensError, match="scales rotary frequencies in another way than Llama 3"):
        convert(path, "llama")


def test_the_order_of_rows_is_that_of_llama_cpp() -> None:
    """A head of 6 rows: llama.cpp rotates 0 with 1, transformers 0 with 3."""
    rows = np.arange(12).reshape(12, 1)
    assert interleave_halves(rows, 2).ravel().tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_architectures_are_those_that_both_sides_know() -> None:
    assert set(GGUF_ARCHITECTURES) <= set(ARCHITECTURES) & set(GGUF_SUPPORTED_ARCHITECTURES)
    assert set(GGUF_ARCHITECTURES) <= set(gguf.MODEL_ARCH_NAMES.values())
