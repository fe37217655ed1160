"""The weights of a change, in the files of extraction.py: of a difference of two models, or of a LoRA adapter of one.

Of a difference, attention and mlp have the tensors of both models, those that are taken away under names that begin
with MINUS (weights/factors.py), each with its own gains. Of an adapter they have, of each kind of matrix that it
changes, the change as a product of thin factors, never multiplied out:

    attention    blocks.L.ov.first [n_heads, d_model, r], blocks.L.ov.second [n_heads, r, d_model]; qk likewise
    mlp          blocks.L.mlp_in.first [d_model, r], blocks.L.mlp_in.second [r, d_mlp]; mlp_gate likewise
                 blocks.L.mlp_out.first [d_mlp, r], blocks.L.mlp_out.second [r, d_model]

r is the same in all layers: zeros fill up where a layer has less, and a layer that is not changed has nothing else.
With them stand the gains of the base. unembed and gains are those of the base, through which the change is read; steps
has nothing. All float32.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from svdlens.errors import SvdlensError
from svdlens.models.adapted_modules import ADAPTED_MODULES, FUSED_BY_HEAD, INPUT_FIRST
from svdlens.models.adapter_files import Adapted, read_adapter
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import complete_config
from svdlens.models.safetensors_files import StoredTensor, read_json, read_tensors
from svdlens.models.token_texts import read_vocabulary
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.weights.extraction import extract_weights
from svdlens.weights.factors import MINUS, repeat_heads
from svdlens.weights.weight_files import save_tensors

READ = ("unembed", "gains")
"""The files of weights through which directions are read: those of the base."""


class LowRank(NamedTuple):
    """The change of a matrix, first @ second, with r at least 0."""

    first: Float[Tensor, "*heads d_first r"]
    second: Float[Tensor, "*heads r d_last"]


# --- a difference


def extract_difference(
    of: Path,
    minus: Path,
    matrices: list[str],
    outputs: Mapping[str, Path],
    model: str,
    facts: Mapping[str, object] = {},
) -> None:
    """Write the files of the difference of two models that fetch_model has made, one model after the other in memory.

    matrices: the kinds that are asked for. outputs: by the names in GROUPS, and steps. model: the name of the
    difference, for messages. facts: for the metadata of the files. Raises SvdlensError for a kind that is the same in
    both models, OSError if a file cannot be written.
    """
    groups = ("attention", "mlp")
    # In names as of atomic_path, so that what a killed job leaves is known.
    with tempfile.TemporaryDirectory(prefix=".", dir=outputs["attention"].parent) as temporary:
        files = [
            {group: Path(temporary) / f".{begin}{group}.partial.safetensors" for group in groups}
            for begin in ("", MINUS)
        ]
        extract_weights(of, files[0], facts)
        extract_weights(
            minus, files[1] | {name: Path(temporary) / f".{name}.partial.safetensors" for name in READ}, facts
        )
        differing: set[str] = set()
        for group in groups:
            tensors, taken = (load_file(file[group]) for file in files)
            # blocks.L.attn.W_V, of any layer.
            differing |= {name.split(".", 2)[2] for name in tensors if not torch.equal(tensors[name], taken[name])}
        check_differs(matrices, differing, BaseModel(minus).architecture, f"{of.name} minus {minus.name}", model)
        for group in groups:
            tensors, taken = (load_file(file[group]) for file in files)
            save_tensors(outputs[group], tensors | {MINUS + name: tensor for name, tensor in taken.items()}, facts)
        for name in READ:
            (Path(temporary) / f".{name}.partial.safetensors").replace(outputs[name])
    save_tensors(outputs["steps"], {}, facts)


def check_differs(matrices: list[str], differing: set[str], architecture: str, what: str, model: str) -> None:
    """Raises SvdlensError for a kind of `matrices` of which neither a weight nor the gain before it is `differing`."""
    able = []
    for name in ARCHITECTURES[architecture].matrices_of_layers:
        kind = MATRIX_KINDS[name]
        if differing & {f"{kind.norm}.w", *(factor.weight for factor in kind.factors)}:
            able.append(name)
    if not able:
        raise SvdlensError(
            f"model {model!r} ({what}): both have the same weights in every matrix of attention and MLP that is read "
            f"of {architecture}. Their difference is zero, and has no directions. Name a model that was trained "
            "further."
        )
    check_asked(matrices, able, f"model {model!r} ({what}): both have the same", model)


def check_asked(matrices: list[str], able: list[str], said: str, model: str) -> None:
    """Raises SvdlensError, whose message begins with `said`, for a kind of `matrices` that is none of those `able`."""
    if lacking := [matrix for matrix in matrices if matrix not in able]:
        raise SvdlensError(
            f"{said} {', '.join(lacking)}. Write `models.{model}.matrices: [{', '.join(able)}]`, those that are "
            "changed."
        )


# --- an adapter


def extract_adapter(
    directory: Path,
    base: Path,
    matrices: list[str],
    outputs: Mapping[str, Path],
    facts: Mapping[str, object] = {},
) -> None:
    """Write the files of the adapter in `directory` of the model in `base`, both made by fetch_model.

    matrices: that are asked for. outputs, facts: as in extract_difference. Of the base only what the change takes is
    read: nothing of its MLPs. Raises SvdlensError for a kind of matrix that the adapter does not change, OSError if a
    file cannot be written.
    """
    model = BaseModel(base)
    stored = read_adapter(directory, base, model.architecture, f"the adapter in {directory}")
    adapted = {key: entry for key, entry in stored.items() if read(entry.A).any() and read(entry.B).any()}
    changed = changed_matrices(model.architecture, adapted)
    if not changed:
        read_of_it = ", ".join(ARCHITECTURES[model.architecture].matrices_of_layers)
        modules = ", ".join(dict.fromkeys(module for _, module in stored))
        raise SvdlensError(
            f"model {directory.name!r}: the adapter is of the modules {modules}, and changes none of the matrices that "
            f"are read of {model.architecture}, {read_of_it}, because it is of no other module or all its changes are "
            "zero, as before training. Name an adapter that was trained, of modules in these."
        )
    modules = ", ".join(dict.fromkeys(module for _, module in adapted))
    said = f"model {directory.name!r}: the adapter is of the modules {modules}, and changes no"
    check_asked(matrices, changed, said, directory.name)
    gains = model.gains()
    for group in ("attention", "mlp"):
        norm = {"attention": "ln1", "mlp": "ln2"}[group]
        tensors = {name: gain for name, gain in gains.items() if f".{norm}." in name}
        for matrix in changed:
            if MATRIX_KINDS[matrix].weight_group == group:
                tensors |= change_tensors(model, adapted, matrix)
        save_tensors(outputs[group], tensors, facts)
    save_tensors(outputs["unembed"], model.token_vectors() | final(gains), facts)
    save_tensors(outputs["gains"], gains, facts)
    save_tensors(outputs["steps"], {}, facts)


def final(gains: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: gain for name, gain in gains.items() if name == "ln_final.w"}


def changed_matrices(architecture: str, adapted: Mapping[tuple[int, str], Adapted]) -> list[str]:
    """The kinds of matrices, of those that are read, with a weight that the adapter changes in some layer."""
    weights = {weight for _, module in adapted for weight in ADAPTED_MODULES[architecture][module]}
    return [
        name
        for name in ARCHITECTURES[architecture].matrices_of_layers
        if weights & {factor.weight for factor in MATRIX_KINDS[name].factors}
    ]


def change_tensors(model: "BaseModel", adapted: Mapping[tuple[int, str], Adapted], matrix: str) -> dict[str, Tensor]:
    """The factors of a kind of matrix in every layer, filled up with zeros to the largest rank."""
    change_of = change_of_product if MATRIX_KINDS[matrix].per_head else change_of_weight
    changes = [
        change_of(model, weight_changes(model, adapted, layer), matrix, layer) for layer in range(model.n_layers)
    ]
    rank = max(change.first.shape[-1] for change in changes)
    tensors = {}
    for layer, (first, second) in enumerate(changes):
        missing = rank - first.shape[-1]
        filled = torch.nn.functional.pad(first, (0, missing)), torch.nn.functional.pad(second, (0, 0, 0, missing))
        for which, factor in zip(("first", "second"), filled, strict=True):
            tensors[f"blocks.{layer}.{matrix}.{which}"] = factor.contiguous()
    return tensors


def weight_changes(model: "BaseModel", adapted: Mapping[tuple[int, str], Adapted], layer: int) -> dict[str, LowRank]:
    """What the adapter adds to each weight of a layer that it changes, by TransformerLens' name and in the convention
    x @ W: A^T [d_in, r] and B^T times the scale [r, d_out], of a fused module the part of each weight."""
    changes: dict[str, LowRank] = {}
    for (number, module), entry in adapted.items():
        if number == layer:
            first, second = read(entry.A).mT, read(entry.B).mT * entry.scale
            names = ADAPTED_MODULES[model.architecture][module]
            parts = model.split_fused(second) if len(names) > 1 else [second]
            changes |= {name: LowRank(first, part) for name, part in zip(names, parts, strict=True)}
    return changes


def change_of_weight(model: "BaseModel", changes: Mapping[str, LowRank], matrix: str, layer: int) -> LowRank:
    """The change of a matrix that is one weight."""
    [factor] = MATRIX_KINDS[matrix].factors
    if factor.weight in changes:
        return changes[factor.weight]
    d_in, d_out = model.shape_of(factor.weight, layer)
    return LowRank(torch.zeros(d_in, 0), torch.zeros(0, d_out))


def change_of_product(model: "BaseModel", changes: Mapping[str, LowRank], matrix: str, layer: int) -> LowRank:
    """The change of W_V W_O or W_Q W_K^T of each head, of rank at most the sum of those of the two weights.

    (X + dX) (Y + dY) - X Y = dX (Y + dY) + X dY, with dX = A B and dY = C D: [A, X C] [B (Y + C D); D].
    """
    first, second = MATRIX_KINDS[matrix].factors
    pieces = []
    if first.weight in changes or second.weight in changes:
        Y = model.in_heads(second.weight, model.weight(second.weight, layer), second.transposed)
        dY = changes.get(second.weight)
        if dY:
            C, D = model.heads_of_change(second.weight, dY, second.transposed)
            Y = Y + C @ D
            X = model.in_heads(first.weight, model.weight(first.weight, layer), first.transposed)
            pieces.append(LowRank(X @ C, D.expand(model.n_heads, *D.shape[-2:])))
        if dX := changes.get(first.weight):
            A, B = model.heads_of_change(first.weight, dX, first.transposed)
            pieces.insert(0, LowRank(A.expand(model.n_heads, *A.shape[-2:]), B @ Y))
    if not pieces:
        return LowRank(torch.zeros(model.n_heads, model.d_model, 0), torch.zeros(model.n_heads, 0, model.d_model))
    return LowRank(
        torch.cat([piece.first for piece in pieces], dim=-1).float(),
        torch.cat([piece.second for piece in pieces], dim=-2).float(),
    )


def read(tensor: StoredTensor) -> Float[Tensor, "..."]:
    """One tensor of a safetensors file, float32."""
    with safe_open(tensor.path, framework="pt") as file:
        values: Tensor = file.get_tensor(tensor.name)
    return values.float()


class BaseModel:
    """A model that fetch_model has made, of which single tensors are read: it may be larger than memory."""

    def __init__(self, directory: Path) -> None:
        where = f"the model in {directory}"
        self.directory = directory
        config = read_json(directory / "config.json", where)
        self.architecture: str = config["model_type"]
        self.layout = LAYOUTS[self.architecture]
        config = complete_config(config, self.architecture, where)
        self.n_layers, self.n_heads, self.d_model = (
            int(config[self.layout.keys[key]]) for key in ("n_layer", "n_heads", "d_model")
        )
        self.tensors = read_tensors(directory, self.layout.present_name, where)

    def stored(self, weight: str, layer: int) -> StoredTensor:
        """The tensor that a weight is in, of a fused module that of all three."""
        modules = ADAPTED_MODULES[self.architecture]
        [module] = [name for name, weights in modules.items() if weight in weights]
        return self.tensors[f"{self.layout.layers}.{layer}.{module}.weight"]

    def shape_of(self, weight: str, layer: int) -> tuple[int, int]:
        """d_in and d_out of a weight of an MLP."""
        first, last = self.stored(weight, layer).shape
        return (first, last) if self.architecture in INPUT_FIRST else (last, first)

    def weight(self, weight: str, layer: int) -> Float[Tensor, "d_in d_out"]:
        """A weight of attention in the convention x @ W, float32."""
        values = read(self.stored(weight, layer))
        values = values if self.architecture in INPUT_FIRST else values.mT
        modules = ADAPTED_MODULES[self.architecture]
        [names] = [weights for weights in modules.values() if weight in weights]
        return self.split_fused(values)[names.index(weight)] if len(names) > 1 else values

    def split_fused(self, values: Float[Tensor, "rows columns"]) -> list[Float[Tensor, "rows d_out"]]:
        """The columns of queries, keys and values of a fused module; each has those of its heads one after the "
        "other."""
        if self.architecture in FUSED_BY_HEAD:
            by_head = values.reshape(len(values), self.n_heads, 3, -1)
            return [by_head[:, :, number].flatten(1) for number in range(3)]
        return list(values.chunk(3, dim=1))

    @property
    def d_head(self) -> int:
        return self.shape_of("attn.W_O", 0)[0] // self.n_heads

    def in_heads(
        self, name: str, weight: Float[Tensor, "d_in d_out"], transposed: bool
    ) -> Float[Tensor, "n_heads _ _"]:
        """A weight of attention for each head, float64: [d_model, d_head], or of W_O and of one that is transposed
        [d_head, d_model]. Keys and values that several heads share are repeated."""
        if name == "attn.W_O":
            return weight.double().reshape(self.n_heads, self.d_head, -1)
        by_head = weight.double().reshape(len(weight), -1, self.d_head).transpose(0, 1)
        repeated = repeat_heads(by_head, self.n_heads)
        return repeated.mT if transposed else repeated

    def heads_of_change(
        self, name: str, change: LowRank, transposed: bool
    ) -> tuple[Float[Tensor, "... _ r"], Float[Tensor, "... r _"]]:
        """Two factors of the change of a weight of attention for each head; the one that all share without heads."""
        if name == "attn.W_O":
            return change.first.double().reshape(self.n_heads, self.d_head, -1), change.second.double()
        shared, own = change.first.double(), self.in_heads(name, change.second, False)
        return (own.mT, shared.mT) if transposed else (shared, own)

    def gains(self) -> dict[str, Tensor]:
        """Those of the norms, by the names in extraction.py, float32; none of a model without norms before its "
        "matrices."""
        architecture = ARCHITECTURES[self.architecture]
        if not architecture.gains:
            return {}

        def gain(path: str) -> Tensor:
            return architecture.gain_offset + read(self.tensors[f"{path}.weight"])

        modules = self.layout.modules
        gains = {
            f"blocks.{layer}.{norm}.w": gain(f"{self.layout.layers}.{layer}.{modules[norm]}")
            for layer in range(self.n_layers)
            for norm in ("ln1", "ln2")
        }
        return gains | {"ln_final.w": gain(modules["ln_final"])}

    def token_vectors(self) -> dict[str, Tensor]:
        """W_E, and W_U where there is one, without the rows that are padding, float32."""
        n_tokens = len(read_vocabulary(self.directory))
        embedding = next(iter(self.layout.tensors))
        vectors = {"embed.W_E": read(self.tensors[embedding])[:n_tokens].contiguous()}
        if "W_U" in ARCHITECTURES[self.architecture].readouts:
            [unembedding] = self.layout.unembedding
            stored = self.tensors.get(unembedding, self.tensors[embedding])
            vectors["unembed.W_U"] = read(stored)[:n_tokens].T.contiguous()
        return vectors
