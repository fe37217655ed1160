"""Rule measure_stability: what noise on the weights, and float32 arithmetic, do to each singular vector."""

from pathlib import Path

from svdlens.artefacts.provenance import table_facts
from svdlens.runtime.compute import device_for
from svdlens.runtime.script import run
from svdlens.spec.settings import PATH_SWITCHES, Setting
from svdlens.svd.layer_by_layer import Task, chosen_numbers
from svdlens.svd.model_stability import measure_layers
from svdlens.svd.weight_noise import WeightNoise
from svdlens.weights.weight_files import WeightFile, save_tensors


def main(smk):
    params, matrix, weights = smk.params, smk.wildcards.matrix, WeightFile(Path(smk.input.weights))
    layers, heads = chosen_numbers(weights, matrix, smk.wildcards.model, params.numbers)
    task = Task(
        matrix=matrix,
        heads=heads,
        setting=Setting(**{switch: smk.wildcards[switch] == "on" for switch in PATH_SWITCHES}),
        directions=None if params.directions == "all" else params.directions,
    )
    noise = WeightNoise(params.weight_noise, weights, WeightFile(Path(smk.input.steps)))
    device = device_for(smk.resources.get("gpu", 0))
    arrays = measure_layers(noise, task, layers, smk.threads, device)
    facts = {"setting": sorted(name for name in PATH_SWITCHES if smk.wildcards[name] == "on"), "code": params.code}
    facts = table_facts(smk.input.provenance, matrix, **facts, noise=noise.said(task, layers))
    save_tensors(Path(smk.output.stability), arrays, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
