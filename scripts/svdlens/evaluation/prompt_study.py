"""What examples in the label prompt do: labels for lists that should have none, and topics that a model repeats.

Lists of random directions are labelled under several conditions, which differ in the examples alone. Every label is a
false positive, or what chance and the unembedding make coherent; either is the same for all conditions.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svdlens.errors import SvdlensError
from svdlens.evaluation.intervals import wilson_interval
from svdlens.labels.llm.answers import FAILED, Answer, answer_of, questions_of
from svdlens.labels.llm.labeller import both
from svdlens.labels.llm.ledger import Reply
from svdlens.labels.llm.lists import FEWEST_TOKENS, distinct_lists
from svdlens.labels.llm.parsing import OK, UNPARSED
from svdlens.labels.llm.prompts import NONE, Examples, Prompts, read_examples, read_text
from svdlens.spec.controls import CONTROLS
from svdlens.vocabulary.token_classes import dictionary_form
from svdlens.vocabulary.word_forms import ALL_FUNCTION_WORDS
from svdlens.vocabulary.wordnet import Lexicon

Tokens = tuple[str, ...]
Lists = Mapping[str, Sequence[Tokens]]
"""By control."""
WORD = re.compile(r"[^\W\d_]+")


class Condition(NamedTuple):
    """How many examples the label prompt has, and how many of them have no label for each that has one."""

    n_examples: int
    negatives: int | None = None

    @property
    def n_positive(self) -> int:
        """Rounded to the nearest, a half upwards."""
        return 0 if self.negatives is None else int(self.n_examples / (1 + self.negatives) + 0.5)

    @property
    def ratio(self) -> str | None:
        """Positive to negative."""
        return None if self.negatives is None else f"1:{self.negatives}"


CONDITIONS = (Condition(0), Condition(3, 1), Condition(3, 3), Condition(6, 1), Condition(6, 3))


def examples_of(condition: Condition, examples: Examples) -> Examples:
    """The examples that a condition shows: the first with a label and the first without, in the order that they have.

    Raises SvdlensError if there are too few.
    """
    left = {True: condition.n_positive, False: condition.n_examples - condition.n_positive}
    chosen = []
    for example in examples.label:
        positive = is_positive(example)
        if left[positive]:
            left[positive] -= 1
            chosen.append(example)
    if any(left.values()):
        raise SvdlensError(
            f"the prompt study shows up to {condition.n_positive} examples with a label and "
            f"{condition.n_examples - condition.n_positive} without, and its file of examples has not as many."
        )
    return Examples(chosen, examples.verify)


def is_positive(example: Mapping[str, Any]) -> bool:
    return bool(example["label"].strip().lower() != NONE)


def prompts_of_study(label: Path, verify: Path, examples: Path) -> dict[Condition, Prompts]:
    """The prompts of each condition, of two template files and the file of all examples of the study. Raises
    SvdlensError for one that is missing or wrong."""
    every, where = read_examples(examples), (str(label), str(verify))
    label_template, verify_template = read_text(label), read_text(verify)
    return {
        condition: Prompts(label_template, verify_template, examples_of(condition, every), where)
        for condition in CONDITIONS
    }


def study_lists(tables: Sequence[Path], n: int, n_tokens: int) -> dict[str, list[Tokens]]:
    """Of each control whose directions are of no matrix, `n` distinct lists of the tables of tokens, evenly spread over
    them, or all where there are fewer. Raises SvdlensError if there is none."""
    columns = ["control", "null_space", "tokens"]
    every = pa.concat_tables([pq.ParquetFile(table).read(columns) for table in tables])
    control = every["control"].cast(pa.string())
    found = {}
    for name in pc.unique(control.drop_null()).to_pylist():
        if CONTROLS[name].of_matrices:
            continue
        texts = every.filter(pc.and_(pc.equal(control, name), pc.invert(every["null_space"])))["tokens"].to_pylist()
        lists = [tokens for tokens in distinct_lists(texts, n_tokens) if len(tokens) >= FEWEST_TOKENS]
        found[name] = [lists[i * len(lists) // n] for i in range(n)] if len(lists) > n else lists
    if not any(found.values()):
        raise SvdlensError("the prompt study is about lists of random directions. Add random_unit to `controls`.")
    return found


def study_table(
    lists: Lists,
    prompts: Mapping[Condition, Prompts],
    parameters: Mapping[str, Any],
    replies: Mapping[str, Reply],
    lexicon: Lexicon,
) -> pd.DataFrame:
    """The columns of PROMPT_STUDY, for each condition a row of each control, and one of all (`control` None).

    Labels count as naming a topic if they share a word with the label of an example that the prompt shows; where it
    shows none, with that of an example that any condition shows: how often that happens anyway.
    """
    of_any = [example for one in prompts.values() for example in one.examples.label]
    rows = []
    for condition, asked in prompts.items():
        questions = questions_of(asked, parameters)
        answers = {
            control: [answer_of(tokens, questions, replies) for tokens in some] for control, some in lists.items()
        }
        topics: set[str] = set()
        for example in asked.examples.label or of_any:
            if is_positive(example):
                topics |= topic_words(example["label"], lexicon)
        everything = [answer for some in answers.values() for answer in some]
        for control, some in [(None, everything), *answers.items()]:
            rows.append(
                {
                    "language_model": parameters["model"],
                    "n_examples": condition.n_examples,
                    "ratio": condition.ratio,
                    "n_positive": condition.n_positive,
                    "n_negative": condition.n_examples - condition.n_positive,
                    "control": control,
                    **counts_of(some, topics, lexicon),
                }
            )
    table = pd.DataFrame(rows)
    for share, k, n in SHARES:
        # No share of nothing.
        of = table[n].where(table[n] > 0)
        table[share] = table[k] / of
        table[f"{share}_low"], table[f"{share}_high"] = wilson_interval(table[k].where(of.notna()), of)
    return table


SHARES = (
    ("labelled", "k_labelled", "n_labelled"),
    ("interpretable", "k_interpretable", "n_interpretable"),
    ("names_example", "k_names_example", "k_labelled"),
)
"""Columns with a share, of what, and among what."""


def counts_of(answers: Sequence[Answer], topics: set[str], lexicon: Lexicon) -> dict[str, int]:
    """Lists, and how many of them were answered, labelled and so on. What is not known of a list is not counted."""
    decided = [both(answer.labelled, answer.verified) for answer in answers if answer.status == OK]
    labels = [answer.label for answer in answers if answer.label is not None]
    return {
        "n": len(answers),
        "n_failed": sum(answer.status == FAILED for answer in answers),
        "n_unparsed": sum(answer.status == UNPARSED for answer in answers),
        "n_labelled": sum(answer.labelled is not None for answer in answers),
        "k_labelled": len(labels),
        "n_interpretable": len(decided),
        "k_interpretable": sum(one is True for one in decided),
        "k_names_example": sum(bool(topic_words(label, lexicon) & topics) for label in labels),
    }


def topic_words(label: str, lexicon: Lexicon) -> set[str]:
    """The words of a label in their dictionary form, function words left out."""
    words = {found.lower() for found in WORD.findall(label)} - set(ALL_FUNCTION_WORDS)
    return {dictionary_form(word, lexicon.base_forms(word)) for word in words}
