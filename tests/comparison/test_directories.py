"""make compare: what two machines must have in common is told from what they need not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from svdlens.artefacts.sweep_tables import concatenate_tables
from svdlens.artefacts.table_schemas import FRACTIONS, LABELS, SPECTRA, TOKENS, write_table
from svdlens.comparison.directories import main
from svdlens.errors import SvdlensError
from svdlens.spec.settings import SWITCHES

VALUES = np.array([4.0, 2.0, 1.995, 1.0])  # the second and the third are near-degenerate
PLACE = "model=tiny/setting=raw"
SVD = f"svd/model=tiny/{'/'.join(f'{switch}=off' for switch in SWITCHES)}/mlp_in.safetensors"


def nothing(schema: pa.Schema, n: int) -> dict[str, object]:
    return {name: [None] * n for name in schema.names}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A results directory with one matrix of four directions, and a copy of it."""
    first, second = tmp_path / "first", tmp_path / "second"
    keys = {"matrix": ["mlp_in"] * 4, "layer": [0] * 4, "head": [None] * 4, "index": [0, 1, 2, 3]}
    rows = keys | {"side": ["read"] * 4, "sign": [1] * 4, "readout": ["W_U"] * 4}
    spectrum = {"value": VALUES, "cluster": [0, 1, 1, 2], "sign_margin": [0.5] * 4}
    lists = {
        "token_ids": [[10 * row, 10 * row + 1] for row in range(4)],
        "tokens": [["a", "b"]] * 4,
        "scores": [[2.0, 1.0]] * 4,
    }
    labels = {
        "labeller": ["coherence"] * 4,
        "score": [1.0] * 4,
        "p_value": [0.25] * 4,
        "q_value": [0.25] * 4,
        "label": ["fire"] * 4,
    }
    share = {"model": ["tiny"], "setting": ["raw"], "matrix": ["mlp_in"], "kind": ["all"], "fraction": [0.5]}
    write_table(first / f"spectra/{PLACE}/mlp_in.parquet", nothing(SPECTRA, 4) | keys | spectrum, SPECTRA, {})
    write_table(first / f"tokens/{PLACE}/mlp_in.parquet", nothing(TOKENS, 4) | rows | lists, TOKENS, {})
    write_table(first / f"labels/{PLACE}/mlp_in.coherence.parquet", nothing(LABELS, 4) | rows | labels, LABELS, {})
    write_table(first / "tables/fractions.parquet", nothing(FRACTIONS, 1) | share, FRACTIONS, {})
    source = first / f"tokens/{PLACE}/mlp_in.parquet"
    place = {"model": "tiny", "setting": "raw"}
    concatenate_tables([(source, place)], first / "tables/tokens.parquet", TOKENS, code="0")
    (first / SVD).parent.mkdir(parents=True)
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))[0].T.astype(np.float32)
    save_file({"left": vectors[None], "right": vectors[None].copy(), "values": VALUES[None]}, first / SVD)
    for name, text in {
        "models/tiny/provenance.json": '{"revision": "a1"}',
        "figures/spectra.csv": "value\n0.25\n",
    }.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(text)
    shutil.copytree(first, second)
    return first, second


def change(path: Path, column: str, row: int, value: object) -> None:
    table = pq.read_table(path, partitioning=None)
    values = table.column(column).to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    table = table.set_column(at, table.schema.field(at), pa.array(values).cast(table.schema.field(at).type))
    pq.write_table(table, path)


def turn(path: Path, array: str, row: int, angle: float) -> None:
    """A singular vector turned towards another by an angle, or, by pi, to its opposite."""
    arrays = load_file(path)
    left = arrays[array][0]
    other = left[(row + 1) % 4]
    left[row] = (np.cos(angle) * left[row] + np.sin(angle) * other).astype(np.float32)
    save_file(arrays, path)


def compared(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str], *tolerance: str) -> tuple[int, str]:
    status = main([*map(str, two), *tolerance])
    return status, capsys.readouterr().out


