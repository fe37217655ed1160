"""The figure settings_effect: what one switch does to the fraction interpretable, and to the token lists themselves."""

from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svdlens.evaluation.intervals import CONFIDENCE
from svdlens.figures.fraction_rows import CONTROL_SHARES, Swept, fraction_choice, fraction_rows, read_fractions
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import (
    CONTROL_BAND,
    control_handles,
    fraction_caption,
    matrix_handles,
    matrix_style,
    panel_figure,
    shown_choice,
)
from svdlens.figures.style import ordered_matrices
from svdlens.spec.settings import Pair, Setting, setting_from_names, setting_pairs

ROW = ["layer", "head", "index", "side", "sign"]
SHARES = ["n", "k", "fraction", "low", "high", *CONTROL_SHARES]


class Lists(NamedTuple):
    """Token lists: `rows` says of which directions, `ids` are the tokens, best first."""

    rows: pd.DataFrame
    ids: Int[np.ndarray, "n k"]


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model, of the table of fractions and of the tables of tokens of all options["places"]."""
    table = inputs["fractions"]
    data = settings_effect_data(
        read_fractions(table),
        {tuple(place): path for place, path in zip(options["places"], inputs["tokens"], strict=True)},
        settings={name: setting_from_names(name, switches) for name, switches in options["switches"].items()},
        **fraction_choice(table, options),
    )
    for subject in subjects:
        rows = data[data["model"] == subject["model"]]
        swept = options["places"]
        yield rows, draw_settings_effect(rows, model=subject["model"], swept=swept, **shown_choice(options))


def read_lists(path: Path) -> Lists:
    """The lists of one model, setting and matrix through the first of its read-outs, without null space."""
    # The file alone: nothing from the names of its directories.
    table = pq.ParquetFile(path).read([*ROW, "readout", "token_ids", "null_space"]).filter(~pc.field("null_space"))
    if len(table):
        table = table.filter(np.equal(table["readout"].to_pylist(), table["readout"][0].as_py()))
    flat = table["token_ids"].combine_chunks().flatten().to_numpy()
    return Lists(table.select(ROW).to_pandas(), flat.reshape(len(table), -1) if len(table) else np.empty((0, 1), int))


def list_overlap(first: Lists, second: Lists) -> dict[str, Any]:
    """Mean Jaccard index of the lists of the same index, side and sign, with its interval, and whether all are equal.

    n_lists, jaccard, jaccard_low, jaccard_high (normal interval of the mean, lists taken as independent), exact (every
    list has the same tokens in the same order).
    """
    one, other = (lists.rows.assign(**{name: range(len(lists.rows))}) for lists, name in ((first, "a"), (second, "b")))
    joined = one.merge(other, on=ROW)
    ids, other_ids = first.ids[joined["a"].to_numpy(int)], second.ids[joined["b"].to_numpy(int)]
    if not len(joined):
        return {"n_lists": 0, "jaccard": np.nan, "jaccard_low": np.nan, "jaccard_high": np.nan, "exact": False}
    exact = np.array_equal(ids, other_ids)
    values = np.ones(len(ids)) if exact else jaccard(ids, other_ids)
    half = (
        NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(len(values))
        if len(values) > 1
        else np.nan
    )
    mean = float(values.mean())
    low, high = max(mean - half, 0.0), min(mean + half, 1.0)
    return {"n_lists": len(values), "jaccard": mean, "jaccard_low": low, "jaccard_high": high, "exact": exact}


def jaccard(first: Int[np.ndarray, "n k"], second: Int[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Tokens in both of two lists, over tokens in either; no list has a token twice."""
    together = np.sort(np.concatenate([first, second], axis=1), axis=1)
    both = (together[:, 1:] == together[:, :-1]).sum(axis=1)
    return both / (together.shape[1] - both)


def settings_effect_data(
    fractions: pd.DataFrame,
    lists: Mapping[tuple[str, str, str], Path],
    *,
    settings: Mapping[str, Setting],
    **choice: Any,
) -> pd.DataFrame:
    """What is drawn: one row per model, pair of settings and matrix.

    `lists` are the tables of tokens by model, setting and matrix of the sweep; `choice` is that of fraction_rows, of
    the same sweep. Columns: model, labeller_network, change, off, on (the pair), matrix, readout; n, k, fraction, low,
    high, control_fraction, control_low, control_high with the suffixes _off and _on (fraction_rows; n is 0 without
    labels); and those of list_overlap.
    """
    rows = fraction_rows(fractions, group="all", **choice)
    by_place = {(row["model"], row["setting"], row["matrix"]): row for _, row in rows.iterrows()}
    records = []
    for model, matrix in dict.fromkeys((model, matrix) for model, _, matrix in lists):
        own = {name: one for name, one in settings.items() if (model, name, matrix) in lists}
        pairs = setting_pairs(own)
        read = {name: read_lists(lists[model, name, matrix]) for name in {name for pair in pairs for name in pair[1:]}}
        for pair in pairs:
            sides = {end: by_place[model, getattr(pair, end), matrix] for end in ("off", "on")}
            record = {"model": model, "labeller_network": sides["on"]["labeller_network"], **pair._asdict()}
            record |= {"matrix": matrix, "readout": sides["on"]["readout"]}
            record |= {f"{name}_{end}": row[name] for end, row in sides.items() for name in SHARES}
            records.append(record | list_overlap(read[pair.off], read[pair.on]))
    columns = ["model", "labeller_network", *Pair._fields, "matrix", "readout"]
    columns += [f"{name}_{end}" for end in ("off", "on") for name in SHARES]
    columns += ["n_lists", "jaccard", "jaccard_low", "jaccard_high", "exact"]
    return pd.DataFrame(records, columns=columns)


