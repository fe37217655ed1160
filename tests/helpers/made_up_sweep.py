"""A sweep that nobody computed: tables of the right form, of any size, with random numbers and hostile tokens."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from svdlens.artefacts.activation_schemas import EXAMPLES
from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import (
    AGREEMENT,
    CONTROL_LABELS,
    CONTROLS,
    EFFECTS,
    FRACTIONS,
    LABELS,
    SPECTRA,
    TOKENS,
    read_metadata,
    write_table,
)
from svdlens.evaluation.agreement import compare
from svdlens.evaluation.fractions import fractions_of_readouts
from svdlens.explorer.build import Source
from svdlens.spec.matrix_kinds import MATRIX_KINDS

SIDES = {name: tuple(kind.sides) for name, kind in MATRIX_KINDS.items()}
HOSTILE = [
    " fire", "fire", "Fire", " fires", " fired", "</script><img src=x onerror=\"document.title='pwned'\">", "=1+1",
    "+1", "-1", "@SUM(A1)", "\t", "\n", "\r\n", "\x00", "\x07", "\\xe2", "\\xff", " مرحبا", " שלום", "🔥", "火山",
    "", " ", "   ", '"', "'", "a,b", "&amp;", "<b>bold</b>", "\u2028", "\u202egnp", "e\u0301", "\u0301", "\ufeff",
    "x" * 120, "javascript:alert(1)", "${7*7}", "`", "\\", "%00", "null", "__proto__", "constructor", "＝1",
    "\u00ad", "न", " ไทย",
]  # fmt: skip
SYLLABLES = ["ba", "cor", "de", "fin", "gra", "hol", "in", "jo", "kel", "lum", "mi", "nor", "os", "pre", "qui", "ran"]
NAMES = ["about fire", "words ending in -ing", "clothing", "=danger", "numbers", "names of <b>people</b>", "animal"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; no heads: only MLPs. `tables` are the settings by which of the different tables each has."""

    layers: int = 2
    heads: int = 3
    directions: int = 4
    vocabulary: int = 400
    matrices: tuple[str, ...] = ("ov", "mlp_in", "mlp_out")
    readouts: tuple[str, ...] = ("W_U",)
    tokens: int = 50
    rank: int = 6
    tables: tuple[tuple[str, int], ...] = (("raw", 0), ("unembed", 0), ("fold", 1))
    overlap: float = 0.6  # of a list in one table with that in another


def token_texts(n: int) -> list[str]:
    """The hostile ones first, then words that nobody uses."""
    words = []
    for number in range(n):
        syllables, rest = "", number
        while rest or not syllables:
            rest, digit = divmod(rest, len(SYLLABLES))
            syllables += SYLLABLES[digit]
        words.append(("" if number % 3 == 0 else " ") + syllables)
    return [*HOSTILE[:n], *words[len(HOSTILE) :]]


def distinct_ids(n: int, k: int, vocabulary: int, generator: np.random.Generator) -> np.ndarray:
    """Ids [n, k], different within a row, some far more frequent than others."""
    weights = np.exp(1.5 * np.random.default_rng(1).standard_normal(vocabulary))
    edges = np.cumsum(weights / weights.sum())
    ids = np.empty((n, k), dtype=np.int32)
    for start in range(0, n, 4096):
        rows = slice(start, min(start + 4096, n))
        uniform = (np.arange(k) + generator.random((rows.stop - start, k))) / k
        positions = np.minimum(np.searchsorted(edges, uniform), vocabulary - 1)
        # One in each of k parts of the vocabulary; neighbours that fell on one token move on, and back at the end.
        positions = np.maximum.accumulate(positions - np.arange(k), axis=1) + np.arange(k)
        positions = np.minimum(positions, vocabulary - k + np.arange(k))
        ids[rows] = generator.permuted(positions, axis=1)
    return ids


def list_column(values: np.ndarray, type: pa.DataType) -> pa.Array:
    offsets = pa.array(np.arange(0, values.size + 1, values.shape[1]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1), type))


