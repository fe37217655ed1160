"""Tables of a sweep as arrays in one order, for the explorer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.errors import SvdlensError

KEYS = ["layer", "head", "index", "side", "sign", "readout"]
NUMBERS = ["score", "p_value", "q_value", "p_direction", "q_direction", "mean_log_rank"]
EFFECTS = ["first_order", "rms_activation", "direct_effect"]
ABSENT = "absent"  # the status of a list that a labeller was not given


@dataclass(frozen=True)
class Frame:
    """Which lists a table has: all combinations of these, in the order of `order_of`. No layer and no head are -1."""

    matrix: str
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    readouts: tuple[str, ...]
    sides: tuple[str, ...]
    directions: int

    @property
    def rows_of_layer(self) -> int:
        return len(self.heads) * len(self.readouts) * len(self.sides) * self.directions * 2

    @property
    def rows(self) -> int:
        return len(self.layers) * self.rows_of_layer

    @property
    def cells(self) -> int:
        """Number of matrices, one for each layer and head."""
        return len(self.layers) * len(self.heads)


class Lists(NamedTuple):
    """ids [n, k] and scores [n, k] of the tokens of each list of a frame, best first; which lists are null space."""

    frame: Frame
    ids: Int[np.ndarray, "n k"]
    scores: Float[np.ndarray, "n k"]
    null_space: Bool[np.ndarray, " n"]


class Labels(NamedTuple):
    """What a labeller says of each list of a frame; names, kinds and statuses are coded by their numbers in lists.

    `name` 0 is no name, i is `names[i - 1]`. `judged` is labelled + 3 verified + 9 interpretable, each of which is 0
    for null, 1 for no and 2 for yes. `numbers` are the columns NUMBERS. `evidence` has bit i set where token i of the
    list is evidence, of which there are `n_evidence`, some perhaps beyond the k tokens that are kept.
    """

    names: list[str]
    kinds: list[str]
    statuses: list[str]
    name: Int[np.ndarray, " n"]
    kind: Int[np.ndarray, " n"]
    status: Int[np.ndarray, " n"]
    judged: Int[np.ndarray, " n"]
    numbers: dict[str, Float[np.ndarray, " n"]]
    n_concepts: Int[np.ndarray, " n"]
    evidence: Int[np.ndarray, " n"]
    n_evidence: Int[np.ndarray, " n"]


def read_columns(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns in the file itself, none that its directories name."""
    return pq.ParquetFile(path).read(columns=columns).combine_chunks()


def integers(column: pa.ChunkedArray | pa.Array) -> Int[np.ndarray, " n"]:
    """A column of integers or truth values; null is -1."""
    return np.asarray(pc.fill_null(column.cast(pa.int64()), -1), dtype=np.int64)


def codes(column: pa.ChunkedArray, names: Sequence[str] | None = None) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """The different texts of a column, in the order in which they come if not given, and the number of each row's."""
    column = column.cast(pa.string())
    if names is None:
        names = [name for name in pc.unique(column).to_pylist() if name is not None]
    return list(names), integers(pc.index_in(column, value_set=pa.array(names, pa.string())))


def frame_of(path: Path, table: pa.Table) -> Frame:
    matrices = pc.unique(table["matrix"].cast(pa.string())).to_pylist()
    frame = Frame(
        matrix=matrices[0] if matrices else "",
        layers=tuple(np.unique(integers(table["layer"])).tolist()),
        heads=tuple(np.unique(integers(table["head"])).tolist()),
        readouts=tuple(codes(table["readout"])[0]),
        sides=tuple(codes(table["side"])[0]),
        directions=int(integers(table["index"]).max(initial=-1)) + 1,
    )
    if frame.rows != len(table) or len(np.unique(order_of(frame, table))) != len(table):
        raise SvdlensError(
            f"{path}: {len(table)} rows, and every combination of its layers, heads, directions, sides, signs and "
            f"read-outs would be {frame.rows}, each once. Delete the file and run again."
        )
    return frame


