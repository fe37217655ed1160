"""The labeller manual: what the majority of the people who were shown a list says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.labels.labeller import Columns, Labelled, TokenLists
from svdlens.labels.manual.filled_in import Judgement
from svdlens.labels.manual.judgements import majority
from svdlens.labels.manual.lists import first_texts, list_key


class Manual:
    """Labels the lists that people were shown, and says which these are."""

    def __init__(self, judgements: Path) -> None:
        """`judgements`: a file with the columns JUDGEMENTS."""
        metadata = read_metadata(judgements)
        self.tokens = int(str(metadata["tokens"]))
        self.facts: dict[str, object] = {name: metadata[name] for name in ("people", "sheets_sha256")}
        said: dict[str, list[Judgement]] = {}
        for row in pq.ParquetFile(judgements).read().to_pylist():
            one = Judgement(row["list_key"], row["interpretable"], row["kind"], row["label"])
            said.setdefault(row["list_key"], []).append(one)
        self.verdicts = {key: majority(judgements) for key, judgements in said.items()}

    def keys(self, tokens: pa.Array | pa.ChunkedArray) -> list[str]:
        return [list_key(shown) for shown in first_texts(tokens, self.tokens)]

    def known(self, lists: pa.Table) -> pa.Table:
        """The rows of a table of tokens that somebody judged."""
        return lists.filter(pa.array([key in self.verdicts for key in self.keys(lists["tokens"])], pa.bool_()))

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        """See Labeller; every list is one that somebody judged. A tie is `unparsed`."""
        return Labelled({group: self.columns(one.texts) for group, one in lists.items()}, {})

    def columns(self, texts: pa.Array) -> Columns:
        verdicts = [self.verdicts[key] for key in self.keys(texts)]
        decided = [verdict.interpretable for verdict in verdicts]
        nothing: list[Any] = [None] * len(verdicts)
        return {
            "label": [verdict.label for verdict in verdicts],
            "kind": [verdict.kind for verdict in verdicts],
            "labelled": decided,
            "verified": nothing,
            "interpretable": decided,
            **dict.fromkeys(("score", "p_value", "q_value", "p_direction", "q_direction", "n_concepts"), nothing),
            "evidence": [[] for _ in verdicts],
            "status": ["unparsed" if said is None else "ok" for said in decided],
        }


def labeller_from_files(files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int) -> Manual:
    """The labeller from `judgements`, the file that read_label_sheets makes; nothing else decides about labels."""
    return Manual(files["judgements"])
