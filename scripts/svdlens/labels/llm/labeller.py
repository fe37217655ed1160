"""The labeller `llm`: what a language model answered about each list, joined to the lists of a sweep by their texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from svdlens.artefacts.table_schemas import read_metadata
from svdlens.errors import SvdlensError
from svdlens.labels.external_lists import ExternalList
from svdlens.labels.label_kinds import kind_of_label
from svdlens.labels.labeller import Columns, Labelled, TokenLists
from svdlens.labels.llm.lists import list_key

Answers = Mapping[str, Mapping[str, Any]]
NOTHING = ("score", "p_value", "q_value", "p_direction", "q_direction", "n_concepts")
"""A yes or no has no score, and nothing that it was calibrated by."""


def labeller_from_files(files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int) -> "LanguageModel":
    """The labeller with the answers in the file `answers`."""
    facts = {"language_model": read_metadata(files["answers"])["language_model"]}
    return LanguageModel(read_answers(files["answers"]), parameters["tokens"], facts)


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a table of answers by the key of their list."""
    return {row["list_key"]: row for row in pq.ParquetFile(path).read().to_pylist()}


class LanguageModel:
    """The labeller `llm`, with answers by list; it reads the first `n_tokens` texts of each."""

    def __init__(self, answers: Answers, n_tokens: int, facts: Mapping[str, object]) -> None:
        self.answers, self.n_tokens, self.facts = answers, n_tokens, facts

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        """See labels.labeller.Labeller. There is nothing to calibrate, and so no facts."""
        return Labelled({name: self.columns(token_lists.texts.to_pylist()) for name, token_lists in lists.items()}, {})

    def columns(self, texts: Sequence[Sequence[str]]) -> Columns:
        """The columns of these lists. `verified` is null where there is no label to verify; `interpretable` is both,
        null where one of them is not known. Raises SvdlensError for a list that nobody was asked about."""
        keys = [list_key(tokens[: self.n_tokens]) for tokens in texts]
        if missing := [list(tokens) for key, tokens in zip(keys, texts, strict=True) if key not in self.answers]:
            raise SvdlensError(
                f"there is no answer about {len(missing)} lists, such as {missing[0][:3]}: the answers are of other "
                "lists. Delete the file of answers under results/, and run again."
            )
        rows = [self.answers[key] for key in keys]
        interpretable = [both(row["labelled"], row["verified"]) for row in rows]
        return {
            **{name: [row[name] for row in rows] for name in ("label", "labelled", "verified", "status")},
            "interpretable": interpretable,
            "kind": [
                kind_of_label(row["label"]) if passed else "none"
                for row, passed in zip(rows, interpretable, strict=True)
            ],
            "evidence": [[] for _ in rows],
            **{name: [None] * len(rows) for name in NOTHING},
        }


def both(labelled: bool | None, verified: bool | None) -> bool | None:
    return verified if labelled else labelled


def label_external_lists(
    lists: Sequence[ExternalList], files: Mapping[str, Path], parameters: Mapping[str, Any], seed: int
) -> tuple[Columns, dict[str, object]]:
    """Labels of lists from elsewhere, and facts for the table's metadata; no tokenizer is needed."""
    labeller = labeller_from_files(files, parameters, seed)
    columns = labeller.columns([given.tokens for given in lists])
    named = {"id": [given.id for given in lists], "labeller": ["llm"] * len(lists)}
    return {**named, **columns, "mean_log_rank": [None] * len(lists)}, dict(labeller.facts)
