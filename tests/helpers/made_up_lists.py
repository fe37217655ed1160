"""Lists of a sweep that nobody computed, as lists.read_lists reads them from a file, and sheets of them."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from made_up_sweep import HOSTILE
from svdlens.artefacts.table_schemas import CONTROLS, write_table
from svdlens.labels.label_table import Choice
from svdlens.labels.manual.lists import cell_of, read_lists
from svdlens.labels.manual.sampling import Sheet, Source, draw_sheet

WORDS = [f"{a}{b}{c}" for a in ("ba", "cor", "de", "fin") for b in ("gra", "hol", "in") for c in ("jo", "kel", "lum")]


def write_lists(
    path: Path,
    layers: int = 3,
    directions: int = 6,
    controls: int = 10,
    tokens: int = 20,
    seed: int = 0,
    **constant: Any,
) -> Path:
    """A file of results/by_switches/tokens of mlp_in, with hostile tokens, null space, and a second read-out."""
    generator = np.random.default_rng(seed)
    texts = [*HOSTILE, *WORDS]
    rows: list[dict[str, Any]] = []
    for readout in ("W_U", "W_E"):
        for sign in (1, -1):
            for layer in range(layers):
                for index in range(directions):
                    null = index == directions - 1
                    rows.append({"layer": layer, "index": index, "side": "read", "null_space": null})
                    rows[-1] |= {"control": None, "sign": sign, "readout": readout}
            for control in ("random_unit", "gaussian"):
                for index in range(controls):
                    rows.append({"layer": None, "index": index, "side": "all", "null_space": False})
                    rows[-1] |= {"control": control, "sign": sign, "readout": readout}
    for row in rows:
        ids = generator.choice(len(texts), tokens, replace=False)
        row |= {"token_ids": ids.tolist(), "tokens": [texts[id] for id in ids], "scores": [0.0] * tokens}
        row |= {"matrix": "mlp_in", "head": None, "mean_score": 0.0} | constant
    write_table(path, {name: [row[name] for row in rows] for name in CONTROLS.names}, CONTROLS, {})
    return path


def source_of(path: Path, model: str = "a model", readout: str = "W_U") -> Source:
    return Source(model, "raw", "mlp_in", readout, read_lists(path))


def small_sheet(path: Path, n: int = 4, random_lists: int = 5, tokens: int = 15, seed: int = 0) -> Sheet:
    """A sheet of the lists in a file of write_lists, of its first five directions and sign +1."""
    return draw_sheet([source_of(path)], Choice(signs=[1], directions=5), n, random_lists, tokens, seed)


def rows_of(sheet: Sheet) -> list[dict[str, str]]:
    """The rows of the sheet as text, by column; nothing filled in, nothing guarded."""
    return [
        {"number": str(number), "of": str(len(sheet.ids)), "id": id, "tokens": cell_of(texts)}
        | dict.fromkeys(("interpretable", "kind", "label"), "")
        for number, (id, texts) in enumerate(zip(sheet.ids, sheet.texts, strict=True), start=1)
    ]


def write_rows(path: Path, rows: list[dict[str, str]], separator: str = ",", encoding: str = "utf-8") -> Path:
    """A CSV with these rows, and the columns of the first of them."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding, "replace"))
    return path
