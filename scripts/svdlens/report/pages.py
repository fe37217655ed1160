"""The pages of the report that are no figures: configuration, models, main tables, and what was not made."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from svdlens.evaluation.agreement import CELLS
from svdlens.report.html import html_page, html_paragraph, html_table, html_text

KEYS = ["model", "setting", "matrix", "readout", "labeller", "criterion"]
FRACTION_TEXT = (
    "Share of token lists (one for each direction, side and sign) that count as interpretable, over all layers, heads "
    "and directions, with its 95 % interval over matrices. control: random unit directions, read and labelled the same "
    "way. excess: the difference, with its 95 % interval. better than random: share of lists better than those of "
    "random directions, at a false discovery rate of 0.05."
)
SCORE_TEXT = (
    "How labels do in tests: value, its 95 % interval, what chance gives, and what labels give that are shuffled among "
    "the lists. Each test is described in docs/evaluation.md."
)
AGREEMENT_TEXT = (
    "How far two labellers agree about the same lists: on how many both decided, how many of these both, only one of "
    "them or neither calls interpretable, and Cohen's kappa with its 95 % interval. Beside them what share each calls "
    "interpretable of these lists, and of the random directions that both decided on: there it is the labeller's rate "
    "of false positives, on the same rows as the other's."
)

FREQUENCY_TEXT = (
    "How each labeller goes with the frequency of the tokens. log rank: of a token by its frequency, mean over a list. "
    "correlation: rank correlation of the labeller's score with it. AUC: area under the ROC curve of the log rank "
    "alone for the labeller's decision, above 0.5 where lists of rarer tokens are called interpretable."
)
FREQUENCY_COLUMNS = {
    "first": "labeller",
    "n_joined": "lists",
    "n": "decided",
    "first_spearman": "correlation",
    "first_log_rank_interpretable": "log rank, interpretable",
    "first_log_rank_not": "log rank, not",
    "first_log_rank_auc": "AUC",
}


def configuration_page(config: Mapping[str, Any]) -> str:
    """What was asked for: the sweep, the models and settings in it, and everything else in the configuration."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100)
    what = "The models and settings that are swept, and every other key of the configuration."
    return html_page("Configuration", [html_paragraph(what), html_text(text)])


def configuration_of_page(page: str) -> dict[str, Any]:
    """The configuration that `configuration_page` has written; nothing of any other page."""
    found = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    try:
        content = yaml.safe_load(html.unescape(found[1])) if found else None
    except yaml.YAMLError:
        content = None
    return content if isinstance(content, dict) else {}


def models_page(provenances: Sequence[Path]) -> str:
    """Where the weights come from: source, revision, and sha256 of each file, from every provenance.json."""
    rows = []
    for path in provenances:
        model = json.loads(Path(path).read_text(encoding="utf-8"))
        for name, file in model["files"].items():
            source = {key: model.get(key) for key in ("model", "source", "repo", "revision", "architecture")}
            rows.append({**source, "file": name, "sha256": file["sha256"]})
    frame = pd.DataFrame(rows).dropna(axis=1, how="all")
    return html_page("Models", [html_table(frame, "Every file that was read.")])


def fractions_page(fractions: pd.DataFrame) -> str:
    """The fractions of everything together, one row per model, setting, matrix, read-out, labeller and criterion."""
    whole = (fractions["unit"] == "row") & (fractions["side"] == "all") & (fractions["group"] == "all")
    rows = fractions[whole & (fractions["kind"] == "all")].rename(
        columns={"control_fraction": "control", "beyond_random": "better than random"}
    )
    rows = rows.assign(
        **{
            "95 %": intervals(rows["low"], rows["high"]),
            "95 % of excess": intervals(rows["excess_low"], rows["excess_high"]),
        }
    )
    numbers = ["n", "k", "fraction", "95 %", "control", "excess", "95 % of excess", "better than random"]
    varying, same = apart_from_what_is_the_same(rows[[*KEYS, *numbers]], ["readout", "labeller", "criterion"])
    nothing = "No token list was labelled."
    return html_page(
        "Fraction interpretable",
        [
            html_paragraph(FRACTION_TEXT),
            html_table(varying, f"All layers, heads and directions.{same}", nothing),
        ],
    )


