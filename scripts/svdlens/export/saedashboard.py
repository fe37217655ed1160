"""Directions for other tools: a VectorSet of SAEDashboard, and a table for spreadsheets."""

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting

CONTEXT_SIZE = 128
FORMULA = re.compile(r"^[\s]*[=+\-@]|^[\t\r]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def choose_rows(
    tokens: pd.DataFrame, labels: pd.DataFrame, layer: int, head: int | None, side: str, directions: int
) -> pd.DataFrame:
    """The rows of the leading `directions` of one matrix on one side, both signs, with their labels, first read-out.

    Columns: index, sign, null_space, token_ids, tokens, token_scores, and of the labels table label, kind, score,
    p_value, q_value, q_direction; empty where a row has no label. Raises SvdlensError for a matrix that the table does
    not have.
    """
    rows = tokens[(tokens["layer"] == layer) & (tokens["side"] == side) & (tokens["index"] < directions)]
    rows = rows[rows["head"].isna() if head is None else rows["head"] == head]
    if rows.empty:
        layers = sorted(set(tokens["layer"].tolist()))
        heads = sorted({int(value) for value in tokens["head"].dropna()})
        sides = sorted(set(tokens["side"].tolist()))
        raise SvdlensError(
            f"no directions of layer {layer}{'' if head is None else f', head {head}'}, side {side}. The table has "
            f"layers {layers}, heads {heads}, sides {sides}. Ask for one of them."
        )
    rows = rows[rows["readout"] == rows["readout"].iloc[0]]
    keys = ["layer", "index", "side", "sign", "readout"]
    head_labels = labels[labels["head"].isna() if head is None else labels["head"] == head]
    label_columns = ["label", "kind", "score", "p_value", "q_value", "q_direction"]
    wanted = rows[[*keys, "null_space", "token_ids", "tokens", "scores"]].rename(columns={"scores": "token_scores"})
    joined = wanted.merge(head_labels[[*keys, *label_columns]], on=keys, how="left")
    return joined.sort_values(["index", "sign"], ascending=[True, False], ignore_index=True)


def vector_set(
    rows: pd.DataFrame,
    vectors: Float[np.ndarray, "k d_model"],
    *,
    model: str,
    setting: Setting,
    matrix: str,
    side: str,
    layer: int,
    head: int | None,
    facts: Mapping[str, object],
    shared_norm: bool = False,
) -> dict[str, Any]:
    """A VectorSet as SAEDashboard loads it (neuronpedia/vector_set.py): a vector for each row, at its sign.

    Units: the vectors have length 1, so that their dot product with the activation at the hook is that activation's
    coordinate. Hooks are those of TransformerLens' TransformerBridge on the model as it is, with no weights processed,
    whatever the setting (MatrixKind.hook_of). `model` is the name by which other programs load it; what the vectors
    are of stands in the entry `svdlens`, `facts` among it, which SAEDashboard passes over.
    """
    kind = MATRIX_KINDS[matrix]
    signed = vectors[rows["index"]] * rows["sign"].to_numpy()[:, None]
    names = [row_name(row, matrix, side, layer, head) for row in rows.to_dict("records")]
    return {
        "vectors": [[float(value) for value in vector] for vector in signed.astype(np.float32)],
        "config": {
            "d_in": vectors.shape[1],
            "d_vectors": len(names),
            "vector_names": names,
            "model_name": model,
            "hook_name": kind.hook_of(side, kind.has_gain(setting), layer, shared_norm),
            "hook_layer": layer,
            # Of hooks that have an axis for heads; none of these has.
            "hook_head_index": None,
            "prepend_bos": True,
            "context_size": CONTEXT_SIZE,
            "dataset_path": "",
            "dtype": "float32",
            "device": "cpu",
            "model_from_pretrained_kwargs": {},
        },
        "svdlens": {
            **facts,
            "switches": [name for name, on in vars(setting).items() if on],
            "matrix": matrix,
            "side": side,
            "layer": layer,
            "head": head,
        },
    }


def row_name(row: Mapping[Any, Any], matrix: str, side: str, layer: int, head: int | None) -> str:
    where = f"{matrix} L{layer}" + ("" if head is None else f"H{head}")
    label = "null space" if row["null_space"] else row["label"] if isinstance(row["label"], str) else "no label"
    return f"{where} {side} {row['index']}{'+' if row['sign'] > 0 else '-'}: {plain(label)}"


def to_json(content: Mapping[str, Any]) -> str:
    """JSON with no number that is none: other tools may not read NaN."""
    return json.dumps(content, allow_nan=False, ensure_ascii=True) + "\n"


def spreadsheet(rows: pd.DataFrame, constants: Mapping[str, object], values: Float[np.ndarray, " k"] | None) -> str:
    """CSV that a spreadsheet opens as it is: a byte order mark, so that it is read as UTF-8; lists of tokens as JSON,
    which keeps spaces and control characters and begins with a bracket, so that no token becomes a number, a date or a
    formula; an apostrophe before a label that would be a formula. `values` are None for directions that have none.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    columns = ["label", "kind", "score", "p_value", "q_value", "q_direction"]
    writer.writerow([*constants, "index", "sign", "singular_value", "null_space", *columns, "tokens", "token_scores"])
    for row in rows.to_dict("records"):
        writer.writerow(
            [
                *map(cell, constants.values()),
                row["index"],
                # As words: spreadsheets take +1 for a formula.
                "positive" if row["sign"] > 0 else "negative",
                cell(None if values is None else float(values[row["index"]])),
                "yes" if row["null_space"] else "no",
                *(cell(row[name]) for name in columns),
                json.dumps(list(row["tokens"]), ensure_ascii=False),
                json.dumps([round(float(score), 4) for score in row["token_scores"]]),
            ]
        )
    return "\ufeff" + out.getvalue()


def cell(value: object) -> object:
    """A cell of the table: nothing for what is missing, text that is no formula, and numbers to six digits."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if FORMULA.match(text) else text
    return value


def plain(text: str) -> str:
    """On one line, control characters written out."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
