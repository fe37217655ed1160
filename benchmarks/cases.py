"""What is measured: for each case the shapes, the peers, and what svdlens and each peer do.

A case is a function of a shape and a contender ("ours" or a peer) that makes the input and returns the work, and by how
many matrices its time is to be divided. Weights are random numbers in float32, as a checkpoint has them: none of this
depends on their values, but for the route of the Gram matrix, which real weights take as well (docs/design.md).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from svdlens.decompose import decompose_dense, decompose_product, fix_signs
from svdlens.threads import single_threaded_pool

THREADS = os.cpu_count() or 1
DIRECTIONS = 64
Work = tuple[Callable[[], object], int]


@dataclass(frozen=True)
class Shape:
    """Sizes of a GPT-2 model."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int = 64
    d_vocab: int = 50257


SHAPES = {
    "gpt2-small": Shape(12, 12, 768),
    "gpt2-medium": Shape(24, 16, 1024),
    "gpt2-large": Shape(36, 20, 1280),
}


@dataclass(frozen=True)
class Case:
    prepare: Callable[[str, str], Work]
    peers: tuple[str, ...]
    shapes: tuple[str, ...] = tuple(SHAPES)


def random_weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ov_layer(shape: str, who: str) -> Work:
    """SVD of the OV matrices of one layer: every value and, of the leading 64 directions (all there are), vectors."""
    size = SHAPES[shape]
    W_V = random_weights(size.n_heads, size.d_model, size.d_head, seed=1)
    W_O = random_weights(size.n_heads, size.d_head, size.d_model, seed=2)
    if who == "ours":
        torch.set_num_threads(1)
        pool = single_threaded_pool(THREADS)

        def one_head(first: torch.Tensor, second: torch.Tensor) -> object:
            return fix_signs(decompose_product(first.double(), second.double(), DIRECTIONS), "ov")

        return lambda: list(pool.map(one_head, W_V, W_O)), 1
    if who == "transformer_lens":
        from transformer_lens import FactoredMatrix

        # A new one each time, because it remembers its SVD.
        return lambda: FactoredMatrix(W_V, W_O).svd(), 1
    return lambda: torch.linalg.svd(W_V @ W_O), 1


def mlp_leading(shape: str, who: str) -> Work:
    """SVD of MLP-in: every value and the leading 64 vectors. Time for one matrix, of as many as there are threads."""
    size = SHAPES[shape]
    weights = [random_weights(size.d_model, 4 * size.d_model, seed=seed) for seed in range(THREADS)]
    if who == "ours":
        torch.set_num_threads(1)
        pool = single_threaded_pool(THREADS)

        def one_matrix(weight: torch.Tensor) -> object:
            return fix_signs(decompose_dense(weight.double(), DIRECTIONS), "mlp_in")

        return lambda: list(pool.map(one_matrix, weights)), THREADS
    return lambda: [torch.linalg.svd(weight, full_matrices=False) for weight in weights], THREADS


CASES = {
    "ov_layer": Case(ov_layer, ("transformer_lens", "dense")),
    "mlp_leading": Case(mlp_leading, ("thin_svd",)),
}
