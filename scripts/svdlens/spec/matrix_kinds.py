"""The kinds of matrices that svdlens decomposes, one entry each: everything that is a fact about a kind stands here.

A new kind is a new entry of MATRIX_KINDS whose factors are weights that weights/extraction.py keeps. Schema, rules,
figures, exports, explorer and docs read this table. No tensors here: the Snakefile imports it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Layer = int | None
"""The number of a layer; None of a matrix that is the whole model's."""

SWITCHES_BY_ROLE = {
    "reads": ("read_gain", "read_center"),
    "writes": ("write_center",),
    "unembeds": ("unembed_gain", "unembed_center", "vocab_center"),
}
"""The switches of a setting that change a weight, by what it does (Factor.role)."""


@dataclass(frozen=True)
class Factor:
    """A weight of TransformerLens in x @ W convention, as a factor of the matrix to decompose.

    weight: its name, of weights of a layer without "blocks.L.". role: it "reads" the residual stream after a norm (W_Q,
    W_K, W_V, W_in, W_gate), "writes" into it (W_O, W_out, W_E), or "unembeds" it after the last norm (W_U).
    transposed: the product takes its transpose.
    """

    weight: str
    role: Literal["reads", "writes", "unembeds"]
    transposed: bool = False

    def name(self, layer: Layer) -> str:
        """The name of the weight in a weight file."""
        return name_in_layer(self.weight, layer)


def name_in_layer(name: str, layer: Layer) -> str:
    """TransformerLens' name of a weight or a hook of a layer, or of the whole model."""
    return name if layer is None else f"blocks.{layer}.{name}"


@dataclass(frozen=True)
class Side:
    """A side of the matrix that lives in the residual stream, so that its singular vectors can be read as tokens.

    array: "left" or "right", its vectors in an SVD file. reads: a norm and its gain stand between the residual stream
    and this side. hook: TransformerLens' name, in layers without "blocks.L.", of what the raw matrix reads or writes:
    of what comes into attention, MLP or unembedding, after the norm and its gain, or of what W_O, W_out or W_E gives,
    biases included.
    """

    array: str
    reads: bool
    hook: str


@dataclass(frozen=True)
class MatrixKind:
    """One kind of matrix.

    name: in paths, tables and the configuration. title: in figures. short_title: in the explorer. per: there is one
    matrix for each head, for each layer, or for the model. weight_group: the file under results/weights that has its
    factors. norm: the norm before the factors that read, empty where there is none. sides: those in the residual
    stream, by name. sign_side: the one whose largest coordinate decides the sign of a direction
    (docs/decomposition.md): where both sides are in the residual stream, the one that writes (ov) or asks (qk).
    """

    name: str
    title: str
    short_title: str
    per: Literal["head", "layer", "model"]
    weight_group: str
    norm: str
    factors: tuple[Factor, ...]
    sides: Mapping[str, Side]
    sign_side: str

    @property
    def per_head(self) -> bool:
        """Whether there is one matrix for each head."""
        return self.per == "head"

    @property
    def in_layers(self) -> bool:
        """Whether each layer has its own, or its heads have."""
        return self.per != "model"

    @property
    def svd_switches(self) -> tuple[str, ...]:
        """The switches of a setting that change the singular value decomposition; settings equal in these share it."""
        roles = {factor.role for factor in self.factors}
        return tuple(switch for role, switches in SWITCHES_BY_ROLE.items() if role in roles for switch in switches)

    def has_gain(self, setting: Any) -> bool:
        """Whether the matrix has the gain of the norm before it in it, in a spec.settings.Setting."""
        return bool(setting.read_gain if self.in_layers else setting.unembed_gain)

    def norm_gain(self, layer: Layer) -> str:
        """The name in a weight file of the gain of the norm before the matrix."""
        return name_in_layer(f"{self.norm}.w", layer)

    def hook_of(self, side: str, setting_gain: bool, layer: Layer, shared_norm: bool = False) -> str:
        """TransformerLens' name of the activation on which vectors of this side act: what they give with it is what the
        matrix reads or writes along them. A matrix that has the gain of the norm before it in it, `setting_gain`, reads
        what that norm gives before its gain; of a model with a `shared_norm` that before attention."""
        gained = setting_gain and self.sides[side].reads
        norm = "ln1" if shared_norm and self.in_layers else self.norm
        return name_in_layer(f"{norm}.hook_normalized" if gained else self.sides[side].hook, layer)

    @property
    def sign_array(self) -> str:
        """ "left" or "right": the array of an SVD file whose vectors decide signs."""
        return self.sides[self.sign_side].array


