"""The figures of labels and fractions: what is drawn is what the tables say, and what has no labels is said."""

import functools
import importlib
import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from matplotlib.colors import to_hex
from statsmodels.stats.proportion import proportion_confint

from svdlens.artefacts.table_schemas import with_metadata
from svdlens.evaluation.fractions import fractions_of_readouts
from svdlens.figures import style
from svdlens.figures.agreement import agreement_data, draw_agreement
from svdlens.figures.antipodal import antipodal_data, draw_antipodal
from svdlens.figures.basis import LAYERS, basis_data, draw_basis
from svdlens.figures.controls import controls_data, draw_controls
from svdlens.figures.fraction_by_depth import draw_fraction_by_depth, fraction_by_depth_data
from svdlens.figures.fraction_by_index import ENOUGH, draw_fraction_by_index, fraction_by_index_data
from svdlens.figures.fraction_by_layer import draw_fraction_by_layer, fraction_by_layer_data
from svdlens.figures.fraction_by_matrix import draw_fraction_by_matrix, fraction_by_matrix_data
from svdlens.figures.fraction_by_model import draw_fraction_by_model, fraction_by_model_data
from svdlens.figures.fraction_published import draw_fraction_published, fraction_published_data
from svdlens.figures.frequency_directions import draw_frequency_directions, frequency_directions_data
from svdlens.figures.interpretable_table import fractions_of_matrices, most_interpretable, why_this_one
from svdlens.figures.kinds_by_layer import draw_kinds_by_layer, kinds_by_layer_data
from svdlens.figures.label_rows import count_rows
from svdlens.figures.panels import KIND_COLOURS, matrix_styles
from svdlens.figures.read_write import draw_read_write, read_write_data
from svdlens.figures.settings_effect import (
    draw_settings_effect,
    jaccard,
    list_overlap,
    read_lists,
    settings_effect_data,
)
from svdlens.figures.style import save_figure
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import setting_from_names, setting_pairs
from workflow import Files

PROJECT = Path(__file__).parents[2]

# Panels must find their places.
pytestmark = pytest.mark.filterwarnings("error:constrained_layout")

SIDES = {"ov": ["read", "write"], "mlp_in": ["read"], "mlp_out": ["write"]}
MATRICES = ["mlp_out", "ov", "mlp_in"]
LABELLER, CRITERION = "minilm", "q_value < 0.05"
KINDS = ["semantic", "grammatical", "orthographic", "frequency", "glitch", "none"]
PLACE = ["model", "setting", "matrix"]
CONTROLS = ["random_unit", "rotated", "gaussian"]
BASIS = {"basis": "svd", "n_rotated": 90}
SHOWN = {"labeller": LABELLER, "criterion": CRITERION, "n_controls": 60}


def rows_of(generator, n, share):
    """The columns that a labeller fills, of n lists."""
    interpretable = generator.random(n) < share
    kinds = np.where(interpretable, generator.choice(KINDS[:3], n), generator.choice(KINDS[3:], n, p=[0.15, 0.1, 0.75]))
    return {
        "labeller": LABELLER, "kind": kinds, "labelled": interpretable, "verified": None,
        "interpretable": interpretable,
        "score": generator.normal(size=n), "p_value": generator.random(n), "q_direction": generator.random(n) ** 2,
        "mean_log_rank": generator.uniform(3, 10, n), "status": "ok",
    }  # fmt: skip


def is_interpretable(labels):
    return labels["interpretable"].eq(True) & ~labels["kind"].isin(["frequency", "glitch"])


def labels_frame(
    depths=None, settings=("raw", "fold"), matrices=MATRICES, heads=2, directions=5, readout="W_U", seed=0
):
    """The table of labels of a sweep with random labels."""
    generator = np.random.default_rng(seed)
    pieces = []
    for model, depth in ({"small": 2, "deep": 4} if depths is None else depths).items():
        for setting, matrix in itertools.product(settings, matrices):
            keys = itertools.product(
                range(depth), range(heads) if matrix == "ov" else [None], range(directions), SIDES[matrix], (1, -1)
            )
            rows = pd.DataFrame(keys, columns=["layer", "head", "index", "side", "sign"])
            rows = rows.assign(model=model, setting=setting, matrix=matrix, readout=readout)
            pieces.append(rows.assign(**rows_of(generator, len(rows), 0.3 + 0.1 * len(matrix) / 2)))
    frame = pd.concat(pieces, ignore_index=True)
    return frame.astype({"model": "category", "setting": "category", "matrix": "category", "head": float})


def controls_frame(labels, n=60, seed=1):
    """The labels of controls of the sweep of `labels`."""
    generator = np.random.default_rng(seed)
    pieces = []
    for model, setting, matrix in places_of(labels):
        readout = labels.loc[labels["model"] == model, "readout"].iloc[0]
        for control in CONTROLS:
            if control == "rotated":
                own = labels[[key == (model, setting, matrix) for key in places_of_rows(labels)]].iloc[::3]
                pieces.append(own.assign(control=control, **rows_of(generator, len(own), 0.25)))
                continue
            keys = pd.DataFrame(itertools.product(range(n), (1, -1)), columns=["index", "sign"])
            keys = keys.assign(layer=np.nan, head=np.nan, side="all", control=control, readout=readout)
            keys = keys.assign(model=model, setting=setting, matrix=matrix)
            pieces.append(keys.assign(**rows_of(generator, len(keys), 0.2)))
    return pd.concat(pieces, ignore_index=True)


def places_of(labels):
    return list(dict.fromkeys(places_of_rows(labels)))


def fractions_frame(labels, controls=None):
    """The rows of the table of fractions that figures may draw, and others that they must leave aside."""
    pieces = []
    for place in places_of(labels):
        own = labels[[key == place for key in places_of_rows(labels)]]
        beside = rotated = None
        if controls is not None and len(controls):
            both = controls[[key == place for key in places_of_rows(controls)]]
            beside, rotated = (both[both["control"] == control] for control in ("random_unit", "rotated"))
        piece = fractions_of_readouts(own, beside, CRITERION, rotated)
        pieces.append(piece.assign(**dict(zip(PLACE, place, strict=True)), labeller=LABELLER))
    table = pd.concat(pieces, ignore_index=True).query("unit == 'row' and kind == 'all'")
    return pd.concat(
        [table, table.assign(kind="semantic", k=0), table.assign(unit="either", k=0), table.assign(criterion="P", k=0)],
        ignore_index=True,
    )


def places_of_rows(table):
    return list(zip(*(table[name] for name in PLACE), strict=True))


def nothing(table):
    """The rows that a table has where nothing was labelled."""
    return table.iloc[:0]


def save(figure, data, directory):
    paths = [directory / f"figure.{suffix}" for suffix in ("pdf", "png", "csv")]
    save_figure(figure, data, *paths)
    return paths


def texts_of(figure):
    return " ".join(
        text.get_text().replace("\n", " ") for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    )


