"""Token vectors centred, whitened and scaled to length 1: against numpy, as standard scores under the direction null,
and what must make no difference to them."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from random_weights import normal, orthonormal
from svdlens.errors import SvdlensError
from svdlens.readout.control_directions import random_unit_directions, seeded
from svdlens.readout.readout_matrix import cosine_columns, readout_matrix, whitened_columns
from svdlens.readout.top_tokens import ROUTES, ReadoutMatrix, top_tokens
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting
from svdlens.weights.weight_files import WeightFile

WIDTH, VOCABULARY = 24, 300
SCALED = [name for name, readout in READOUTS.items() if readout.form in ("cosine", "whitened")]
COLUMNS = {"cosine": cosine_columns, "whitened": whitened_columns}
both = pytest.mark.parametrize("form", COLUMNS)
seeds = st.integers(0, 2**32 - 1)


def token_vectors(seed: int, d_model: int = WIDTH, d_vocab: int = VOCABULARY) -> np.ndarray:
    """Vectors [d_model, d_vocab] as models have them: far from 0, longer along some directions, of many lengths."""
    generator = np.random.default_rng(seed)
    along = orthonormal(seed % 1000, d_model, d_model) * np.exp(generator.standard_normal(d_model))
    lengths = np.exp(0.7 * generator.standard_normal(d_vocab))
    return 3 * generator.standard_normal((d_model, 1)) + along @ generator.standard_normal((d_model, d_vocab)) * lengths


def columns(form: str, vectors: np.ndarray) -> np.ndarray:
    return COLUMNS[form](torch.from_numpy(vectors)).numpy()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightFile:
    path = tmp_path_factory.mktemp("weights") / "unembed.safetensors"
    tensors = {
        "unembed.W_U": torch.from_numpy(token_vectors(1)).float(),
        "embed.W_E": torch.from_numpy(token_vectors(2)).float().T.contiguous(),
        "ln_final.w": torch.from_numpy(np.exp(normal(3, WIDTH))).float(),
    }
    save_file(tensors, path)
    return WeightFile(path)


# --- what they are


@given(seed=seeds, d_model=st.integers(1, 30), spare=st.integers(1, 60))
def test_they_are_those_of_a_dense_decomposition(seed, d_model, spare):
    vectors = token_vectors(seed, d_model, d_model + spare)
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        columns("cosine", vectors), centred / np.linalg.norm(centred, axis=0), rtol=0, atol=1e-12
    )
    # C^(-1/2) c from the singular vectors of all c.
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    whitened = left @ right
    atol = 1e-13 * (values[0] / values[-1]) ** 2
    np.testing.assert_allclose(
        columns("whitened", vectors), whitened / np.linalg.norm(whitened, axis=0), rtol=0, atol=max(atol, 1e-11)
    )


@pytest.mark.parametrize("readout", SCALED)
@pytest.mark.parametrize("others", [{}, {"unembed_gain": True, "unembed_center": True, "write_center": True}], ids=str)
def test_a_score_is_a_standard_score_under_uniform_directions(readout: str, others: dict, weights: WeightFile) -> None:
    """Of sqrt(d_model) times the score of random unit directions each token has mean 0 and standard deviation 1."""
    n = 40_000
    scores = random_unit_directions(n, WIDTH, seeded(0)) @ readout_matrix(weights, Setting(**others), readout)
    scores *= WIDTH**0.5
    assert scores.mean(dim=0).abs().max() < 5 / n**0.5
    assert (scores.std(dim=0) - 1).abs().max() < 5 / (2 * n) ** 0.5
    # Through the weights as they are, long vectors have several times the standard deviation of short ones.
    plain = random_unit_directions(n, WIDTH, seeded(0)) @ readout_matrix(weights, Setting(), READOUTS[readout].weights)
    assert plain.std(dim=0).max() > 4 * plain.std(dim=0).min()


def test_whitened_token_vectors_have_the_same_variance_along_every_direction() -> None:
    """Before they are scaled, in which all of one length are alike: here three pairs of opposites, in many copies."""
    generator = np.random.default_rng(0)
    corners = np.concatenate([np.eye(3), -np.eye(3)], axis=1)[:, generator.integers(0, 6, 600)]
    corners = np.concatenate([corners, -corners], axis=1)
    counts = np.abs(corners).sum(axis=1)
    whitened = columns("whitened", np.array([[1.0, 5, 2], [0, 3, 1], [0, 0, 0.2]]) @ corners)
    # So scaled, each stands for as many tokens as it has copies.
    angles = whitened.T @ whitened
    np.testing.assert_allclose(angles, corners.T @ corners, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.linalg.eigvalsh(whitened @ whitened.T), np.sort(counts), rtol=1e-9)


@both
def test_token_vectors_at_the_mean_have_the_score_0(form: str) -> None:
    vectors = token_vectors(4)
    vectors[:, 7] = vectors[:, [0, *range(8, VOCABULARY)]].mean(axis=1)
    vectors[:, 1:7] = vectors[:, [7]]
    found = columns(form, vectors)
    assert (found[:, 1:8] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(np.delete(found, range(1, 8), axis=1), axis=0), 1, rtol=1e-12)


@both
def test_along_a_direction_without_variance_there_is_no_score(form: str) -> None:
    """As along the ones vector where weights are centred over d_model: rounding is not blown up."""
    vectors = token_vectors(5) + 1000
    vectors -= vectors.mean(axis=0)
    found = columns(form, vectors)
    assert np.abs(found.sum(axis=0)).max() < 1e-9
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, rtol=1e-12)
    # The same as in coordinates of the subspace.
    basis = np.linalg.svd(np.eye(WIDTH) - 1 / WIDTH)[0][:, :-1]
    np.testing.assert_allclose(found, basis @ columns(form, basis.T @ vectors), rtol=0, atol=1e-9)


# --- what makes no difference


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("switch", [field.name for field in fields(Setting)])
def test_a_switch_changes_a_readout_if_the_registry_says_so(switch: str, readout: str, weights: WeightFile) -> None:
    """vocab_center only shifts scores through W_U, and changes not a bit of any other."""
    entry = READOUTS[readout]
    before, after = (readout_matrix(weights, Setting(**{switch: on}), readout) for on in (False, True))
    changes = switch in entry.switches or (switch == "vocab_center" and entry.shifted_by_vocab_center)
    assert torch.equal(before, after) != changes
    assert not changes or (before - after).abs().max() > 1e-3


@given(seed=seeds, form=st.sampled_from(list(COLUMNS)), factor=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_the_same_vector_added_to_all_and_a_common_factor_make_no_difference(seed, form, factor, shift):
    vectors = token_vectors(seed)
    moved = factor * vectors + shift * normal(seed, WIDTH, 1)
    np.testing.assert_allclose(columns(form, moved), columns(form, vectors), rtol=0, atol=1e-9)


@given(seed=seeds, form=st.sampled_from(list(COLUMNS)))
def test_another_orthonormal_basis_of_the_residual_stream_makes_no_difference(seed, form):
    vectors, basis = token_vectors(seed), orthonormal(seed % 1000 + 1, WIDTH, WIDTH)
    np.testing.assert_allclose(columns(form, basis @ vectors), basis @ columns(form, vectors), rtol=0, atol=1e-9)


@given(seeds)
def test_cosines_do_not_see_how_long_a_vector_is_from_the_mean(seed):
    """Vectors in pairs of opposites, so that the mean stays where it is."""
    half, lengths = token_vectors(seed), np.exp(normal(seed, 1, VOCABULARY))
    scaled = [np.concatenate([1 + one, 1 - one], axis=1) for one in (half, half * lengths)]
    np.testing.assert_allclose(columns("cosine", scaled[0]), columns("cosine", scaled[1]), rtol=0, atol=1e-9)
    assert np.abs(columns("whitened", scaled[0]) - columns("whitened", scaled[1])).max() > 1e-3


@given(seeds)
def test_an_invertible_linear_map_only_rotates_whitened_vectors(seed):
    """So what random directions give does not depend on it at all. Cosines between the vectors themselves do."""
    vectors = token_vectors(seed)
    linear = orthonormal(seed % 1000 + 2, WIDTH, WIDTH) * np.exp(0.5 * normal(seed, WIDTH))
    between = {
        form: [found.T @ found for found in (columns(form, vectors), columns(form, linear @ vectors))]
        for form in COLUMNS
    }
    np.testing.assert_allclose(*between["whitened"], rtol=0, atol=1e-5)
    assert np.abs(between["cosine"][0] - between["cosine"][1]).max() > 0.1


@pytest.mark.parametrize("readout", [name for name in SCALED if READOUTS[name].weights == "W_U"])
def test_unembed_center_changes_lists_of_centred_directions_too(readout: str, weights: WeightFile) -> None:
    """Through W_U it does not (Settings); but token vectors have other lengths and another covariance without it."""
    directions = random_unit_directions(30, WIDTH, seeded(3))
    directions -= directions.mean(dim=1, keepdim=True)

    def lists(readout: str, center: bool) -> list:
        matrix = readout_matrix(weights, Setting(unembed_center=center), readout)
        return top_tokens(directions, ReadoutMatrix(matrix), 20)[+1].ids.tolist()

    assert lists("W_U", True) == lists("W_U", False)
    assert lists(readout, True) != lists(readout, False)


# --- lists


@pytest.mark.parametrize("readout", SCALED)
@pytest.mark.parametrize("route", ROUTES)
def test_lists_are_those_of_float64(readout: str, route: str, weights: WeightFile) -> None:
    directions = random_unit_directions(40, WIDTH, seeded(1))
    matrix = readout_matrix(weights, Setting(unembed_gain=True), readout)
    scores = (directions @ matrix).numpy()
    for sign, top in top_tokens(directions, ReadoutMatrix(matrix), 50, precision=route).items():
        np.testing.assert_array_equal(top.ids, np.argsort(-sign * scores, axis=1, kind="stable")[:, :50])
        np.testing.assert_allclose(top.scores, np.take_along_axis(sign * scores, top.ids, axis=1), rtol=1e-6)
        assert np.abs(top.scores).max() <= 1


def test_long_vectors_fill_the_lists_of_dot_products_alone() -> None:
    vectors = token_vectors(6, d_vocab=2000)
    longest = np.argsort(-np.linalg.norm(vectors - vectors.mean(axis=1, keepdims=True), axis=0))[:200]
    directions = random_unit_directions(200, WIDTH, seeded(2))
    share = {
        form: np.isin(top_tokens(directions, ReadoutMatrix(torch.from_numpy(matrix)), 15)[+1].ids, longest).mean()
        for form, matrix in {"product": vectors, **{form: columns(form, vectors) for form in COLUMNS}}.items()
    }
    assert share["product"] > 0.5
    assert share["cosine"] < 0.2 and share["whitened"] < 0.2


# --- what cannot be read


@pytest.mark.parametrize("readout", SCALED)
def test_token_vectors_that_are_all_alike_are_refused(readout: str, tmp_path: Path) -> None:
    alike = torch.from_numpy(normal(0, 1, WIDTH)).float().expand(VOCABULARY, WIDTH)
    save_file({"embed.W_E": alike.contiguous(), "unembed.W_U": alike.T.contiguous()}, tmp_path / "unembed.safetensors")
    weights = WeightFile(tmp_path / "unembed.safetensors")
    with pytest.raises(SvdlensError, match=rf"^{readout} takes the mean .* all 300 are alike.*another checkpoint\.$"):
        readout_matrix(weights, Setting(), readout)
    assert readout_matrix(weights, Setting(), READOUTS[readout].weights).isfinite().all()


@pytest.mark.parametrize("d_vocab", [1, 5, 24])
def test_no_more_tokens_than_dimensions_have_nothing_to_whiten_by(d_vocab: int) -> None:
    vectors = torch.from_numpy(token_vectors(0, d_vocab=d_vocab))
    with pytest.raises(SvdlensError) as error:
        whitened_columns(vectors, "W_U_whitened")
    message = str(error.value)
    assert message.startswith("W_U_whitened whitens by the covariance") and f"{d_vocab} tokens of 24" in message
    assert "more tokens than dimensions" in message and "W_U_cosine" in message


@pytest.mark.parametrize("readout", SCALED)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(
    readout: str, value: float, weights: WeightFile, tmp_path: Path
) -> None:
    tensors = {name: weights[name].float().contiguous() for name in weights.names}
    for name in ("unembed.W_U", "embed.W_E"):
        tensors[name][1, 2] = value
    save_file(tensors, tmp_path / "unembed.safetensors")
    with pytest.raises(SvdlensError, match=r"NaN or infinite.*checkpoint"):
        ReadoutMatrix(readout_matrix(WeightFile(tmp_path / "unembed.safetensors"), Setting(), readout))
