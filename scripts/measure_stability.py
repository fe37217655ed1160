"""Rule measure_stability: what noise on weights, and float32 arithmetic, do to each vector; or its parts, joined."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import switches_on
from svdlens.svd.layer_by_layer import task_of_job
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.parts import join_parts
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    params, matrix, weights = smk.params, smk.wildcards.matrix, WeightFile(Path(smk.input.weights))
    task, layers = task_of_job(weights, smk.wildcards, smk.params.directions, smk.params.numbers)
    noise = WeightNoise(params.weight_noise, weights, WeightFile(Path(smk.input.steps)))
    if smk.input.parts:
        arrays = join_parts(smk.input.parts)
    else:
        arrays = measure_layers(noise, task, layers, smk.threads, device_for(smk.resources.get("gpu", 0)))
    facts = {"setting": switches_on(smk.wildcards), "code": params.code}
    facts = table_facts(smk.input.provenance, matrix, **facts, noise=noise.said(task, layers))
    save_tensors(Path(smk.output.stability), arrays, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
