"""What a singular direction of a setting is on the raw weights of the model: updates of rank 1.

A matrix of a setting, M = sum_i s_i u_i v_i^T in the convention x @ M, has gains of norms in it or is centred
(weights/processing.py); the model computes with the raw weights. Scaling a direction by 1 + eps is

    on a side that writes (ov, mlp_out)           M (I + eps v v^T): what the matrix writes along v, times 1 + eps
    on a side that reads (mlp_in, mlp_gate)       (I + eps u u^T) M: what it reads along u, times 1 + eps

which for one direction is the same, M + eps s u v^T. On the raw weights that is

    W_O, W_out    W + eps (W v) v^T. Centring changes nothing: v has no mean where the setting centres, and what a layer
                  norm reads has none. Of an OV matrix W_O takes all, since several query heads can share W_V.
    W_in, W_gate  W + eps (u / gain) (u^T M): a matrix with the gain in it reads what the norm gives before its gain.
                  That has no bias of the norm in it yet, so the update acts on the input less that bias.

Source: rank-1 updates of Millidge and Black (2022), "Directly editing SVD representations"; what the switches do to the
weights, TransformerLens' weight processing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svdlens.errors import SvdlensError
from svdlens.models.load import count_of, gain_and_bias, module_of, weight_of
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.settings import Setting
from svdlens.weights.processing import process_reading

EDITED = {"ov": "attn.W_O", "mlp_in": "mlp.W_in", "mlp_gate": "mlp.W_gate", "mlp_out": "mlp.W_out"}
"""The weight in which the directions of a matrix are scaled."""


@dataclass(frozen=True)
class Update:
    """W + sum_k eps_k read_k write_k^T for the `rows` of one weight W of a layer, in the convention x @ W.

    weight: a value of EDITED. read [k, d_rows], write [k, d_out], eps [k], float64. rows: those that a head has of W_O,
    else all. offset [d_rows] or None: what the input holds that the matrix of the setting does not read, the bias of
    the norm. So the module's output changes by eps_k ((x - offset) read_k) write_k.
    """

    layer: int
    weight: str
    rows: slice
    read: Float[Tensor, "k d_rows"]
    write: Float[Tensor, "k d_out"]
    eps: Float[Tensor, " k"]
    offset: Float[Tensor, " d_rows"] | None = None

    def matrix(self) -> Float[Tensor, "d_rows d_out"]:
        """What is added to the rows of the weight."""
        return (self.eps[:, None] * self.read).T @ self.write

    def bias(self) -> Float[Tensor, " d_out"] | None:
        """What is added to the bias of the module; None where the update has no offset."""
        return None if self.offset is None else -(self.eps * (self.read @ self.offset)) @ self.write


def direction_update(
    model: nn.Module,
    matrix: str,
    setting: Setting,
    layer: int,
    head: int | None,
    vectors: Float[Tensor, "k d_model"],
    eps: Float[Tensor, " k"] | float = 1.0,
) -> Update:
    """The update that scales directions of one matrix by 1 + eps, as an update of the raw weights of `model`.

    model: from load_model. matrix: a key of EDITED, with a head where its kind has one for each. vectors: of the side
    in the residual stream, that which writes where the matrix has two: rows of `right` for ov and mlp_out, of `left`
    for mlp_in and mlp_gate, orthonormal. Several are scaled at once.
    Raises SvdlensError for a gain that is 0 where the setting folds it in: what the matrix reads there, the raw weight
    cannot.
    """
    vectors = vectors.double()
    scales = torch.as_tensor(eps, dtype=torch.float64).expand(len(vectors))
    kind, weight = MATRIX_KINDS[matrix], EDITED[matrix]
    W = weight_of(module_of(model, weight, layer)).double()
    if not kind.sides["write" if "write" in kind.sides else "read"].reads:
        rows = slice(0, len(W)) if head is None else head_rows(model, head, len(W))
        return Update(layer, weight, rows, vectors @ W[rows].T, vectors, scales)
    gain, bias = gain_and_bias(model, kind.norm, layer)
    write = vectors @ process_reading(W, gain, setting)
    rows = slice(0, len(W))
    if not setting.read_gain:
        return Update(layer, weight, rows, vectors, write, scales)
    if (gain == 0).any():
        where = int((gain == 0).nonzero()[0, 0])
        raise SvdlensError(
            f"the gain of {kind.norm} of layer {layer} is 0 at coordinate {where}, and the setting has gains in its "
            f"matrices: no change of the raw {weight} is that of the {matrix} direction. Edit in a setting without "
            "read_gain, such as raw."
        )
    return Update(layer, weight, rows, vectors / gain, write, scales, bias)


def head_rows(model: nn.Module, head: int, d_in: int) -> slice:
    """The rows of W_O, as modules have it, [n_heads * d_head, d_model], that are a head's."""
    d_head = d_in // count_of(model, "n_heads")
    return slice(head * d_head, (head + 1) * d_head)


def scaled(update: Update, factor: float) -> Update:
    """The same update with every eps times `factor`."""
    return replace(update, eps=update.eps * factor)


def active(updates: Iterable[Update]) -> list[Update]:
    """Without what has eps 0, so that scaling by 1 is no change to the last bit."""
    kept = []
    for update in updates:
        on = update.eps != 0
        if on.any():
            kept.append(replace(update, read=update.read[on], write=update.write[on], eps=update.eps[on]))
    return kept


def first_order(
    update: Update, weight_gradient: Float[Tensor, "d_in d_out"], output_gradient: Float[Tensor, " d_out"]
) -> Float[Tensor, " k"]:
    """d metric / d eps_k at eps = 0 of each direction, whatever `eps` is.

    weight_gradient: of the metric with respect to the raw weight, x @ W. output_gradient: with respect to the module's
    output, summed over positions, which is what a bias would get.
    """
    scores = torch.einsum("kd,de,ke->k", update.read, weight_gradient[update.rows].double(), update.write)
    if update.offset is not None:
        scores = scores - (update.read @ update.offset) * (update.write @ output_gradient.double())
    return scores


def updates_by_module(updates: Sequence[Update]) -> dict[tuple[int, str], list[Update]]:
    """The updates of each weight, by layer and name."""
    grouped: dict[tuple[int, str], list[Update]] = {}
    for update in updates:
        grouped.setdefault((update.layer, update.weight), []).append(update)
    return grouped
