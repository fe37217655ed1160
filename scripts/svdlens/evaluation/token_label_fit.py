"""Judges of how well tokens fit a label, for the tests of label_tests.py."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from svdlens.errors import SvdlensError
from svdlens.vocabulary.token_classes import TokenClasses
from svdlens.vocabulary.word_forms import text_key

AT_ONCE = 1 << 11
"""Embeddings that are gathered at once, 3 MiB of MiniLM's: they stay in the processor's cache."""
TIE_SHARE = 0.01
"""Of an opinion beside membership: fifteen opinions between -1 and 1 move a mean by less than one member does."""


@runtime_checkable
class Judge(Protocol):
    """Says how well tokens fit a label."""

    def fit(
        self, labels: list[str], evidence: list[list[str]], ids: Int[np.ndarray, "n m"]
    ) -> Float[np.ndarray, "n m"]:
        """How well each token fits the label and the evidence of its row: higher is better, NaN is no opinion.

        What a judge says of a token must not rest on the token's being in the label or the evidence.
        """


class EmbeddingJudge:
    """Fit in a sentence-embedding space: the cosine of token and label, or the mean cosine of the token and the
    evidence, whichever is larger.

    A token never votes for itself: evidence that equals it up to case and surrounding spaces does not count, nor does
    the label where it names the token (labels such as "fire / flame / ash" are made of tokens). Where nothing is left
    there is no opinion. Evidence that is no token of the vocabulary does not count.
    """

    def __init__(
        self,
        token_embeddings: Float[np.ndarray, "d_vocab d"],
        label_embeddings: Mapping[str, Float[np.ndarray, " d"]],
        texts: Sequence[str],
    ) -> None:
        """Embeddings of unit length, those of labels from the same network (and centred, if at all, on the same mean).

        `texts` are those of the token ids.
        """
        self.tokens = np.asarray(token_embeddings, dtype=np.float32)
        self.label_embeddings = label_embeddings
        self.group_of_key: dict[str, int] = {}
        self.groups = np.array([self.group_of_key.setdefault(text_key(text), len(self.group_of_key)) for text in texts])
        self.first_of_group = np.unique(self.groups, return_index=True)[1]

    def fit(
        self, labels: list[str], evidence: list[list[str]], ids: Int[np.ndarray, "n m"]
    ) -> Float[np.ndarray, "n m"]:
        """As Judge says. Raises SvdlensError for a label without an embedding."""
        if not labels:
            return np.zeros(ids.shape)
        distinct = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        vectors = self.embeddings_of(list(distinct))
        named_groups = known_groups([named_in(label) for label in distinct], self.group_of_key)
        number = np.array([distinct[label] for label in labels])
        evidence_groups = known_groups(evidence, self.group_of_key)
        fits = np.empty(ids.shape)
        step = max(1, AT_ONCE // max(ids.shape[1], 1))
        for start in range(0, len(ids), step):
            rows = slice(start, start + step)
            fits[rows] = self.fit_of_rows(
                vectors[number[rows]], named_groups[number[rows]], evidence_groups[rows], ids[rows]
            )
        return fits

    def fit_of_rows(
        self,
        labels: Float[np.ndarray, "n d"],
        named_groups: Int[np.ndarray, "n _"],
        evidence_groups: Int[np.ndarray, "n _"],
        ids: Int[np.ndarray, "n m"],
    ) -> Float[np.ndarray, "n m"]:
        """See fit: for the embeddings of labels, the groups that they name and those of the evidence (-1: none)."""
        tokens, groups = self.tokens[ids], self.groups[ids]
        evidence = self.tokens[self.first_of_group[evidence_groups]] * (evidence_groups >= 0)[:, :, None]
        # einsum adds up on one thread, always in the same order.
        with_label = np.einsum("nmd,nd->nm", tokens, labels)
        with_evidence = np.einsum("nmd,nd->nm", tokens, evidence.sum(axis=1))
        is_evidence = groups[:, :, None] == evidence_groups[:, None, :]
        row, column, number = np.nonzero(is_evidence)
        with_evidence[row, column] -= np.einsum("nd,nd->n", tokens[row, column], evidence[row, number])
        n_evidence = (evidence_groups >= 0).sum(axis=1, keepdims=True) - is_evidence.any(axis=2)
        mean = np.where(n_evidence > 0, with_evidence / np.maximum(n_evidence, 1), np.nan)
        is_named = (groups[:, :, None] == named_groups[:, None, :]).any(axis=2)
        return np.fmax(np.where(is_named, np.nan, with_label), mean)

    def embeddings_of(self, labels: list[str]) -> Float[np.ndarray, "n d"]:
        """One row for each label. Raises SvdlensError for a label without an embedding."""
        missing = [label for label in labels if label not in self.label_embeddings]
        if missing:
            raise SvdlensError(
                f"the label {missing[0]!r} has no embedding ({len(missing)} of {len(labels)} labels have none). "
                f"Embed every label that is to be scored."
            )
        return np.stack([np.asarray(self.label_embeddings[label], dtype=np.float32) for label in labels])


class ClassJudge:
    """Fit by membership where a label is the name of a class of the vocabulary: 1 inside, 0 outside, and TIE_SHARE of
    another judge's opinion, which breaks ties. Any other label goes to the other judge.

    Several classes may have one name; inside is what any of them holds. Membership says nothing about the list that a
    token comes from, so a token in the label or the evidence has no vote of its own here.
    """

    def __init__(self, classes: TokenClasses, other: Judge) -> None:
        self.other = other
        self.membership = classes.membership.tocsc()
        self.columns_of_key: dict[str, list[int]] = defaultdict(list)
        for column, name in enumerate(classes.names):
            self.columns_of_key[text_key(name)].append(column)

    def fit(
        self, labels: list[str], evidence: list[list[str]], ids: Int[np.ndarray, "n m"]
    ) -> Float[np.ndarray, "n m"]:
        """As Judge says; NaN only where the label is no class."""
        fits = self.other.fit(labels, evidence, ids)
        rows_of_key: dict[str, list[int]] = defaultdict(list)
        for row, label in enumerate(labels):
            rows_of_key[text_key(label)].append(row)
        for key, rows in rows_of_key.items():
            if key in self.columns_of_key:
                inside = np.zeros(self.membership.shape[0])
                inside[self.membership[:, self.columns_of_key[key]].indices] = 1.0
                fits[rows] = inside[ids[rows]] + TIE_SHARE * np.nan_to_num(fits[rows])
        return fits


def known_groups(rows: Sequence[Sequence[str]], group_of_key: Mapping[str, int]) -> Int[np.ndarray, "n most"]:
    """The groups of each row's texts, each once, without those of no token; -1 after them."""
    # Rows have the same few texts over and over.
    group_of_text = {text: group_of_key.get(text_key(text), -1) for text in set(chain.from_iterable(rows))}
    groups = [dict.fromkeys(map(group_of_text.__getitem__, row)) for row in rows]
    return padded_rows([[group for group in row if group >= 0] for row in groups])


def padded_rows(rows: Sequence[Sequence[int] | Int[np.ndarray, " _"]]) -> Int[np.ndarray, "n most"]:
    """Rows of different lengths as one array, -1 after the end of each."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.full((len(rows), lengths.max(initial=0)), -1, dtype=np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(
        [[], *rows], dtype=np.int64, casting="unsafe"
    )
    return padded


def named_in(label: str) -> list[str]:
    """The keys of tokens that a label names: itself, what its slashes and commas part, and its words."""
    key = text_key(label)
    return [key, *(text_key(part) for part in re.split(r" / |, ", label)), *key.split(), *re.findall(r"\w+", key)]