LABELS = labels_frame()
CONTROL_LABELS = controls_frame(LABELS)
FRACTIONS = fractions_frame(LABELS, CONTROL_LABELS)
OF_FRACTIONS = {
    "fraction_by_layer": (fraction_by_layer_data, draw_fraction_by_layer, True),
    "fraction_by_depth": (fraction_by_depth_data, draw_fraction_by_depth, True),
    "fraction_by_index": (fraction_by_index_data, draw_fraction_by_index, True),
    "fraction_by_model": (fraction_by_model_data, draw_fraction_by_model, False),
    "fraction_by_matrix": (fraction_by_matrix_data, draw_fraction_by_matrix, False),
    "read_write": (read_write_data, draw_read_write, True),
}
OF_LABELS = {
    "kinds_by_layer": (kinds_by_layer_data, draw_kinds_by_layer),
    "frequency_directions": (frequency_directions_data, draw_frequency_directions),
    "controls": (controls_data, functools.partial(draw_controls, **BASIS)),
    "basis": (basis_data, functools.partial(draw_basis, **BASIS)),
    "antipodal": (antipodal_data, draw_antipodal),
}


def make(name, labels=LABELS, controls=CONTROL_LABELS, fractions=None, swept=None, setting="raw", networks=()):
    """Data and figure of one setting (or of the whole sweep) by the name of the figure."""
    swept = places_of(LABELS if labels.empty else labels) if swept is None else swept
    choice = {"swept": swept, "criterion": CRITERION, "labeller_networks": set(networks)}
    if name in OF_FRACTIONS:
        choose, draw, by_setting = OF_FRACTIONS[name]
        if labels is LABELS and controls is CONTROL_LABELS:
            fractions = FRACTIONS
        elif fractions is None:
            fractions = nothing(FRACTIONS) if labels.empty else fractions_frame(labels, controls)
        data = choose(fractions, labeller=LABELLER, **choice)
        if not by_setting:
            return data, draw(data, **SHOWN)
        data = data[data["setting"] == setting]
    else:
        choose, draw = OF_LABELS[name]
        controls = nothing(CONTROL_LABELS) if controls is None else controls
        of_setting = (table[table["setting"] == setting] for table in (labels, controls))
        data = choose(*of_setting, **choice | {"swept": [place for place in swept if place[1] == setting]})
    return data, draw(data, setting=setting, **SHOWN)


NAMES = [*OF_FRACTIONS, *OF_LABELS]
BY_LAYER = ("fraction_by_layer", "fraction_by_depth", "kinds_by_layer", "frequency_directions", "read_write")
"""Those that draw nothing of a matrix that is of no layer."""


def one_place(table, row):
    return table[(table["model"] == row.model) & (table["setting"] == row.setting) & (table["matrix"] == row.matrix)]


# What the tables say


@pytest.mark.parametrize("name", OF_FRACTIONS)
def test_fractions_are_counts_of_labels_with_their_intervals_and_controls(name):
    data, _ = make(name)
    assert len(data) > 0 and data["n"].gt(0).all() and not data["partly_labelled"].any()
    for row in data.itertuples():
        rows = one_place(LABELS, row)
        if "first_index" in data:
            rows = rows[rows["index"].between(row.first_index, row.last_index)]
        elif "layer" in data:
            rows = rows[rows["layer"] == row.layer]
        if name == "read_write":
            rows = rows[rows["side"] == row.side]
        assert (row.n, row.k) == (len(rows), is_interpretable(rows).sum())
        assert row.n_matrices == len(rows[["layer", "head"]].drop_duplicates())
        low, high = proportion_confint(row.k, row.n, method="wilson")
        if row.n_matrices == 1:
            assert (row.low, row.high) == pytest.approx((low, high), abs=1e-12)
        else:
            assert row.low <= low + 1e-12 and high - 1e-12 <= row.high
        control = one_place(CONTROL_LABELS, row).query("control == 'random_unit'")
        k, n = is_interpretable(control).sum(), len(control)
        assert row.control_fraction == pytest.approx(k / n)
        interval = (row.control_low, row.control_high)
        assert interval == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)


def test_runs_of_indices_cover_every_direction_once_and_have_enough_rows():
    labels = labels_frame({"one": 2, "twelve": 12}, settings=["raw"], directions=11)
    data, _ = make("fraction_by_index", labels, None)
    for _, runs in data.groupby(["model", "matrix"]):
        covered = [index for run in runs.itertuples() for index in range(int(run.first_index), int(run.last_index) + 1)]
        assert covered == list(range(11))
        assert (runs["n"].iloc[:-1] >= ENOUGH).all() or runs["last_index"].iloc[0] >= 7
        assert np.allclose(runs["index"], (runs["first_index"] + runs["last_index"]) / 2)
    # With rows enough, no two indices are counted together.
    assert (data.query("model == 'twelve'")["first_index"] == data.query("model == 'twelve'")["last_index"]).all()


def test_rows_of_a_run_of_indices_are_as_alike_as_all_rows_of_a_matrix():
    labels = labels_frame({"deep": 12}, settings=["raw"], matrices=["mlp_in"], directions=48)
    shares = np.random.default_rng(0).beta(1, 2, 12)[labels["layer"]]
    labels["interpretable"] = np.random.default_rng(1).random(len(labels)) < shares
    labels["kind"] = np.where(labels["interpretable"], "semantic", "none")
    fractions = fractions_frame(labels)
    [whole] = fractions.query("group == 'all' and side == 'all' and criterion == @CRITERION").query(
        "unit == 'row' and kind == 'all'"
    )["design_effect"]
    # Each model has 24 rows of an index; with every second direction it has 12, so that two are counted together.
    half = labels[labels["sign"] > 0]
    data, _ = make("fraction_by_index", half, None)
    assert ((data["last_index"] - data["first_index"]) == 1).all()
    singles, _ = make("fraction_by_index", labels, None)
    assert (singles["last_index"] == singles["first_index"]).all()
    # Two rows of a matrix in either case, whose correlation is known from 96 rows better than from two.
    expected = 1 + (whole - 1) / 95
    assert data["design_effect"].to_numpy() == pytest.approx(expected, abs=0.1)
    assert singles["design_effect"].mean() == pytest.approx(expected, abs=0.1)
    assert ((data["low"] <= data["fraction"]) & (data["fraction"] <= data["high"])).all()


def test_relative_depth_goes_from_0_to_1_and_is_0_for_one_layer():
    data, _ = make("fraction_by_depth", labels_frame({"one": 1, "five": 5}))
    depths = data.groupby("model")["depth"].agg(lambda depth: sorted(set(depth))).to_dict()
    assert depths == {"one": [0], "five": [0, 0.25, 0.5, 0.75, 1]}


