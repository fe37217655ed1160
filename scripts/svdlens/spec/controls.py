"""The controls: directions that are no singular vectors, read and labelled as these are."""

from dataclasses import dataclass

RANDOM_UNIT = "random_unit"
"""The primary null, whose share stands beside every fraction; no sweep is without it."""


@dataclass(frozen=True)
class Control:
    """One control: its name in paths, tables and the configuration, its title in figures, and what it is."""

    name: str
    title: str
    what: str


CONTROLS = {
    control.name: control
    for control in (
        Control(RANDOM_UNIT, "random unit", "random unit vectors"),
        Control(
            "rotated",
            "rotated",
            "random rotations of each matrix's own leading singular vectors: the same subspace in another basis",
        ),
        Control("gaussian", "Gaussian matrices", "singular vectors of Gaussian matrices, the control of the post"),
    )
}
