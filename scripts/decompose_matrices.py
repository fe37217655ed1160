"""Rule decompose_matrices: singular values and vectors of every matrix of one kind in a model, or of its parts."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import switches_on
from svdlens.svd.layer_by_layer import number_arrays, task_of_job
from svdlens.svd.model_svd import decompose_layers
from svdlens.svd.parts import join_parts
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    matrix, weights = smk.wildcards.matrix, WeightFile(Path(smk.input.weights))
    task, layers = task_of_job(weights, smk.wildcards, smk.params.directions, smk.params.numbers)
    if smk.input.parts:
        arrays = join_parts(smk.input.parts)
    else:
        arrays = decompose_layers(weights, task, layers, smk.threads, device_for(smk.resources.get("gpu", 0)))
    facts = table_facts(smk.input.provenance, matrix, setting=switches_on(smk.wildcards), code=smk.params.code)
    save_tensors(Path(smk.output.svd), arrays | number_arrays(smk.params.numbers), facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
