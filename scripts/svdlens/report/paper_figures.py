"""The figures of Millidge & Black (2022), and which of them a sweep makes.

Their tables and spectra are of gpt2-medium, with the gains of the norms in the matrices (setting post2022). Other
models of a sweep get the counterparts that their own tables of tokens give, or those of their most interpretable
matrices.
"""

from typing import NamedTuple

from svdlens.figures.files import FORMATS, figure_files, why_not_drawn
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.sweep.plan import Sweep

MODEL, SETTING = "gpt2-medium", "post2022"
OV_TABLES = [(22, 10), (22, 15), (22, 8), (22, 3), (22, 2), (19, 5)]
MLP_TABLES = [("mlp_in", 22), ("mlp_in", 21), ("mlp_in", 20), ("mlp_in", 2)]
MLP_TABLES += [("mlp_out", 16), ("mlp_out", 17), ("mlp_out", 18), ("mlp_out", 15)]
# Figures of the labels of GPT-3, and what they show.
PUBLISHED = {
    "fraction_published": "share that GPT-3 labelled, by layer",
    "fraction_by_depth": "the same, all models on one axis, by layer and by relative depth",
    "fraction_by_index": "the same by index of the direction",
}
FOR_LACK_OF = {
    5: (
        "share of hand labels by layer and by index",
        "The hand labels are not published, and no labeller takes them yet.",
    ),
}


EDITS = {"edit_effect": "what an edit does to target tokens", "edit_spectrum": "directions before and after an edit"}
"""Figures of edits, and what they show."""


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


NO_TRACE = PaperFigure(
    row=7,
    shows="directions that fire words lie along",
    model=MODEL,
    setting=SETTING,
    figure="trace_table",
    path="",
    why=f"{MODEL} is not searched for words.",
    command="snakemake --cores all trace --config 'query=[fire, flame, burning]' "
    f"'sweep={{models: [{MODEL}], settings: [{SETTING}]}}'",
)


def paper_figures(sweep: Sweep) -> list[PaperFigure]:
    """Every row of the post, then the counterparts for the other models of the sweep."""
    rows = [paper_row(sweep, *wanted) for wanted in gpt2_medium_figures()]
    rows += [published_row(sweep, figure, shows) for figure, shows in PUBLISHED.items()]
    rows += [PaperFigure(row, shows, "", "", "", "", why, "") for row, (shows, why) in FOR_LACK_OF.items()]
    rows += [] if traces(sweep, MODEL) else [NO_TRACE]
    rows += [row for model in sweep.models for row in traces(sweep, model)]
    rows += edit_rows(sweep)
    rows += [row for model in sweep.models if model != MODEL for row in counterparts(sweep, model)]
    return sorted(rows, key=lambda one: one.row)


def paper_paths(sweep: Sweep) -> list[str]:
    """The list of these figures, and the files of those that the sweep makes."""
    pictures = [f"{row.path}.{suffix}" for row in paper_figures(sweep) if row.path for suffix in FORMATS]
    return ["results/tables/paper_figures.csv", *pictures]


def gpt2_medium_figures() -> list[tuple[int, str, str, str, str]]:
    """Row, what it shows, figure, kind of matrix, and the name of its files, for all figures of gpt2-medium."""
    ov = [
        (1, f"tokens of OV, layer {layer}, head {head}", "token_table", "ov", f"token_table_ov_L{layer}_H{head}")
        for layer, head in OV_TABLES
    ]
    gaussian = [(2, "tokens of a Gaussian matrix", "random_table", "", "random_table")]
    spectra = [
        (3, f"spectra of {matrix}", "spectra", matrix, f"spectra_{matrix}") for matrix in ("ov", "mlp_in", "mlp_out")
    ]
    mlp = [
        (4, f"tokens of {matrix}, layer {layer}", "token_table", matrix, f"token_table_{matrix}_L{layer}")
        for matrix, layer in MLP_TABLES
    ]
    return [*ov, *gaussian, *spectra, *mlp]


