"""How the workflow is built, as Snakemake and Python see it: rules and their names, and what imports what."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workflow import PROJECT, Workflow

pytest_plugins = ["workflow_fixtures"]

SCRIPTS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py"))
MODULES = sorted(
    ".".join(path.relative_to(PROJECT / "scripts").with_suffix("").parts)
    for path in (PROJECT / "scripts/svdlens").rglob("[!_]*.py")
)
HEAVY = ("matplotlib", "numpy", "pandas", "pyarrow", "scipy", "seaborn", "torch", "transformers")

# What the Snakefile imports is imported again in each job, on a cluster too.
READ_BY_SNAKEMAKE = [
    *(module for module in MODULES if module.startswith(("svdlens.spec.", "svdlens.sweep."))),
    *("svdlens.labels.registry", "svdlens.labels.llm.attempts", "svdlens.figures.registry", "svdlens.figures.files"),
    *("svdlens.report.not_made", "svdlens.report.paper_figures", "svdlens.models.python_packages"),
]
# What touches only tables starts in a fraction of the time that torch takes to import.
WITHOUT_TORCH = [
    *(module for module in MODULES if module.startswith(("svdlens.artefacts.", "svdlens.evaluation."))),
    *(module for module in MODULES if module.startswith(("svdlens.explorer.", "svdlens.figures.", "svdlens.report."))),
    *("svdlens.labels.label_table", "svdlens.readout.token_table", "svdlens.svd.spectrum"),
    *("svdlens.vocabulary.list_similarity", "svdlens.vocabulary.token_classes"),
    *(
        script
        for script in SCRIPTS
        if script.startswith(("build_", "collect_", "compare_", "decode_", "export_", "label_", "list_"))
        or script.startswith(("make_", "plot_", "score_", "tabulate_", "view_"))
    ),
]

RULES = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ResourceSettings
with SnakemakeApi() as api:
    workflow = api.workflow(resource_settings=ResourceSettings(), snakefile=Path(sys.argv[1]))._workflow
    keys = ("name", "docstring", "script", "log", "benchmark", "group", "norun", "is_script", "is_checkpoint")
    rules = [{key: getattr(rule, key) for key in keys} for rule in workflow.rules]
    for rule, entry in zip(workflow.rules, rules):
        entry |= {"params": list(rule.params.keys()), "outputs": len(rule.output), "log": list(rule.log)}
        named = [[value] if isinstance(value, str) else value for value in dict(rule.output.items()).values()]
        entry |= {"named": sum(map(len, named)) == len(rule.output)}
    Path(sys.argv[2]).write_text(json.dumps(rules, default=str))
"""


@pytest.fixture(scope="module")
def rules(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every rule as Snakemake has it when it has read the Snakefile."""
    found = tmp_path_factory.mktemp("rules") / "rules.json"
    subprocess.run([sys.executable, "-c", RULES, project / "Snakefile", found], cwd=found.parent, check=True)
    return json.loads(found.read_text("utf-8"))


def test_a_rule_its_script_its_log_and_its_benchmark_have_one_name(rules: list[dict[str, Any]]) -> None:
    jobs = [rule for rule in rules if not rule["norun"]]
    for rule in jobs:
        name = rule["name"]
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name), name
        script = "plot_figure" if name.startswith("plot_") else name  # whatever the figure
        assert rule["is_script"], name
        assert rule["script"] == f"../scripts/{script}.py"
        [log] = rule["log"]
        assert log.startswith(f"results/logs/{name}/")
        assert rule["benchmark"].startswith(f"results/benchmarks/{name}/")
        assert "code" in rule["params"], name
        # A figure of which this sweep has no file has nothing to make.
        assert rule["named"] and (rule["outputs"] or name.startswith("plot_")), name
        assert rule["group"] is None and not rule["is_checkpoint"], name
    assert {Path(rule["script"]).stem for rule in jobs} == set(SCRIPTS)
    # The others are names for files.
    assert all(not rule["outputs"] for rule in rules if rule["norun"])
    # Python would take a script for the library's module of that name.
    assert not set(SCRIPTS) & {module.split(".")[-1] for module in MODULES}


def test_snakemake_lists_what_each_rule_does(rules: list[dict[str, Any]], tiny: Workflow) -> None:
    listed = tiny.finish("--list").printed
    for rule in rules:
        if not rule["norun"]:
            assert len(rule["docstring"]) > 20, rule["name"]
            assert f"{rule['name']} ({rule['docstring']})\n" in listed


def test_snakemake_has_but_one_thing_to_criticise(tiny: Workflow) -> None:
    # It would have the input functions of all rules in one file; here they stand beside the rules that they are of.
    criticised = set(re.findall(r"^ {4}\* (.*?):?$", tiny.run("--lint").printed, re.MULTILINE))
    assert criticised == {"Mixed rules and functions in same snakefile."}


# Imports each module in a process of its own, so that none hides what another imports.
IMPORTS = """
import importlib, os, sys
unwanted, modules = sys.argv[1].split(","), sys.argv[2:]
for name in modules:
    if os.fork() == 0:
        importlib.import_module(name)
        found = [module for module in unwanted if module in sys.modules]
        if found:
            print(name, "imports", *found, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""


def unwanted_imports(modules: list[str], unwanted: list[str], already: str = "sys") -> str:
    """Which of `modules` import which `unwanted` ones; `already` is imported before, once for all."""
    command = [sys.executable, "-c", f"import {already}\n{IMPORTS}", ",".join(unwanted), *modules]
    return subprocess.run(command, cwd=PROJECT / "scripts", capture_output=True, text=True, check=True).stdout


def test_what_snakemake_reads_imports_nothing_heavy() -> None:
    assert unwanted_imports(READ_BY_SNAKEMAKE, [*HEAVY]) == ""


def test_what_touches_only_tables_does_not_import_torch() -> None:
    already = "numpy, pandas, pyarrow.parquet, scipy.sparse, matplotlib.figure"
    assert unwanted_imports(WITHOUT_TORCH, ["torch"], already) == ""


def test_the_library_knows_nothing_of_snakemake() -> None:
    already = "numpy, pandas, pyarrow.parquet, scipy.sparse, matplotlib.figure, torch"
    assert unwanted_imports(MODULES, ["snakemake"], already) == ""


FORM = """
import importlib, inspect, sys
for name in sys.argv[1:]:
    script = importlib.import_module(name)
    own = [value for value in vars(script).values() if inspect.isroutine(value) and value.__module__ == name]
    assert [value.__name__ for value in own] == ["main"], name
    assert len(inspect.signature(script.main).parameters) == 1, name
    assert script.__doc__, name
"""


def test_a_script_is_a_function_main_that_runs_nothing_on_import() -> None:
    subprocess.run([sys.executable, "-c", FORM, *SCRIPTS], cwd=PROJECT / "scripts", check=True)


def test_no_file_is_long() -> None:
    def too_long(pattern: str, most: int) -> list[str]:
        paths = [path for path in PROJECT.glob(pattern) if len(path.read_text("utf-8").splitlines()) > most]
        return [path.name for path in paths]

    assert too_long("Snakefile", 60) == too_long("rules/common.smk", 150) == []
    assert too_long("scripts/*.py", 45) == too_long("scripts/svdlens/**/*.py", 400) == []
