"""How the workflow is built: names, sizes, imports, which rules an edit reaches, what the paper's sweep asks for."""

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from workflow import PROJECT, Workflow

pytest_plugins = ["workflow_fixtures"]

SCRIPTS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py"))
LIBRARY = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "scripts/svdlens").rglob("*.py"))
RULE = re.compile(r"^rule (\w+):\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)

# Modules and scripts that touch only tables start in a fraction of the time that torch takes to import.
WITHOUT_TORCH = [
    *(
        "svdlens." + name
        for name in (
            *("evaluation.agreement", "evaluation.fractions", "evaluation.scores_table", "labels.label_table"),
            *("vocabulary.list_similarity", "spec.settings", "svd.spectrum", "artefacts.table_schemas"),
            "readout.token_table",
        )
    ),
    *(f"svdlens.figures.{path.stem}" for path in (PROJECT / "scripts/svdlens/figures").glob("[!_]*.py")),
    *(
        name
        for name in SCRIPTS
        if name.startswith(("plot_", "collect_", "compare_", "derive_", "label_", "list_", "make_", "tabulate_"))
    ),
]

# Imports each script in a process of its own, forked from one that has the heavy libraries already, and prints which
# modules of svdlens it took.
IMPORTS = """
import importlib, json, os, sys
import matplotlib.figure, pandas, pyarrow.parquet, safetensors, scipy.stats, torch
for script in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(script)
        files = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "svdlens"]
        os.write(1, (json.dumps([script, files]) + "\\n").encode())
        os._exit(0)
    assert os.wait()[1] == 0, script
"""


def rules() -> dict[str, str]:
    """Every rule with a script: name and body."""
    texts = [path.read_text("utf-8") for path in sorted((PROJECT / "rules").glob("*.smk"))]
    return {match[1]: match[2] for text in texts for match in RULE.finditer(text)}


def python(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT / "scripts", capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def importers() -> dict[str, set[str]]:
    """For each module of the library the scripts that import it, directly or not, as Python finds it."""
    lines = python("-c", IMPORTS, *SCRIPTS).splitlines()
    imported = {
        script: {str(Path(file).relative_to(PROJECT)) for file in files} for script, files in map(json.loads, lines)
    }
    assert sorted(imported) == SCRIPTS
    return {module: {script for script in SCRIPTS if module in imported[script]} for module in LIBRARY}


def code_hash_of(project: Path) -> Callable[[str], str]:
    """code_hash of rules/common.smk, which needs nothing else from there."""
    text = (project / "rules/common.smk").read_text("utf-8")
    source = re.search(r"^def code_hash\(.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)[0]
    names = {"PROJECT": project, "ast": ast, "hashlib": hashlib}
    exec(source, names)
    return names["code_hash"]


@pytest.mark.slow
def test_the_code_hash_changes_for_those_who_import_a_module(project: Path, importers: dict[str, set[str]]) -> None:
    # Snakemake does not see imports; a script that the hash forgets would leave stale results behind.
    code_hash = code_hash_of(project)
    before = {script: code_hash(script) for script in SCRIPTS}
    for module, scripts in importers.items():
        source = (project / module).read_bytes()
        (project / module).write_bytes(source + b"\n# edited\n")
        changed = {script for script in SCRIPTS if code_hash(script) != before[script]}
        (project / module).write_bytes(source)
        assert changed == scripts, module


@pytest.mark.slow
@pytest.mark.parametrize(
    "edited",
    ["scripts/svdlens/labels/label_table.py", "scripts/svdlens/figures/selection.py", "scripts/plot_spectra.py"],
)
def test_an_edit_repeats_the_rules_that_use_the_code(
    edited: str, finished: Workflow, importers: dict[str, set[str]]
) -> None:
    path = finished.project / edited
    # Of those that the sweep has run.
    run_before = {log.name for log in (finished.results / "logs").iterdir()}
    expected = importers.get(edited, {path.stem}) & run_before
    source = path.read_bytes()
    path.write_bytes(source + b"\n# edited\n")
    try:
        run = finished.finish("--dry-run")
    finally:
        path.write_bytes(source)
    assert run.directly("Params have changed") | run.directly("Code has changed") == expected


def test_the_paper_asks_for_no_svd_and_no_list_twice(project: Path, tmp_path: Path) -> None:
    # From config.yaml as it is, with no model at hand and no network.
    (tmp_path / "tiny.yaml").write_text("{}")
    run = Workflow(project, tmp_path).finish("--dry-run")
    sweep = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["sweep"]
    assert sweep["models"] == ["gpt2-small", "gpt2-medium", "gpt2-large"]
    assert len(sweep["settings"]) == 9
    # Of nine settings only so many differ for each kind of matrix.
    svd = re.findall(r"output: results/svd/model=([\w-]+)/\S*?(\w+)\.safetensors", run.printed)
    distinct = {"ov": 5, "mlp_in": 3, "mlp_out": 2}
    assert Counter(svd) == {(model, matrix): n for model in sweep["models"] for matrix, n in distinct.items()}
    # Their lists of tokens differ a little more often; what vocab_center shifts at most is derived, and so are labels.
    distinct = {"ov": 5, "mlp_in": 3, "mlp_out": 4}
    for stage, made, derived in (
        ("tokens", "project_directions", "derive_tokens"),
        ("labels", "label_directions", "derive_labels"),
    ):
        output = re.compile(rf"output: results/{stage}/model=([\w-]+)/setting=(\w+)/(\w+)\.")
        found = {
            rule: Counter(output.search(job.description).group(1, 3) for job in run.jobs if job.rule == rule)
            for rule in (made, derived)
        }
        each = {(model, matrix): n for model in sweep["models"] for matrix, n in distinct.items()}
        assert found[made] == each
        assert found[derived] == {place: 9 - n for place, n in each.items()}
    # And every table of the paper is there, whichever way.
    tables = re.findall(r"output: results/(?:tokens|labels)/(\S+?),", run.printed)
    published = [path for path in tables if path.endswith(".published.parquet")]
    places = [
        f"model={model}/setting=post2022/{matrix}" for model in sweep["models"] for matrix in ("mlp_in", "mlp_out")
    ]
    assert sorted(published) == sorted(f"{place}.published.parquet" for place in places)
    # Tokens and labels; models, settings, kinds of matrices.
    assert len(tables) == len(set(tables)) == 2 * 3 * 9 * 3 + len(published)
    expected = {"fetch_model": 3, "extract_weights": 3, "embed_vocabulary": 3, "collect_tables": 1}
    expected |= {"tabulate_spectra": 3 * 9 * 3, "fetch_published": 3, "label_published": 2 * 3}
    assert {rule: run.counts[rule] for rule in expected} == expected


def test_a_model_keeps_its_own_settings_and_matrices(tiny: Workflow) -> None:
    own = {
        "encoder": {"path": "nowhere", "architecture": "bert", "settings": ["raw"], "readouts": ["W_E"]},
        "gated": {"path": "nowhere", "architecture": "llama", "settings": ["raw", "post2022"]},
    }
    own["gated"]["matrices"] = ["ov", "mlp_gate"]
    sweep = {"models": ["tiny", *own], "settings": ["raw", "tl_default"], "matrices": ["mlp_in", "mlp_out"]}
    run = tiny.finish("all", "weights", "--dry-run", config={"models": own, "sweep": sweep})
    expected = {
        ("tiny", "raw"): {"mlp_in", "mlp_out"},
        ("tiny", "tl_default"): {"mlp_in", "mlp_out"},
        ("encoder", "raw"): {"mlp_in", "mlp_out"},
        ("gated", "raw"): {"ov", "mlp_gate"},
        ("gated", "post2022"): {"ov", "mlp_gate"},
    }
    each = {(*place, matrix) for place, matrices in expected.items() for matrix in matrices}
    for stage in ("tokens", "spectra", "labels"):
        pattern = rf"output: results/{stage}/model=(\w+)/setting=(\w+)/(\w+)"
        assert set(re.findall(pattern, run.printed)) == each, stage
    weights = re.findall(r"output: results/weights/(\w+)/(\w+)\.safetensors\n", run.printed)
    assert Counter(weights) == Counter(list(expected))
    assert run.counts["project_directions"] == len(each)
    assert [run.counts[rule] for rule in ("fetch_model", "extract_weights", "embed_vocabulary")] == [3, 3, 3]


@pytest.mark.slow
def test_a_file_outside_of_the_sweep_is_derived_from_one_within(tiny: Workflow) -> None:
    # From `raw`, which is swept; not from a setting that nobody asked for, and never from one with vocab_center.
    def made(sweep: list[str], setting: str, **own: object) -> list[tuple[str, str]]:
        run = tiny.finish(
            f"results/labels/model=tiny/setting={setting}/mlp_in.coherence.parquet",
            f"results/tokens/model=tiny/setting={setting}/mlp_in.parquet",
            "--dry-run",
            config={"sweep": {"settings": sweep}, "models": {"tiny": own}},
        )
        stages = ("project_directions", "derive_tokens", "label_directions", "derive_labels")
        jobs = [job for job in run.jobs if job.rule in stages]
        return sorted((job.rule, re.search(r"output: \S*setting=(\w+)", job.description)[1]) for job in jobs)

    def alone(setting: str) -> list[tuple[str, str]]:
        return [("label_directions", setting), ("project_directions", setting)]

    assert made(["raw"], "unembed") == sorted(
        [("derive_labels", "unembed"), ("derive_tokens", "unembed"), *alone("raw")]
    )
    assert made(["unembed"], "raw") == alone("raw")
    assert made(["unembed"], "unembed") == alone("unembed")
    # write_center is nothing to MLP-in, unless it is read through the embedding, which is centred as well.
    assert made(["raw"], "write") == sorted([("derive_labels", "write"), ("derive_tokens", "write"), *alone("raw")])
    assert made(["raw"], "write", readouts=["W_E"]) == alone("write")


def test_the_demo_with_nine_settings_leaves_the_encoder_at_raw(project: Path, tmp_path: Path) -> None:
    demo = [
        yaml.safe_load((PROJECT / f"profiles/demo/{name}.yaml").read_text("utf-8"))
        for name in ("sweep", "nine_settings")
    ]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(demo[0]))
    run = Workflow(project, tmp_path).finish("--dry-run", config=demo[1])
    found = Counter(re.findall(r"output: results/tokens/model=([\w-]+)/setting=\w+/\w+", run.printed))
    bundled = ["wordnet-2layer", "wordnet-4layer", "wordnet-6layer"]
    assert found == dict.fromkeys(bundled, 9 * 3) | {"all-minilm-l6-v2": 3}


def test_the_configurations_in_the_readme_are_accepted(project: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "tiny.yaml").write_text(block)
        run = Workflow(project, tmp_path).finish("--dry-run")
        assert run.counts["fetch_model"] == len(yaml.safe_load(block)["sweep"]["models"])


TARGETS = {"models": {"fetch_model"}}
TARGETS["weights"] = TARGETS["models"] | {"extract_weights", "process_weights"}
TARGETS["spectra"] = TARGETS["models"] | {"extract_weights", "decompose_matrices", "tabulate_spectra"}
TARGETS["tokens"] = TARGETS["models"] | {"extract_weights", "decompose_matrices", "project_directions", "derive_tokens"}
# Derived labels come from labels, without the derived tokens.
TARGETS["labels"] = TARGETS["tokens"] - {"derive_tokens"} | {"embed_vocabulary", "label_directions", "derive_labels"}
TARGETS["tables"] = TARGETS["spectra"] | TARGETS["tokens"] | TARGETS["labels"]
TARGETS["tables"] |= {"collect_tables", "score_labels", "compare_labellers"}
# Labels of others, which the sweep has not, are not drawn.
PLOTS = {rule for rule in rules() if rule.startswith("plot_")} - {"plot_fraction_published"}
TARGETS["figures"] = TARGETS["tables"] - {"score_labels"} | PLOTS
TARGETS["all"] = TARGETS["tables"] | PLOTS | {"list_paper_figures", "make_report_pages", "build_explorer"}
TARGETS["explorer"] = TARGETS["tables"] - {"score_labels", "compare_labellers"} | {"build_explorer"}
TARGETS["published_figures"] = {"fetch_published", "label_published", "plot_fraction_published"}
TARGETS["paper_figures"] = TARGETS["spectra"] | TARGETS["tokens"] | TARGETS["published_figures"]
TARGETS["paper_figures"] |= {"list_paper_figures", "plot_token_table", "plot_random_table", "plot_spectra"}


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_asks_for_its_rules(target: str, tiny: Workflow) -> None:
    # `unembed` is derived from `raw`.
    config = {"sweep": {"settings": ["raw", "unembed"]}, "figures": {"select": "all"}}
    run = tiny.finish("--dry-run", target, config=config)
    assert run.rules == TARGETS[target]


def test_snakemake_finds_nothing_to_criticise(tiny: Workflow) -> None:
    run = tiny.run("--lint")
    assert run.status == 0, run.printed
    assert "good condition" in run.printed


def test_a_rule_its_script_its_log_and_its_benchmark_have_one_name() -> None:
    assert sorted(rules()) == SCRIPTS
    for name, body in rules().items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name), name
        assert re.findall(r"script:\s+\"(.*)\"", body) == [f"../scripts/{name}.py"]
        for directive in ("log", "benchmark"):
            assert re.findall(rf"{directive}:\s+f?\"(.*?/.*?/.*?)/", body) == [f"results/{directive}s/{name}"]
        assert f'code=code_hash("{name}")' in body
        assert not re.search(r"^ {4}(run|shell|group):|lambda", body, re.MULTILINE), name
    # Python would take a script for the library's module of that name.
    assert not set(SCRIPTS) & {Path(module).stem for module in LIBRARY}


def test_snakefile_and_scripts_are_short_and_scripts_have_one_form() -> None:
    assert len((PROJECT / "Snakefile").read_text("utf-8").splitlines()) < 60
    for name in SCRIPTS:
        source = (PROJECT / f"scripts/{name}.py").read_text("utf-8")
        tree = ast.parse(source)
        assert len(source.splitlines()) < 45, name
        assert ast.get_docstring(tree), name
        assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == ["main"], name
        # Snakemake puts lines before it, so an import from there is a SyntaxError.
        assert "from __future__" not in source, name


def test_the_library_knows_neither_snakemake_nor_a_command_line() -> None:
    for module in LIBRARY:
        source = (PROJECT / module).read_text("utf-8")
        assert not re.search(r"^\s*(import|from) (snakemake|argparse)\b", source, re.MULTILINE), module


@pytest.mark.slow
def test_what_touches_only_tables_does_not_import_torch() -> None:
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    code += "    if 'torch' in sys.modules:\n        sys.exit(f'{name} imports torch')"
    python("-c", code, *WITHOUT_TORCH)
