"""What pictures of edits say of the directions."""

import pandas as pd

from svdlens.figures.edit_rows import LABELS_UNTIL, labels_of


def test_labels_of_several_directions_are_as_many_as_a_title_has_room_for():
    names = ["about fire", None, "about fire", "the most frequent tokens", "punctuation and symbols"]
    table = pd.DataFrame({"label": names, "antipode_label": None})
    assert labels_of(table.head(3)) == "“about fire”" and labels_of(table, "antipode_label") == ""
    shown = labels_of(table)
    assert shown.startswith("“about fire”, “the most frequent tokens”") and len(shown) <= LABELS_UNTIL
