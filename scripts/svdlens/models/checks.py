"""Is this directory a model that svdlens can read? Every check here runs before a model is published.

In every function `where` begins the messages of errors; it says which model it is and where it lies. config.json and
the tensors may come from anyone: no loop is longer, and nothing that is kept larger, than what the files hold.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.layouts.layout import CheckpointLayout, dimension, dimension_keys, required_tensors
from svdlens.models.safetensors_files import (
    FLOATS,
    INDEX,
    SINGLE,
    StoredTensor,
    count_not_finite,
    read_json,
    read_tensors,
)
from svdlens.models.tokenizer_files import load_tokenizer, tokenizer_files
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, REFUSED, find_architecture

CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""What the hub's cache calls the files that it links to."""
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

# Mixtures of experts by model_type (besides those with "moe" in it) and by the keys of config.json that count them.
MIXTURES = ("mixtral", "gpt_oss", "deepseek_v2", "deepseek_v3", "dbrx", "jamba", "llama4", "llama4_text")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
# Vocabularies are padded to a multiple of 64 to 1,024 rows. More rows without a token mean another model's tokenizer.
MOST_PADDING_ROWS = 1023
LARGEST_SIZE = 2**31 - 1  # of a number in config.json

RESTORE = "Restore the config.json that was saved with these weights."


def model_file_names(available: Iterable[str], shards: Iterable[str]) -> list[str]:
    """The files, of those available in a directory or repository, that belong to the model, sorted.

    Weights are model.safetensors, or else the index and the shards that it names; never a pickle, code or a file in a
    subfolder.
    """
    names = set(available)
    weights = {SINGLE} & names or {INDEX, *shards} & names
    return sorted(weights | (names & {"config.json", "token_counts.parquet"}) | tokenizer_files(names))


def check_file_names(available: Iterable[str], where: str) -> None:
    """Raises SvdlensError unless the names hold safetensors weights, a config.json and a tokenizer."""
    names = set(available)
    if SINGLE not in names and INDEX not in names:
        pickles = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES))
        if pickles:
            raise SvdlensError(
                f"{where}: its weights are pickles only ({pickles[0]}). A pickle can run any code and is never loaded; "
                f"convert it once with AutoModelForCausalLM.from_pretrained(...).save_pretrained(..., "
                f"safe_serialization=True), or name a revision that has {SINGLE}."
            )
        raise SvdlensError(f"{where}: {SINGLE} is missing. Weights are {SINGLE}, or {INDEX} and its shards; add them.")
    if "config.json" not in names:
        raise SvdlensError(f"{where}: config.json is missing. Add the config.json that was saved with the weights.")
    if not tokenizer_files(names):
        raise SvdlensError(
            f"{where}: tokenizer.json is missing, and so are the pair vocab.json and merges.txt, vocab.txt, and "
            f"tokenizer.model. Add the tokenizer, for example with AutoTokenizer.from_pretrained(...)"
            f".save_pretrained(...)."
        )


def check_model_directory(directory: Path, name: str, architecture: str = DEFAULT) -> int:
    """Check that `directory` holds the model called `name` in config.yaml, whole and in a form that svdlens reads.

    `architecture` is what config.yaml says that it is. Returns the number of rows of the embedding, after those of
    the tokens, that have no token. Reads one piece of one tensor at a time. Raises SvdlensError for missing files,
    pickles, damaged weights, an architecture that is unsupported or another one than config.yaml says, a config.json
    or tokenizer that disagrees with the tensors, and values that are not finite.
    """
    directory = Path(directory)
    where = f"model {name!r} in {directory}"
    readouts = find_architecture(architecture, name).readouts
    if not directory.is_dir():
        raise SvdlensError(f"{where}: no such directory. Correct models.{name}.")
    check_file_names((path.name for path in directory.iterdir() if path.is_file()), where)
    check_links(directory, where)
    config = read_json(directory / "config.json", where)
    check_no_code(directory, config, where)
    check_model_type(config, name, architecture, where)
    layout = LAYOUTS[architecture]
    config = complete_config(config, architecture, where)
    tensors = read_tensors(directory, layout.present_name, where)
    weights = {tensor_name: tensor for tensor_name, tensor in tensors.items() if not layout.is_buffer(tensor_name)}
    check_tensors(config, weights, architecture, where)
    padding_rows = check_tokenizer(directory, config[layout.keys["d_vocab"]], readouts[0], where)
    for tensor_name, tensor in weights.items():
        check_finite(tensor_name, tensor, where)
    return padding_rows