def keys_of(
    shape: Shape, matrix: str, sides: Sequence[str], layers_and_heads: Sequence[tuple], directions: int
) -> dict:
    """Key columns in the order of project_directions: read-out, side, matrix, direction, sign."""
    n = len(shape.readouts) * len(sides) * len(layers_and_heads) * directions * 2
    grid = np.indices((len(shape.readouts), len(sides), len(layers_and_heads), directions, 2)).reshape(5, -1)
    layer = np.array([-1 if layer is None else layer for layer, _ in layers_and_heads])[grid[2]]
    head = np.array([-1 if head is None else head for _, head in layers_and_heads])[grid[2]]
    return {
        "matrix": pa.array([matrix] * n).dictionary_encode().cast(TOKENS.field("matrix").type),
        "layer": pa.array(layer, pa.int32(), mask=layer < 0),
        "head": pa.array(head, pa.int32(), mask=head < 0),
        "index": pa.array(grid[3], pa.int32()),
        "side": pa.DictionaryArray.from_arrays(pa.array(grid[1], pa.int16()), pa.array(sides)),
        "sign": pa.array(1 - 2 * grid[4], pa.int32()),
        "readout": pa.DictionaryArray.from_arrays(pa.array(grid[0], pa.int16()), pa.array(shape.readouts)),
    }


def token_columns(keys: dict, ids: np.ndarray, texts: pa.Array, shift: float, generator) -> dict:
    n, k = ids.shape
    scores = np.sort(generator.gamma(12, 0.01, (n, k)).astype(np.float32), axis=1)[:, ::-1] + np.float32(shift)
    offsets = pa.array(np.arange(0, n * k + 1, k), pa.int32())
    tokens = pa.ListArray.from_arrays(offsets, texts.take(pa.array(ids.reshape(-1))))
    lists = {"token_ids": list_column(ids, pa.int32()), "tokens": tokens, "scores": list_column(scores, pa.float32())}
    return {**keys, **lists, "mean_score": pa.array(np.full(n, shift)), "null_space": [False] * n}


def label_columns(keys: dict, ids: np.ndarray, texts: pa.Array, labeller: str, generator) -> dict:
    n = len(ids)
    labelled = generator.random(n) < 0.45
    kinds = ["none", "semantic", "grammatical", "orthographic", "frequency", "glitch"]
    kind = np.where(labelled, generator.choice(len(kinds) - 1, n, p=[0.6, 0.2, 0.14, 0.05, 0.01]) + 1, 0)
    first = np.asarray(texts.take(pa.array(ids[:, 0])).to_pylist(), dtype=object)
    second = np.asarray(texts.take(pa.array(ids[:, 1])).to_pylist(), dtype=object)
    named = [NAMES[number % len(NAMES)] if number % 3 else None for number in generator.integers(0, 99, n)]
    pairs = [f"{a.strip()} / {b.strip()}" for a, b in zip(first, second, strict=True)]
    label = [(name or pair) if yes else None for name, pair, yes in zip(named, pairs, labelled, strict=True)]
    p = np.where(labelled, 1 + generator.integers(0, 20, n), 1 + generator.integers(20, 1001, n)) / 1001
    p_direction = (1 + generator.integers(0, 1001, n)) / 1001
    lengths = np.where(labelled, 5, 0)
    chosen = np.where(labelled[:, None], ids[:, [0, 2, 3, 7, 25 % ids.shape[1]]], -1).reshape(-1)
    evidence = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), texts.take(pa.array(chosen[chosen >= 0]))
    )
    return {
        **keys,
        "labeller": [labeller] * n,
        "label": label,
        "kind": [kinds[number] for number in kind],
        "labelled": labelled,
        "verified": [None] * n,
        "interpretable": labelled & (kind < 4),
        "score": generator.normal(3, 6, n),
        "p_value": p,
        "q_value": np.minimum(1, 2 * p),
        "p_direction": p_direction,
        "q_direction": np.minimum(1, 1.5 * p_direction),
        "evidence": evidence,
        "n_concepts": labelled.astype(int),
        "mean_log_rank": generator.normal(7, 1, n),
        "status": ["ok"] * n,
    }


