"""How strongly directions fire on a prompt, and what that does to the logit of the token that follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.activations.acting import acting
from svdlens.activations.examples import SVD
from svdlens.edit.hooks import has_direct_path
from svdlens.edit.updates import EDITED, direction_update
from svdlens.models.load import count_of, model_type, module_of, weight_of
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS, numbered_layers, stored_numbers
from svdlens.spec.settings import Setting
from svdlens.svd.null_space import null_space


@dataclass(frozen=True)
class Pass:
    """One forward pass over a prompt of t tokens. targets: the token that follows each; after the last, the most
    probable one. inputs and outputs: of modules of layers, by layer and name, [t, size], float64. logit_gradient: of
    the logit of each target less the mean over the vocabulary, with respect to the last residual stream, the scale of
    the final norm held as it is."""

    ids: Int[Tensor, " t"]
    targets: Int[Tensor, " t"]
    inputs: Mapping[tuple[int, str], Tensor]
    outputs: Mapping[tuple[int, str], Tensor]
    logit_gradient: Float[Tensor, "t d_model"]


def run_prompt(model: nn.Module, ids: Int[Tensor, "1 t"], names: list[tuple[int, str]]) -> Pass:
    """The pass of `model` (load_model) over one prompt, with what the modules in `names` take and give."""
    inputs: dict[Any, Tensor] = {}
    outputs: dict[Any, Tensor] = {}

    def hook_of(name: tuple[int | None, str]) -> Any:
        def hook(module: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
            inputs[name], outputs[name] = taken[0][0].double(), given[0].double()

        return hook

    last = (None, "ln_final")
    handles = [
        module_of(model, name, layer).register_forward_hook(hook_of((layer, name))) for layer, name in [*names, last]
    ]
    try:
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits[0].double()
    finally:
        for handle in handles:
            handle.remove()
    targets = torch.cat([ids[0, 1:], logits[-1].argmax()[None]])
    gradient = logit_gradient(model, inputs.pop(last), targets)
    return Pass(ids[0], targets, inputs, outputs, gradient)


def logit_gradient(
    model: nn.Module, residual: Float[Tensor, "t d_model"], targets: Int[Tensor, " t"]
) -> Float[Tensor, "t d_model"]:
    """(W_U[target] - mean of W_U) times the gain of the final norm over its scale, at each position; where the norm
    takes the mean, without it. A cap on logits is not in it."""
    norm: Any = module_of(model, "ln_final")
    unembedding = model.get_output_embeddings().weight.double()  # type: ignore[operator]
    towards = unembedding[targets] - unembedding.mean(dim=0)
    gain = ARCHITECTURES[model_type(model)].gain_offset + norm.weight.double()
    eps = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    towards = towards * gain
    if isinstance(norm, nn.LayerNorm):
        residual = residual - residual.mean(dim=-1, keepdim=True)
        towards = towards - towards.mean(dim=-1, keepdim=True)
    return towards / (residual.square().mean(dim=-1, keepdim=True) + eps).sqrt()


@dataclass(frozen=True)
class Firing:
    """How the directions of one matrix fire. index [k] of each. firing [k, t]: how much of it the matrix writes, or of
    what it reads, at each position. effect [k, t]: what that adds to the logit of the target, or None for a matrix that
    does not write into the residual stream."""

    matrix: str
    layer: int
    head: int | None
    index: list[int]
    firing: Float[Tensor, "k t"]
    effect: Float[Tensor, "k t"] | None


def modules_of(svds: Mapping[str, SVD]) -> list[tuple[int, str]]:
    """The modules that run_prompt must see for these matrices."""
    found = []
    for matrix, svd in svds.items():
        kind = MATRIX_KINDS[matrix]
        name = EDITED[matrix] if "write" in kind.sides else kind.norm
        layers, _ = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
        found += [(layer, name) for layer in layers]
    return list(dict.fromkeys(found))


def firings(model: nn.Module, seen: Pass, svds: Mapping[str, SVD], setting: Setting) -> list[Firing]:
    """Of every matrix but QK, in the order of `svds`, layer by layer and head by head; without null space."""
    found = []
    for matrix, svd in svds.items():
        if matrix not in EDITED:
            continue
        writes = "write" in MATRIX_KINDS[matrix].sides
        array = svd["right" if writes else "left"]
        places = numbered_layers(svd["values"].shape, matrix, stored_numbers(svd))
        live = ~torch.from_numpy(null_space(svd["values"].numpy()))[..., : array.shape[-2]]
        cells = zip(*places, array.flatten(0, -3), live.flatten(0, -2), strict=True)
        for layer, head, vectors, is_live in cells:
            vectors = vectors[is_live].double()
            effect = None
            if writes:
                update = direction_update(model, matrix, setting, layer, head, vectors)
                firing = update.read @ seen.inputs[layer, update.weight][:, update.rows].T
                if has_direct_path(model, update.weight):
                    effect = firing * (vectors @ seen.logit_gradient.T)
            else:
                one = acting(model, matrix, "read", setting, layer, vectors)
                read = seen.outputs[layer, one.module]
                offset = 0.0 if one.offset is None else one.offset.double()
                firing = one.vectors.double() @ (read - offset).T
            found.append(Firing(matrix, layer, head, is_live.nonzero()[:, 0].tolist(), firing, effect))
    return found


def top_pairs(model: nn.Module, seen: Pass, svd: SVD | None, setting: Setting, n: int) -> dict[str, list[Any]]:
    """Columns of the `n` pairs of positions, directions of QK and heads with the largest share of an attention logit.

    The share of direction i is s_i (x_q u_i) (x_k v_i) / sqrt(d_head), x being what query and key are read from; what
    biases and rotary positions do is not in it. A query sees itself and what comes before it. svd: of QK; without it
    there are no pairs.
    """
    if svd is None:
        names = ("layer", "head", "index", "query_position", "key_position", "share", "query_firing", "key_firing")
        return {name: [] for name in names}
    t = len(seen.ids)
    places = numbered_layers(svd["values"].shape, "qk", stored_numbers(svd))
    causal = torch.ones(t, t, dtype=torch.bool).tril()
    d_head = len(weight_of(module_of(model, "attn.W_O", 0))) // count_of(model, "n_heads")
    rows: list[Tensor] = []
    keys: list[tuple[int, int | None]] = list(zip(*places, strict=True))
    arrays = (svd["left"].flatten(0, -3), svd["right"].flatten(0, -3), svd["values"].flatten(0, -2))
    for number, ((layer, _), left, right, values) in enumerate(zip(keys, *arrays, strict=True)):
        fired = []
        for side, vectors in (("query", left), ("key", right)):
            one = acting(model, "qk", side, setting, layer, vectors)
            read = seen.outputs[layer, one.module] - (0.0 if one.offset is None else one.offset.double())
            fired.append(one.vectors.double() @ read.T)
        query, key = fired
        for index in range(len(left)):
            share = values[index] * query[index][:, None] * key[index] / d_head**0.5
            share = torch.where(causal, share, 0.0)
            chosen = share.abs().flatten().topk(min(n, t * t)).indices
            made = torch.stack([share.flatten()[chosen], query[index][chosen // t], key[index][chosen % t]], dim=1)
            place = torch.tensor([number, index], dtype=torch.float64).expand(len(chosen), 2)
            rows.append(torch.cat([made, place, (chosen // t)[:, None], (chosen % t)[:, None]], dim=1))
        whole = torch.cat(rows)
        rows = [whole[whole[:, 0].abs().sort(descending=True, stable=True).indices[:n]]]
    found = rows[0][rows[0][:, 0] != 0]
    number, index, at, to = (column.long().tolist() for column in found[:, 3:].T)
    return {
        "layer": [keys[i][0] for i in number],
        "head": [keys[i][1] for i in number],
        "index": index,
        "query_position": at,
        "key_position": to,
        "share": found[:, 0].tolist(),
        "query_firing": found[:, 1].tolist(),
        "key_firing": found[:, 2].tolist(),
    }
