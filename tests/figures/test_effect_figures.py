"""The figures of effects and of cards: which directions count as interpretable, means and intervals, and both ends."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from svdlens.artefacts.table_schemas import CARDS, write_table
from svdlens.figures.cards import LEAST, MOST, ROWS, cards_data, readable_cards
from svdlens.figures.cards import draw_figures as draw_cards
from svdlens.figures.effects import INTERPRETABLE, OTHERS, direction_rows, draw_effects, effects_data

LAYERS, HEADS, K = 3, 4, 9
KEYS = ["layer", "head", "index"]
OPTIONS = {"labeller": "coherence", "criterion": "q_value < 0.05"}
SUBJECT = {"model": "m", "setting": "raw", "matrix": "ov", "labeller": "coherence"}
HOSTILE = ["$x^2$", "</script>", "\n", "火", "a" * 60, ""]


def places(per_head: bool = True) -> pd.DataFrame:
    heads = range(HEADS) if per_head else [None]
    rows = [(layer, head, index) for layer in range(LAYERS) for head in heads for index in range(K)]
    return pd.DataFrame(rows, columns=KEYS).astype({"head": "Int32"})


def tables(per_head: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects, and labels by which index 1, and of one sign alone index 2, are interpretable where they are written."""
    keys = places(per_head)
    size = np.random.default_rng(0).exponential(size=len(keys)) * np.where(keys["index"] == 8, np.nan, -1)
    effects = pd.concat([keys.assign(sign=sign, first_order=size) for sign in (1, -1)])
    labels = [
        keys.assign(side=side, sign=sign, readout=readout, kind="semantic", status="ok").assign(
            interpretable=keys["index"].eq(1) | (keys["index"].eq(2) & (sign == -1))
            if (side, readout) == ("write", "W_U")
            else True
        )
        for readout in ("W_U", "W_E")
        for side in ("write", "read")
        for sign in (1, -1)
    ]
    return effects, pd.concat(labels)


def text_of(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(lambda one: hasattr(one, "get_text")))


@pytest.mark.parametrize("per_head", [True, False])
def test_a_direction_is_interpretable_by_one_sign_on_the_side_that_is_scaled(per_head: bool) -> None:
    rows = direction_rows(*tables(per_head), "ov", "q_value < 0.05")
    # One row for both signs, and none of null space.
    assert len(rows) == LAYERS * (HEADS if per_head else 1) * (K - 1)
    assert not rows.duplicated(KEYS).any() and (rows["size"] > 0).all()
    assert set(rows.loc[rows["interpretable"], "index"]) == {1, 2} and rows["interpretable"].mean() == 2 / (K - 1)


def test_means_are_over_directions_and_their_intervals_over_matrices() -> None:
    rows = direction_rows(*tables(), "ov", "q_value < 0.05")
    data = effects_data(rows).set_index(["group", "directions"])
    for name, some in ((INTERPRETABLE, rows[rows["interpretable"]]), (OTHERS, rows[~rows["interpretable"]])):
        whole = data.loc[("all", name)]
        assert whole["effect"] == pytest.approx(some["size"].mean()) and whole["n"] == len(some)
        assert whole["low"] < whole["effect"] < whole["high"]
        by_layer = data.loc[("layer", name)].set_index("layer")["effect"]
        assert by_layer.to_dict() == pytest.approx(some.groupby("layer")["size"].mean().to_dict())
    by_index = data.loc[("index", OTHERS)].set_index("first_index")
    assert by_index["n"].to_dict() == {0: 12, 2: 12, 4: 48}, "2 and 3, without the 2 that are interpretable"
    heads = data.loc[("head", "all")].set_index(["layer", "head"])
    assert len(heads) == LAYERS * HEADS and (heads["n_interpretable"] == 2).all() and (heads["n"] == K - 1).all()
    # Matrices that are alike within themselves tell less of others than as many directions that are not.
    alike = rows.assign(size=rows["layer"] * HEADS + rows["head"].astype(int) + 1.0)
    mixed = alike.assign(size=np.random.default_rng(1).permutation(alike["size"]))
    widths = [effects_data(one).set_index(["group", "directions"]).loc[("all", OTHERS)] for one in (alike, mixed)]
    assert widths[0]["high"] - widths[0]["low"] > 1.5 * (widths[1]["high"] - widths[1]["low"])


def test_a_single_matrix_has_an_interval_over_its_directions() -> None:
    data = effects_data(direction_rows(*tables(per_head=False), "ov", "q_value < 0.05"))
    layers = data[(data["group"] == "layer") & (data["directions"] == OTHERS)]
    assert (layers["low"] < layers["effect"]).all() and (layers["effect"] < layers["high"]).all()
    assert not (data["group"] == "head").any()


