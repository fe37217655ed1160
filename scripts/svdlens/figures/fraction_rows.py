"""What the figures of fractions plot: rows of the table of fractions, with the interval of the controls."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from svdlens.artefacts.sweep_tables import labeller_networks
from svdlens.evaluation.intervals import wilson_interval
from svdlens.figures.selection import as_text, whole_numbers
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.plan import Place

PLACE = list(Place._fields)
NAMES = ["model", "setting", "matrix", "side", "readout", "labeller", "criterion"]
SHARES = ["n", "k", "n_matrices", "design_effect", "fraction", "low", "high"]
CONTROL_SHARES = ["control_fraction", "control_low", "control_high"]
Swept = Iterable[tuple[str, str, str]]
"""Every (model, setting, matrix) of the sweep, in its order."""
Layers = Mapping[str, Sequence[int]]
"""The layers that are swept, of each model of which they are not all."""


def read_fractions(path: Path) -> pd.DataFrame:
    """The table of fractions without what fraction_rows leaves out: one of several units and kinds, of large sweeps."""
    return pd.read_parquet(path, filters=[("unit", "==", "row"), ("kind", "==", "all"), ("group", "!=", "head")])


def fraction_choice(fractions: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What fraction_rows chooses by, besides the group, from the options of a figure and the table's metadata."""
    return {
        "swept": options["places"],
        "layers": options["layers"],
        "labeller": options["labeller"],
        "criterion": options["criterion"],
        "labeller_networks": labeller_networks(fractions),
    }


def fraction_rows(
    frame: pd.DataFrame,
    *,
    group: str,
    swept: Swept,
    labeller: str,
    criterion: str,
    layers: Layers = MappingProxyType({}),
    labeller_networks: Set[str] = frozenset(),
    sides: Collection[str] = ("all",),
    rotated: bool = False,
) -> pd.DataFrame:
    """The fractions of one group (all, layer or index), labeller and criterion that the figures plot, in the sweep's
    order.

    `frame` is the table of fractions. Of it: unit `row`, every kind together, of each model the first read-out in the
    table. Columns: model, labeller_network (whether it is one of `labeller_networks`), setting, matrix, side, readout,
    labeller, criterion, layer or index where the group is one, n (rows), k (interpretable rows), n_matrices,
    design_effect, fraction, low, high (95 % over matrices), control_fraction (random unit directions), control_low,
    control_high (Wilson 95 %; empty without controls), with `rotated` rotated_fraction (of random rotations of the same
    subspaces; empty without them), partly_labelled (the layers of this model, setting and matrix
    differ in n, or some of the swept `layers` have no rows: lists without a label do not count). A place of the sweep
    without any row has one with n = 0 and nothing else.
    """
    chosen = (frame["unit"] == "row") & (frame["kind"] == "all") & (frame["labeller"] == labeller)
    chosen &= (frame["criterion"] == criterion) & frame["side"].isin(sides)
    rows = first_readout(frame[chosen])
    partly = partly_labelled(rows[rows["group"] == "layer"], layers)
    rows = rows[rows["group"] == group].reset_index(drop=True)
    keys = [group] if group != "all" else []
    data = pd.DataFrame(
        {
            **{name: as_text(rows[name]) for name in NAMES},
            **{name: whole_numbers(rows[name]) for name in keys},
            **{name: rows[name] for name in SHARES},
        }
    )
    controls = with_shares(pd.DataFrame({"n": rows["control_n"], "k": rows["control_k"]}))
    data[CONTROL_SHARES] = controls[["fraction", "low", "high"]]
    if rotated:
        data["rotated_fraction"] = rows["rotated_fraction"]
    if group == "layer":
        swept = of_layers(swept)
    data["partly_labelled"] = [place in partly for place in zip(*(data[name] for name in PLACE), strict=True)]
    return in_sweep(data, swept, labeller_networks)


def of_layers(swept: Swept) -> list[tuple[str, str, str]]:
    """What of the sweep is of matrices that each layer has its own of."""
    return [place for place in swept if MATRIX_KINDS[place[2]].in_layers]


def in_sweep(data: pd.DataFrame, swept: Swept, labeller_networks: Set[str] = frozenset()) -> pd.DataFrame:
    """`data` in the order of the sweep, what is not of it left out, and a row with n = 0 for each place without any.

    Adds the column labeller_network after model.
    """
    places = pd.DataFrame(list(swept), columns=PLACE, dtype=object)
    data = places.merge(data.astype(dict.fromkeys(PLACE, object)), on=PLACE, how="left")
    for name in ("n", "k"):
        if name in data:
            data[name] = data[name].fillna(0).astype(int)
    if "partly_labelled" in data:
        data["partly_labelled"] = data["partly_labelled"].eq(True)
    data.insert(1, "labeller_network", data["model"].isin(labeller_networks))
    return data


def first_readout(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each model the rows of its first read-out in the table."""
    readout = as_text(rows["readout"])
    return rows[readout == readout.groupby(as_text(rows["model"])).transform("first")]


def partly_labelled(rows: pd.DataFrame, layers: Layers) -> set[tuple[str, str, str]]:
    """(model, setting, matrix) of which some layers have fewer labels than others, or none; `rows` are of layers."""
    partly: set[tuple[str, str, str]] = set()
    swept = {str(model): 1 + layer.max() for model, layer in rows.groupby("model", observed=True)["layer"]}
    swept |= {model: len(chosen) for model, chosen in layers.items()}
    for (model, setting, matrix, *_), n in rows.groupby([*PLACE, "readout", "side"], observed=True)["n"]:
        if n.nunique() > 1 or len(n) < swept[str(model)]:
            partly.add((str(model), str(setting), str(matrix)))
    return partly


def with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with fraction, low and high (Wilson 95 %) from its counts n and k; empty where n = 0."""
    n = table["n"].where(table["n"] > 0).astype(float)
    low, high = wilson_interval(table["k"].astype(float), n)
    return table.assign(fraction=table["k"] / n, low=low, high=high)
