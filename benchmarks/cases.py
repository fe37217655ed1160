"""What is measured: for each case the shapes, the peers, and what svdlens and each peer do.

A case is a function of a shape and a contender ("ours" or a peer) that makes the input and returns the work, and by how
much its time is to be divided. Weights are random numbers in float32, as a checkpoint has them: none of this depends on
their values, but for the routes that a bound decides on, which real weights take as well (docs/decomposition.md).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from svdlens.activations.acting import Acting
from svdlens.activations.passages import Passages
from svdlens.activations.peaks import find_peaks
from svdlens.edit.updates import Update, direction_update
from svdlens.effects.metrics import metric_sum
from svdlens.effects.slopes import measure_effects
from svdlens.models.load import count_of, model_type
from svdlens.readout.readout_matrix import readout_matrix
from svdlens.readout.top_tokens import ReadoutMatrix, fastest_precision, top_tokens
from svdlens.runtime.compute import single_threaded_pool
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SCALED, layers_and_heads
from svdlens.spec.settings import Setting, list_key, setting_from_names, svd_key
from svdlens.svd.matrix_svd import decompose, decompose_dense, decompose_product, fix_signs
from svdlens.trace.cosines import query_vector
from svdlens.trace.queries import QueryTokens
from svdlens.trace.rounds import trace_queries
from svdlens.trace.trace_model import Directions
from svdlens.trace.trace_table import all_directions, direction_keys
from svdlens.weights.factors import factors

THREADS = os.cpu_count() or 1
DIRECTIONS = 64
TOKENS = 50
MATRICES = ("ov", "mlp_in", "mlp_out")
FLAGS = ("fold_ln", "center_writing_weights", "center_unembed")
SETTINGS = {
    ",".join(names): setting_from_names("", names)
    for names in (
        [],
        *([flag] for flag in FLAGS),
        *([flag for flag in FLAGS if flag != left_out] for left_out in FLAGS),
        FLAGS,
        ["read_gain"],
    )
}
"""The nine settings of the paper's sweep."""

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
    """`rounds`: how often each contender is measured, in turns. `repeats`: at most so often within a process."""

    prepare: Callable[[str, str], Work]
    peers: tuple[str, ...]
    shapes: tuple[str, ...] = tuple(SHAPES)
    rounds: int = 3
    repeats: int = 30


def random_weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- SVD


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


# --- read-out


def readout(shape: str, who: str, precision: str | None = None) -> Work:
    """1,024 unit directions, both signs, the 50 best tokens of each; the matrix is prepared before."""
    size = SHAPES[shape]
    directions = torch.nn.functional.normalize(random_weights(1024, size.d_model, seed=1))
    W_U = random_weights(size.d_model, size.d_vocab, seed=2)
    if who == "ours":
        matrix = ReadoutMatrix(W_U)
        matrix.approximation(precision or fastest_precision(*matrix.columns.shape, matrix.device))
        return lambda: top_tokens(directions, matrix, TOKENS, THREADS, precision), 1
    return lambda: directions @ W_U, 1


def readout_bfloat16(shape: str, who: str) -> Work:
    """The same, the candidates found in bfloat16."""
    return readout(shape, who, "bfloat16")


def readout_float32(shape: str, who: str) -> Work:
    """The same, the candidates found in float32."""
    return readout(shape, who, "float32")


# --- examples

LINE, LINES = 25, 5  # tokens in a line, lines in a window
EXAMPLE_TOKENS = 5000


