"""The factors of a change multiply out to the dense difference; of an adapter, to what PEFT's own merging gives."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters import make_adapter
from svdlens.errors import SvdlensError
from svdlens.models.adapted_modules import ADAPTED_MODULES
from svdlens.models.fetch import fetch_from_directory
from svdlens.models.fetch_change import fetch_adapter, fetch_difference
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.change_extraction import extract_adapter, extract_difference
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny

FILES = (*GROUPS, "steps")
# The second has all that an adapter may say: a rank and an alpha for some modules, the root of the rank. No module's
# path begins with "layers": PEFT takes that entry for none.
SAID = {
    "plain": {},
    "patterns": {
        "use_rslora": True,
        "rank_pattern": {"c.fc": 1, "k_proj": 1},
        "alpha_pattern": {"^layers.0.self_attn.v_proj": 9, "v_proj": 7, "^model.layers.1.self_attn.o_proj": 3},
    },
}


def outputs(directory: Path) -> dict[str, Path]:
    directory.mkdir(exist_ok=True)
    return {name: directory / f"weights/{name}.safetensors" for name in FILES}


def fetched(source: Path, directory: Path, architecture: str) -> Path:
    fetch_from_directory(source, directory, {}, directory.name, "path", architecture)
    return directory


def extracted_adapter(place: Path, base: Path, architecture: str, matrices: list[str]) -> dict[str, Path]:
    fetch_adapter(place / "adapter", base, place / "lora", {}, "lora", architecture)
    files = outputs(place / "lora")
    extract_adapter(place / "lora", base, matrices, files)
    return files


def extracted_difference(place: Path, base: Path, architecture: str, matrices: list[str]) -> dict[str, Path]:
    """Of place/tuned and the base."""
    fetch_difference(place / "tuned", base, place / "delta", "delta", architecture)
    files = outputs(place / "delta")
    files["attention"].parent.mkdir()
    extract_difference(place / "tuned", base, matrices, files, "delta")
    return files


def extracted_model(model: Path) -> dict[str, Path]:
    files = outputs(model)
    extract_weights(model, {group: files[group] for group in GROUPS})
    return files


def product(files: dict[str, Path], matrix: str, layer: int, setting: Setting) -> Tensor:
    weights = WeightFile(files[MATRIX_KINDS[matrix].weight_group])
    multiplied = factors(weights, matrix, layer, setting)
    return multiplied[0] if len(multiplied) == 1 else multiplied[0] @ multiplied[1]


def settings(architecture: str) -> list[Setting]:
    able = ARCHITECTURES[architecture].switches
    return [Setting(), Setting(**{name: name in able for name in ("read_gain", "read_center", "write_center")})]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("architecture", ADAPTED_MODULES)
def test_an_adapter_is_what_peft_merges_into_the_base(architecture: str, said: str, tmp_path: Path) -> None:
    """Fused modules, shared keys and values, gates and gains with an offset among them. The oracle is
    merge_and_unload, and the dense difference of the two models in float64."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    source = make_tiny(architecture, tmp_path / "source")
    modules = list(dict.fromkeys(module.split(".")[-1] for module in ADAPTED_MODULES[architecture]))
    config = LoraConfig(r=2, lora_alpha=5, target_modules=modules, fan_in_fan_out=architecture == "gpt2", **SAID[said])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(source), config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, tmp_path / "merged")

    base = fetched(source, tmp_path / "base", architecture)
    tuned = fetched(tmp_path / "merged", tmp_path / "tuned", architecture)
    matrices = list(ARCHITECTURES[architecture].matrices_of_layers)
    of_base, of_tuned = extracted_model(base), extracted_model(tuned)
    lora = extracted_adapter(tmp_path, base, architecture, matrices)
    delta = extracted_difference(tmp_path, base, architecture, matrices)
    for matrix in matrices:
        for setting in settings(architecture):
            for layer in (0, 1):
                dense = product(of_tuned, matrix, layer, setting) - product(of_base, matrix, layer, setting)
                for files in (lora, delta):
                    error = (product(files, matrix, layer, setting) - dense).norm() / dense.norm()
                    assert error < 1e-6, (matrix, setting, layer)
    for group in ("unembed", "gains"):
        expected = load_file(of_base[group])
        for files in (lora, delta):
            assert load_file(files[group]).keys() == expected.keys()
            assert all(torch.equal(value, expected[name]) for name, value in load_file(files[group]).items())


