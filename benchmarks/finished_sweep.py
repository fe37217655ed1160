"""A finished sweep, as the measurements of edits read it (edits.py, knockouts.py)."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.edit.choice import chosen_directions  # noqa: E402
from svdlens.edit.prompts import list_targets, matched_tokens  # noqa: E402
from svdlens.edit.updates import Update  # noqa: E402
from svdlens.edit.vectors import edited_matrices, updates_of  # noqa: E402
from svdlens.models.load import load_model  # noqa: E402
from svdlens.models.token_table import read_token_texts  # noqa: E402
from svdlens.models.token_windows import read_text, token_ids, token_windows  # noqa: E402
from svdlens.report.pages import markdown_table  # noqa: E402
from svdlens.spec.settings import setting_from_names, svd_key  # noqa: E402
from svdlens.sweep import paths  # noqa: E402
from svdlens.sweep.config_files import configuration  # noqa: E402

TEXT = PROJECT / "resources/text/wordnet_definitions.txt"
EPS, SEED = -1.0, 0


class Sweep:
    """A model of a finished sweep in one setting; tables and vectors are those of OV where no matrix is named."""

    def __init__(
        self, results: Path, name: str, setting: str, query: str | None = None, tokens: int = 512, window: int = 128
    ) -> None:
        """tokens: of the text, in windows of so many."""
        self.results, self.name, self.query = results, name, query
        self.setting = setting_from_names(setting, configuration([], PROJECT)["settings"][setting])
        self.directory = results / "models" / name
        self.model = load_model(self.directory, name)
        self.windows = token_windows(read_text(TEXT), self.model, self.directory, window, tokens)
        self.place = {"model": name, "setting": setting, "matrix": "ov"}

    def path(self, path: str) -> str:
        return str(self.results / Path(path).relative_to("results"))

    def table(self, pattern: str, **place: str) -> pd.DataFrame:
        return pd.read_parquet(self.path(pattern.format(**self.place | place)), partitioning=None)

    def svd_of(self, matrix: str) -> str:
        """The file with the singular vectors of a kind of matrix."""
        return self.path(paths.SVD.format(**self.place | {"matrix": matrix}, **svd_key(self.setting, matrix)))

    def labels_of(self, matrix: str) -> pd.DataFrame:
        """What `coherence` says of the lists through the first read-out."""
        labels = self.table(paths.LABELS, matrix=matrix, labeller="coherence")
        return labels[labels["readout"] == labels["readout"].iloc[0]]

    @cached_property
    def svd(self) -> str:
        return self.svd_of("ov")

    @cached_property
    def labels(self) -> pd.DataFrame:
        return self.labels_of("ov")

    @cached_property
    def tokens(self) -> pd.DataFrame:
        return self.table(paths.TOKENS)

    @cached_property
    def spectra(self) -> pd.DataFrame:
        return self.table(paths.SPECTRA)

    @cached_property
    def texts(self) -> list[str]:
        return read_token_texts(self.results / "vocabulary" / self.name / "tokens.parquet")

    @cached_property
    def features(self) -> pd.DataFrame:
        path = self.results / "vocabulary" / self.name / "features.parquet"
        return pd.read_parquet(path, columns=["log_rank", "is_word"])

    @cached_property
    def ids(self) -> list[int]:
        return token_ids(read_text(TEXT), self.directory)

    def matched(self, targets: Sequence[int], without: Sequence[int] = ()) -> dict[int, int]:
        """For each target a token of like frequency."""
        features = self.features["log_rank"].to_numpy(), self.features["is_word"].to_numpy()
        return matched_tokens(targets, *features, without, SEED)

    def removed_concepts(self) -> Iterator[tuple[str, list[Update], list[int]]]:
        """Of each row of the file of `edits.py concepts` its name, the updates that remove its direction, and its
        targets."""
        found = pd.read_csv(self.results / "benchmarks/edits_concepts.csv")
        for row in found.to_dict("records"):
            entry = {"matrix": "ov"} | {key: int(row[key]) for key in ("layer", "head", "index", "sign")}
            chosen = chosen_directions([entry], False, self.spectra, self.tokens, self.labels)
            updates = updates_of(self.model, self.setting, edited_matrices(chosen, {"ov": self.svd}), EPS)
            yield row["concept"], updates, list_targets([chosen["token_ids"].iloc[0]])


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sweep, model and setting."""
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--setting", default="tl_rmsnorm")


def prepare_torch() -> None:
    logging.disable(logging.WARNING)  # which directions are not unique
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


def write_and_print(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)
    shown = table.map(lambda cell: f"{cell:.3g}" if isinstance(cell, float) else str(cell))
    print(markdown_table(shown))
