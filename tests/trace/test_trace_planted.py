"""A concept planted in the weights of a model is found there, and nowhere else: from the checkpoint to the table."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.trace.queries import QueryTokens
from svdlens.trace.rounds import trace_queries
from svdlens.trace.token_vectors import token_vectors
from svdlens.trace.trace_model import load_directions
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.weight_files import WeightFile, save_tensors
from tiny import make_tiny

WORDS, VOCABULARY, WIDTH, HEADS = [40, 140, 240], 320, 64, 4
SIZES = {
    "llama": {"hidden_size": WIDTH, "num_key_value_heads": 2, "intermediate_size": 96},
    "gpt2": {"n_embd": WIDTH, "n_inner": 96},
}
# Of each: the weight in the checkpoint, whether it is [out, in], and the part of its inner dimension that is one head.
WRITES = {"llama": "layers.1.self_attn.o_proj.weight", "gpt2": "h.1.attn.c_proj.weight"}
READS = {"llama": "layers.0.mlp.gate_proj.weight", "gpt2": "h.0.mlp.c_fc.weight"}
OUT = {"llama": "layers.1.mlp.down_proj.weight", "gpt2": "h.1.mlp.c_proj.weight"}
MATRICES = {"llama": ["ov", "mlp_in", "mlp_gate", "mlp_out"], "gpt2": ["ov", "mlp_in", "mlp_out"]}
HEAD, D_HEAD = 3, WIDTH // HEADS


def plant(directory: Path, architecture: str) -> None:
    """Add the concept, much stronger than all else, to what head 3 of layer 1 writes, to what the MLP of layer 0 reads,
    and with the other sign to what that of layer 1 writes."""
    tensors = load_file(directory / "model.safetensors")

    def named(end: str) -> str:
        [name] = [name for name in tensors if name.endswith(end)]
        return name

    unembed = tensors[named("lm_head.weight" if architecture == "llama" else "wte.weight")].astype(np.float64)
    concept = np.linalg.pinv(unembed.T)[WORDS].sum(0)
    concept /= np.linalg.norm(concept)
    inner = np.zeros(WIDTH)
    inner[HEAD * D_HEAD] = 1
    neuron = np.eye(96)[5]
    for end, into, strength in (
        (WRITES[architecture], np.outer(inner, concept), 100.0),
        (READS[architecture], np.outer(concept, neuron), 100.0),
        (OUT[architecture], np.outer(neuron, concept), -100.0),
    ):
        # GPT-2 stores [in, out], nn.Linear [out, in].
        rank_1 = strength * (into if architecture == "gpt2" else into.T)
        tensors[named(end)] = (tensors[named(end)] + rank_1).astype(np.float32)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("architecture", SIZES)
def test_what_is_planted_in_a_model_is_found_and_nothing_else(architecture: str, tmp_path: Path) -> None:
    """With shared key and value heads, gated MLPs and RMSNorm (Llama), and without (GPT-2)."""
    model = make_tiny(architecture, tmp_path / "model", vocabulary=VOCABULARY, **SIZES[architecture])
    plant(model, architecture)
    files = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, files)
    svd = {}
    for matrix in MATRICES[architecture]:
        weights = WeightFile(files[MATRIX_KINDS[matrix].weight_group])
        arrays = decompose_layers(weights, Task(matrix, Setting(), None), range(2))
        svd[matrix] = str(tmp_path / f"{matrix}.safetensors")
        save_tensors(Path(svd[matrix]), arrays)
    directions = load_directions(svd, str(files["gains"]), Setting(), "pinv_W_U")
    vectors = token_vectors(WeightFile(files["unembed"]), Setting(), "pinv_W_U")

    queries = {"concept": QueryTokens(["a", "b", "c"], [[word] for word in WORDS])}
    ranks = np.log(1.0 + np.arange(VOCABULARY))
    options = {"null": 200, "seed": 0, "threads": 1, "level": 0.05, "least_cosine": 0.9, "iterative": False}
    rows, matrices, _ = trace_queries(queries, vectors, ranks, directions, directions.keys, **options)
    found = rows[rows["found"]]
    reading = "mlp_gate" if architecture == "llama" else "mlp_in"
    assert {
        (row.matrix, row.layer, None if row.matrix != "ov" else int(row.head), row.index, row.side)
        for row in found.itertuples(index=False)
    } == {("ov", 1, HEAD, 0, "write"), (reading, 0, None, 0, "read"), ("mlp_out", 1, None, 0, "write")}
    assert found["above_cosine"].all() and (rows["above_cosine"].sum() == 3)
    # Each at the sign at which it is the concept.
    for row in found.itertuples(index=False):
        cosine = torch.nn.functional.cosine_similarity(
            row.sign * directions.vectors[row.direction].double(), vectors[WORDS].sum(0), dim=0
        )
        assert float(cosine) == pytest.approx(row.cosine, abs=1e-6)
    assert matrices.loc[matrices["n_found"] > 0, "layer"].tolist() in ([1, 0, 1], [1, 1, 0])
