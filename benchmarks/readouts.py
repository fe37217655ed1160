"""Which read-out makes which side readable: the tables of docs/readouts.md, from results/tables.

    make readouts                           the sweep of profiles/demo/readouts.yaml, and then this
    python benchmarks/readouts.py [--late]  of another sweep; of the last third of each model's layers alone

Prints, in per cent with 95 % intervals over matrices:

* rows that are more coherent than 95 % of random unit directions through the same read-out (p_direction <= .05);
* rows that are interpretable, random directions that are, and the excess of the first over the second;
* what other settings than the first of the sweep change of the first of these, matrix by matrix;
* how the read-outs do by the rule of docs/readouts.md, which says which one to look at first. Scores are always of all
  layers.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.evaluation.counted_rows import counted_rows  # noqa: E402
from svdlens.evaluation.fractions import beside_random, by_matrix, counts_of_matrices  # noqa: E402
from svdlens.evaluation.intervals import paired_excess, shares_over_matrices  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.controls import RANDOM_UNIT  # noqa: E402
from svdlens.spec.matrix_kinds import MATRIX_KINDS  # noqa: E402
from svdlens.spec.readouts import READOUTS  # noqa: E402

PLACE = ["model", "setting", "matrix"]
SIDE = [*PLACE, "side"]
LABEL_COLUMNS = [
    *PLACE,
    "layer",
    "head",
    "index",
    "side",
    "readout",
    "kind",
    "labelled",
    "verified",
    "interpretable",
    "p_direction",
    "status",
]
BEYOND = 0.05
TESTS = ["held_out", "intrusion"]
SLACK = 0.01  # of a score, by which one read-out may be below another and count as no worse


def counts_of(labels: pd.DataFrame) -> pd.DataFrame:
    """For each of SIDE, read-out, matrix and index the rows n, those interpretable (`counts`) and those `beyond`."""
    rows = counted_rows(labels).assign(beyond=lambda rows: rows["p_direction"] <= BEYOND)
    counts = [
        counts_of_matrices(part, ["counts", "beyond"]).assign(**dict(zip([*PLACE, "readout"], key, strict=True)))
        for key, part in rows.groupby([*PLACE, "readout"], sort=False, observed=True)
    ]
    table = pd.concat(counts, ignore_index=True)
    return table[table["side"] != "all"].reset_index(drop=True)


def table_of(counts: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """The columns of beside_random and beyond, beyond_low, beyond_high, a row for each SIDE and read-out, in_order.

    `controls` are labels of controls.
    """
    beside = counted_rows(controls[controls["control"] == RANDOM_UNIT])
    tables = []
    for key, part in counts.groupby([*SIDE, "readout"], sort=False, observed=True):
        place = dict(zip([*SIDE, "readout"], key, strict=True))
        same = [beside[name] == place[name] for name in [*PLACE, "readout"]]
        table = beside_random(part, ["side"], "counts", beside[pd.concat(same, axis=1).all(axis=1)])
        beyond = shares_over_matrices(by_matrix(part, ["side"], "beyond"), ["side"])
        table[["beyond", "beyond_low", "beyond_high"]] = beyond[["fraction", "low", "high"]].to_numpy()
        tables.append(table.assign(**place))
    return in_order(pd.concat(tables, ignore_index=True))


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows model by model, as they come, and of each in the order of the read-outs."""
    models, readouts = list(dict.fromkeys(table["model"])), list(READOUTS)
    orders = {"model": models, "readout": readouts}
    return table.sort_values(
        ["model", "readout"], key=lambda column: column.map(orders[column.name].index), kind="stable"
    )


def changes(counts: pd.DataFrame, of: str, base: str) -> pd.DataFrame:
    """By how much the share beyond differs from that of `base`, with its interval over matrices (change, change_low,
    change_high), for the other values of the column `of`, which is readout or setting."""
    others = [name for name in [*SIDE, "readout"] if name != of]
    by_value = {
        value: by_matrix(part, others, "beyond") for value, part in counts.groupby(of, sort=False, observed=True)
    }
    names = {"excess": "change", "low": "change_low", "high": "change_high"}
    tables = [
        paired_excess(part, by_value[base], others).rename(columns=names).assign(**{of: value})
        for value, part in by_value.items()
        if value != base
    ]
    return in_order(pd.concat(tables, ignore_index=True).dropna(subset="change"))


