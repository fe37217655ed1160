"""A model that someone has in memory, or in a directory, as the files that the rest of the library reads."""

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from svdlens.artefacts.atomic_files import write_failure
from svdlens.errors import SvdlensError
from svdlens.interactive.choices import given_path
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import (
    check_file_names,
    check_model_directory,
    check_model_type,
    complete_config,
    model_file_names,
)
from svdlens.models.safetensors_files import SINGLE, read_json, shard_names
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, Architecture

NAME = "model"
"""What the messages of the checks call it."""


class Described(NamedTuple):
    """What a model says that it is: its architecture, and how many `layers` and `heads` it has."""

    architecture: Architecture
    counts: dict[str, int]


def describe_model(model: Any, tokenizer: Any) -> Described:
    """What a model is by its configuration, before it is saved or any weight is read.

    model, tokenizer: as of put_model. Raises SvdlensError for what is no model, and for one that is not read.
    """
    if isinstance(model, str | Path):
        directory = model_directory(model, tokenizer)
        where = f"model {NAME!r} in {directory}"
        check_file_names((path.name for path in directory.iterdir() if path.is_file()), where)
        config = read_json(directory / "config.json", where)
    else:
        check_in_memory(model, tokenizer)
        where = "the model in memory"
        config = json.loads(model.config.to_json_string()) | {"architectures": [type(model).__name__]}
        check_class(model, config.get("model_type"))
    name = architecture_name(config)
    check_model_type(config, NAME, name, where)
    config = complete_config(config, name, where)
    keys = LAYOUTS[name].keys
    return Described(ARCHITECTURES[name], {"layers": config[keys["n_layer"]], "heads": config[keys["n_heads"]]})


def architecture_name(config: dict[str, Any]) -> str:
    """The key of ARCHITECTURES that config.json says; DEFAULT where it says none, which a check then refuses."""
    model_type = config.get("model_type")
    return model_type if isinstance(model_type, str) and model_type in ARCHITECTURES else DEFAULT


def check_class(model: Any, model_type: Any) -> None:
    """Raises SvdlensError for a class of a known architecture that is not read, such as one without an unembedding."""
    classes = ARCHITECTURES[model_type].classes if model_type in ARCHITECTURES else ()
    if classes and type(model).__name__ not in classes:
        raise SvdlensError(
            f"the model is a {type(model).__name__}, which is not supported, and of {model_type} models a "
            f"{' or '.join(classes)} is read. Load it as such a one: {classes[0]}.from_pretrained(...)."
        )


def model_directory(model: str | Path, tokenizer: Any) -> Path:
    """The directory that was given as the model. Raises SvdlensError where there is none, and for a tokenizer."""
    if tokenizer is not None:
        raise SvdlensError(
            f"the model is the directory {model}, whose tokenizer is read from there, and a tokenizer was given as "
            "well. Leave the tokenizer out, or give the model in memory."
        )
    directory = given_path("model", model)
    if not directory.is_dir():
        raise SvdlensError(
            f"{str(directory)!r} is no directory with a model. Give the path of one, or a model in memory and its "
            "tokenizer: AutoModelForCausalLM.from_pretrained(...), AutoTokenizer.from_pretrained(...)."
        )
    return directory


def put_model(model: Any, tokenizer: Any, target: Path) -> Architecture:
    """Make the directory `target` with the files of a model, checked as `fetch_model` checks them.

    model: a PreTrainedModel of transformers, which is saved with its `tokenizer` and stays as it is; or the path of a
    directory, whose files are linked to, its tokenizer among them.
    Raises SvdlensError for a model that cannot be read, and where there is no room to save it.
    """
    if isinstance(model, str | Path):
        return link_model(model_directory(model, tokenizer), target)
    check_in_memory(model, tokenizer)
    try:
        save_model(model, tokenizer, target)
    except (OSError, SafetensorError) as error:
        raise SvdlensError(
            f"the model could not be saved to read it: {write_failure(error) or error}. Its files go where temporary "
            "files do; another place is TMPDIR."
        ) from error
    try:
        return check_directory(target)
    except SvdlensError as error:
        raise SvdlensError(str(error).replace(f"model {NAME!r} in {target}", "the model in memory, saved")) from error


