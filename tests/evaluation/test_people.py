"""Agreement of people, and their false positives, against statsmodels and by what must be so."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from svdlens.evaluation.people import COLUMNS, people_table


def judged(**said: dict[str, bool]) -> pd.DataFrame:
    """By person, what each says of lists by key; lists whose key begins with r are of random directions."""
    rows = [
        {"person": person, "list_key": key, "is_control": key.startswith("r"), "interpretable": one}
        for person, lists in said.items()
        for key, one in lists.items()
    ]
    return pd.DataFrame(rows)


GENERATOR = np.random.default_rng(0)
KEYS = [*(f"s{number}" for number in range(40)), *(f"r{number}" for number in range(15))]
ANNA = dict(zip(KEYS, GENERATOR.random(55) < 0.5, strict=True))
BEN = {key: bool(said ^ (GENERATOR.random() < 0.2)) for key, said in ANNA.items()}
CARL = dict(list(ANNA.items())[10:45])
TABLE = people_table(judged(anna=ANNA, ben=BEN, carl=CARL), ["anna", "ben", "carl"])


def test_there_is_a_row_for_each_person_and_each_two() -> None:
    assert list(TABLE) == list(COLUMNS)
    assert list(zip(TABLE["first"], TABLE["second"].fillna(""), strict=True)) == [
        ("anna", ""), ("ben", ""), ("carl", ""), ("anna", "ben"), ("anna", "carl"), ("ben", "carl"),
    ]  # fmt: skip


def test_shares_and_intervals_are_those_of_lists_and_of_controls() -> None:
    for row, said in zip(TABLE.iloc[:3].itertuples(), (ANNA, BEN, CARL), strict=True):
        assert row.n == len(said)
        for prefix, letter in (("lists_", "s"), ("control_", "r")):
            lists = [one for key, one in said.items() if key.startswith(letter)]
            found = [getattr(row, f"{prefix}{name}") for name in ("n", "k", "fraction", "low", "high")]
            interval = proportion_confint(sum(lists), len(lists), method="wilson")
            assert found == pytest.approx([len(lists), sum(lists), np.mean(lists), *interval])


def test_kappa_is_over_the_lists_that_both_judged() -> None:
    for row, (one, other) in zip(TABLE.iloc[3:].itertuples(), ((ANNA, BEN), (ANNA, CARL), (BEN, CARL)), strict=True):
        shared = [key for key in KEYS if key in one and key in other]
        counts = np.zeros((2, 2))
        for key in shared:
            counts[1 - int(one[key]), 1 - int(other[key])] += 1
        assert row.n == len(shared) == row.both + row.only_first + row.only_second + row.neither
        assert [row.both, row.only_first, row.only_second, row.neither] == counts.reshape(-1).tolist()
        assert row.kappa == pytest.approx(cohens_kappa(counts).kappa)
        if row.kappa == 1:
            assert np.isnan(row.kappa_low) and np.isnan(row.kappa_high)
        else:
            assert row.kappa_low <= row.kappa <= row.kappa_high
    assert TABLE.iloc[4]["kappa"] == 1


def test_what_cannot_be_said_is_empty() -> None:
    table = people_table(judged(anna={"s1": True}, ben={"s2": True}), ["anna", "ben"])
    assert table["control_n"].tolist()[:2] == [0, 0] and table["control_fraction"].isna().all()
    assert table.iloc[2]["n"] == 0 and np.isnan(table.iloc[2]["kappa"])


def test_one_person_has_no_pair() -> None:
    assert len(people_table(judged(anna=ANNA), ["anna"])) == 1
