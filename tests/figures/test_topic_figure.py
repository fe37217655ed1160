"""The figure topic_lists: what is planted in lists is found, what is not stands for what chance does."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svdlens.errors import SvdlensError
from svdlens.figures.files import figure_files, why_not_drawn
from svdlens.figures.topic_lists import (
    BASE,
    FIRST,
    OWN,
    SOURCES,
    concept_number,
    draw_figures,
    memberships,
    other_topics,
    topic_lists_data,
)
from svdlens.spec.controls import RANDOM_UNIT, ROTATED
from svdlens.sweep import paths
from svdlens.sweep.config_files import configuration
from svdlens.sweep.plan import Sweep
from svdlens.vocabulary.wordnet import load_lexicon

FOOD = "n00021265"
LEXICON = load_lexicon()
MATRICES, K = 6, 4


def common_words(n: int, seed: int = 0) -> list[str]:
    """Words of any kind, as tokens with a space before them."""
    words = sorted(word for word in LEXICON.concepts_of if word.isalpha())
    return [f" {word}" for word in np.random.default_rng(seed).choice(words, n, replace=False)]


def words_for_food() -> list[str]:
    number = concept_number(FOOD, "m")
    return sorted(f" {word}" for word, concepts in LEXICON.concepts_of.items() if number in concepts and word.isalpha())


def lists(planted: dict[str, float], sides: tuple[str, ...] = ("write",)) -> pd.DataFrame:
    """Lists of each source whose tokens are words for food with the probability that is `planted` for it."""
    generator = np.random.default_rng(1)
    food, others = words_for_food(), common_words(3000)
    rows = []
    for source, share in planted.items():
        for matrix in range(MATRICES):
            for index in range(K):
                for side in sides:
                    tokens = [
                        str(generator.choice(food if generator.random() < share else others)) for _ in range(FIRST + 5)
                    ]
                    place = {"matrix": "mlp_out", "side": side, "layer": float(matrix), "head": np.nan}
                    rows.append({"source": source, **place, "index": index, "tokens": tokens})
    return pd.DataFrame(rows)


def test_tokens_belong_by_their_words_and_forms() -> None:
    number = concept_number(FOOD, "m")
    tokens = [" bread", "Bread", " breads", "cheese", " cheeses", " stone", "xyzzy", "", " \\xff", "the"]
    assert memberships(tokens, LEXICON, [number])[:, 0].tolist() == [True] * 5 + [False] * 5


def test_other_topics_are_other_topics_of_like_size() -> None:
    number = concept_number(FOOD, "m")
    food = {word for word, concepts in LEXICON.concepts_of.items() if number in concepts}
    others = other_topics(LEXICON, number)
    assert number not in others
    for other in others:
        words = {word for word, concepts in LEXICON.concepts_of.items() if other in concepts}
        assert len(food) / 2 <= len(words) <= 2 * len(food) and len(words & food) <= 0.1 * len(words)


def test_what_is_planted_is_counted_and_stands_out() -> None:
    number = concept_number(FOOD, "m")
    given = lists({OWN: 0.5, BASE: 0.0, ROTATED: 0.0, RANDOM_UNIT: 0.0})
    data = topic_lists_data(given, LEXICON, number).set_index("source")
    for source, rows in given.groupby("source"):
        tokens = [token for row in rows["tokens"] for token in row[:FIRST]]
        belongs = memberships(tokens, LEXICON, [number])
        assert (data.loc[source, "k"], data.loc[source, "n"]) == (belongs.sum(), len(tokens))
        assert data.loc[source, "low"] <= data.loc[source, "fraction"] <= data.loc[source, "high"]
        assert data.loc[source, "n_matrices"] == MATRICES
    assert data.loc[OWN, "low"] > data.loc[[BASE, ROTATED, RANDOM_UNIT], "high"].max()
    assert data.loc[RANDOM_UNIT, "excess"] == 0
    assert data.loc[OWN, "n_topics"] > 20
    assert data.loc[OWN, "further_topics"] == 0
    # Where nothing is planted, food is one topic among others.
    assert data.loc[BASE, "further_topics"] > 0.05 * data.loc[BASE, "n_topics"]


def write(path: Path, rows: pd.DataFrame) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = rows.assign(readout="W_U", null_space=False)[
        ["layer", "head", "index", "side", "readout", "tokens", "null_space"]
    ]
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    return str(path)


@pytest.mark.parametrize("with_base", [True, False])
def test_it_is_drawn_from_the_tables_of_the_sweep(with_base: bool, tmp_path: Path) -> None:
    given = lists({OWN: 0.4, BASE: 0.0, ROTATED: 0.1, RANDOM_UNIT: 0.0})
    place = {"setting": "raw", "matrix": "mlp_out"}
    inputs: dict[str, Any] = {"tokens": []}
    for model, source in [("mine", OWN), *([("base", BASE)] if with_base else [])]:
        rows = given[given["source"] == source]
        if source == BASE:  # more directions than the adapter has, which are left out
            rows = pd.concat([rows, rows.assign(index=rows["index"] + K)])
        inputs["tokens"].append(write(tmp_path / paths.TOKENS.format(model=model, **place), rows))
    for control in (ROTATED, RANDOM_UNIT):
        rows = given[given["source"] == control]
        if control == RANDOM_UNIT:
            rows = rows.assign(side="all", layer=np.nan, index=range(len(rows)))
        path = tmp_path / paths.CONTROLS.format(model="mine", control=control, **place)
        inputs[control] = [write(path, rows)]
    options = {"places": [("mine", "raw", "mlp_out"), ("base", "raw", "mlp_out")], "topics": {"mine": (FOOD, "base")}}
    [(data, figure)] = draw_figures(inputs, [{"model": "mine", "setting": "raw", "readout": "W_U"}], options)
    assert data["source"].tolist().count(OWN) == 1 and set(data["source"]) == {*SOURCES} - (
        set() if with_base else {BASE}
    )
    counted = data.set_index("source")["n"]
    assert (counted == MATRICES * K * FIRST).all()
    said = " ".join(text.get_text() for text in figure.texts)
    assert "food" in said and "MLP out" in said


def test_it_is_drawn_where_a_model_names_a_topic(tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    file = tmp_path / "sweep.yaml"
    for topic, n_files in (("", 0), (f"topic: {FOOD}", 2)):
        file.write_text(
            f"models: {{wordnet-2layer: {{{topic}}}}}\nsweep: {{models: [wordnet-2layer], settings: [raw, fold]}}\n"
        )
        sweep = Sweep(configuration([file], project))
        assert len(figure_files(sweep, "topic_lists")) == n_files
        assert (why_not_drawn(sweep, "topic_lists") is None) == bool(n_files)


def test_a_concept_that_there_is_not_is_named() -> None:
    with pytest.raises(SvdlensError, match=r"models\.mine\.topic is 'n99999999'.*concepts\.parquet"):
        concept_number("n99999999", "mine")
