"""What a labeller is."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

Columns = dict[str, object]


@runtime_checkable
class Labeller(Protocol):
    """Token lists in, records out."""

    name: str

    def label(self, lists: Mapping[str, Int[np.ndarray, "n k"]]) -> dict[str, Columns]:
        """The columns label, kind, labelled, verified, interpretable, score, p_value, q_value, p_direction,
        q_direction, evidence, n_concepts and status (docs/design.md) for the lists `tokens`, token ids best first,
        and for each list of controls."""
