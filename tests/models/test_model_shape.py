"""The shape of a model, as transformers reads its configuration; entries that go beyond it are named."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from svdlens.errors import SvdlensError
from svdlens.models.model_shape import ModelShape, check_token_tables, read_shape
from tiny import TINY, make_tiny


@pytest.mark.parametrize("architecture", TINY)
def test_the_shape_is_what_transformers_reads(architecture: str, tmp_path: Path) -> None:
    directory = make_tiny(architecture, tmp_path / "model", layers=3)
    config = AutoConfig.from_pretrained(directory)
    assert read_shape(directory, architecture) == (3, config.num_attention_heads)


def test_every_table_of_a_matrix_that_is_not_there_is_named() -> None:
    shape = ModelShape(n_layers=4, n_heads=3)
    right: list[dict[str, Any]] = [
        {"matrix": "ov", "layer": 3, "head": 2},
        {"matrix": "mlp_in", "layer": 0, "directions": 99},
    ]
    check_token_tables("mine", right, shape)
    check_token_tables("mine", [], shape)
    wrong = [{"matrix": "ov", "layer": 3, "head": 3}, {"matrix": "mlp_out", "layer": 99}]
    with pytest.raises(SvdlensError) as error:
        check_token_tables("mine", [*right, *wrong], shape)
    assert "models.mine.token_tables.2 has head 3 (of 3, counted from 0)" in str(error.value)
    assert "models.mine.token_tables.3 has layer 99 (of 4, counted from 0)" in str(error.value)
    assert "token_tables.0" not in str(error.value) and "token_tables.1" not in str(error.value)
