"""Rule read_prompt: what each direction of a model does on a prompt."""

from pathlib import Path

import torch

from svdlens.activations.examples import read_sides
from svdlens.activations.prompt import firings, modules_of, run_prompt, top_pairs
from svdlens.activations.prompt_table import ablate_heads, labels_of, pair_columns, prompt_columns
from svdlens.artefacts.activation_schemas import ABLATIONS, PROMPT_PAIRS, PROMPTS
from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import write_table
from svdlens.figures.prompt_picture import draw_prompt, picture_data
from svdlens.figures.style import save_figure
from svdlens.models.load import load_fetched_model
from svdlens.models.token_table import read_token_texts
from svdlens.models.token_windows import first_token, prompt_tokens
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names


def main(smk):
    torch.set_num_threads(1)  # the last bits depend on it
    files, params, options, name = smk.input, smk.params, smk.params.options, smk.wildcards.model
    directory, setting = Path(files.provenance).parent, setting_from_names(smk.wildcards.setting, params.switches)
    model = load_fetched_model(directory, name, params.source)
    ids, first = prompt_tokens(params.prompt, model, directory), len(first_token(model))
    svds = {matrix: read_sides(path, matrix) for matrix, path in zip(params.matrices, files.svd, strict=True)}
    texts, labels = read_token_texts(Path(files.tokens)), labels_of(files.labels, params.readout)
    seen = run_prompt(model, ids, modules_of(svds))
    columns = prompt_columns(seen, firings(model, seen, svds, setting), labels, texts, first)
    pairs = pair_columns(top_pairs(model, seen, svds.get("qk"), setting, options["pairs"]), seen, labels, texts)
    heads, svd = options["heads"], svds.get("ov")
    ablations = ablate_heads(model, seen, svd, setting, columns, heads, texts, params.tolerance, name)
    facts = table_facts(files.provenance, setting=sorted(params.switches), prompt=params.prompt, code=params.code)
    write_table(Path(smk.output.directions), columns, PROMPTS, facts)
    write_table(Path(smk.output.pairs), pairs, PROMPT_PAIRS, facts)
    write_table(Path(smk.output.ablations), ablations, ABLATIONS, facts)
    data = picture_data(columns, options["drawn"], first)
    figure = draw_prompt(data, model=name, setting=smk.wildcards.setting, labeller=params.labeller)
    save_figure(figure, data, *map(Path, smk.output.picture))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