def spectra_columns(shape: Shape, matrix: str, layers_and_heads: Sequence[tuple], generator) -> dict:
    n, stored = len(layers_and_heads), np.tile(np.arange(shape.rank) < shape.directions, len(layers_and_heads))
    values = np.sort(np.exp(generator.normal(0, 1, (n, shape.rank))), axis=1)[:, ::-1]
    gaps = np.concatenate([values[:, :-1] - values[:, 1:], values[:, -1:]], axis=1) / values
    clusters = np.concatenate([np.zeros((n, 1), int), np.cumsum(gaps[:, :-1] >= 0.03, axis=1)], axis=1)
    layer = np.repeat([layer for layer, _ in layers_and_heads], shape.rank)
    head = np.repeat([-1 if head is None else head for _, head in layers_and_heads], shape.rank)

    def kept(numbers: np.ndarray) -> np.ndarray:
        return np.where(stored, numbers, np.nan)

    return {
        "matrix": [matrix] * (n * shape.rank),
        "layer": layer,
        "head": pa.array(head, pa.int32(), mask=head < 0),
        "index": np.tile(np.arange(shape.rank), n),
        "value": values.reshape(-1),
        "energy": (np.cumsum(values**2, axis=1) / (values**2).sum(axis=1, keepdims=True)).reshape(-1),
        "gap": gaps.reshape(-1),
        "cluster": clusters.reshape(-1),
        "cluster_spread": generator.random(n * shape.rank) * 0.02,
        "sign_margin": kept(generator.random(n * shape.rank)),
        "stability_noise": kept(generator.beta(8, 1, n * shape.rank)),
        "stability_float32": kept(np.ones(n * shape.rank)),
    }


def write_examples(path: Path, shape: Shape, windows: int = 3) -> None:
    """A table of examples of all kinds of matrices of a model, whose texts say what they are of; some have fewer."""
    rows: list[dict] = []
    for matrix in shape.matrices:
        for layer, head, side, index, sign in itertools.product(
            range(shape.layers), range(shape.heads) if matrix in ("ov", "qk") else [None], SIDES[matrix],
            range(shape.directions), (1, -1),
        ):  # fmt: skip
            n = windows - (index == 1)
            keys = {"matrix": matrix, "layer": layer, "head": head, "index": index, "side": side, "sign": sign}
            name = f"{matrix} {layer} {-1 if head is None else head} {side} {index} {sign}"
            # No position twice, so that each window is of one row.
            first = windows * len(rows)
            lists = {
                "positions": [first + (7 * i) % windows for i in range(n)],
                "projections": [float(n - i) for i in range(n)],
                "before": [name] * n,
                "tokens": [f"{i}" for i in range(n)],
                "after": [f"{HOSTILE[index]}"] * n,
            }
            rows.append(
                keys | lists | {"readout": "W_U", "auc_at": 0.25, "p_at": 0.5, "auc_next": None, "p_next": None}
            )
    write_table(path, {name: [row[name] for row in rows] for name in EXAMPLES.names}, EXAMPLES, {})


def write_effects(source: Source, metric: object = "loss", weights: str = "", directions: int | None = None) -> Source:
    """The source with a table of effects, of so many `directions` of each matrix, rows in an order of no meaning."""
    table = pq.ParquetFile(source.tokens).read().to_pandas()
    keys = table[["matrix", "layer", "head", "index", "sign"]].drop_duplicates().sample(frac=1.0, random_state=0)
    keys = keys[keys["index"] < (directions or len(keys))]
    number = keys["layer"] * 1000 + keys["head"].fillna(0) * 100 + keys["index"]
    null = keys["index"] == 1
    path = source.tokens.parents[3] / "effects" / source.tokens.relative_to(source.tokens.parents[2])
    columns: dict = {name: pa.array(keys[name], pa.int32(), from_pandas=True) for name in keys if name != "matrix"}
    columns |= {
        "matrix": keys["matrix"].astype(str).tolist(),
        "first_order": np.where(null, np.nan, number / 7),
        "direct_effect": np.where(null, np.nan, -number * keys["sign"]),
        "mean_activation": number * keys["sign"],
        "rms_activation": number + 0.5,
    }
    facts = read_metadata(source.tokens) | {"metric": metric, "tokens": 1024}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, columns, EFFECTS, facts | ({"weights_sha256": weights} if weights else {}))
    return replace(source, effects=path)


