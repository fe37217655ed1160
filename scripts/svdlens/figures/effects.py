"""The figure effects: how much scaling a direction does to what the model predicts, by whether it is interpretable."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.evaluation.counted_rows import counted_rows
from svdlens.evaluation.edit_summary import interval, resampling_weights
from svdlens.evaluation.intervals import MATRIX
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import BAND, nothing_labelled, panel_figure
from svdlens.figures.style import COLOURS, matrix_name, readable_logarithms, whole_number_ticks
from svdlens.spec.matrix_kinds import MATRIX_KINDS

KEYS = [*MATRIX, "index"]
INTERPRETABLE, OTHERS = "interpretable", "others"
STYLES: dict[str, dict[str, Any]] = {
    INTERPRETABLE: {"color": COLOURS[0], "marker": "o"},
    OTHERS: {"color": COLOURS[3], "marker": "s"},
}
COLUMNS = ["model", "setting", "matrix", "group", "layer", "head", "first_index", "directions", "n", "n_interpretable"]
COLUMNS += ["effect", "low", "high"]
SEED = 0
MAP_HEIGHT = 2.4  # inches


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each model, setting and kind of matrix."""
    for subject, effects, labels in zip(subjects, inputs["effects"], inputs["labels"], strict=True):
        # Without `partitioning` the directory names model=... and setting=... would become columns.
        slopes, labelled = (pd.read_parquet(path, partitioning=None) for path in (effects, labels))
        rows = direction_rows(slopes, labelled, subject["matrix"], options["criterion"])
        data = effects_data(rows).assign(**{name: subject[name] for name in ("model", "setting", "matrix")})[COLUMNS]
        yield data, draw_effects(data, read_metadata(effects), subject, options)


def direction_rows(effects: pd.DataFrame, labels: pd.DataFrame, matrix: str, criterion: str) -> pd.DataFrame:
    """KEYS of each direction that has an effect and a label, with size, the magnitude of its first-order effect, and
    interpretable: whether that is said of the list of one sign at least, on the side whose vectors are scaled, which
    writes where there are two. Of several read-outs the first."""
    side = "write" if "write" in MATRIX_KINDS[matrix].sides else "read"
    own = labels[(labels["readout"] == labels["readout"].iloc[0]) & (labels["side"] == side)]
    counted = counted_rows(own, criterion)
    marked = counted.groupby(KEYS, dropna=False, observed=True)["counts"].any().rename("interpretable").reset_index()
    once = effects.loc[(effects["sign"] == 1) & effects["first_order"].notna(), [*KEYS, "first_order"]]
    rows = once.astype({"head": "Int32"}).merge(marked.astype({"head": "Int32"}), on=KEYS)
    return rows.assign(size=rows["first_order"].abs()).drop(columns="first_order")


def effects_data(rows: pd.DataFrame) -> pd.DataFrame:
    """What is drawn of direction_rows: in all, by layer and by index (from first_index to before the next power of two)
    the mean size of interpretable directions and of all others, with a 95 % interval; and by head that of all, with
    how many of the n are interpretable."""
    powers = 2 ** np.floor(np.log2(rows["index"].clip(lower=1)))
    rows = rows.assign(first_index=powers.where(rows["index"] > 0, 0).astype(int))
    pieces = []
    for group, keys in (("all", []), ("layer", ["layer"]), ("index", ["first_index"])):
        for name, some in ((INTERPRETABLE, rows[rows["interpretable"]]), (OTHERS, rows[~rows["interpretable"]])):
            parts = [((), some)] if not keys else some.groupby(keys)
            for key, part in parts:
                one = dict(zip(keys, key, strict=True)) | {"group": group, "directions": name}
                pieces.append(one | mean_size(part))
    for (layer, head), part in rows[rows["head"].notna()].groupby(MATRIX):
        pieces.append({"group": "head", "layer": layer, "head": head, "directions": "all"} | mean_size(part))
    table = pd.DataFrame(pieces, columns=[name for name in COLUMNS if name not in ("model", "setting", "matrix")])
    return table.astype(dict.fromkeys(("layer", "head", "first_index"), "Int32"))


def mean_size(rows: pd.DataFrame) -> dict[str, float]:
    """n, how many of them are interpretable, and their mean size with its percentile bootstrap interval over matrices;
    of a single matrix over its directions."""
    matrices = rows.groupby(MATRIX, dropna=False)["size"].agg(["sum", "size"])
    sums, sizes = (matrices[name].to_numpy(float) for name in ("sum", "size"))
    if len(matrices) < 2:
        sums, sizes = rows["size"].to_numpy(float), np.ones(len(rows))
    weights = resampling_weights(len(sums), SEED)
    low, high = interval((weights @ sums) / (weights @ sizes)) if len(rows) else (np.nan, np.nan)
    effect = float(rows["size"].mean()) if len(rows) else np.nan
    counts = {"n": len(rows), "n_interpretable": int(rows["interpretable"].sum())}
    return counts | {"effect": effect, "low": low, "high": high}


