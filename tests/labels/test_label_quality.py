"""The labels of `coherence` are as good as they should be: the measurements and limits of benchmarks/label_quality.py.

With GPT-2's tokenizer and the published lists of gpt2-small; all tests share one embedding of the vocabulary.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_data import shared
from svdlens.vocabulary.list_similarity import first_distinct
from svdlens.vocabulary.token_features import KnownVocabulary

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import label_quality  # noqa: E402


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> KnownVocabulary:
    tokenizer = shared("gpt2-tokenizer")
    return label_quality.know(tokenizer, tmp_path_factory.mktemp("gpt2"), os.cpu_count() or 1)


def check(measured: list[label_quality.Measured], limits: dict[str, str]) -> None:
    """Values are within their limits; `limits` are those that were asked for, lest one gets lost or laxer."""
    kept_limits = {one.quantity: one.limit for one in measured}
    assert limits.items() <= kept_limits.items()
    missed = [f"{one.quantity} is {one.value:.4g}, not {one.limit}" for one in measured if not one.is_kept]
    assert not missed


@pytest.mark.slow
def test_p_values_of_lists_from_the_nulls_are_uniform(vocabulary: KnownVocabulary, tmp_path: Path) -> None:
    model = label_quality.bundled_model(label_quality.BUNDLED_MODEL, tmp_path, os.cpu_count() or 1)
    check(
        label_quality.calibration(vocabulary, model, range(3)),
        {
            "list null: share of p <= 0.05": "0.03 to 0.07",
            "list null: Kolmogorov-Smirnov p": "at least 0.01",
            "direction null: share of p <= 0.05": "0.03 to 0.07",
            "direction null: Kolmogorov-Smirnov p": "at least 0.01",
        },
    )


@pytest.mark.slow
def test_planted_lists_are_found_named_and_little_else_is(vocabulary: KnownVocabulary) -> None:
    check(
        label_quality.discoveries(vocabulary),
        {
            "11 planted: recall": "at least 0.95",
            "8 planted: recall": "at least 0.8",
            "11 planted: names right": "at least 0.8",
            "11 planted: false discoveries": "at most 0.07",
            "8 planted: false discoveries": "at most 0.07",
        },
    )


@pytest.mark.slow
def test_scores_agree_with_the_published_answers(vocabulary: KnownVocabulary) -> None:
    measured = label_quality.published(vocabulary, shared("published"))
    check(measured, {"AUC of score: mean": "at least 0.78"})
    # And better than plain coherence, which it was made from.
    areas = {one.quantity: one.value for one in measured}
    assert areas["AUC of score: mean"] > areas["AUC of plain mean cosine: mean"] + 0.05


@pytest.mark.slow
def test_every_published_token_is_one_of_gpt2s(vocabulary: KnownVocabulary) -> None:
    ids = label_quality.ids_of_texts(vocabulary.texts)
    assert {vocabulary.texts[ids[text]] for text in vocabulary.texts} == set(vocabulary.texts)
    answers = label_quality.read_answers(shared("published"), "gpt2-small", "mlp_in")
    for answer in answers[::20]:
        assert [vocabulary.texts[ids[text]].strip() for text in answer.tokens] == [t.strip() for t in answer.tokens]


@pytest.mark.slow
def test_plain_coherence_is_the_mean_over_all_pairs(vocabulary: KnownVocabulary) -> None:
    tokens = label_quality.mixture(vocabulary, 8, seed=0)[0][:20]
    lists = first_distinct(tokens, vocabulary.classes.groups)
    means = label_quality.mean_cosine(lists, vocabulary)
    for row in range(20):
        vectors = vocabulary.vectors[lists.ids[row][lists.used[row]]].astype(float)
        cosines = [
            one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            for number, one in enumerate(vectors)
            for other in vectors[:number]
        ]
        assert means[row] == pytest.approx(np.mean(cosines), abs=1e-5)


@pytest.mark.parametrize(
    "low,high,value,limit,is_kept",
    [
        (0.03, 0.07, 0.05, "0.03 to 0.07", True),
        (0.03, 0.07, 0.02, "0.03 to 0.07", False),
        (0.8, np.inf, 0.8, "at least 0.8", True),
        (-np.inf, 0.07, 0.071, "at most 0.07", False),
        (-np.inf, np.inf, 5.0, "", True),
        (0.8, np.inf, np.nan, "at least 0.8", False),
    ],
)
def test_a_limit_is_kept_or_not(low: float, high: float, value: float, limit: str, is_kept: bool) -> None:
    measured = label_quality.Measured("a quantity", value, 10, low, high)
    assert (measured.limit, measured.is_kept) == (limit, is_kept)


def test_without_reference_data_the_script_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "label_quality.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"SVDLENS_SHARED": str(tmp_path)}
    )
    assert done.returncode == 1
    assert f"{tmp_path / 'gpt2-tokenizer'} is not there" in done.stderr and "SVDLENS_SHARED" in done.stderr
    assert not list(tmp_path.iterdir())