def test_a_copy_is_the_same_to_the_last_bit(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for tolerance in ((), ("0",)):
        status, printed = compared(two, capsys, *tolerance)
        assert status == 0
        assert "differ" not in printed.replace("0 of these differ", "")
        for data_set in ("spectra", "tokens", "labels", "svd", "models", "figures", "tables/fractions.parquet"):
            assert f"{data_set}: 1 file: the same" in printed


LIST_3 = "matrix mlp_in, layer 0, index 3, side read, sign 1, readout W_U"
SPECTRA_FILE = f"spectra/{PLACE}/mlp_in.parquet"
TOKENS_FILE = f"tokens/{PLACE}/mlp_in.parquet"
LABELS_FILE = f"labels/{PLACE}/mlp_in.coherence.parquet"
NOT_THE_SAME: dict[str, tuple[Callable[[Path], None], str]] = {
    "ids": (
        lambda b: change(b / TOKENS_FILE, "token_ids", 3, [30, 99]),
        f"{TOKENS_FILE}: {LIST_3}: token_ids is 31 and 99 at place 1",
    ),
    "scores": (lambda b: change(b / TOKENS_FILE, "scores", 0, [2.0, 1.001]), "index 0, side read, sign 1"),
    "a null": (lambda b: change(b / LABELS_FILE, "label", 0, None), "label is 'fire' and None"),
    "a list of another length": (
        lambda b: change(b / TOKENS_FILE, "tokens", 0, ["a"]),
        "tokens is of length 2 and 1",
    ),
    "q-values": (lambda b: change(b / LABELS_FILE, "q_value", 0, 0.3), "q_value is 0.25 and 0.3"),
    "p-values": (lambda b: change(b / LABELS_FILE, "p_value", 0, 0.26), "p_value is 0.25 and 0.26"),
    "labels with no list that differs": (
        lambda b: change(b / LABELS_FILE, "score", 0, 1.5),
        f"{LABELS_FILE}: matrix mlp_in, layer 0, index 0",
    ),
    "crowded values": (lambda b: change(b / SPECTRA_FILE, "value", 1, 2.001), "value is 2.0 and 2.001"),
    "a table of the sweep": (
        lambda b: change(b / "tables/fractions.parquet", "fraction", 0, 0.6),
        "tables/fractions.parquet: model tiny, setting raw, matrix mlp_in, kind all: fraction is 0.5 and 0.6",
    ),
    "a row too few": (
        lambda b: pq.write_table(pq.read_table(b / TOKENS_FILE, partitioning=None).slice(1), b / TOKENS_FILE),
        "index 0, side read, sign 1, readout W_U: only the first has this row",
    ),
    "a vector": (lambda b: turn(b / SVD, "left", 3, 0.1), f"{SVD}: left[0, 3] is vectors of 6 numbers"),
    "a file": (lambda b: (b / TOKENS_FILE).unlink(), f"only A has {TOKENS_FILE}"),
    "another file": (lambda b: shutil.copy(b / TOKENS_FILE, b / "tokens/a.parquet"), "only B has tokens/a.parquet"),
    "provenance": (
        lambda b: (b / "models/tiny/provenance.json").write_text('{"revision": "b2"}'),
        """line 1: '{"revision": "a1"}' and '{"revision": "b2"}'""",
    ),
    "a figure": (lambda b: (b / "figures/spectra.csv").write_text("value\n0.3\n"), "line 2: '0.25' and '0.3'"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_THE_SAME)
def test_a_difference_is_shown_with_both_values(
    name: str, two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    alter, message = NOT_THE_SAME[name]
    alter(two[1])
    status, printed = compared(two, capsys)
    assert status == 1
    assert message in printed


THE_SAME: dict[str, Callable[[Path], None]] = {
    "a score in its last digits": lambda b: change(b / TOKENS_FILE, "scores", 0, [2.0, 1.000002]),
    "the list of a near-degenerate direction": lambda b: change(b / TOKENS_FILE, "token_ids", 2, [7, 8]),
    "a vector of a near-degenerate cluster": lambda b: turn(b / SVD, "left", 1, 0.5),
    "the sign of a vector": lambda b: turn(b / SVD, "right", 0, np.pi),
    "a p-value, by one list of the null": lambda b: change(b / LABELS_FILE, "p_value", 0, 0.25 + 1 / 2001),
    "a figure in its last digits": lambda b: (b / "figures/spectra.csv").write_text("value\n0.2500001\n"),
    "the order of rows": lambda b: pq.write_table(
        pq.read_table(b / TOKENS_FILE, partitioning=None).take([3, 1, 0, 2]), b / TOKENS_FILE
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THE_SAME)
def test_what_machines_need_not_have_in_common(
    name: str, two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    THE_SAME[name](two[1])
    status, printed = compared(two, capsys)
    assert status == 0, printed
    exact, printed = compared(two, capsys, "0")
    assert exact == (name != "the order of rows"), printed


def test_what_rests_on_a_list_set_apart_is_set_apart(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One label hangs on all lists of its matrix, by the shuffled ones, and a fraction on all labels."""
    change(two[1] / TOKENS_FILE, "token_ids", 1, [7, 8])
    change(two[1] / LABELS_FILE, "score", 0, 1.5)
    change(two[1] / "tables/fractions.parquet", "fraction", 0, 0.6)
    (two[1] / "figures/spectra.csv").write_text("value\n0.3\n")
    status, printed = compared(two, capsys)
    assert status == 0, printed
    for line in (
        "tokens: 1 file: the same, 4 rows; 2 set apart, 1 of these differ",
        "labels: 1 file: the same, 4 rows; 4 set apart, 1 of these differ",
        "tables/fractions.parquet: 1 file: the same, 1 rows; 1 set apart, 1 of these differ",
        "figures: 1 file: the same, 1 rows; 1 set apart, 1 of these differ",
    ):
        assert line in printed
    change(two[1] / TOKENS_FILE, "token_ids", 0, [7, 8])
    assert compared(two, capsys)[0] == 1


def test_what_cannot_be_compared_is_said_in_one_sentence(two: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = map(str, two)
    (tmp_path / "project/results/tables").mkdir(parents=True)
    (tmp_path / "empty/tables").mkdir(parents=True)
    for arguments, message in {
        (first,): "two were not named",
        (first, ""): "two were not named",
        (first, str(tmp_path / "none")): "none is no directory",
        (str(tmp_path / "empty"), str(tmp_path / "empty")): "has a result in it",
        (first, str(two[1] / "models")): "models is no results directory",
        (first, str(tmp_path / "project")): "Did you mean .*project/results",
        (first, second, "much"): "TOLERANCE=much",
        (first, second, "-1"): "TOLERANCE=-1",
    }.items():
        with pytest.raises(SvdlensError, match=message):
            main(list(arguments))
    table = two[1] / TOKENS_FILE
    whole = table.read_bytes()
    other = pq.read_table(table, partitioning=None).replace_schema_metadata(
        {"svdlens": json.dumps({"schema_version": 3})}
    )
    for damage, message in {
        "cut": "mlp_in.parquet is no table of svdlens: ",
        "foreign": "mlp_in.parquet is no table of svdlens: ",
        "old": "mlp_in.parquet has schema version 3, and this svdlens compares",
    }.items():
        if damage == "cut":
            table.write_bytes(whole[: len(whole) // 2])
        else:
            pq.write_table(other if damage == "old" else other.replace_schema_metadata(None), table)
        with pytest.raises(SvdlensError, match=message) as error:
            main([first, second])
        assert "\n" not in str(error.value)
    table.write_bytes(whole)
    spectra = two[1] / SPECTRA_FILE
    whole = spectra.read_bytes()
    pq.write_table(pq.read_table(spectra, partitioning=None).drop_columns(["cluster"]), spectra)
    with pytest.raises(SvdlensError, match=r"mlp_in.parquet is no table of spectra: it has no column cluster"):
        main([first, second])
    spectra.write_bytes(whole)
    (two[1] / SVD).write_bytes(b"\xff" * 40)
    with pytest.raises(SvdlensError, match=r"mlp_in.safetensors is no safetensors file: "):
        main([first, second])


def test_arrays_of_any_form_are_compared(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Types that numpy lacks, and files of vectors and values that are no SVD."""
    bfloat16 = torch.arange(6, dtype=torch.bfloat16)
    for results in two:
        (results / "edits/best/model").mkdir(parents=True)
        save_torch({"weight": bfloat16}, results / "edits/best/model/model.safetensors")
        save_file({"left": np.ones((2, 3, 4)), "values": np.ones(2)}, results / "svd/odd.safetensors")
    assert compared(two, capsys)[0] == 0
    save_torch({"weight": bfloat16 + 1}, two[1] / "edits/best/model/model.safetensors")
    status, printed = compared(two, capsys)
    assert status == 1 and "edits/best/model/model.safetensors: sha256 is " in printed
    save_file({"left": np.arange(24.0).reshape(2, 3, 4), "values": np.ones(2)}, two[1] / "svd/odd.safetensors")
    assert "svd/odd.safetensors: left[0, 0] is vectors of 4 numbers" in compared(two, capsys)[1]
