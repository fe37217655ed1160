"""Rule trace_queries: the directions of a model, in one setting, that the queries lie along."""

from pathlib import Path

import torch

from svdlens.artefacts.provenance import table_facts
from svdlens.artefacts.table_schemas import TRACE, TRACE_MATRICES, write_table
from svdlens.runtime.script import run
from svdlens.spec.settings import setting_from_names
from svdlens.spec.token_vectors import BEST_LIST
from svdlens.trace.best_list import best_list
from svdlens.trace.queries import read_log_ranks, read_queries
from svdlens.trace.rounds import trace_queries
from svdlens.trace.token_vectors import token_vectors
from svdlens.trace.trace_model import find_again, live_directions, load_directions, load_lists
from svdlens.trace.trace_table import with_lists
from svdlens.weights.weight_files import WeightFile


def main(smk):
    torch.set_num_threads(1)  # tiles run side by side
    files, params = smk.input, smk.params
    ranks, facts = read_log_ranks(Path(files.features)), {"vectors": params.vectors, "code": params.code}
    queries = read_queries(Path(files.queries)) if files.queries else {}
    lists, labels = load_lists(files.lists, params.readout), load_lists(files.labels, params.readout)
    if params.best_list:
        queries[BEST_LIST], facts[BEST_LIST] = best_list(lists, labels)
    setting = setting_from_names(smk.wildcards.setting, params.switches)
    vectors = token_vectors(WeightFile(Path(files.unembed)), setting, params.vectors)
    svd = dict(zip(params.matrices, files.directions, strict=True))
    directions = live_directions(load_directions(svd, files.gains, setting, params.vectors), lists)
    traced = trace_queries(queries, vectors, ranks, directions, lists, threads=smk.threads, **params.options)
    facts["split"] = {name: tokens.split for name, tokens in queries.items() if tokens.split}
    again = find_again(directions, vectors, lists, params.options["seed"])
    facts = table_facts(files.provenance, **facts, setting=sorted(params.switches), **again, rounds=traced.rounds)
    write_table(Path(smk.output.directions), dict(with_lists(traced.rows, lists, labels).items()), TRACE, facts)
    write_table(Path(smk.output.matrices), dict(traced.matrices.items()), TRACE_MATRICES, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
