"""The figure kinds_by_layer: what kinds of lists there are in every block, and among random directions."""

from collections.abc import Set
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from svdlens.evaluation.fractions import NOT_INTERPRETABLE
from svdlens.figures.fraction_rows import Swept, in_sweep, with_shares
from svdlens.figures.label_rows import SHOWN_KINDS, count_rows, of_labelled, shares_of
from svdlens.figures.panels import (
    KIND_COLOURS,
    caption_of,
    figure_of,
    labelled,
    model_names,
    nothing_labelled,
    unit_axis,
)
from svdlens.figures.style import matrix_name, ordered_matrices, whole_number_ticks

KEYS = ["model", "setting", "matrix", "readout", "partly_labelled", "layer"]


def kinds_by_layer_data(
    labels: pd.DataFrame, controls: pd.DataFrame, *, swept: Swept, rule: str, labeller_networks: Set[str] = frozenset()
) -> pd.DataFrame:
    """The shares drawn: one row per model, setting, matrix, layer and kind (SHOWN_KINDS), and for the controls.

    `labels` and `controls` (random_unit) are of one labeller. Columns: model, labeller_network, setting, matrix,
    readout, partly_labelled, control (whether these are random directions, whose layer is empty), layer, kind, n (rows
    of the layer), k (of this kind), fraction, low, high (Wilson 95 %), interpretable, interpretable_low,
    interpretable_high (the share of all kinds that are interpretable).
    """
    rows = count_rows(labels, rule)
    beside = of_labelled(count_rows(controls[controls["control"] == "random_unit"], rule), rows)
    pieces = [
        shares_of(table, KEYS, "shown_kind", SHOWN_KINDS).assign(control=control)
        for table, control in ((rows, False), (beside, True))
    ]
    table = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
    table["layer"] = table["layer"].astype("Int64")
    never = (*NOT_INTERPRETABLE, "not interpretable")
    found = table.assign(k=table["k"].where(~table["shown_kind"].isin(never), 0))
    whole = with_shares(found.assign(k=found.groupby(KEYS, dropna=False)["k"].transform("sum")))
    table["interpretable"], table["interpretable_low"], table["interpretable_high"] = (
        whole[name] for name in ("fraction", "low", "high")
    )
    return in_sweep(table.rename(columns={"shown_kind": "kind"}), swept, labeller_networks)


def draw_kinds_by_layer(data: pd.DataFrame, *, setting: str, labeller: str, rule: str, controls: int) -> Figure:
    """The rows of kinds_by_layer_data of one setting: models down, matrices across."""
    drawn = labelled(data)
    matrices = ordered_matrices(drawn["matrix"])
    kinds = [kind for kind in SHOWN_KINDS if drawn.loc[drawn["kind"] == kind, "k"].sum() > 0]

    def panel(rows: pd.DataFrame, axes: Axes) -> None:
        axes.grid(False)
        unit_axis(axes)
        of_layers = rows[~rows["control"].eq(True)]
        if of_layers.empty:
            axes.text(0.5, 0.5, "not labelled", ha="center", va="center", transform=axes.transAxes, color="0.3")
            axes.set_xticks([])
            return
        last = int(of_layers["layer"].max())
        at_control = last + 1.8
        places = rows["layer"].astype(float).fillna(at_control)
        bottom = dict.fromkeys(places, 0.0)
        for kind in kinds:
            for place, share in zip(
                places[rows["kind"] == kind], rows.loc[rows["kind"] == kind, "fraction"], strict=True
            ):
                axes.bar(place, share, width=0.92, bottom=bottom[place], color=KIND_COLOURS[kind], linewidth=0)
                bottom[place] += share
        tops = rows.assign(place=places).drop_duplicates("place")
        bars = [
            tops["interpretable"] - tops["interpretable_low"],
            tops["interpretable_high"] - tops["interpretable"],
        ]
        ends = [bar.clip(lower=0) for bar in bars]
        axes.errorbar(tops["place"], tops["interpretable"], yerr=ends, ls="", color="0.1", elinewidth=0.8)
        whole_number_ticks(axes.xaxis, 5)
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= last]
        control = [at_control] if rows["control"].eq(True).any() else []
        axes.set_xticks([*ticks, *control], [*(f"{tick:.0f}" for tick in ticks), *("R" for _ in control)])
        axes.set_xlim(-0.6, (at_control if control else last) + 0.6)

    names = model_names(drawn)
    several = len(matrices) > 1
    return figure_of(
        f"Kinds of token lists by block, setting {setting}",
        caption_of(
            data, labeller=labeller, rule=rule,
            intervals="Bars, around what is interpretable (semantic, grammatical, orthographic)",
            also=f"R: {controls:,} random unit directions, read and labelled the same way."
            if drawn["control"].eq(True).any() else "",
        ),
        [
            (
                f"{name}: {matrix_name(matrix)}" if len(name) < 20 or not several else f"{name}\n{matrix_name(matrix)}",
                partial(panel, drawn[(drawn["model"] == model) & (drawn["matrix"] == matrix)]),
            )
            for model, name in names.items()
            for matrix in matrices
        ],
        columns=max(1, min(3, len(matrices))),
        height=1.55,
        handles=[Patch(color=KIND_COLOURS[kind], label=kind) for kind in kinds],
        nothing=nothing_labelled(labeller),
        xlabel="block",
        ylabel="share of rows",
    )  # fmt: skip
