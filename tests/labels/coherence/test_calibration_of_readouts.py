"""Random directions are no better than random directions, through whichever read-out both are read."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.labeller import SINGULAR
from svdlens.readout.control_directions import random_unit_directions, seeded
from svdlens.readout.readout_matrix import readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting
from svdlens.weights.weight_files import WeightFile
from tiny_vocabulary import CLUSTERS, N_TOKENS, PER_CLUSTER, tiny_vocabulary

WIDTH, N = 32, 2000


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