def test_directions_of_an_adapter_are_those_of_the_dense_difference(tmp_path: Path) -> None:
    """Values to 1e-6 of the first, and vectors whose values are apart, in float64. Of O alone, of another rank in each
    module; layers that it leaves as they are have values of 0."""
    base = fetched(make_tiny("llama", tmp_path / "source"), tmp_path / "base", "llama")
    make_adapter(tmp_path / "adapter", base, "llama", {"self_attn.o_proj": 3, "mlp.up_proj": 2}, layers=(1,))
    tensors = load_file(base / "model.safetensors")
    stored = load_file(tmp_path / "adapter/adapter_model.safetensors")
    for module, rank in (("self_attn.o_proj", 3), ("mlp.up_proj", 2)):
        A, B = (stored[f"base_model.model.model.layers.1.{module}.lora_{factor}.weight"] for factor in "AB")
        tensors[f"model.layers.1.{module}.weight"] += (B.double() @ A.double() * (4 / rank)).float()
    shutil.copytree(base, tmp_path / "merged")
    save_file(tensors, tmp_path / "merged/model.safetensors", {"format": "pt"})
    fetched(tmp_path / "merged", tmp_path / "tuned", "llama")
    matrices = ["ov", "mlp_in"]
    lora = extracted_adapter(tmp_path, base, "llama", matrices)
    delta = extracted_difference(tmp_path, base, "llama", matrices)
    for matrix in matrices:
        kind = MATRIX_KINDS[matrix]
        task = Task(matrix, Setting(read_gain=True), 64)
        arrays = decompose_layers(WeightFile(lora[kind.weight_group]), task, range(2))
        assert (arrays["values"][0] == 0).all()
        for head in range(4 if kind.per_head else 1):
            index = (1, head) if kind.per_head else (1,)
            dense = product(delta, matrix, 1, task.setting)
            left, values, right = torch.linalg.svd(dense[head] if kind.per_head else dense)
            found, rank = arrays["values"][index], arrays["values"].shape[-1]
            np.testing.assert_allclose(found, values[:rank], atol=1e-6 * values[0])
            assert (values[rank:] < 1e-6 * values[0]).all()
            for side, vectors in (("left", left.mT), ("right", right)):
                cosines = (arrays[side][index].double() * vectors[: len(found)]).sum(dim=-1).abs()
                assert (cosines[values[: len(found)] > 1e-3 * values[0]] > 1 - 1e-6).all()


def test_the_change_of_a_rank_of_one_is_the_first_direction_of_a_difference(tmp_path: Path) -> None:
    """In OV and MLP-out, beside a gain that changed, which only a setting with gains shows."""
    base = fetched(make_tiny("llama", tmp_path / "source"), tmp_path / "base", "llama")
    shutil.copytree(base, tmp_path / "changed")
    tensors = load_file(base / "model.safetensors")
    planted = torch.nn.functional.normalize(tensors["model.embed_tokens.weight"][77], dim=0)
    for module in ("self_attn.o_proj", "mlp.down_proj"):
        weight = tensors[f"model.layers.1.{module}.weight"]
        tensors[f"model.layers.1.{module}.weight"] = weight + torch.outer(planted, torch.ones(weight.shape[1]))
    tensors["model.layers.0.post_attention_layernorm.weight"] += 0.5
    save_file(tensors, tmp_path / "changed/model.safetensors", {"format": "pt"})
    fetched(tmp_path / "changed", tmp_path / "tuned", "llama")
    delta = extracted_difference(tmp_path, base, "llama", ["ov", "mlp_in", "mlp_out"])
    for matrix in ("ov", "mlp_out"):
        weights = WeightFile(delta[MATRIX_KINDS[matrix].weight_group])
        arrays = decompose_layers(weights, Task(matrix, Setting(), 64), range(2))
        first, values = arrays["right"][1, ..., 0, :], arrays["values"]
        torch.testing.assert_close((first @ planted).abs(), torch.ones(first.shape[:-1]))
        assert (values[1, ..., 1] < 1e-6 * values[1, ..., 0]).all()
        assert (values[0] == 0).all()
    weights = WeightFile(delta["mlp"])
    values = {
        gain: decompose_layers(weights, Task("mlp_in", Setting(read_gain=gain), 64), range(2))["values"]
        for gain in (False, True)
    }
    assert (values[False] == 0).all()
    assert values[True][0, 0] > 0 and (values[True][1] == 0).all()