def test_kinds_are_shares_of_the_rows_of_a_layer():
    data, _ = make("kinds_by_layer")
    assert np.allclose(data.groupby(["model", "matrix", "control", "layer"], dropna=False)["fraction"].sum(), 1)
    for row in data.itertuples():
        table = CONTROL_LABELS.query("control == 'random_unit'") if row.control else LABELS
        rows = one_place(table, row)
        rows = rows if row.control else rows[rows["layer"] == row.layer]
        if row.kind in ("frequency", "glitch"):
            k = (rows["kind"] == row.kind).sum()
        elif row.kind == "not interpretable":
            k = (rows["kind"] == "none").sum()
        else:
            k = (is_interpretable(rows) & (rows["kind"] == row.kind)).sum()
        assert (row.n, row.k) == (len(rows), k)
        assert row.interpretable == pytest.approx(is_interpretable(rows).mean())


def test_an_interpretable_list_of_no_kind_is_other():
    labels = LABELS.assign(kind="none", interpretable=True)
    data, figure = make("kinds_by_layer", labels)
    assert data.query("kind == 'other' and control == False")["fraction"].eq(1).all()
    assert "other" in texts_of(figure)


def test_first_directions_stand_beside_the_others():
    data, _ = make("frequency_directions")
    middle = LABELS[LABELS["setting"] == "raw"].groupby("model", observed=True)["mean_log_rank"].median()
    for row in data.itertuples():
        rows = one_place(LABELS, row)
        first = rows["index"] == 0
        rows = rows[(first if row.directions == "index 0" else ~first) & (rows["layer"] == row.layer)]
        special = rows[rows["kind"].isin(["frequency", "glitch"])]
        assert (row.n, row.k) == (len(rows), len(special))
        rare = (special["kind"] == "frequency") & (special["mean_log_rank"] > middle[row.model])
        assert row.rare == pytest.approx(rare.sum() / len(rows))
        assert row.frequent + row.rare + row.glitch == pytest.approx(row.fraction)
        control = one_place(CONTROL_LABELS, row).query("control == 'random_unit'")
        assert row.control_fraction == pytest.approx(control["kind"].isin(["frequency", "glitch"]).mean())


def test_every_control_stands_beside_the_singular_directions():
    data, _ = make("controls")
    assert set(data["source"]) == {"singular", *CONTROLS}
    for row in data.itertuples():
        table = LABELS if row.source == "singular" else CONTROL_LABELS[CONTROL_LABELS["control"] == row.source]
        rows = one_place(table, row)
        assert (row.n, row.k) == (len(rows), is_interpretable(rows).sum())
        assert row.beyond_random == pytest.approx((rows["q_direction"] < 0.05).mean())
    share = data.set_index([*PLACE, "source"])["fraction"]
    for row in data[data["source"] != "singular"].itertuples():
        assert row.excess == pytest.approx(share[row.model, row.setting, row.matrix, "singular"] - row.fraction)
        assert row.excess_low < row.excess < row.excess_high
    assert data.loc[data["source"] == "singular", "excess"].isna().all()


def test_bases_stand_beside_each_other_by_side_and_layers():
    data, _ = make("basis")
    first = {"all layers": {"small": 0, "deep": 0}, "last third of layers": {"small": 1, "deep": 3}}
    for row in data.itertuples():
        rows = one_place(LABELS if row.source == "singular" else CONTROL_LABELS, row)
        if row.source == "random_unit":
            rows = rows[rows["control"] == row.source]
        else:
            rows = rows[(rows["side"] == row.side) & (rows["layer"] >= first[row.layers][row.model])]
            rows = rows if row.source == "singular" else rows[rows["control"] == row.source]
        assert (row.n, row.k) == (len(rows), is_interpretable(rows).sum()), row
    assert set(data["source"]) == {"singular", "rotated", "random_unit"} and set(data["layers"]) == set(LAYERS)


def test_bases_are_compared_with_each_other_and_each_with_what_it_is_of_random_subspaces():
    """Varimax is chosen by its tokens, so that its null is too."""
    rotated = CONTROL_LABELS[CONTROL_LABELS["control"] == "rotated"]
    random = CONTROL_LABELS[CONTROL_LABELS["control"] == "random_unit"]
    more = [rotated.assign(control="varimax"), random.iloc[::2].assign(control="random_varimax")]
    data, _ = make("basis", controls=pd.concat([CONTROL_LABELS, *more], ignore_index=True))
    place = [*PLACE, "side", "layers"]
    share = data.set_index([*place, "source"])["fraction"]
    nulls = {"singular": "random_unit", "rotated": "random_unit", "varimax": "random_varimax"}
    assert set(data["source"]) == {*nulls, *nulls.values()}
    for row in data.to_dict("records"):
        own = share[*(row[name] for name in place), "singular"]
        if row["source"] in ("rotated", "varimax"):
            assert row["excess"] == pytest.approx(own - row["fraction"])
            assert row["excess_low"] < row["excess"] < row["excess_high"]
        else:
            assert np.isnan(row["excess"])
        if row["source"] in nulls:
            null = share[*(row[name] for name in place), nulls[row["source"]]]
            assert row["over_random"] == pytest.approx(row["fraction"] - null)
            assert row["over_random_low"] < row["over_random"] < row["over_random_high"]
        else:
            assert np.isnan(row["over_random"])


def test_what_the_directions_of_a_sweep_are_is_said_in_its_figures():
    for name, (choose, draw) in {"controls": OF_LABELS["controls"], "basis": OF_LABELS["basis"]}.items():
        raw = LABELS[LABELS["setting"] == "raw"], CONTROL_LABELS[CONTROL_LABELS["setting"] == "raw"]
        data = choose(*raw, swept=places_of(raw[0]), criterion=CRITERION)
        figure = draw(data, setting="raw", **SHOWN | {"basis": "varimax"})
        texts = texts_of(figure)
        assert "Varimax directions" in texts and "Singular directions" not in texts, name
        assert "varimax" in [text.get_text() for legend in figure.legends for text in legend.get_texts()], name


def test_the_excess_over_a_control_with_matrices_is_paired_by_matrix():
    """Where matrices of the control are as the matrices themselves, all that is left to chance are the rows of each; it
    is more where they are taken as independent of each other."""
    rows = labels_frame({"deep": 12}, settings=["raw"], matrices=["mlp_in"], directions=20)
    rows["interpretable"] = np.arange(len(rows)) % 40 < (rows["layer"] + 2)
    rows["kind"] = np.where(rows["interpretable"], "semantic", "none")
    paired, apart = rows.assign(control="rotated"), rows.assign(control="random_unit", layer=np.nan, side="all")
    data, _ = make("controls", rows, pd.concat([paired, apart], ignore_index=True))
    by_source = data.set_index("source")
    width = by_source["excess_high"] - by_source["excess_low"]
    assert by_source.loc[["rotated", "random_unit"], "excess"].abs().max() < 1e-12
    assert 0.05 < width["rotated"] < 0.8 * width["random_unit"]


def test_only_controls_that_there_are_stand_beside_them():
    primary = CONTROL_LABELS[CONTROL_LABELS["control"] == "random_unit"]
    data, figure = make("controls", controls=primary)
    assert set(data["source"]) == {"singular", "random_unit"}
    text = texts_of(figure)
    assert "random unit" in text and "rotated" not in text and "Gaussian" not in text


