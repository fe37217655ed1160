"""The figures of Millidge & Black (2022), and which of them a sweep makes.

Their tables and spectra are of gpt2-medium, with the gains of the norms in the matrices (setting post2022). Other
models of a sweep get the counterparts that their own tables of tokens give.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MODEL, SETTING = "gpt2-medium", "post2022"
OV_TABLES = [(22, 10), (22, 15), (22, 8), (22, 3), (22, 2), (19, 5)]
MLP_TABLES = [("mlp_in", 22), ("mlp_in", 21), ("mlp_in", 20), ("mlp_in", 2)]
MLP_TABLES += [("mlp_out", 16), ("mlp_out", 17), ("mlp_out", 18), ("mlp_out", 15)]
# Figures of the labels of GPT-3, and what they show.
PUBLISHED = {
    "fraction_published": "share that GPT-3 labelled, by block",
    "fraction_by_depth": "the same, all models on one axis, by block and by relative depth",
    "fraction_by_index": "the same by index of the direction",
}
FOR_LACK_OF = {
    5: (
        "share of hand labels by block and by index",
        "The hand labels are not published, and no labeller takes them yet.",
    ),
    7: ("trace of fire words, and edits of their directions", "This version has neither traces nor edits."),
}


class PaperFigure(NamedTuple):
    """A figure of the post, or its counterpart for another model. `path` is that of its files, without suffix; empty
    where the sweep does not make it, and then `why` says the reason and `command` what makes it, if anything does.
    """

    row: int
    shows: str
    model: str
    setting: str
    figure: str
    path: str
    why: str
    command: str


def paper_figures(
    figures: Mapping[str, Sequence[str]],
    settings: Mapping[str, str],
    matrices: Mapping[str, Sequence[str]],
    labellers: Sequence[str],
    drawn: str,
) -> list[PaperFigure]:
    """Every row of the post, then the counterparts.

    `figures`: paths of each figure of the sweep, without suffix. For each model of the sweep `settings` has the setting
    of what is shown once for a model, and `matrices` its kinds of matrices. `labellers` are those of the sweep, and
    `drawn` is the one whose labels the figures of fractions draw.
    """
    rows = [paper_row(*wanted, figures, settings, matrices) for wanted in of_gpt2_medium()]
    rows += [published_row(figure, shows, figures, labellers, drawn) for figure, shows in PUBLISHED.items()]
    rows += [PaperFigure(row, shows, "", "", "", "", why, "") for row, (shows, why) in FOR_LACK_OF.items()]
    for model in settings:
        if model != MODEL:
            rows += counterparts(model, settings[model], figures)
    return sorted(rows, key=lambda one: one.row)


def of_gpt2_medium() -> list[tuple[int, str, str, str, str]]:
    """Row, what it shows, figure, kind of matrix, and the name of its files, for all figures of gpt2-medium."""
    found = [
        (1, f"tokens of OV, layer {layer}, head {head}", "token_table", "ov", f"token_table_ov_L{layer}_H{head}")
        for layer, head in OV_TABLES
    ]
    found.append((2, "tokens of a Gaussian matrix", "random_table", "", "random_table"))
    found += [
        (3, f"spectra of {matrix}", "spectra", matrix, f"spectra_{matrix}") for matrix in ("ov", "mlp_in", "mlp_out")
    ]
    found += [
        (4, f"tokens of {matrix}, layer {layer}", "token_table", matrix, f"token_table_{matrix}_L{layer}")
        for matrix, layer in MLP_TABLES
    ]
    return found


def paper_row(
    row: int,
    shows: str,
    figure: str,
    matrix: str,
    name: str,
    figures: Mapping[str, Sequence[str]],
    settings: Mapping[str, str],
    matrices: Mapping[str, Sequence[str]],
) -> PaperFigure:
    path = f"results/figures/{MODEL}/{SETTING}/{name}"
    if path in figures[figure]:
        return PaperFigure(row, shows, MODEL, SETTING, figure, path, "", "")
    sweep = [f"models: [{MODEL}]", f"settings: [{SETTING}]"]
    if MODEL not in settings:
        why = f"{MODEL} is not in the sweep."
    elif settings[MODEL] != SETTING:
        why = f"The setting {SETTING} is not swept for {MODEL}."
    elif matrix and matrix not in matrices[MODEL]:
        why = f"The matrix {matrix} is not swept for {MODEL}."
        sweep.append(f"matrices: [{matrix}]")
    else:
        why = f"models.{MODEL}.token_tables has no such entry. Add it, then:"
    command = f"snakemake --cores all paper_figures --config 'sweep={{{', '.join(sweep)}}}'"
    return PaperFigure(row, shows, MODEL, SETTING, figure, "", why, command)


def published_row(
    figure: str, shows: str, figures: Mapping[str, Sequence[str]], labellers: Sequence[str], drawn: str
) -> PaperFigure:
    """A figure of the labels of GPT-3. fraction_published draws them by itself, others the labels of one."""
    alone = figure == "fraction_published"
    name = figure if alone else f"{figure}_{SETTING}"
    path = f"results/figures/{name}"
    if path in figures[figure] and ("published" in labellers if alone else drawn == "published"):
        return PaperFigure(6, shows, "all", SETTING, figure, path, "", "")
    if alone:
        why, command = "The labeller published is not in the sweep.", "snakemake --cores all published_figures"
    else:
        why = f"The figure draws another labeller, {drawn}, or the setting {SETTING} is not swept."
        sweep = f"sweep={{settings: [{SETTING}], labellers: [coherence, published]}}"
        command = f"snakemake --cores all paper_figures --config '{sweep}' 'figures={{labeller: published}}'"
    return PaperFigure(6, shows, "all", SETTING, figure, "", why, command)


def counterparts(model: str, setting: str, figures: Mapping[str, Sequence[str]]) -> list[PaperFigure]:
    """What another model has in the place of rows 1 to 4."""
    place = f"results/figures/{model}/{setting}/"
    found = []
    for figure in ("token_table", "random_table", "spectra"):
        for path in figures[figure]:
            if path.startswith(place):
                name = path.removeprefix(place)
                row = {"random_table": 2, "spectra": 3}.get(figure, 4 if "_mlp_" in name else 1)
                shows = f"counterpart: {name.replace('_', ' ')}"
                found.append(PaperFigure(row, shows, model, setting, figure, path, "", ""))
    return found