def examples(shape: str, who: str) -> Work:
    """The ten best places of 5,000 tokens of every direction of a model, both signs, against the forward pass."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = SHAPES.get(shape, Shape(30, 9, 576, 64, 49152))
    torch.manual_seed(0)
    sizes = {"hidden_size": size.d_model, "num_attention_heads": size.n_heads, "num_hidden_layers": size.n_layers}
    d_mlp = 8 * size.d_model // 3
    config = LlamaConfig(
        **sizes, vocab_size=size.d_vocab, intermediate_size=d_mlp, num_key_value_heads=size.n_heads // 3 or 1
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    starts = np.arange(0, EXAMPLE_TOKENS, LINE)
    windows = [(line, line + LINES) for line in range(0, len(starts), LINES)]
    ids = np.random.default_rng(0).integers(0, size.d_vocab, EXAMPLE_TOKENS)
    passages = Passages("", ids, np.zeros(EXAMPLE_TOKENS + 1, dtype=np.int64), starts, windows, [1])
    directions = [
        Acting(layer, module, torch.nn.functional.normalize(random_weights(n * DIRECTIONS, size.d_model, seed=layer)))
        for layer in range(size.n_layers)
        for module, n in (("ln1", size.n_heads), ("attn.W_O", size.n_heads), ("ln2", 2), ("mlp.W_out", 1))
    ]
    return lambda: find_peaks(model, passages, directions if who == "ours" else [], 10, THREADS), 1


# --- whole models


class RandomModel(dict[str, torch.Tensor]):
    """The weights of a model under TransformerLens' names, float32; given out in float64, as a WeightFile does."""

    low_rank = False

    def __init__(self, size: Shape) -> None:
        W_U = random_weights(size.d_model, size.d_vocab, seed=9)
        super().__init__({"unembed.W_U": W_U, "embed.W_E": W_U.T, "ln_final.w": 1 + random_weights(size.d_model)})
        for layer in range(size.n_layers):
            block, d_mlp = f"blocks.{layer}", 4 * size.d_model
            self[f"{block}.attn.W_V"] = random_weights(size.n_heads, size.d_model, size.d_head, seed=4 * layer)
            self[f"{block}.attn.W_O"] = random_weights(size.n_heads, size.d_head, size.d_model, seed=4 * layer + 1)
            self[f"{block}.mlp.W_in"] = random_weights(size.d_model, d_mlp, seed=4 * layer + 2)
            self[f"{block}.mlp.W_out"] = random_weights(d_mlp, size.d_model, seed=4 * layer + 3)
            self[f"{block}.ln1.w"] = self[f"{block}.ln2.w"] = 1 + random_weights(size.d_model, seed=layer)

    def __getitem__(self, name: str) -> torch.Tensor:
        return super().__getitem__(name).double()

    @property
    def names(self) -> set[str]:
        return set(self)


def decompose_model(model: RandomModel, size: Shape, matrix: str, setting: Setting) -> dict[str, torch.Tensor]:
    """The leading vectors of all matrices of one kind, on each side in the residual stream, float32."""
    torch.set_num_threads(1)
    sides: dict[str, list[torch.Tensor]] = {side: [] for side in MATRIX_KINDS[matrix].sides}
    with single_threaded_pool(THREADS) as pool:
        futures = []
        for layer in range(size.n_layers):
            parts = factors(model, matrix, layer, setting)
            heads = zip(*parts, strict=True) if MATRIX_KINDS[matrix].per_head else [parts]
            futures += [pool.submit(decompose, [part.clone() for part in one], DIRECTIONS) for one in heads]
        for future in futures:
            svd = fix_signs(future.result(), matrix)
            for name, side in MATRIX_KINDS[matrix].sides.items():
                sides[name].append(getattr(svd, side.array).float())
    torch.set_num_threads(THREADS)
    return {side: torch.cat(vectors) for side, vectors in sides.items()}


def run_settings(model: RandomModel, size: Shape, settings: dict[str, Setting]) -> None:
    """Decompose and read a model in some settings, nothing twice: what the rules of the workflow share is shared."""
    for matrix in MATRICES:
        decomposed: dict[str, dict[str, torch.Tensor]] = {}
        settings_by_lists = {str(list_key(setting, matrix, ["W_U"])): setting for setting in settings.values()}
        for setting in settings_by_lists.values():
            key = str(svd_key(setting, matrix))
            if key not in decomposed:
                decomposed[key] = decompose_model(model, size, matrix, setting)
            W_U = ReadoutMatrix(readout_matrix(model, replace(setting, vocab_center=False), "W_U"))
            for vectors in decomposed[key].values():
                top_tokens(vectors, W_U, TOKENS, THREADS)


