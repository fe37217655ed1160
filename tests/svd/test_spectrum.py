"""Clusters, gaps, energy and sign margins of spectra whose structure is known because it was planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svdlens.svd.null_space import null_space
from svdlens.svd.spectrum import describe_spectrum, sign_margins, spectra_columns

TOLERANCE = 0.01


@st.composite
def planted(draw) -> tuple[np.ndarray, list[int]]:
    """A spectrum of up to 8 clusters: relative steps clearly below the tolerance inside, clearly above between them."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    values, clusters = [draw(st.floats(0.1, 100))], [0]
    for number, size in enumerate(sizes):
        if number:
            values.append(values[-1] * (1 - draw(st.floats(0.011, 0.5))))
            clusters.append(number)
        for _ in range(size - 1):
            values.append(values[-1] * (1 - draw(st.floats(0.0, 0.009))))
            clusters.append(number)
    return np.array(values), clusters


@settings(max_examples=60)
@given(planted(), st.integers(0, 4), st.integers(-40, 40))
def test_planted_clusters_are_found(planted_spectrum, n_null, power):
    values, clusters = planted_spectrum
    null = values[0] * np.array([9e-7, 1e-9, 1e-15, 0.0])[4 - n_null :]
    whole = np.concatenate([values, null])
    spectrum = describe_spectrum(whole, TOLERANCE)
    assert spectrum.cluster.tolist() == clusters + [-1] * n_null

    # By definition: the spread of a cluster is that of its ends, the gap is to the nearer neighbour that is alive.
    for index, number in enumerate(clusters):
        members = [value for value, cluster in zip(values, clusters, strict=True) if cluster == number]
        assert spectrum.cluster_spread[index] == pytest.approx((members[0] - members[-1]) / members[0], abs=1e-15)
        distances = [1.0]
        if index > 0:
            distances.append((values[index - 1] - values[index]) / values[index - 1])
        if index + 1 < len(values):
            distances.append((values[index] - values[index + 1]) / values[index])
        assert spectrum.gap[index] == pytest.approx(min(distances), abs=1e-15)
    assert np.isnan(spectrum.gap[len(values) :]).all()
    assert np.isnan(spectrum.cluster_spread[len(values) :]).all()

    # Energy is a cumulative share of squares.
    shares = np.diff(spectrum.energy, prepend=0.0)
    np.testing.assert_allclose(shares, whole**2 / np.sum(whole**2), atol=1e-14)
    assert spectrum.energy[-1] == 1.0

    # Nothing depends on the scale; a power of two changes no digit.
    scaled = describe_spectrum(whole * 2.0**power, TOLERANCE)
    for before, after in zip(spectrum, scaled, strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_chain_is_one_cluster_and_its_spread_tells() -> None:
    """Neighbours are 0.9 % apart, the ends far more than the tolerance: long chains are what the spread is for."""
    chain = 10 * 0.991 ** np.arange(14)
    spectrum = describe_spectrum(np.concatenate([[20.0], chain, [1.0]]), TOLERANCE)
    assert spectrum.cluster.tolist() == [0] + [1] * 14 + [2]
    np.testing.assert_allclose(spectrum.cluster_spread[1:15], 1 - 0.991**13)
    assert spectrum.cluster_spread[1] > 0.1
    assert spectrum.cluster_spread[0] == spectrum.cluster_spread[15] == 0
    np.testing.assert_allclose(spectrum.gap[1:15], 0.009)


def test_a_step_of_exactly_the_tolerance_separates() -> None:
    # Binary fractions, so that the steps are exact: 1/4 is no less than 1/4.
    spectrum = describe_spectrum(np.array([4.0, 3.0, 2.5]), 0.25)
    assert spectrum.cluster.tolist() == [0, 1, 1]
    assert spectrum.gap.tolist() == [0.25, 1 / 6, 1 / 6]


def test_equal_values_are_one_cluster_without_gap() -> None:
    spectrum = describe_spectrum(np.array([3.0, 3.0, 3.0]), TOLERANCE)
    assert spectrum.cluster.tolist() == [0, 0, 0]
    assert spectrum.gap.tolist() == [0, 0, 0]
    assert spectrum.cluster_spread.tolist() == [0, 0, 0]
    np.testing.assert_allclose(spectrum.energy, [1 / 3, 2 / 3, 1])


def test_a_single_value() -> None:
    spectrum = describe_spectrum(np.array([7.0]), TOLERANCE)
    assert [part.tolist() for part in spectrum] == [[1.0], [1.0], [0], [0.0]]


@pytest.mark.parametrize("rank", [1, 4])
def test_all_zeros_are_null_space_without_energy(rank: int) -> None:
    spectrum = describe_spectrum(np.zeros(rank), TOLERANCE)
    assert spectrum.cluster.tolist() == [-1] * rank
    assert spectrum.energy.tolist() == [0.0] * rank
    assert np.isnan(spectrum.gap).all()
    assert np.isnan(spectrum.cluster_spread).all()


def test_null_space_is_below_a_millionth_of_the_first() -> None:
    spectrum = describe_spectrum(np.array([1.0, 1.1e-6, 0.9e-6, 0.0]), TOLERANCE)
    assert spectrum.cluster.tolist() == [0, 1, -1, -1]
    assert spectrum.gap[1] == pytest.approx(1 - 1.1e-6)  # to the first; null space is no neighbour


def test_sign_margins_of_planted_vectors() -> None:
    vectors = [
        [0.8, -0.2, 0.1],  # 1 - 0.2 / 0.8
        [0.5, -0.5, 0.1],  # a tie: nothing is sure
        [0.1, 0.9, 0.3],  # no negative coordinate
        [-0.3, 0.0, 0.4],
        [0.0, 0.0, 0.0],
    ]
    np.testing.assert_allclose(sign_margins(np.array(vectors)), [0.75, 0.0, 1.0, 0.25, 0.0])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_sign_margin_is_the_smallest_change_that_flips(seed):
    """Growing the largest negative coordinate by 1 / (1 - margin) makes a tie."""
    vector = np.random.default_rng(seed).standard_normal(9)
    vector *= np.sign(vector[np.abs(vector).argmax()])
    [margin] = sign_margins(vector[None])
    assert 0 <= margin <= 1
    if vector.min() < 0:
        vector[vector.argmin()] /= 1 - margin
        assert -vector.min() == pytest.approx(vector.max())


def test_columns_have_one_row_for_each_value_in_order() -> None:
    """Two layers of two heads, three values, two stored vectors: everything by an explicit loop.

    Of what is said of vectors nothing is said beyond the stored ones, nor in the null space: of the last matrix, all
    but the first value are in it.
    """
    generator = np.random.default_rng(0)
    values = np.sort(generator.random((4, 3)))[:, ::-1] + 0.1
    values[3, 1:] = 0.0
    sign_vectors = generator.standard_normal((4, 2, 5))
    stability = {name: generator.random((4, 2)) for name in ("stability_noise", "stability_float32")}
    layers, heads = [0, 0, 1, 1], [0, 1, 0, 1]
    columns = spectra_columns(values, sign_vectors, layers, heads, "ov", TOLERANCE, **stability)
    row = 0
    for matrix in range(4):
        spectrum = describe_spectrum(values[matrix], TOLERANCE)
        for index in range(3):
            assert (columns["matrix"][row], columns["layer"][row]) == ("ov", layers[matrix])
            assert (columns["head"][row], columns["index"][row]) == (heads[matrix], index)
            assert columns["value"][row] == values[matrix, index]
            for name in ("energy", "gap", "cluster_spread"):
                np.testing.assert_equal(columns[name][row], getattr(spectrum, name)[index])
            cluster = spectrum.cluster[index]
            assert columns["cluster"][row] == (None if cluster < 0 else cluster)
            known = index < 2 and cluster >= 0
            margin = sign_margins(sign_vectors[matrix])[index] if known else np.nan
            np.testing.assert_equal(columns["sign_margin"][row], margin)
            for name, numbers in stability.items():
                np.testing.assert_equal(columns[name][row], numbers[matrix, index] if known else np.nan)
            row += 1
    assert {len(column) for column in columns.values()} == {row}


def test_without_stability_its_columns_are_empty() -> None:
    columns = spectra_columns(np.array([[2.0, 1.0]]), np.eye(2)[None], [0], [None], "mlp_in", TOLERANCE)
    assert np.isnan([columns["stability_noise"], columns["stability_float32"]]).all()
    assert columns["sign_margin"].tolist() == [1.0, 1.0]


def test_null_space_is_what_has_no_cluster() -> None:
    values = np.array([[1.0, 1.1e-6, 0.9e-6, 0.0], [2e-70, 1e-70, 1e-75, 1e-77], [3.0, 2.0, 1.0, 1e-3], [0, 0, 0, 0]])
    expected = [[False, False, True, True], [False, False, False, True], [False] * 4, [True] * 4]
    np.testing.assert_array_equal(null_space(values), expected)
    for row, null in zip(values, expected, strict=True):
        spectrum = describe_spectrum(row, TOLERANCE)
        np.testing.assert_array_equal(spectrum.cluster < 0, null)


def test_the_energy_of_values_whose_squares_are_too_small_for_a_number() -> None:
    small = describe_spectrum(np.array([3e-200, 4e-200]), TOLERANCE)
    np.testing.assert_allclose(small.energy, [9 / 25, 1])