def paper_row(sweep: Sweep, row: int, shows: str, figure: str, matrix: str, name: str) -> PaperFigure:
    """A figure of gpt2-medium, or why the sweep does not make it."""
    path = f"results/figures/{MODEL}/{SETTING}/{name}"
    if path in paths_without_suffix(sweep, figure):
        return PaperFigure(row, shows, MODEL, SETTING, figure, path, "", "")
    chosen = [f"models: [{MODEL}]", f"settings: [{SETTING}]"]
    lacking = why_not_drawn(sweep, figure)
    if MODEL not in sweep.models:
        why = f"{MODEL} is not in the sweep."
    elif SETTING not in sweep.choice(MODEL, "settings"):
        why = f"The setting {SETTING} is not swept for {MODEL}."
    elif matrix and matrix not in sweep.choice(MODEL, "matrices"):
        why = f"The matrix {matrix} is not swept for {MODEL}."
        chosen.append(f"matrices: [{matrix}]")
    elif figure == "random_table" and lacking is not None:
        why = f"{lacking[0][0].upper()}{lacking[0][1:]}: {lacking[1]}, then:"
    else:
        why = f"models.{MODEL}.token_tables has no such entry. Add it, then:"
    command = f"snakemake --cores all paper_figures --config 'sweep={{{', '.join(chosen)}}}'"
    return PaperFigure(row, shows, MODEL, SETTING, figure, "", why, command)


def published_row(sweep: Sweep, figure: str, shows: str) -> PaperFigure:
    """A figure of the labels of GPT-3. fraction_published draws them by itself, others the labels of one labeller."""
    alone, labeller = figure == "fraction_published", sweep.figure_labeller
    path = f"results/figures/{figure}" if alone else f"results/figures/{figure}_{SETTING}"
    if path in paths_without_suffix(sweep, figure) and (
        "published" in sweep.labellers if alone else labeller == "published"
    ):
        return PaperFigure(6, shows, "all", SETTING, figure, path, "", "")
    if alone:
        why, command = "The labeller published is not in the sweep.", "snakemake --cores all published_figures"
    else:
        another = [f"the figure draws another labeller, {labeller}"] if labeller != "published" else []
        unswept = [f"the setting {SETTING} is not swept"] if SETTING not in sweep.swept_settings() else []
        reasons = ", and ".join([*another, *unswept]) or f"{figure} is not drawn"
        why = f"{reasons[0].upper()}{reasons[1:]}."
        chosen = f"sweep={{settings: [{SETTING}], labellers: [coherence, published]}}"
        command = f"snakemake --cores all paper_figures --config '{chosen}' 'figures={{labeller: published}}'"
    return PaperFigure(6, shows, "all", SETTING, figure, "", why, command)


def traces(sweep: Sweep, model: str) -> list[PaperFigure]:
    """The traces of a model, of whatever queries the sweep has: those of the post are of words of fire."""
    return [
        PaperFigure(
            7, f"{of}, query {file.subject['query']}", model, file.subject["setting"], figure, file.path, "", ""
        )
        for figure, of in (("trace_table", "directions of a concept"), ("trace_heads", "where it is"))
        for file in figure_files(sweep, figure)
        if file.subject["model"] == model
    ]


def counterparts(sweep: Sweep, model: str) -> list[PaperFigure]:
    """What another model has in the place of rows 1 to 4, in the setting of what is shown once for a model.

    The post has no tables and spectra of embedding and unembedding.
    """
    setting = sweep.figure_setting(model)
    directory = f"results/figures/{model}/{setting}/"
    rows = []
    chosen = "token_table" if sweep.config["models"][model].get("token_tables") else "interpretable_table"
    for figure in (chosen, "random_table", "spectra"):
        for path, subject in figure_files(sweep, figure):
            in_post = figure == "random_table" or MATRIX_KINDS[subject["matrix"]].in_layers
            if path.startswith(directory) and in_post:
                name = path.removeprefix(directory)
                row = {"random_table": 2, "spectra": 3}.get(figure, 4 if "_mlp_" in name else 1)
                shows = f"counterpart: {name.replace('_', ' ')}"
                rows.append(PaperFigure(row, shows, model, setting, figure, path, "", ""))
    return rows


def edit_rows(sweep: Sweep) -> list[PaperFigure]:
    """The counterparts of row 7 for each edit, or why there is none."""
    if not sweep.edits:
        command = "snakemake --cores all edits --configfile profiles/demo/sweep.yaml"
        return [PaperFigure(7, shows, "", "", name, "", "`edits` is empty.", command) for name, shows in EDITS.items()]
    return [
        PaperFigure(
            7, f"counterpart: {shows}, {file.subject['edit']}", file.subject["model"], file.subject["setting"], name,
            file.path, "", "",
        )
        for name, shows in EDITS.items()
        for file in figure_files(sweep, name)
    ]  # fmt: skip


def paths_without_suffix(sweep: Sweep, figure: str) -> list[str]:
    """The paths of the files of a figure, as PaperFigure.path has them."""
    return [file.path for file in figure_files(sweep, figure)]
