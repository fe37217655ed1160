"""Rule decompose_part: singular values and vectors of some layers of one kind of matrix."""

from pathlib import Path

from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import PATH_SWITCHES, Setting
from svdlens.svd.layer_by_layer import Task, chosen_numbers
from svdlens.svd.model_svd import decompose_layers
from svdlens.svd.parts import layers_of_part
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    matrix, weights = smk.wildcards.matrix, WeightFile(Path(smk.input.weights))
    layers, heads = chosen_numbers(weights, matrix, smk.wildcards.model, smk.params.numbers)
    task = Task(
        matrix=matrix,
        heads=heads,
        setting=Setting(**{switch: smk.wildcards[switch] == "on" for switch in PATH_SWITCHES}),
        directions=None if smk.params.directions == "all" else smk.params.directions,
    )
    layers = layers_of_part(layers, int(smk.wildcards.part), int(smk.wildcards.parts))
    device = device_for(smk.resources.get("gpu", 0))
    save_tensors(Path(smk.output.svd), decompose_layers(weights, task, layers, smk.threads, device))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
