"""The pictures of a trace: what is in them, with hostile tokens, without labels, and after several rounds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svdlens.artefacts.table_schemas import TRACE, TRACE_MATRICES, write_table
from svdlens.figures.token_table import shown_token
from svdlens.figures.trace_heads import draw_figures as draw_heads
from svdlens.figures.trace_heads import panels_of
from svdlens.figures.trace_rows import direction_name, query_sentence
from svdlens.figures.trace_table import ROWS, TOKENS_UNTIL, cells, tokens_in_line
from svdlens.figures.trace_table import draw_figures as draw_tables

LAYERS, HEADS = 3, 2
OPTIONS = {"level": 0.05, "n_random": 200}
SUBJECTS = [{"model": "m", "setting": "raw", "query": query} for query in ("fire", "best_list")]
HOSTILE = ["$x^2$", "</script>", "\n", "火", "a" * 60, ""]


def facts(rounds: int = 1) -> dict[str, object]:
    told = [{"words": [" fire", "$"], "found": 1}, {"words": ["ice"], "found": 0}][:rounds]
    origin = {"matrix": "mlp_out", "layer": 2, "head": None, "index": 7, "side": "write", "sign": -1, "label": None}
    return {"rounds": {"fire": told, "best_list": told[:1]}, "vectors": "pinv_W_U", "best_list": origin}


def numbers(n: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {"cosine": generator.random(n), "standard_score": generator.random(n) * 9, "q_value": generator.random(n)}


def write_directions(path: Path, rounds: int = 1) -> None:
    n = 30
    one = {"matrix": "ov", "layer": range(n), "head": [None, *[1] * (n - 1)], "index": 3, "side": "read", "sign": -1}
    one |= numbers(n, 0) | {"rank": range(1, n + 1), "round": [*[rounds] * 2, *[1] * (n - 2)], "p_value": 0.5}
    one |= {"found": [True] * 2 + [False] * (n - 2), "above_cosine": True, "tokens": [HOSTILE] * n}
    one |= {name: None for name in TRACE.names if name not in one and name != "query"}
    table = pd.concat([pd.DataFrame(one).assign(query=query) for query in ("fire", "best_list")])
    table["label"] = ["words with $" * 5, *[None] * (len(table) - 1)]
    write_table(path, dict(table.items()), TRACE, facts(rounds))


def write_matrices(path: Path) -> None:
    ov = [("ov", layer, head, side) for side in ("read", "write") for layer in range(LAYERS) for head in range(HEADS)]
    mlps = [("mlp_in", layer, None, "read") for layer in range(LAYERS)] + [("mlp_out", 1, None, "write")]
    table = pd.DataFrame(ov + mlps, columns=["matrix", "layer", "head", "side"])
    table = table.assign(index=1, sign=1, n=64, n_found=table["layer"] == 2, **numbers(len(table), 1))
    table = pd.concat([table.assign(query=query) for query in ("fire", "best_list")])
    write_table(path, dict(table.items()), TRACE_MATRICES, facts())


def text_of(figure) -> str:
    return " ".join(text.get_text() for text in [*figure.texts, *(one for axes in figure.axes for one in axes.texts)])


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_table_shows_the_first_rows_of_its_query_as_they_are(tmp_path, rounds):
    write_directions(tmp_path / "a.parquet", rounds)
    drawn = list(draw_tables({"directions": [tmp_path / "a.parquet"] * 2}, SUBJECTS, OPTIONS))
    for (data, figure), subject in zip(drawn, SUBJECTS, strict=True):
        assert data["rank"].tolist() == list(range(1, ROWS + 1)) and set(data["query"]) == {subject["query"]}
        assert list(data["tokens"].iloc[0]) == HOSTILE, "the csv has every token whole"
        shown = text_of(figure)
        assert "fire, $;" in shown and "200 random queries" in shown and "false discovery rate up to 5 %" in shown
        assert ("of MLP out L2 #7 write −" in " ".join(shown.split())) == (subject["query"] == "best_list")
        figure.canvas.draw()
    assert ("later rounds" in text_of(drawn[0][1])) == (rounds > 1)
    assert cells(drawn[0][0].to_dict("records")[0])[5].startswith("(2) words" if rounds > 1 else "words")
    assert cells(drawn[1][0].to_dict("records")[0])[5] == ("(2) " if rounds > 1 else "")


def test_words_may_be_called_like_the_query_that_a_rule_chooses(tmp_path):
    """`--config query=[best_list]`: then nothing says which list it is of, since it is of none."""
    told = {"rounds": {"best_list": [{"words": ["best_list"], "found": 0}]}, "vectors": "pinv_W_U"}
    assert query_sentence("best_list", told).startswith("Query: best_list; the sum")


def test_a_line_has_the_tokens_that_there_is_room_for():
    line = tokens_in_line(HOSTILE * 20)
    assert len(line) <= TOKENS_UNTIL and line.startswith(shown_token("$x^2$")) and "\n" not in line
    longer = {"matrix": "mlp_gate", "layer": 29, "head": None, "index": 63, "side": "read", "sign": -1}
    assert direction_name(longer) == "MLP gate L29 #63 read −"


def test_heads_stand_where_they_are_and_a_matrix_that_is_not_there_is_white(tmp_path):
    write_matrices(tmp_path / "a.parquet")
    for data, figure in draw_heads({"matrices": [tmp_path / "a.parquet"] * 2}, SUBJECTS, OPTIONS):
        assert len(data) == 2 * LAYERS * HEADS + LAYERS + 1
        panels = panels_of(data)
        assert [(name, names) for name, names, _ in panels] == [
            ("attention OV, read", []),
            ("attention OV, write", []),
            ("MLPs", ["mlp_in", "mlp_out"]),
        ]
        for axes, (_, _, rows) in zip(figure.axes, panels, strict=False):
            shades = axes.collections[0].get_array().reshape(LAYERS, 2)
            for row in rows.to_dict("records"):
                assert shades[row["layer"], row["column"]] == row["standard_score"]
            # Circles where something is found.
            circles = set(zip(*axes.lines[0].get_data(), strict=True))
            assert circles == {(row["column"], 2) for row in rows.to_dict("records") if row["layer"] == 2}
        assert np.ma.getmaskarray(figure.axes[2].collections[0].get_array()).sum() == 2
        figure.canvas.draw()
