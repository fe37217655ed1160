"""Rule decompose_matrices: singular values and vectors of every matrix of one kind in a model."""

from pathlib import Path

from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import PATH_SWITCHES, Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    task = Task(
        matrix=smk.wildcards.matrix,
        setting=Setting(**{switch: smk.wildcards[switch] == "on" for switch in PATH_SWITCHES}),
        directions=None if smk.params.directions == "all" else smk.params.directions,
    )
    weights = WeightFile(Path(smk.input.weights))
    device = device_for(smk.resources.get("gpu", 0))
    arrays = decompose_layers(weights, task, range(weights.layers), smk.threads, device)
    save_tensors(Path(smk.output.svd), arrays, {"matrix": task.matrix})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
