"""Directions that are named or chosen by labels, and what is said of those that are not unique or not there."""

import logging

import numpy as np
import pandas as pd
import pytest

from svdlens.edit.choice import best_direction, chosen_directions, traced_directions
from svdlens.errors import SvdlensError

KEPT, RANK = 4, 6


def spectra(clusters: list[int | None], stability: float = 0.99) -> pd.DataFrame:
    places = [("ov", layer, head) for layer in range(2) for head in range(2)] + [
        ("mlp_in", layer, None) for layer in (0, 1)
    ]
    rows = [
        {"matrix": matrix, "layer": layer, "head": head, "index": index, "cluster": clusters[index]}
        | {"value": 10.0 - index, "stability_noise": stability}
        for matrix, layer, head in places
        for index in range(RANK)
    ]
    return pd.DataFrame(rows)


def lists() -> pd.DataFrame:
    table = spectra([*range(RANK)])
    table = table[table["index"] < KEPT]
    sides = pd.DataFrame({"matrix": ["ov", "ov", "mlp_in"], "side": ["read", "write", "read"]})
    rows = table.merge(sides, on="matrix").merge(pd.DataFrame({"sign": [1, -1]}), how="cross")
    rows = rows.merge(pd.DataFrame({"readout": ["W_U", "W_E"]}), how="cross").reset_index(drop=True)
    return rows.assign(
        token_ids=[[i, i + 1] for i in range(len(rows))], tokens=[[f"t{i}", "x"] for i in range(len(rows))]
    )


def labels() -> pd.DataFrame:
    rows = lists()
    return rows.assign(
        label=[f"label {i}" for i in range(len(rows))], kind="semantic", interpretable=True, score=range(len(rows))
    )


ENTRY = {"matrix": "ov", "layer": 1, "head": 0, "index": 2, "sign": -1}
ALONE = [*range(RANK)]


def test_a_direction_has_the_lists_and_labels_of_its_write_side() -> None:
    [row] = chosen_directions([ENTRY], False, spectra(ALONE), lists(), labels()).to_dict("records")
    found = labels()
    for prefix, sign in (("", -1), ("antipode_", 1)):
        keys = {**ENTRY, "sign": sign, "side": "write", "readout": "W_U"}
        [expected] = found[(found[list(keys)] == pd.Series(keys)).all(axis=1)].to_dict("records")
        for column in ("token_ids", "tokens", "label"):
            assert row[f"{prefix}{column}"] == expected[column]
    assert (row["named"], row["cluster_size"], row["value"]) == (True, 1, 8.0)
    [unlabelled] = chosen_directions([ENTRY], False, spectra(ALONE), lists(), None).to_dict("records")
    assert unlabelled["label"] is None and unlabelled["tokens"] == row["tokens"]


def test_an_mlp_has_its_read_side_and_no_head() -> None:
    entry = {"matrix": "mlp_in", "layer": 1, "index": 0}
    [row] = chosen_directions([entry], False, spectra(ALONE), lists(), None).to_dict("records")
    assert row["head"] is None and row["sign"] == 1


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"layer": 7}, ("no direction ov layer 7, head 0, index 2", "layer 0 to 1, head 0 to 1, index 0 to 5")),
        ({"head": 9}, ("no direction ov layer 1, head 9", "head 0 to 1")),
        ({"index": 6}, ("index 6", "index 0 to 5")),
        ({"index": 5}, ("index 5 is null space", "below 5")),
        ({"index": 4}, ("index 4 has no vector that is kept", "Write `directions: 5`")),
    ],
)
def test_what_is_not_there_is_named(change: dict[str, int], parts: tuple[str, ...]) -> None:
    with pytest.raises(SvdlensError) as error:
        chosen_directions([ENTRY | change], False, spectra([0, 1, 2, 3, 4, None]), lists(), None)
    assert all(part in str(error.value) for part in parts), error.value


def test_a_cluster_is_warned_of_or_edited_as_a_whole(caplog: pytest.LogCaptureFixture) -> None:
    table = spectra([0, 1, 1, 1, 1, 2], stability=0.5)
    with caplog.at_level(logging.WARNING):
        alone = chosen_directions([ENTRY], False, table, lists(), None)
    assert alone["index"].tolist() == [2] and alone["cluster_size"].tolist() == [4]
    assert "index 2 is not unique" in caplog.text and "index 1, 3, 4" in caplog.text
    assert "not determined by the weights" in caplog.text and "0.50" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        whole = chosen_directions([ENTRY, ENTRY | {"index": 3}], True, table, lists(), None)
    # The fifth of the cluster is not kept; the third is named as well, and there once.
    assert whole["index"].tolist() == [1, 2, 3] and whole["named"].tolist() == [False, True, False]
    assert "of which 3 are kept" in caplog.text and "not unique" not in caplog.text
    caplog.clear()
    chosen_directions([ENTRY], False, spectra(ALONE), lists(), None)
    assert not caplog.text


