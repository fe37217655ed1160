"""Which lists are on a sheet: some of each matrix, and controls among them, in an order that tells nothing."""

import zlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svdlens.errors import SvdlensError
from svdlens.labels.label_table import Choice, choose
from svdlens.labels.manual.lists import first_texts, list_id, list_key

WHERE = ("model", "setting", "matrix", "layer", "head", "index", "side", "sign", "readout", "control")
"""Columns of the key of a sheet, besides number and id."""


class Source(NamedTuple):
    """The lists of one kind of matrix in a model (lists.read_lists), and the read-out through which people get them."""

    model: str
    setting: str
    matrix: str
    readout: str
    lists: pa.Table


class Sheet(NamedTuple):
    """ids and texts of the lists on a sheet, in its order; key: a row for each list that was drawn, with the columns
    number (from 1), id and WHERE. Two rows have one id where two directions have the same list."""

    ids: list[str]
    texts: list[list[str]]
    key: list[dict[str, Any]]


def draw_sheet(sources: Sequence[Source], choice: Choice, n: int, random_lists: int, tokens: int, seed: int) -> Sheet:
    """A sheet with `n` lists of each matrix among those of `choice`, or all where there are fewer, and `random_lists`
    of random unit directions through the same read-outs, of each source as many where there are enough.

    What is drawn of a matrix depends on the seed, its model, setting and place alone. Each list is on the sheet once,
    with its first `tokens` texts. Raises SvdlensError where there is nothing to draw.
    """
    rows: list[dict[str, Any]] = []
    random: list[list[dict[str, Any]]] = []
    for source in sources:
        chosen = choose(source.lists.filter(pc.field("readout") == source.readout), choice)
        singular = in_random_order(source, chosen.filter(pc.field("control").is_null()), tokens, seed)
        random.append(in_random_order(source, chosen.filter(pc.field("control").is_valid()), tokens, seed))
        of_matrix: dict[tuple[int, int | None], list[dict[str, Any]]] = {}
        for row in singular:
            of_matrix.setdefault((row["layer"], row["head"]), []).append(row)
        rows += [row for drawn in of_matrix.values() for row in drawn[:n]]
    if not rows:
        raise SvdlensError(
            "there is no list for people to label: all that labellers.manual chooses are null space, or of a side or "
            "sign that these matrices do not have. Change `matrices`, `sides` or `signs` there."
        )
    # Matrices of a model may have the same random directions, whose lists are on the sheet once.
    known = {row["id"] for row in rows}
    in_turn = [row for line in zip_longest(*random) for row in line if row is not None and row["id"] not in known]
    rows += list({row["id"]: row for row in reversed(in_turn)}.values())[::-1][:random_lists]
    texts = {row["id"]: row.pop("texts") for row in rows}
    ids = sorted(texts)
    generator_of(seed, "order").shuffle(ids)
    numbers = {id: number for number, id in enumerate(ids, start=1)}
    key = sorted(({"number": numbers[row["id"]], **row} for row in rows), key=lambda row: row["number"])
    return Sheet(ids, [texts[id] for id in ids], key)


def in_random_order(source: Source, table: pa.Table, tokens: int, seed: int) -> list[dict[str, Any]]:
    """The rows of a table of lists as rows of the key, without number, with the first `tokens` texts as `texts`.

    The order of the rows of one matrix does not depend on what other matrices there are.
    """
    texts = first_texts(table["tokens"], tokens)
    rows = [
        {"id": list_id(list_key(shown)), "model": source.model, "setting": source.setting, **row, "texts": shown}
        for row, shown in zip(table.drop_columns("tokens").to_pylist(), texts, strict=True)
    ]
    of_matrix: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        of_matrix.setdefault((source.model, source.setting, source.matrix, row["layer"], row["head"]), []).append(row)
    return [
        {name: of_one[place][name] for name in ("id", *WHERE, "texts")}
        for names, of_one in of_matrix.items()
        for place in generator_of(seed, *names).permutation(len(of_one))
    ]


def generator_of(seed: int, *names: object) -> np.random.Generator:
    """A generator of random numbers that depend on the seed and the names, and on nothing else."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])