def test_signs_are_counted_in_pairs():
    data, _ = make("antipodal")
    for row in data.itertuples():
        rows = one_place(LABELS, row)
        rows = rows.assign(counts=is_interpretable(rows))
        directions = rows.groupby(["layer", "head", "index", "side"], dropna=False)["counts"]
        wanted = {"both": 2, "one": 1, "none": 0}[row.outcome]
        assert (row.n, row.k) == (directions.ngroups, (directions.sum() == wanted).sum())
    assert np.allclose(data.groupby(["model", "matrix"])[["fraction", "expected"]].sum(), 1)


def test_independence_is_that_within_a_layer_and_side():
    # Signs always agree within a layer: between layers they differ, which is no dependence.
    layers = LABELS.assign(interpretable=LABELS["layer"] == 0, kind="semantic")
    data, _ = make("antipodal", layers)
    assert np.allclose(data["expected"], data["fraction"])
    # Of each direction just one sign is interpretable: independent signs would both be in a quarter of cases.
    alternating = LABELS.assign(interpretable=(LABELS["sign"] == 1) == (LABELS["index"] % 2 == 0), kind="semantic")
    data, _ = make("antipodal", alternating[alternating["index"] < 4])
    assert data.set_index("outcome")["fraction"].loc["one"].eq(1).all()
    assert np.allclose(data.set_index("outcome")["expected"].loc["both"], 0.25)


# What is drawn


def numbers_of(axes):
    """The coordinates of every line, bar and band of a panel along y."""
    lines = [line.get_ydata() for line in axes.lines]
    bars = [patch.get_y() + patch.get_height() for patch in axes.patches] + [patch.get_y() for patch in axes.patches]
    bands = [path.vertices[:, 1] for drawn in axes.collections for path in drawn.get_paths()]
    segments = [part for drawn in axes.collections if hasattr(drawn, "get_segments") for part in drawn.get_segments()]
    drawn = [*lines, bars, *bands, *(part[:, 1] for part in segments)]
    return np.concatenate([np.asarray(part, float).ravel() for part in drawn])


@pytest.mark.parametrize("name", ["fraction_by_layer", "fraction_by_depth", "fraction_by_index", "read_write"])
def test_every_fraction_of_the_csv_is_on_its_line_with_its_band(name):
    data, figure = make(name)
    column = "matrix" if name == "fraction_by_depth" else "model"
    # By depth there are two panels for each matrix.
    values = style.ordered_matrices(data["matrix"]) if column == "matrix" else list(dict.fromkeys(data["model"]))
    panels = [rows for value in values for rows in [data[data[column] == value]] * (2 if column == "matrix" else 1)]
    for axes, rows in zip(figure.axes, panels, strict=True):
        drawn = numbers_of(axes)
        for column_drawn in ("fraction", "low", "high", "control_fraction", "control_low", "control_high"):
            assert np.isclose(rows[column_drawn].to_numpy()[:, None], drawn, rtol=0, atol=1e-12).any(axis=1).all()
        assert axes.get_ylim() == (0, 1)


@pytest.mark.parametrize("name", ["fraction_by_model", "fraction_by_matrix", "controls", "antipodal"])
def test_every_fraction_of_the_csv_is_a_point_with_bars(name):
    data, figure = make(name)
    column = "matrix" if name == "fraction_by_model" else "model"
    values = style.ordered_matrices(data[column]) if column == "matrix" else list(dict.fromkeys(data[column]))
    for axes, value in zip((axes for axes in figure.axes if axes.lines), values, strict=True):
        drawn = numbers_of(axes)
        rows = data[data[column] == value]
        for column_drawn in ("fraction", "low", "high", *(["expected"] if name == "antipodal" else [])):
            assert np.isclose(rows[column_drawn].to_numpy()[:, None], drawn, rtol=0, atol=1e-9).any(axis=1).all()


@pytest.mark.parametrize("name", ["fraction_by_model", "fraction_by_matrix"])
def test_no_two_points_share_a_place(name):
    _, figure = make(name)
    for axes in figure.axes:
        places = [
            float(x)
            for container in axes.containers
            if hasattr(container, "has_yerr")
            for x in container[0].get_xdata()
        ]
        assert len(set(np.round(places, 6))) == len(places) > 0


def test_stacked_kinds_reach_the_top():
    _, figure = make("kinds_by_layer")
    for axes in figure.axes:
        tops = {}
        for bar in axes.patches:
            tops[bar.get_x()] = max(tops.get(bar.get_x(), 0), bar.get_y() + bar.get_height())
        assert np.allclose(list(tops.values()), 1)
    # The random directions have a bar of their own.
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()][-1] == "R"


def test_the_interval_of_kinds_stands_where_the_interpretable_kinds_end():
    data, figure = make("kinds_by_layer")
    colours = {to_hex(colour): kind for kind, colour in KIND_COLOURS.items()}
    for axes in figure.axes:
        ends = [float(y) for drawn in axes.collections for part in drawn.get_segments() for y in part[:, 1]]
        for left in {bar.get_x() for bar in axes.patches}:
            tops = {
                colours[to_hex(bar.get_facecolor())]: bar.get_y() + bar.get_height()
                for bar in axes.patches
                if bar.get_x() == left
            }
            interpretable = max(tops.get(kind, 0) for kind in ("semantic", "grammatical", "orthographic"))
            [row] = {
                (row.interpretable, row.interpretable_low, row.interpretable_high)
                for row in data.itertuples()
                if row.interpretable == pytest.approx(interpretable, abs=1e-9)
            }
            assert all(np.isclose(ends, end).any() for end in row[1:])
            # What is never interpretable is above the grey, away from the interval.
            assert interpretable <= tops["not interpretable"] <= min(tops["frequency"], tops["glitch"])
    text = texts_of(figure)
    assert "Black bars, of all these together" in text and "From above: frequency and glitch lists" in text


def test_the_two_signs_of_one_direction_have_no_interval():
    data, figure = make("frequency_directions")
    first = data[data["directions"] == "index 0"]
    assert first.loc[first["matrix"] == "ov", ["low", "high"]].notna().all(axis=None)
    assert first.loc[first["matrix"] != "ov", ["low", "high"]].isna().all(axis=None)
    assert first.loc[first["matrix"] != "ov", "n"].eq(2).all()
    assert data.loc[data["directions"] == "others", ["low", "high"]].notna().all(axis=None)
    assert "half a bar is one of its two signs" in texts_of(figure)
    of_heads, plain = make("frequency_directions", LABELS[LABELS["matrix"] == "ov"])
    assert of_heads["low"].notna().all() and "half a bar" not in texts_of(plain)


@pytest.mark.parametrize("name", ["fraction_by_layer", "fraction_by_depth", "fraction_by_index"])
def test_no_two_intervals_of_random_directions_lie_upon_each_other(name):
    _, figure = make(name)
    for axes in figure.axes:
        upright = [
            line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and np.ptp(line.get_xdata()) == 0
        ]
        places = [float(x[0]) for x in upright]
        assert len(places) > 1 and len(set(places)) == len(places)
        # Beside the lines, not under them.
        points = [line.get_xdata() for line in axes.lines if line.get_marker() not in ("None", None, "")]
        assert min(places) > max(np.max(x) for x in points)
    assert "Dashed, with bars on the right" in texts_of(figure) and "Grey" not in texts_of(figure)


