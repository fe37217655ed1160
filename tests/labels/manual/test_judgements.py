"""What several people say of a list: the majority, and what becomes of it in a table of labels."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_lists import rows_of, small_sheet, write_lists, write_rows
from svdlens.artefacts.table_schemas import JUDGEMENTS, write_table
from svdlens.labels.label_table import token_lists
from svdlens.labels.labeller import SINGULAR, Labeller
from svdlens.labels.manual.filled_in import KINDS, Judgement
from svdlens.labels.manual.judgements import judgement_columns, known_lists, majority
from svdlens.labels.manual.labeller import labeller_from_files
from svdlens.labels.manual.lists import list_id

NO = Judgement("w", False, None, None)


def yes(kind: str | None = None, label: str | None = None) -> Judgement:
    return Judgement("w", True, kind, label)


JUDGEMENT = st.builds(
    lambda said, kind, label: Judgement("w", said, kind if said else None, label if said else None),
    st.booleans(),
    st.sampled_from([None, *KINDS]),
    st.sampled_from([None, "fire", "verbs", "ends in -ing"]),
)


@given(st.lists(JUDGEMENT, min_size=1, max_size=7))
def test_the_majority_decides_and_a_tie_decides_nothing(said: list[Judgement]) -> None:
    n = sum(one.interpretable for one in said)
    found = majority(said)
    assert found.interpretable == (None if 2 * n == len(said) else 2 * n > len(said))
    if not found.interpretable:
        assert (found.kind, found.label) == ("none", None)
    else:
        assert found.kind in KINDS
        assert found.label in {one.label for one in said} | {None}
    assert majority(said[::-1]).interpretable == found.interpretable
    assert majority([*said, NO, yes()]).interpretable == found.interpretable or found.interpretable is None


def test_kind_and_label_are_those_of_most_who_say_yes() -> None:
    assert majority([yes("grammatical", "verbs"), yes("semantic", "fire"), yes("semantic", "ice"), NO]) == (
        True, "semantic", "fire",
    )  # fmt: skip
    # The first where equally many say so; a label of another kind where there is no other.
    assert majority([yes("grammatical"), yes("semantic", "fire")]) == (True, "grammatical", "fire")
    # By what the label says, where no kind was given.
    assert majority([yes(None, "are verbs")])[1:] == ("grammatical", "are verbs")
    assert majority([yes()]) == (True, "semantic", None)


def test_labels_are_of_just_the_lists_that_somebody_judged(tmp_path: Path) -> None:
    path = write_lists(tmp_path / "mlp_in.parquet")
    sheet = small_sheet(path)
    anna, ben = rows_of(sheet), rows_of(sheet)
    anna[0]["interpretable"], ben[0]["interpretable"] = "yes", "no"  # a tie
    anna[1] |= {"interpretable": "yes", "kind": "semantic", "label": "fire"}
    ben[2] |= {"interpretable": "no"}
    sheets = {name: write_rows(tmp_path / f"{name}.csv", rows) for name, rows in (("anna", anna), ("ben", ben))}
    known = known_lists([path], 15)
    columns = judgement_columns(sheets, known)
    assert columns["person"] == ["anna", "anna", "ben", "ben"]
    controls = {row["id"] for row in sheet.key if row["control"]}
    assert [list_id(key) in controls for key in columns["list_key"]] == columns["is_control"]
    facts = {"people": list(sheets), "tokens": 15, "sheets_sha256": {}}
    write_table(tmp_path / "judgements.parquet", columns, JUDGEMENTS, facts)

    labeller = labeller_from_files({"judgements": tmp_path / "judgements.parquet"}, {}, 0)
    assert isinstance(labeller, Labeller)
    table = labeller.known(pq.ParquetFile(path).read())
    assert len(table) == 3 and not pc.any(table["null_space"]).as_py()
    labelled = labeller.label({SINGULAR: token_lists(table), "random_unit": token_lists(table.slice(0, 0))})
    one = labelled.columns[SINGULAR]
    by_text = dict(
        zip(
            map(tuple, pc.list_slice(table["tokens"], 0, 15).to_pylist()),
            zip(one["interpretable"], one["labelled"], one["label"], one["kind"], one["status"], strict=True),
            strict=True,
        )
    )
    assert [by_text[tuple(sheet.texts[place])] for place in range(3)] == [
        (None, None, None, "none", "unparsed"),
        (True, True, "fire", "semantic", "ok"),
        (False, False, None, "none", "ok"),
    ]
    assert {len(values) for values in labelled.columns["random_unit"].values()} == {0}
    assert all(value is None for value in one["score"]) and one["evidence"] == [[], [], []]


def test_a_list_of_a_direction_and_of_a_random_one_is_no_control(tmp_path: Path) -> None:
    path = write_lists(tmp_path / "mlp_in.parquet", layers=1, directions=2, controls=1)
    table = pq.ParquetFile(path).read()
    same = table.set_column(
        table.column_names.index("tokens"), "tokens", [table["tokens"].to_pylist()[:1] * len(table)]
    )
    pq.write_table(same, tmp_path / "same.parquet")
    known = known_lists([tmp_path / "same.parquet"], 15)
    assert len(known.texts) == 1 and not known.controls
    assert len(known_lists([path], 15).controls) == 4  # two read-outs, two signs
    assert np.array_equal(sorted(known_lists([path], 15).texts), sorted(known_lists([path], 15).keys))


@pytest.mark.parametrize("tokens", [5, 15])
def test_lists_are_told_apart_by_the_tokens_that_people_see(tokens: int, tmp_path: Path) -> None:
    path = write_lists(tmp_path / "mlp_in.parquet")
    assert {len(texts) for texts in known_lists([path], tokens).texts.values()} == {tokens}
    assert not set(known_lists([path], tokens).texts) & set(known_lists([path], tokens + 1).texts)