@pytest.mark.parametrize("per_head", [True, False])
def test_the_numbers_of_the_csv_are_drawn(per_head: bool) -> None:
    data = effects_data(direction_rows(*tables(per_head), "ov", "q_value < 0.05"))
    figure = draw_effects(data, {"metric": "loss", "tokens": 2048}, SUBJECT, OPTIONS)
    figure.draw_without_rendering()
    by_layer, by_index = figure.axes[:2]
    for line, name in zip(by_layer.lines, (INTERPRETABLE, OTHERS), strict=True):
        rows = data[(data["group"] == "layer") & (data["directions"] == name)]
        assert line.get_ydata().tolist() == rows["effect"].tolist()
    assert [text.get_text() for text in by_index.get_xticklabels()] == ["0", "1", "2", "4"]
    text = text_of(figure)
    assert "d / d eps of the loss, in nats" in text and "2,048 tokens" in text and "labeller coherence" in text
    assert len(figure.axes) == (6 if per_head else 2), "two maps with a colour bar each"
    if per_head:
        shares = figure.axes[3].collections[0].get_array().reshape(LAYERS, HEADS)
        assert np.allclose(shares, 2 / (K - 1))


@pytest.mark.parametrize("marked", [True, False])
def test_where_all_or_none_are_interpretable_there_is_one_line(marked: bool) -> None:
    rows = direction_rows(*tables(), "ov", "q_value < 0.05").assign(interpretable=marked)
    facts = {"metric": [" fire", " $"], "tokens": 10}
    figure = draw_effects(effects_data(rows), facts, SUBJECT, OPTIONS)
    figure.draw_without_rendering()
    assert len(figure.axes[0].lines) == 1 and "log-probability of fire, $, in nats" in text_of(figure)
    nothing = draw_effects(effects_data(rows[:0]), facts, SUBJECT, OPTIONS)
    assert "Nothing to draw" in text_of(nothing)


def cards_table(n: int) -> pd.DataFrame:
    """Both signs of n directions, of which the opposite sign has the better scores where the index is odd."""
    rows = []
    for number in range(n):
        for sign in (1, -1):
            better = (sign == 1) == (number % 2 == 0)
            one = {"matrix": "ov", "layer": number % LAYERS, "head": 1, "index": number, "sign": sign}
            for side in ("read", "write"):
                one |= {f"{side}_label": f"{side} {number} {sign}", f"{side}_kind": "semantic"}
                one |= {f"{side}_interpretable": number != 1 or side == "read", f"{side}_tokens": HOSTILE}
                one[f"{side}_score"] = float(better) if side == "read" else 2.0
            rows.append(one | {"cosine": 1 - 2 * number / n, "overlap": 0.5, "opposite_overlap": 0.0})
    return pd.DataFrame(rows)


def test_cards_are_the_ends_of_those_with_two_interpretable_lists() -> None:
    able = readable_cards(cards_table(40))
    assert able["index"].tolist() == [number for number in range(40) if number != 1]
    assert (able["sign"] == np.where(able["index"] % 2 == 0, 1, -1)).all(), "the sign with the better scores"
    data = cards_data(able)
    blocks = {name: rows["index"].tolist() for name, rows in data.groupby("block")}
    assert blocks[MOST] == [0, *range(2, ROWS + 1)] and blocks[LEAST] == list(range(39, 39 - ROWS, -1))


@pytest.mark.parametrize("n", [0, 1, 3, 4])
def test_few_cards_are_there_once_and_no_label_is_said(n: int, tmp_path: Path) -> None:
    table = cards_table(n) if n else cards_table(2).query("index == 1")
    if n == 3:
        table.loc[table["index"] == 0, "read_label"] = None
        table["write_label"] = "words with $ " * 9
    write_table(tmp_path / "cards.parquet", {name: table[name] for name in CARDS.names}, CARDS, {})
    [(data, figure)] = draw_cards({"cards": [tmp_path / "cards.parquet"]}, [SUBJECT], {"labeller": "coherence"})
    figure.draw_without_rendering()
    assert len(data) == len(readable_cards(table)) and not data.duplicated(KEYS).any()
    text = text_of(figure)
    assert ("Nothing to draw" in text) == (not len(data))
    assert ("(no label)" in text) == (n == 3)
    if n == 3:
        assert list(data["read_tokens"].iloc[0]) == HOSTILE, "the csv has every token whole"
        # What is read ends before what is written begins.
        [axes] = figure.axes
        renderer = FigureCanvasAgg(figure).get_renderer()
        starts = {round(text.get_position()[0], 3) for text in axes.texts}
        right = {
            x: max(one.get_window_extent(renderer).x1 for one in axes.texts if round(one.get_position()[0], 3) == x)
            for x in starts
        }
        left = {x: axes.transData.transform((x, 0))[0] for x in starts}
        ordered = sorted(starts)
        assert len(ordered) == 5 and all(right[one] < left[other] for one, other in pairwise(ordered))
        assert right[ordered[-1]] < figure.bbox.x1
