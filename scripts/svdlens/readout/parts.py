"""A read-out cut into several jobs by layer, where one would take too long (rules/parts.smk)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from svdlens.artefacts.table_schemas import columns_of
from svdlens.spec.matrix_kinds import MATRIX_KINDS, stored_numbers
from svdlens.svd.parts import layers_of_part


def arrays_of_part(arrays: Mapping[str, Tensor], matrix: str, part: int, parts: int) -> dict[str, Tensor]:
    """Of the arrays of an SVD file, or of one of another basis, those of the layers of the job `part` of `parts`
    (layers_of_part), in a file that has not all of its model."""
    layers = stored_numbers(arrays).get("layers", range(len(arrays[MATRIX_KINDS[matrix].sign_array])))
    positions = list(layers_of_part(range(len(layers)), part, parts))
    of_layers = {name: array[positions] for name, array in arrays.items() if name in ("left", "values", "right")}
    heads = {"heads": arrays["heads"]} if "heads" in arrays else {}
    return of_layers | heads | {"layers": torch.tensor([layers[position] for position in positions])}


def join_lists(parts: Sequence[pa.Table]) -> dict[str | None, dict[str, pa.Array]]:
    """The rows of all parts, given in order, as those of all layers together, by control: None for the directions of
    the sweep (projection.project_matrices)."""
    whole = pa.table(columns_of(pa.concat_tables(parts, promote_options="default")))
    # Each part has its layers for every control, read-out and side; the whole has all layers for each of these.
    order = np.lexsort([first_appearances(whole[name]) for name in ("side", "readout", "control")])
    whole = whole.take(pa.array(order))
    controls = whole["control"].combine_chunks()
    return {
        control: columns_of(whole.filter(pa.compute.equal(controls.fill_null(""), control or "")))
        for control in controls.unique().to_pylist()
    }


def first_appearances(texts: pa.ChunkedArray) -> np.ndarray:
    """Of each text the number of distinct ones that appear before its first; -1 for null."""
    codes: np.ndarray = texts.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    return codes
