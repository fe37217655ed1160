"""The singular vectors of unembedding and embedding over tokens are the lists of those in the residual stream."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_weights import normal, orthonormal
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.settings import Setting
from svdlens.svd.matrix_svd import decompose, signs_of_largest
from svdlens.weights.processing import process_unembed

K = 10
seeds = st.integers(0, 2**32 - 1)


def planted(seed: int, d_model: int, d_vocab: int, ratio: float) -> np.ndarray:
    """[d_model, d_vocab] with singular values of this ratio to the next, so that each vector is determined."""
    values = ratio ** -np.arange(d_model)
    return orthonormal(seed, d_model, d_model).T * values @ orthonormal(seed + 1, d_vocab, d_model)


def residual_signs(vectors: np.ndarray) -> np.ndarray:
    """Of each row the sign of its largest coordinate."""
    return np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)])[:, None]


@settings(max_examples=30, deadline=None)
@given(d_model=st.integers(2, 12), d_vocab=st.integers(K + 4, 60), ratio=st.sampled_from([1.1, 2.0, 8.0]), seed=seeds)
@pytest.mark.parametrize("of_embedding", [False, True])
def test_lists_are_those_of_the_vectors_over_tokens(of_embedding, d_model, d_vocab, ratio, seed):
    """Of a dense SVD in float64, whichever way round the matrix is, and whether its Gram matrix is accurate enough."""
    W = planted(seed, d_model, d_vocab, ratio)
    left, values, right = np.linalg.svd(W, full_matrices=False)
    expected = right * residual_signs(left.T)

    if of_embedding:
        over_tokens, found_values, residual = decompose([torch.from_numpy(W.T)], None)
    else:
        residual, found_values, over_tokens = decompose([torch.from_numpy(W)], None)
    signs = signs_of_largest(residual)
    residual, over_tokens = signs * residual, signs * over_tokens
    np.testing.assert_allclose((residual.mT * found_values @ over_tokens).numpy(), W, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found_values.numpy(), values, rtol=1e-6)

    # Where rounding turns a vector by more than tokens differ, no list is determined.
    leading = [i for i in range(min(d_model, 4)) if np.diff(np.sort(expected[i])).min() > 1e-5]
    lists = top_tokens(residual[leading], ReadoutMatrix(torch.from_numpy(W)), K)
    for sign, tokens in lists.items():
        for place, i in enumerate(leading):
            assert tokens.ids[place].tolist() == (-sign * expected[i]).argsort()[:K].tolist()
            best = sign * expected[i][tokens.ids[place]]
            np.testing.assert_allclose(tokens.scores[place], values[i] * best, rtol=1e-4, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(d_model=st.integers(2, 10), d_vocab=st.integers(16, 40), seed=seeds)
def test_centred_over_the_vocabulary_no_vector_over_tokens_has_a_mean(d_model, d_vocab, seed):
    """What all tokens have in common leads a raw unembedding, and is gone with vocab_center."""
    common = normal(seed, d_model, 1)
    raw = torch.from_numpy(50 * common / np.linalg.norm(common) + normal(seed + 1, d_model, d_vocab))
    first = decompose([raw], 1)
    mean = raw.mean(dim=1)
    assert abs(float(first.left[0] @ mean / mean.norm())) > 0.99
    assert len(set(first.right[0].sign().tolist())) == 1
    centred = process_unembed(raw, None, Setting(vocab_center=True))
    torch.testing.assert_close(
        decompose([centred], None).right.sum(dim=1), torch.zeros(d_model).double(), rtol=0, atol=1e-7
    )
