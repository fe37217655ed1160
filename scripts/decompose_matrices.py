"""Rule decompose_matrices: singular values and vectors of every matrix of one kind in a model."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import PATH_SWITCHES, Setting
from svdlens.svd.layer_by_layer import Task, chosen_numbers, number_arrays
from svdlens.svd.model_svd import decompose_layers
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
    device = device_for(smk.resources.get("gpu", 0))
    arrays = decompose_layers(weights, task, layers, smk.threads, device) | number_arrays(smk.params.numbers)
    switches = sorted(name for name in PATH_SWITCHES if smk.wildcards[name] == "on")
    facts = table_facts(smk.input.provenance, matrix, setting=switches, code=smk.params.code)
    save_tensors(Path(smk.output.svd), arrays, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
