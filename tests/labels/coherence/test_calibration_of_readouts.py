"""Random directions are no better than random directions, through whichever read-out both are read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from safetensors.torch import load_file, save_file

from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.label_table import Choice, label_table
from svdlens.labels.labeller import SINGULAR
from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.control_directions import random_unit_directions, seeded
from svdlens.readout.projection import Reading, project_random
from svdlens.readout.readout_matrix import readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.readout.varimax import random_varimax_directions
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting
from svdlens.vocabulary.sentence_embedding import embed_vocabulary
from svdlens.vocabulary.token_classes import classify_tokens
from svdlens.vocabulary.token_features import TokenFeatures, load_vocabulary
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon
from svdlens.weights.weight_files import WeightFile
from tiny_vocabulary import CLUSTERS, N_TOKENS, PER_CLUSTER, tiny_vocabulary

WIDTH, N = 32, 2000
BUNDLED = Path(__file__).resolve().parents[3] / "resources/models/wordnet-2layer"
N_BUNDLED = 3000
"""Directions on either side, two lists each. The share beyond the null's .05 has then a standard deviation of
sqrt(2 * .05 * .95 / 6000) = .004, and is five of them from .03 and from .07: right code fails once in 250,000 seeds for
all read-outs together."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightFile:
    """Tokens of one cluster of the vocabulary near each other, some clusters long, most variance along a few
    directions: random directions read through these are coherent themselves."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CLUSTERS, WIDTH)) * np.exp(0.5 * generator.standard_normal((CLUSTERS, 1)))
    noise = generator.standard_normal((CLUSTERS, PER_CLUSTER, WIDTH))
    vectors = ((centres[:, None] + 0.5 * noise) * np.exp(0.7 * generator.standard_normal(WIDTH)) + 1).reshape(-1, WIDTH)
    assert len(vectors) == N_TOKENS
    path = tmp_path_factory.mktemp("weights") / "unembed.safetensors"
    W_E = torch.from_numpy(vectors).float()
    save_file({"embed.W_E": W_E, "unembed.W_U": W_E.T.contiguous()}, path)
    return WeightFile(path)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_twentieth_of_further_random_directions_is_beyond_the_first(readout: str, weights: WeightFile) -> None:
    matrix = ReadoutMatrix(readout_matrix(weights, Setting(), readout))
    lists = {
        name: np.concatenate([top.ids for top in top_tokens(directions, matrix, 20).values()])
        for name in (SINGULAR, "random_unit")
        for directions in [random_unit_directions(N, WIDTH, seeded(0, name))]
    }
    columns = Coherence(tiny_vocabulary(), 0.05, 0).label_ids(lists)
    assert 0.03 <= np.mean(columns[SINGULAR]["p_direction"] <= 0.05) <= 0.07
    # The null is no empty one: many of these lists hang together.
    assert np.mean(columns["random_unit"]["score"]) > 1


class Sets(NamedTuple):
    """The lists of two sets of random directions through every read-out, as tables of tokens."""

    further: pa.Table
    controls: pa.Table


class Bundled(NamedTuple):
    """A trained model: the labeller for its vocabulary, features of its tokens, and by how they are drawn two sets of
    random directions: single ones, and the varimax bases of random subspaces, through the scores of W_U."""

    labeller: Coherence
    features: TokenFeatures
    sets: dict[str, Sets]

    def beyond(self, further: pa.Table, controls: pa.Table) -> dict[str, float]:
        """By read-out the share of the further directions that are beyond 95 % of these controls."""
        rows, _ = label_table(
            pa.concat_tables([further, controls]), "coherence", self.labeller, self.features, Choice()
        )
        table = pd.DataFrame({name: rows[name] for name in ("readout", "control", "p_direction")})
        return (
            (table[table["control"].isna()].set_index("readout")["p_direction"] <= 0.05)
            .groupby("readout")
            .mean()
            .to_dict()
        )


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Bundled:
    directory = tmp_path_factory.mktemp("bundled")
    W_E = load_file(BUNDLED / "model.safetensors")["wte.weight"].float()
    save_file({"embed.W_E": W_E, "unembed.W_U": W_E.T.contiguous()}, directory / "unembed.safetensors")
    weights = WeightFile(directory / "unembed.safetensors")
    texts = read_vocabulary(BUNDLED)
    ranks, source = log_ranks(BUNDLED, len(texts))
    features = TokenFeatures(classify_tokens(texts, load_lexicon(), ranks), ranks, source)
    embed_vocabulary(texts, features.classes, directory / "embeddings.safetensors", 2)
    vocabulary = load_vocabulary(directory / "embeddings.safetensors", features, texts)
    matrices = {readout: ReadoutMatrix(readout_matrix(weights, Setting(), readout)) for readout in READOUTS}
    reading = Reading("ov", np.ones((2, 4, 1)), matrices, texts, 50, 2)
    d_model, of_W_U = W_E.shape[1], matrices["W_U"]
    drawn = {
        "single": [random_unit_directions(N_BUNDLED, d_model, seeded(seed)) for seed in (1, 0)],
        "varimax": [random_varimax_directions(N_BUNDLED, 40, of_W_U, seeded(seed), 2) for seed in (1, 0)],
    }
    sets = {}
    for basis, (first, second) in drawn.items():
        further, controls = (pa.table(project_random("random_unit", one, reading)) for one in (first, second))
        further = further.drop("control").append_column("control", pa.nulls(len(further), pa.string()))
        sets[basis] = Sets(further.select(controls.column_names), controls)
    return Bundled(Coherence(vocabulary, 0.05, 0), features, sets)


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["single", "varimax"])
def test_so_it_is_through_every_readout_of_a_trained_model(basis: str, bundled: Bundled) -> None:
    shares = bundled.beyond(*bundled.sets[basis])
    assert list(shares) == sorted(READOUTS)
    assert {readout: share for readout, share in shares.items() if not 0.03 <= share <= 0.07} == {}


@pytest.mark.slow
def test_and_not_so_where_the_null_is_of_another_readout(bundled: Bundled) -> None:
    """The test above can fail. Only cosine and whitened are too much alike in this model to be told apart by it."""
    forms = {"product": "pseudo_inverse", "cosine": "product", "whitened": "product", "pseudo_inverse": "product"}
    taken = {
        name: next(other for other in READOUTS if READOUTS[other].form == forms[READOUTS[name].form])
        for name in READOUTS
    }
    swapped = [
        bundled.sets["single"]
        .controls.filter(pc.field("readout") == other)
        .drop("readout")
        .append_column("readout", pa.array([name] * (2 * N_BUNDLED)))
        for name, other in taken.items()
    ]
    controls = pa.concat_tables(swapped).select(bundled.sets["single"].controls.column_names)
    shares = bundled.beyond(bundled.sets["single"].further, controls)
    assert {readout: share for readout, share in shares.items() if 0.03 <= share <= 0.07} == {}


@pytest.mark.slow
def test_a_basis_that_is_chosen_by_its_tokens_is_beyond_directions_that_are_not(bundled: Bundled) -> None:
    """Why the random directions of a varimax basis are of one, too: nothing but the choice sets these apart."""
    shares = bundled.beyond(bundled.sets["varimax"].further, bundled.sets["single"].controls)
    assert shares["W_U"] > 0.1
