"""The files of a LoRA adapter (Hu et al. 2021) as PEFT saves them, checked; which module each pair of factors changes.

PEFT adds to the weight of a linear module, [d_out, d_in], the product B A times a scale: lora_alpha / r, or with rslora
lora_alpha / sqrt(r) (Kalajdzievski 2023); A is [r, d_in], B is [d_out, r]. In the convention x @ W that is A^T B^T
times the scale, whichever way round the module stores its weight (`fan_in_fan_out`).

In every function `where` begins the messages of errors; it says which adapter it is and where it lies.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.models.adapted_modules import ADAPTED_MODULES, INPUT_FIRST
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import CHECKSUM, PICKLE_SUFFIXES, check_finite
from svdlens.models.safetensors_files import FLOATS, StoredTensor, read_header, read_json, read_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAMES = (WEIGHTS, CONFIG)

TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
PATTERN = re.compile(r"\^?[A-Za-z0-9_.]+")
"""What a key of rank_pattern or alpha_pattern is: a name or the end of one. Other regular expressions are refused."""
LARGEST_ALPHA = 3e38  # of float32
MERGE = "Merge it into its base (merge_and_unload of PEFT), save both, and take their difference, `diff`."

# Keys with which W + scale B A is not what the adapter is; why.
REFUSED = {
    "use_dora": "DoRA scales the whole weight, too, so that the change is not B A",
    "modules_to_save": "whole modules are trained beside the factors",
    "trainable_token_indices": "rows of the embedding are trained beside the factors",
    "layer_replication": "layers of the base are repeated",
    "lora_bias": "biases are trained beside the factors",
    "use_qalora": "its A is of groups of inputs",
    "alora_invocation_tokens": "it is active on some positions alone",
    "target_parameters": "it changes parameters that are no linear modules",
    "arrow_config": "it is routed among several adapters",
    "use_bdlora": "its factors are block-diagonal",
    "velora_config": "it is another kind of adapter",
    "monteclora_config": "it is another kind of adapter",
    "kasa_config": "it is another kind of adapter",
    "corda_config": "it changes the weights of the base as it begins",
    "lora_ga_config": "it changes the weights of the base as it begins",
    "loftq_config": "it changes the weights of the base as it begins",
}
HARMLESS = (
    *(
        "peft_type",
        "task_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
    ),
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "bias"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "init_lora_weights", "eva_config"),
    *("megatron_config", "megatron_core", "qalora_group_size", "runtime_config", "ensure_weight_tying"),
)
"""Keys that are read, or that change nothing in what a saved adapter is."""
BEGINNINGS = (True, False, "gaussian", "orthogonal", "eva", "kaiming")
"""Values of init_lora_weights that leave the weights of the base as they are."""


@dataclass(frozen=True)
class Adapted:
    """A module that an adapter changes: A [r, d_in] and B [d_out, r], and the number that B A is multiplied by."""

    A: StoredTensor
    B: StoredTensor
    scale: float

    @property
    def rank(self) -> int:
        return self.A.shape[0]


def check_adapter(directory: Path, base: Path, architecture: str, where: str) -> None:
    """Raises SvdlensError unless `directory` holds a LoRA adapter, whole and of finite values, of the model in `base`.

    base: a directory that fetch_model has made.
    """
    if not directory.is_dir():
        raise SvdlensError(f"{where}: no such directory. It has {CONFIG} and {WEIGHTS}; correct the path.")
    names = {path.name for path in directory.iterdir() if path.is_file()}
    if WEIGHTS not in names:
        pickles = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
        if pickles:
            raise SvdlensError(
                f"{where}: its weights are a pickle ({pickles[0]}). A pickle can run any code and is never loaded; "
                "save the "
                f"adapter again with a PEFT that writes {WEIGHTS}, save_pretrained(..., safe_serialization=True)."
            )
        raise SvdlensError(f"{where}: {WEIGHTS} is missing. Save the adapter with save_pretrained of PEFT.")
    if CONFIG not in names:
        raise SvdlensError(f"{where}: {CONFIG} is missing. Add the one that was saved with the weights.")
    for name in NAMES:
        target = (directory / name).resolve()
        if target.parent != directory.resolve() and target.name != name and not CHECKSUM.fullmatch(target.name):
            raise SvdlensError(
                f"{where}: {name} is a link to {target}, another file than its name says, outside of the directory. If "
                "it is meant, put a copy in its place."
            )
    for adapted in read_adapter(directory, base, architecture, where).values():
        for tensor in (adapted.A, adapted.B):
            check_finite(tensor.name, tensor, where)


def read_adapter(directory: Path, base: Path, architecture: str, where: str) -> dict[tuple[int, str], Adapted]:
    """What the adapter in `directory` changes, by layer and module (a key of ADAPTED_MODULES), in order.

    Raises SvdlensError for an adapter that is more than W + scale B A, and for one that does not fit the model `base`.
    """
    if architecture not in ADAPTED_MODULES:
        raise SvdlensError(
            f"{where}: adapters of {architecture} are not read, those of {', '.join(ADAPTED_MODULES)} are. {MERGE}"
        )
    config = read_json(directory / CONFIG, where)
    check_kind(config, where)
    layout = LAYOUTS[architecture]
    modules = ADAPTED_MODULES[architecture]
    layer_module = re.compile(
        rf"{re.escape(layout.layers)}\.(0|[1-9][0-9]{{0,8}})\.({'|'.join(map(re.escape, modules))})"
    )
    factors: dict[tuple[int, str], dict[str, StoredTensor]] = {}
    names: dict[tuple[int, str], str] = {}
    for tensor in read_header(directory / WEIGHTS, where):
        name = TENSOR.fullmatch(tensor.name)
        found = name and layer_module.fullmatch(name["module"].removeprefix(layout.prefix))
        if not name or not found:
            known = ", ".join(modules)
            raise SvdlensError(
                f"{where}: the tensor {tensor.name!r} is no lora_A or lora_B of a module of a layer of "
                f"{architecture}; those "
                f"are {known}. An adapter that changes anything else cannot be taken for a change of these matrices "
                f"alone. {MERGE}"
                f"{did_you_mean(tensor.name.split('.')[-3] if tensor.name.count('.') > 2 else tensor.name, modules)}"
            )
        key = int(found[1]), found[2]
        if name["factor"] in factors.get(key, {}):
            raise SvdlensError(
                f"{where}: {factors[key][name['factor']].name!r} and {tensor.name!r} are of the same module, so it is "
                "open which one is meant. Save the adapter again with save_pretrained of PEFT."
            )
        factors.setdefault(key, {})[name["factor"]] = tensor
        names[key] = name["module"]
    if not factors:
        raise SvdlensError(f"{where}: {WEIGHTS} has no tensors, so that nothing is changed. Save the adapter again.")
    weights = read_tensors(base, layout.present_name, where)
    adapted = {}
    for (layer, module), pair in sorted(factors.items()):
        path = f"{layout.layers}.{layer}.{module}"
        check_pair(path, pair, weights, architecture, base_named(config, base), where)
        scale = scale_of(config, names[layer, module], pair["A"].shape[0], where)
        adapted[layer, module] = Adapted(pair["A"], pair["B"], scale)
    return adapted


def check_kind(config: Mapping[str, Any], where: str) -> None:
    """Raises SvdlensError unless adapter_config.json is of a plain LoRA."""
    if config.get("peft_type") != "LORA":
        raise SvdlensError(
            f"{where}: {CONFIG} has peft_type {config.get('peft_type')!r}, and only 'LORA' is read. {MERGE}"
        )
    for key, value in config.items():
        if key in HARMLESS or not value:
            continue
        why = REFUSED.get(key, "svdlens does not know this key, which may change what the adapter is")
        raise SvdlensError(f"{where}: {CONFIG} has {key} = {shown(value)}: {why}. {MERGE}")
    if config.get("bias", "none") != "none":
        raise SvdlensError(
            f"{where}: {CONFIG} has bias = {config['bias']!r}: biases of the base are trained, too. Only 'none' is "
            f"read. {MERGE}"
        )
    beginning = config.get("init_lora_weights", True)
    if beginning not in BEGINNINGS:
        raise SvdlensError(
            f"{where}: {CONFIG} has init_lora_weights = {shown(beginning)}, which changes the weights of the base as "
            f"it begins, or is unknown: B A is no change of the base as it is. {MERGE}"
        )


def check_pair(
    path: str,
    pair: Mapping[str, StoredTensor],
    weights: Mapping[str, StoredTensor],
    architecture: str,
    base: str,
    where: str,
) -> None:
    """Raises SvdlensError unless A and B are both there, floats, of one rank above 0, and fit a weight of the base.

    path: of the module in the base, without prefix; weights: of the base by such paths; base: its names, for messages.
    """
    for factor in "AB":
        if factor not in pair:
            other = next(iter(pair.values())).name
            raise SvdlensError(
                f"{where}: {other!r} is there without its lora_{factor}. The change is the product of both; save the "
                "adapter again."
            )
        if pair[factor].dtype not in FLOATS:
            raise SvdlensError(
                f"{where}: the tensor {pair[factor].name!r} has the type {pair[factor].dtype}, not one of "
                f"{', '.join(FLOATS)}. Save the adapter in floats."
            )
    name = f"{path}.weight"
    if name not in weights:
        raise SvdlensError(
            f"{where}: it changes {path}, which the base has not. {base} Name the base that it was trained on."
        )
    d_out, d_in = weights[name].shape[::-1] if architecture in INPUT_FIRST else weights[name].shape
    rank = pair["A"].shape[0] if pair["A"].shape else 0
    if rank < 1 or pair["A"].shape != (rank, d_in) or pair["B"].shape != (d_out, rank):
        raise SvdlensError(
            f"{where}: lora_A and lora_B of {path} are {list(pair['A'].shape)} and {list(pair['B'].shape)}, and must "
            "be "
            f"[r, {d_in}] and [{d_out}, r], with the same r of at least 1. {base} Name the base that it was trained "
            "on, or save the adapter again."
        )


def base_named(config: Mapping[str, Any], base: Path) -> str:
    """Whose adapter it is, as its configuration has it, beside the model that it is read with."""
    named = config.get("base_model_name_or_path")
    return f"The configuration names the base {base.name!r}, and {CONFIG} {shown(named)}."


def scale_of(config: Mapping[str, Any], path: str, rank: int, where: str) -> float:
    """The number that B A of a module is multiplied by.

    path: of the module in the model that was trained, with its prefix, as PEFT matches patterns with it.
    Raises SvdlensError for another rank than the configuration has, and for an alpha that is no number.
    """
    stated = patterned(config, "rank_pattern", path, config.get("r", 8), where)
    if stated != rank:
        raise SvdlensError(
            f"{where}: {CONFIG} gives {path} the rank {shown(stated)} (r, rank_pattern), and its lora_A has {rank} "
            f"rows. Restore the {CONFIG} that was saved with these weights."
        )
    alpha = patterned(config, "alpha_pattern", path, config.get("lora_alpha", 8), where)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < abs(alpha) <= LARGEST_ALPHA:
        raise SvdlensError(
            f"{where}: {CONFIG} gives {path} the lora_alpha {shown(alpha)}, which must be a number other than 0, "
            "finite in float32. Correct it."
        )
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def patterned(config: Mapping[str, Any], key: str, path: str, default: Any, where: str) -> Any:
    """The value for a module: that of the first pattern that its path is or ends in, as PEFT matches, else `default`.

    A pattern is a regular expression of PEFT's all the same: "^" is the beginning of the path, a dot any character.
    """
    patterns = config.get(key) or {}
    if not isinstance(patterns, dict):
        raise SvdlensError(f"{where}: {CONFIG} has {key} = {shown(patterns)}, no mapping. Save the adapter again.")
    for pattern, value in patterns.items():
        if not PATTERN.fullmatch(pattern):
            raise SvdlensError(
                f"{where}: {CONFIG} has the {key} {pattern!r}, a regular expression. Only names of modules, or what "
                "they end in, are read: write one entry for each module."
            )
        if re.fullmatch(rf"(.*\.)?({pattern})", path):
            return value
    return default


def shown(value: Any) -> str:
    """A value of a file that may hold anything, cut off."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
