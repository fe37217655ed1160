"""The kinds of matrices that svdlens decomposes, one entry each: everything that is a fact about a kind stands here.

A new kind is a new entry of MATRIX_KINDS whose factors are weights that weights/extraction.py keeps. Schema, rules,
figures, exports, explorer and docs read this table. No tensors here: the Snakefile imports it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Factor:
    """A weight of TransformerLens in x @ W convention, as a factor of the matrix to decompose.

    weight: its name after "blocks.L.". reads: it takes the residual stream after a norm (W_Q, W_K, W_V, W_in,
    W_gate), so that read_gain and read_center of a setting apply to it; else it writes into the stream (W_O, W_out),
    and write_center does. transposed: the product takes its transpose.
    """

    weight: str
    reads: bool
    transposed: bool = False


@dataclass(frozen=True)
class Side:
    """A side of the matrix that lives in the residual stream, so that its singular vectors can be read as tokens.

    array: "left" or "right", its vectors in an SVD file. reads: a norm and its gain stand between the residual stream
    and this side. hook: TransformerLens' name, after "blocks.L.", of what the raw matrix reads or writes: of what comes
    into attention or MLP, after the norm and its gain, or of what W_O or W_out gives, biases included.
    """

    array: str
    reads: bool
    hook: str


@dataclass(frozen=True)
class MatrixKind:
    """One kind of matrix.

    name: in paths, tables and the configuration. title: in figures. short_title: in the explorer. per_head: one matrix
    for each head, else one for each layer. weight_group: the file under results/weights that has its factors. norm: the
    norm before the factors that read. sides: those in the residual stream, by name. sign_side: the one whose largest
    coordinate decides the sign of a direction (docs/decomposition.md): where both sides are in the residual stream, the
    one that writes (ov) or asks (qk).
    """

    name: str
    title: str
    short_title: str
    per_head: bool
    weight_group: str
    norm: str
    factors: tuple[Factor, ...]
    sides: Mapping[str, Side]
    sign_side: str

    @property
    def svd_switches(self) -> tuple[str, ...]:
        """The switches of a setting that change the singular value decomposition; settings equal in these share it."""
        reading = ("read_gain", "read_center") if any(factor.reads for factor in self.factors) else ()
        writing = ("write_center",) if any(not factor.reads for factor in self.factors) else ()
        return reading + writing

    def hook_of(self, side: str, read_gain: bool, shared_norm: bool = False) -> str:
        """TransformerLens' name, after "blocks.L.", of the activation on which vectors of this side act: what they give
        with it is what the matrix reads or writes along them. A matrix that has the gain of the norm before it in it,
        by the switch `read_gain`, reads what that norm gives before its gain; of a model with a `shared_norm` that
        before attention."""
        gained = read_gain and self.sides[side].reads
        norm = "ln1" if shared_norm else self.norm
        return f"{norm}.hook_normalized" if gained else self.sides[side].hook

    @property
    def sign_array(self) -> str:
        """ "left" or "right": the array of an SVD file whose vectors decide signs."""
        return self.sides[self.sign_side].array


KINDS = (
    MatrixKind(
        name="ov",
        title="attention OV",
        short_title="OV",
        per_head=True,
        weight_group="attention",
        norm="ln1",
        factors=(Factor("attn.W_V", reads=True), Factor("attn.W_O", reads=False)),
        sides={
            "read": Side("left", reads=True, hook="attn.hook_in"),
            "write": Side("right", reads=False, hook="attn.o.hook_out"),
        },
        sign_side="write",
    ),
    MatrixKind(
        name="qk",
        title="attention QK",
        short_title="QK",
        per_head=True,
        weight_group="attention",
        norm="ln1",
        factors=(Factor("attn.W_Q", reads=True), Factor("attn.W_K", reads=True, transposed=True)),
        sides={
            "query": Side("left", reads=True, hook="attn.hook_in"),
            "key": Side("right", reads=True, hook="attn.hook_in"),
        },
        sign_side="query",
    ),
    MatrixKind(
        name="mlp_in",
        title="MLP in",
        short_title="MLP in",
        per_head=False,
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_in", reads=True),),
        sides={"read": Side("left", reads=True, hook="mlp.hook_in")},
        sign_side="read",
    ),
    MatrixKind(
        name="mlp_gate",
        title="MLP gate",
        short_title="MLP gate",
        per_head=False,
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_gate", reads=True),),
        sides={"read": Side("left", reads=True, hook="mlp.hook_in")},
        sign_side="read",
    ),
    MatrixKind(
        name="mlp_out",
        title="MLP out",
        short_title="MLP out",
        per_head=False,
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_out", reads=False),),
        sides={"write": Side("right", reads=False, hook="mlp.out.hook_out")},
        sign_side="write",
    ),
)

MATRIX_KINDS = {kind.name: kind for kind in KINDS}
"""By name, in the order in which they are shown."""

SCALED = ("ov", "mlp_in", "mlp_gate", "mlp_out")
"""The kinds whose directions can be scaled in a weight of the model (edit/updates.py): no product of two that read."""

SIDES = tuple(dict.fromkeys(side for kind in KINDS for side in kind.sides))
"""The names of all sides."""


def layers_and_heads(
    shape: Sequence[int], matrix: str, numbers: Mapping[str, Sequence[int]] | None = None
) -> tuple[list[int], list[int | None]]:
    """Layer and head of each matrix of an SVD file, in its order; the head is None for kinds with one for each layer.

    `shape` is that of the file's `values`: [n_layers, n_heads, rank] or [n_layers, rank]. `numbers` are those of its
    `layers` and `heads` where it has not all of the model (stored_numbers).
    """
    numbers = numbers or {}
    layers = numbers.get("layers", range(shape[0]))
    if MATRIX_KINDS[matrix].per_head:
        heads = numbers.get("heads", range(shape[1]))
        return [layer for layer in layers for _ in heads], [head for _ in layers for head in heads]
    return list(layers), [None for _ in layers]


def stored_numbers(arrays: Mapping[str, Any]) -> dict[str, list[int]]:
    """The numbers of the layers and heads in an SVD file, or one of another basis, that has not all of its model."""
    return {name: arrays[name].tolist() for name in ("layers", "heads") if name in arrays}
