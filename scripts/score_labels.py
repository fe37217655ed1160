"""Rule score_labels: do the labels of one table fit the tokens that they were given to?"""

from pathlib import Path

from svdlens.artefacts.provenance import facts_of_source
from svdlens.artefacts.table_schemas import SCORES, read_metadata, write_table
from svdlens.evaluation.scores_table import read_judged_model, score_table
from svdlens.runtime.script import run


def main(smk):
    names = ("tokens", "features", "classes", "embeddings", "label_embeddings")
    judged = read_judged_model({name: Path(smk.input[name]) for name in names})
    labels, lists = Path(smk.input.labels), Path(smk.input.lists)
    scores = score_table(labels, lists, judged, smk.params.seed)
    constants = {"matrix": smk.wildcards.matrix, "labeller": smk.wildcards.labeller}
    records = [constants | score for score in scores]
    columns = {name: [record[name] for record in records] for name in SCORES.names}
    facts = facts_of_source(read_metadata(labels)) | {"labels": read_metadata(labels), "code": smk.params.code}
    facts["minilm_sha256"] = read_metadata(smk.input.label_embeddings)["minilm_sha256"]
    write_table(Path(smk.output.scores), columns, SCORES, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
