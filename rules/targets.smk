# Parts of a sweep to ask for by name, `snakemake TARGET`. Everything is `all`, in the Snakefile.
#
# needs   what the rules of the other files make
# makes   nothing of its own

from snakemake.logging import logger

from svdlens.sweep.stale import stale_beside, warning

# What each target is, and its files.
TARGETS = {
    "models": ("Model files, checked, with provenance.json.", SWEEP.over_places(paths.PROVENANCE)),
    "weights": (
        "All weights as each setting wants them, for use elsewhere.",
        SWEEP.over_places("results/weights/{model}/{setting}.safetensors"),
    ),
    "spectra": (
        "Every singular value, with gaps, near-degenerate clusters and the stability of its vectors.",
        SWEEP.over_places(paths.SPECTRA),
    ),
    "tokens": ("The best tokens of each direction and sign.", SWEEP.over_places(paths.TOKENS)),
    "labels": ("What each labeller says of them.", SWEEP.over_labels(paths.LABELS)),
    "tables": (
        "The whole sweep as results/tables/*.parquet, and what it found in sentences.",
        [
            *expand("results/tables/{table}.parquet", table=paths.TABLES),
            "results/tables/findings.md",
            "results/tables/files.csv",
        ],
    ),
    "figures": (
        "Every figure.",
        [*figure_paths(SWEEP, selected_figures(SWEEP)), *checked_tables(selected_figures(SWEEP))],
    ),
    "paper_figures": (
        "The figures of the post, for the models of the sweep.",
        [*paper_paths(SWEEP), *checked_tables(["token_table"])],
    ),
    "published_figures": (
        "What the published labels show; needs no model.",
        figure_paths(SWEEP, ["fraction_published"]),
    ),
    "effects": ("What scaling each direction does to what the model predicts on a text.", effect_files),
    "cards": ("What each OV direction reads and writes, side by side.", card_files),
    "explorer": ("The page to look around in.", "results/explorer/index.html"),
}

for target, (what, files) in TARGETS.items():

    rule:
        name:
            target
        input:
            files,

    # For `snakemake --list`: a docstring in a rule cannot take a value.
    workflow.get_rule(target).docstring = what


onsuccess:
    stale = stale_beside(SWEEP)
    if stale:
        logger.warning(f"svdlens: {warning(stale)}")