def whole_model(shape: str, who: str) -> Work:
    """SVD and read-out of all heads (both sides) and MLP matrices, against the bare multiplications it contains."""
    size = SHAPES[shape]
    if who == "ours":
        model = RandomModel(size)
        return lambda: run_settings(model, size, {"raw": Setting()}), 1
    W_U = random_weights(size.d_model, size.d_vocab, seed=9)
    directions = random_weights(1024, size.d_model, seed=1)
    rows = DIRECTIONS * (2 * size.n_heads + 2) * size.n_layers

    def multiply() -> None:
        for at in range(0, rows, 1024):
            directions[: min(1024, rows - at)] @ W_U

    return multiply, 1


def interpreter_rows(shape: str, who: str) -> Work:
    """The rows that SVDInterpreter can make: written by each head, read by MLP-in, written by MLP-out."""
    size = SHAPES[shape]
    model = RandomModel(size)
    if who == "ours":

        def ours() -> None:
            W_U = ReadoutMatrix(readout_matrix(model, Setting(), "W_U"))
            for matrix, side in (("ov", "write"), ("mlp_in", "read"), ("mlp_out", "write")):
                vectors = decompose_model(model, size, matrix, Setting())[side]
                top_tokens(vectors, W_U, TOKENS, THREADS)

        return ours, 1
    from types import SimpleNamespace

    from transformer_lens import SVDInterpreter

    config = SimpleNamespace(n_layers=size.n_layers, n_heads=size.n_heads, d_vocab=size.d_vocab)
    interpreter = SVDInterpreter(SimpleNamespace(cfg=config, tl_parameters=lambda: dict(model.items())))

    def peer() -> None:
        for layer in range(size.n_layers):
            wanted = [("OV", head) for head in range(size.n_heads)] + [("w_in", None), ("w_out", None)]
            for kind, head in wanted:
                scores = interpreter.get_singular_vectors(kind, layer, num_vectors=DIRECTIONS, head_index=head)
                for sign in (+1, -1):
                    (sign * scores).topk(TOKENS, dim=0)

    return peer, 1


def nine_settings(shape: str, who: str) -> Work:
    """All nine settings of the paper's sweep against one."""
    size = SHAPES[shape]
    model = RandomModel(size)
    settings = SETTINGS if who == "ours" else {"raw": Setting()}
    return lambda: run_settings(model, size, settings), 1


# --- trace


