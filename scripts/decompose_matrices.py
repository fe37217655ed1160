"""Rule decompose_matrices: singular values and vectors of every matrix of one kind in a model."""

from pathlib import Path

import torch

from svdlens.decompose import decompose_layer, stack_layers
from svdlens.job import progress, run
from svdlens.settings import PATH_SWITCHES, Setting
from svdlens.threads import single_threaded_pool
from svdlens.weights import WeightFile, save_tensors


def main(smk):
    # One thread for each matrix, several matrices at a time: LAPACK's last bits depend on its threads.
    torch.set_num_threads(1)
    matrix = smk.wildcards.matrix
    setting = Setting(**{switch: smk.wildcards[switch] == "on" for switch in PATH_SWITCHES})
    weights = WeightFile(Path(smk.input.weights))
    with single_threaded_pool(smk.threads) as pool:
        layers = progress(range(weights.layers), f"SVD of {matrix}")
        stacked = stack_layers(
            (decompose_layer(weights, matrix, layer, setting, smk.params.directions, pool) for layer in layers), matrix
        )
    save_tensors(Path(smk.output.svd), stacked, {"matrix": matrix})


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
