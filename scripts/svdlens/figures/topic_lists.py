"""The figure topic_lists: how many tokens of a model's lists belong to its topic, beside its base and its controls.

Of a model that names a topic, as what it was trained on: `models.NAME.topic`, a concept of WordNet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.errors import SvdlensError
from svdlens.evaluation.intervals import shares_over_matrices
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import draw_bars, panel_figure
from svdlens.figures.style import COLOURS, ordered_matrices, readout_name, tick_name
from svdlens.spec.controls import RANDOM_UNIT, ROTATED
from svdlens.sweep import paths
from svdlens.vocabulary.wordnet import DIRECTORY, Lexicon, load_lexicon

FIRST = 10
"""Tokens of each list that are looked at."""
OWN, BASE = "the model", "its base model"
SOURCES: dict[str, dict[str, Any]] = {
    OWN: {"color": COLOURS[3], "marker": "o"},
    BASE: {"color": COLOURS[0], "marker": "s"},
    ROTATED: {"color": "0.45", "marker": "D"},
    RANDOM_UNIT: {"color": "0.7", "marker": "v"},
}
NAMES = {
    OWN: "leading directions",
    BASE: "as many of its base model",
    ROTATED: "random rotations of them",
    RANDOM_UNIT: "random directions",
}
KEYS = ["matrix", "side"]
ALIKE = (0.5, 2.0)
"""Other topics that count: with so many times as many words as the topic has."""
MOST_SHARED = 0.1
"""And of which no larger share belongs to the topic."""


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model that names a topic, and setting."""
    lexicon = load_lexicon()
    for subject in subjects:
        model, setting = subject["model"], subject["setting"]
        topic, base = options["topics"][model]
        places = [place for place in options["places"] if place[0] == model and place[1] == setting]
        readout = subject["readout"]
        lists = read_lists(inputs, places, base, readout)
        data = topic_lists_data(lists, lexicon, concept_number(topic, model))
        data = data.assign(model=model, setting=setting, readout=readout, topic=topic)
        yield data, draw_topic_lists(data, lexicon.concepts[concept_number(topic, model)].name)


def concept_number(identifier: str, model: str) -> int:
    """The row of resources/lexicon/concepts.parquet that has the identifier. Raises SvdlensError where none has."""
    identifiers = pd.read_parquet(DIRECTORY / "concepts.parquet", columns=["identifier"])["identifier"].tolist()
    if identifier not in identifiers:
        raise SvdlensError(
            f"models.{model}.topic is {identifier!r}, which no concept of the lexicon has. Write an `identifier` of "
            "resources/lexicon/concepts.parquet, such as n00021265 (food)."
        )
    return identifiers.index(identifier)


def read_lists(inputs: Inputs, places: Sequence[Sequence[str]], base: str | None, readout: str) -> pd.DataFrame:
    """The lists of the places through `readout`, without null space: source (a key of SOURCES), matrix, side, layer,
    head, tokens. Of the base model, if it is swept in the same setting, as many directions of each matrix as the
    model's have at most."""
    pieces = []
    for model, setting, matrix in places:
        own = list_rows(path_of(inputs["tokens"], paths.TOKENS, model, setting, matrix), readout)
        pieces.append(own.assign(source=OWN, matrix=matrix))
        for control in (ROTATED, RANDOM_UNIT):
            pattern = paths.CONTROLS.replace("{control}", control)
            found = list_rows(path_of(inputs[control], pattern, model, setting, matrix), readout)
            if control == RANDOM_UNIT:
                # Read alike on every side; each direction stands for itself.
                found = found.assign(layer=found["index"], head=np.nan).drop(columns="side")
                found = found.merge(own[["side"]].drop_duplicates(), how="cross")
            pieces.append(found.assign(source=control, matrix=matrix))
        if path := path_of(inputs["tokens"], paths.TOKENS, base, setting, matrix):
            rows = list_rows(path, readout)
            rows = rows[rows["index"] <= own["index"].max()]
            pieces.append(rows.assign(source=BASE, matrix=matrix))
    return pd.concat(pieces, ignore_index=True)


def path_of(given: Sequence[str], pattern: str, model: str | None, setting: str, matrix: str) -> str:
    """That of the paths which is of this model, setting and matrix; "" where none is."""
    end = pattern.format(model=model, setting=setting, matrix=matrix)
    return next((path for path in given if str(path).endswith(end)), "")


def list_rows(path: str, readout: str) -> pd.DataFrame:
    """The lists of a table of tokens or of a control, of one read-out, without null space."""
    columns = ["layer", "head", "index", "side", "readout", "tokens", "null_space"]
    rows = pd.read_parquet(path, columns=columns, partitioning=None)
    rows = rows[(rows["readout"] == readout) & ~rows["null_space"].fillna(False).astype(bool)]
    return rows.astype({"layer": float, "head": float, "side": str}).drop(columns=["readout", "null_space"])