def test_the_best_is_the_highest_semantic_list_of_late_write_sides() -> None:
    table = labels()
    late = (table["matrix"] == "ov") & (table["layer"] == 1) & (table["side"] == "write") & (table["readout"] == "W_U")
    right = table[late]["score"].idxmax()
    for column, value in (("kind", "grammatical"), ("interpretable", False)):
        changed = table.copy()
        changed.loc[right, column] = value
        assert best_direction(changed) != best_direction(table)
    [found] = best_direction(table[table["matrix"] == "ov"])
    assert found == {"matrix": "ov"} | {key: int(table.loc[right, key]) for key in ("layer", "head", "index", "sign")}
    with pytest.raises(SvdlensError, match="no semantic list on the write side in the last third"):
        best_direction(table[~late])
    [first] = best_direction(table[(table["matrix"] == "ov") & (table["layer"] == 0)])  # of a single layer, that
    assert first["layer"] == 0


def trace() -> pd.DataFrame:
    """A table of a trace, not in its order: what is found on both sides, in QK, and not at all."""
    rows = [
        ("fire", 4, "mlp_in", 1, None, 3, "read", 1, 0.4, True),
        ("fire", 1, "qk", 0, 0, 0, "query", 1, 0.9, True),
        ("fire", 2, "ov", 1, 0, 2, "write", -1, 0.6, True),
        ("fire", 3, "ov", 1, 0, 2, "read", 1, 0.8, True),
        ("fire", 5, "mlp_in", 0, None, 3, "read", 1, 0.3, True),
        ("fire", 6, "ov", 0, 0, 0, "write", 1, 0.2, False),
        ("ice", 1, "ov", 0, 1, 0, "write", 1, 0.1, False),
    ]
    names = ["query", "rank", "matrix", "layer", "head", "index", "side", "sign", "cosine", "found"]
    table = pd.DataFrame(rows, columns=names).assign(q_value=0.25)
    return table.astype({"head": "Int32", "query": "category", "matrix": "category"})


MATRICES = ["ov", "mlp_in"]


def test_what_a_query_finds_is_edited_nearest_first_and_once(caplog: pytest.LogCaptureFixture) -> None:
    found = traced_directions(trace(), "fire", 2, MATRICES)
    assert found == [ENTRY | {"cosine": 0.6}, {"matrix": "mlp_in", "layer": 1, "head": None, "index": 3} | found[1]]
    assert (found[1]["sign"], found[1]["cosine"]) == (1, 0.4) and not caplog.text
    assert traced_directions(trace(), "fire", 2, ["mlp_in"])[1]["layer"] == 0
    with caplog.at_level(logging.WARNING):
        assert len(traced_directions(trace(), "fire", 9, MATRICES)) == 3, "neither QK nor what is not found"
    assert "'fire' finds 3 directions, fewer than `top`: 9" in caplog.text
    with pytest.raises(SvdlensError, match=r"'ice' finds no direction of ov, mlp_in.* q_value is 0.25.*trace.level"):
        traced_directions(trace(), "ice", 2, MATRICES)
    with pytest.raises(SvdlensError, match=r"'fire' finds no direction of mlp_gate, nor is any near\. Ask for other"):
        traced_directions(trace(), "fire", 2, ["mlp_gate"])


def test_proportions_are_cosines_in_the_largest() -> None:
    named = traced_directions(trace(), "fire", 9, MATRICES)
    for clusters, sizes in ((ALONE, [1, 1, 1]), ([0, 1, 1, 2, 2, 3], [2, 1, 1])):
        table = chosen_directions(named, True, spectra(clusters), lists(), None, proportional=True)
        np.testing.assert_allclose(table["cosine"], np.repeat([0.6, 0.4, 0.3], sizes))
        np.testing.assert_allclose(table["proportion"], np.repeat([1.0, 2 / 3, 0.5], sizes))
    assert chosen_directions(named, False, spectra(ALONE), lists(), None)["proportion"].tolist() == [1.0] * 3
    [alone] = chosen_directions([ENTRY], False, spectra(ALONE), lists(), None).to_dict("records")
    assert alone["proportion"] == 1.0 and np.isnan(alone["cosine"])
