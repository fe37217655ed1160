"""The figure readouts: the csv is what the table of fractions says, and is what is drawn; and when there is one."""

import itertools

import numpy as np
import pandas as pd
import pytest

from svdlens.errors import SvdlensError
from svdlens.evaluation.fractions import fractions_of_readouts
from svdlens.figures.files import check_figures, figure_files, selected_figures, why_not_drawn
from svdlens.figures.readouts import SHOWN_KINDS, draw_readouts, readouts_data
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from sweep_configs import sweep_with

pytestmark = pytest.mark.filterwarnings("error:constrained_layout")

LABELLER, CRITERION = "minilm", "q_value < 0.05"
CHOICE = {"labeller": LABELLER, "criterion": CRITERION}
THREE = ["W_U", "W_U_cosine", "W_U_whitened"]
PLACE = ["model", "setting", "matrix"]


def rows_of(generator, keys, share):
    """Labels of such rows, of every kind."""
    n = len(keys)
    interpretable = generator.random(n) < share
    known = generator.choice(["semantic", "grammatical", "orthographic", "unknown"], n)
    return keys.assign(
        kind=np.where(interpretable, known, generator.choice(["none", "frequency"], n)), labelled=interpretable,
        verified=None, interpretable=interpretable, score=generator.random(n), p_value=generator.random(n),
        q_direction=generator.random(n), status=np.where(generator.random(n) < 0.05, "abstained", "ok"),
    )  # fmt: skip


def tables(models, matrices=("ov", "mlp_out"), controls=True):
    """Labels and controls of these models, {model: read-outs}, and the table of fractions of them."""
    generator = np.random.default_rng(0)
    pieces, labels, control_labels = [], [], []
    for (model, readouts), matrix in itertools.product(models.items(), matrices):
        columns = ["readout", "layer", "head", "index", "side", "sign"]
        heads = range(2) if MATRIX_KINDS[matrix].per_head else [None]
        keys = itertools.product(readouts, range(3), heads, range(5), MATRIX_KINDS[matrix].sides, (1, -1))
        rows = rows_of(generator, pd.DataFrame(keys, columns=columns).astype({"head": float}), 0.5)
        keys = itertools.product(readouts, [np.nan], [np.nan], range(40), ["all"], (1, -1))
        beside = rows_of(generator, pd.DataFrame(keys, columns=columns), 0.3)
        fractions = fractions_of_readouts(rows, beside if controls else None, CRITERION)
        place = {"model": model, "setting": "raw", "matrix": matrix}
        pieces.append(fractions.assign(**place, labeller=LABELLER))
        labels.append(rows.assign(**place))
        control_labels.append(beside.assign(**place))
    return pd.concat(labels), pd.concat(control_labels), pd.concat(pieces, ignore_index=True)


def swept(models, matrices=("ov", "mlp_out")):
    return [(model, "raw", matrix) for model, matrix in itertools.product(models, matrices)]


def draw(data):
    return draw_readouts(data, setting="raw", n_controls=40, **CHOICE)


def texts_of(figure):
    texts = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(text.get_text().replace("\n", " ") for text in texts)


def test_shares_are_counts_of_labels_through_each_readout_beside_its_own_controls():
    models = {"one": THREE, "two": ["W_E", "pinv_W_E"]}
    labels, controls, fractions = tables(models)
    # What must be left aside.
    others = [fractions.assign(labeller="other", k=0), fractions.assign(criterion="P", k=0)]
    data = readouts_data(pd.concat([fractions, *others]), swept=swept(models), **CHOICE)
    assert len(data) == (3 + 2) * 3 * len(SHOWN_KINDS)  # OV has two sides
    for row in data.itertuples():

        def of_row(table, row=row):
            same = (table["model"] == row.model) & (table["matrix"] == row.matrix) & (table["readout"] == row.readout)
            return table[same & (table["status"] == "ok")]

        rows = of_row(labels)[lambda rows, side=row.side: rows["side"] == side]
        interpretable = rows[rows["interpretable"]]
        kinds = interpretable["kind"].where(interpretable["kind"] != "unknown", "other")
        assert (row.n, row.k) == (len(rows), (kinds == row.kind).sum())
        assert row.share == pytest.approx(row.k / row.n)
        assert row.fraction == pytest.approx(len(interpretable) / len(rows))
        assert row.control_fraction == pytest.approx(of_row(controls)["interpretable"].mean())
        assert row.control_low < row.control_fraction < row.control_high
        assert row.excess == pytest.approx(row.fraction - row.control_fraction)
    assert data["partly_labelled"].any()


