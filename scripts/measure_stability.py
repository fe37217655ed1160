"""Rule measure_stability: what noise and float32 do to each vector (placeholder until model_stability is merged)."""

from pathlib import Path

from safetensors.torch import load_file

from svdlens.runtime.script import run
from svdlens.weights.weight_files import save_tensors


def main(smk):
    svd = load_file(smk.input.svd)
    names = ("stability_noise", "stability_float32")
    save_tensors(Path(smk.output.stability), {name: svd[name] for name in names})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
