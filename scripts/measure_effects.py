"""Rule measure_effects: what scaling each direction of one kind of matrix does to what the model predicts on a text."""

from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import EFFECTS, write_table
from svdlens.effects.effects_table import effect_columns, effect_windows, updates_of_svd
from svdlens.effects.metrics import LOSS, target_ids
from svdlens.effects.slopes import measure_effects
from svdlens.models.load import load_fetched_model
from svdlens.models.token_windows import read_text
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names


def main(smk):
    directory, matrix, metric = Path(smk.input.provenance).parent, smk.wildcards.matrix, smk.params.metric
    text = read_text(Path(smk.params.text))
    model = load_fetched_model(directory, smk.wildcards.model, smk.params.source)
    targets = None if metric == LOSS else target_ids(metric, directory)
    windows = effect_windows(text, model, directory, smk.params.tokens)
    svd = load_file(smk.input.svd)
    updates = updates_of_svd(model, matrix, setting_from_names(smk.wildcards.setting, smk.params.switches), svd)
    value, effects = measure_effects(model, windows, updates, targets, smk.threads)
    columns = ["layer", "head", "index", "side", "sign", "readout", "token_ids"]
    lists = pd.read_parquet(smk.input.tokens, columns=columns, partitioning=None)
    facts = {"text_sha256": smk.params.text_content, "tokens": windows.numel(), "metric": metric, "metric_value": value}
    facts |= {"setting": sorted(smk.params.switches), "code": smk.params.code}
    table = effect_columns(model, matrix, svd, updates, effects, lists)
    write_table(Path(smk.output.effects), table, EFFECTS, table_facts(smk.input.provenance, matrix, **facts))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
