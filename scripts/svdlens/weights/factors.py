"""The weights of a layer as a setting wants them: factors of the matrices to decompose, unembedding, embedding."""

from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS, Factor
from svdlens.spec.settings import Setting
from svdlens.weights.processing import process_reading, process_unembed, process_writing
from svdlens.weights.weight_files import WeightFile


def processed_factor(
    weights: WeightFile, layer: int, factor: Factor, norm: str, setting: Setting
) -> Float[Tensor, "... d_first d_last"]:
    """The weight of a factor as the setting wants it, not yet transposed; `norm` is ln1 or ln2. float64."""
    weight = weights[f"blocks.{layer}.{factor.weight}"]
    if not factor.reads:
        return process_writing(weight, setting)
    gain = weights[f"blocks.{layer}.{norm}.w"] if setting.read_gain else None
    return process_reading(weight, gain, setting)


def factors(
    weights: WeightFile, matrix: str, layer: int, setting: Setting
) -> list[Float[Tensor, "... d_first d_last"]]:
    """The processed factors whose product, in the convention x @ W, is the matrix (one per head, or one per layer).

    ov: W_V [n_heads, d_model, d_head], W_O [n_heads, d_head, d_model]. qk: W_Q, W_K^T likewise.
    mlp_in, mlp_gate: W_in, W_gate [d_model, d_mlp]. mlp_out: W_out [d_mlp, d_model]. float64.
    Key and value heads that several query heads share are repeated for each of them.
    """
    kind = MATRIX_KINDS[matrix]
    processed = [processed_factor(weights, layer, factor, kind.norm, setting) for factor in kind.factors]
    if kind.per_head:
        n_heads = max(len(weight) for weight in processed)
        processed = [repeat_heads(weight, n_heads) for weight in processed]
    return [weight.mT if factor.transposed else weight for weight, factor in zip(processed, kind.factors, strict=True)]


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
    for kind in MATRIX_KINDS.values():
        file = files[kind.weight_group]
        for factor in kind.factors:
            if f"blocks.0.{factor.weight}" not in file.names:
                continue
            for layer in range(file.layers):
                name = f"blocks.{layer}.{factor.weight}"
                tensors[name] = processed_factor(file, layer, factor, kind.norm, setting)
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}
