"""Rule check_token_tables: whether a model has the matrices of its token tables, before anything dear is computed."""

from pathlib import Path

from svdlens.artefacts.atomic_files import write_text
from svdlens.models.model_shape import check_token_tables, read_shape
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run


def main(smk):
    directory = Path(smk.input.provenance).parent
    restore_lost_files(directory, "fetch_model", smk.params.source)
    shape = read_shape(directory, smk.params.architecture)
    check_token_tables(smk.wildcards.model, smk.params.tables, shape)
    write_text(Path(smk.output.checked), f"{shape.n_layers} layers, {shape.n_heads} heads\n")


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