def test_a_panel_says_whether_a_matrix_is_not_labelled_or_not_swept():
    alone = LABELS[~((LABELS["model"] == "small") & (LABELS["matrix"] == "mlp_in"))]
    for name in ("kinds_by_layer", "frequency_directions"):
        unlabelled = texts_of(make(name, alone, swept=places_of(LABELS))[1])
        assert "not labelled" in unlabelled and "not in the sweep" not in unlabelled
        unswept = texts_of(make(name, alone, swept=places_of(alone))[1])
        assert "not in the sweep" in unswept and "not labelled" not in unswept


# The matrix that a rule shows


def test_the_table_shows_the_matrix_of_the_largest_share_and_says_why():
    labels = labels_frame(settings=["raw"])
    fractions = fractions_frame(labels, CONTROL_LABELS)
    for model, matrix, side in (("deep", "ov", "write"), ("deep", "mlp_in", "read"), ("small", "mlp_out", "write")):
        found = fractions_of_matrices(
            fractions, model=model, setting="raw", matrix=matrix, labeller=LABELLER, criterion=CRITERION
        )
        rows = labels.query("model == @model and matrix == @matrix and side == @side")
        shares = is_interpretable(rows).groupby([rows["layer"], rows["head"].fillna(-1)]).agg(["sum", "size"])
        assert len(found) == len(shares)
        best = most_interpretable(found)
        assert best["fraction"] == pytest.approx((shares["sum"] / shares["size"]).max())
        assert (best["layer"], -1 if best["head"] is None else best["head"]) == (
            shares["sum"] / shares["size"]
        ).idxmax()
        text = why_this_one(found, labeller=LABELLER, criterion=CRITERION)
        assert f"of the {len(shares)} {style.matrix_name(matrix)} matrices" in text and f"on the {side} side" in text
        assert f"{100 * best['fraction']:.0f} % ({best['k']} of {best['n']};" in text
        assert (
            f"it is {100 * shares['sum'].sum() / shares['size'].sum():.0f} %" in text and "of random directions" in text
        )
    # Among equals the first.
    equal = most_interpretable(found.assign(fraction=0.5).iloc[::-1])
    assert equal["layer"] == found["layer"].min() and equal["head"] is None


def test_a_layer_without_labels_is_a_gap_and_is_said():
    gap = LABELS[~((LABELS["model"] == "deep") & (LABELS["matrix"] == "ov") & (LABELS["layer"] == 1))]
    data, figure = make("fraction_by_layer", gap)
    assert data.groupby("model")["partly_labelled"].any().to_dict() == {"small": False, "deep": True}
    assert (
        "Lists with too few known tokens for a label, and null space, are left out in: deep (attention OV)."
        in texts_of(figure)
    )
    deep = figure.axes[1]
    assert not any({0, 2} <= set(line.get_xdata()) and line.get_marker() == "o" for line in deep.lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_matrix_of_no_layer_is_drawn_once_or_left_out_and_never_said_to_lack_labels(name):
    first = LABELS[(LABELS["matrix"] == "mlp_in") & (LABELS["layer"] == 0)]
    labels = pd.concat([LABELS, first.assign(matrix="unembed", layer=np.nan)], ignore_index=True)
    labels = labels.astype({"matrix": "category"})
    data, figure = make(name, labels, controls_frame(labels))
    unembed = data[data["matrix"] == "unembed"]
    assert unembed["n"].gt(0).all()
    assert unembed.empty == (name in BY_LAYER)
    figure.draw_without_rendering()
    assert "Not labelled" not in texts_of(figure)


@pytest.mark.parametrize("name", NAMES)
def test_matrices_without_labels_are_named_and_keep_a_row(name):
    swept = places_of(LABELS)
    left = LABELS[~((LABELS["model"] == "small") & (LABELS["matrix"] == "ov"))]
    data, figure = make(name, left, swept=swept)
    absent = data[data["n"] == 0]
    assert set(absent["model"]) == {"small"} and set(absent["matrix"]) == {"ov"}
    assert absent["k"].eq(0).all() if "k" in absent else True
    figure.draw_without_rendering()
    assert "Not labelled: small" in texts_of(figure) and "(attention OV)" in texts_of(figure)


@pytest.mark.parametrize("name", NAMES)
def test_lists_on_which_the_labeller_abstained_do_not_count(name):
    some = LABELS.index % 7 == 0
    abstained = LABELS.assign(
        status=np.where(some, "abstained", "ok"), interpretable=LABELS["interpretable"].astype(object).mask(some, None)
    )
    data, figure = make(name, abstained)
    of_rows = data[data["partly_labelled"]]
    assert len(of_rows) and "Lists with too few known tokens" in texts_of(figure)
    if name == "controls":
        singular = data[data["source"] == "singular"]
        assert singular["n"].sum() == ((LABELS["setting"] == "raw") & ~some).sum()


# Sweeps of every size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("controls", [True, False])
def test_one_model_setting_layer_head_and_direction_is_drawn(name, controls):
    labels = labels_frame({"only": 1}, settings=["raw"], matrices=["ov"], heads=1, directions=1)
    # Without random directions there is no null of directions.
    labels = labels if controls else labels.assign(q_direction=np.nan)
    data, figure = make(name, labels, controls_frame(labels) if controls else None)
    assert ("random" in texts_of(figure)) == controls
    figure.draw_without_rendering()
    assert (data["n"] > 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["empty", "abstained", "no sweep"])
def test_without_labels_the_figure_says_so(name, case):
    labels = LABELS.assign(status="abstained", interpretable=None) if case == "abstained" else nothing(LABELS)
    fractions = nothing(FRACTIONS)
    data, figure = make(name, labels, nothing(CONTROL_LABELS), fractions, swept=[] if case == "no sweep" else None)
    assert "Nothing to draw" in texts_of(figure)
    assert (data["n"] == 0).all()
    figure.draw_without_rendering()


def test_a_sweep_without_ov_has_no_sides_to_compare():
    labels = labels_frame(matrices=["mlp_in"])
    _, figure = make("read_write", labels)
    assert "no OV circuits in this sweep" in texts_of(figure)


@pytest.mark.parametrize("name", NAMES)
def test_many_models_and_names_that_look_like_markup(name, tmp_path):
    depths = {"$x^2$_{": 1, "<b>model</b>": 2, "a model with a long name": 3, "d": 2, "مرحبا": 1}
    labels = labels_frame(depths, settings=["raw"], matrices=["ov"], directions=2)
    data, figure = make(name, labels, controls_frame(labels, n=5))
    assert set(data["model"]) == set(depths)
    assert all(model in texts_of(figure) for model in depths)
    # Without rendering no glyph is looked up.
    if name == "fraction_by_layer":
        save(figure, data, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_readout_of_each_model_and_its_own_network_are_pointed_out(name):
    one_matrix = "setting == 'raw' and matrix == 'ov'"
    again = LABELS.query(f"{one_matrix} and model == 'deep'").assign(readout="W_E", interpretable=True)
    both = pd.concat([LABELS.query(one_matrix), again], ignore_index=True)
    other = labels_frame({"encoder": 2}, settings=["raw"], matrices=["ov"], readout="W_E")
    labels = pd.concat([both, other], ignore_index=True)
    controls = pd.concat([CONTROL_LABELS, controls_frame(other)], ignore_index=True)
    data, figure = make(name, labels, controls, networks=["encoder"])
    drawn = data[data["n"] > 0]
    assert drawn.groupby("model")["readout"].agg(set).to_dict() == {
        "small": {"W_U"},
        "deep": {"W_U"},
        "encoder": {"W_E"},
    }
    assert (data["labeller_network"] == (data["model"] == "encoder")).all()
    text = texts_of(figure)
    assert "encoder *" in text and "read through W_E" in text and "no independent evidence" in text
    assert "through the unembedding (W_U) where nothing else is said" in text
    plain = texts_of(make(name)[1])
    assert "*" not in plain and "where nothing else" not in plain


def test_two_draws_give_the_same_bytes(tmp_path):
    turns = []
    for turn in ("first", "second"):
        data, figure = make("fraction_by_layer")
        turns.append([path.read_bytes() for path in save(figure, data, tmp_path / turn)])
    assert turns[0] == turns[1]
    back = pd.read_csv(tmp_path / "first/figure.csv", keep_default_na=False)
    for column in data:
        # An empty cell is a number that there is not.
        assert [
            None if value == "" else float(value) if column == "design_effect" else value for value in back[column]
        ] == [None if pd.isna(value) else value for value in data[column]]


def test_legends_stay_within_the_figure():
    for name in ("controls", "basis", "frequency_directions", "kinds_by_layer"):
        _, figure = make(name)
        figure.draw_without_rendering()
        for legend in figure.legends:
            assert legend.get_window_extent().x1 <= figure.bbox.x1


# Settings


NINE = {
    name: setting_from_names(name, switches)
    for name, switches in yaml.safe_load((PROJECT / "config.yaml").read_text())["settings"].items()
}


def test_pairs_of_settings_differ_in_one_switch_or_flag():
    pairs = setting_pairs(NINE)
    assert {pair for pair in pairs if pair.change == "read_gain"} == {("read_gain", "raw", "post2022")}
    assert {(pair.off, pair.on) for pair in pairs if pair.change == "fold_ln"} == {
        ("raw", "fold"), ("write", "fold_write"), ("unembed", "fold_unembed"), ("write_unembed", "tl_default"),
    }  # fmt: skip
    for change in ("write_center", "vocab_center"):
        assert sum(pair.change == change for pair in pairs) == 4
    for pair in pairs:
        off, on = (vars(NINE[name]) for name in pair[1:])
        changed = [switch for switch in off if off[switch] != on[switch]]
        assert changed == [pair.change] or (pair.change == "fold_ln" and len(changed) == 4)
        assert not any(off[switch] for switch in changed)


def test_jaccard_is_that_of_sets():
    generator = np.random.default_rng(0)
    first, second = (np.array([generator.permutation(30)[:10] for _ in range(50)]) for _ in range(2))
    expected = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(first, second, strict=True)]
    assert np.allclose(jaccard(first, second), expected)
    assert np.array_equal(jaccard(first, first[:, ::-1]), np.ones(50))


def write_tokens(path, *, seed, layers=2, second_readout=True, order=1):
    generator = np.random.default_rng(seed)
    rows = [
        {
            "matrix": "ov", "layer": layer, "head": head, "index": index, "side": side, "sign": sign,
            "readout": readout, "token_ids": generator.permutation(60)[:20].astype("int32"),
            "null_space": False,
        }
        for readout in ["W_U", *(["W_E"] if second_readout else [])]
        for layer in range(layers) for head in range(2) for index in range(3) for side in ("read", "write")
        for sign in (1, -1)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(rows[::order])), path)
    return path


