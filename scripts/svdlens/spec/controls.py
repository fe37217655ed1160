"""The controls: directions that are no singular vectors, read and labelled as these are."""

from dataclasses import dataclass

RANDOM_UNIT = "random_unit"
"""The primary null, whose share stands beside every fraction; no sweep is without it."""
ROTATED = "rotated"
VARIMAX = "varimax"
RANDOM_VARIMAX = "random_varimax"
"""The null of varimax: a basis that is chosen by its tokens says more of tokens than one that is not, whatever the
subspace."""
BASES = ("svd", VARIMAX)
"""What the directions of a sweep are: singular vectors, or others of the same subspaces."""
BESIDE_SVD = (VARIMAX, RANDOM_VARIMAX)
"""Controls for `basis: svd` alone: with `basis: varimax` they are the directions and their random unit vectors."""


@dataclass(frozen=True)
class Control:
    """One control: its name in paths, tables and the configuration, its title in figures, and what it is.

    of_matrices: its directions are of the matrices of the model, and its rows say of which; those of the others are of
    none, and one direction serves every side.
    """

    name: str
    title: str
    what: str
    of_matrices: bool = False


CONTROLS = {
    control.name: control
    for control in (
        Control(RANDOM_UNIT, "random unit", "random unit vectors"),
        Control(
            ROTATED,
            "rotated",
            "random rotations of each matrix's own leading singular vectors: the same subspace in another basis",
            of_matrices=True,
        ),
        Control(
            VARIMAX,
            "varimax",
            "the basis of the same subspace in which the scores of tokens are sparse",
            of_matrices=True,
        ),
        Control(
            RANDOM_VARIMAX,
            "varimax of random",
            "the basis of random subspaces in which the scores of tokens are sparse, the null of varimax",
        ),
        Control("gaussian", "Gaussian matrices", "singular vectors of Gaussian matrices, the control of the post"),
    )
}
