"""Where the numbers of a table come from: what goes into its metadata, and what is read back."""

import json
from pathlib import Path

from safetensors import safe_open

from svdlens.artefacts.table_schemas import read_metadata

ROTARY_QK = "W_Q W_K^T is the content term at relative position 0: position embeddings are rotary"


def table_facts(provenance: Path, matrix: str | None = None, **facts: object) -> dict[str, object]:
    """Model, revision and sha256 of the weights from a model's provenance.json, with further `facts`.

    For the matrix `qk` of a model with rotary position embeddings, also what such a matrix is. No times, hosts or
    paths: the same inputs give the same bytes.
    """
    model = json.loads(Path(provenance).read_text(encoding="utf-8"))
    weights = {name: file["sha256"] for name, file in model["files"].items() if name.endswith(".safetensors")}
    if matrix == "qk" and model["rotary"]:
        facts["qk"] = ROTARY_QK
    return {"model": model["model"], "revision": model["revision"], "weights_sha256": weights, **facts}


def model_on_hub(provenance: Path) -> tuple[str | None, str | None]:
    """The id of a model on the hub, None of one that is not from there, and its revision; from its provenance.json."""
    model = json.loads(provenance.read_text(encoding="utf-8"))
    return model["repo"] if model["source"] == "hub" else None, model["revision"]


def noise_of(stability: str) -> dict[str, str]:
    """By factor of the matrix, which noise the stability in this file is of (svd/weight_noise.py); its metadata."""
    with safe_open(stability, framework="numpy") as file:
        noise: dict[str, str] = json.loads(file.metadata()["noise"])
    return noise


def labeller_networks(fractions: Path) -> set[str]:
    """The models in a table of fractions that are the network with which the labeller embeds."""
    sources = read_metadata(fractions)["sources"]
    assert isinstance(sources, dict)
    return {facts["model"] for facts in sources.values() if facts["labeller_network"]}