def test_null_space_is_in_no_figure_of_labels():
    """What all of them count is what it is without those rows."""
    null = LABELS.index % 7 == 0
    said = {"status": np.where(null, "null_space", "ok"), "kind": LABELS["kind"].astype(object).mask(null, "none")}
    nothing_known = {name: LABELS[name].astype(object).mask(null, None) for name in ("labelled", "interpretable")}
    counted = count_rows(LABELS.assign(**said, **nothing_known), "c")
    pd.testing.assert_frame_equal(counted, count_rows(LABELS[~null], "c"), check_dtype=False, check_categorical=False)
    assert not counted["partly_labelled"].any()


def test_lists_are_compared_direction_by_direction(tmp_path):
    one = read_lists(write_tokens(tmp_path / "a.parquet", seed=0))
    assert len(one.ids) == 48 and one.ids.shape == (48, 20)
    # The order of the rows does not matter; that of the tokens does.
    turned = type(one)(one.rows[::-1].reset_index(drop=True), one.ids[::-1])
    assert list_overlap(one, turned) == {
        "n_lists": 48, "jaccard": 1.0, "jaccard_low": 1.0, "jaccard_high": 1.0, "exact": True
    }  # fmt: skip
    swapped = one.ids.copy()
    swapped[0, :2] = swapped[0, 1::-1]
    almost = list_overlap(one, type(one)(one.rows, swapped))
    assert almost["jaccard"] == 1 and not almost["exact"]
    other = read_lists(write_tokens(tmp_path / "b.parquet", seed=1, layers=1))
    overlap = list_overlap(one, other)
    values = [
        len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(one.ids[:24], other.ids, strict=True)
    ]  # fmt: skip
    assert overlap["n_lists"] == 24 and overlap["jaccard"] == pytest.approx(np.mean(values))
    half = 1.959964 * np.std(values, ddof=1) / math.sqrt(24)
    assert overlap["jaccard_high"] - overlap["jaccard"] == pytest.approx(half, rel=1e-6)
    # Null space is not compared.
    table = pd.read_parquet(tmp_path / "a.parquet")
    table.assign(null_space=table["index"] == 0).to_parquet(tmp_path / "c.parquet")
    assert set(read_lists(tmp_path / "c.parquet").rows["index"]) == set(one.rows["index"]) - {0}


def settings_figure(tmp_path, settings=("raw", "unembed", "post2022", "write"), labels=None):
    lists = {
        ("small", setting, "ov"): write_tokens(
            tmp_path / f"{setting}.parquet", seed=0 if setting == "unembed" else place
        )
        for place, setting in enumerate(settings)
    }
    labels = labels_frame({"small": 2}, settings=settings, matrices=["ov"]) if labels is None else labels
    fractions = nothing(FRACTIONS) if labels.empty else fractions_frame(labels, controls_frame(labels))
    choice = {"swept": list(lists), "labeller": LABELLER, "criterion": CRITERION}
    data = settings_effect_data(fractions, lists, settings=NINE, **choice)
    return data, draw_settings_effect(data, model="small", swept=list(lists), **SHOWN), fractions