def draw_effects(data: pd.DataFrame, facts: Mapping[str, Any], subject: Mapping[str, Any], options: Options) -> Figure:
    """The rows of effects_data of one kind of matrix. facts: of the table of effects."""
    groups = {str(name): rows for name, rows in data.groupby("group")}
    heads = groups.get("head", data[:0])
    matrix = subject["matrix"]
    drawn = [name for name in STYLES if data.loc[data["directions"] == name, "n"].sum() > 0]

    def lines(axes: Axes, rows: pd.DataFrame, x: str, places: Sequence[int] | None = None) -> None:
        for name in drawn:
            one = rows[(rows["directions"] == name) & (rows["n"] > 0)].sort_values(x)
            at = one[x].to_numpy(int) if places is None else np.array([places.index(number) for number in one[x]])
            low, high, effect = (one[column].to_numpy(float) for column in ("low", "high", "effect"))
            axes.fill_between(at, low, high, color=STYLES[name]["color"], **BAND)
            axes.plot(at, effect, **STYLES[name], ms=3, lw=1.2)
        axes.set_yscale("log")
        readable_logarithms(axes.yaxis)

    def by_layer(axes: Axes) -> None:
        lines(axes, groups["layer"], "layer")
        whole_number_ticks(axes.xaxis)
        axes.set(xlabel="layer", ylabel="mean |effect|, nats")

    def by_index(axes: Axes) -> None:
        places = sorted(int(number) for number in groups["index"]["first_index"].unique())
        lines(axes, groups["index"], "first_index", places)
        axes.set_xticks(range(len(places)), [str(number) for number in places])
        axes.set(xlabel="index of the direction, from")

    panels: list[tuple[str, Callable[[Axes], None]]] = []
    if drawn:
        panels = [("by layer", by_layer), ("by index", by_index)]
    if len(heads) and drawn:
        share = heads["n_interpretable"] / heads["n"]
        positive = heads["effect"][heads["effect"] > 0]
        panels.append(
            ("by head: mean |effect|", head_map(heads, heads["effect"], LogNorm(positive.min(), positive.max())))
        )
        panels.append(("by head: share interpretable", head_map(heads, share, Normalize(0, max(share.max(), 0.01)))))
    return panel_figure(
        f"{subject['model']}, {subject['setting']}: what directions of {matrix_name(matrix)} do",
        caption(groups["all"], facts, options, has_heads=len(heads) > 0),
        panels,
        columns=2, share_y=False, height=MAP_HEIGHT if len(panels) > 2 else None,
        xlabel=("head", "head") if len(panels) > 2 else ("layer", "index of the direction, from"),
        handles=[Line2D([], [], **STYLES[name], lw=1.2, ms=3.5, label=name) for name in drawn],
        nothing=nothing_labelled(options["labeller"]),
    )  # fmt: skip


def head_map(heads: pd.DataFrame, numbers: pd.Series, norm: Normalize) -> Callable[[Axes], None]:
    """Draws a number of each head as a shade, layers down."""
    layers, columns = heads["layer"].to_numpy(int), heads["head"].to_numpy(int)
    shades = np.full((layers.max() + 1, columns.max() + 1), np.nan)
    shades[layers, columns] = numbers

    def draw(axes: Axes) -> None:
        edges = [np.arange(size + 1) - 0.5 for size in shades.shape]
        drawn = axes.pcolormesh(edges[1], edges[0], shades, cmap="Blues", norm=norm, edgecolor="white", linewidth=0.3)
        axes.grid(False)
        axes.set_xlim(-0.5, shades.shape[1] - 0.5)
        whole_number_ticks(axes.xaxis, last=shades.shape[1] - 1)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("layer")
        bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
        if isinstance(norm, LogNorm):
            readable_logarithms(bar.ax.yaxis)
        bar.outline.set_visible(False)

    return draw


def caption(whole: pd.DataFrame, facts: Mapping[str, Any], options: Options, *, has_heads: bool) -> str:
    """What is drawn, and both means in all."""
    metric = facts["metric"]
    of = "the loss" if metric == "loss" else f"the mean log-probability of {', '.join(map(str.strip, metric))}"
    means = "; ".join(
        f"{row['directions']} {row['effect']:.2g} [{row['low']:.2g}, {row['high']:.2g}], n = {row['n']:,}"
        for row in whole.to_dict("records")
        if row["n"]
    )
    maps = " Below, all directions of each head, layers from bottom to top." if has_heads else ""
    return (
        f"Effect: the slope d / d eps of {of}, in nats per token, of a direction scaled by 1 + eps, at eps = 0, on "
        f"{facts['tokens']:,} tokens of text; what is drawn is the mean of its magnitude. Interpretable: the list of "
        f"one sign at least, labeller {options['labeller']}, criterion {options['criterion']}. Bands: 95 % bootstrap "
        f"intervals over matrices, of a single matrix over its directions. In all: {means}. By index: leading "
        "directions have large singular values and so do more, whatever their lists are; an index goes up to before "
        f"the next.{maps}"
    )
