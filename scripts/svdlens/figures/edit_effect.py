"""The figure edit_effect: what an edit does to the log-probability of its tokens, beside controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.figures.edit_rows import LISTS, labels_of, targets_names, title
from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import panel_figure
from svdlens.figures.style import COLOURS
from svdlens.spec.edits import CONCEPT, DIRECTION, MATCHED, OTHER, RANDOM

MOST = 12
"""Tokens that are drawn, of more those that change most."""
COLOUR = {DIRECTION: COLOURS[0], MATCHED: "0.72", OTHER: COLOURS[1], RANDOM: COLOURS[4]}
NAME = {
    DIRECTION: "the edit",
    MATCHED: "the edit, tokens of the same frequency",
    OTHER: "other directions of the same matrix",
    RANDOM: "random directions",
}


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """A figure for each edit."""
    files = zip(subjects, inputs["effect"], inputs["summary"], inputs["directions"], strict=True)
    for subject, effect, summary, directions in files:
        data = effect_data(pd.read_parquet(effect), pd.read_parquet(summary))
        yield data, draw_effect(data, pd.read_parquet(directions), subject, read_metadata(effect))


def effect_data(effect: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The bars: of each target token the mean change over prompts under the edit (token, edited `direction`) and that
    of the token matched with it; and without a token the means over all targets, with intervals, of each control too, a
    row for each of its edits (number)."""
    own = effect[effect["edited"] == DIRECTION]
    target = own[~own["matched"]].groupby("target", observed=True)["token"].first()
    bars = own.groupby(["targets", "target", "matched"], observed=True, sort=False)["change"].mean().reset_index()
    bars["token"] = bars["target"].map(target)
    bars["edited"] = np.where(bars["matched"], MATCHED, DIRECTION)
    means = effect[~effect["matched"]].groupby(["targets", "edited", "number"], observed=True)["change"].mean()
    controls = means.reset_index()
    controls = controls[controls["edited"] != DIRECTION].astype({"targets": str, "edited": str})
    rows = summary.drop_duplicates("targets")
    whole = rows[["targets", "change", "low", "high"]].assign(edited=DIRECTION)
    other = summary[summary["control"] == MATCHED][["targets", "control_change"]]
    other = other.rename(columns={"control_change": "change"}).assign(edited=MATCHED)
    parts = [bars[["targets", "edited", "token", "change"]], whole, other, controls]
    return pd.concat([part.astype({"targets": str, "edited": str}) for part in parts], ignore_index=True)[
        ["targets", "edited", "token", "number", "change", "low", "high"]
    ]


def draw_effect(
    data: pd.DataFrame, directions: pd.DataFrame, subject: Mapping[str, Any], facts: Mapping[str, Any]
) -> Figure:
    """The rows of effect_data of one edit, with the metadata of its tables."""
    names = targets_names(facts)

    def panel(targets: str) -> Any:
        rows = data[data["targets"] == targets]

        def draw(axes: Axes) -> None:
            tokens, whole = rows[rows["token"].notna()], rows[rows["token"].isna()]
            own = tokens[tokens["edited"] == DIRECTION].drop_duplicates("token").set_index("token")["change"]
            if len(own) > MOST:
                own = own[own.index.isin(own.abs().nlargest(MOST).index)]
            matched = tokens[tokens["edited"] == MATCHED].drop_duplicates("token").set_index("token")["change"]
            x = np.arange(len(own), dtype=float)
            axes.bar(x - 0.2, own.to_numpy(), 0.4, color=COLOUR[DIRECTION], lw=0)
            axes.bar(x + 0.2, matched.reindex(own.index).to_numpy(), 0.4, color=COLOUR[MATCHED], lw=0)
            at = draw_means(axes, whole, len(own) + 0.4)
            axes.axhline(0, color="0.4", lw=0.8)
            axes.axvline(len(own) - 0.1, color="0.85", lw=0.8)
            axes.set_xticks([*x, len(own) + 1.1], [*map(shown, own.index), "mean of\nall targets"])
            for label in axes.get_xticklabels()[:-1]:
                label.set(rotation=35, ha="right", rotation_mode="anchor")
            axes.set_xlim(-0.6, at)
            axes.grid(False, axis="x")

        label = labels_of(directions, "label" if targets == CONCEPT else "antipode_label")
        of_lists = names[targets] == LISTS[targets]
        return f"{names[targets]}{f': {label}' if label and of_lists else ''}", draw

    handles: list[Artist] = [Patch(color=COLOUR[what], label=NAME[what]) for what in (DIRECTION, MATCHED)]
    handles += [
        Line2D([], [], color=COLOUR[what], marker="o", ms=3.5, ls="", label=NAME[what])
        for what in (OTHER, RANDOM)
        if (data["edited"] == what).any()  # a matrix of which all is edited has no others
    ]
    through = (
        ""
        if facts["path"] == "total"
        else " Through the direct path alone: only the final norm and the unembedding see it."
    )
    return panel_figure(
        title(subject, directions, float(facts["eps"])),
        "Change of the log-probability (natural logarithm) of tokens as the next one, mean over cue prompts. Pairs of "
        "bars: a target token, and a token of the same frequency under the same edit. On the right the mean over "
        "targets, with its 95 % bootstrap interval over prompts; a point for each other direction of the same matrix "
        f"and each random direction whose change of the weights is as large.{through}",
        [panel(targets) for targets in names if (data["targets"] == targets).any()],
        columns=1, height=2.3, handles=handles, share_y=False, ylabel="change",
    )  # fmt: skip


def draw_means(axes: Axes, whole: pd.DataFrame, start: float) -> float:
    """The means over all targets from x = start on: the edit, matched tokens, and each edit of the controls. Returns
    where the axis ends."""
    for number, what in enumerate((DIRECTION, MATCHED)):
        for _, row in whole[whole["edited"] == what].iterrows():
            axes.bar(start + 0.4 * number, row["change"], 0.4, color=COLOUR[what], lw=0)
            if pd.notna(row["low"]):
                axes.plot([start + 0.4 * number] * 2, [row["low"], row["high"]], color="0.2", lw=1)
    for number, what in enumerate((OTHER, RANDOM)):
        changes = whole.loc[whole["edited"] == what, "change"].to_numpy()
        jitter = np.linspace(-0.12, 0.12, len(changes)) if len(changes) else changes
        axes.plot(
            start + 0.95 + 0.5 * number + jitter, changes, color=COLOUR[what], marker="o", ms=2.5, ls="", alpha=0.8
        )
    return start + 1.9


def shown(token: str) -> str:
    """A token under a bar: its leading space as a sign, so that one can tell it, and not too long."""
    text = token.replace("\n", "\\n").replace(" ", "␣")
    return text if len(text) <= 14 else f"{text[:13]}…"