def link_model(directory: Path, target: Path) -> Architecture:
    """Links in `target` to the files of the model in `directory`, and to nothing else that lies there."""
    architecture = check_directory(directory)
    available = {path.name for path in directory.iterdir()}
    shards = [] if SINGLE in available else shard_names(directory, available, str(directory))
    target.mkdir(parents=True)
    for name in model_file_names(available, shards):
        (target / name).symlink_to((directory / name).resolve())
    return architecture


def check_directory(directory: Path) -> Architecture:
    """The architecture of the model in `directory`. Raises SvdlensError as check_model_directory does."""
    config = read_json(directory / "config.json", str(directory)) if (directory / "config.json").exists() else {}
    name = architecture_name(config)
    check_model_directory(directory, NAME, name)
    return ARCHITECTURES[name]


def check_in_memory(model: Any, tokenizer: Any) -> None:
    """Raises SvdlensError unless these are a whole model of transformers and its tokenizer."""
    # Slow to import, and needed for models in memory alone.
    from transformers import PreTrainedModel

    kind = type(model).__name__
    if hasattr(model, "merge_and_unload") or getattr(model, "_hf_peft_config_loaded", False):
        raise SvdlensError(
            f"the model ({kind}) has adapters beside its weights, and what it computes is the sum of both. Merge them, "
            "model.merge_and_unload() of peft, and give what that returns."
        )
    if not isinstance(model, PreTrainedModel):
        raise SvdlensError(
            f"the model is a {kind}, neither a model of transformers nor the path of a directory. Give what "
            "AutoModelForCausalLM.from_pretrained(...) returns, without what is wrapped around it."
        )
    if is_quantised(model):
        raise SvdlensError(
            f"the model ({kind}) is quantised, and quantised weights are not the numbers that it was trained to. Load "
            "it without quantization_config."
        )
    if others := [type(one.data).__name__ for one in model.parameters() if type(one.data) is not torch.Tensor]:
        raise SvdlensError(
            f"the model ({kind}) has weights that are a {others[0]}, no plain tensors: they are quantised, or spread "
            "over processes. Load it without quantization_config, on one device."
        )
    if without := [name for name, parameter in model.named_parameters() if parameter.is_meta]:
        raise SvdlensError(
            f"the model ({kind}) has no numbers for {without[0]}: it is on the meta device, or offloaded. Load it "
            "whole, without device_map."
        )
    if not hasattr(tokenizer, "save_pretrained"):
        raise SvdlensError(
            f"the tokenizer is {type(tokenizer).__name__}, and a model in memory needs its own, which says what its "
            "tokens are. Give what AutoTokenizer.from_pretrained(...) returns as the second argument."
        )


def is_quantised(model: Any) -> bool:
    """Whether transformers says so, or its weights are no floats or are packed: other libraries put such in place."""
    if getattr(model, "hf_quantizer", None) is not None or getattr(model, "is_quantized", False):
        return True
    packed = any(not isinstance(value, torch.Tensor) or value.is_quantized for value in model.state_dict().values())
    return packed or not all(parameter.is_floating_point() for parameter in model.parameters())


def save_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Save both into `target`; the model is afterwards what it was, its configuration, too."""
    # save_pretrained writes into the configuration, and refuses those of text generation that contradict themselves.
    config, generation_config = model.config, getattr(model, "generation_config", None)
    model.config = copy.deepcopy(config)
    if generation_config is not None:
        model.generation_config = type(generation_config)()
    try:
        model.save_pretrained(target)
    finally:
        model.config = config
        if generation_config is not None:
            model.generation_config = generation_config
    tokenizer.save_pretrained(target)