def check_links(directory: Path, where: str) -> None:
    """Raises SvdlensError for a link out of the directory, unless to a file of the same name or of the hub's cache.

    What is linked to is read and copied: a directory that somebody packed could ask for any file of whoever unpacks it.
    """
    names = {path.name for path in directory.iterdir()}
    for name in model_file_names(names, [name for name in names if name.endswith(".safetensors")]):
        target = (directory / name).resolve()
        if target.parent == directory.resolve() or target.name == name or CHECKSUM.fullmatch(target.name):
            continue
        raise SvdlensError(
            f"{where}: {name} is a link to {target}, another file than its name says, outside of the directory. If "
            f"it is meant, put a copy in its place."
        )


def check_no_code(directory: Path, config: dict[str, Any], where: str) -> None:
    """Raises SvdlensError if the model or its tokenizer asks to run code of its own."""
    settings = (
        read_json(directory / "tokenizer_config.json", where) if (directory / "tokenizer_config.json").exists() else {}
    )
    for file, content in (("config.json", config), ("tokenizer_config.json", settings)):
        if "auto_map" in content:
            raise SvdlensError(
                f"{where}: {file} has auto_map {content['auto_map']!r}, which asks to run code that came with the "
                f"model. svdlens runs no such code; use a model whose code is part of transformers."
            )


def check_model_type(config: dict[str, Any], name: str, architecture: str, where: str) -> None:
    """Raises SvdlensError unless config.json describes a dense, unquantised model of the `architecture`."""
    model_type, classes = str(config.get("model_type")), config.get("architectures")
    experts = next((key for key in EXPERTS if isinstance(config.get(key), int) and config[key] > 0), None)
    if experts or model_type in MIXTURES or "moe" in model_type:
        count = f" and {experts} = {config[experts]}" if experts else ""
        raise SvdlensError(
            f"{where}: config.json has model_type {model_type!r}{count}, a mixture of experts. Its layers have many "
            f"MLPs, and svdlens reads models with one MLP in each layer. Use a dense model."
        )
    if config.get("quantization_config"):
        method = config["quantization_config"]
        method = method.get("quant_method", method) if isinstance(method, dict) else method
        raise SvdlensError(
            f"{where}: config.json has a quantization_config ({method!r}), and quantised weights are not the numbers "
            f"that a model was trained to. Use the weights that are not quantised."
        )
    # Without architectures, model_type and the tensors decide.
    is_known = model_type in ARCHITECTURES
    known = [[one] for one in ARCHITECTURES[model_type].classes] if is_known else []
    types = [type for type, entry in ARCHITECTURES.items() if classes in [[one] for one in entry.classes]]
    if config.get("model_type") is None and types:
        raise SvdlensError(
            f"{where}: config.json has architectures {classes!r} and no model_type. "
            f'Add "model_type": "{types[0]}" to it.'
        )
    if model_type in REFUSED:
        raise SvdlensError(
            f"{where}: config.json has model_type {model_type!r}. Such a model {REFUSED[model_type]}. Use another one."
        )
    if not known or (classes and classes not in known):
        hint = "" if is_known else did_you_mean(model_type, ARCHITECTURES)
        supported = ", ".join(
            f"model_type {name!r} with architectures {' or '.join(f'[{one!r}]' for one in entry.classes)}"
            for name, entry in ARCHITECTURES.items()
        )
        raise SvdlensError(
            f"{where}: config.json has model_type {config.get('model_type')!r} with architectures {classes!r}, which "
            f"is not supported. Supported: {supported}.{hint} Use such a model."
        )
    if model_type != architecture:
        raise SvdlensError(
            f"{where}: config.json has model_type {model_type!r}, but the configuration has {architecture!r} "
            f"({DEFAULT!r} where it says nothing). Write `architecture: {model_type}` under models.{name}."
        )


