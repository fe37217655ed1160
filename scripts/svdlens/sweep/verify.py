"""`make verify`: whether what was made, what was fetched, and all files that a configuration names are what they were.

What they were: of results, their records (runtime/checksums.py); of the others, what provenance.json says, and the
metadata of the tables that were made of counts of tokens and of lists from elsewhere. Every file is read as a whole,
where a run looks only at parts of a large one (sweep/named_files.py).
"""

import glob
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError
from svdlens.labels.published.local_files import local_files
from svdlens.runtime.checksums import all_records, difference, read_record
from svdlens.sweep import paths
from svdlens.sweep.config_files import configuration
from svdlens.sweep.named_files import expand_home, model_place, tokenizer_name

PROJECT = Path(__file__).parents[3]
NO_RESULTS = ("checksums", "logs", "benchmarks")
"""Directories of results/ whose files are no results."""
PARTS = ("svd_parts", "stability_parts", "token_parts")
"""Those of files that are deleted once they are joined."""


def differences_of_made() -> tuple[list[str], int, int]:
    """Of results/ in the working directory: a sentence about each file that is another than was made, or is gone; how
    many have a record and are there; how many have none, fetched files aside.

    Files that are deleted when no job needs them any more may be gone.
    """
    found, recorded = [], set[Path]()
    for record in all_records():
        try:
            for path, sha256 in read_record(record).items():
                recorded.add(path)
                if (path.exists() or not is_temporary(path)) and (said := difference(path, sha256)):
                    found.append(f"{path} {said}")
        except SvdlensError as error:
            found.append(str(error))
    present = set(result_files())
    return found, len(present & recorded), len(present - recorded - fetched_files())


def is_temporary(path: Path) -> bool:
    if path.parts[1] in PARTS:
        return True
    return path.stem in paths.TEMPORARY_WEIGHTS and path.match(paths.WEIGHTS.format(model="*", group="*"))


def result_files() -> Iterator[Path]:
    """Every file below results/ but hidden ones, which are a job's that was killed, and what is no result."""
    for path in Path("results").rglob("*"):
        parts = path.relative_to("results").parts
        if parts[0] not in NO_RESULTS and not any(part.startswith(".") for part in parts) and path.is_file():
            yield path


def fetched_files() -> set[Path]:
    """The files that a provenance.json knows."""
    found = set()
    for path in Path("results").glob("*/*/provenance.json"):
        with suppress(SvdlensError):  # `differences` says it
            found |= {path.with_name(name) for name in read_provenance(path).files}
    return found


class Provenance(NamedTuple):
    """Of a provenance.json: the sha256 of each fetched file, and of the GGUF file that it was made of."""

    files: dict[str, str]
    gguf: str | None


def read_provenance(path: Path) -> Provenance:
    """Raises SvdlensError if the file is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = {name: file["sha256"] for name, file in content["files"].items()}
        return Provenance(files, content["gguf"]["sha256"] if "gguf" in content else None)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise SvdlensError(f"{path} is damaged: it is no provenance ({error})") from error


def differences(results: Path, config: Mapping[str, Any], bundled: Path) -> Iterator[str]:
    """A sentence about each file, in `results` or named by the configuration, that is another than it was.

    `config` has models and labellers, the paths in it are written out; `bundled` has the models with `bundled`.
    """
    for path in sorted(results.glob("*/*/provenance.json")):
        try:
            provenance = read_provenance(path)
        except SvdlensError as error:
            yield str(error)
            continue
        yield from differing(path.parent, provenance.files)
        yield from differing_sources(path, provenance, config, bundled)
    yield from differing_from_tables(results, config)


def differing_sources(path: Path, provenance: Provenance, config: Mapping[str, Any], bundled: Path) -> Iterator[str]:
    """The same of the files on this machine that a model or published answers, with this provenance.json, are from."""
    kind, name = path.parts[-3:-1]
    if kind == "models":
        place = model_place(config["models"].get(name, {}), bundled)
        if place is not None and provenance.gguf is not None:
            yield from differing(place.parent, {place.name: provenance.gguf})
        elif place is not None:
            yield from differing(place, provenance.files)
    if kind == "published":
        for source in map(Path, local_files(config["labellers"].get("published", {}), name)):
            if source.name in provenance.files:
                yield from differing(source.parent, {source.name: provenance.files[source.name]})


def differing_from_tables(results: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """The same of files that nothing is fetched from: counts of tokens, lists from elsewhere and their tokenizer."""
    for path in sorted(results.glob("vocabulary/*/features.parquet")):
        counts = config["models"].get(path.parent.name, {}).get("token_counts")
        made_of = metadata_of_table(path).get("token_counts_sha256") if counts else None
        if made_of:
            yield from differing(Path(counts).parent, {Path(counts).name: str(made_of)}, f"{path} was made of it")
    if "lists" not in config:
        return
    lists = Path(config["lists"])
    for path in sorted(results.glob(f"lists/{glob.escape(lists.stem)}.*.parquet")):
        facts = metadata_of_table(path)
        if "lists_sha256" in facts:
            yield from differing(lists.parent, {lists.name: str(facts["lists_sha256"])}, f"{path} was made of it")
        made_with = facts.get("tokenizer")
        if made_with and "tokenizer" in config and made_with != tokenizer_name(Path(config["tokenizer"])):
            yield f"{config['tokenizer']} is another tokenizer than {path} was made with"


def metadata_of_table(path: Path) -> dict[str, object]:
    """What a table of ours says of itself; nothing if it is damaged, which its checksum tells."""
    from svdlens.artefacts.table_schemas import read_metadata  # takes its time

    try:
        return dict(read_metadata(path))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def differing(directory: Path, sha256: Mapping[str, str], when: str = "it was fetched") -> Iterator[str]:
    """A sentence about each of these files of a directory that is not there or has another sha256."""
    for name, expected in sha256.items():
        if said := difference(directory / name, expected, f"when {when}"):
            yield f"{directory / name} {said}"


def main(config_files: list[str]) -> None:
    """For the results in the working directory, and config.yaml of the project with `config_files` over it."""
    config = configuration(map(Path, config_files), PROJECT)
    expand_home(config)
    made, n_recorded, n_unrecorded = differences_of_made()
    named = list(differences(Path("results"), config, PROJECT / "resources/models"))
    if made:
        made.append(
            "Delete these files and ask for them by their paths (snakemake --cores all PATH --configfile SWEEP): they "
            "are made anew, and the next whole run makes what follows from them. Of damaged checksums, delete what "
            "they are of, too."
        )
    if named:
        named.append(
            "Delete provenance.json beside it, and the next run fetches the model (the answers) anew; of counts, lists "
            "and tokenizers, delete the table that was made of them."
        )
    print(f"{n_recorded} results with a checksum.")
    if n_unrecorded:
        print(f"{n_unrecorded} without: of an earlier version of svdlens, or files that no job has made.")
    if made or named:
        raise SvdlensError("\n".join([*made, *named]))
    print(
        "What has a checksum is what was made. Every fetched file, and every file on this machine that the "
        "configuration names, is what it was."
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
