"""What stands for a token in the residual stream, to look for among the directions of a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenVectors:
    """weights: W_U or W_E. pseudo_inverse: of these, and not they themselves. readout: the one of READOUTS whose
    directions are compared with these vectors (of reading sides with or without the gain before them). what: for the
    documentation."""

    weights: str
    pseudo_inverse: bool
    readout: str
    what: str


BEST_LIST = "best_list"
"""The name of the query that is made of a model's own lists (trace/best_list.py)."""

TOKEN_VECTORS = {
    "pinv_W_U": TokenVectors("W_U", True, "W_U", "rows of the pseudo-inverse of the unembedding, which the post takes"),
    "W_U": TokenVectors("W_U", False, "W_U", "columns of the unembedding"),
    "W_E": TokenVectors("W_E", False, "W_E", "rows of the embedding"),
}
