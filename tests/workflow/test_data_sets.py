"""Directories that people open as a data set, in the readers that they use; and the code of docs/tasks.md."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from safetensors.numpy import load_file

from svdlens.artefacts.table_schemas import CONTROL_LABELS, CONTROLS, LABELS, SPECTRA, TOKENS
from svdlens.spec.settings import SWITCHES
from workflow import PROJECT, Workflow

pytest_plugins = ["workflow_fixtures"]

DATA_SETS = {
    "spectra": SPECTRA, "tokens": TOKENS, "controls": CONTROLS, "labels": LABELS,
    "by_switches/tokens": CONTROLS, "by_switches/labels": CONTROL_LABELS,
}  # fmt: skip


def with_pandas(path: Path, keys: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path, partitioning=ds.partitioning(texts(keys), flavor="hive"))


def with_dataset(path: Path, keys: list[str]) -> pd.DataFrame:
    return ds.dataset(path, partitioning=ds.partitioning(texts(keys), flavor="hive")).to_table().to_pandas()


def with_duckdb(path: Path, keys: list[str]) -> pd.DataFrame:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    types = ", ".join(f"'{key}': VARCHAR" for key in keys)
    return duckdb.sql(f"SELECT * FROM read_parquet('{path}/**/*.parquet', hive_types = {{{types}}})").df()


def with_polars(path: Path, keys: list[str]) -> pd.DataFrame:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.read_parquet(path, hive_schema=dict.fromkeys(keys, polars.String)).to_pandas()


def texts(keys: list[str]) -> pa.Schema:
    return pa.schema([(key, pa.string()) for key in keys])


READERS: dict[str, Callable[[Path, list[str]], pd.DataFrame]] = {
    "pandas": with_pandas, "pyarrow": with_dataset, "duckdb": with_duckdb, "polars": with_polars,
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("models", [["2024"], ["1e5", "2024"]], ids=str)
def test_a_directory_is_one_table_in_which_models_are_texts(
    reader: str, models: list[str], finished: Workflow, tmp_path: Path
) -> None:
    for name, schema in DATA_SETS.items():
        for model in models:
            shutil.copytree(finished.results / name / "model=tiny", tmp_path / name / f"model={model}")
        one = next((finished.results / name).rglob("*.parquet"))
        keys = [part.split("=")[0] for part in one.relative_to(finished.results / name).parts[:-1]]
        table = READERS[reader](tmp_path / name, keys)
        assert set(table.columns) == {*schema.names, *keys}
        assert sorted(set(table["model"])) == models and all(isinstance(model, str) for model in table["model"])
        of_files = [pd.read_parquet(path, partitioning=None) for path in (finished.results / name).rglob("*.parquet")]
        assert len(table) == len(models) * sum(map(len, of_files))
        # No column is of some rows alone, and whole numbers are those of the files.
        for column in {"index", "sign"} & set(schema.names):
            counts = pd.concat(of_files)[column].value_counts() * len(models)
            assert table[column].value_counts().to_dict() == counts.to_dict()
            assert (table[column] * 100_000).abs().max() == table[column].abs().max() * 100_000


# --- docs/tasks.md


def blocks(section: str) -> list[str]:
    """The code of a section, of the model of these tests."""
    text = (PROJECT / "docs/tasks.md").read_text("utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    return [block.replace("wordnet-6layer", "tiny") for block in found]


def run(block: str, finished: Workflow, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the names of a block stand for after it."""
    monkeypatch.chdir(finished.directory)
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def test_singular_vectors_in_numpy_are_those_of_the_matrix(finished: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, directory = blocks("Singular vectors in numpy")
    found = run(vectors, finished, monkeypatch)
    weights = load_file(finished.directory / "source/model.safetensors")
    names = {name.removeprefix("transformer."): tensor.astype(np.float64) for name, tensor in weights.items()}
    width = names["wte.weight"].shape[1]
    of_head = slice(width // 2, width)  # head 1 of two
    W_V = names["h.0.attn.c_attn.weight"][:, 2 * width :][:, of_head]
    expected = W_V @ names["h.0.attn.c_proj.weight"][of_head]
    product = found["left"].T * found["values"][: len(found["left"])] @ found["right"]
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-5)
    assert run(directory, finished, monkeypatch)["directory"] == "/".join(
        f"{switch}={'on' if switch in ('read_gain', 'read_center') else 'off'}" for switch in SWITCHES
    )


def test_tables_in_duckdb(finished: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed")
    of_sweep, of_directory = blocks("A table in DuckDB")
    shares = run(of_sweep, finished, monkeypatch)["shares"]
    labels = pd.read_parquet(finished.results / "tables/labels.parquet").query("status == 'ok'")
    keys = ["model", "setting", "matrix", "side", "layer"]
    expected = labels.groupby(keys, observed=True)["interpretable"].agg(n="size", share="mean")
    assert len(expected) == len(shares)
    found = shares.set_index(keys).loc[expected.index]
    np.testing.assert_allclose(found[["n", "share"]].astype(float), expected.astype(float))
    tokens = run(of_directory, finished, monkeypatch)["tokens"]
    assert len(tokens) == 20 and set(tokens["model"]) == {"tiny"} and tokens["first_tokens"].map(len).eq(5).all()