ANYONES_LABELS = [
    "about fire", "</script><img src=x onerror=\"document.title='pwned'\">", "مرحبا بالعالم", "two\nlines", "=1+1",
    "\u202egnp", "long " * 2000,
]  # fmt: skip


def label_again(
    sources: Sequence[Source], labeller: str, *, sign: int | None = None, every: int = 1, directions: int | None = None
) -> None:
    """Add to each source with labels by `coherence` those of another labeller, who knows no scores, takes some of the
    lists and of the controls alone, leaves a fifth of these without an answer, and agrees about half of the others.
    The fractions, which take long to count, are those of `coherence` under another name.
    """
    generator = np.random.default_rng(len(labeller))
    tables = sources[0].tokens.parents[3] / "tables"
    fractions = pq.ParquetFile(tables / "fractions.parquet").read().to_pandas()
    copies = []
    for source in sources:
        if "coherence" not in source.labels:
            continue
        for labels, schema in ((source.labels, LABELS), (source.random_labels, CONTROL_LABELS)):
            assert isinstance(labels, dict)
            path = labels["coherence"]
            facts, frame = read_metadata(path), pq.ParquetFile(path).read().to_pandas()
            taken = frame["sign"].eq(sign) if sign else frame["sign"].notna()
            if directions and schema is LABELS:
                taken &= frame["index"] < directions
            frame = frame[taken].iloc[::every].reset_index(drop=True)
            n = len(frame)
            said = np.where(generator.random(n) < 0.5, frame["interpretable"], generator.random(n) < 0.4).astype(bool)
            labelled = said | (generator.random(n) < 0.3)
            status = generator.choice(["ok", "failed", "unparsed"], n, p=[0.8, 0.1, 0.1])
            ok, nothing = status == "ok", np.full(n, None)
            changed = {
                "labeller": labeller,
                "label": np.where(ok & labelled, generator.choice(ANYONES_LABELS, n), nothing),
                "kind": np.where(ok & said, "semantic", "none"),
                "labelled": np.where(ok, labelled, nothing),
                "verified": np.where(ok & labelled, said, nothing),
                "interpretable": np.where(ok, said, nothing),
                **dict.fromkeys(("score", "p_value", "q_value", "p_direction", "q_direction"), nothing),
                "evidence": [[]] * n,
                "n_concepts": nothing,
                "status": status,
            }
            labels[labeller] = path.with_name(path.name.replace(".coherence.", f".{labeller}."))
            frame = frame.assign(**changed)
            write_table(labels[labeller], {name: frame[name].tolist() for name in schema.names}, schema, facts)
        place = {
            "model": source.model,
            "setting": source.setting,
            "matrix": source.tokens.stem,
            "labeller": "coherence",
        }
        of_place = np.logical_and.reduce([fractions[name] == value for name, value in place.items()])
        copies.append(fractions[of_place].assign(labeller=labeller, criterion="B"))
    table = pd.concat([fractions, *copies], ignore_index=True)
    columns = {name: table[name].tolist() for name in FRACTIONS.names}
    write_table(tables / "fractions.parquet", columns, FRACTIONS, {"sources": {}})


def write_agreement(sources: Sequence[Source]) -> Path:
    """The table of agreement of all labellers of these sources."""
    records: list[dict] = []
    for source in sources:
        labels = {}
        for name in source.labels:
            files = (source.labels[name], source.random_labels[name])
            singular, control = (pq.ParquetFile(path).read().to_pandas() for path in files)
            labels[name] = pd.concat([singular.assign(control=None), control], ignore_index=True)
        constants = {"model": source.model, "setting": source.setting, "matrix": source.tokens.stem}
        for place, first in enumerate(labels):
            later = {name: labels[name] for name in list(labels)[place + 1 :]}
            records += [constants | {"first": first} | record for record in compare(labels[first], later)]
    path, schema = sources[0].tokens.parents[3] / "tables/agreement.parquet", sweep_schema(AGREEMENT)
    write_table(path, {name: [record[name] for record in records] for name in schema.names}, schema, {})
    return path