def draw_settings_effect(
    data: pd.DataFrame, *, model: str, swept: Swept, labeller: str, criterion: str, n_controls: int
) -> Figure:
    """The rows of settings_effect_data of one model: fractions left, overlap of lists right, a line per pair."""
    pairs = list(dict.fromkeys(data[list(Pair._fields)].itertuples(index=False, name=None)))
    matrices = ordered_matrices(data["matrix"])
    step = 0.75 / max(1, len(matrices))
    marks = "*" if data["labeller_network"].any() else ""

    def positions(rows: pd.DataFrame, matrix: str) -> np.ndarray:
        numbers = [pairs.index(pair) for pair in rows[list(Pair._fields)].itertuples(index=False, name=None)]
        return np.array(numbers, float) + step * (matrices.index(matrix) - (len(matrices) - 1) / 2)

    def fractions(axes: Axes) -> None:
        for matrix in matrices:
            matrix_rows, style = data[data["matrix"] == matrix], matrix_style(matrix)
            for end, face, shift in (("off", "white", -0.1), ("on", style["color"], 0.1)):
                rows = matrix_rows[matrix_rows[f"n_{end}"] > 0]
                # A line of no points that is not clipped would reach to the corner of the figure.
                if rows.empty:
                    continue
                y = positions(rows, matrix)
                axes.hlines(y, rows["fraction_off"], rows["fraction_on"], color=style["color"], lw=1)
                low, share, high = (rows[f"{name}_{end}"].to_numpy(float) for name in ("low", "fraction", "high"))
                left = rows[f"control_low_{end}"].to_numpy(float)
                axes.barh(y, rows[f"control_high_{end}"].to_numpy(float) - left, step * 0.9, left=left, **CONTROL_BAND)
                axes.errorbar(
                    share, y + shift * step, xerr=np.maximum([share - low, high - share], 0), ls="", **style, ms=4,
                    markerfacecolor=face, elinewidth=0.9, clip_on=False,
                )  # fmt: skip
        finish(axes)

    def overlaps(axes: Axes) -> None:
        for matrix in matrices:
            rows = data[data["matrix"] == matrix]
            y, style = positions(rows, matrix), matrix_style(matrix)
            mean = rows["jaccard"].to_numpy(float)
            bars = [mean - rows["jaccard_low"].to_numpy(float), rows["jaccard_high"].to_numpy(float) - mean]
            axes.errorbar(mean, y, xerr=np.maximum(bars, 0), ls="", **style, ms=4, elinewidth=0.9, clip_on=False)
            exact = rows["exact"].to_numpy(bool)
            if exact.any():
                axes.plot(
                    mean[exact], y[exact], ls="", marker="o", ms=9, mfc="none", mec="black", mew=0.9, clip_on=False
                )
        finish(axes)

    def finish(axes: Axes) -> None:
        axes.set_yticks(range(len(pairs)), [f"{change}\n{off} → {on}" for change, off, on in pairs])
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(False, axis="y")

    own = list(dict.fromkeys(setting for name, setting, _ in swept if name == model))
    alone = [setting for setting in own if not any(setting in pair[1:] for pair in pairs)]
    without = f" No partner: {', '.join(alone)}." if alone and pairs else ""
    missing = data[(data["n_off"] == 0) | (data["n_on"] == 0)]
    unlabelled = f" Without labels there are only overlaps: {len(missing)} of {len(data)}." if len(missing) else ""
    as_rows = data.rename(columns={"control_fraction_on": "control_fraction", "n_on": "n"}).assign(setting="")
    caption = fraction_caption(
        as_rows[as_rows["n"] > 0],
        labeller=labeller,
        criterion=criterion,
        intervals="Left: without (open) and with the switch (filled). Bars",
        n_controls=n_controls,
    )
    overlap = (
        " Right: tokens that the two lists of a row have in common, over those in either (mean and 95 % interval over "
        f"rows of the same index and sign); a ring: all lists equal, in the same order.{without}{unlabelled}"
    )
    return panel_figure(
        f"What single switches do: {model}{marks}",
        caption + overlap if pairs else "",
        [("fraction interpretable", fractions), ("overlap of token lists (Jaccard)", overlaps)] if pairs else [],
        columns=2,
        height=0.8 + max(0.36, 0.14 * len(matrices) + 0.06) * len(pairs),
        handles=[*matrix_handles(data), *control_handles(as_rows), ring()],
        nothing="Nothing to draw: no two settings of this model differ in just one switch.",
    )


def ring() -> Line2D:
    """The mark of lists that are all equal, for the legend."""
    return Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="black", mew=0.9, label="all lists equal")
