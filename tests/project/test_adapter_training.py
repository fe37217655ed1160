"""How the bundled adapter was trained, and that what is bundled is what the training script describes."""

import json
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from svdlens.models.load import load_model
from tiny import make_tiny

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "resources/training"))

import train_adapter  # noqa: E402
from wordnet_documents import Synset  # noqa: E402

BUNDLED = PROJECT / "resources/adapters/smollm2-food"


def test_what_is_bundled_is_small_and_as_described() -> None:
    config = json.loads((BUNDLED / "adapter_config.json").read_text("utf-8"))
    facts = json.loads((BUNDLED / "training.json").read_text("utf-8"))
    assert (
        (config["r"], config["lora_alpha"])
        == (train_adapter.RANK, train_adapter.ALPHA)
        == (facts["rank"], facts["alpha"])
    )
    assert config["target_modules"] == sorted(train_adapter.TARGETS)
    assert (facts["topic"], facts["steps"], facts["seed"]) == (
        train_adapter.TOPIC,
        train_adapter.STEPS,
        train_adapter.SEED,
    )
    assert facts["loss_topic_after"] < facts["loss_topic_before"]
    tensors = load_file(BUNDLED / "adapter_model.safetensors")
    assert len(tensors) == 2 * 30 * len(train_adapter.TARGETS)
    assert all(tensor.isfinite().all() and tensor.any() for tensor in tensors.values())
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 4e6


def test_kinds_are_those_of_a_topic_and_below() -> None:
    synsets = {
        key: Synset([key], "", hypernyms=parents)
        for key, parents in {"a": [], "b": ["a"], "c": ["b", "x"], "d": ["c"], "x": [], "y": ["x"]}.items()
    }
    assert train_adapter.kinds_of(synsets, "a") == {"a", "b", "c", "d"}
    assert train_adapter.kinds_of(synsets, "y") == {"y"}


@pytest.mark.slow
def test_training_lowers_the_loss_and_what_is_saved_is_what_was_trained(tmp_path: Path) -> None:
    base = make_tiny("llama", tmp_path / "base", 1)
    rows = train_adapter.windows(["the fire burns and the ice melts"] * 40, base, first=0)
    assert rows.shape[1] == train_adapter.CONTEXT and (rows[:, 0] == 0).all()
    before = train_adapter.mean_loss(load_model(base, "tiny"), rows)
    model = train_adapter.train(load_model(base, "tiny"), rows, steps=40)
    after = train_adapter.mean_loss(model, rows)
    assert after < before - 0.1
    train_adapter.save_adapter(model, tmp_path / "adapter", "somebody/tiny")
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == "somebody/tiny"
    loaded = PeftModel.from_pretrained(load_model(base, "tiny"), str(tmp_path / "adapter"))
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(rows).logits, model(rows).logits, rtol=0, atol=2e-2)  # float16
