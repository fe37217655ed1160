"""What is asked for: by targets, by configurations, by paths; and that no SVD and no list is asked for twice."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from svdlens.figures.registry import FIGURES
from svdlens.sweep.change_checks import models_of
from workflow import PROJECT, Workflow

pytest_plugins = ["workflow_fixtures"]

FETCHED = {"fetch_model"}
EXTRACTED = FETCHED | {"extract_weights"}
SPECTRA = EXTRACTED | {"decompose_matrices", "measure_stability", "tabulate_spectra"}
LISTS = EXTRACTED | {"decompose_matrices", "decode_tokens", "project_directions"}
LABELLED = LISTS | {"classify_tokens", "embed_tokens", "label_directions"}
FRACTIONS = LABELLED | {"collect_fractions"}
AGREEMENT = LABELLED | {"compare_labellers", "collect_agreement"}
TABLES = (
    SPECTRA | FRACTIONS | AGREEMENT | {"view_tokens", "view_labels", "embed_labels", "score_labels", "list_findings"}
)
TABLES |= {f"collect_{table}" for table in ("spectra", "tokens", "labels", "control_labels", "scores")} | {"list_files"}
# Labels of others, further read-outs and labellers, and queries, which the sweep has not, are not drawn.
PLOTS = {f"plot_{figure}" for figure in FIGURES} - {"plot_fraction_published", "plot_readouts", "plot_agreement"}
PLOTS -= {"plot_trace_table", "plot_trace_heads", "plot_edit_effect", "plot_edit_spectrum", "plot_edit_dose"}
PLOTS -= {"plot_topic_lists"}
PLOTS -= {f"plot_{figure.name}" for figure in FIGURES.values() if figure.on_request}
PLOTS |= {"check_token_tables"}
NOT_DRAWN = {"collect_tokens", "embed_labels", "score_labels", "collect_scores", "list_findings", "list_files"}
NOT_DRAWN |= AGREEMENT - LABELLED
PUBLISHED = {"fetch_published", "list_published", "label_directions", "view_labels", "plot_fraction_published"}
TARGETS = {
    "models": FETCHED,
    "weights": EXTRACTED | {"process_weights"},
    "spectra": SPECTRA,
    "tokens": LISTS | {"view_tokens"},
    "labels": LABELLED | {"view_labels"},
    "tables": TABLES,
    "figures": TABLES - NOT_DRAWN | PLOTS,
    "effects": LISTS | {"view_tokens", "measure_effects"},
    "cards": LABELLED | {"view_tokens", "view_labels", "write_cards"},
    "benchmarks": {"tabulate_benchmarks", "plot_benchmarks"},
    "explorer": SPECTRA | FRACTIONS | {"view_tokens", "view_labels", "build_explorer"},
    "all": TABLES | PLOTS | {"list_paper_figures", "make_report_pages", "build_explorer"},
    "published_figures": PUBLISHED - {"list_published"},
    "paper_figures": SPECTRA
    | LISTS
    | {"view_tokens", "list_paper_figures", "plot_token_table", "plot_random_table", "plot_spectra"}
    | {"check_token_tables"}
    | PUBLISHED - {"list_published"},
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_asks_for_its_rules(target: str, tiny: Workflow) -> None:
    config = {"sweep": {"settings": ["raw", "unembed"]}, "figures": {"select": "all"}}
    run = tiny.finish("--dry-run", target, config=config)
    assert run.rules == TARGETS[target]


def test_several_readouts_have_a_figure(tiny: Workflow) -> None:
    config = {"sweep": {"settings": ["raw", "unembed"], "readouts": ["W_U", "W_U_whitened"]}}
    run = tiny.finish("--dry-run", "plot_readouts", config=config)
    assert run.rules == FRACTIONS | {"plot_readouts"}
    assert [f"results/figures/readouts_{setting}.csv" in run.printed for setting in ("raw", "unembed")] == [True] * 2


def count_outputs(printed: str, pattern: str) -> Counter[object]:
    """How often each value of the groups of `pattern` is in the path of an output, under results/."""
    lines = re.findall(r"^    output: (.*)$", printed, re.MULTILINE)
    return Counter(found for line in lines for found in re.findall(f"results/{pattern}(?:,|$)", line))


def test_the_paper_asks_for_no_svd_and_no_list_twice(project: Path, tmp_path: Path) -> None:
    # From config.yaml as it is, with no model at hand and no network.
    (tmp_path / "tiny.yaml").write_text("{}")
    run = Workflow(project, tmp_path).finish("--dry-run")
    sweep = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["sweep"]
    models = ["gpt2-small", "gpt2-medium", "gpt2-large"]
    assert (sweep["models"], len(sweep["settings"])) == (models, 9)

    def each(**numbers: int) -> dict[tuple[str, str], int]:
        return {(model, matrix): n for model in models for matrix, n in numbers.items()}

    # Of nine settings only so many differ for each kind of matrix: their SVDs, and their lists a little more often.
    for stage in ("svd", "stability"):
        assert count_outputs(run.printed, rf"{stage}/model=([\w-]+)/\S*?(\w+)\.safetensors") == each(
            ov=5, mlp_in=3, mlp_out=2
        )
    lists = each(ov=5, mlp_in=3, mlp_out=4)
    assert count_outputs(run.printed, r"by_switches/tokens/model=([\w-]+)/\S*?(\w+)\.parquet") == lists
    for stage in ("labels", "scores"):
        by_coherence = rf"by_switches/{stage}/model=([\w-]+)/\S*?(\w+)\.coherence\.parquet"
        assert count_outputs(run.printed, by_coherence) == lists
    published = r"by_switches/labels/model=([\w-]+)/\S*?(\w+)\.published\.parquet"
    assert count_outputs(run.printed, published) == each(mlp_in=1, mlp_out=1)

    # And each setting has every table.
    places = {
        (model, setting, matrix) for model in models for setting in sweep["settings"] for matrix in sweep["matrices"]
    }
    in_setting = r"model=([\w-]+)/setting=(\w+)/(\w+)"
    for stage, end in (("spectra", ""), ("tokens", ""), ("controls", r"\.gaussian"), ("labels", r"\.coherence")):
        assert count_outputs(run.printed, rf"{stage}/{in_setting}{end}\.parquet") == dict.fromkeys(places, 1)
    assert count_outputs(run.printed, rf"labels/{in_setting}\.published\.parquet") == {
        (model, "post2022", matrix): 1 for model in models for matrix in ("mlp_in", "mlp_out")
    }
    expected = dict.fromkeys(("fetch_model", "extract_weights", "decode_tokens", "embed_tokens", "embed_labels"), 3)
    expected |= {"tabulate_spectra": 3 * 9 * 3, "view_tokens": 3 * 9 * 3, "view_labels": 3 * 9 * 3 + 6}
    expected |= {"list_published": 6, "collect_fractions": 1, "fetch_published": 3}
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
    each = {(*place, matrix): 1 for place, matrices in expected.items() for matrix in matrices}
    for stage in ("tokens", "spectra", "labels"):
        found = count_outputs(run.printed, rf"{stage}/model=(\w+)/setting=(\w+)/(\w+)(?:\.coherence)?\.parquet")
        assert found == each, stage
    assert count_outputs(run.printed, r"weights/(\w+)/(raw|tl_default|post2022)\.safetensors") == dict.fromkeys(
        expected, 1
    )
    # All of these settings differ.
    assert run.counts["project_directions"] == len(each)
    assert [run.counts[rule] for rule in ("fetch_model", "extract_weights", "embed_tokens")] == [3, 3, 3]


def test_a_file_outside_of_the_sweep_shares_what_is_stored(tiny: Workflow) -> None:
    def made(setting: str, **own: object) -> list[tuple[str, str]]:
        run = tiny.finish(
            f"results/labels/model=tiny/setting={setting}/mlp_in.coherence.parquet",
            f"results/tokens/model=tiny/setting={setting}/mlp_in.parquet",
            "--dry-run",
            config={"models": {"tiny": own}},
        )
        assert run.counts["view_labels"] == run.counts["view_tokens"] == 1
        return [path for path, n in count_outputs(run.printed, r"(by_switches/\S*)").items() for _ in range(n)]

    raw = made("raw")
    assert len(raw) == 2  # lists and their labels
    # Nothing that `unembed` does, or centring what is written, changes MLP-in as read through W_U.
    assert made("unembed") == made("write") == raw
    # The embedding is centred by write_center.
    assert made("write", readouts=["W_E"]) != made("raw", readouts=["W_E"])
    assert made("fold") != raw


def test_the_demo_with_nine_settings_leaves_the_encoder_at_raw(project: Path, tmp_path: Path) -> None:
    shutil.copy(PROJECT / "profiles/demo/nine_settings_bundled.yaml", tmp_path / "tiny.yaml")
    run = Workflow(project, tmp_path).finish("--dry-run")
    found = count_outputs(run.printed, r"tokens/model=([\w-]+)/setting=\w+/\w+\.parquet")
    bundled = ["wordnet-2layer", "wordnet-4layer", "wordnet-6layer"]
    assert found == dict.fromkeys(bundled, 9 * 3) | {"all-minilm-l6-v2": 3}


DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
CONFIGURATIONS = [
    block
    for document in DOCUMENTS
    for block in re.findall(r"```yaml\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    if re.search(r"^sweep:", block, re.MULTILINE)
]


def test_there_are_configurations_to_copy() -> None:
    assert len(CONFIGURATIONS) >= 2


@pytest.mark.parametrize("block", CONFIGURATIONS)
def test_a_configuration_in_the_documentation_is_accepted(block: str, project: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(block)
    for sheet in yaml.safe_load(block).get("labellers", {}).get("manual", {}).get("sheets", {}).values():
        (tmp_path / sheet).touch()  # what people hand in
    run = Workflow(project, tmp_path).finish("--dry-run")
    paper = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    swept = yaml.safe_load(block)["sweep"].get("models", paper["sweep"]["models"])
    catalogue = paper["models"] | yaml.safe_load(block).get("models", {})
    # And what differences and adapters are made of.
    fetched = {*swept, *(name for model in swept for name in models_of(catalogue[model]))}
    assert run.counts["fetch_model"] == len(fetched)
