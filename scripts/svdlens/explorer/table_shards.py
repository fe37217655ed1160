"""Shards of one table of a sweep: its lists, scores, labels and spectra, and what the grid shows (build.py)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from svdlens.explorer.read_tables import Frame, Labels, Lists, codes, integers
from svdlens.explorer.search_index import Vocabulary, parts_of, postings_of, reading_order
from svdlens.explorer.shard_format import Column, number_codes, write_shard
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.spec.determined import DETERMINED

DIGITS = 3  # of scores and of most other numbers
KAPPA_DIGITS = 6  # of ends of intervals that the page rounds to two
VALUE_DIGITS = 4  # of singular values, neighbours of which are often close
ROWS = 4096  # lists in a shard, more where a layer has more
LARGEST_NEW = 0.8  # share of tokens that may be new in lists told from others
BEYOND = 0.05  # p_direction below which a list is better than those of random directions
NULLS = {"list_null": ("p_value", "q_value"), "direction_null": ("p_direction", "q_direction")}
FRACTION_KEYS = ["labeller", "criterion", "readout", "side", "kind"]
FRACTION_NUMBERS = ["low", "high", "control_fraction", "excess", "excess_low", "excess_high"]
AGREEMENT_KEYS = ["readout", "first", "second"]
AGREEMENT_COUNTS = [f"control_{name}" for name in ("both", "only_first", "only_second", "neither")]
AGREEMENT_NUMBERS = [*AGREEMENT_COUNTS, "kappa_low", "kappa_high"]


def layers_per_shard(frame: Frame) -> int:
    return max(1, -(-ROWS // frame.rows_of_layer))


def slices_of(frame: Frame) -> list[slice]:
    """The rows of each shard."""
    step = layers_per_shard(frame) * frame.rows_of_layer
    return [slice(start, min(start + step, frame.rows)) for start in range(0, frame.rows, step)]


def write_index(
    target: Path, directory: str, vocabulary: Vocabulary, numbers: Sequence[Sequence[np.ndarray]]
) -> dict[str, Any]:
    """The vocabulary, and where each token occurs in the tables `numbers[frame][table]` [rows, k]; -1 is none."""
    postings = postings_of(numbers, len(vocabulary.ids))
    sizes = np.diff(postings.starts)
    part_of, names = np.zeros(len(vocabulary.ids), dtype=np.int64), []
    for part, tokens in enumerate(parts_of(reading_order(vocabulary.texts), sizes)):
        part_of[tokens] = part
        runs = [slice(postings.starts[token], postings.starts[token + 1]) for token in tokens]
        # The first row of a token as it is, the others as steps from the one before.
        steps = np.concatenate([np.diff(postings.rows[run], prepend=0) for run in runs])
        columns = [
            Column("tokens", np.array(tokens)),
            Column("sizes", sizes[tokens]),
            Column("steps", steps),
            Column("tables", np.concatenate([postings.tables[run] for run in runs])),
        ]
        names.append(write_shard(target, f"{directory}/index_{part:04d}", columns))
    columns = [
        Column("texts", vocabulary.texts),
        Column("ids", vocabulary.ids),
        Column("rows", sizes),
        Column("parts", part_of),
    ]
    return {"vocabulary": write_shard(target, f"{directory}/vocabulary", columns), "index": names}


def write_lists(target: Path, stem: str, frame: Frame, tables: Sequence[np.ndarray]) -> dict[str, Any]:
    """The token numbers of the last of `tables`, told from those of the one before it that is most like it."""
    numbers, k = tables[-1], tables[-1].shape[1]
    moved = [moves(earlier, numbers) for earlier in tables[:-1]]
    new = [(one == k).mean() for one in moved]
    base = int(np.argmin(new)) if new and min(new) < LARGEST_NEW else None
    names = []
    for rows in slices_of(frame):
        columns = [Column("tokens", numbers[rows])]
        if base is not None:
            columns = [Column("moved", moved[base][rows]), Column("tokens", numbers[rows][moved[base][rows] == k])]
        names.append(write_shard(target, f"{stem}_lists", columns))
    return {"lists": names, "base": base, "tokens": k}


def moves(earlier: Int[np.ndarray, "n k"], numbers: Int[np.ndarray, "n k"]) -> Int[np.ndarray, "n k"]:
    """By how many ranks, modulo k, each token stands further down in the earlier list; k if it is not there."""
    k = numbers.shape[1]
    moved = np.full(numbers.shape, k, dtype=np.int8)
    own = np.arange(k)
    for rank in range(k):
        row, column = np.nonzero(numbers == earlier[:, rank : rank + 1])
        moved[row, column] = (rank - own[column]) % k
    return moved


def write_scores(target: Path, stem: str, lists: Lists) -> list[str]:
    scores = number_codes(lists.scores, DIGITS)
    names = []
    for rows in slices_of(lists.frame):
        # Scores fall from token to token: the steps between their codes are small, the more so further down.
        columns = [Column("first", scores[rows, 0]), Column("steps", -np.diff(scores[rows], axis=1).T)]
        names.append(write_shard(target, f"{stem}_scores", columns, {"digits": DIGITS}))
    return names


def write_labels(target: Path, stem: str, frame: Frame, labels: Labels) -> dict[str, Any]:
    whole = [Column(name, getattr(labels, name)) for name in ("names", "name", "kind", "status", "judged")]
    facts = {"kinds": labels.kinds, "statuses": labels.statuses}
    # A q-value hangs on the p-value alone, and p-values are so many thousandths: pairs, and the number of each list's.
    pair_of_list = {}
    for null, names in NULLS.items():
        # No p-value is -1 here: of NaN each would be a pair of its own.
        both = np.nan_to_num(np.stack([labels.numbers[name] for name in names]), nan=-1.0)
        pairs, pair_of_list[null] = np.unique(both, axis=1, return_inverse=True)
        pairs = np.where(pairs < 0, np.nan, pairs)
        whole += [Column(name, values, DIGITS) for name, values in zip(names, pairs, strict=True)]
    numbers = []
    for rows in slices_of(frame):
        columns = [Column(name, labels.numbers[name][rows], DIGITS) for name in ("score", "mean_log_rank")]
        columns += [Column(null, pair_of_list[null].reshape(-1)[rows]) for null in NULLS]
        columns += [Column(name, getattr(labels, name)[rows]) for name in ("n_concepts", "evidence", "n_evidence")]
        numbers.append(write_shard(target, stem, columns))
    return {"names": write_shard(target, f"{stem}_names", whole, facts), "numbers": numbers}


def write_spectra(target: Path, stem: str, frame: Frame, spectra: Mapping[str, np.ndarray]) -> str:
    kept = {name: values[:, : frame.directions] for name, values in spectra.items()}
    columns = [Column("value", spectra["value"], VALUE_DIGITS), Column("cluster", spectra["cluster"])]
    columns += [
        Column(name, kept[name], DIGITS)
        for name in ("energy", "gap", "cluster_spread", "sign_margin", "stability_noise", "stability_float32")
    ]
    return write_shard(target, f"{stem}_spectra", columns, {"rank": spectra["value"].shape[1]})


def write_effects(target: Path, stem: str, effects: Mapping[str, np.ndarray]) -> str:
    return write_shard(target, f"{stem}_effects", [Column(name, values, DIGITS) for name, values in effects.items()])


def write_summary(
    target: Path,
    stem: str,
    frame: Frame,
    labels: Mapping[str, Labels],
    spectra: Mapping[str, np.ndarray],
    fractions: pa.Table,
    agreement: pa.Table | None = None,
) -> str:
    """What the grid shows: fractions as the table has them; counts of labels and facts of spectra, matrix by matrix;
    and of the agreement of each two labellers what their labels of these lists do not tell."""
    facts: dict[str, object] = {"labellers": list(labels)}
    columns = []
    for name in FRACTION_KEYS:
        facts[name], numbers = codes(fractions[name])
        columns.append(Column(name, numbers))
    columns += [Column(name, integers(fractions[name])) for name in ("layer", "head", "n", "k")]
    columns += [Column(name, fractions[name].to_numpy(zero_copy_only=False), DIGITS) for name in FRACTION_NUMBERS]

    def in_cells(values: np.ndarray) -> np.ndarray:
        """Sums for each matrix, read-out and side."""
        shape = (frame.cells, len(frame.readouts), len(frame.sides), 2 * frame.directions)
        return values.reshape(shape).sum(axis=-1).reshape(-1)

    counts: dict[str, list[np.ndarray]] = {name: [] for name in ("ok", "common", "calibrated", "beyond", "log_rank")}
    for said in labels.values():
        ok = np.array([status == "ok" for status in said.statuses])[said.status]
        common = np.isin(np.array(said.kinds), NOT_INTERPRETABLE)[said.kind]
        p, rank = said.numbers["p_direction"], said.numbers["mean_log_rank"]
        counts["ok"].append(in_cells(ok))
        counts["common"].append(in_cells(ok & common))
        counts["calibrated"].append(in_cells(ok & ~np.isnan(p)))
        counts["beyond"].append(in_cells(ok & (p < BEYOND)))
        known = in_cells(~np.isnan(rank))
        counts["log_rank"].append(np.where(known > 0, in_cells(np.nan_to_num(rank)) / np.maximum(known, 1), np.nan))
    for name, values in counts.items():
        flat = np.concatenate(values) if values else np.zeros(0, dtype=np.int64)
        columns.append(Column(f"labels.{name}", flat, DIGITS if name == "log_rank" else None))

    stored = slice(0, frame.directions)
    noise = spectra["stability_noise"][:, stored]
    known = ~np.isnan(noise)  # neither null space nor, in a sweep without stability, everything
    some = known.any(axis=1)
    median, undetermined = np.full((2, len(noise)), np.nan)
    median[some] = np.nanmedian(noise[some], axis=1)
    undetermined[some] = (noise[some] < DETERMINED).sum(axis=1) / known[some].sum(axis=1)
    columns += [
        Column("spectra.top", spectra["value"][:, 0], VALUE_DIGITS),
        Column("spectra.energy", spectra["energy"][:, frame.directions - 1], DIGITS),
        Column("spectra.stability", median, DIGITS),
        Column("spectra.undetermined", undetermined, DIGITS),
    ]
    if agreement is not None and len(agreement):
        names = {"readout": frame.readouts, "first": list(labels), "second": list(labels)}
        columns += [Column(f"agreement.{key}", codes(agreement[key], names[key])[1]) for key in AGREEMENT_KEYS]
        columns += [Column(f"agreement.{name}", integers(agreement[name])) for name in AGREEMENT_COUNTS]
        columns += [
            Column(f"agreement.{name}", agreement[name].to_numpy(zero_copy_only=False), KAPPA_DIGITS)
            for name in ("kappa_low", "kappa_high")
        ]
    return write_shard(target, f"{stem}_summary", columns, facts)