def test_effects_of_settings_are_fractions_and_overlaps(tmp_path):
    data, figure, fractions = settings_figure(tmp_path)
    assert list(zip(data["change"], data["off"], data["on"], strict=True)) == [
        ("read_gain", "raw", "post2022"), ("write_center", "raw", "write"), ("vocab_center", "raw", "unembed")
    ]  # fmt: skip
    assert list(data["exact"]) == [False, False, True] and data["jaccard"].iloc[2] == 1
    whole = fractions.query(
        "unit == 'row' and kind == 'all' and side == 'all' and group == 'all' and criterion == @CRITERION"
    )
    whole = whole.set_index("setting")
    for end in ("off", "on"):
        assert np.allclose(data[f"fraction_{end}"], whole["fraction"].loc[data[end]])
        assert np.allclose(data[f"control_fraction_{end}"], whole["control_fraction"].loc[data[end]])
    text = texts_of(figure)
    assert "raw → post2022" in text and "all lists equal" in text and "No partner" not in text


def test_settings_without_a_partner_and_without_labels_are_said(tmp_path):
    _, figure, _ = settings_figure(tmp_path, ("raw", "post2022", "tl_default"))
    assert "No partner: tl_default." in texts_of(figure)
    data, figure, _ = settings_figure(tmp_path, ("raw", "post2022"), nothing(LABELS))
    assert (data["n_on"] == 0).all() and "Without labels there are only overlaps: 1 of 1" in texts_of(figure)
    save(figure, data, tmp_path)
    data, figure, _ = settings_figure(tmp_path, ("raw",))
    assert data.empty and "no two settings of this model differ in just one switch" in texts_of(figure)
    save(figure, data, tmp_path)


# Published labels and agreement


def published_frame(layers=3, directions=10, unparsed=False):
    generator = np.random.default_rng(3)
    rows = pd.DataFrame(itertools.product(range(layers), range(directions)), columns=["layer", "index"])
    labelled, verified = (generator.random(len(rows)) < share for share in (0.8, 0.7))
    rows = rows.assign(head=np.nan, side="read", sign=1, readout="W_U", labelled=labelled, verified=verified)
    rows = rows.assign(interpretable=labelled & verified, status="ok", kind="none").astype({"verified": object})
    rows = rows.assign(score=np.nan, p_value=np.nan, q_direction=np.nan)
    if unparsed:
        rows["interpretable"] = rows["interpretable"].astype(object)
        rows.loc[:4, ["verified", "interpretable"]] = None
    return rows.assign(kind=np.where(rows["interpretable"].eq(True), "semantic", "none"))


def test_published_labels_are_counted_by_every_criterion_and_absent_models_are_named():
    labels = published_frame(unparsed=True)
    tables = {("gpt2-small", "mlp_in"): labels}
    data = fraction_published_data(tables, ["gpt2-small", "gpt2-large"], ["mlp_in", "mlp_out"])
    drawn = data[data["n"] > 0]
    assert set(zip(drawn["model"], drawn["matrix"], strict=True)) == {("gpt2-small", "mlp_in")}
    for row in drawn.itertuples():
        answers = labels.loc[
            labels["layer"] == row.layer, {"P": "labelled", "V": "verified", "B": "interpretable"}[row.criterion]
        ]
        assert (row.n, row.k) == (answers.notna().sum(), answers.eq(True).sum())
    text = texts_of(draw_fraction_published(data))
    assert "Absent, no answers at hand: gpt2-small (MLP out); gpt2-large (MLP in, MLP out)." in text
    assert "P: labeller" in text and "V: verifier" in text and "B: both" in text
    nobody = fraction_published_data({}, ["gpt2-small"], ["mlp_in"])
    assert "no published labels at hand" in texts_of(draw_fraction_published(nobody))


def agreement_frame():
    cells = {"both": [5, 8, 0], "only_first": [2, 1, 0], "only_second": [1, 0, 0], "neither": [4, 3, 0]}
    frame = pd.DataFrame({"model": "m", "setting": "raw", "matrix": MATRICES, "readout": "W_U", **cells})
    frame["n"] = frame[list(cells)].sum(axis=1)
    of_random = {
        "both": [1, 0, 0],
        "only_first": [2, 0, 0],
        "only_second": [0, 0, 0],
        "neither": [7, 0, 0],
        "n": [10, 0, 0],
    }
    frame = frame.assign(**{f"control_{cell}": counts for cell, counts in of_random.items()})
    frame = frame.assign(first="coherence", second="published", kappa=[0.4, np.nan, np.nan])
    frame = frame.assign(kappa_low=[0.1, np.nan, np.nan], kappa_high=[0.7, np.nan, np.nan])
    alone = frame.assign(second=None, **dict.fromkeys([*cells, "kappa", "kappa_low", "kappa_high"]))
    return pd.concat([alone, frame], ignore_index=True)


def test_agreement_of_two_labellers_is_drawn_and_one_labeller_is_said(tmp_path):
    data = agreement_data(agreement_frame())
    assert len(data) == 3 and set(data["second"]) == {"published"}
    figure = draw_agreement(data, setting="raw", labellers=["coherence", "published"])
    kappas, cells, of_each = figure.axes
    assert [float(line.get_xdata()[0]) for line in kappas.lines if line.get_marker() not in ("None", "|")] == [0.4]
    assert "not defined" in texts_of(figure) and "only coherence" in texts_of(figure)
    drawn = data[data["n"] > 0]
    shares = [(drawn[cell] / drawn["n"]).tolist() for cell in ("both", "only_first", "only_second", "neither")]
    assert np.allclose([patch.get_width() for patch in cells.patches], np.concatenate(shares))
    # Of the first 7 of 12 lists and 3 of 10 random directions, of the second 6 and 1; where there are none, nothing.
    first_random, first, second_random, second = (line.get_xdata() for line in of_each.lines)
    assert np.allclose([first[0], first_random[0], second[0], second_random[0]], [7 / 12, 3 / 10, 6 / 12, 1 / 10])
    assert np.isnan(first_random[1]) and first[1] == 9 / 12 and "random directions" in texts_of(figure)
    save(figure, data, tmp_path)

    alone = agreement_data(agreement_frame().iloc[:3])
    text = texts_of(draw_agreement(alone, setting="raw", labellers=["coherence"]))
    assert alone.empty and "the sweep has one labeller, coherence" in text
    other = texts_of(draw_agreement(alone, setting="fold", labellers=["coherence", "published"]))
    assert "no two labellers have labelled the same lists in setting fold" in other


# The script


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"sources": {"deep/raw/ov.minilm.parquet": {"model": "deep", "labeller_network": True}}}
    pq.write_table(with_metadata(pa.Table.from_pandas(frame, preserve_index=False), facts), path)
    return str(path)