def complete_config(config: dict[str, Any], architecture: str, where: str, fix: str = RESTORE) -> dict[str, Any]:
    """config.json with what transformers fills in where a key is missing or null.

    fix: what messages say to do about a wrong number. Raises SvdlensError unless its numbers are whole, neither absurd
    nor below 1, and fit together, and for a value with which svdlens cannot read the architecture.
    """
    layout = LAYOUTS[architecture]
    renamed = {key: config[alias] for alias, key in layout.aliases.items() if alias in config}
    config = {**layout.defaults, **config, **renamed}
    for key, value in layout.fixed.items():
        if config[key] != value:
            raise SvdlensError(
                f"{where}: config.json has {key} = {config[key]!r}, but svdlens reads a "
                f"{ARCHITECTURES[architecture].model_class} only with {key} = {value!r}. Use such a model."
            )
    null = [key for key in layout.derived if config.get(key) is None]
    for key in dimension_keys(layout):
        value = config.get(key)
        if key not in null and (type(value) is not int or not 1 <= value <= LARGEST_SIZE):
            raise SvdlensError(
                f"{where}: config.json has {key} = {value!r}, not a whole number from 1 to {LARGEST_SIZE}. {fix}"
            )
    if layout.whole_heads:
        width = config.get("head_dim")
        refused = f"transformers refuses such a model, whatever its head_dim ({width}); take another one."
        reason = fix if width is None else refused
        check_multiple(config, layout.keys["d_model"], layout.keys["n_heads"], where, reason)
    config |= {key: dimension(layout.derived[key], config) for key in null}
    if "n_key_value_heads" in layout.keys:
        check_multiple(config, layout.keys["n_heads"], layout.keys["n_key_value_heads"], where, fix)
    return config


def check_multiple(config: dict[str, Any], key: str, divisor: str, where: str, fix: str) -> None:
    """Raises SvdlensError unless the number under `key` of config.json is a multiple of that under `divisor`."""
    if config[key] % config[divisor]:
        raise SvdlensError(
            f"{where}: config.json has {key} = {config[key]} and {divisor} = {config[divisor]}, "
            f"but {key} must be a multiple of {divisor}. {fix}"
        )


def check_tensors(config: dict[str, Any], tensors: dict[str, StoredTensor], architecture: str, where: str) -> None:
    """Raises SvdlensError unless the tensors are exactly those that config.json asks for, in type and shape.

    config: as complete_config returns it. tensors: the weights by their names without prefix, no buffers.
    """
    layout, model_class = LAYOUTS[architecture], ARCHITECTURES[architecture].model_class
    n_layer = layout.keys["n_layer"]
    layers = check_layers(config, tensors, layout, where)
    # Without layers in the weights, one layer is enough to say what is missing.
    expected = required_tensors(layout, config, n_layers=max(layers, 1))
    untied = "tie_word_embeddings" in config and not config["tie_word_embeddings"]
    if untied or not tensors.keys().isdisjoint(layout.unembedding):
        expected |= layout.unembedding
    expected |= {name: shape for name, shape in {**layout.optional, **layout.heads}.items() if name in tensors}
    missing = sorted(expected.keys() - tensors.keys())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SvdlensError(
            f"{where}: the tensor {missing[0]!r}{more} is missing from the weights of a {model_class} with "
            f"{n_layer} = {config[n_layer]}. Save it whole with save_pretrained."
        )
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        raise SvdlensError(
            f"{where}: the tensor {unknown[0]!r} is no part of a {model_class} with this config.json. If "
            f"it belongs to an adapter, merge the adapter; then save the model again with save_pretrained."
        )
    for name, shape in expected.items():
        check_type_and_shape(name, tensors[name], shape, config, where)


