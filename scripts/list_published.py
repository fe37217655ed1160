"""Rule list_published: the token lists that the published answers are about, for any labeller to label again."""

import json
from pathlib import Path

from svdlens.artefacts.atomic_files import write_text
from svdlens.labels.published.answers import published_lists, read_answers
from svdlens.runtime.lost_files import restore_lost_files
from svdlens.runtime.script import run


def main(smk):
    directory = Path(smk.input.answers).parent
    restore_lost_files(directory, "fetch_published", smk.params.source)
    answers = read_answers(directory, smk.wildcards.model, smk.wildcards.matrix)
    write_text(Path(smk.output.lists), "".join(json.dumps(line) + "\n" for line in published_lists(answers)))


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