def script(figure, tmp_path, subjects, inputs, **options):
    """Run the script with one file for each of `subjects`; what it wrote."""
    output = {
        suffix: [str(tmp_path / f"out/{number}.{suffix}") for number in range(len(subjects))]
        for suffix in ("pdf", "png", "csv")
    }
    choice = {"places": places_of(LABELS), "layers": {}, "labeller": LABELLER, "criterion": CRITERION, "n_controls": 60}
    choice |= BASIS
    smk = SimpleNamespace(
        input=Files(inputs),
        output=Files(output),
        params=Files(choice | options | {"figure": figure, "subjects": subjects}),
        log="",
    )
    importlib.import_module("plot_figure").main(smk)
    assert len(list((tmp_path / "out").iterdir())) == 3 * len(subjects)
    return [pd.read_csv(path) for path in output["csv"]]


@pytest.mark.parametrize("name", OF_FRACTIONS)
@pytest.mark.slow
def test_the_script_draws_fractions(name, tmp_path):
    # Of two settings once: a figure takes half a second to save.
    settings = {"fraction_by_layer": ["raw", "fold"], "fraction_by_model": [None], "fraction_by_matrix": [None]}
    settings = settings.get(name, ["fold"])
    subjects = [{} if setting is None else {"setting": setting} for setting in settings]
    written = script(name, tmp_path, subjects, {"fractions": write(FRACTIONS, tmp_path / "fractions.parquet")})
    for setting, rows in zip(settings, written, strict=True):
        assert set(rows["setting"]) == ({"raw", "fold"} if setting is None else {setting})
        assert list(rows["labeller_network"]) == list(rows["model"] == "deep")
        expected, _ = make(name, fractions=FRACTIONS, setting=setting)
        assert list(rows["k"]) == list(expected["k"])


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.slow
def test_the_script_draws_labels(name, tmp_path):
    # Of another labeller are labels and controls that no figure of this one may count.
    other = {"labeller": "another", "interpretable": True, "kind": "semantic"}
    inputs = {
        table: write(pd.concat([rows, rows.assign(**other)]), tmp_path / f"{table}.parquet")
        for table, rows in (("labels", LABELS), ("control_labels", CONTROL_LABELS))
    }
    [rows] = script(name, tmp_path, [{"setting": "fold"}], inputs)
    expected, _ = make(name, setting="fold")
    assert list(rows["n"]) == list(expected["n"]) and list(rows["k"]) == list(expected["k"])


def test_the_script_draws_published_labels_and_agreement(tmp_path):
    path = write(published_frame(), tmp_path / "mlp_in.published.parquet")
    published = {"published": [("gpt2-small", "mlp_in")]}
    [rows] = script("fraction_published", tmp_path / "published", [{}], {"labels": [path]}, **published)
    assert rows["n"].sum() == 3 * 30
    table = write(agreement_frame(), tmp_path / "agreement.parquet")
    subjects = [{"setting": "raw"}, {"setting": "fold"}]
    drawn, empty = script("agreement", tmp_path / "agreement", subjects, {"agreement": table}, labellers=["coherence"])
    assert len(drawn) == 3 and empty.empty


def test_the_script_draws_settings(tmp_path):
    switches = {"raw": [], "post2022": ["read_gain"]}
    labels = labels_frame({"small": 2}, settings=list(switches), matrices=["ov"])
    inputs = {
        "fractions": write(fractions_frame(labels), tmp_path / "fractions.parquet"),
        "tokens": [str(write_tokens(tmp_path / f"setting={name}/ov.parquet", seed=0)) for name in switches],
    }
    places = [("small", name, "ov") for name in switches]
    subjects = [{"model": "small"}]
    [rows] = script("settings_effect", tmp_path, subjects, inputs, places=places, switches=switches)
    [row] = rows.to_dict("records")
    assert (row["change"], row["jaccard"], row["exact"]) == ("read_gain", 1.0, True)


def test_every_kind_of_matrix_has_a_look_of_its_own_also_a_new_one():
    styles = matrix_styles([*MATRIX_KINDS, "new", "newer"])
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == len(styles)
    # What came later changes nobody's look.
    assert {kind: styles[kind] for kind in MATRIX_KINDS} == matrix_styles(MATRIX_KINDS)


def test_colours_are_those_of_the_palette_for_colour_blind_readers():
    import seaborn

    assert {colour.lower() for colour in style.COLOURS} == set(seaborn.color_palette("colorblind").as_hex())


# Labels of a sample, as people give them


def sample_of(labels: pd.DataFrame, n: int) -> pd.DataFrame:
    """`n` lists of the MLPs of each layer, drawn at random."""
    return labels.groupby([*PLACE, "layer"], observed=True).sample(n, random_state=0)


def test_a_sample_is_said_to_be_one_and_nothing_else_is():
    labels = labels_frame({"deep": 6}, settings=["raw"], matrices=["mlp_in"], directions=10)
    # Fewer of the first layer, so that layers differ in what is labelled.
    sampled = sample_of(labels, 4).iloc[2:]
    for name in ("fraction_by_layer", "fraction_by_index"):
        data, partly = make(name, sampled, None)
        assert "Lists with too few known tokens" in texts_of(partly)
        figure = OF_FRACTIONS[name][1](data, setting="raw", **SHOWN | {"labeller": "manual"})
        assert "Labelled is a sample of the lists of each matrix" in texts_of(figure)
        assert "left out in" not in texts_of(figure) and "Not labelled" not in texts_of(figure)
        assert "sample" not in texts_of(partly)


def test_without_p_values_panels_keep_their_room():
    labels = labels_frame({"one": 1}, settings=["raw"], matrices=["mlp_in"]).assign(p_value=np.nan, q_direction=np.nan)
    controls = controls_frame(labels).query("control == 'random_unit'").assign(p_value=np.nan, q_direction=np.nan)
    _, figure = make("controls", labels, controls)
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().height * figure.get_figheight() > 1


def test_a_run_of_indices_of_a_sample_has_as_many_matrices_as_lists_are_of():
    labels = labels_frame({"deep": 24}, settings=["raw"], matrices=["mlp_in"], directions=40)
    sampled = sample_of(labels[labels["sign"] > 0], 8)
    data, _ = make("fraction_by_index", sampled, None)
    assert data["n"].sum() == 24 * 8
    for run in data.itertuples():
        rows = sampled[sampled["index"].between(run.first_index, run.last_index)]
        assert run.n == len(rows) and run.last_index > run.first_index
        # Not exactly: the table of fractions does not say which matrices they are.
        of_one = rows.groupby("index")["layer"].nunique().max()
        assert of_one < rows["layer"].nunique() - 4 and abs(run.n_matrices - rows["layer"].nunique()) <= 4
        assert run.low <= run.fraction <= run.high
    # Where every matrix has every index, it is all of them.
    whole, _ = make("fraction_by_index", labels[labels["sign"] > 0].query("layer < 9"), None)
    assert (whole["last_index"] > whole["first_index"]).any() and (whole["n_matrices"] == 9).all()
