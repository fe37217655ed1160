"""Rule measure_part: what noise on the weights, and float32 arithmetic, do to the vectors of some layers."""

from pathlib import Path

from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.svd.layer_by_layer import task_of_job
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.parts import layers_of_part
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    params, weights = smk.params, WeightFile(Path(smk.input.weights))
    task, layers = task_of_job(weights, smk.wildcards, smk.params.directions, smk.params.numbers)
    noise = WeightNoise(params.weight_noise, weights, WeightFile(Path(smk.input.steps)))
    layers = layers_of_part(layers, int(smk.wildcards.part), int(smk.wildcards.parts))
    device = device_for(smk.resources.get("gpu", 0))
    save_tensors(Path(smk.output.stability), measure_layers(noise, task, layers, smk.threads, device))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
