"""Where the numbers of a table come from: what goes into its metadata, and what is read back."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from svdlens.artefacts.metadata import KEY

ROTARY_QK = "W_Q W_K^T is the content term at relative position 0: position embeddings are rotary"


def table_facts(provenance: Path, matrix: str | None = None, **facts: object) -> dict[str, object]:
    """Model, revision and sha256 of the weights from a model's provenance.json, with further `facts`.

    Of a difference or an adapter also the sha256 of the files of the models that it is of, as `of/NAME`, `minus/NAME`.
    For the matrix `qk` of a model with rotary position embeddings, also what such a matrix is. No times, hosts or
    paths: the same inputs give the same bytes.
    """
    model = json.loads(Path(provenance).read_text(encoding="utf-8"))
    weights = weight_checksums(model)
    for part, other in model.get("models", {}).items():
        weights |= {f"{part}/{name}": sha256 for name, sha256 in weight_checksums(other).items()}
    if matrix == "qk" and model["rotary"]:
        facts["qk"] = ROTARY_QK
    return {"model": model["model"], "revision": model["revision"], "weights_sha256": weights, **facts}


def weight_checksums(model: dict[str, Any]) -> dict[str, str]:
    """The sha256 of each file with weights that a provenance.json names."""
    return {name: file["sha256"] for name, file in model["files"].items() if name.endswith(".safetensors")}


def facts_of_source(metadata: dict[str, object]) -> dict[str, object]:
    """Of the metadata of one table, those facts that hold of what is made of it, too: model, weights and setting."""
    return {name: metadata[name] for name in ("model", "revision", "weights_sha256", "setting") if name in metadata}


def arrays_metadata(path: Path) -> dict[str, Any]:
    """The facts in a safetensors file of ours (artefacts/metadata.py)."""
    with safe_open(path, framework="numpy") as file:
        facts: dict[str, Any] = json.loads(file.metadata()[KEY])
    return facts


def model_on_hub(provenance: Path) -> tuple[str | None, str | None]:
    """The id of a model on the hub, None of one that is not from there, and its revision; from its provenance.json."""
    model = json.loads(provenance.read_text(encoding="utf-8"))
    return model["repo"] if model["source"] == "hub" else None, model["revision"]


def noise_of(stability: str) -> dict[str, str]:
    """By factor of the matrix, which noise the stability in this file is of (svd/weight_noise.py); its metadata."""
    noise: dict[str, str] = arrays_metadata(Path(stability))["noise"]
    return noise
