"""The figure benchmarks: where the time goes, and the memory."""

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects
from svdlens.figures.panels import WIDTH
from svdlens.figures.style import COLOURS, frame_figure, look

LARGEST = 15
"""Rules that have a bar each; the others share one."""
BAR, AXES = 0.2, 0.6  # inches


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    """One figure, of all jobs."""
    for _ in subjects:
        table = pd.read_parquet(inputs["benchmarks"])
        data = rule_costs(table)
        yield data, draw_costs(data)


def rule_costs(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each rule with jobs, the dearest first: number of jobs, seconds of all and of the longest, share of
    the seconds of all rules, start-up among the seconds, and the largest resident set of a job in MiB."""
    costs = table.groupby("rule", observed=True).agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        longest=("seconds", "max"),
        start_up_seconds=("start_up_seconds", "sum"),
        max_rss_mib=("max_rss_mib", "max"),
    )
    costs.insert(3, "share", costs["seconds"] / costs["seconds"].sum())
    costs = costs.reset_index().astype({"rule": object})
    return costs.sort_values(["seconds", "rule"], ascending=[False, True], ignore_index=True)


def draw_costs(data: pd.DataFrame) -> Figure:
    """The rows of rule_costs as bars, seconds on the left and memory on the right; all but LARGEST as one."""
    bars, rest = data.head(LARGEST), data.iloc[LARGEST:]
    if len(rest):
        other = rest[["jobs", "seconds", "share", "start_up_seconds"]].sum().to_dict()
        other |= {"rule": f"{len(rest)} other rules", **rest[["longest", "max_rss_mib"]].max().to_dict()}
        bars = pd.concat([bars, pd.DataFrame([other])], ignore_index=True)
    with look():
        figure = Figure(figsize=(WIDTH, AXES + BAR * len(bars)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        left.barh(bars.index, bars["seconds"], color=COLOURS[0], label="work")
        left.barh(bars.index, bars["start_up_seconds"], color=COLOURS[1], label="start-up of jobs")
        right.barh(bars.index, bars["max_rss_mib"], color=COLOURS[7])
        for position, (seconds, share, jobs) in enumerate(bars[["seconds", "share", "jobs"]].to_numpy(float)):
            left.annotate(
                f"{share:.0%}, {jobs:.0f} job{'s' if jobs > 1 else ''}", (seconds, position), (3, 0),
                textcoords="offset points", va="center", fontsize=7,
            )  # fmt: skip
        left.set_yticks(bars.index, bars["rule"])
        left.set_ylim(len(bars) - 0.5, -0.5)
        left.margins(x=0.35)
        left.set_xlim(left=0)
        left.set_xlabel("seconds, all jobs of a rule")
        right.set_xlabel("MiB, the largest job")
        for axes in (left, right):
            axes.grid(axis="y", visible=False)
        total, start_up = data["seconds"].sum(), data["start_up_seconds"].sum()
        caption = (
            f"{data['jobs'].sum()} jobs, {total:.0f} s together. Their start-up, Python and what it imports, is "
            f"processor time, {start_up:.0f} s together. Memory is the resident set, which Snakemake looks at every "
            "half a second at first and every 30 s later."
        )
        frame_figure(figure, "Where the time goes", caption, left.get_legend_handles_labels()[0])
    return figure
