"""What a sweep found, in sentences: where each model's lists exceed those of random directions most."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from svdlens.spec.matrix_kinds import MATRIX_KINDS, OF_THE_MODEL

PLACE = ["setting", "matrix", "side", "readout"]
EXCESS = ("excess_low", "excess_high")


def findings(fractions: pd.DataFrame, labeller: str, criterion: str, n: int) -> list[str]:
    """A sentence on each of at most `n` models of a table of fractions, the largest excess first.

    Of each model that layer of one kind of matrix is named, or its embedding or unembedding, whose excess over random
    unit directions has the highest lower bound, beside what all layers together have: it was chosen among all layers,
    settings and kinds of matrices, and a sentence that says so cannot be mistaken for a test.
    """
    chosen = (fractions["labeller"] == labeller) & (fractions["criterion"] == criterion)
    chosen &= (fractions["unit"] == "row") & (fractions["kind"] == "all") & (fractions["side"] != "all")
    rows = fractions[chosen & fractions["excess_low"].notna()]
    whole = (rows["group"] == "all") & rows["matrix"].isin(OF_THE_MODEL)
    candidates = rows[(rows["group"] == "layer") | whole].sort_values("excess_low", ascending=False, kind="stable")
    sentences = []
    for best in candidates.groupby("model", observed=True, sort=False).head(1).to_dict("records"):
        of_model = rows[rows["model"] == best["model"]]
        same = (of_model[PLACE] == [best[name] for name in PLACE]).all(axis=1)
        (everywhere,) = of_model[same & (of_model["group"] == "all")].to_dict("records")
        n_layers = of_model.loc[of_model["group"] == "layer", "layer"].nunique()
        sentences.append(sentence(best, everywhere, n_layers))
    return sentences[:n]


def sentence(best: Mapping[Any, Any], everywhere: Mapping[Any, Any], n_layers: int) -> str:
    """On one model: its best layer or matrix, a row of the table of fractions, and the row of all layers together."""
    matrix = f"{MATRIX_KINDS[best['matrix']].title}, {best['side']} side"
    what = f"{matrix}, setting {best['setting']}, through {best['readout']}"
    if best["excess_low"] <= 0:
        return f"{best['model']}: no matrix's lists exceed those of random directions. The nearest to it: {what}."
    share, of_random = f"{best['fraction']:.1%}", f"{best['control_fraction']:.1%}"
    in_layers = MATRIX_KINDS[best["matrix"]].in_layers
    where = f"in layer {best['layer']:.0f} " if in_layers else ""
    together = f"; all layers together have {points(everywhere)} more" if in_layers else ""
    among = f" {n_layers} layer{'' if n_layers == 1 else 's'}, of" if in_layers else ""
    return (
        f"{best['model']}: {where}{share} of the lists are interpretable ({what}), against {of_random} of random "
        f"directions: {points(best)} more. It is the best of{among} all settings and matrices{together}."
    )


def points(row: Mapping[Any, Any]) -> str:
    """The excess in percentage points, as the shares that are shown differ, with its interval."""
    share, of_random, low, high = (100 * row[name] for name in ("fraction", "control_fraction", *EXCESS))
    return f"{round(share, 1) - round(of_random, 1):.1f} points [{low:.1f}, {high:.1f}]"