def topic_lists_data(lists: pd.DataFrame, lexicon: Lexicon, topic: int) -> pd.DataFrame:
    """What is drawn: a row for each matrix, side and source.

    n tokens of the lists, k of them of the topic, n_matrices, fraction, low and high (95 % over matrices, over
    directions for random_unit). excess: fraction less that of random_unit. n_topics: other_topics, and
    further_topics: those of them with at least as much excess in the lists of the same source.
    """
    tokens = pd.Series(list(dict.fromkeys(token for row in lists["tokens"] for token in row[:FIRST])))
    number = pd.Series(tokens.index, index=tokens)
    topics = other_topics(lexicon, topic)
    belongs = memberships(tokens, lexicon, [topic, *topics])
    ids = [number[list(row[:FIRST])].to_numpy() for row in lists["tokens"]]
    rows = lists.assign(place=range(len(ids)), k=[belongs[one, 0].sum() for one in ids], n=list(map(len, ids)))
    by = [*KEYS, "source"]
    counts = rows.groupby([*by, "layer", "head"], dropna=False, observed=True)[["n", "k"]].sum().reset_index()
    table = shares_over_matrices(counts, by)
    shares = {
        key: belongs[np.concatenate([ids[place] for place in group["place"]])].mean(axis=0)
        for key, group in rows.groupby(by, sort=False)
    }
    for row in table.index:
        matrix, side, source = table.loc[row, by]
        excess = shares[matrix, side, source] - shares[matrix, side, RANDOM_UNIT]
        table.loc[row, ["excess", "n_topics", "further_topics"]] = (
            excess[0],
            len(topics),
            int((excess[1:] >= excess[0]).sum()),
        )
    return table.astype({"n_topics": int, "further_topics": int})


def other_topics(lexicon: Lexicon, topic: int) -> list[int]:
    """Kinds of things (hypernym) with about as many words as the topic, few of which belong to it."""
    sizes = Counter(number for numbers in lexicon.concepts_of.values() for number in numbers)
    shared = Counter(
        number for numbers in lexicon.concepts_of.values() if topic in numbers for number in numbers if number != topic
    )
    fewest, most = (factor * sizes[topic] for factor in ALIKE)
    return [
        number
        for number, concept in enumerate(lexicon.concepts)
        if concept.kind == "hypernym" and number != topic
        if fewest <= sizes[number] <= most and shared[number] <= MOST_SHARED * sizes[number]
    ]


def memberships(tokens: Iterable[str], lexicon: Lexicon, topics: Sequence[int]) -> Bool[np.ndarray, "tokens topics"]:
    """Whether a token is a word for a topic, or a form of such; blanks around it and capitals do not count."""
    column = {number: place for place, number in enumerate(topics)}
    rows = list(tokens)
    found = np.zeros((len(rows), len(topics)), dtype=bool)
    for row, token in enumerate(rows):
        for base in lexicon.base_forms(token.strip().lower()):
            found[row, [column[number] for number in lexicon.concepts_of[base.word] if number in column]] = True
    return found


def draw_topic_lists(data: pd.DataFrame, name: str) -> Figure:
    """The rows of topic_lists_data of one model and setting; `name` of the topic."""
    model, setting = data["model"].iloc[0], data["setting"].iloc[0]
    places = [
        (matrix, side)
        for matrix in ordered_matrices(data["matrix"])
        for side in data.loc[data["matrix"] == matrix, "side"].unique()
    ]
    own = data[data["source"] == OWN]
    ranks = [
        f"{row.further_topics} of {row.n_topics} ({tick_name(row.matrix)} {row.side})"
        for matrix, side in places
        for row in own[(own["matrix"] == matrix) & (own["side"] == side)].itertuples()
    ]
    through = readout_name(data["readout"].iloc[0])
    caption = (
        f"Share of the first {FIRST} tokens of each list that are words for {name} or forms of such (WordNet), through "
        f"{through}, with 95 % intervals over matrices, for random directions over directions. Other topics with about "
        f"as many words that exceed random directions by as much in the lists of the model: {', '.join(ranks)}."
    )
    shown = [source for source in SOURCES if (data["source"] == source).any()]

    def panel(axes: Axes) -> None:
        for place, source in enumerate(shown):
            at, rows = positions(data, places, source, (place - (len(shown) - 1) / 2) * 0.16)
            draw_bars(axes, at, rows, SOURCES[source], ms=4.5)
        axes.set_xticks(range(len(places)), [f"{tick_name(matrix)}\n{side}" for matrix, side in places])
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_ylim(bottom=0)

    return panel_figure(
        f"Words for {name} in the lists of {model}, {setting}",
        caption,
        [("", panel)],
        handles=[Line2D([], [], **SOURCES[source], ls="", ms=4.5, label=NAMES[source]) for source in shown],
        ylabel=f"share of tokens for {name}",
    )


def positions(
    data: pd.DataFrame, places: Sequence[tuple[str, str]], source: str, offset: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """The rows of a source, and where along x they stand: at the number of their place, moved by `offset`."""
    numbers: Mapping[Any, int] = {place: number for number, place in enumerate(places)}
    rows = data[data["source"] == source]
    at = [numbers[pair] + offset for pair in zip(rows["matrix"], rows["side"], strict=True)]
    return np.array(at), rows
