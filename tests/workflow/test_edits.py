"""What an edit of the code repeats: what may come out otherwise, and nothing else."""

import os
from collections.abc import Callable

import pytest

from workflow import AFTER_FRACTIONS, AFTER_LABELS, AFTER_LISTS, AFTER_SPECTRA, AFTER_WEIGHTS, Run, Workflow, copy_run

pytest_plugins = ["workflow_fixtures"]

Edit = Callable[[str], str]


@pytest.fixture(scope="module")
def edited(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished sweep with a project of its own, which tests edit."""
    return copy_run(finished, tmp_path_factory.mktemp("edited"), own_project=True)


def dry_run(workflow: Workflow, module: str, edit: Edit) -> Run:
    """A dry run of the finished sweep with scripts/`module` edited."""
    path = workflow.project / "scripts" / module
    source, times = path.read_text("utf-8"), path.stat()
    assert edit(source) != source
    path.write_text(edit(source), "utf-8")
    try:
        return workflow.finish("--dry-run")
    finally:
        path.write_text(source, "utf-8")
        # Snakemake goes by the time of a script as well.
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace(old: str, new: str) -> Edit:
    return lambda source: source.replace(old, new)


def add(text: str) -> Edit:
    return lambda source: f"{source}\n{text}\n"


STATEMENT = add("EDITED = 1")
# Each of these is read by the jobs of a finished sweep.
SILENT: dict[str, tuple[str, Edit]] = {
    "an error message": ("svdlens/errors.py", replace("Did you mean", "Perhaps you mean")),
    "the message of a failed job": ("svdlens/runtime/script.py", replace("cannot write", "could not write")),
    "an error of a read-out": ("svdlens/readout/readout_matrix.py", replace("is no read-out", "is not a read-out")),
    "an error of an SVD": ("svdlens/svd/layer_by_layer.py", replace("raise SvdlensError(", 'raise SvdlensError("" + ')),
    "a progress bar": ("svdlens/runtime/progress.py", replace("delay=3", "delay=5")),
    "the text of a progress bar": ("svdlens/svd/layer_by_layer.py", replace('f"SVD of ', 'f"decomposing ')),
    "how files are written": ("svdlens/artefacts/atomic_files.py", STATEMENT),
    "the docstring of a helper": ("svdlens/spec/settings.py", replace("Raises SvdlensError", "Raises a SvdlensError")),
    "the docstring of a function": (
        "svdlens/weights/factors.py",
        replace("The processed fac", "Processed fac"),
    ),
    "the docstring of a module": ("svdlens/weights/extraction.py", replace("Raw weights", "The raw weights")),
    "a comment": ("svdlens/weights/extraction.py", add("# Nothing is done here.")),
}


@pytest.mark.parametrize("edit", SILENT)
def test_an_edit_that_changes_no_result_repeats_nothing(edit: str, edited: Workflow) -> None:
    assert not dry_run(edited, *SILENT[edit]).jobs


def test_new_dates_of_the_lexicon_repeat_nothing(edited: Workflow) -> None:
    # Those of a fresh checkout.
    for path in (edited.project / "resources/lexicon").iterdir():
        path.touch()
    assert not edited.finish("--dry-run").jobs


def test_the_edits_of_these_tests_come_back(edited: Workflow) -> None:
    assert not edited.finish("--dry-run").jobs


FROM_PROJECTION = {"project_directions"} | AFTER_LISTS
# Module, the rules whose code it is, and all that is repeated.
TELLING: dict[str, tuple[set[str], set[str]]] = {
    "svdlens/readout/readout_matrix.py": ({"project_directions"}, FROM_PROJECTION),
    "svdlens/readout/top_tokens.py": ({"project_directions"}, FROM_PROJECTION),
    "svdlens/svd/matrix_svd.py": ({"decompose_matrices", "measure_stability"}, AFTER_WEIGHTS),
    "svdlens/svd/weight_noise.py": ({"measure_stability"}, {"measure_stability", "tabulate_spectra"} | AFTER_SPECTRA),
    "svdlens/svd/stability.py": ({"measure_stability"}, {"measure_stability", "tabulate_spectra"} | AFTER_SPECTRA),
    "svdlens/svd/spectrum.py": ({"tabulate_spectra"}, {"tabulate_spectra"} | AFTER_SPECTRA),
    "svdlens/labels/coherence/naming.py": ({"label_directions"}, {"label_directions"} | AFTER_LABELS),
    "svdlens/evaluation/fractions.py": ({"collect_fractions"}, AFTER_FRACTIONS),
    "svdlens/figures/spectra.py": ({"plot_spectra"}, {"plot_spectra"}),
    "project_directions.py": ({"project_directions"}, FROM_PROJECTION),
}


@pytest.mark.parametrize("module", TELLING)
def test_an_edit_of_a_stage_repeats_it_and_what_follows(module: str, edited: Workflow) -> None:
    direct, rules = TELLING[module]
    run = dry_run(edited, module, STATEMENT)
    assert run.rules == rules
    assert run.directly("Params have changed") | run.directly("Code has changed") == direct


def test_what_labels_and_lists_are_does_not_hang_on_fractions_or_on_pictures(edited: Workflow) -> None:
    kept = {"collect_tokens", "collect_labels", "collect_spectra", "label_directions", "view_labels"}
    for module in ("svdlens/evaluation/fractions.py", "svdlens/figures/style.py", "svdlens/figures/panels.py"):
        run = dry_run(edited, module, STATEMENT)
        assert run.rules
        assert not run.rules & kept, module
