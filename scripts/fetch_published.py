"""Fetch the published answers about one model into results/published/{model}/; provenance.json is written last."""

from pathlib import Path

from svdlens.labels.published.fetch import URL, fetch_published
from svdlens.runtime.script import run


def main(smk):
    """Raises SvdlensError, with nothing published, if the files cannot be had whole and sound."""
    source = smk.params.source
    directory = Path(source["path"]) if "path" in source else None
    target = Path(smk.output.provenance).parent
    fetch_published(smk.wildcards.model, target, source.get("sha256", {}), directory, source.get("url", URL))


if __name__ == "__main__":
    run(main, snakemake, network=True)  # noqa: F821
