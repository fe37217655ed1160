"""Agreement of windows with lists, against scipy and by planted lists."""

import numpy as np
import pytest
import scipy.stats

from svdlens.activations.agreement import NO_TOKEN, agreement

K, N, TOKENS = 12, 10, 200


def test_the_auc_is_that_of_mann_whitney() -> None:
    generator = np.random.default_rng(0)
    scores = np.round(generator.standard_normal((K, TOKENS)), 1)  # with ties
    windows = generator.integers(0, TOKENS, (K, 2, N))
    windows[generator.random(windows.shape) < 0.1] = NO_TOKEN
    found = agreement(scores, windows)
    for i in (0, 5):
        for number, sign in enumerate((1, -1)):
            own = windows[i, number][windows[i, number] >= 0]
            others = np.delete(windows, i, axis=0)
            u = scipy.stats.mannwhitneyu(sign * scores[i, own], sign * scores[i, others[others >= 0]]).statistic
            assert found.auc[i, number] == pytest.approx(u / len(own) / (others >= 0).sum())
            means = [sign * scores[i, one[one >= 0]].mean() for one in others.reshape(-1, N)]
            higher = sum(mean >= sign * scores[i, own].mean() for mean in means)
            assert found.p_value[i, number] == pytest.approx((1 + higher) / (1 + len(means)))


def test_lists_that_are_of_their_windows_agree_and_others_do_not() -> None:
    generator = np.random.default_rng(1)
    windows = generator.integers(0, 100 * TOKENS, (K, 2, N))
    scores = generator.standard_normal((K, 100 * TOKENS))
    chance = agreement(scores, windows)
    assert abs(chance.auc.mean() - 0.5) < 0.1 and 0.3 < chance.p_value.mean() < 0.7
    for i in range(K):
        scores[i, windows[i, 0]] += 10
        scores[i, windows[i, 1]] -= 10
    planted = agreement(scores, windows)
    assert planted.auc.min() > 0.85
    assert planted.p_value.max() == pytest.approx(1 / (1 + 2 * (K - 1)))


def test_what_has_nothing_to_compare_has_no_score() -> None:
    scores = np.random.default_rng(2).standard_normal((2, TOKENS))
    alone = agreement(scores[:1], np.zeros((1, 2, N), dtype=int))
    assert np.isnan(alone.auc).all() and np.isnan(alone.p_value).all()
    without = agreement(scores, np.stack([np.full((2, N), NO_TOKEN), np.ones((2, N), dtype=int)]))
    assert np.isnan(without.auc).all()