def test_what_did_not_change_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    base = fetched(make_tiny("llama", tmp_path / "source"), tmp_path / "base", "llama")
    shutil.copytree(base, tmp_path / "tuned")
    with pytest.raises(SvdlensError, match=r"'delta' .tuned minus base.: both have the same weights in every matrix"):
        extracted_difference(tmp_path, base, "llama", ["ov"])
    assert list((tmp_path / "delta/weights").iterdir()) == []
    shutil.rmtree(tmp_path / "delta")
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.weight"] += 1
    save_file(tensors, tmp_path / "tuned/model.safetensors", {"format": "pt"})
    with pytest.raises(SvdlensError, match=r"both have the same ov, mlp_in. Write `models.delta.matrices: \[qk\]`"):
        extracted_difference(tmp_path, base, "llama", ["ov", "qk", "mlp_in"])
    assert list((tmp_path / "delta/weights").iterdir()) == []

    make_adapter(tmp_path / "adapter", base, "llama", {"self_attn.v_proj": 2})
    with pytest.raises(SvdlensError, match=r"v_proj, and changes no mlp_in. Write `models.lora.matrices: \[ov\]`"):
        extracted_adapter(tmp_path, base, "llama", ["ov", "mlp_in"])
    # As it is before training, in one kind of module or in all.
    untrained = load_file(tmp_path / "adapter/adapter_model.safetensors")
    made_zero = {name: value * 0 if "lora_B" in name else value for name, value in untrained.items()}
    save_file(made_zero, tmp_path / "adapter/adapter_model.safetensors")
    with pytest.raises(SvdlensError, match=r"of the modules self_attn.v_proj, and changes none .* are zero"):
        extracted_adapter(tmp_path, base, "llama", ["ov"])
    assert not (tmp_path / "lora/weights").exists()
    make_adapter(tmp_path / "adapter", base, "llama", {"self_attn.v_proj": 2, "mlp.up_proj": 2})
    tensors = load_file(tmp_path / "adapter/adapter_model.safetensors")
    zero = {name: value * 0 if "up_proj.lora_B" in name else value for name, value in tensors.items()}
    save_file(zero, tmp_path / "adapter/adapter_model.safetensors")
    with pytest.raises(SvdlensError, match=r"v_proj, and changes no mlp_in. Write `models.lora.matrices: \[ov\]`"):
        extracted_adapter(tmp_path, base, "llama", ["ov", "mlp_in"])
    fetch_adapter(tmp_path / "adapter", base, tmp_path / "lora", {}, "lora", "llama")
    # A file that is asked for by its path is of a matrix that nobody listed.
    files = outputs(tmp_path / "lora")
    extract_adapter(tmp_path / "lora", base, ["ov"], files)
    with pytest.raises(SvdlensError, match="changes no mlp_in"):
        decompose_layers(WeightFile(files["mlp"]), Task("mlp_in", Setting(), 64), range(2))


def test_what_changed_is_no_matrix_that_is_read_of_the_architecture(tmp_path: Path) -> None:
    """Of Qwen3 there is no qk, so that `matrices` cannot name it."""
    base = fetched(make_tiny("qwen3", tmp_path / "source"), tmp_path / "base", "qwen3")
    make_adapter(tmp_path / "adapter", base, "qwen3", {"self_attn.q_proj": 2})
    with pytest.raises(SvdlensError, match="changes none of the matrices that are read of qwen3, ov, mlp_in"):
        extracted_adapter(tmp_path, base, "qwen3", ["ov"])
    shutil.copytree(base, tmp_path / "tuned")
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.weight"] += 1
    save_file(tensors, tmp_path / "tuned/model.safetensors", {"format": "pt"})
    with pytest.raises(SvdlensError, match="the same weights in every matrix of attention and MLP that is read of qwe"):
        extracted_difference(tmp_path, base, "qwen3", ["ov"])