def trace(shape: str, who: str) -> Work:
    """100 queries of three words over the leading 64 directions of every head, both sides, and of every MLP matrix, in
    memory: cosines, standard scores and q values beside 200 random queries, and the tables of what is nearest. All
    words are of one band of frequency, so that the queries share the random ones. Against the cosines alone. Random
    numbers stand for the directions and for the vectors of the tokens."""
    size = SHAPES[shape]
    kinds = {"ov": (("read", "write"), size.n_heads), "mlp_in": (("read",), 1), "mlp_out": (("write",), 1)}
    vectors, matrices = {}, {}
    for number, (matrix, (sides, heads)) in enumerate(kinds.items()):
        n = size.n_layers * heads
        vectors[matrix] = {side: random_weights(n, DIRECTIONS, size.d_model, seed=number) for side in sides}
        stored = (size.n_layers, heads, DIRECTIONS) if matrix == "ov" else (n, DIRECTIONS)
        matrices[matrix] = layers_and_heads(stored, matrix)
    directions = Directions(all_directions(vectors), direction_keys(vectors, matrices))
    tokens = random_weights(size.d_vocab, size.d_model, seed=9).double()
    words = [[[3 * query + word] for word in range(3)] for query in range(min(100, size.d_vocab // 3))]
    queries = {str(number): QueryTokens(["a", "b", "c"], ids) for number, ids in enumerate(words)}
    log_ranks = torch.arange(1, size.d_vocab + 1).log().numpy()
    options = {"null": 200, "seed": 0, "threads": THREADS, "level": 0.05, "least_cosine": 0.15, "iterative": False}
    if who == "ours":
        torch.set_num_threads(1)
        return lambda: trace_queries(queries, tokens, log_ranks, directions, directions.keys, **options), 1
    asked = torch.stack([query_vector(tokens, query.ids) for query in queries.values()]).float()
    return lambda: torch.nn.functional.normalize(asked) @ torch.nn.functional.normalize(directions.vectors).T, 1


# --- effects

LLAMA_SHAPES = {"smollm2": (Shape(30, 9, 576, 64, 49152), {"num_key_value_heads": 3, "intermediate_size": 1536})}
TEXT_TOKENS, WINDOW = 1024, 256


def language_model(shape: str) -> torch.nn.Module:
    """A model with random weights in the shape of GPT-2 or of SmolLM2, without gradients, as load_model gives it."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if shape in LLAMA_SHAPES:
        size, more = LLAMA_SHAPES[shape]
        sizes = {"num_hidden_layers": size.n_layers, "hidden_size": size.d_model, "num_attention_heads": size.n_heads}
        config = LlamaConfig(**sizes, **more, vocab_size=size.d_vocab, tie_word_embeddings=True)
        return LlamaForCausalLM(config).eval().requires_grad_(False)
    size = SHAPES[shape]
    sizes = {"n_layer": size.n_layers, "n_embd": size.d_model, "n_head": size.n_heads, "vocab_size": size.d_vocab}
    return GPT2LMHeadModel(GPT2Config(**sizes)).eval().requires_grad_(False)


def direction_updates(model: torch.nn.Module) -> list[Update]:
    """So many orthonormal directions of every matrix as a sweep keeps, as updates."""
    updates = []
    for matrix in SCALED if model_type(model) == "llama" else ("ov", "mlp_in", "mlp_out"):
        heads = range(count_of(model, "n_heads")) if MATRIX_KINDS[matrix].per_head else [None]
        for layer in range(count_of(model, "n_layer")):
            for head in heads:
                vectors = random_weights(count_of(model, "d_model"), DIRECTIONS, seed=layer)
                vectors = torch.linalg.qr(vectors.double())[0].T
                updates.append(direction_update(model, matrix, Setting(), layer, head, vectors))
    return updates


def first_order_effects(shape: str, who: str) -> Work:
    """First-order and direct effects of all directions of a model on 1,024 tokens, against the forward and backward
    pass alone: to the embedding, as ours, or with gradients in all weights."""
    model = language_model(shape)
    vocabulary = model.get_input_embeddings().num_embeddings
    windows = torch.randint(0, vocabulary, (TEXT_TOKENS // WINDOW, WINDOW))
    if who == "ours":
        updates = direction_updates(model)
        return lambda: measure_effects(model, windows, updates, None, THREADS), 1
    model.requires_grad_(who == "weight_gradients")

    def one(window: torch.Tensor) -> None:
        embedded = model.get_input_embeddings()(window[None])
        embedded = embedded if who == "weight_gradients" else embedded.requires_grad_()
        metric_sum(model(inputs_embeds=embedded, use_cache=False).logits[0], window, None).backward()

    def passes() -> None:
        with single_threaded_pool(THREADS) as pool:
            list(pool.map(one, windows))

    return passes, 1


LARGE_CASE = {"rounds": 1, "repeats": 1}
CASES = {
    "ov_layer": Case(ov_layer, ("transformer_lens", "dense")),
    "mlp_leading": Case(mlp_leading, ("thin_svd",)),
    "readout": Case(readout, ("fp32_multiply",)),
    "readout_bfloat16": Case(readout_bfloat16, ("fp32_multiply",)),
    "readout_float32": Case(readout_float32, ("fp32_multiply",)),
    "examples": Case(examples, ("forward_pass",), ("smollm2-135m",), **LARGE_CASE),
    "whole_model": Case(whole_model, ("fp32_multiply",), ("gpt2-medium",), **LARGE_CASE),
    "whole_model_interpreter_rows": Case(interpreter_rows, ("svd_interpreter",), ("gpt2-medium",), **LARGE_CASE),
    "trace": Case(trace, ("cosines",), ("gpt2-large",)),
    "first_order_effects": Case(
        first_order_effects, ("forward_backward", "weight_gradients"), ("gpt2-small", "smollm2"), repeats=2
    ),
    "nine_settings": Case(nine_settings, ("one_setting",), ("gpt2-small",), **LARGE_CASE),
}
