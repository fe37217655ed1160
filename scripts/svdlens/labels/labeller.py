"""What a labeller is, to the jobs that call it. registry.py says which there are."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Int

Columns = dict[str, object]
"""Columns of a table by name, equally long."""

SINGULAR = "singular"
"""The lists of singular directions, among those of controls, which go by the controls' names."""

NULL_SPACE = "null_space"
"""The status of a list whose direction is null space: no labeller gets it, and it counts nowhere."""

NOT_INTERPRETABLE = ("frequency", "glitch")
"""Kinds of lists that can be coherent and are still not interpretable."""


class TokenLists(NamedTuple):
    """Token lists, one for each direction and sign: ids [n, k], best first, and the texts of these tokens likewise."""

    ids: Int[np.ndarray, "n k"]
    texts: pa.ListArray


class Labelled(NamedTuple):
    """columns of the lists by what they are of (SINGULAR, or a control), and facts for the metadata of their table: how
    these lists were calibrated."""

    columns: dict[str, Columns]
    facts: dict[str, object]


@runtime_checkable
class Labeller(Protocol):
    """Labels the token lists of one kind of matrix in a model, through one read-out."""

    facts: Mapping[str, object]
    """What goes into the metadata of its tables."""

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        """For SINGULAR and each of the controls in `lists`, the columns label, kind, labelled, verified, interpretable,
        score, p_value, q_value, p_direction, q_direction, evidence, n_concepts and status (docs/artefacts.md)."""