def order_of(frame: Frame, table: pa.Table) -> Int[np.ndarray, " n"]:
    """The position of each row of a table in the frame; -1 for a row that the frame does not have."""
    layer, head, index = (integers(table[name]) for name in ("layer", "head", "index"))
    readout, side = codes(table["readout"], frame.readouts)[1], codes(table["side"], frame.sides)[1]
    coordinates = [
        (np.searchsorted(frame.layers, layer), len(frame.layers), np.isin(layer, frame.layers)),
        (np.searchsorted(frame.heads, head), len(frame.heads), np.isin(head, frame.heads)),
        (readout, len(frame.readouts), readout >= 0),
        (side, len(frame.sides), side >= 0),
        (index, frame.directions, (index >= 0) & (index < frame.directions)),
        ((integers(table["sign"]) < 0).astype(np.int64), 2, np.True_),
    ]
    order, known = np.zeros(len(table), dtype=np.int64), np.ones(len(table), dtype=bool)
    for coordinate, size, in_frame in coordinates:
        order, known = order * size + coordinate, known & in_frame
    return np.where(known, order, -1)


def read_lists(path: Path, tokens: int, directions: int | None = None) -> Lists:
    """The first `tokens` of each list of a table of tokens, of the first `directions` (None: of all)."""
    table = read_columns(path, ["matrix", *KEYS, "token_ids", "scores", "null_space"])
    if directions is not None:
        table = table.filter(pc.less(table["index"], directions)).combine_chunks()
    frame = frame_of(path, table)
    sort = np.argsort(order_of(frame, table))

    def sorted_lists(name: str) -> np.ndarray:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(table), -1)[:, :tokens][sort]

    null_space = integers(table["null_space"])[sort] > 0
    return Lists(frame, sorted_lists("token_ids"), sorted_lists("scores"), null_space)


