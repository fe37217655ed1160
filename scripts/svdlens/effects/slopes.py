"""First-order effects of all directions, from one forward and one backward pass over a text.

Scaled by 1 + eps, a direction adds eps a_t w to the output of its module at position t (edit/updates.py): a_t is the
activation (x_t - offset) read, w what it writes. So with g_t the gradient of a metric in that output

    d metric / d eps = sum_t a_t (w g_t),

and no gradient in a weight is needed. Both signs of a direction have the same eps, so that they share the slope.

On the logits a direction that writes into the residual stream has a direct effect as well, past all later layers. With
the final norm's scale s_t held fixed, the logits change by eps (a_t / s_t) W_U^T norm(w), so that the log-probability
of token j changes by

    eps (a_t / s_t) (W_U[:, j] - W_U p_t) norm(w),     norm(w) = gain * w, centred first by a layer norm.

Source: attribution patching (Nanda 2023; Syed, Rager & Conmy 2023) with scaling as what is done; direct logit
attribution (Elhage et al. 2021).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.edit.hooks import has_direct_path
from svdlens.edit.updates import Update, updates_by_module
from svdlens.effects.metrics import metric_sum, metric_terms
from svdlens.models.load import model_type, module_of
from svdlens.runtime.compute import single_threaded_pool
from svdlens.spec.architectures import ARCHITECTURES


@dataclass(frozen=True)
class Effects:
    """Means over the positions of a text, of the k directions of an update, float64.

    slope: d metric / d eps, nats per token. activation, square: of a_t and its square. frozen: of a_t / s_t, and
    expected: of (a_t / s_t) (W_U p_t) norm(w), of which direct_effects makes effects on tokens; NaN where the update
    has no direct path.
    """

    slope: Float[Tensor, " k"]
    activation: Float[Tensor, " k"]
    square: Float[Tensor, " k"]
    frozen: Float[Tensor, " k"]
    expected: Float[Tensor, " k"]


def measure_effects(
    model: nn.Module,
    windows: Int[Tensor, "n length"],
    updates: Sequence[Update],
    targets: Sequence[int] | None = None,
    workers: int = 1,
) -> tuple[float, list[Effects]]:
    """The metric on a text, and the effects of each of `updates`, whatever their eps.

    model: from load_model. targets: the tokens whose log-probability the metric is, None for the loss (metrics.py).
    workers: threads, each with a window at a time; results do not depend on their number.
    """
    wanted = None if targets is None else torch.tensor(targets)
    running = threading.local()
    network: Any = model
    handles = [network.get_input_embeddings().register_forward_hook(take_gradient)]
    for place, found in updates_by_module(updates).items():
        module = module_of(model, place[1], place[0])
        handles.append(module.register_forward_hook(recorder(running, [id(update) for update in found], found)))
    handles.append(module_of(model, "ln_final").register_forward_hook(final_recorder(running)))

    def of_window(window: Int[Tensor, " length"]) -> tuple[float, list[Effects]]:
        running.activations, running.slopes = {}, {}
        with torch.enable_grad():
            logits = network(window[None], use_cache=False).logits[0]
            metric = metric_sum(logits, window, wanted)
        metric.backward()
        terms = metric_terms(len(window), wanted)
        inputs, outputs = running.final
        stream = final_stream(model, inputs, outputs, logits.detach())
        return float(metric.detach()) / terms, [
            effects_of(model, update, running.activations[id(update)], running.slopes[id(update)] / terms, stream)
            for update in updates
        ]

    try:
        with single_threaded_pool(workers) as pool:
            results = list(pool.map(of_window, windows))
    finally:
        for handle in handles:
            handle.remove()
    metric = sum(value for value, _ in results) / len(results)
    return metric, [mean_effects([effects[i] for _, effects in results]) for i in range(len(updates))]


def recorder(running: Any, keys: Sequence[int], updates: Sequence[Update]) -> Any:
    """A forward hook that keeps the activations [length, k] of each update of a module, by its key, and on the way back
    the slopes; in `running`, since several threads run the model."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        activations, slopes = running.activations, running.slopes
        for key, update in zip(keys, updates, strict=True):
            acting = inputs[0].detach()[0, :, update.rows].double()
            if update.offset is not None:
                acting = acting - update.offset
            activations[key] = acting @ update.read.T

        def on_the_way_back(gradient: Tensor) -> None:
            for key, update in zip(keys, updates, strict=True):
                slopes[key] = (activations[key] * (gradient[0].double() @ update.write.T)).sum(dim=0)

        output.register_hook(on_the_way_back)

    return hook