def check_layers(config: dict[str, Any], tensors: dict[str, StoredTensor], layout: CheckpointLayout, where: str) -> int:
    """The number of layers in the weights, which may be 0.

    Raises SvdlensError if config.json has another number, or if they are not numbered from 0 on.
    """
    n_layer = layout.keys["n_layer"]
    numbers = re.compile(rf"{re.escape(layout.layers)}\.([0-9]{{1,9}})\.")
    layers = {int(match[1]) for name in tensors if (match := numbers.match(name))}
    if layers and max(layers) + 1 != config[n_layer]:
        raise SvdlensError(
            f"{where}: config.json has {n_layer} = {config[n_layer]}, but the weights hold layers 0 to {max(layers)}. "
            f"{RESTORE}"
        )
    if layers and len(layers) != config[n_layer]:
        raise SvdlensError(
            f"{where}: config.json has {n_layer} = {config[n_layer]}, but the weights hold only {len(layers)} layers, "
            f"numbered up to {max(layers)}. Save the model whole with save_pretrained."
        )
    return len(layers)


def check_type_and_shape(
    name: str, tensor: StoredTensor, shape: tuple[str, ...], config: dict[str, Any], where: str
) -> None:
    """Raises SvdlensError unless the tensor holds floats in that shape, a row of words of config.json."""
    if tensor.dtype not in FLOATS:
        raise SvdlensError(
            f"{where}: the tensor {name!r} has the type {tensor.dtype}, not one of {', '.join(FLOATS)}. "
            f"Use weights that are not quantised."
        )
    expected = tuple(dimension(words, config) for words in shape)
    if tensor.shape != expected:
        raise SvdlensError(
            f"{where}: the tensor {name!r} is {list(tensor.shape)}, but config.json asks for "
            f"[{', '.join(shape)}] = {list(expected)}. {RESTORE}"
        )


def check_tokenizer(directory: Path, rows: int, readout: str, where: str) -> int:
    """The number of padding rows: those, of the `rows` rows of W_U or W_E, after that of the last token.

    Raises SvdlensError unless each token has a row of its own. Some rows may be without a token.
    """
    _, ids = load_tokenizer(directory, where)
    last = max(ids, default=-1)
    if min(ids, default=-1) < 0 or not 0 <= rows - 1 - last <= MOST_PADDING_ROWS:
        fix = "Use the tokenizer that was saved with these weights"
        if 0 <= last < rows:
            fix += f", or cut {readout} to its first {last + 1} rows (model.resize_token_embeddings) and save it again"
        raise SvdlensError(
            f"{where}: the tokenizer has {len(ids)} tokens with ids up to {last if ids else None}, but {readout} has "
            f"{rows} rows; there must be a row for each token, and at most {MOST_PADDING_ROWS} rows more. {fix}."
        )
    return rows - 1 - last


def check_finite(name: str, tensor: StoredTensor, where: str) -> None:
    """Raises SvdlensError if a weight is NaN or infinite."""
    count = count_not_finite(tensor)
    if count:
        raise SvdlensError(
            f"{where}: {count} of the {math.prod(tensor.shape)} values of the tensor {name!r} in {tensor.path.name} "
            f"are NaN or infinite, and such a matrix has no singular values. Fetch or copy the file again, "
            f"or use another checkpoint."
        )


def check_pin_names(expected_sha256: dict[str, str], names: list[str], model: str, where: str) -> None:
    """Raises SvdlensError if a checksum is pinned of what is no file of the model."""
    for name in expected_sha256:
        if name not in names:
            raise SvdlensError(
                f"{where}: models.{model}.sha256 has {name!r}, which is no file of this model "
                f"({', '.join(names)}).{did_you_mean(name, names)} Correct or remove that line."
            )


def check_pin(name: str, actual: str, pinned: str, model: str, where: str) -> None:
    """Raises SvdlensError if the `actual` sha256 of the file called `name` is not the one pinned in config.yaml."""
    if actual != pinned.lower():
        raise SvdlensError(
            f"{where}: {name} has the sha256 {actual}, but models.{model}.sha256 pins {pinned}. The pin "
            f"belongs to another file or revision, or the file was tampered with: check both, then correct "
            f"models.{model}.sha256. Weights that were saved again have other bytes: pin those of your copy."
        )