KINDS = (
    MatrixKind(
        name="ov",
        title="attention OV",
        short_title="OV",
        per="head",
        weight_group="attention",
        norm="ln1",
        factors=(Factor("attn.W_V", "reads"), Factor("attn.W_O", "writes")),
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
        per="head",
        weight_group="attention",
        norm="ln1",
        factors=(Factor("attn.W_Q", "reads"), Factor("attn.W_K", "reads", transposed=True)),
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
        per="layer",
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_in", "reads"),),
        sides={"read": Side("left", reads=True, hook="mlp.hook_in")},
        sign_side="read",
    ),
    MatrixKind(
        name="mlp_gate",
        title="MLP gate",
        short_title="MLP gate",
        per="layer",
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_gate", "reads"),),
        sides={"read": Side("left", reads=True, hook="mlp.hook_in")},
        sign_side="read",
    ),
    MatrixKind(
        name="mlp_out",
        title="MLP out",
        short_title="MLP out",
        per="layer",
        weight_group="mlp",
        norm="ln2",
        factors=(Factor("mlp.W_out", "writes"),),
        sides={"write": Side("right", reads=False, hook="mlp.out.hook_out")},
        sign_side="write",
    ),
    MatrixKind(
        name="unembed",
        title="unembedding",
        short_title="Unembed",
        per="model",
        weight_group="unembed",
        norm="ln_final",
        factors=(Factor("unembed.W_U", "unembeds"),),
        sides={"read": Side("left", reads=True, hook="unembed.hook_in")},
        sign_side="read",
    ),
    MatrixKind(
        name="embed",
        title="embedding",
        short_title="Embed",
        per="model",
        weight_group="unembed",
        norm="",
        factors=(Factor("embed.W_E", "writes"),),
        sides={"write": Side("right", reads=False, hook="embed.hook_out")},
        sign_side="write",
    ),
)

MATRIX_KINDS = {kind.name: kind for kind in KINDS}
"""By name, in the order in which they are shown."""

SCALED = ("ov", "mlp_in", "mlp_gate", "mlp_out")
"""The kinds whose directions can be scaled in a weight of the model (edit/updates.py): no product of two that read."""

OF_THE_MODEL = tuple(name for name, kind in MATRIX_KINDS.items() if not kind.in_layers)
"""The kinds that a model has one matrix of, whose other side is the vocabulary."""

SIDES = tuple(dict.fromkeys(side for kind in KINDS for side in kind.sides))
"""The names of all sides."""


def layers_and_heads(
    shape: Sequence[int], matrix: str, numbers: Mapping[str, Sequence[int]] | None = None
) -> tuple[list[Layer], list[int | None]]:
    """Layer and head of each matrix of an SVD file, in its order; None where the kind has not one for each.

    `shape` is that of the file's `values`: [n_layers, n_heads, rank] or [n_layers, rank], [1, rank] of a kind that the
    model has one of. `numbers` are those of its `layers` and `heads` where it has not all of the model
    (stored_numbers).
    """
    if not MATRIX_KINDS[matrix].in_layers:
        return [None], [None]
    layers, heads = numbered_layers(shape, matrix, numbers)
    return list(layers), heads


def numbered_layers(
    shape: Sequence[int], matrix: str, numbers: Mapping[str, Sequence[int]] | None = None
) -> tuple[list[int], list[int | None]]:
    """layers_and_heads of a kind that each layer has its own of, or its heads."""
    numbers = numbers or {}
    layers = numbers.get("layers", range(shape[0]))
    heads = list(numbers.get("heads", range(shape[1]))) if MATRIX_KINDS[matrix].per_head else [None]
    return [layer for layer in layers for _ in heads], [head for _ in layers for head in heads]


def stored_numbers(arrays: Mapping[str, Any]) -> dict[str, list[int]]:
    """The numbers of the layers and heads in an SVD file, or one of another basis, that has not all of its model."""
    return {name: arrays[name].tolist() for name in ("layers", "heads") if name in arrays}
