"""Heads removed one by one: which, in which order, beside which others, and what a head is in the weights."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from svdlens.edit.heads import head_removal, heads_in_order, one_by_one, others_of_layers
from svdlens.edit.hooks import edited
from svdlens.errors import SvdlensError
from svdlens.models.load import load_model
from tiny import make_tiny

IDS = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))


def logits_without(directory: Path, heads: list[tuple[int, int]]) -> torch.Tensor:
    """Logits of TransformerLens with what these heads write before W_O set to zero."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(directory), device="cpu", dtype=torch.float32)
    n_heads = bridge.cfg.n_heads

    def ablate(values: torch.Tensor, hook: object, head: int) -> torch.Tensor:
        by_head = values.reshape(*values.shape[:2], n_heads, -1).clone()
        by_head[:, :, head] = 0
        return by_head.reshape(values.shape)

    hooks = [
        (f"blocks.{layer}.attn.hook_z", lambda values, hook, head=head: ablate(values, hook, head))
        for layer, head in heads
    ]
    return bridge.run_with_hooks(IDS, fwd_hooks=hooks)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_removed_head_is_an_ablated_one(architecture: str, tmp_path: Path) -> None:
    directory = make_tiny(architecture, tmp_path / "tiny", 2)
    model = load_model(directory, "tiny")
    heads = [(1, 2), (0, 1), (1, 0)]
    expected = logits_without(directory, heads)
    assert (expected - model(IDS).logits).abs().max() > 1e-2
    with edited(model, [head_removal(model, *head) for head in heads]):
        torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=1e-5)
    # One after the other, each with those before it.
    seen = []
    rows = one_by_one(model, heads, {"n": lambda updates: seen.append([(u.layer, u.rows) for u in updates]) or 0.5})
    assert [(row["removed"], row["layer"], row["head"]) for row in rows] == [
        (0, None, None), (1, 1, 2), (2, 0, 1), (3, 1, 0),
    ]  # fmt: skip
    assert [len(updates) for updates in seen] == [0, 1, 2, 3] and seen[3][:2] == seen[2]
    assert all(row["n"] == 0.5 for row in rows)


def matrices() -> pd.DataFrame:
    rows = [
        ("fire", "ov", 0, 0, "read", 2.0),
        ("fire", "ov", 0, 0, "write", 7.0),
        ("fire", "ov", 0, 1, "read", 1.0),
        ("fire", "ov", 0, 1, "write", -9.0),
        ("fire", "ov", 1, 0, "read", 7.0),
        ("fire", "ov", 1, 0, "write", 3.0),
        ("fire", "qk", 1, 1, "query", 99.0),
        ("fire", "mlp_in", 1, None, "read", 99.0),
        ("ice", "ov", 0, 0, "read", 50.0),
        ("rain", "qk", 0, 0, "query", 1.0),
    ]
    table = pd.DataFrame(rows, columns=["query", "matrix", "layer", "head", "side", "standard_score"])
    return table.astype({"head": "Int32", "query": "category", "matrix": "category"})


def test_heads_are_in_the_order_of_their_nearest_direction() -> None:
    assert list(heads_in_order(matrices(), "fire").items()) == [((0, 1), 9.0), ((0, 0), 7.0), ((1, 0), 7.0)]
    assert heads_in_order(matrices(), "ice") == {(0, 0): 50.0}
    for query, said in (("fier", r"'fier'. It has the queries fire, ice, rain"), ("rain", r"'rain'.*ov is swept")):
        with pytest.raises(SvdlensError, match=said):
            heads_in_order(matrices(), query)


def test_others_are_of_the_same_layers_and_there_once() -> None:
    heads = [(3, 0), (1, 2), (3, 1), (1, 0), (1, 1)]
    others = others_of_layers(heads, 4, 0)
    assert [layer for layer, _ in others] == [3, 1, 3], "of the four heads of layer 1 one is left"
    assert len(set(others)) == 3 and not set(others) & set(heads)
    assert others == others_of_layers(heads, 4, 0)
    drawn = {tuple(others_of_layers([(0, 0)], 12, seed)) for seed in range(20)}
    assert len(drawn) > 3
