"""Texts of tokens as a table: every text comes back, whatever is in it."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_sweep import HOSTILE
from svdlens.artefacts.table_schemas import TOKEN_TEXTS, read_metadata
from svdlens.models.token_table import read_token_texts, write_token_texts


@given(st.lists(st.text() | st.sampled_from(HOSTILE)))
def test_texts_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens.parquet"
    write_token_texts(path, texts, {})
    assert read_token_texts(path) == texts


def test_ids_are_places_in_the_vocabulary(tmp_path: Path) -> None:
    write_token_texts(tmp_path / "tokens.parquet", HOSTILE, {"code": "0f"})
    table = pq.ParquetFile(tmp_path / "tokens.parquet").read()
    assert table.schema.equals(TOKEN_TEXTS)
    assert table.to_pylist() == [{"id": id, "text": text} for id, text in enumerate(HOSTILE)]
    assert read_metadata(tmp_path / "tokens.parquet")["code"] == "0f"


def test_the_same_texts_have_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_token_texts(tmp_path / name / "tokens.parquet", HOSTILE, {"code": "0"})
    assert (tmp_path / "one/tokens.parquet").read_bytes() == (tmp_path / "other/tokens.parquet").read_bytes()
