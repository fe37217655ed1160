"""Rule read_prompt: what each direction of a model does on a prompt."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from svdlens.activations.ablation import head_ablations
from svdlens.activations.prompt import firings, modules_of, run_prompt, top_pairs
from svdlens.activations.prompt_table import (
    ablation_columns,
    chosen_heads,
    labels_of,
    pair_columns,
    prompt_columns,
    vectors_of,
)
from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import ABLATIONS, PROMPT_PAIRS, PROMPTS, write_table
from svdlens.figures.prompt_picture import draw_prompt, picture_data
from svdlens.figures.style import save_figure
from svdlens.models.load import load_model
from svdlens.models.token_table import read_token_texts
from svdlens.models.token_windows import first_token, prompt_tokens
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names


def main(smk):
    torch.set_num_threads(1)  # the last bits depend on it
    params, options = smk.params, smk.params.options
    directory = Path(smk.input.provenance).parent
    model = load_model(directory, smk.wildcards.model)
    ids = prompt_tokens(params.prompt, model, directory)
    setting = setting_from_names(smk.wildcards.setting, params.switches)
    svds = {matrix: load_file(path) for matrix, path in zip(params.matrices, smk.input.svd, strict=True)}
    texts, labels = read_token_texts(Path(smk.input.tokens)), labels_of(smk.input.labels, params.readout)

    seen = run_prompt(model, ids, modules_of(svds))
    columns = prompt_columns(seen, firings(model, seen, svds, setting), labels, texts, len(first_token(model)))
    pairs = top_pairs(model, seen, svds.get("qk"), setting, options["pairs"])
    target = int(seen.targets[-1])
    ablations = [
        (one, head_ablations(model, ids, target, setting, *one[:2], vectors_of(svds["ov"], *one)))
        for one in chosen_heads(columns, options["heads"])
    ]
    facts = {"setting": sorted(params.switches), "prompt": params.prompt, "code": params.code}
    facts = table_facts(smk.input.provenance, **facts)
    write_table(Path(smk.output.directions), columns, PROMPTS, facts)
    write_table(Path(smk.output.pairs), pair_columns(pairs, seen, labels, texts), PROMPT_PAIRS, facts)
    write_table(Path(smk.output.ablations), ablation_columns(ablations, target, texts), ABLATIONS, facts)
    data = picture_data(columns, options["drawn"], len(first_token(model)))
    figure = draw_prompt(data, model=smk.wildcards.model, setting=smk.wildcards.setting, labeller=params.labeller)
    save_figure(figure, data, *map(Path, smk.output.picture))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
