"""The explorer: a page over the tables of a sweep that opens from disk. Here the tables become its data.

Each kind of matrix of a model and setting is a table of lists in the order of a frame (table_shards.py). What of it
a click needs is in shards of whole layers, what a search needs in shards of its own:

    {model}/vocabulary      texts, ids and numbers of rows of all tokens that occur; other shards have places in it
    {model}/index           where tokens occur: number of a row, and in which of the different tables of its frame
    {model}/{matrix}_lists, _scores, _{labeller}    tokens, scores, and numbers of the labels, some layers in each
    {model}/{matrix}_{labeller}_names               names, kinds and judgements, of the whole table
    {model}/{matrix}_spectra, _summary              singular values; what the grid shows
    {model}/{matrix}_examples                       windows of a text, where there are examples, some layers in each
    {model}/{matrix}_effects                        what directions do, where it was measured
    catalogue.js            which shard is where

Settings that share lists, scores or labels share their shards, because the name of a shard has a hash of what it holds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svdlens.artefacts.atomic_files import copy_file, write_text
from svdlens.artefacts.table_schemas import read_metadata
from svdlens.explorer.example_shards import write_examples
from svdlens.explorer.read_tables import (
    Frame,
    Lists,
    read_columns,
    read_effects,
    read_labels,
    read_lists,
    read_spectra,
    read_texts,
)
from svdlens.explorer.search_index import Vocabulary, vocabulary_of
from svdlens.explorer.shard_format import script_json
from svdlens.explorer.table_shards import (
    AGREEMENT_KEYS,
    AGREEMENT_NUMBERS,
    BEYOND,
    FRACTION_KEYS,
    FRACTION_NUMBERS,
    layers_per_shard,
    write_effects,
    write_index,
    write_labels,
    write_lists,
    write_scores,
    write_spectra,
    write_summary,
)
from svdlens.labels.labeller import NOT_INTERPRETABLE
from svdlens.labels.registry import LABELLERS
from svdlens.spec.controls import RANDOM_UNIT
from svdlens.spec.determined import DETERMINED
from svdlens.spec.matrix_kinds import MATRIX_KINDS

TOKENS = 20  # of each list
RANDOM_DIRECTIONS = 32  # of the control, to look at


@dataclass(frozen=True)
class Source:
    """The tables of one kind of matrix of a model in a setting; labels and control labels by labeller, and effects, if
    there are. examples: of all kinds of matrices, if there are."""

    model: str
    setting: str
    tokens: Path
    spectra: Path
    random: Path | None = None
    labels: Mapping[str, Path] = field(default_factory=dict)
    random_labels: Mapping[str, Path] = field(default_factory=dict)
    examples: Path | None = None
    effects: Path | None = None


def build_explorer(
    sources: Sequence[Source],
    fractions: Path,
    static: Sequence[Path],
    target: Path,
    agreement: Path | None = None,
) -> None:
    """Write the explorer into the directory `target`: index.html, static/ and data/.

    `fractions` and, where some lists have several labellers, `agreement` are tables of the sweep, `static` are the
    files of the page. Same tables, same bytes.
    """
    keys = ["model", "setting", "matrix", "unit", "group", "layer", "head"]
    table = read_columns(fractions, [*keys, *FRACTION_KEYS, *FRACTION_NUMBERS, "n", "k"])
    wanted = pc.and_(pc.equal(table["unit"], "row"), pc.not_equal(table["group"], "index"))
    table = table.filter(wanted).combine_chunks()
    pairs = None
    if agreement is not None:
        pairs = read_columns(agreement, ["model", "setting", "matrix", *AGREEMENT_KEYS, *AGREEMENT_NUMBERS])
        pairs = pairs.filter(pc.is_valid(pairs["second"])).combine_chunks()
    models = list(dict.fromkeys(source.model for source in sources))
    settings: dict[str, object] = {}
    for source in sources:
        settings.setdefault(source.setting, read_metadata(source.tokens)["setting"])
    catalogue = {
        "tokens": TOKENS,
        "beyond": BEYOND,
        "determined": DETERMINED,
        "not_interpretable": list(NOT_INTERPRETABLE),
        "schema_version": read_metadata(sources[0].tokens)["schema_version"],
        "basis": read_metadata(sources[0].tokens)["basis"],
        "matrices": {name: kind.short_title for name, kind in MATRIX_KINDS.items()},
        "settings": [{"name": name, "switches": switches} for name, switches in settings.items()],
        "models": [
            write_model(model, [source for source in sources if source.model == model], table, pairs, target / "data")
            for model in models
        ],
    }
    write_text(target / "data/catalogue.js", f"svdlens.catalogue = {script_json(catalogue)};\n")
    for path in static:
        copy_file(path, target / ("static" if path.suffix != ".html" else "") / path.name)


def write_model(
    model: str, sources: Sequence[Source], fractions: pa.Table, agreement: pa.Table | None, target: Path
) -> dict[str, Any]:
    """The shards of a model, and its entry in the catalogue."""
    directory = file_name(model)
    lists = [read_lists(source.tokens, TOKENS) for source in sources]
    random = [read_lists(source.random, TOKENS, RANDOM_DIRECTIONS) if source.random else None for source in sources]
    texts: dict[int, str] = {}
    for source, own_lists, control in zip(sources, lists, random, strict=True):
        read_texts(source.tokens, TOKENS, own_lists.ids, texts)
        if source.random and control:
            read_texts(source.random, TOKENS, control.ids, texts)
    frames, tables, numbers_of_lists = distinct_tables(lists)
    vocabulary = vocabulary_of([table.ids for frame_tables in tables for table in frame_tables], texts)
    numbers = [[vocabulary.number[table.ids] for table in frame_tables] for frame_tables in tables]
    # No search finds a list of null space.
    found = [
        [np.where(table.null_space[:, None], -1, one) for table, one in zip(frame_tables, of_frame, strict=True)]
        for frame_tables, of_frame in zip(tables, numbers, strict=True)
    ]
    entry: dict[str, Any] = {"name": model, "revision": read_metadata(sources[0].tokens)["revision"]}
    entry |= write_index(target, directory, vocabulary, found)
    entry["frames"], offset = [], 0
    for frame, frame_tables in zip(frames, numbers, strict=True):
        stem = f"{directory}/{frame.matrix}"
        written = [write_lists(target, stem, frame, frame_tables[: n + 1]) for n in range(len(frame_tables))]
        entry["frames"].append(frame_entry(frame) | {"offset": offset, "tables": written})
        offset += frame.rows
    entry["matrices"] = {}
    for source, own_lists, control, (frame_number, table_number) in zip(
        sources, lists, random, numbers_of_lists, strict=True
    ):
        matrix = own_lists.frame.matrix
        place = (pc.field("model") == model) & (pc.field("setting") == source.setting) & (pc.field("matrix") == matrix)
        pairs = None if agreement is None else agreement.filter(place)
        one = write_source(target, f"{directory}/{matrix}", source, own_lists, texts, fractions.filter(place), pairs)
        one |= {"frame": frame_number, "table": table_number}
        if control:
            one["random"] = write_random(
                target, f"{directory}/{matrix}_random", source.random_labels, control, vocabulary, texts
            )
        entry["matrices"].setdefault(matrix, {})[source.setting] = one
    return entry


def distinct_tables(lists: Sequence[Lists]) -> tuple[list[Frame], list[list[Lists]], list[tuple[int, int]]]:
    """The different frames, of each the tables that differ in their ids or in what is null space, and for each of
    `lists` which of these it has."""
    frames: list[Frame] = []
    tables: list[list[Lists]] = []
    numbers = []
    for own_lists in lists:
        if own_lists.frame not in frames:
            frames.append(own_lists.frame)
            tables.append([])
        frame = frames.index(own_lists.frame)
        same = [
            number
            for number, table in enumerate(tables[frame])
            if np.array_equal(table.ids, own_lists.ids) and np.array_equal(table.null_space, own_lists.null_space)
        ]
        if not same:
            tables[frame].append(own_lists)
        numbers.append((frame, same[0] if same else len(tables[frame]) - 1))
    return frames, tables, numbers


def write_source(
    target: Path,
    stem: str,
    source: Source,
    lists: Lists,
    texts: Mapping[int, str],
    fractions: pa.Table,
    agreement: pa.Table | None,
) -> dict[str, Any]:
    """Scores, labels, spectra and summary of one table, and their entry in the catalogue."""
    labels = {name: read_labels(path, lists, texts) for name, path in source.labels.items()}
    spectra = read_spectra(source.spectra, lists.frame)
    written: dict[str, Any] = {}
    for name, path in source.labels.items():
        facts = read_metadata(path)
        written[name] = write_labels(target, f"{stem}_{name}", lists.frame, labels[name])
        written[name] |= {key: facts[key] for key in ("labeller_network", "token_frequency") if key in facts}
        if name in LABELLERS and LABELLERS[name].lists:
            written[name]["own_lists"] = True
    entry: dict[str, Any] = {
        "scores": write_scores(target, stem, lists),
        "labels": written,
        "spectra": write_spectra(target, stem, lists.frame, spectra),
        "summary": write_summary(target, stem, lists.frame, labels, spectra, fractions, agreement),
    }
    if source.examples:
        entry["examples"] = write_examples(target, stem, lists.frame, source.examples)
    effects = read_effects(source.effects, lists.frame, source.tokens) if source.effects else None
    if source.effects and effects:
        facts = read_metadata(source.effects)
        shard = write_effects(target, stem, effects)
        entry["effects"] = {"shard": shard, "metric": facts["metric"], "tokens": facts["tokens"]}
    return entry


def write_random(
    target: Path,
    stem: str,
    labels: Mapping[str, Path],
    lists: Lists,
    vocabulary: Vocabulary,
    texts: Mapping[int, str],
) -> dict[str, Any]:
    """Lists of random directions, to look at beside those of the model."""
    written = {
        name: write_labels(target, f"{stem}_{name}", lists.frame, read_labels(path, lists, texts, RANDOM_UNIT))
        for name, path in labels.items()
    }
    table = write_lists(target, stem, lists.frame, [vocabulary.number[lists.ids]])
    scores = write_scores(target, stem, lists)
    return frame_entry(lists.frame) | {"tables": [table], "table": 0, "scores": scores, "labels": written}


def file_name(name: str) -> str:
    """`name` without what some file system or browser might take amiss."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def frame_entry(frame: Frame) -> dict[str, object]:
    names = ("matrix", "layers", "heads", "readouts", "sides", "directions")
    return {name: getattr(frame, name) for name in names} | {"layers_per_shard": layers_per_shard(frame)}
