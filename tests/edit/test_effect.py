"""What an edit does: planted directions, resumed forward passes, controls, the matrix decomposed again, summaries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from svdlens.edit.effect import TargetSet, measure_doses, measure_effect, prepare, prompt_means
from svdlens.edit.fit import GRID, fitted_eps, halves
from svdlens.edit.hooks import edited
from svdlens.edit.passes import Passes, Text, padded
from svdlens.edit.prompts import Cue
from svdlens.edit.saved_model import edit_weights
from svdlens.edit.spectrum import before_and_after
from svdlens.edit.updates import EDITED, Update, direction_update
from svdlens.edit.vectors import N_CONTROLS, EditedMatrix, other_directions, random_updates, updates_of
from svdlens.errors import SvdlensError
from svdlens.evaluation.edit_summary import compared, dose_rows, resampling_weights, summarize
from svdlens.models.load import load_model, module_of, weight_of
from svdlens.spec.edits import DIRECTION, OTHER, RANDOM
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names
from svdlens.svd.matrix_svd import decompose
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "gemma2")
RAW, FOLDED = setting_from_names("raw", []), setting_from_names("folded", ["read_gain"])
PROMPTS = [[5, 6, 7, 8, 9], [40, 41], [90, 91, 92, 93, 94, 95, 96, 97]]
HEAD, LAYER = 2, 1


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, dict[str, WeightFile]]]:
    made = {}
    for architecture in ARCHITECTURES:
        directory = tmp_path_factory.mktemp(architecture)
        source = make_tiny(architecture, directory / "tiny", 2)
        files = {group: directory / f"{group}.safetensors" for group in GROUPS}
        extract_weights(source, files)
        made[architecture] = (load_model(source, "tiny"), {group: WeightFile(path) for group, path in files.items()})
    return made


def matrix_of(
    weights: dict[str, WeightFile], matrix: str, indices: list[int], setting=RAW, layer=LAYER
) -> EditedMatrix:
    """A matrix of a tiny model with these of its directions edited."""
    head = HEAD if MATRIX_KINDS[matrix].per_head else None
    found = factors(weights[MATRIX_KINDS[matrix].weight_group], matrix, layer, setting)
    svd = decompose([factor if head is None else factor[head] for factor in found], None)
    side = svd.right if "write" in MATRIX_KINDS[matrix].sides else svd.left
    return EditedMatrix(matrix, layer, head, side, svd.values.numpy(), np.array(indices), np.ones(len(indices)))


def log_probabilities(model: nn.Module, prompt: list[int]) -> torch.Tensor:
    return torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1].double(), dim=-1)


@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_removing_a_planted_direction_lowers_its_tokens_as_predicted_and_no_others(
    matrix: str, models: dict[str, tuple[nn.Module, dict[str, WeightFile]]], tmp_path: Path
) -> None:
    """Tokens 0 to 4 are read along the direction, all others at right angles to it. Logits are those before the final
    norm divides by the length of the residual stream."""
    model = load_model(make_tiny("llama", tmp_path / "planted", 2), "planted")
    one = matrix_of(models["llama"][1], matrix, [3])  # the same random weights
    v = one.vectors[3]
    W_U = model.get_output_embeddings().weight.double().T
    W_U = W_U - torch.outer(v, v @ W_U)
    W_U[:, :5] += 2.0 * v[:, None]
    seen: dict[str, torch.Tensor] = {}
    module_of(model, "ln_final").register_forward_hook(lambda m, i, o: seen.update(residual=i[0].double()))
    module_of(model, EDITED[matrix], LAYER).register_forward_hook(lambda m, i, o: seen.update(input=i[0].double()))
    ids = torch.tensor(PROMPTS[2:])
    model(ids)
    before, x = seen["residual"] @ W_U, seen["input"]
    update = updates_of(model, RAW, [one], -1.0)
    written = x[..., update[0].rows] @ weight_of(module_of(model, EDITED[matrix], LAYER)).double()[update[0].rows] @ v
    predicted = torch.zeros_like(before)
    predicted[..., :5] = -2.0 * written[..., None]
    assert predicted.abs().max() > 1e-2
    for path in ("total", "direct") if matrix == "mlp_out" else ("direct",):
        with edited(model, update, path):
            model(ids)
        torch.testing.assert_close(seen["residual"] @ W_U - before, predicted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resumed_passes_are_those_of_the_whole_model(
    architecture: str, first: int, models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]
) -> None:
    """Of prompts of any length side by side; and the model is as it was afterwards."""
    model, weights = models[architecture]
    updates = updates_of(
        model, FOLDED, [matrix_of(weights, "mlp_in", [0, 2], FOLDED), matrix_of(weights, "ov", [1])], 0.7
    )
    plain = [log_probabilities(model, prompt) for prompt in PROMPTS]
    ids, lengths = padded(PROMPTS)
    passes = Passes(model, ids, first)
    torch.testing.assert_close(passes.next_tokens(lengths), torch.stack(plain), rtol=0, atol=1e-5)
    with edited(model, updates):
        expected = torch.stack([log_probabilities(model, prompt) for prompt in PROMPTS])
        loss = torch.nn.functional.cross_entropy(model(ids[2:]).logits[0, :-1], ids[2, 1:])
    assert (expected - torch.stack(plain)).abs().max() > 1e-3
    torch.testing.assert_close(passes.next_tokens(lengths, updates), expected, rtol=0, atol=1e-5)
    assert Text(model, ids[2:], first).perplexity(updates) == pytest.approx(float(loss.exp()), rel=1e-5)
    torch.testing.assert_close(log_probabilities(model, PROMPTS[0]), plain[0], rtol=0, atol=0)


def test_an_eps_beyond_float32_is_refused(models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]) -> None:
    model, weights = models["llama"]
    updates = updates_of(model, RAW, [matrix_of(weights, "mlp_out", [0])], 1e300)
    ids, lengths = padded(PROMPTS)
    with pytest.raises(SvdlensError, match=r"eps of size 1e\+300 .*no finite log-probabilities.*nearer to 0"):
        Passes(model, ids, LAYER).next_tokens(lengths, updates)
    weight = module_of(model, "mlp.W_out", LAYER).weight
    before = weight.clone()
    with pytest.raises(SvdlensError, match=r"1e\+300 mlp.W_out of layer 1 has numbers that float32 cannot hold"):
        edit_weights(model, updates)
    weight.copy_(before)


def test_every_change_is_in_the_table(models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]) -> None:
    model, weights = models["llama"]
    one = matrix_of(weights, "ov", [0])
    updates = updates_of(model, RAW, [one], -1.0)
    cues = [
        Cue(prompt, targets, "text", [f"word {t}" for t in targets])
        for prompt, targets in zip(PROMPTS, ([3, 4], [5], [3]), strict=True)
    ]
    several = prepare(model, [TargetSet("concept", cues, {3: 103, 4: 104, 5: 105})], LAYER)
    others = [updates_of(model, RAW, [one], -1.0, indices) for indices in other_directions([one], 0)]
    edits = {DIRECTION: [updates], OTHER: others, RANDOM: random_updates(updates, 0)}
    texts = [f"t{i}" for i in range(320)]
    table = pd.DataFrame(measure_effect(several, edits, "total", texts))
    assert len(table) == (1 + len(others) + N_CONTROLS) * 4 * 2
    with edited(model, updates):
        expected = log_probabilities(model, PROMPTS[1])
    before = log_probabilities(model, PROMPTS[1])
    rows = table[(table["edited"] == DIRECTION) & (table["prompt"] == 1)].set_index("matched")
    for matched, token in ((False, 5), (True, 105)):
        assert (rows.loc[matched, "token"], rows.loc[matched, "target"]) == (f"t{token}", "word 5")
        assert rows.loc[matched, "log_probability"] == pytest.approx(float(expected[token]), abs=1e-5)
        assert rows.loc[matched, "change"] == pytest.approx(float(expected[token] - before[token]), abs=1e-5)
    # Doses: nothing at 0, and at -1 what the table says.
    by_eps = {eps: updates_of(model, RAW, [one], eps) for eps in (-1.0, 0.0)}
    doses = measure_doses(several, Text(model, torch.tensor(PROMPTS[2:]), 1), by_eps, "total")
    own, matched = doses[-1.0]["concept"]
    means = table[table["edited"] == DIRECTION].groupby(["matched", "prompt"])["change"].mean()
    np.testing.assert_allclose(own, means[False], atol=1e-12)
    np.testing.assert_allclose(matched, means[True], atol=1e-12)
    assert all((change == 0).all() for change in doses[0.0]["concept"])
    assert doses[0.0]["perplexity"] != doses[-1.0]["perplexity"]
    assert [row["eps"] for row in dose_rows(doses, 0)] == [-1.0, 0.0]


def test_controls_are_others_and_as_large(models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]) -> None:
    model, weights = models["llama"]
    matrices = [matrix_of(weights, "ov", [0, 2]), matrix_of(weights, "mlp_in", [1], FOLDED)]
    rank = int((matrices[0].values > 1e-6 * matrices[0].values[0]).sum())
    drawn = other_directions(matrices, 0)
    assert len(drawn) == (rank - 2) // 2 and other_directions(matrices, 0)[0][1] == drawn[0][1]
    for place, (one, n) in enumerate(zip(matrices, (2, 1), strict=True)):
        chosen = np.concatenate([choice[place] for choice in drawn])
        assert len(chosen) == n * len(drawn) == len(set(chosen)) and not set(chosen) & set(one.indices)
    updates = [
        direction_update(model, one.matrix, setting, one.layer, one.head, one.vectors[one.indices], -1.0)
        for one, setting in zip(matrices, (RAW, FOLDED), strict=True)
    ]
    several = random_updates(updates, 0)
    assert len(several) == N_CONTROLS
    for random in several:
        for old, new in zip(updates, random, strict=True):
            sizes = [one.read.norm(dim=1) * one.write.norm(dim=1) for one in (old, new)]
            torch.testing.assert_close(*sizes)
            assert (new.matrix() - old.matrix()).norm() > 0.1 * old.matrix().norm()
            assert torch.equal(new.read, old.read) == (new.weight == "attn.W_O")


@pytest.mark.parametrize("setting", [RAW, setting_from_names("default", ["fold_ln", "center_writing_weights"])])
@pytest.mark.parametrize("matrix", ["ov", "mlp_in", "mlp_out"])
def test_what_is_removed_is_gone_and_all_others_are_unchanged(
    matrix: str, setting, models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]
) -> None:
    model, weights = models["gpt2"]
    one = matrix_of(weights, matrix, [1, 2], setting)
    for eps in (-1.0, 0.5):
        update: Update = updates_of(model, setting, [one], eps)[0]
        rows = before_and_after(one, [update], weights[MATRIX_KINDS[matrix].weight_group], setting)
        table = pd.DataFrame(rows).set_index("index")
        assert table.index[table["edited"]].tolist() == [1, 2]
        left = table if eps == 0.5 else table[~table["edited"]]
        scale = np.where(left["edited"], 1 + eps, 1.0)
        np.testing.assert_allclose(left["cosine"], 1.0, atol=1e-9)
        np.testing.assert_allclose(left["value_after"], scale * left["value"], rtol=1e-9)
        if eps == -1.0:
            assert (table[table["edited"]]["cosine"].fillna(0.0) < 1e-6).all()
    # Of all of them nothing is left but rounding errors, which are no directions.
    everything = replace(one, indices=np.arange(len(one.vectors)), proportions=np.ones(len(one.vectors)))
    update = updates_of(model, setting, [everything], -1.0)[0]
    rows = before_and_after(everything, [update], weights[MATRIX_KINDS[matrix].weight_group], setting)
    assert all(row["index_after"] is None and row["cosine"] is None for row in rows)


def effects(direction: list[float], others: list[list[float]], matched: list[float]) -> pd.DataFrame:
    """A table of effects with one target on each prompt."""
    changes = [(DIRECTION, 0, False, direction), (DIRECTION, 0, True, matched)]
    changes += [(OTHER, i, False, one) for i, one in enumerate(others)]
    return pd.DataFrame(
        [
            {
                "targets": "concept",
                "edited": what,
                "number": number,
                "matched": is_matched,
                "prompt": i,
                "change": change,
            }
            for what, number, is_matched, several in changes
            for i, change in enumerate(several)
        ]
    )


def test_a_summary_says_how_far_an_edit_exceeds_its_controls() -> None:
    random = np.random.default_rng(0)
    direction, matched = random.normal(-1.0, 0.3, 40), random.normal(0.0, 0.3, 40)
    others = random.normal(0.0, 0.1, (19, 1)) + random.normal(0.0, 0.02, (19, 40))
    table = effects(direction.tolist(), others.tolist(), matched.tolist())
    rows = {row["control"]: row for row in summarize(table, 0)}
    assert set(rows) == {OTHER, "matched_tokens"}
    other = rows[OTHER]
    assert other["change"] == pytest.approx(direction.mean()) and other["n_controls"] == 19
    assert other["excess"] == pytest.approx(direction.mean() - others.mean())
    assert other["standardized"] == pytest.approx(other["excess"] / others.mean(axis=1).std(ddof=1))
    assert other["p_value"] == pytest.approx(1 / 20)
    # The percentile interval of a mean is about that of the normal distribution.
    half = 1.96 * direction.std() / np.sqrt(40)
    assert other["low"] == pytest.approx(direction.mean() - half, abs=0.3 * half)
    assert other["high"] == pytest.approx(direction.mean() + half, abs=0.3 * half)
    assert other["standardized_low"] < other["standardized"] < other["standardized_high"] < 0
    assert rows["matched_tokens"]["excess"] == pytest.approx(np.mean(direction - matched))
    assert rows["matched_tokens"]["standardized"] is None


def test_a_single_prompt_has_no_interval_and_equal_controls_no_deviation() -> None:
    found = compared(np.array([-1.0]), np.zeros((3, 1)), resampling_weights(1, 0))
    assert np.isnan([found["low"], found["high"], found["excess_low"]]).all()
    assert found["standardized"] is None and found["excess"] == -1.0
    found = compared(np.array([-1.0]), np.array([[0.0], [0.1], [0.3]]), resampling_weights(1, 0))
    assert found["standardized"] < 0 and np.isnan([found["standardized_low"], found["standardized_high"]]).all()


def test_prompts_weigh_the_same_however_many_targets_they_have() -> None:
    change = torch.arange(20.0).reshape(2, 10)
    cues = [Cue([1], [0, 2], "", []), Cue([1], [4], "", [])]
    own, others = prompt_means(change, cues, {0: 5, 2: 7, 4: 9})
    assert own.tolist() == [1.0, 14.0] and others.tolist() == [6.0, 19.0]


def test_proportions_scale_each_direction_by_its_own(
    models: dict[str, tuple[nn.Module, dict[str, WeightFile]]],
) -> None:
    model, weights = models["llama"]
    one = replace(matrix_of(weights, "ov", [0, 2]), proportions=np.array([1.0, 0.25]))
    [update] = updates_of(model, RAW, [one], -1.0)
    rows = pd.DataFrame(before_and_after(one, [update], weights["attention"], RAW)).set_index("index")
    assert np.nan_to_num(rows.loc[0, "cosine"]) < 1e-6
    assert rows.loc[2, "value_after"] == pytest.approx(0.75 * rows.loc[2, "value"], rel=1e-9)
    assert rows.loc[1, "value_after"] == pytest.approx(rows.loc[1, "value"], rel=1e-9)
    [control] = updates_of(model, RAW, [one], -1.0, [np.array([3, 1])])
    assert control.eps.tolist() == [-1.0, -0.25]


@pytest.mark.parametrize("matched", [{3: 103, 4: 104}, {3: 4, 4: 3}])
def test_the_fitted_eps_has_the_largest_effect_beyond_matched_tokens(
    matched: dict[int, int], models: dict[str, tuple[nn.Module, dict[str, WeightFile]]]
) -> None:
    """On the cues that it is fitted on, by an oracle that passes each prompt alone. Matched with each other, the tokens
    have no effect beyond, and the weakest change is taken."""
    model, weights = models["llama"]
    one = matrix_of(weights, "ov", [0])
    cues = [Cue(prompt, [3, 4], "", ["a", "b"]) for prompt in PROMPTS]
    fit, rest = halves(TargetSet("concept", cues, matched))
    assert fit.cues == cues[::2] and rest.cues == cues[1::2] and rest.matched == matched
    eps, tried = fitted_eps(prepare(model, [fit], LAYER)[0], lambda eps: updates_of(model, RAW, [one], eps), "total")
    assert [row["eps"] for row in tried] == list(GRID)
    if matched == {3: 4, 4: 3}:
        assert all(row["change"] == pytest.approx(row["matched_change"], abs=1e-12) for row in tried)
        assert eps == GRID[0]
        return
    excess = {}
    for value in GRID:
        changes = []
        for cue in fit.cues:
            before = log_probabilities(model, cue.ids)
            with edited(model, updates_of(model, RAW, [one], value)):
                change = log_probabilities(model, cue.ids) - before
            changes.append(float(change[[3, 4]].mean() - change[[103, 104]].mean()))
        excess[value] = abs(np.mean(changes))
    assert eps == max(excess, key=excess.__getitem__)
    found = {row["eps"]: abs(row["change"] - row["matched_change"]) for row in tried}
    np.testing.assert_allclose(list(found.values()), list(excess.values()), atol=1e-5)
    assert max(excess.values()) > 1e-4


def test_one_prompt_cannot_be_fitted_on_and_measured() -> None:
    with pytest.raises(SvdlensError, match=r"eps: fitted.*there is 1 prompt.*number as eps"):
        halves(TargetSet("concept", [Cue([1], [2], "", ["a"])], {2: 3}))
