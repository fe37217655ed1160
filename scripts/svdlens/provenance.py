"""Where the numbers of a table come from: what goes into its metadata."""

import json
from pathlib import Path


def table_facts(provenance: Path, **facts: object) -> dict[str, object]:
    """Model, revision and sha256 of the weights from a model's provenance.json, with further `facts`.

    No times, hosts or paths: the same inputs give the same bytes.
    """
    model = json.loads(Path(provenance).read_text(encoding="utf-8"))
    weights = {name: file["sha256"] for name, file in model["files"].items() if name.endswith(".safetensors")}
    return {"model": model["model"], "revision": model["revision"], "weights_sha256": weights, **facts}
