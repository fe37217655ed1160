"""A labeller, a figure and a kind of matrix that are added as docs/architecture.md says, each with so many files."""

from pathlib import Path

import pandas as pd
import pytest

from svdlens.explorer.shard_format import read_shard
from workflow import Workflow, copy_project, new_workflow, read_table

pytest_plugins = ["workflow_fixtures"]

LABELLER = '''"""The labeller initials: lists whose first tokens begin with the same letter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svdlens.labels.labeller import Columns, Labelled, TokenLists


def labeller_from_files(files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int) -> "Initials":
    return Initials()


class Initials:
    facts: Mapping[str, object] = {}

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        return Labelled({name: columns(rows) for name, rows in lists.items()}, {})


def columns(lists: TokenLists) -> Columns:
    initials = [{text.strip()[:1] for text in texts[:2]} for texts in lists.texts.to_pylist()]
    alike = [len(letters) == 1 for letters in initials]
    nothing = [None] * len(alike)
    return {
        "label": [f"words with {min(letters)}" if same else None for letters, same in zip(initials, alike)],
        "kind": ["orthographic" if same else "none" for same in alike],
        "labelled": alike,
        "interpretable": alike,
        "score": [1.0 if same else 0.0 for same in alike],
        "evidence": [[] for _ in alike],
        "n_concepts": [int(same) for same in alike],
        "status": ["ok"] * len(alike),
        **dict.fromkeys(("verified", "p_value", "q_value", "p_direction", "q_direction"), nothing),
    }
'''
LABELLER_ENTRY = """        LabellerEntry(
            name="initials",
            module="svdlens.labels.initials",
            what="lists whose first tokens begin with the same letter",
            criteria=("the same letter",),
        ),
"""
FIGURE = '''"""The figure labels_by_matrix: how many lists of each kind of matrix have a label."""

import pandas as pd
from matplotlib.figure import Figure

from svdlens.figures.interface import Drawn, Inputs, Options, Subjects


def draw_figures(inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
    labels = pd.read_parquet(inputs["labels"])
    for subject in subjects:
        rows = labels[labels["setting"] == subject["setting"]]
        data = rows.groupby(["matrix", "labeller"], observed=True)["label"].count().reset_index(name="n")
        figure = Figure()
        figure.add_subplot().bar(data["matrix"].astype(str) + data["labeller"].astype(str), data["n"])
        yield data, figure
'''
CAPTION = "How many token lists of each kind of matrix have a label.\n"
FIGURE_ENTRY = """        FigureEntry(
            name="labels_by_matrix",
            shows="how many lists of each kind of matrix have a label",
            category="Kinds of lists",
            scope="setting",
            inputs={"labels": LABELS},
        ),
"""
# What the value heads read, without what they write.
KIND_ENTRY = """    MatrixKind(
        name="value",
        title="attention V",
        short_title="V",
        per="head",
        weight_group="attention",
        norm="ln1",
        factors=(Factor("attn.W_V", "reads"),),
        sides={"read": Side("left", reads=True, hook="ln1.hook_normalized")},
        sign_side="read",
    ),
"""


