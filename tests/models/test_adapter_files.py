"""An adapter that is anything but W + scale B A, or that does not fit its base, is refused with the way out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters import make_adapter
from svdlens.errors import SvdlensError
from svdlens.models.adapter_files import check_adapter, read_adapter
from svdlens.models.fetch import fetch_from_directory
from svdlens.models.fetch_change import fetch_adapter
from tiny import make_tiny, make_tiny_gpt2

MODULES = {"self_attn.q_proj": 2, "self_attn.v_proj": 3, "mlp.down_proj": 2}
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    source = make_tiny("llama", directory / "source")
    fetch_from_directory(source, directory / "base", {}, "base", "path", "llama")
    return directory / "base"


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "adapter", base, "llama", MODULES)


KEYS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "another type": ({"peft_type": "LOHA"}, ("peft_type 'LOHA'", "only 'LORA'", "merge_and_unload")),
    "no type": ({"peft_type": None}, ("peft_type None",)),
    "DoRA": ({"use_dora": True}, ("use_dora = True", "scales the whole weight")),
    "biases": ({"bias": "lora_only"}, ("bias = 'lora_only'",)),
    "biases of factors": ({"lora_bias": True}, ("lora_bias",)),
    "whole modules": ({"modules_to_save": ["lm_head"]}, ("modules_to_save = ['lm_head']",)),
    "rows of the embedding": ({"trainable_token_indices": [3]}, ("trainable_token_indices",)),
    "repeated layers": ({"layer_replication": [[0, 1], [0, 2]]}, ("layer_replication",)),
    "quantised": ({"use_qalora": True}, ("use_qalora",)),
    "another base at the start": ({"init_lora_weights": "pissa"}, ("init_lora_weights = 'pissa'",)),
    "unknown key": ({"use_tomorrow": 1}, ("use_tomorrow = 1", "does not know this key")),
    "rank of another": ({"rank_pattern": {}, "r": 7}, ("the rank 7", "has 2 rows", "Restore")),
    "no alpha": ({"lora_alpha": None}, ("lora_alpha None", "number other than 0, finite")),
    "alpha beyond floats": ({"lora_alpha": 10**400}, ("lora_alpha 1000", "finite in float32")),
    "alpha that is no number": ({"lora_alpha": float("nan")}, ("lora_alpha nan",)),
    "alpha of zero": ({"lora_alpha": 0}, ("lora_alpha 0",)),
    "regular expression": ({"alpha_pattern": {"(a+)+$": 2}}, ("'(a+)+$', a regular expression",)),
    "patterns that are none": ({"rank_pattern": [3]}, ("rank_pattern = [3], no mapping",)),
}


@pytest.mark.parametrize("case", KEYS)
def test_what_is_more_than_factors_is_refused(case: str, adapter: Path, base: Path) -> None:
    changes, said = KEYS[case]
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(SvdlensError) as error:
        check_adapter(adapter, base, "llama", "model 'mine'")
    assert all(part in str(error.value) for part in ("model 'mine'", *said)), error.value


def without(tensors: dict[str, np.ndarray], name: str) -> None:
    del tensors[name]


def with_value(tensors: dict[str, np.ndarray], value: float) -> None:
    tensors[FIRST + "A.weight"][0, 0] = value


def with_shape(tensors: dict[str, np.ndarray], rank: int, d_in: int) -> None:
    tensors[FIRST + "A.weight"] = np.ones((rank, d_in), np.float32)


TENSORS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], tuple[str, ...]]] = {
    "no B": (lambda tensors: without(tensors, FIRST + "B.weight"), ("without its lora_B", "save the adapter again")),
    "no A": (lambda tensors: without(tensors, FIRST + "A.weight"), ("without its lora_A",)),
    "NaN": (lambda tensors: with_value(tensors, np.nan), ("1 of the 32 values", "lora_A", "NaN or infinite")),
    "infinite": (lambda tensors: with_value(tensors, np.inf), ("NaN or infinite",)),
    "rank 0": (lambda tensors: with_shape(tensors, 0, 16), ("[0, 16]", "at least 1")),
    "another base": (
        lambda tensors: with_shape(tensors, 2, 12),
        ("[2, 12]", "must be [r, 16]", "the base 'base'", "'somebody/base'"),
    ),
    "a layer too many": (
        lambda tensors: tensors.update({name.replace(".1.", ".7."): one for name, one in tensors.items()}),
        ("layers.7.", "which the base has not", "'somebody/base'"),
    ),
    "two names of one module": (
        lambda tensors: tensors.update({name.replace("model.model.", "model."): one for name, one in tensors.items()}),
        ("are of the same module", "open which one is meant"),
    ),
    "a layer by another name": (
        lambda tensors: tensors.update({FIRST.replace(".0.", ".00.") + "A.weight": np.ones((2, 16), "f4")}),
        ("layers.00.self_attn.q_proj.lora_A.weight' is no lora_A or lora_B of a module",),
    ),
    "embedding": (
        lambda tensors: tensors.update({"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((2, 3), "f4")}),
        ("embed_tokens.lora_embedding_A", "no lora_A or lora_B of a module"),
    ),
    "unembedding": (
        lambda tensors: tensors.update({"base_model.model.lm_head.lora_A.weight": np.ones((2, 16), "f4")}),
        ("lm_head.lora_A.weight", "those are self_attn.q_proj"),
    ),
    "whole numbers": (
        lambda tensors: tensors.update({FIRST + "A.weight": np.ones((2, 16), np.int8)}),
        ("has the type I8",),
    ),
    "nothing": (lambda tensors: tensors.clear(), ("has no tensors",)),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_do_not_fit_are_named(case: str, adapter: Path, base: Path) -> None:
    change, said = TENSORS[case]
    tensors = load_file(adapter / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, adapter / "adapter_model.safetensors")
    with pytest.raises(SvdlensError) as error:
        check_adapter(adapter, base, "llama", "model 'mine'")
    assert all(part in str(error.value) for part in ("model 'mine'", *said)), error.value


def test_files_that_are_missing_pickles_and_links_out_are_refused(adapter: Path, base: Path, tmp_path: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    elsewhere = weights.rename(tmp_path / "other.safetensors")
    for prepare, said in (
        (lambda: None, "adapter_model.safetensors is missing"),
        (lambda: (adapter / "adapter_model.bin").touch(), "never loaded"),
        (lambda: weights.symlink_to(elsewhere), "is a link to"),
        (lambda: weights.unlink() or weights.write_bytes(b"short"), "cut short or damaged"),
        (lambda: (adapter / "adapter_config.json").unlink(), "adapter_config.json is missing"),
    ):
        prepare()
        with pytest.raises(SvdlensError, match=said):
            check_adapter(adapter, base, "llama", "model 'mine'")
    with pytest.raises(SvdlensError, match="no such directory"):
        check_adapter(tmp_path / "nowhere", base, "llama", "model 'mine'")


def test_an_adapter_of_an_architecture_without_modules_is_refused_by_name(adapter: Path, base: Path) -> None:
    with pytest.raises(SvdlensError, match=r"adapters of bert are not read.*`diff`"):
        check_adapter(adapter, base, "bert", "model 'mine'")


TIED: dict[str, tuple[dict[str, Any], bool]] = {
    "unembedding": ({"target_modules": ["v_proj", "lm_head"]}, False),
    "embedding": ({"target_modules": ["v_proj", "embed_tokens"]}, False),
    "embedding, and the unembedding with it": (
        {"target_modules": ["v_proj", "embed_tokens"], "ensure_weight_tying": True},
        False,
    ),
    "saved as a whole": (
        {"target_modules": ["v_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        False,
    ),
    "saved beside": ({"target_modules": ["v_proj"]}, True),
}


@pytest.mark.parametrize("case", TIED)
def test_tied_embeddings_in_an_adapter_of_peft_are_refused(case: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config, save_embeddings = TIED[case]
    source = make_tiny("llama", tmp_path / "source", tie_word_embeddings=True)
    fetch_from_directory(source, tmp_path / "base", {}, "base", "path", "llama")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(source), LoraConfig(r=2, **config))
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=save_embeddings)
    with pytest.raises(SvdlensError, match=r"lm_head|embed_tokens") as error:
        check_adapter(tmp_path / "adapter", tmp_path / "base", "llama", "model 'mine'")
    assert "merge_and_unload" in str(error.value) and "`diff`" in str(error.value)


def test_alpha_is_that_of_the_first_pattern_and_divided_by_the_rank_or_its_root(base: Path, tmp_path: Path) -> None:
    patterns = {"model.layers.1.self_attn.v_proj": 30, "v_proj": 12, "^model.layers.0.mlp.down_proj": 5}
    for rooted in (False, True):
        directory = make_adapter(tmp_path, base, "llama", MODULES, alpha_pattern=patterns, use_rslora=rooted)
        scales = {key: one.scale for key, one in read_adapter(directory, base, "llama", "mine").items()}
        assert scales == {
            (layer, module): pytest.approx(alpha / (rank**0.5 if rooted else rank))
            for layer, alphas in ((0, (4, 12, 5)), (1, (4, 30, 4)))
            for (module, rank), alpha in zip(MODULES.items(), alphas, strict=True)
        }


def test_nothing_is_published_of_what_is_refused(adapter: Path, base: Path, tmp_path: Path) -> None:
    pins = {"adapter_model.safetensors": "0" * 64}
    with pytest.raises(SvdlensError, match=r"models\.mine.sha256 pins"):
        fetch_adapter(adapter, base, tmp_path / "results/mine", pins, "mine", "llama")
    assert not (tmp_path / "results").exists()


def test_provenance_has_that_of_the_base(adapter: Path, base: Path, tmp_path: Path) -> None:
    fetch_adapter(adapter, base, tmp_path / "mine", {}, "mine", "llama")
    provenance = json.loads((tmp_path / "mine/provenance.json").read_text())
    assert (provenance["source"], provenance["repo"]) == ("adapter", "adapter")
    assert provenance["models"] == {"of": json.loads((base / "provenance.json").read_text())}
    assert set(provenance["files"]) == {path.name for path in (tmp_path / "mine").iterdir()} - {"provenance.json"}
    assert "model.safetensors" not in provenance["files"]
    # Another model in the same place takes its files away.
    fetch_from_directory(make_tiny_gpt2(tmp_path / "gpt2"), tmp_path / "mine", {}, "mine", "path")
    assert not (tmp_path / "mine/adapter_model.safetensors").exists()