def take_gradient(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """A forward hook at the embedding, from which on there are gradients; weights take none."""
    output.requires_grad_()


def final_recorder(running: Any) -> Any:
    """A forward hook that keeps what the final norm takes and gives, [length, d_model] each."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        running.final = (inputs[0].detach()[0].double(), output.detach()[0].double())

    return hook


# --- the direct path


@dataclass(frozen=True)
class FinalStream:
    """scale: s_t, by which the final norm divides. expected: norm^T (W_U p_t), whose product with what a direction
    writes is the mean that its logits change by."""

    scale: Float[Tensor, " length"]
    expected: Float[Tensor, "length d_model"]


def final_stream(
    model: nn.Module,
    inputs: Float[Tensor, "length d_model"],
    outputs: Float[Tensor, "length d_model"],
    logits: Float[Tensor, "length d_vocab"],
) -> FinalStream:
    """What the direct path needs to know of each position, from what the final norm takes and gives."""
    bias = getattr(module_of(model, "ln_final"), "bias", None)
    scaled = outputs if bias is None else outputs - bias
    scale = through_final_norm(model, inputs).norm(dim=-1) / scaled.norm(dim=-1)
    mean = (torch.softmax(logits, dim=-1) @ unembedding(model)).double()
    return FinalStream(scale, back_through_final_norm(model, mean))


def through_final_norm(model: nn.Module, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
    """norm(w) of each vector: what the final norm makes of it but for its scale and its bias."""
    return final_gain(model) * centred_if(model, vectors)


def back_through_final_norm(model: nn.Module, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
    """The transpose: y norm(w) = back(y) w."""
    return centred_if(model, final_gain(model) * vectors)


def centred_if(model: nn.Module, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
    """Less their mean over d_model where the final norm is a layer norm; RMSNorm takes none."""
    is_layer_norm = isinstance(module_of(model, "ln_final"), nn.LayerNorm)
    return vectors - vectors.mean(dim=-1, keepdim=True) if is_layer_norm else vectors


def final_gain(model: nn.Module) -> Float[Tensor, " d_model"]:
    norm: Any = module_of(model, "ln_final")
    gain: Tensor = ARCHITECTURES[model_type(model)].gain_offset + norm.weight.double()
    return gain


def unembedding(model: nn.Module) -> Float[Tensor, "d_vocab d_model"]:
    network: Any = model
    weight: Tensor = network.get_output_embeddings().weight
    return weight


def effects_of(
    model: nn.Module,
    update: Update,
    activations: Float[Tensor, "length k"],
    slope: Float[Tensor, " k"],
    stream: FinalStream,
) -> Effects:
    """The effects of an update in one window."""
    frozen = expected = torch.full_like(slope, torch.nan)
    if has_direct_path(model, update.weight):
        scaled = activations / stream.scale[:, None]
        frozen = scaled.mean(dim=0)
        expected = (scaled * (stream.expected @ update.write.T)).mean(dim=0)
    return Effects(slope, activations.mean(dim=0), activations.square().mean(dim=0), frozen, expected)


def mean_effects(windows: Sequence[Effects]) -> Effects:
    """The mean over windows, which are equally long."""
    names = [field.name for field in fields(Effects)]
    return Effects(**{name: torch.stack([getattr(one, name) for one in windows]).mean(dim=0) for name in names})


def direct_effects(model: nn.Module, update: Update, effects: Effects, ids: Int[Tensor, "k n"]) -> Float[Tensor, " k"]:
    """d / d eps of the mean log-probability of n tokens for each direction, through the direct path with the scale of
    the final norm held fixed; nats per token, the mean over all positions. NaN where there is no direct path."""
    vectors = back_through_final_norm(model, unembedding(model)[ids].double().mean(dim=1))
    return effects.frozen * (vectors * update.write).sum(dim=-1) - effects.expected
