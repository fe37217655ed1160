"""Fetch one model of the catalogue into results/models/{model}/, verified; provenance.json is written last.

The source is {"repo", "revision", "sha256": {file: sha256}} on the hub, {"path": directory} or {"bundled": directory}.
"""

from pathlib import Path
from typing import Any

from svdlens.fetch import fetch_from_directory, fetch_from_hub
from svdlens.job import run


def main(smk: Any) -> None:
    """Raises SvdlensError, with nothing published, if the model cannot be had whole and sound."""
    model, source = smk.wildcards.model, smk.params.source
    target = Path(smk.output.provenance).parent
    if "repo" in source:
        fetch_from_hub(source["repo"], source["revision"], target, source.get("sha256", {}), model)
    elif "path" in source:
        fetch_from_directory(Path(source["path"]).expanduser(), target, model, "path")
    else:
        fetch_from_directory(Path(source["bundled"]), target, model, "bundled")


if __name__ == "__main__":
    run(main, snakemake)  # noqa: F821
