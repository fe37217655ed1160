# Parts of a sweep to ask for by name, `snakemake TARGET`. Everything is `all`, in the Snakefile.
#
# needs   what the rules of the other files make
# makes   nothing of its own

from snakemake.cli import get_argument_parser
from snakemake.logging import logger

from svdlens.figures.files import what_is_lacking
from svdlens.sweep.asked_files import no_such_target
from svdlens.sweep.stale import stale_beside, warning

# What each target is, and its files.
TARGETS = {
    "models": ("Model files, checked, with provenance.json.", SWEEP.over_places(paths.PROVENANCE)),
    "weights": (
        "All weights as each setting wants them, for use elsewhere.",
        weight_files,
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
            *PEOPLE,
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
    "benchmarks": (
        "What the jobs so far cost, as a table and a figure.",
        ["results/tables/benchmarks.parquet", *figure_paths(SWEEP, ["benchmarks"])],
    ),
    "explorer": ("The page to look around in.", "results/explorer/index.html"),
}

for target, (what, files) in TARGETS.items():

    rule:
        name:
            target
        input:
            files,

    describe(target, what)


onsuccess:
    stale = stale_beside(SWEEP)
    if stale:
        logger.warning(f"svdlens: {warning(stale)}")


def asked_targets():
    """Targets of the command line, and of its options that take some. Snakemake itself looks at them later."""
    started_as = Path(sys.argv[0])
    by_command = "snakemake" in (started_as.name, started_as.parent.name) and workflow.is_main_process
    # Of a workflow that svdlens is a module of, most rules are still to come.
    by_command = by_command and workflow.modifier.is_main_snakefile()
    # With a default storage, files are asked for by other paths than the rules have.
    if not by_command or workflow.storage_settings.default_storage_provider:
        return []
    given = get_argument_parser().parse_args(sys.argv[1:])
    return [target for key in ("targets", "prioritize", "forcerun", "until") for target in getattr(given, key) or []]


def check_asked_targets():
    """Stop for one that no rule makes: Snakemake would say just that."""
    names = ["all", *TARGETS, *(rule.name for rule in workflow.rules if not rule.has_wildcards())]
    for asked in asked_targets():
        path = os.path.relpath(asked)
        is_made = workflow.is_rule(asked) or any(rule.is_producer(path) for rule in workflow.rules)
        if is_made and os.path.isabs(asked):
            stop(f"{asked}: files are asked for by their path from the working directory, {path}.")
        if not is_made:
            figures = [name for name in FIGURES if Path(path).name.startswith(name)]
            lacking = what_is_lacking(SWEEP, max(figures, key=len)) if figures else None
            if lacking:
                stop(f"no rule of this configuration makes {path}: {'; '.join(lacking)}.")
            patterns = [str(file) for rule in workflow.rules for file in rule.products()]
            stop(no_such_target(path, dict.fromkeys(names), patterns))