def read_texts(path: Path, tokens: int, ids: Int[np.ndarray, "..."], texts: dict[int, str]) -> None:
    """Add to `texts` those of `ids` that it lacks, from the first `tokens` of each list of a table of tokens."""
    missing = np.setdiff1d(ids, np.fromiter(texts, dtype=np.int64, count=len(texts)))
    for batch in pq.ParquetFile(path).iter_batches(8192, columns=["token_ids", "tokens"]):
        if not len(missing):
            return
        flat = batch.column("token_ids").flatten().to_numpy()
        kept = (np.arange(len(flat)) % (len(flat) // len(batch))) < tokens
        ids_here, first = np.unique(np.where(kept, flat, -1), return_index=True)
        new = np.isin(ids_here, missing)
        words = batch.column("tokens").flatten().take(pa.array(first[new])).to_pylist()
        texts.update(zip(ids_here[new].tolist(), (word or "" for word in words), strict=True))
        missing = np.setdiff1d(missing, ids_here[new])


def evidence_of(
    evidence: pa.Array, rows: Int[np.ndarray, " m"], lists: Lists, texts: Mapping[int, str]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Which tokens of each list are evidence, as bits, and how many are; `evidence[i]` is that of list `rows[i]`."""
    n, k = lists.ids.shape
    words = list(dict.fromkeys(texts.values()))
    word_of_id = np.full(max(texts, default=0) + 1, -1, dtype=np.int64)
    number_of_word = {word: number for number, word in enumerate(words)}
    word_of_id[list(texts)] = [number_of_word[text] for text in texts.values()]
    lengths = integers(pc.fill_null(pc.list_value_length(evidence), 0))
    said = integers(pc.index_in(pc.list_flatten(evidence), value_set=pa.array(words, pa.string())))
    pairs = np.unique((np.repeat(rows, lengths) * (len(words) + 1) + said)[said >= 0])
    bits = np.zeros(n, dtype=np.int64)
    for rank in range(k):
        wanted = np.arange(n) * (len(words) + 1) + word_of_id[lists.ids[:, rank]]
        bits |= np.isin(wanted, pairs).astype(np.int64) << rank
    counts = np.zeros(n, dtype=np.int64)
    counts[rows] = lengths
    return bits, counts


def spread(values: np.ndarray, rows: Int[np.ndarray, " m"], n: int, otherwise: float) -> np.ndarray:
    """`values` at their `rows` of n, and `otherwise` in the others."""
    whole = np.full(n, otherwise, dtype=values.dtype)
    whole[rows] = values
    return whole


def read_labels(path: Path, lists: Lists, texts: Mapping[int, str], control: str | None = None) -> Labels:
    """The labels of the lists, from a table of labels that may have just some of them, or more.

    control: the rows of which control to read, of a table that has the column.
    """
    table = read_columns(path, None)
    if control is not None:
        table = table.filter(pc.equal(table["control"].cast(pa.string()), control)).combine_chunks()
    order = order_of(lists.frame, table)
    table = table.filter(pa.array(order >= 0)).combine_chunks()
    rows, n = order[order >= 0], lists.frame.rows
    names, name = codes(table["label"])
    by_text = np.argsort(np.array(names, dtype=object)) if names else np.zeros(0, dtype=np.int64)
    rank = np.empty(len(names), dtype=np.int64)
    rank[by_text] = np.arange(1, len(names) + 1)
    kinds, kind = codes(table["kind"])
    statuses, status = codes(table["status"])
    judged = sum(
        factor * (integers(table[column]) + 1)
        for column, factor in (("labelled", 1), ("verified", 3), ("interpretable", 9))
    )
    bits, counts = evidence_of(table["evidence"].combine_chunks(), rows, lists, texts)
    numbers = {
        column: np.asarray(table[column].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        for column in NUMBERS
    }
    return Labels(
        names=[names[number] for number in by_text],
        kinds=["none", *(one for one in kinds if one != "none")],
        statuses=[ABSENT, *statuses],
        name=spread(np.where(name < 0, 0, rank[name]) if names else np.zeros(len(rows), np.int64), rows, n, 0),
        kind=spread(moved_to_front(kinds, kind, "none"), rows, n, 0),
        status=spread(status + 1, rows, n, 0),
        judged=spread(np.asarray(judged), rows, n, 0),
        numbers={column: spread(values, rows, n, np.nan) for column, values in numbers.items()},
        n_concepts=spread(np.maximum(integers(table["n_concepts"]), 0), rows, n, 0),
        evidence=bits,
        n_evidence=counts,
    )


def read_effects(path: Path, frame: Frame, tokens: Path) -> dict[str, np.ndarray] | None:
    """Columns of a table of effects in the order of the frame, the number of a cell times directions, direct_effect for
    both signs of each; NaN where the table has no such direction. None where it is of other weights, or another
    setting, than the table `tokens`.
    """
    own, other = read_metadata(path), read_metadata(tokens)
    if any(own.get(name) != other.get(name) for name in ("revision", "weights_sha256", "setting")):
        return None
    table = read_columns(path, ["layer", "head", "index", "sign", *EFFECTS])
    layer, head, index, sign = (integers(table[name]) for name in ("layer", "head", "index", "sign"))
    known = np.isin(layer, frame.layers) & np.isin(head, frame.heads) & (index < frame.directions)
    cell = np.searchsorted(frame.layers, layer) * len(frame.heads) + np.searchsorted(frame.heads, head)
    row = ((cell * frame.directions + index) * 2 + (sign < 0))[known]
    n = frame.cells * frame.directions * 2
    columns = {name: table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in EFFECTS}
    whole = {name: spread(values[known], row, n, np.nan) for name, values in columns.items()}
    # What both signs share is kept once.
    return {name: values if name == "direct_effect" else values[::2] for name, values in whole.items()}


def moved_to_front(names: Sequence[str], numbers: Int[np.ndarray, " n"], first: str) -> Int[np.ndarray, " n"]:
    """Numbers of `names` as they are once `first` stands at the front; null becomes `first`."""
    order = [first, *(name for name in names if name != first)]
    return np.array([*(order.index(name) for name in names), 0], dtype=np.int64)[numbers]


def interpretable(labels: Labels) -> Bool[np.ndarray, " n"]:
    return labels.judged // 9 == 2


def read_spectra(path: Path, frame: Frame) -> dict[str, np.ndarray]:
    """Columns of a table of spectra as [matrices, values], the matrices as the frame has them; null is NaN or -1."""
    columns = [
        "value",
        "energy",
        "gap",
        "cluster",
        "cluster_spread",
        "sign_margin",
        "stability_noise",
        "stability_float32",
    ]
    table = read_columns(path, ["layer", "head", "index", *columns])
    layer, head, index = (integers(table[name]) for name in ("layer", "head", "index"))
    known = np.isin(layer, frame.layers) & np.isin(head, frame.heads)
    cell = np.searchsorted(frame.layers, layer) * len(frame.heads) + np.searchsorted(frame.heads, head)
    rank = int(index.max(initial=-1)) + 1
    positions = (cell * rank + index)[known]
    if len(np.unique(positions)) != frame.cells * rank:
        raise SvdlensError(
            f"{path}: {len(np.unique(positions))} singular values for {frame.cells} matrices of {rank}. The tables of "
            "tokens and of spectra are not of one run; delete both and run again."
        )
    arrays = {}
    for name in columns:
        values: Any = table[name]
        values = integers(values) if name == "cluster" else values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        whole = np.empty(frame.cells * rank, dtype=values.dtype)
        whole[positions] = values[known]
        arrays[name] = whole.reshape(frame.cells, rank)
    return arrays
