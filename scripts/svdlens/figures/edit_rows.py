"""What the figures of edits share: what was edited, in words."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from svdlens.figures.style import matrix_name
from svdlens.spec.edits import CONCEPT, OPPOSITE, WRITTEN

SHOWN = 3
"""Directions that a title names; of more it says how many."""
LABELS_UNTIL = 48
"""Characters of labels for which the title of a panel has room."""
LISTS = {CONCEPT: "its tokens", OPPOSITE: "tokens of the opposite sign"}
"""Targets by what they are of, where they are of the lists of the directions."""


def edited_words(directions: pd.DataFrame) -> str:
    """The edited directions in words, such as `attention OV, layer 29, head 7, direction 0`."""
    places: Any = directions.groupby(["matrix", "layer", "head"], dropna=False, sort=False, observed=True)
    words = []
    for place, rows in places:
        where = matrix_words(*place)
        indices = [str(index) for index in rows["index"]]
        if len(indices) > SHOWN:
            words.append(f"{where}, {len(indices)} directions")
        else:
            words.append(f"{where}, direction{'s' if len(indices) > 1 else ''} {', '.join(indices)}")
    more = f" and {len(words) - SHOWN} more matrices" if len(words) > SHOWN else ""
    return "; ".join(words[:SHOWN]) + more


def matrix_words(matrix: str, layer: int, head: float) -> str:
    """A matrix in words; `head` is NaN where it has none."""
    return f"{matrix_name(matrix)}, layer {layer}" + ("" if pd.isna(head) else f", head {int(head)}")


def scaled_words(eps: float) -> str:
    """What eps does, in words."""
    return "removed" if eps == -1 else f"scaled by {1 + eps:g}"


def title(subject: Mapping[str, Any], directions: pd.DataFrame, eps: float) -> str:
    proportions = "" if directions["proportion"].eq(1).all() else " in proportion to the cosine with the query"
    return f"{subject['model']}, {subject['setting']}: {edited_words(directions)}, {scaled_words(eps)}{proportions}"


def targets_names(facts: Mapping[str, Any]) -> dict[str, str]:
    """What the targets of an edit are called, by the metadata of its tables: a person's own words have nothing to do
    with the lists."""
    return LISTS | ({CONCEPT: "target words of the prompts"} if facts.get("targets") == WRITTEN else {})


def labels_of(directions: pd.DataFrame, column: str = "label") -> str:
    """The first labels of the directions in quotes, each once, as far as there is room; empty without any."""
    labels = list(directions[column].dropna().unique())
    text = ", ".join(f"“{label}”" for label in labels[:SHOWN])
    return text if len(text) <= LABELS_UNTIL else f"{text[: LABELS_UNTIL - 1]}…"
