"""What pictures of edits say of the directions."""

import pandas as pd
import pytest

from svdlens.figures.edit_effect import NAME, draw_effect
from svdlens.figures.edit_rows import LABELS_UNTIL, labels_of
from svdlens.spec.edits import CONCEPT, DIRECTION, LISTED, MATCHED, OTHER, RANDOM, WRITTEN


def test_labels_of_several_directions_are_as_many_as_a_title_has_room_for():
    names = ["about fire", None, "about fire", "the most frequent tokens", "punctuation and symbols"]
    table = pd.DataFrame({"label": names, "antipode_label": None})
    assert labels_of(table.head(3)) == "“about fire”" and labels_of(table, "antipode_label") == ""
    shown = labels_of(table)
    assert shown.startswith("“about fire”, “the most frequent tokens”") and len(shown) <= LABELS_UNTIL


@pytest.mark.parametrize("targets", [LISTED, WRITTEN])
@pytest.mark.parametrize("controls", [(OTHER, RANDOM), (RANDOM,)])
def test_a_picture_of_an_edit_says_what_is_in_it(targets: str, controls: tuple[str, ...]) -> None:
    """Words of a person are not under the label of a list, and a control that is not there is not in the legend."""
    bars = [(edited, " fire", None, -0.3) for edited in (DIRECTION, MATCHED)]
    means = [(edited, None, 0 if edited in controls else None, -0.1) for edited in (DIRECTION, MATCHED, *controls)]
    data = pd.DataFrame([*bars, *means], columns=["edited", "token", "number", "change"])
    data = data.assign(targets=CONCEPT, low=-0.4, high=-0.2)
    row = {"matrix": "ov", "layer": 0, "head": 1, "index": 2, "sign": 1}
    row |= {"proportion": 1.0, "label": "about fire", "antipode_label": None}
    subject = {"edit": "fire", "model": "tiny", "setting": "raw"}
    facts = {"eps": -1.0, "path": "total", "targets": targets}
    figure = draw_effect(data, pd.DataFrame([row]), subject, facts)
    [title] = {axes.get_title() for axes in figure.axes} - {""}
    assert ("about fire" in title) == (targets == LISTED) and ("prompts" in title) == (targets == WRITTEN)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [NAME[what] for what in (DIRECTION, MATCHED, *controls)]
