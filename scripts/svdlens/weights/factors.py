"""The weights of a layer as a setting wants them: factors of the matrices to decompose, unembedding, embedding.

Of a difference or an adapter they are those of the change of a matrix (weights/change_extraction.py).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import MATRIX_KINDS, Factor, Layer, MatrixKind
from svdlens.spec.settings import Setting
from svdlens.weights.processing import process_reading, process_unembed, process_writing
from svdlens.weights.weight_files import WeightFile

MINUS = "minus."
"""What the names of the tensors that are taken away begin with, in a weight file of a difference."""


def processed_factor(
    weights: WeightFile, layer: Layer, factor: Factor, kind: MatrixKind, setting: Setting, begin: str = ""
) -> Float[Tensor, "... d_first d_last"]:
    """The weight of a factor of a kind of matrix as the setting wants it, not yet transposed. float64.

    begin: MINUS for that of the model that is taken away.
    """
    if factor.role == "unembeds":
        return unembed(weights, setting)
    weight = weights[begin + factor.name(layer)]
    if factor.role == "writes":
        return process_writing(weight, setting)
    gain = weights[begin + kind.norm_gain(layer)] if setting.read_gain else None
    return process_reading(weight, gain, setting)


def factors(
    weights: WeightFile, matrix: str, layer: Layer, setting: Setting
) -> list[Float[Tensor, "... d_first d_last"]]:
    """The processed factors whose product, in the convention x @ W, is the matrix of a layer, of each head, or of the
    model.

    ov: W_V [n_heads, d_model, d_head], W_O [n_heads, d_head, d_model]. qk: W_Q, W_K^T likewise.
    mlp_in, mlp_gate: W_in, W_gate [d_model, d_mlp]. mlp_out: W_out [d_mlp, d_model]. unembed: W_U
    [d_model, d_vocab]. embed: W_E [d_vocab, d_model]. float64.
    Key and value heads that several query heads share are repeated for each of them. Of a difference or an adapter
    they are those of the change. Raises SvdlensError for a kind that an adapter does not change.
    """
    kind = MATRIX_KINDS[matrix]
    if weights.low_rank:
        check_changed(weights, matrix)
        return low_rank_factors(weights, kind, layer, setting)
    changed = factors_of_model(weights, kind, layer, setting)
    if not any(name.startswith(MINUS) for name in weights.names):
        return changed
    return factors_of_difference(changed, factors_of_model(weights, kind, layer, setting, MINUS))


def factors_of_model(
    weights: WeightFile, kind: MatrixKind, layer: Layer, setting: Setting, begin: str = ""
) -> list[Float[Tensor, "... d_first d_last"]]:
    """See factors: of a model by itself, or of one of the two of a difference."""
    processed = [processed_factor(weights, layer, factor, kind, setting, begin) for factor in kind.factors]
    if kind.per_head:
        n_heads = max(len(weight) for weight in processed)
        processed = [repeat_heads(weight, n_heads) for weight in processed]
    return [weight.mT if factor.transposed else weight for weight, factor in zip(processed, kind.factors, strict=True)]


def factors_of_difference(
    changed: list[Float[Tensor, "... _ _"]], base: list[Float[Tensor, "... _ _"]]
) -> list[Float[Tensor, "... _ _"]]:
    """The factors of what `changed` gives less what `base` gives: one where they are one, else thin ones.

    A' B' - A B = (A' - A) B' + A (B' - B) = [A' - A, A] [B'; B' - B]. What did not change is exactly 0 in it.
    """
    if len(changed) == 1:
        return [changed[0] - base[0]]
    (first, second), (base_first, base_second) = changed, base
    return [torch.cat([first - base_first, base_first], dim=-1), torch.cat([second, second - base_second], dim=-2)]


def low_rank_factors(
    weights: WeightFile, kind: MatrixKind, layer: Layer, setting: Setting
) -> list[Float[Tensor, "... d_first d_last"]]:
    """The two factors of an adapter's change, those sides that are in the residual stream as the setting wants them.

    Gains and means are of d_model, so that they act on the outer side of a factor as they do on that of the product.
    """
    first, second = (weights[f"blocks.{layer}.{kind.name}.{which}"] for which in ("first", "second"))
    gain = weights[kind.norm_gain(layer)] if setting.read_gain else None
    for side in kind.sides.values():
        outer = first if side.array == "left" else second.mT
        processed = process_reading(outer, gain, setting) if side.reads else process_writing(outer.mT, setting).mT
        first, second = (processed, second) if side.array == "left" else (first, processed.mT)
    return [first, second]


def check_changed(weights: WeightFile, matrix: str) -> None:
    """Raises SvdlensError for a kind of matrix that is not in a weight file of an adapter."""
    if f"blocks.0.{matrix}.first" not in weights.names:
        raise SvdlensError(
            f"the adapter changes no {matrix}. List for the model only what it changes, under `matrices`; "
            "docs/models.md#adapters says which modules make which matrices."
        )


def count_heads(weights: WeightFile, matrix: str) -> int:
    """The number of heads of a kind of matrix that has them. Raises SvdlensError as factors does."""
    if weights.low_rank:
        check_changed(weights, matrix)
        return weights.length(f"blocks.0.{matrix}.first")
    return max(weights.length(factor.name(0)) for factor in MATRIX_KINDS[matrix].factors)


def repeat_heads(
    weight: Float[Tensor, "n_key_value_heads d_model d_head"], n_heads: int
) -> Float[Tensor, "n_heads d_model d_head"]:
    """Query head h uses key and value head h // (n_heads / n_key_value_heads) (Ainslie et al. 2023, GQA)."""
    return weight.repeat_interleave(n_heads // len(weight), dim=0)


def unembed(weights: WeightFile, setting: Setting) -> Float[Tensor, "d_model d_vocab"]:
    """The processed W_U, float64."""
    gain = weights["ln_final.w"] if setting.unembed_gain else None
    return process_unembed(weights["unembed.W_U"], gain, setting)


def embedding(weights: WeightFile, setting: Setting) -> Float[Tensor, "d_vocab d_model"]:
    """The processed W_E, float64. TransformerLens counts it among the writing weights."""
    return process_writing(weights["embed.W_E"], setting)


def processed_weights(
    attention: WeightFile, mlp: WeightFile, unembedding: WeightFile, setting: Setting
) -> dict[str, Tensor]:
    """Every matrix of the model as the setting wants it, float32, under TransformerLens' names."""
    tensors = {"embed.W_E": embedding(unembedding, setting)}
    if "unembed.W_U" in unembedding.names:
        tensors["unembed.W_U"] = unembed(unembedding, setting)
    files = {"attention": attention, "mlp": mlp}
    for kind in filter(lambda kind: kind.in_layers, MATRIX_KINDS.values()):
        file = files[kind.weight_group]
        for factor in kind.factors:
            if factor.name(0) not in file.names:
                continue
            for layer in range(file.layers):
                tensors[factor.name(layer)] = processed_factor(file, layer, factor, kind, setting)
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}
