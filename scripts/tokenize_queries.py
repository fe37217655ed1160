"""Rule tokenize_queries: the words of the queries as tokens of a model."""

from pathlib import Path

from svdlens.models.token_table import read_token_texts
from svdlens.models.word_pieces import word_pieces
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run
from svdlens.trace.queries import query_tokens, read_log_ranks, save_queries


def main(smk):
    files = smk.input
    texts, ranks = read_token_texts(Path(files.tokens)), read_log_ranks(Path(files.features))
    directory = Path(files.provenance).parent
    restore_lost_files(directory, "fetch_model", smk.params.source)
    pieces = word_pieces(directory)
    queries = {name: query_tokens(name, words, texts, ranks, pieces) for name, words in smk.params.queries.items()}
    save_queries(Path(smk.output.queries), queries)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
