"""Labels by people, from the sheet to the tables: two people made by a script, and a truth that is planted."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from svdlens.artefacts.table_schemas import JUDGEMENTS, SHEET_KEY
from workflow import SWEEP, Run, Workflow, copy_run, messages, read_table

pytest_plugins = ["workflow_fixtures"]

CHOICE = {"matrices": ["mlp_in", "mlp_out"], "signs": [1], "directions": 8, "lists": 6, "random_lists": 12}
SHEETS = {"anna": "anna.csv", "ben": "ben.csv"}
LABELLED = {
    "sweep": SWEEP["sweep"] | {"labellers": ["coherence", "manual"]},
    "labellers": {"manual": CHOICE | {"sheets": SHEETS}},
    "figures": {"select": ["fraction_by_layer", "fraction_by_index"], "labeller": "manual"},
}
FIGURES = ("fraction_by_layer_raw", "fraction_by_index_raw")
TARGETS = (
    *("results/manual/people.csv", "results/tables/fractions.parquet", "results/tables/agreement.parquet"),
    *("results/explorer/index.html", *(f"results/figures/{figure}.csv" for figure in FIGURES)),
)


def read_sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_sheet(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def answered(row: dict[str, str], yes: bool) -> dict[str, str]:
    said = {"interpretable": "TRUE", "kind": "semantic", "label": "planted"}
    return row | (said if yes else {"interpretable": "FALSE"})


@pytest.fixture(scope="module")
def labelled(finished: Workflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A sweep that two people labelled, MLP-in alone. Directions of even index are planted: Anna says yes to these and
    to no other list; Ben does the same but for every fourth row, and leaves the last three of these rows out."""
    workflow = copy_run(finished, tmp_path_factory.mktemp("labelled"))
    sheet = workflow.finish("make_label_sheet", config={"labellers": {"manual": CHOICE}})
    key = read_table(workflow.results / "manual/sheet.key.parquet").to_pandas()
    sheet_rows = read_sheet(workflow.results / "manual/sheet.csv")
    mlp_in = set(key[key["matrix"] == "mlp_in"]["id"])
    rows = [row for row in sheet_rows if row["id"] in mlp_in]
    left = [row for row in sheet_rows if row["id"] not in mlp_in]
    key = key[key["matrix"] == "mlp_in"]
    planted = set(key[key["control"].isna() & (key["index"] % 2 == 0)]["id"])
    anna = [answered(row, row["id"] in planted) for row in rows]
    ben = [answered(row, (row["id"] in planted) ^ (number % 4 == 0)) for number, row in enumerate(rows[:-3])]
    write_sheet(workflow.directory / "anna.csv", [*anna, *left])
    write_sheet(workflow.directory / "ben.csv", [*left, *ben, *rows[-3:]])
    run = workflow.finish(*TARGETS, config=LABELLED)
    again = workflow.finish("--dry-run", *TARGETS, config=LABELLED)
    names = ("workflow", "sheet", "sheet_rows", "run", "again", "key", "rows", "planted")
    return {name: value for name, value in locals().items() if name in names}


def test_the_sheet_is_made_of_the_lists_that_are_there(labelled: dict[str, Any]) -> None:
    run, workflow, rows = labelled["sheet"], labelled["workflow"], labelled["sheet_rows"]
    assert isinstance(run, Run) and run.rules == {"make_label_sheet"}
    assert any("24 lists, about 0.1 hours" in message for message in messages(run))
    key = read_table(workflow.results / "manual/sheet.key.parquet")
    assert key.schema.equals(SHEET_KEY) and len(key) == len(rows) == 24
    counts = key.to_pandas().astype({"control": object}).fillna({"control": ""}).value_counts(["matrix", "control"])
    assert set(counts) == {6} and len(counts) == 4
    page = (workflow.results / "manual/sheet.html").read_text("utf-8")
    assert all(row["id"] in page for row in rows)
    for name in ("sheet.csv", "sheet.html"):
        assert str(workflow.directory) not in (workflow.results / "manual" / name).read_text("utf-8")


