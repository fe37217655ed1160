"""The labellers: what each is called, what it needs, and what it labels.

A new labeller is a module beside this one and an entry here (docs/architecture.md). Its module has one of

    labeller_from_files(files, parameters, seed) -> Labeller     labels the token lists of a sweep (labels/labeller.py)
    own_labels(files, model, matrix) -> (columns, facts)         brings labels of lists of its own

and one that labels lists from elsewhere has, in a module that may be another,

    label_external_lists(lists, files, parameters, seed) -> (columns, facts)

No rule, schema or figure knows a labeller by name: they read this table. Imports nothing heavy: the Snakefile reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LabellerEntry:
    """One labeller.

    name: in paths, tables and the configuration. module: where its code is, imported by the jobs that label. what: in
    one sentence, for the documentation. files: the files that it needs beside the token lists, by name, as patterns
    of {model} and {matrix}. lists: for labels of lists of its own, the JSON lines with these lists, as such a pattern;
    None if it labels the lists of the sweep. labels_controls: whether it labels controls too; who brings lists of his
    own cannot. external_module: where it labels lists from elsewhere for `snakemake label_lists`, None if it cannot.
    criteria: when a labelled list counts as interpretable, as text with keys of its configuration in braces; figures
    draw the first.
    sampled: whether it knows only a sample of the lists, of one setting of each model unless its configuration says
    `settings`; its tables have no rows of others. Its results depend on its files alone. Such a labeller has
    known(lists), which takes a table of tokens and returns the rows that it knows.
    matrices, settings: the only ones that it can label; empty for all. models_key: the key of its configuration that
    lists the only models that it can label.
    asks: whether it asks a server, whose answers are one more file that it needs, `answers` (rules/llm.smk). needed:
    keys of its configuration without which it can label nothing. not_results: those that results do not depend on.
    """

    name: str
    module: str
    what: str
    criteria: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    lists: str | None = None
    labels_controls: bool = True
    external_module: str | None = None
    sampled: bool = False
    matrices: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    models_key: str | None = None
    asks: bool = False
    needed: tuple[str, ...] = ()
    not_results: tuple[str, ...] = ()


LABELLERS = {
    labeller.name: labeller
    for labeller in (
        LabellerEntry(
            name="coherence",
            module="svdlens.labels.coherence.labeller",
            what="offline: sentence embeddings, concepts of WordNet and forms of words, calibrated by shuffled lists",
            criteria=("q_value < {level}",),
            files={
                "tokens": "results/vocabulary/{model}/tokens.parquet",
                "features": "results/vocabulary/{model}/features.parquet",
                "classes": "results/vocabulary/{model}/classes.parquet",
                "embeddings": "results/vocabulary/{model}/embeddings.safetensors",
            },
            external_module="svdlens.labels.coherence.external_lists",
        ),
        LabellerEntry(
            name="published",
            module="svdlens.labels.published.answers",
            what="the answers of GPT-3 about MLP-in and MLP-out of GPT-2 that Millidge & Black (2022) published",
            criteria=("B", "P", "V"),
            files={"answers": "results/published/{model}/provenance.json"},
            lists="results/lists/published_{model}_{matrix}.jsonl",
            labels_controls=False,
            matrices=("mlp_in", "mlp_out"),
            settings=("post2022",),
            models_key="models",
        ),
        LabellerEntry(
            name="llm",
            module="svdlens.labels.llm.labeller",
            what="a language model behind an OpenAI-compatible endpoint, asked for a label, and whether it fits",
            criteria=("B", "P", "V"),
            external_module="svdlens.labels.llm.labeller",
            asks=True,
            needed=("base_url", "model"),
            not_results=(
                *("base_url", "key_variable", "ledger", "replay", "in_flight", "requests_per_minute", "timeout"),
                *("retries", "max_requests", "max_cost", "price", "label_prompt", "verify_prompt", "examples"),
            ),
        ),
        LabellerEntry(
            name="manual",
            module="svdlens.labels.manual.labeller",
            what="people, on a sample of the lists that does not tell which are of random directions",
            criteria=("majority",),
            files={"judgements": "results/manual/judgements.parquet"},
            sampled=True,
        ),
    )
}
"""By name."""


def can_label(labeller: LabellerEntry, configuration: Mapping[str, Any], model: str, setting: str, matrix: str) -> bool:
    """Whether the labeller, with the `configuration` that it has in config.yaml, can label this matrix of the model."""
    return (
        matrix in (labeller.matrices or (matrix,))
        and setting in (labeller.settings or (setting,))
        and (labeller.models_key is None or model in configuration.get(labeller.models_key, []))
    )


def criteria(labeller: LabellerEntry, configuration: Mapping[str, Any]) -> list[str]:
    """When a list counts as interpretable, in words: B, P and V, or a condition such as "q_value < 0.05"."""
    return [text.format(**configuration) for text in labeller.criteria]