def intervals(low: pd.Series, high: pd.Series) -> list[str]:
    """`low to high`, to three digits; nothing where there is none."""
    pairs = zip(low, high, strict=True)
    return ["" if pd.isna(first) else f"{first:.3f} to {last:.3f}" for first, last in pairs]


def apart_from_what_is_the_same(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """`frame` without those of `columns` that have one value throughout, and these values as a sentence."""
    same = [name for name in columns if name in frame and frame[name].nunique(dropna=False) == 1]
    said = "; ".join(f"{name} {frame[name].iloc[0]}" for name in same)
    return frame.drop(columns=same), f" Throughout: {said}." if said else ""


def scores_page(scores: pd.DataFrame) -> str:
    """All tests of the labels."""
    varying, same = apart_from_what_is_the_same(scores, ["readout", "labeller"])
    return html_page(
        "Scores of labels",
        [html_paragraph(SCORE_TEXT), html_table(varying, f"Of each labeller.{same}", "No label could be tested.")],
    )


def agreement_page(agreement: pd.DataFrame) -> str:
    """Agreement of all pairs of labellers, where there are any; and what each has to do with frequency."""
    places = ["model", "setting", "matrix", "readout"]
    alone = agreement[agreement["second"].isna()].rename(columns=FREQUENCY_COLUMNS)
    alone = alone[[*places, *FREQUENCY_COLUMNS.values()]].dropna(axis=1, how="all")
    varying, same = apart_from_what_is_the_same(alone, ["readout", "labeller"])
    frequency = [
        html_paragraph(FREQUENCY_TEXT),
        html_table(varying, f"Of each labeller.{same}", "Nothing was labelled."),
    ]
    pairs = agreement[agreement["second"].notna()]
    if pairs.empty:
        none = html_paragraph("No two labellers labelled the same lists, so that there is no agreement to tell.")
        return html_page("Labels and frequency", [none, *frequency])
    shown = pairs[[*places, "first", "second", "n", *CELLS, "kappa"]].assign(
        **{"95 %": intervals(pairs["kappa_low"], pairs["kappa_high"])},
        **{f"{name}, lists": shares(pairs, "", name) for name in ("first", "second")},
        **{f"{name}, random": shares(pairs, "control_", name) for name in ("first", "second")},
        **{"n, random": pairs["control_n"]},
    )
    varying, same = apart_from_what_is_the_same(shown, ["readout", "first", "second"])
    table = html_table(varying, f"Of each pair of labellers.{same}")
    heading = "<h2>Labels and frequency</h2>"
    return html_page("Agreement between labellers", [html_paragraph(AGREEMENT_TEXT), table, heading, *frequency])


def shares(pairs: pd.DataFrame, prefix: str, name: str) -> list[str]:
    """The share that the first or second labeller calls interpretable, of rows on which both decided, in per cent;
    nothing where there are none."""
    called = pairs[f"{prefix}both"] + pairs[f"{prefix}only_{name}"]
    return [f"{k / n:.1%}" if n else "" for k, n in zip(called, pairs[f"{prefix}n"], strict=True)]


def not_made_page(rows: Sequence[Mapping[str, str]], paper: pd.DataFrame) -> str:
    """What is missing from the report, why, and what makes it. `paper` are rows of paper_figures."""
    keys = ["row", "why", "command"]
    absent = paper[paper["made"] == "no"]
    missing = absent.groupby(keys, sort=False)["shows"].agg("; ".join).reset_index()[["row", "shows", "why", "command"]]
    return html_page(
        "What was not made, and why",
        [
            html_table(pd.DataFrame(rows), "Of this sweep.", "Everything that the sweep can have was made."),
            "<h2>Figures of the post</h2>",
            html_table(missing, "Rows count the figures of Millidge & Black (2022).", "All of them were made."),
        ],
    )


def paper_page(paper: pd.DataFrame) -> str:
    """The figures of Millidge & Black (2022), made or not."""
    text = "The figures of Millidge & Black (2022) and their counterparts for other models of the sweep."
    return html_page("Figures of the post", [html_paragraph(text), html_table(paper, "One row for each figure.")])


def markdown_table(frame: pd.DataFrame) -> str:
    """`frame`, which holds text and whole numbers, as a table in Markdown."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |\n" for row in rows)