def add_entry(registry: Path, entry: str, end: str) -> None:
    """Put an entry in front of the `end` of a registry's list of entries."""
    source = registry.read_text("utf-8")
    assert source.count(end) == 1
    registry.write_text(source.replace(end, f"\n{entry}{end[1:]}"), "utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A finished sweep of a project with one labeller, figure and kind of matrix more."""
    place = tmp_path_factory.mktemp("extended")
    project = copy_project(place / "project")
    library = project / "scripts/svdlens"
    (library / "labels/initials.py").write_text(LABELLER, "utf-8")
    add_entry(library / "labels/registry.py", LABELLER_ENTRY, "\n    )\n}\n")
    (library / "figures/labels_by_matrix.py").write_text(FIGURE, "utf-8")
    (project / "rules/report/labels_by_matrix.rst").write_text(CAPTION, "utf-8")
    add_entry(library / "figures/registry.py", FIGURE_ENTRY, "\n    )\n}\n")
    add_entry(library / "spec/matrix_kinds.py", KIND_ENTRY, "\n)\n\nMATRIX_KINDS")
    tables = [{"matrix": "value", "layer": 0, "head": 1}]
    config = {
        "models": {"tiny": {"path": "source", "token_tables": tables}},
        "sweep": {
            "models": ["tiny"],
            "settings": ["raw"],
            "matrices": ["value", "mlp_in"],
            "labellers": ["coherence", "initials"],
        },
        "random_directions": 50,
        "rotated_directions": 50,
        "figures": {"select": ["labels_by_matrix", "token_table", "spectra", "fraction_by_layer", "agreement"]},
    }
    workflow = new_workflow(project, place, config)
    workflow.finish()
    return workflow


def test_an_added_labeller_labels_lists_and_controls_and_is_scored_and_compared(extended: Workflow) -> None:
    results = extended.results
    labels = read_table(results / "tables/labels.parquet").to_pandas()
    for matrix in ("value", "mlp_in"):
        place = f"model=tiny/setting=raw/{matrix}"
        lists = read_table(results / f"tokens/{place}.parquet").to_pandas()
        view = read_table(results / f"labels/{place}.initials.parquet").to_pandas()
        assert len(view) == len(lists)
        alike = [len({text.strip()[:1] for text in texts[:2]}) == 1 for texts in lists["tokens"]]
        assert view["interpretable"].tolist() == alike
        rows = labels.query("matrix == @matrix and labeller == 'initials'")
        assert rows["label"].tolist() == view["label"].tolist()
    controls = read_table(results / "tables/control_labels.parquet").to_pandas()
    assert set(controls["labeller"]) == {"coherence", "initials"}

    fractions = read_table(results / "tables/fractions.parquet").to_pandas().query("labeller == 'initials'")
    assert set(fractions["criterion"]) == {"the same letter"}
    whole = "kind == 'all' and unit == 'row' and group == 'all'"
    row = fractions.query(f"{whole} and matrix == 'mlp_in' and side == 'read'")
    raw = labels.query("matrix == 'mlp_in' and labeller == 'initials'")
    assert row[["n", "k"]].values.tolist() == [[len(raw), raw["interpretable"].sum()]]
    assert (row["control_n"] > 0).all()
    scores = read_table(results / "tables/scores.parquet").to_pandas()
    assert "initials" in set(scores["labeller"])
    agreement = read_table(results / "tables/agreement.parquet").to_pandas()
    assert {"coherence"} == set(agreement.dropna(subset="second")["first"])
    assert {"initials"} == set(agreement["second"].dropna())
    # Of random unit directions, the same rows of both; and the explorer has it.
    [pair] = agreement.dropna(subset="second").query("matrix == 'mlp_in'").to_dict("records")
    random = controls.query("control == 'random_unit' and matrix == 'mlp_in' and status == 'ok'")
    said = random.pivot(index=["index", "sign"], columns="labeller", values="interpretable").astype(bool)
    one, other = said["coherence"], said["initials"]
    counts = {"both": one & other, "only_first": one & ~other, "only_second": ~one & other, "neither": ~one & ~other}
    assert pair["control_n"] == len(said) > 0
    [summary] = (results / "explorer/data/tiny").glob("mlp_in_summary_*.js")
    columns = read_shard(summary)[0]
    for cell, rows in counts.items():
        assert pair[f"control_{cell}"] == rows.sum() == columns[f"agreement.control_{cell}"][0]
    assert "initials" in (results / "explorer/data/catalogue.js").read_text("utf-8")


def test_an_added_figure_is_drawn_and_in_the_report(extended: Workflow, tmp_path: Path) -> None:
    labels = read_table(extended.results / "tables/labels.parquet").to_pandas()
    name = extended.results / "figures/labels_by_matrix_raw"
    drawn = pd.read_csv(f"{name}.csv").set_index(["matrix", "labeller"])["n"]
    assert drawn.to_dict() == labels.groupby(["matrix", "labeller"], observed=True)["label"].count().to_dict()
    assert all(Path(f"{name}.{kind}").stat().st_size for kind in ("pdf", "png"))
    extended.finish("--report", str(tmp_path / "report.html"))
    assert CAPTION.strip() in (tmp_path / "report.html").read_text("utf-8")


def test_an_added_kind_of_matrix_goes_through_every_stage(extended: Workflow) -> None:
    results = extended.results
    spectra = read_table(results / "tables/spectra.parquet").to_pandas().query("matrix == 'value'")
    # One layer with two heads of rank 8.
    assert len(spectra) == 2 * 8
    assert spectra[["stability_noise", "stability_float32"]].notna().all(axis=None)
    tokens = read_table(results / "tables/tokens.parquet").to_pandas().query("matrix == 'value'")
    assert set(tokens["side"]) == {"read"}
    assert len(tokens) == 2 * 8 * 2
    fractions = read_table(results / "tables/fractions.parquet").to_pandas()
    assert "value" in set(fractions["matrix"])
    assert (results / "figures/tiny/raw/spectra_value.png").exists()
    assert (results / "figures/tiny/raw/token_table_value_L0_H1.png").exists()
    assert "value" in set(pd.read_csv(results / "figures/fraction_by_layer_raw.csv")["matrix"])
    assert '"value":"V"' in (results / "explorer/data/catalogue.js").read_text("utf-8")
