"""The noise that stability_noise is computed under: what rounding did to quantised weights, else noise of a given size.

A weight that was rounded to the nearest multiple of a step is off by anything up to half a step, with a variance of
step^2 / 12 (Widrow & Kollar 2008, chapter 5). All other weights get normal noise of `weight_noise` times the standard
deviation of their factor, as a yardstick.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from svdlens.spec.matrix_kinds import MATRIX_KINDS, Factor, Layer
from svdlens.svd.layer_by_layer import Task
from svdlens.weights.weight_files import WeightFile


@dataclass(frozen=True)
class WeightNoise:
    """relative: in standard deviations of a factor. steps: those of weights that were rounded, by the names and in the
    shapes that the file `weights` has them in."""

    relative: float
    weights: WeightFile
    steps: WeightFile

    def variances(
        self, matrix_factors: list[Float[Tensor, "... _ _"]], task: Task, layer: Layer, heads: Sequence[int]
    ) -> list[Float[Tensor, "... _ _"]]:
        """The variance of the noise on each weight of the factors of one matrix or of a batch of `heads` of a layer.

        In the shape of the factor, or with 1 in place of both sizes where all its weights have the same. A gain in the
        setting makes steps as much larger as weights; that centring takes the mean off the noise, too, one direction
        of d_model, is left out.
        """
        variances = []
        for weight, factor in zip(matrix_factors, MATRIX_KINDS[task.matrix].factors, strict=True):
            if factor.name(layer) in self.steps.names:
                variance = self.rounding_variance(factor, task, layer, heads)
                variances.append(variance.reshape(weight.shape).to(weight))
            else:
                deviation = weight.std(dim=(-2, -1), keepdim=True, correction=0)
                variances.append((self.relative * deviation).square())
        return variances

    def rounding_variance(
        self, factor: Factor, task: Task, layer: Layer, heads: Sequence[int]
    ) -> Float[Tensor, "... _ _"]:
        """step^2 / 12 of a rounded weight, [n_heads, ...] of `heads` or that of the layer, turned as the factor."""
        kind = MATRIX_KINDS[task.matrix]
        step = self.steps[factor.name(layer)]
        if factor.role == "reads" and task.setting.read_gain:
            step = step * self.weights[kind.norm_gain(layer)][:, None]
        if kind.per_head:
            # Heads that share keys and values (weights.factors.repeat_heads).
            n_heads = max(self.weights.length(factor.name(layer)) for factor in kind.factors)
            step = step[[head * len(step) // n_heads for head in heads]]
        variance = step.square() / 12
        return variance.mT if factor.transposed else variance

    def said(self, task: Task, layers: Sequence[Layer]) -> dict[str, str]:
        """By the name of each factor of a kind of matrix, the noise on it, in words."""
        said = {}
        for factor in MATRIX_KINDS[task.matrix].factors:
            rounded = [layer for layer in layers if factor.name(layer) in self.steps.names]
            words = f"normal, {self.relative:g} standard deviations"
            if rounded:
                where = "" if len(rounded) == len(layers) else f" in layers {', '.join(map(str, rounded))}"
                words = f"rounding of the stored weights{where}" + (f", else {words}" if where else "")
            said[factor.weight] = words
        return said