def write_sweep(
    results: Path,
    models: Mapping[str, Shape],
    labellers: Sequence[str] = ("coherence",),
    controls: int = 100,
    labels_of: Sequence[str] = ("ov", "qk", "mlp_in", "mlp_gate", "mlp_out"),
    basis: str = "svd",
) -> list[Source]:
    """Write the tables of a sweep under `results`; what build_explorer makes a page of."""
    sources, fractions = [], []
    for model, shape in models.items():
        texts = pa.array(token_texts(shape.vocabulary))
        for matrix in shape.matrices:
            heads: Sequence[int | None] = range(shape.heads) if matrix in ("ov", "qk") else [None]
            layers: Sequence[int | None] = range(shape.layers) if MATRIX_KINDS[matrix].in_layers else [None]
            layers_and_heads = [(layer, head) for layer in layers for head in heads]
            keys = keys_of(shape, matrix, SIDES[matrix], layers_and_heads, shape.directions)
            control_keys = keys_of(shape, matrix, ("all",), [(None, None)], controls)
            base = distinct_ids(len(keys["sign"]), shape.tokens, shape.vocabulary, np.random.default_rng(7))
            for setting, table in shape.tables:
                generator = np.random.default_rng([table, len(matrix)])
                other = distinct_ids(len(base), shape.tokens, shape.vocabulary, generator)
                whole = generator.random((len(base), 1)) < shape.overlap
                ids = base if table == 0 else np.where(whole, base, other)
                control_ids = distinct_ids(len(control_keys["sign"]), shape.tokens, shape.vocabulary, generator)
                facts = {
                    "model": model,
                    "revision": None,
                    "basis": basis,
                    "setting": [] if setting == "raw" else [setting],
                }
                shift = -0.3 if setting == "unembed" else 0.0

                def at(name: str, model=model, setting=setting, matrix=matrix, end="") -> Path:
                    return results / f"{name}/model={model}/setting={setting}/{matrix}{end}.parquet"

                source = Source(model, setting, at("tokens"), at("spectra"), at("controls", end=".random_unit"), {}, {})
                write_table(source.tokens, token_columns(keys, ids, texts, shift, generator), TOKENS, facts)
                write_table(source.spectra, spectra_columns(shape, matrix, layers_and_heads, generator), SPECTRA, facts)
                control = token_columns(control_keys, control_ids, texts, shift, generator)
                control |= {"control": ["random_unit"] * len(control_ids)}
                write_table(source.random, control, CONTROLS, facts)
                for labeller in labellers if matrix in labels_of else []:
                    facts |= {"labeller_network": False, "token_frequency": "counts"}
                    said = label_columns(keys, ids, texts, labeller, generator)
                    control_labels = label_columns(control_keys, control_ids, texts, labeller, generator)
                    control_labels["control"] = ["random_unit"] * len(control_ids)
                    paths = at("labels", end=f".{labeller}"), at("controls", end=f".random_unit.{labeller}")
                    write_table(paths[0], said, LABELS, facts)
                    write_table(paths[1], control_labels, CONTROL_LABELS, facts)
                    source.labels[labeller], source.random_labels[labeller] = paths
                    counted = ["layer", "head", "index", "side", "sign", "readout", "kind", "labelled", "interpretable"]
                    counted += ["score", "p_value", "q_direction", "status"]
                    frames = [
                        pd.DataFrame({name: np.asarray(one[name]) for name in counted})
                        for one in (said, control_labels)
                    ]
                    constants = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller}
                    table_of_labeller = fractions_of_readouts(*frames, "q_value < 0.05").assign(**constants)
                    fractions.append(table_of_labeller)
                sources.append(source)
    table = pd.concat(fractions, ignore_index=True) if fractions else pd.DataFrame(columns=FRACTIONS.names)
    columns = {name: table[name] for name in FRACTIONS.names}
    write_table(results / "tables/fractions.parquet", columns, FRACTIONS, {"sources": {}})
    return sources
