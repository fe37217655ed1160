"""What a module of a figure has: draw_figures, from tables to numbers and pictures (figures/registry.py)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
from matplotlib.figure import Figure

Inputs = Mapping[str, Any]
"""The paths of the tables of a figure by name: one, or a list of them."""
Subjects = Sequence[Mapping[str, Any]]
"""For each file of a figure what it is of: model, setting, matrix and so on, as far as that is one."""
Options = Mapping[str, Any]
"""What a figure asks of the configuration, by name (figures/files.py, figure_options)."""
Drawn = Iterator[tuple[pd.DataFrame, Figure]]
"""For each of the subjects the numbers that are drawn, and the picture."""


class FigureModule(Protocol):
    """A module figures/{name}.py."""

    def draw_figures(self, inputs: Inputs, subjects: Subjects, options: Options) -> Drawn:
        """Numbers and picture of each of `subjects`, in their order."""
