"""The figure basis: singular directions beside other bases of the same subspaces, and beside random directions."""

from collections.abc import Set
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.evaluation.intervals import shares_over_matrices
from svdlens.figures.controls import (
    SINGULAR,
    STYLES,
    described_controls,
    independent_excess,
    source_titles,
    with_excess,
)
from svdlens.figures.fraction_rows import PLACE, Swept, in_sweep
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.label_rows import controls_of_labelled, count_rows, counts_of_matrices, read_setting
from svdlens.figures.panels import (
    CONTROL_BAND,
    draw_bars,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
)
from svdlens.figures.style import matrix_name, ordered_matrices
from svdlens.spec.controls import RANDOM_UNIT, RANDOM_VARIMAX, ROTATED, VARIMAX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, OF_THE_MODEL

NULLS = {SINGULAR: RANDOM_UNIT, ROTATED: RANDOM_UNIT, VARIMAX: RANDOM_VARIMAX}
"""By basis what it is of random subspaces: single random vectors, where it is not chosen by its tokens."""
SOURCES = [*NULLS, RANDOM_VARIMAX, RANDOM_UNIT]
LAYERS = {"all layers": 0.0, "last third of layers": 2 / 3}
"""Which layers are drawn together: those from this share of the depth on, at least the last."""
KEYS = [*PLACE, "readout", "partly_labelled", "side", "layers"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the labels of the sweep and of its controls."""
    for subject in subjects:
        data = basis_data(**read_setting(inputs, subject["setting"], options))
        chosen = {name: options[name] for name in ("basis", "n_rotated")}
        yield data, draw_basis(data, setting=subject["setting"], **chosen, **shown_choice(options))


def basis_data(
    labels: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    swept: Swept,
    criterion: str,
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The fractions drawn: one row per model, setting, matrix, side, choice of layers and source.

    `labels` and `controls` are of one labeller. Columns: model, labeller_network, setting, matrix, readout,
    partly_labelled, side, layers (a key of LAYERS), source (one of SOURCES; singular are the directions of the sweep),
    n (rows), k (interpretable rows), n_matrices, design_effect, fraction, low, high (95 % over matrices, of random
    directions over rows); of the other bases excess, excess_low, excess_high (of singular directions over this basis,
    paired by matrix); of every basis over_random, over_random_low, over_random_high (over its NULLS).
    """
    counted = count_rows(labels, criterion)
    if counted.empty:
        return in_sweep(pd.DataFrame(columns=[*KEYS, "source", "n", "k"]), swept, labeller_networks)
    rows = counted.assign(source=SINGULAR)
    if len(controls):
        beside = count_rows(controls[controls["control"].isin(SOURCES)], criterion)
        beside = controls_of_labelled(beside.assign(source=beside["control"].astype(str)), counted)
        # Whether lists of a place are left out is said of those of the sweep.
        partly = counted.drop_duplicates(PLACE)[[*PLACE, "partly_labelled"]]
        beside = beside.drop(columns="partly_labelled").merge(partly, on=PLACE)
        rows = pd.concat([rows, beside], ignore_index=True)
    last = rows["model"].map(counted.groupby("model")["layer"].max())
    # Random directions are of no layer, nor are matrices of the vocabulary, which are shown once.
    of_none, of_model = rows["layer"].isna(), rows["matrix"].isin(OF_THE_MODEL)
    pieces = [
        rows[(of_none & ~(of_model & (share > 0))) | (rows["layer"] >= np.minimum(share * (last + 1), last))].assign(
            layers=name
        )
        for name, share in LAYERS.items()
    ]
    # Random directions are of no side: they stand beside each.
    rows = pd.concat(pieces, ignore_index=True).astype({"side": str})
    sides = counted[[*PLACE, "side"]].drop_duplicates().astype({"side": str})
    every_side = rows[rows["side"] == "all"].drop(columns="side").merge(sides, on=PLACE)
    rows = pd.concat([rows[rows["side"] != "all"], every_side], ignore_index=True)
    counts = counts_of_matrices(rows, [*KEYS, "source"], "counts")
    table = shares_over_matrices(counts, [*KEYS, "source"])
    order = {name: number for number, name in enumerate([*LAYERS, *SOURCES])}
    for name in ("source", "layers"):
        table = table.sort_values(name, key=lambda values: values.map(order), kind="stable")
    # Over what is chosen otherwise, or of no subspace of the model, a difference says nothing by itself.
    compared = counts[counts["source"].isin([SINGULAR, ROTATED, VARIMAX])]
    return in_sweep(over_random(with_excess(table, compared, KEYS)), swept, labeller_networks)


def over_random(table: pd.DataFrame) -> pd.DataFrame:
    """`table`, which has shares by KEYS and source, with what each basis has over its NULLS."""
    names = {"excess": "over_random", "low": "over_random_low", "high": "over_random_high"}
    pieces = [
        independent_excess(table[table["source"] == source], table[table["source"] == null], KEYS).assign(source=source)
        for source, null in NULLS.items()
    ]
    return table.merge(pd.concat(pieces).rename(columns=names), on=[*KEYS, "source"], how="left")


def places_of(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The matrices and sides of some rows, as they stand along the axis."""
    found = set(zip(rows["matrix"], rows["side"], strict=True))
    return [
        (matrix, side)
        for matrix in ordered_matrices(rows["matrix"])
        for side in MATRIX_KINDS[matrix].sides
        if (matrix, side) in found
    ]


def place_name(matrix: str, side: str) -> str:
    """A matrix, and its side where it has several."""
    name = matrix_name(matrix).removeprefix("attention ")
    return f"{name} {side}" if len(MATRIX_KINDS[matrix].sides) > 1 else name


def draw_basis(
    data: pd.DataFrame, *, setting: str, basis: str, labeller: str, criterion: str, n_controls: int, n_rotated: int
) -> Figure:
    """The rows of basis_data of one setting; the other arguments are those of draw_controls in controls.py."""
    drawn = labelled(data)
    present = [source for source in SOURCES if source in set(drawn["source"])]
    titles = source_titles(basis)

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        places = places_of(rows)
        for number, source in enumerate(present):
            points = rows[rows["source"] == source]
            pairs = zip(points["matrix"], points["side"], strict=True)
            centres = np.array([places.index(pair) for pair in pairs], float)
            if source == RANDOM_UNIT:
                height = (points["high"] - points["low"]).to_numpy(float)
                axes.bar(centres, height, width=0.9, bottom=points["low"].to_numpy(float), **CONTROL_BAND)
            draw_bars(axes, centres + 0.2 * (number - (len(present) - 1) / 2), points, STYLES[source])
        axes.set_xticks(range(len(places)), [place_name(*place) for place in places])
        axes.set_xlim(-0.5, len(places) - 0.5)
        axes.grid(False, axis="x")
        unit_axis(axes)

    panels = []
    for model, name in model_names(drawn).items():
        of_model = drawn[drawn["model"] == model]
        for layers in LAYERS:
            first, *others = name.split("\n")
            panels.append(
                ("\n".join([f"{first}, {layers}", *others]), partial(panel, of_model[of_model["layers"] == layers]))
            )
    described = (
        "Bases of the same subspaces, and what they are of random ones, with how many directions: "
        f"{described_controls(present, n_controls, n_rotated)}. Grey: the interval of random unit vectors, which are "
        "of no layer."
    )
    also = described if len(present) > 1 else "This labeller has labelled no controls."
    return panel_figure(
        f"{titles[SINGULAR].capitalize()} directions beside other bases, setting {setting}",
        fraction_caption(data, labeller=labeller, criterion=criterion, intervals="Bars", also=also),
        panels,
        columns=2,
        height=1.9,
        handles=[Line2D([], [], ls="", ms=4.5, label=titles[name], **STYLES[name]) for name in present],
        nothing=nothing_labelled(labeller),
        ylabel="fraction interpretable",
    )
