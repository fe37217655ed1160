"""Rule decompose_part: singular values and vectors of some layers of one kind of matrix."""

from pathlib import Path

from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.svd.layer_by_layer import task_of_job
from svdlens.svd.model_svd import decompose_layers
from svdlens.svd.parts import layers_of_part
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    weights = WeightFile(Path(smk.input.weights))
    task, layers = task_of_job(weights, smk.wildcards, smk.params.directions, smk.params.numbers)
    layers = layers_of_part(layers, int(smk.wildcards.part), int(smk.wildcards.parts))
    device = device_for(smk.resources.get("gpu", 0))
    save_tensors(Path(smk.output.svd), decompose_layers(weights, task, layers, smk.threads, device))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