def test_every_share_of_the_csv_is_a_bar_and_every_fraction_the_end_of_one():
    models = {"one": THREE, "two": ["W_E", "pinv_W_E"]}
    data = readouts_data(tables(models)[2], swept=swept(models), **CHOICE)
    figure = draw(data)
    assert len(figure.axes) == 2
    for axes, model in zip(figure.axes, models, strict=True):
        rows = data[data["model"] == model]
        heights = np.array([bar.get_height() for bar in axes.patches])
        tops = np.array([bar.get_y() + bar.get_height() for bar in axes.patches])
        ends = np.concatenate([part[:, 1] for drawn in axes.collections for part in drawn.get_segments()])
        drawn = {"share": heights, "control_fraction": heights, "fraction": tops}
        drawn |= dict.fromkeys(["low", "high", "control_low", "control_high"], ends)
        for column, numbers in drawn.items():
            assert np.isclose(rows[column].to_numpy()[:, None], numbers, rtol=0, atol=1e-12).any(axis=1).all(), column
        assert all(readout.replace("_c", " c") in texts_of(figure) for readout in ("W_U", "W_U_cosine"))
    figure.draw_without_rendering()


@pytest.mark.parametrize("n", [1, 4])
def test_all_readouts_of_several_models_have_room(n):
    models = {f"model {number}": list(READOUTS) for number in range(n)}
    matrices = ["ov", "qk", "mlp_in", "mlp_out"]
    data = readouts_data(tables(models, matrices)[2], swept=swept(models, matrices), **CHOICE)
    figure = draw(data)
    figure.draw_without_rendering()
    assert len(figure.axes) == n
    for axes in figure.axes:
        names = [text for text in axes.get_xticklabels(minor=True) if text.get_text()]
        boxes = [text.get_window_extent() for text in names]
        assert len(names) == 6 * len(READOUTS)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_numbers_stand_above_every_interval_and_none_is_minus_zero():
    """Of two matrices an interval may reach 1."""
    fractions = tables({"one": list(READOUTS)}, ["ov", "mlp_in", "mlp_out"])[2]
    fractions["excess"] = np.linspace(-0.004, 0.004, len(fractions))
    data = readouts_data(fractions.assign(high=1.0), swept=swept(["one"], ["ov", "mlp_in", "mlp_out"]), **CHOICE)
    figure = draw(data)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    one = axes.transData.transform((0, 1))[1]
    numbers = [text for text in axes.texts if text.get_text()]
    assert len(numbers) == 4 * len(READOUTS) and {text.get_text() for text in numbers} == {".00"}
    boxes = [text.get_window_extent() for text in numbers]
    assert all(one < box.y0 and box.y1 < axes.get_window_extent().y1 for box in boxes)


def test_models_with_one_readout_are_left_out_and_without_any_other_it_is_said():
    models = {"one": ["W_U"], "two": THREE}
    data = readouts_data(tables(models)[2], swept=swept(models), **CHOICE)
    assert set(data["model"]) == {"two"}
    only = {"one": ["W_U"]}
    for frame in (tables(only)[2], tables(only)[2].iloc[:0]):
        data = readouts_data(frame, swept=swept(only), **CHOICE)
        assert data.empty and "Nothing to draw: no model is labelled through several" in texts_of(draw(data))


def test_without_controls_there_are_bars_alone():
    data = readouts_data(tables({"one": THREE}, controls=False)[2], swept=swept(["one"]), **CHOICE)
    assert data["control_fraction"].isna().all() and "random" not in texts_of(draw(data))


def test_by_criteria_without_kinds_all_are_other():
    fractions = tables({"one": THREE})[2]
    data = readouts_data(fractions[fractions["kind"] == "all"], swept=swept(["one"]), **CHOICE)
    assert (data.loc[data["kind"] != "other", "k"] == 0).all()
    assert (data.loc[data["kind"] == "other", "k"] > 0).all()


def test_it_is_drawn_where_a_model_has_several_readouts():
    sweep = sweep_with()
    assert figure_files(sweep, "readouts") == [] and "readouts" not in selected_figures(sweep)
    why, how = why_not_drawn(sweep, "readouts")
    assert "several read-outs" in why and how == "write readouts: [W_U, W_U_cosine, W_U_whitened]"
    with pytest.raises(
        SvdlensError, match=r"figures.select: readouts compares read-outs.*write readouts: \[W_U, W_U_c"
    ):
        check_figures(sweep_with(figures={"select": ["readouts"]}))
    several = sweep_with(sweep={"readouts": THREE})
    assert "readouts" in selected_figures(several)
    assert [file.path for file in figure_files(several, "readouts")] == [
        f"results/figures/readouts_{setting}" for setting in ("raw", "post2022")
    ]
    check_figures(sweep_with(sweep={"readouts": THREE}, figures={"select": ["readouts"]}))


@pytest.mark.parametrize("readout", READOUTS)
def test_where_it_is_not_drawn_the_way_out_is_one(readout: str) -> None:
    """What it says to write are read-outs that there are, with which it is drawn."""
    _, how = why_not_drawn(sweep_with(sweep={"readouts": [readout]}), "readouts")
    names = how.removeprefix("write readouts: [").removesuffix("]").split(", ")
    assert names[0] == readout and len(names) == len(set(names)) > 1 and set(names) <= set(READOUTS)
    assert "readouts" in selected_figures(sweep_with(sweep={"readouts": names}))
