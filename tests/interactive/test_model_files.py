"""Which models are taken from Python, and what is said of those that are not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, GPT2ForSequenceClassification

from svdlens.errors import SvdlensError
from svdlens.interactive.model_files import describe_model, put_model
from svdlens.spec.architectures import ARCHITECTURES
from tiny import make_tiny

ADAPTER = LoraConfig(target_modules=["c_attn"], r=2, fan_in_fan_out=True)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny("gpt2", tmp_path_factory.mktemp("models") / "gpt2")


@pytest.fixture
def model(directory: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(directory)


@pytest.fixture(scope="module")
def tokenizer(directory: Path) -> Any:
    return AutoTokenizer.from_pretrained(directory)


def on_meta(model: Any) -> Any:
    return model.to("meta")


def one_layer_on_meta(model: Any) -> Any:
    """As where layers are offloaded."""
    model.transformer.h[1].to("meta")
    return model


def with_adapter(model: Any) -> Any:
    return get_peft_model(model, ADAPTER)


def with_adapter_inside(model: Any) -> Any:
    model.add_adapter(ADAPTER)
    return model


def not_finite(model: Any) -> Any:
    model.transformer.h[0].mlp.c_fc.weight.data[0, 0] = torch.nan
    return model


def classifier(model: Any) -> Any:
    return GPT2ForSequenceClassification(model.config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (on_meta, "on the meta device, or offloaded"),
        (one_layer_on_meta, "h.1.*on the meta device, or offloaded"),
        (with_adapter, "merge_and_unload"),
        (with_adapter_inside, "merge_and_unload"),
        (torch.nn.DataParallel, "is a DataParallel, neither a model"),
        (not_finite, "the model in memory, saved: 1 of the .* are NaN or infinite"),
        (classifier, "GPT2ForSequenceClassification.*is not supported"),
        (lambda model: model.state_dict(), "is a OrderedDict, neither"),
    ],
)
def test_what_cannot_be_read_is_refused(model: Any, tokenizer: Any, tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(SvdlensError, match=said) as error:
        put_model(change(model), tokenizer, tmp_path / "model")
    assert str(tmp_path) not in str(error.value)


def without_unembedding(directory: Path) -> Any:
    return AutoModel.from_pretrained(directory)


def quantised(directory: Path) -> Any:
    """As other libraries than transformers do it, in place."""
    model = AutoModelForCausalLM.from_pretrained(directory)
    model.lm_head = torch.nn.Linear(16, 320, bias=False)
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})


def whole_numbers(directory: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(directory)
    weight = model.transformer.h[0].mlp.c_fc.weight.data
    model.transformer.h[0].mlp.c_fc.weight = torch.nn.Parameter((100 * weight).to(torch.int8), requires_grad=False)
    return model


class Spread(torch.Tensor):
    """In place of a DTensor, which needs several processes."""


def spread(directory: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(directory)
    weight = model.transformer.h[0].mlp.c_fc.weight.data.as_subclass(Spread)
    model.transformer.h[0].mlp.c_fc.weight = torch.nn.Parameter(weight)
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (spread, "weights that are a Spread, no plain tensors"),
        (without_unembedding, r"is a GPT2Model.*a GPT2LMHeadModel is read. Load it as such"),
        (quantised, "is quantised"),
        (whole_numbers, "is quantised"),
        (lambda directory: f"~no-such-person/{directory.name}", "there is no such home directory"),
    ],
)
def test_what_a_model_says_that_it_is_decides_before_it_is_saved(
    directory: Path, tokenizer: Any, make: Any, said: str
) -> None:
    made = make(directory)
    with pytest.raises(SvdlensError, match=said):
        describe_model(made, None if isinstance(made, str) else tokenizer)


def test_a_merged_adapter_is_read(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    merged = get_peft_model(model, ADAPTER).merge_and_unload()
    assert put_model(merged, tokenizer, tmp_path / "model") is ARCHITECTURES["gpt2"]


def test_contradictions_of_its_text_generation_are_no_reason_to_refuse(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    generation = model.generation_config
    generation.temperature, generation.do_sample = 0.5, False
    put_model(model, tokenizer, tmp_path / "model")
    assert model.generation_config is generation


@pytest.mark.parametrize(
    ("model", "tokenizer", "said"),
    [
        ("gpt2", None, "'gpt2' is no directory with a model"),
        (Path("/nowhere/model"), None, "is no directory with a model"),
        ("{directory}", "tokenizer", "whose tokenizer is read from there"),
        (None, None, "is a NoneType, neither"),
    ],
)
def test_what_is_no_model_is_refused(directory: Path, tmp_path: Path, model: Any, tokenizer: Any, said: str) -> None:
    given = str(directory) if model == "{directory}" else model
    with pytest.raises(SvdlensError, match=said):
        put_model(given, tokenizer, tmp_path / "model")


def test_a_model_in_memory_needs_its_tokenizer(model: Any, tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match="needs its own"):
        put_model(model, None, tmp_path / "model")


def test_the_tokenizer_of_another_model_is_refused(model: Any, tmp_path: Path) -> None:
    other = AutoTokenizer.from_pretrained(make_tiny("gpt2", tmp_path / "other", vocabulary=400))
    with pytest.raises(SvdlensError, match="there must be a row for each token"):
        put_model(model, other, tmp_path / "model")


def test_of_a_directory_only_files_of_the_model_are_taken(directory: Path, tmp_path: Path) -> None:
    """Adapters, pickles and code that lie there are not for transformers to find."""
    copy = make_tiny("gpt2", tmp_path / "copy")
    for name in ("adapter_config.json", "pytorch_model.bin", "modeling.py", "generation_config.json"):
        (copy / name).write_text("{}")
    put_model(copy, None, tmp_path / "model")
    taken = {path.name for path in (tmp_path / "model").iterdir()}
    assert taken == {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}


def test_a_directory_of_an_architecture_that_is_unknown_is_refused(tmp_path: Path) -> None:
    copy = make_tiny("gpt2", tmp_path / "copy")
    config = (copy / "config.json").read_text().replace('"gpt2"', '"nonesuch"')
    (copy / "config.json").write_text(config)
    with pytest.raises(SvdlensError, match=r"model_type 'nonesuch'.*is not supported"):
        put_model(copy, None, tmp_path / "model")
