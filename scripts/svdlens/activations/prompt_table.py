"""The tables of a prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from svdlens.activations.ablation import head_ablations
from svdlens.activations.examples import SVD
from svdlens.activations.prompt import Firing, Pass
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import numbered_layers, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.svd.spectrum import describe_spectrum

Labels = Mapping[tuple[str, str, int, int | None, int, int], str]
"""What a list is called, by matrix, side, layer, head, index and sign."""


def labels_of(paths: Sequence[str], readout: str) -> Labels:
    """The labels of the lists that tables of labels have through `readout`, where there are any."""
    keys = ["matrix", "side", "layer", "head", "index", "sign"]
    found = {}
    for path in paths:
        table = pd.read_parquet(path, columns=[*keys, "readout", "label"], partitioning=None)
        rows = table[(table["readout"] == readout) & table["label"].notna()]
        for matrix, side, layer, head, index, sign, label in rows[[*keys, "label"]].itertuples(index=False):
            found[matrix, side, layer, None if pd.isna(head) else int(head), index, sign] = label
    return found


def ranks(columns: Mapping[str, list[Any]], first: int) -> list[int | None]:
    """Among the directions that one kind of matrix writes, 1 for that of the largest effect by magnitude, at any
    position from `first` on; of the largest firing where nothing has an effect."""
    measure = measured_by(columns)
    measured = [
        np.abs(values[first:]).max(initial=0) if side == "write" else np.nan
        for side, values in zip(columns["side"], columns[measure], strict=True)
    ]
    order = pd.Series(measured).groupby(columns["matrix"]).rank(method="first", ascending=False)
    return [None if np.isnan(place) else int(place) for place in order]


def measured_by(columns: Mapping[str, Sequence[Any]]) -> str:
    """The column by which directions that write are compared: firing where a norm leaves none of them an effect."""
    return "effect" if any(values is not None for values in columns["effect"]) else "firing"


def token_text(texts: list[str], token: int) -> str:
    """The text of a token, none of rows of the embedding that no token has."""
    return texts[token] if token < len(texts) else ""


def prompt_columns(
    seen: Pass, fired: Sequence[Firing], labels: Labels, texts: list[str], first: int
) -> dict[str, list[Any]]:
    """A row for each direction, with what it does at every position. texts: of all tokens by id. first: the position
    where the prompt itself begins: before it is what the model begins every text with, and many directions fire there a
    thousand times as strongly."""
    columns: dict[str, list[Any]] = {}
    for one in fired:
        side = "read" if one.effect is None and one.matrix in ("mlp_in", "mlp_gate") else "write"
        firing = one.firing.float().numpy()
        effect = [None] * len(firing) if one.effect is None else list(one.effect.float().numpy())
        n = len(one.index)
        key = (one.matrix, side, one.layer, one.head)
        made: dict[str, list[Any]] = {
            "matrix": [one.matrix] * n,
            "layer": [one.layer] * n,
            "head": [one.head] * n,
            "index": one.index,
            "side": [side] * n,
            "firing": list(firing),
            "effect": effect,
            "label": [labels.get((*key, index, 1)) for index in one.index],
            "opposite_label": [labels.get((*key, index, -1)) for index in one.index],
        }
        for name, values in made.items():
            columns.setdefault(name, []).extend(values)
    n = len(columns["index"])
    tokens = {"tokens": seen.ids, "next_tokens": seen.targets}
    of_prompt = {name: [[token_text(texts, token) for token in ids.tolist()]] * n for name, ids in tokens.items()}
    return columns | of_prompt | {"rank": ranks(columns, first)}


def pair_columns(pairs: dict[str, list[Any]], seen: Pass, labels: Labels, texts: list[str]) -> dict[str, list[Any]]:
    """top_pairs with tokens and labels."""
    made: dict[str, list[Any]] = {"matrix": ["qk"] * len(pairs["index"])}
    tokens = [texts[token] for token in seen.ids.tolist()]
    for side in ("query", "key"):
        made[f"{side}_token"] = [tokens[position] for position in pairs[f"{side}_position"]]
        rows = zip(pairs["layer"], pairs["head"], pairs["index"], pairs[f"{side}_firing"], strict=True)
        made[f"{side}_label"] = [labels.get(("qk", side, *key, 1 if firing > 0 else -1)) for *key, firing in rows]
    return pairs | made


def chosen_heads(
    columns: Mapping[str, list[Any]], asked: Sequence[Mapping[str, Any]], name: str
) -> list[tuple[int, int, list[int]]]:
    """Layer, head and directions to keep or to ablate: those that are asked for, or else the OV direction of the
    largest effect at the last position (of the largest firing, where nothing has an effect).

    Raises SvdlensError for a head or direction that is not there; `name` is the model's in the message.
    """
    heads: dict[tuple[int, int], list[int]] = {}
    measure = measured_by(columns)
    best, strongest = None, -1.0
    for row, matrix in enumerate(columns["matrix"]):
        if matrix == "ov":
            key = (columns["layer"][row], columns["head"][row])
            heads.setdefault(key, []).append(columns["index"][row])
            if abs(columns[measure][row][-1]) > strongest:
                best, strongest = (*key, [columns["index"][row]]), abs(columns[measure][row][-1])
    if not asked:
        return [best] if best else []
    for one in asked:
        where = f"on_prompt.heads: {{layer: {one['layer']}, head: {one['head']}}} of {name}"
        there = heads.get((one["layer"], one["head"]))
        if there is None:
            layers, numbers = sorted({key[0] for key in heads}), sorted({key[1] for key in heads})
            known = f"layers {layers[0]} to {layers[-1]}, heads {numbers[0]} to {numbers[-1]}" if heads else "none"
            raise SvdlensError(
                f"{where} is not among the OV matrices that are decomposed, {known}. Name one of these, "
                "or write the `model` that the head is of."
            )
        missing = [index for index in one["indices"] if index not in there]
        if missing:
            raise SvdlensError(
                f"{where} has no direction {missing[0]}: those that are kept and no null space are 0 to {there[-1]}. "
                "Name some of these."
            )
    return [(one["layer"], one["head"], list(one["indices"])) for one in asked]


def of_head(svd: SVD, name: str, layer: int, head: int) -> torch.Tensor:
    """One array of an SVD file for one head."""
    layers, heads = numbered_layers(svd["values"].shape, "ov", stored_numbers(svd))
    number = list(zip(layers, heads, strict=True)).index((layer, head))
    array = svd[name]
    return array.flatten(0, 1)[number]


def near_degenerate(values: torch.Tensor, indices: Sequence[int], tolerance: float) -> list[int]:
    """Which of some directions are in a near-degenerate cluster: not unique, and neither is what they do alone."""
    cluster = describe_spectrum(values.numpy(), tolerance).cluster
    return [index for index in indices if (cluster == cluster[index]).sum() > 1]


def ablate_heads(
    model: nn.Module,
    seen: Pass,
    svd: SVD | None,
    setting: Setting,
    columns: Mapping[str, list[Any]],
    asked: Sequence[Mapping[str, Any]],
    texts: list[str],
    tolerance: float,
    name: str,
) -> dict[str, list[Any]]:
    """head_ablations of chosen_heads as one table: the most probable token after the prompt, and what becomes of it.

    svd: of OV; without it there are no heads. columns: prompt_columns. texts: of all tokens by id. tolerance: of
    near-degenerate clusters. name: of the model.
    """
    target = int(seen.targets[-1])
    names = ("layer", "head", "indices", "near_degenerate", "way", "next_token", "log_probability", "best_token")
    made: dict[str, list[Any]] = {name: [] for name in names}
    for layer, head, indices in chosen_heads(columns, asked, name):
        assert svd is not None
        vectors = of_head(svd, "right", layer, head)[indices]
        found = head_ablations(model, seen.ids[None], target, setting, layer, head, vectors)
        unsure = near_degenerate(of_head(svd, "values", layer, head), indices, tolerance)
        rows = {"layer": layer, "head": head, "indices": indices, "near_degenerate": unsure}
        rows |= {"next_token": token_text(texts, target)}
        for name, value in rows.items():
            made[name] += [value] * len(found["way"])
        made["way"] += found["way"]
        made["log_probability"] += found["log_probability"]
        made["best_token"] += [token_text(texts, token) for token in found["best"]]
    return made
