"""Tables of a model in memory or in a directory, without a workflow: `svdlens.directions` and `svdlens.spectra`.

The same functions as those that the rules call, one after the other, so that the numbers are the same. What a rule
writes into a file for later rules is handed on, but for raw weights, of which one tensor at a time is in memory.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import torch

from svdlens.artefacts.table_schemas import CONTROL_LABELS, CONTROLS, LABEL_FIELDS, SPECTRA, as_column
from svdlens.interactive.choices import (
    check_choices,
    check_labels,
    check_level,
    check_numbers,
    check_positive,
    check_seed,
    check_tolerance,
    choose,
    control_sizes,
    given_directory,
    given_file,
)
from svdlens.interactive.model_files import describe_model
from svdlens.interactive.raw_model import RawModel, check_device, decompose, raw_model
from svdlens.interactive.vocabulary import know_vocabulary
from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.label_table import Choice, label_table
from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.projection import prepare_reading, project_directions
from svdlens.readout.token_table import with_vocab_center
from svdlens.spec.matrix_kinds import MATRIX_KINDS, layers_and_heads, stored_numbers
from svdlens.spec.settings import Setting, list_key
from svdlens.svd.layer_by_layer import Arrays
from svdlens.svd.spectrum import spectra_columns

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MATRICES = ("ov", "mlp_in", "mlp_out")


def directions(
    model: "PreTrainedModel | str | Path",
    tokenizer: Any = None,
    *,
    matrices: str | Sequence[str] = MATRICES,
    setting: str | Sequence[str] = "raw",
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    readouts: str | Sequence[str] | None = None,
    directions: int = 64,
    tokens: int = 50,
    labels: bool = True,
    controls: str | Sequence[str] = (),
    random_directions: int = 1000,
    rotated_directions: int = 4000,
    level: float = 0.05,
    seed: int = 0,
    token_counts: Path | str | None = None,
    cache: Path | str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """The singular vectors of a model's matrices, read as tokens and labelled: a row for each direction and sign.

    model, tokenizer: of transformers, in memory, wherever the weights are and in whatever precision; or the path of a
    directory with safetensors, whose tokenizer is read from there. The model stays as it is.
    matrices: of ov, qk, mlp_in, mlp_gate, mlp_out, unembed, embed. setting: "raw", "tl_default", or a list of flags and
    switches (docs/settings.md). layers, heads (of attention): numbers from 0; None for all.
    readouts: None for W_U, or W_E of a model without.
    directions: leading ones of each matrix. tokens: of each list.
    labels: whether the labeller coherence labels the lists, with false discovery rate `level` for `interpretable`.
    controls: of random_unit, rotated and gaussian, whose rows follow, with their name in the column `control`.
    random_directions, rotated_directions: how many, of random_unit for the direction null, too. seed: of these.
    token_counts: parquet with id and count of each token, where none is beside the model. cache: a directory that keeps
    the embeddings of vocabularies for the next process; in one process they are kept anyway.
    threads: None for as many as torch has; results do not depend on it. device: "cpu" or "cuda".

    Columns: `control`, and those of results/tokens; with labels those of results/labels, too (docs/artefacts.md).
    Raises SvdlensError for a model that cannot be read and for anything asked for that is not there.
    """
    check_device(device)
    threads = torch.get_num_threads() if threads is None else threads
    check_positive(directions=directions, tokens=tokens, threads=threads)
    check_positive(random_directions=random_directions, rotated_directions=rotated_directions)
    check_level(level)
    check_seed(seed)
    check_labels(labels, tokens)
    sizes = control_sizes(controls, labels, random_directions, rotated_directions)
    described = describe_model(model, tokenizer)
    chosen = check_choices(described.architecture, matrices, setting, layers, heads)
    check_numbers(chosen.numbers, described.counts)
    possible = described.architecture.readouts
    readouts = choose("readouts", possible[0] if readouts is None else readouts, possible)
    counts = given_file("token_counts", token_counts) if labels else None
    kept = given_directory("cache", cache) if labels else None
    with raw_model(model, tokenizer) as raw:
        texts = read_vocabulary(raw.directory)
        decomposed = {
            matrix: decompose(raw, matrix, chosen.setting, chosen.numbers, directions, threads, device)
            for matrix in chosen.matrices
        }
        lists = {
            matrix: read_directions(
                raw, matrix, svd, chosen.setting, readouts, texts, tokens, sizes, seed, threads, device
            )
            for matrix, svd in decomposed.items()
        }
        if labels:
            vocabulary, features = know_vocabulary(raw, texts, counts, kept, threads)
            labeller = Coherence(vocabulary, level, seed)
            for matrix, table in lists.items():
                columns, _ = label_table(table, "coherence", labeller, features, Choice())
                # One row for each list, in the order of the lists.
                for name, kind in LABEL_FIELDS:
                    table = table.append_column(CONTROL_LABELS.field(name), as_column(columns[name], kind))
                lists[matrix] = table
    frame = pa.concat_tables(lists.values()).unify_dictionaries().to_pandas()
    asked = frame["control"].isna() | frame["control"].isin([controls] if isinstance(controls, str) else list(controls))
    return frame[asked].reset_index(drop=True)


def read_directions(
    raw: RawModel,
    matrix: str,
    svd: Arrays,
    setting: Setting,
    readouts: Sequence[str],
    texts: list[str],
    tokens: int,
    controls: dict[str, int | None],
    seed: int,
    threads: int,
    device: str,
) -> pa.Table:
    """The lists of one kind of matrix and of its controls, as `project_directions` and `view_tokens` make them."""
    switches, files = list_key(setting, matrix, readouts), raw.files
    vectors, reading = prepare_reading(
        {"svd": svd}, matrix, switches, files["unembed"], files["gains"], texts, readouts, tokens, threads, device
    )
    columns = project_directions(vectors, "svd", controls, reading, seed)
    if setting.vocab_center:
        columns = with_vocab_center(columns)
    return pa.Table.from_arrays([as_column(columns[field.name], field.type) for field in CONTROLS], schema=CONTROLS)


def spectra(
    model: "PreTrainedModel | str | Path",
    tokenizer: Any = None,
    *,
    matrices: str | Sequence[str] = MATRICES,
    setting: str | Sequence[str] = "raw",
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    directions: int = 64,
    cluster_tolerance: float = 0.01,
    threads: int | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Every singular value of a model's matrices, in the unit of the weights, with gap and near-degenerate cluster.

    Arguments are those of `directions`; cluster_tolerance: relative distance of values within a cluster. Columns: those
    of results/spectra (docs/artefacts.md), of which the stabilities, which take as long again, are not measured.
    Raises SvdlensError as `directions` does.
    """
    check_device(device)
    threads = torch.get_num_threads() if threads is None else threads
    check_positive(directions=directions, threads=threads)
    check_tolerance(cluster_tolerance)
    described = describe_model(model, tokenizer)
    chosen = check_choices(described.architecture, matrices, setting, layers, heads)
    check_numbers(chosen.numbers, described.counts)
    tables = []
    with raw_model(model, tokenizer) as raw:
        for matrix in chosen.matrices:
            svd = decompose(raw, matrix, chosen.setting, chosen.numbers, directions, threads, device)
            columns = spectrum_columns(svd, matrix, cluster_tolerance)
            tables.append(
                pa.Table.from_arrays([as_column(columns[field.name], field.type) for field in SPECTRA], schema=SPECTRA)
            )
    return pa.concat_tables(tables).unify_dictionaries().to_pandas()


def spectrum_columns(svd: Arrays, matrix: str, tolerance: float) -> dict[str, object]:
    """Columns of the table of spectra for one kind of matrix, without stabilities."""
    values, sign_vectors = svd["values"].numpy(), svd[MATRIX_KINDS[matrix].sign_array].numpy()
    layers, heads = layers_and_heads(values.shape, matrix, stored_numbers(svd))
    rows = len(layers)
    vectors = sign_vectors.reshape(rows, *sign_vectors.shape[-2:])
    return spectra_columns(values.reshape(rows, -1), vectors, layers, heads, matrix, tolerance)
