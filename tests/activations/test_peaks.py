"""The best places of a text for each direction, against TransformerLens' activations and a sort of all projections."""

from pathlib import Path

import numpy as np
import pytest
import torch

from svdlens.activations.acting import Acting, acting
from svdlens.activations.passages import passages_of
from svdlens.activations.peaks import NONE, find_peaks
from svdlens.errors import SvdlensError
from svdlens.models.load import load_model, module_of
from svdlens.models.token_windows import first_token, token_ids
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from tiny import LETTERS, make_tiny

LAYERS, K, N = 2, 5, 4
# Grouped heads, gated MLPs, RMSNorm with and without 1 + w, rotary positions, a parallel block, norms after the sums.
SETTINGS = {
    "gpt2": ([], ["fold_ln", "center_writing_weights"]),
    "gpt_neox": ([], ["fold_ln"]),
    "llama": ([], ["read_gain"]),
    "gemma2": ([], ["read_gain"]),
    "phi": (["fold_ln"],),
    "gpt_neo": ([],),
}
CASES = [(architecture, flags) for architecture, choices in SETTINGS.items() for flags in choices]


def text_of(lines: int, seed: int = 0) -> str:
    """Lines of 1 to 60 letters and spaces: the longest fit into no window of a tiny model."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 60, lines)
    return "\n".join("".join(generator.choice([*LETTERS, " ", "é"], size)) for size in sizes)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("tiny")
    return {architecture: make_tiny(architecture, directory / architecture, LAYERS) for architecture in SETTINGS}


def unit_vectors(d_model: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(K, d_model, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_the_best_places_are_those_of_a_sort_of_all_projections(
    architecture: str, flags: list[str], tiny: dict[str, Path]
) -> None:
    """On the activation of TransformerLens that MatrixKind.hook_of names; of each passage the highest."""
    from transformer_lens.model_bridge import TransformerBridge

    model = load_model(tiny[architecture], "tiny")
    bridge = TransformerBridge.boot_transformers(str(tiny[architecture]), device="cpu", dtype=torch.float32)
    setting = setting_from_names("tested", flags)
    passages = passages_of(text_of(40), model, tiny[architecture], 32, 10**6)
    gated = not architecture.startswith("gpt")
    sides = [
        (matrix, side, layer)
        for matrix, kind in MATRIX_KINDS.items()
        for side in kind.sides
        for layer in range(LAYERS)
        if kind.in_layers and (gated or matrix != "mlp_gate")
    ]
    d_model = model.get_input_embeddings().weight.shape[1]
    vectors = [unit_vectors(d_model, seed) for seed in range(len(sides))]
    directions = [
        acting(model, matrix, side, setting, layer, one)
        for (matrix, side, layer), one in zip(sides, vectors, strict=True)
    ]
    peaks = find_peaks(model, passages, directions, N)

    ends = passages.ends()
    projected = np.empty((len(sides), len(passages.ids), K))
    for first, last in passages.windows:
        own = slice(passages.starts[first], ends[last - 1])
        _, cache = bridge.run_with_cache(torch.tensor([passages.first + passages.ids[own].tolist()]))
        for number, (matrix, side, layer) in enumerate(sides):
            hook = MATRIX_KINDS[matrix].hook_of(side, setting.read_gain, layer, ARCHITECTURES[architecture].shared_norm)
            seen = cache[hook][0, len(passages.first) :].double()
            projected[number, own] = seen @ vectors[number].double().T
    for number, found in enumerate(peaks):
        for row in range(2 * K):
            values = (1 - 2 * (row % 2)) * projected[number, :, row // 2]
            highest = [values[a:b].max() for a, b in zip(passages.starts, ends, strict=True)]
            expected = np.sort(highest)[::-1][:N]
            np.testing.assert_allclose(found.values[row], expected, rtol=0, atol=2e-4 * np.abs(projected[number]).max())
            np.testing.assert_allclose(
                values[found.positions[row]], expected, rtol=0, atol=2e-4 * np.abs(projected[number]).max()
            )
            of = np.searchsorted(passages.starts, found.positions[row], side="right")
            assert len(set(of)) == N, "two peaks of one passage"


def test_planted_directions_find_their_windows(tiny: dict[str, Path]) -> None:
    """A direction that one token alone writes, found wherever the token is; its opposite is not."""
    model = load_model(tiny["llama"], "tiny")
    [token] = token_ids("é"[0], tiny["llama"])[:1]
    planted = torch.zeros(1, 16)
    planted[0, 3] = 1
    embedding = model.get_input_embeddings().weight
    embedding[:, 3] = 0.0
    embedding[token, 3] = 50.0
    lines = ["abc é def", "no such letter", "é", "nor here, nor there", "xy é", "at all"]
    passages = passages_of("\n".join(lines), model, tiny["llama"], 32, 10**6)
    directions = [acting(model, "mlp_in", "read", setting_from_names("raw", []), 0, planted)]
    model.get_submodule("model.layers.0.post_attention_layernorm").weight[3] = 1.0
    [found] = find_peaks(model, passages, directions, 3)
    assert sorted(found.positions[0].tolist()) == np.flatnonzero(passages.ids == token).tolist()
    assert found.values[0, -1] > 3 * found.values[1, 0]


def test_threads_and_order_of_batches_change_no_bit(tiny: dict[str, Path]) -> None:
    model = load_model(tiny["gpt2"], "tiny")
    passages = passages_of(text_of(300), model, tiny["gpt2"], 32, 10**6)
    assert len(list(passages.batches())) > 10
    directions = [
        acting(model, "ov", side, setting_from_names("raw", []), layer, unit_vectors(16, layer))
        for layer in range(LAYERS)
        for side in ("read", "write")
    ]
    one, three = (find_peaks(model, passages, directions, N, threads) for threads in (1, 3))
    for first, second in zip(one, three, strict=True):
        np.testing.assert_array_equal(first.values, second.values)
        np.testing.assert_array_equal(first.positions, second.positions)
    assert not module_of(model, "ln1", 0)._forward_hooks


def test_a_gain_of_zero_is_what_the_matrix_does_not_read(tiny: dict[str, Path]) -> None:
    model = load_model(tiny["llama"], "tiny")
    module_of(model, "ln2", 0).weight[5] = 0.0
    vectors = unit_vectors(16, 0)
    found = acting(model, "mlp_in", "read", setting_from_names("folded", ["read_gain"]), 0, vectors)
    assert (found.vectors[:, 5] == 0).all() and found.vectors.isfinite().all()
    assert acting(model, "mlp_in", "read", setting_from_names("raw", []), 0, vectors).vectors[:, 5].all()


# --- passages ---


@pytest.mark.parametrize("architecture", SETTINGS)
def test_passages_are_lines_whole_where_a_window_can_hold_them(architecture: str, tiny: dict[str, Path]) -> None:
    model, text = load_model(tiny[architecture], "tiny"), text_of(40)
    passages = passages_of(text, model, tiny[architecture], 32, 10**6)
    assert passages.ids.tolist() == token_ids(text, tiny[architecture])
    pieces = [passages.ids[a:b] for a, b in zip(passages.starts, passages.ends(), strict=True)]
    body = 32 - len(first_token(model))
    of_lines = [token_ids(line, tiny[architecture]) for line in text.splitlines(keepends=True)]
    expected = [line[start : start + body] for line in of_lines for start in range(0, len(line), body)]
    assert [piece.tolist() for piece in pieces] == expected
    assert [passage for window in passages.windows for passage in range(*window)] == list(range(len(pieces)))
    sizes = [sum(len(pieces[passage]) for passage in range(*window)) for window in passages.windows]
    assert max(sizes) <= body and all(
        size + len(pieces[last]) > body for size, (_, last) in zip(sizes[:-1], passages.windows, strict=False)
    )
    kept = torch.cat([batch.ids.flatten()[batch.kept] for batch in passages.batches()])
    assert kept.tolist() == passages.ids.tolist()


def test_texts_that_are_short_long_or_strange(tiny: dict[str, Path]) -> None:
    """One line, fewer passages than are asked for, another script, no tokens, too long windows."""
    model, directory = load_model(tiny["gpt2"], "tiny"), tiny["gpt2"]
    direction = [Acting(0, "ln1", unit_vectors(16, 0))]
    one_line = "fire " * 100
    passages = passages_of(one_line, model, directory, 32, 10**6)
    assert len(passages.starts) == -(-len(token_ids(one_line, directory)) // 31)
    assert (find_peaks(model, passages, direction, 3)[0].positions >= 0).all()
    [found] = find_peaks(model, passages_of("火\n\\xff é", model, directory, 32, 10**6), direction, 3)
    assert (found.positions[:, :2] >= 0).all()
    assert (found.positions[:, 2] == NONE).all() and np.isinf(found.values[:, 2]).all()
    assert len(passages_of(one_line, model, directory, 32, 7).ids) == 7
    with pytest.raises(SvdlensError, match="no token"):
        passages_of("", model, directory, 32, 10)
    assert passages_of(one_line, model, directory, 64, 10**6).windows == passages.windows
