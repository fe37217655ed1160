"""The figure kinds_by_layer: what kinds of lists there are in every layer, and among random directions."""

from collections.abc import Set
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from svdlens.figures.fraction_rows import Swept, in_sweep, of_layers
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.label_rows import SHOWN_KINDS, controls_of_labelled, count_rows, count_shares, read_setting
from svdlens.figures.panels import (
    KIND_COLOURS,
    fraction_caption,
    labelled,
    model_names,
    nothing_labelled,
    panel_figure,
    shown_choice,
    unit_axis,
    why_not_labelled,
)
from svdlens.figures.style import matrix_name, ordered_matrices, whole_number_ticks
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.spec.controls import RANDOM_UNIT

KEYS = ["model", "setting", "matrix", "readout", "partly_labelled", "layer"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each setting, of the labels of the sweep and of its controls."""
    for subject in subjects:
        data = kinds_by_layer_data(**read_setting(inputs, subject["setting"], options))
        yield data, draw_kinds_by_layer(data, setting=subject["setting"], **shown_choice(options))


def kinds_by_layer_data(
    labels: pd.DataFrame,
    controls: pd.DataFrame,
    *,
    swept: Swept,
    criterion: str,
    labeller_networks: Set[str] = frozenset(),
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix, layer and kind (SHOWN_KINDS), and for the controls.

    `labels` and `controls` (random_unit) are of one labeller. Columns: model, labeller_network, setting, matrix,
    readout, partly_labelled, control (whether these are random directions, whose layer is empty), layer, kind, n (rows
    of the layer), k (of this kind), fraction, low, high (95 % over matrices), interpretable,
    interpretable_low, interpretable_high (the share of all kinds that are interpretable).
    """
    rows = count_rows(labels, criterion)
    beside = controls_of_labelled(count_rows(controls[controls["control"] == RANDOM_UNIT], criterion), rows)
    names = {"fraction": "interpretable", "low": "interpretable_low", "high": "interpretable_high"}
    pieces = []
    for counted, control in ((rows, False), (beside, True)):
        kinds = count_shares(counted, KEYS, "shown_kind", SHOWN_KINDS).assign(control=control)
        whole = count_shares(counted, KEYS, "counts", [True]).rename(columns=names)
        pieces.append(kinds.merge(whole[[*KEYS, *names.values()]], on=KEYS, how="left"))
    table = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
    table["layer"] = table["layer"].astype("Int64")
    return in_sweep(table.rename(columns={"shown_kind": "kind"}), of_layers(swept), labeller_networks)


def draw_kinds_by_layer(data: pd.DataFrame, *, setting: str, labeller: str, criterion: str, n_controls: int) -> Figure:
    """The rows of kinds_by_layer_data of one setting: models down, matrices across."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    # From below what is interpretable, with the interval at its top; from above the lists that never are.
    order = [kind for kind in SHOWN_KINDS if kind not in NOT_INTERPRETABLE] + [*NOT_INTERPRETABLE]
    kinds = [kind for kind in order if drawn.loc[drawn["kind"] == kind, "k"].sum() > 0]

    def panel(rows: pd.DataFrame, why_empty: str, axes: Axes) -> None:
        axes.grid(False)
        unit_axis(axes)
        layer_rows = rows[~rows["control"].eq(True)]
        if layer_rows.empty:
            axes.text(0.5, 0.5, why_empty, ha="center", va="center", transform=axes.transAxes, color="0.3")
            axes.set_xticks([])
            return
        last = int(layer_rows["layer"].max())
        at_control = last + 1.8
        positions = rows["layer"].astype(float).fillna(at_control)
        bottom = dict.fromkeys(positions, 0.0)
        for kind in kinds:
            for position, share in zip(
                positions[rows["kind"] == kind], rows.loc[rows["kind"] == kind, "fraction"], strict=True
            ):
                axes.bar(position, share, width=0.92, bottom=bottom[position], color=KIND_COLOURS[kind], linewidth=0)
                bottom[position] += share
        tops = rows.assign(position=positions).drop_duplicates("position")
        bars = [
            tops["interpretable"] - tops["interpretable_low"],
            tops["interpretable_high"] - tops["interpretable"],
        ]
        ends = [bar.clip(lower=0) for bar in bars]
        axes.errorbar(tops["position"], tops["interpretable"], yerr=ends, ls="", color="0.1", elinewidth=0.8)
        whole_number_ticks(axes.xaxis, 5)
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= last]
        control = [at_control] if rows["control"].eq(True).any() else []
        axes.set_xticks([*ticks, *control], [*(f"{tick:.0f}" for tick in ticks), *("R" for _ in control)])
        axes.set_xlim(-0.6, (at_control if control else last) + 0.6)

    also = []
    if hanging := [kind for kind in kinds if kind in NOT_INTERPRETABLE]:
        also.append(f"From above: {' and '.join(hanging)} lists, which are never interpretable.")
    if drawn["control"].eq(True).any():
        also.append(f"R: {n_controls:,} random unit directions, read and labelled the same way.")
    names = model_names(drawn)
    several = len(matrices) > 1
    return panel_figure(
        f"Kinds of token lists by layer, setting {setting}",
        fraction_caption(
            data, labeller=labeller, criterion=criterion,
            intervals="From below: interpretable lists by kind. Black bars, of all these together",
            also=" ".join(also),
        ),
        [
            (
                f"{name}: {matrix_name(matrix)}" if len(name) < 20 or not several else f"{name}\n{matrix_name(matrix)}",
                partial(
                    panel,
                    drawn[(drawn["model"] == model) & (drawn["matrix"] == matrix)],
                    why_not_labelled(data, model, matrix),
                ),
            )
            for model, name in names.items()
            for matrix in matrices
        ],
        columns=max(1, min(3, len(matrices))),
        height=1.55,
        handles=[Patch(color=KIND_COLOURS[kind], label=kind) for kind in kinds],
        nothing=nothing_labelled(labeller),
        xlabel="layer",
        ylabel="share of rows",
    )  # fmt: skip