def test_what_people_say_becomes_labels_and_fractions(labelled: dict[str, Any]) -> None:
    workflow, key, rows, planted = (labelled[name] for name in ("workflow", "key", "rows", "planted"))
    results = workflow.results
    assert read_table(results / "manual/judgements.parquet").schema.equals(JUDGEMENTS)
    # Where both answered, every fourth row is a tie.
    ties = {row["id"] for number, row in enumerate(rows) if number % 4 == 0 and number < len(rows) - 3}
    [path] = results.glob("by_switches/labels/**/mlp_in.manual.parquet")
    labels = read_table(path).to_pandas().astype({"control": object}).fillna({"control": "", "label": ""})
    shown = key.set_index([key["control"].astype(object).fillna(""), "index"])["id"]
    assert len(labels) == len(key)
    for row in labels.rename(columns={"index": "number"}).itertuples():
        id = shown[(row.control, row.number)]
        said = None if id in ties else id in planted
        assert row.interpretable == said and row.status == ("unparsed" if id in ties else "ok")
        assert row.label == ("planted" if said else "") and row.kind == ("semantic" if said else "none")
    # Of the lists that both left empty there is nothing.
    [path] = results.glob("by_switches/labels/**/mlp_out.manual.parquet")
    assert len(read_table(path)) == 0

    fractions = read_table(results / "tables/fractions.parquet").to_pandas()
    whole = "labeller == 'manual' and kind == 'all' and unit == 'row' and group == 'all' and side == 'all'"
    [found] = fractions.query(whole).to_dict("records")
    singular = [id for id in key[key["control"].isna()]["id"] if id not in ties]
    controls = [id for id in key[key["control"].notna()]["id"] if id not in ties]
    assert (found["n"], found["k"]) == (len(singular), len(planted & set(singular)))
    assert (found["control_n"], found["control_k"]) == (len(controls), 0)
    assert found["criterion"] == "majority" and found["rotated_n"] == 0


def test_people_and_labellers_are_compared(labelled: dict[str, Any]) -> None:
    workflow, key, rows, planted = (labelled[name] for name in ("workflow", "key", "rows", "planted"))
    results = workflow.results
    people = pd.read_csv(results / "manual/people.csv")
    anna, ben, both = (row for _, row in people.iterrows())
    assert (anna["n"], anna["lists_n"], anna["lists_k"]) == (12, 6, len(planted))
    assert (anna["control_n"], anna["control_k"], anna["control_fraction"]) == (6, 0, 0)
    assert ben["n"] == 9 == both["n"] and (both["first"], both["second"]) == ("anna", "ben")
    wrong = [row["id"] for number, row in enumerate(rows[:-3]) if number % 4 == 0]
    assert both["only_first"] + both["only_second"] == len(wrong)
    assert ben["control_k"] == len(set(wrong) & set(key[key["control"].notna()]["id"]))
    assert both["kappa_low"] <= both["kappa"] < 1
    agreement = read_table(results / "tables/agreement.parquet").to_pandas()
    [pair] = agreement[agreement["second"] == "manual"].to_dict("records")
    ties = len([id for id in wrong if id in set(key[key["control"].isna()]["id"])])
    assert (pair["first"], pair["n_joined"], pair["n"]) == ("coherence", 6, 6 - ties)


def test_figures_and_explorer_show_a_sample(labelled: dict[str, Any]) -> None:
    results = labelled["workflow"].results
    fractions = read_table(results / "tables/fractions.parquet").to_pandas()
    rows = fractions[(fractions["labeller"] == "manual") & (fractions["side"] == "all")]
    for group in ("layer", "index"):
        drawn = pd.read_csv(results / f"figures/fraction_by_{group}_raw.csv")
        counted = rows[(rows["group"] == group) & (rows["unit"] == "row") & (rows["kind"] == "all")]
        assert (drawn["n"].sum(), drawn["k"].sum()) == (counted["n"].sum(), counted["k"].sum()) and counted["n"].sum()
        assert set(drawn[drawn["n"] == 0]["matrix"]) == {"ov", "mlp_out"}
    assert "manual" in (results / "explorer/data/catalogue.js").read_text("utf-8")


def test_nothing_is_read_twice(labelled: dict[str, Any]) -> None:
    assert "read_label_sheets" in labelled["run"].rules and not labelled["again"].rules


def test_a_sheet_that_is_not_there_is_said(tiny: Workflow) -> None:
    run = tiny.run("--dry-run", "results/manual/people.csv", config=LABELLED)
    assert run.status != 0
    assert "labellers.manual.sheets.anna: anna.csv: there is no such file" in run.printed
