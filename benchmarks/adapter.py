"""What a LoRA adapter of a model of 7 billion weights costs: extracted, decomposed and read, factors only.

The base is random, and the attention of all its layers is one up to a factor; of its MLPs there are just the places in
the files, which nothing reads. `python benchmarks/adapter.py DIRECTORY` writes it there (4.8 GB), prints seconds of
each step and the largest resident set, and deletes it again. --tiny: a small one, to try the script.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from random_models import CONFIGS, ModelShape, save_tokenizer  # noqa: E402

from svdlens.models.safetensors_files import INDEX  # noqa: E402
from svdlens.models.token_texts import read_vocabulary  # noqa: E402
from svdlens.readout.projection import Reading, project_directions, vectors_of_bases  # noqa: E402
from svdlens.readout.readout_matrix import reading_gains, readout_matrix  # noqa: E402
from svdlens.readout.top_tokens import ReadoutMatrix  # noqa: E402
from svdlens.spec.matrix_kinds import MATRIX_KINDS  # noqa: E402
from svdlens.spec.settings import Setting  # noqa: E402
from svdlens.svd.layer_by_layer import Task  # noqa: E402
from svdlens.svd.model_svd import decompose_layers  # noqa: E402
from svdlens.weights.change_extraction import extract_adapter  # noqa: E402
from svdlens.weights.weight_files import WeightFile  # noqa: E402

SHAPES = {
    "7b": ModelShape(32, 32, 4096, 128, 32000, "llama", 11008),
    "tiny": ModelShape(2, 4, 64, 16, 600, "llama", 160),
}
RANK, DIRECTIONS, TOKENS, THREADS = 16, 64, 50, 2
MATRICES = ("ov", "mlp_in", "mlp_out")
CONTROLS = {"random_unit": 1000, "rotated": 4000, "gaussian": 1000}


@contextmanager
def timed(what: str):
    start = time.monotonic()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:<18} {time.monotonic() - start:7.1f} s   largest resident set so far {peak:.1f} GB", flush=True)


def module_shapes(shape: ModelShape) -> dict[str, tuple[int, int]]:
    """[d_out, d_in] of each module of a layer."""
    inner = shape.n_heads * shape.d_head
    shapes = {f"self_attn.{letter}_proj": (inner, shape.d_model) for letter in "qkv"}
    shapes["self_attn.o_proj"] = (shape.d_model, inner)
    shapes |= dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (shape.mlp, shape.d_model))
    return shapes | {"mlp.down_proj": (shape.d_model, shape.mlp)}


def write_file(path: Path, tensors: Mapping[str, torch.Tensor], places: Mapping[str, tuple[int, int]]) -> None:
    """A safetensors file in bfloat16 with these tensors, and after them places for others, which are holes in the "
    "file."""
    header, end = {}, 0
    for name, shape in [*((name, tuple(tensor.shape)) for name, tensor in tensors.items()), *places.items()]:
        start, end = end, end + 2 * int(torch.tensor(shape).prod())
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.bfloat16().contiguous().view(torch.int16).numpy().data)
        file.truncate(8 + len(text) + end)


def write_base(directory: Path, shape: ModelShape) -> None:
    generator = torch.Generator().manual_seed(0)
    modules = module_shapes(shape)
    scale = shape.d_model**-0.5
    attention = {
        name: scale * torch.randn(size, generator=generator) for name, size in modules.items() if "attn" in name
    }
    mlp = {name: size for name, size in modules.items() if "mlp" in name}
    files: dict[str, str] = {}
    for layer in range(shape.n_layers):
        begin, file = f"model.layers.{layer}.", f"model-{layer}.safetensors"
        tensors = {f"{begin}{name}.weight": weight * (1 + 0.01 * layer) for name, weight in attention.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{begin}{norm}.weight"] = torch.rand(shape.d_model, generator=generator) + 0.5
        places = {f"{begin}{name}.weight": size for name, size in mlp.items()}
        write_file(directory / file, tensors, places)
        files |= dict.fromkeys([*tensors, *places], file)
    ends = {
        "model.embed_tokens.weight": torch.randn(shape.d_vocab, shape.d_model, generator=generator),
        "lm_head.weight": torch.randn(shape.d_vocab, shape.d_model, generator=generator),
        "model.norm.weight": torch.rand(shape.d_model, generator=generator) + 0.5,
    }
    write_file(directory / "model-end.safetensors", ends, {})
    files |= dict.fromkeys(ends, "model-end.safetensors")
    (directory / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}), "utf-8")
    (directory / "config.json").write_text(json.dumps(CONFIGS["llama"](shape)), "utf-8")
    save_tokenizer(directory, shape.d_vocab, None)


def write_adapter(directory: Path, shape: ModelShape) -> None:
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(shape.n_layers):
        for name, (d_out, d_in) in module_shapes(shape).items():
            begin = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{begin}.lora_A.weight"] = torch.randn(RANK, d_in, generator=generator)
            tensors[f"{begin}.lora_B.weight"] = torch.randn(d_out, RANK, generator=generator)
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 2 * RANK}
    (directory / "adapter_config.json").write_text(json.dumps(config), "utf-8")


def measure(place: Path, shape: ModelShape) -> None:
    base, adapter = place / "base", place / "adapter"
    base.mkdir()
    adapter.mkdir()
    write_base(base, shape)
    write_adapter(adapter, shape)
    begun = time.monotonic()
    outputs = {name: place / f"{name}.safetensors" for name in ("attention", "mlp", "unembed", "gains", "steps")}
    with timed("extracted"):
        extract_adapter(adapter, base, list(MATRICES), outputs)
    svds = {}
    for matrix in MATRICES:
        weights = WeightFile(outputs[MATRIX_KINDS[matrix].weight_group])
        with timed(f"{matrix} decomposed"):
            arrays = decompose_layers(weights, Task(matrix, Setting(), DIRECTIONS), range(shape.n_layers), THREADS)
            save_file(arrays, place / f"{matrix}.safetensors")
            svds[matrix] = place / f"{matrix}.safetensors"
            del arrays
    texts, gains = read_vocabulary(base), WeightFile(outputs["gains"])
    readouts = {"W_U": ReadoutMatrix(readout_matrix(WeightFile(outputs["unembed"]), Setting(), "W_U"))}
    for matrix, path in svds.items():
        with timed(f"{matrix} read"):
            svd = load_file(path)
            vectors = vectors_of_bases({"svd": svd}, matrix, ["W_U"], Setting(), reading_gains(gains, matrix))
            reading = Reading(matrix, svd["values"].numpy(), readouts, texts, TOKENS, THREADS)
            project_directions(vectors, "svd", CONTROLS, reading, seed=0)
            del svd, vectors
    print(f"{'all':<18} {time.monotonic() - begun:7.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="adapter.", dir=arguments.directory))
    try:
        measure(place, SHAPES["tiny" if arguments.tiny else "7b"])
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
