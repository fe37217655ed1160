"""How many layers and heads a model has, and whether the configuration asks for others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import complete_config, read_json


class ModelShape(NamedTuple):
    """Numbers of layers, and of heads in each."""

    n_layers: int
    n_heads: int


def read_shape(directory: Path, architecture: str) -> ModelShape:
    """The shape of a model that fetch_model has checked, from its config.json."""
    where, keys = f"the model in {directory}", LAYOUTS[architecture].keys
    config = complete_config(read_json(directory / "config.json", where), architecture, where)
    return ModelShape(config[keys["n_layer"]], config[keys["n_heads"]])


def check_token_tables(model: str, tables: Sequence[Mapping[str, Any]], shape: ModelShape) -> None:
    """Raises SvdlensError for all of the model's `token_tables` of a layer or head that it does not have."""
    wrong = []
    for number, table in enumerate(tables):
        for key, count in (("layer", shape.n_layers), ("head", shape.n_heads)):
            if table.get(key, 0) >= count:
                wrong.append(
                    f"models.{model}.token_tables.{number} has {key} {table[key]} (of {count}, counted from 0)"
                )
    if wrong:
        raise SvdlensError(f"{'; '.join(wrong)}. Correct or remove these, then run again: what is finished is kept.")
