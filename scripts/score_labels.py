"""Rule score_labels: do the labels of the sweep fit the tokens that they were given to? One table for all of them."""

from pathlib import Path

from svdlens.artefacts.table_schemas import SCORES, read_metadata, write_table
from svdlens.evaluation.scores_table import (
    distinct_labels,
    judged_model,
    rows_to_score,
    scores_of_controls,
    scores_of_rows,
)
from svdlens.runtime.script import run
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts


def main(smk):
    texts = distinct_labels(smk.input.labels)
    embedded = dict(zip(texts, embed_texts(texts, smk.threads), strict=True)) if texts else {}
    files = zip(smk.input.provenance, smk.input.embeddings, smk.input.classes, strict=True)
    files_of_model = dict(zip(smk.params.models, files, strict=True))
    controls = iter(smk.input.control_labels)
    judged_name, judged, scores_of, records, facts = None, None, {}, [], {}
    places = zip(smk.input.labels, smk.input.lists, smk.params.labelled, smk.params.twins, strict=True)
    for labels, lists, (model, setting, matrix, labeller), twin in places:
        if model != judged_name:
            provenance, *known = map(Path, files_of_model[model])
            judged_name, judged = model, judged_model(provenance.parent, *known, embedded)
        if (model, twin, matrix, labeller) not in scores_of:
            rows = rows_to_score(Path(labels), Path(lists), judged.vocabulary.texts)
            scores_of[model, twin, matrix, labeller] = scores_of_rows(rows, judged, smk.params.seed)
        scores = list(scores_of[model, twin, matrix, labeller])
        if labeller in smk.params.with_controls:
            scores += scores_of_controls(Path(next(controls)), smk.params.level)
        constants = {"model": model, "setting": setting, "matrix": matrix, "labeller": labeller}
        records += [constants | score for score in scores]
        facts[f"{model}/{setting}/{Path(labels).name}"] = read_metadata(labels)
    columns = {name: [record[name] for record in records] for name in SCORES.names}
    # Of the network that judges.
    facts = {"minilm_sha256": SHA256, "code": smk.params.code, "sources": facts}
    write_table(Path(smk.output.scores), columns, SCORES, facts)


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