def by_rule(table: pd.DataFrame, counts: pd.DataFrame, scores: pd.DataFrame, setting: str, base: str) -> pd.DataFrame:
    """The rule of docs/readouts.md in one setting, a row for each read-out of the weights of `base`.

    beyond and TESTS (less the value for shuffled labels) are means over sides, then over models. ahead_models: models
    whose mean beyond is above that through `base`; ahead and behind: sides where the whole interval of the difference
    is. passes: whether the read-out would take the place of `base`.
    """
    rows = table[(table["setting"] == setting) & table["readout"].map(lambda name: same_weights(name, base))]
    means = rows.groupby(["model", "readout"], observed=True)["beyond"].mean().unstack("model")
    result = pd.DataFrame({"beyond": means.mean(axis=1)})
    gained = means.sub(means.loc[base])
    result["ahead_models"] = (gained > 0).sum(axis=1)
    differences = changes(counts[counts["setting"] == setting], "readout", base).groupby("readout")
    for name, end, sign in (("ahead", "change_low", 1), ("behind", "change_high", -1)):
        sides = differences[end].agg(lambda ends, sign=sign: (sign * ends > 0).sum())
        result[name] = sides.reindex(result.index, fill_value=0).astype(int)
    fit = scores[(scores["setting"] == setting) & scores["test"].isin(TESTS)]
    fit = fit.assign(over=fit["value"] - fit["shuffled"])
    fit = fit.groupby(["test", "model", "readout"], observed=True)["over"].mean()
    for test in TESTS:
        result[test] = fit.loc[test].groupby("readout", observed=True).mean().reindex(result.index)
    no_worse = (result[TESTS] >= result.loc[base, TESTS] - SLACK).all(axis=1)
    result["passes"] = (result["ahead_models"] == means.shape[1]) & no_worse
    names = list(READOUTS)
    return result.reset_index().sort_values("readout", key=lambda column: column.map(names.index), ignore_index=True)


def same_weights(readout: str, base: str) -> bool:
    return READOUTS[readout].weights == READOUTS[base].weights


def late_layers(labels: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last third of each model's layers."""
    return labels[labels["layer"] >= 2 * (labels.groupby("model", observed=True)["layer"].transform("max") + 1) / 3]


def per_cent(table: pd.DataFrame, value: str, sign: str = "") -> list[str]:
    """Values with their intervals, such as 42.7 (42.0 to 43.3)."""
    names = [value, f"{value}_low", f"{value}_high"]
    numbers = 100 * table[names]
    return [
        f"{one:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})" for one, low, high in numbers.itertuples(index=False)
    ]


def side_by_side(table: pd.DataFrame, cells: list[str]) -> pd.DataFrame:
    """A row for each model, setting and read-out, a column for each kind of matrix and side."""
    named = {
        (matrix, side): f"{kind.short_title}, {side}" if len(kind.sides) > 1 else kind.short_title
        for matrix, kind in MATRIX_KINDS.items()
        for side in kind.sides
    }
    columns = pd.Series([named[key] for key in zip(table["matrix"], table["side"], strict=True)], index=table.index)
    wide = table.assign(column=columns, cell=cells).pivot_table(
        index=["model", "setting", "readout"],
        columns="column",
        values="cell",
        aggfunc="first",
        sort=False,
        observed=True,
    )
    order = table[["model", "setting", "readout"]].astype(str).drop_duplicates()
    wide = order.merge(wide.reset_index(), on=["model", "setting", "readout"])
    return wide[[*order.columns, *(name for name in named.values() if name in wide)]].fillna("")


def sections(labels: pd.DataFrame, controls: pd.DataFrame, scores: pd.DataFrame) -> Iterator[str]:
    """The four tables, each with a title, as Markdown."""
    counts = counts_of(labels)
    setting = str(labels["setting"].iloc[0])
    table = table_of(counts[counts["setting"] == setting], controls)
    yield "Beyond 95 % of random directions\n" + markdown_table(side_by_side(table, per_cent(table, "beyond")))
    shares = (100 * table[["fraction", "control_fraction"]]).itertuples(index=False)
    excess = per_cent(table, "excess", "+")
    cells = [f"{own:.1f} - {random:.1f}: {one}" for (own, random), one in zip(shares, excess, strict=True)]
    yield "Interpretable, random directions, and the excess\n" + markdown_table(side_by_side(table, cells))
    switched = changes(counts, "setting", setting)
    switched = switched[(switched[["change", "change_low", "change_high"]] != 0).any(axis=1)]
    if len(switched):
        cells = per_cent(switched, "change", "+")
        yield f"Beyond, less that of setting {setting}\n" + markdown_table(side_by_side(switched, cells))
    for base in [name for name in ("W_U", "W_E") if name in set(table["readout"])]:
        rule = by_rule(table, counts, scores, setting, base).assign(
            passes=lambda rows: rows["passes"].map({True: "yes", False: "no"})
        )
        rule["beyond"] = [f"{100 * share:.1f}" for share in rule["beyond"]]
        rule[TESTS] = rule[TESTS].map(lambda value: f"{value:.3f}")
        yield f"By the rule, beside {base}\n" + markdown_table(rule.astype(str))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=Path("results/tables"), help="where the tables of the sweep are")
    parser.add_argument("--labeller", default="coherence")
    parser.add_argument("--late", action="store_true", help="the last third of each model's layers alone")
    arguments = parser.parse_args()
    wanted = [("labeller", "==", arguments.labeller)]
    labels = pd.read_parquet(arguments.tables / "labels.parquet", columns=LABEL_COLUMNS, filters=wanted)
    columns = [*LABEL_COLUMNS, "control"]
    controls = pd.read_parquet(arguments.tables / "control_labels.parquet", columns=columns, filters=wanted)
    scores = pd.read_parquet(arguments.tables / "scores.parquet", filters=wanted)
    for section in sections(late_layers(labels) if arguments.late else labels, controls, scores):
        print(section, end="\n\n")


if __name__ == "__main__":
    main()
