"""`make publish`: a finished sweep as one zip, results/publish/NAME.zip, for Zenodo or a data set of a hub.

Tables, figures, explorer, pages of the report, configuration, requirements.lock, a sha256 of each file
(`sha256sum -c manifest-sha256.txt`) and an RO-Crate description. The same results, the same bytes.
"""

import datetime
import hashlib
import json
import mmap
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from svdlens.artefacts.atomic_files import atomic_path, sha256_of
from svdlens.errors import SvdlensError
from svdlens.publication.crate import METADATA, PackedFile, describe
from svdlens.publication.data_card import data_card
from svdlens.publication.packed_files import (
    OF_PROJECT,
    check_finished,
    check_publishable,
    check_same_configuration,
    check_text,
    explorer_files,
    private_values,
    private_words,
    report_members,
    swept_files,
    without_private_values,
)
from svdlens.report.not_made import swept_configuration
from svdlens.report.pages import configuration_of_page, configuration_page
from svdlens.runtime.checksums import check_inputs
from svdlens.sweep.config_checks import check_configuration, load_schema, take_copies
from svdlens.sweep.config_files import configuration
from svdlens.sweep.named_files import expand_home
from svdlens.sweep.plan import Sweep

PROJECT = Path(__file__).parents[3]
LICENSE = "CC-BY-4.0"
MANIFEST = "manifest-sha256.txt"
COMPRESSED = {".parquet", ".png", ".pdf", ".zip"}
"""Compressed already."""
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
CONFIGURATION_PAGE = Path("results/report/configuration.html")
"""It says what results were made with. A page without places on this machine is packed instead of it."""
EXPLORER_OUTPUTS = ("results/explorer/data", "results/explorer/static")

Content = Path | bytes
"""A file as it is, or what is packed in its place."""


def contents(
    sweep: Sweep, config: dict[str, Any], config_file: Path | None, facts: dict[str, str]
) -> dict[str, Content]:
    """What is packed, by its name in the archive, sorted; checked that nothing private is in it."""
    values = private_values(config)
    words = private_words(values, [Path.cwd(), PROJECT, Path.home()])
    packed: dict[str, Content] = {
        path.removeprefix("results/"): Path(path) for path in [*swept_files(sweep), *explorer_files()]
    }
    packed |= {name: PROJECT / name for name in OF_PROJECT}
    packed["config/config.yaml"] = published_configuration(PROJECT / "config.yaml", values)
    packed["config/sweep.yaml"] = published_configuration(config_file, values) if config_file else b"{}\n"
    asked_for = swept_configuration(Sweep(without_private_values(config, values)))
    packed["report/configuration.html"] = configuration_page(asked_for).encode("utf-8")
    packed["README.md"] = data_card(facts, models_of(sweep), Path("results/tables")).encode("utf-8")
    for name, source in packed.items():
        check_content(name, source, words)
    report = Path("results/report.zip")
    if report.is_file():
        try:
            for name, content in report_members(report):
                check_publishable(f"{report}: {name}", content, words)
            packed["report/report.zip"] = report
        except (SvdlensError, zipfile.BadZipFile) as error:
            print(f"Left out: {report}, because {error}")
    return dict(sorted(packed.items()))


def published_configuration(path: Path, values: Mapping[str, str]) -> Content:
    """A file of the configuration as it is; without its comments where a private value had to be replaced."""
    content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    published = without_private_values(content, values)
    if published == content:
        return path
    return yaml.safe_dump(published, sort_keys=False, allow_unicode=True).encode("utf-8")


def sweep_of_run(config: Mapping[str, Any]) -> Sweep:
    """The sweep of a configuration as the Snakefile has it, places written out."""
    written_out = deepcopy(dict(config))
    expand_home(written_out)
    take_copies(written_out)
    return Sweep(written_out)


def check_content(name: str, source: Content, words: list[str]) -> None:
    if name.startswith(("config/", "report/", "models/")):
        check_text(name, (source if isinstance(source, bytes) else source.read_bytes()).decode("utf-8", "replace"))
    if isinstance(source, bytes):
        check_publishable(name, source, words)
    elif source.stat().st_size:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            check_publishable(name, content, words)


def packed_file(name: str, source: Content) -> PackedFile:
    if isinstance(source, bytes):
        return PackedFile(name, len(source), hashlib.sha256(source).hexdigest())
    return PackedFile(name, source.stat().st_size, sha256_of(source))


def write_archive(path: Path, packed: dict[str, Content]) -> None:
    """A zip whose bytes depend on names and contents alone."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, source in sorted(packed.items()):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            compressed = Path(name).suffix in COMPRESSED
            member.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
            if isinstance(source, bytes):
                archive.writestr(member, source)
                continue
            member.file_size = source.stat().st_size
            with source.open("rb") as file, archive.open(member, "w") as target:
                shutil.copyfileobj(file, target, 1 << 20)


def date_of(results: Path, given: str) -> str:
    """The date of publication: the `given` one, or the day on which the last table was written."""
    if given:
        try:
            return datetime.date.fromisoformat(given).isoformat()
        except ValueError as error:
            raise SvdlensError(f"DATE={given}: a date is written YYYY-MM-DD, such as 2026-01-31.") from error
    last = max(path.stat().st_mtime for path in results.glob("tables/*.parquet"))
    return datetime.datetime.fromtimestamp(last, datetime.UTC).date().isoformat()


class PackedSweep(NamedTuple):
    """A finished sweep to publish. title: the name of its file, without suffix. facts: name, description, license,
    version and date. models: every provenance.json. files: by their names."""

    title: str
    sweep: Sweep
    facts: dict[str, str]
    models: list[dict[str, Any]]
    files: dict[str, Content]


def models_of(sweep: Sweep) -> list[dict[str, Any]]:
    """Every provenance.json."""
    return [json.loads(Path(f"results/models/{model}/provenance.json").read_text("utf-8")) for model in sweep.models]


def title_of(config_file: Path | None) -> str:
    """What a published sweep is called in names of files."""
    return config_file.stem if config_file else "config"


def packed_sweep(config_file: Path | None, licence: str = "", name: str = "", date: str = "") -> PackedSweep:
    """What is published of the results in the working directory, of config.yaml of the project with `config_file` over
    it.

    Raises SvdlensError for a sweep that is not finished, a licence that is no SPDX identifier, or something private
    in what would be packed.
    """
    licence = licence or LICENSE
    if not SPDX.fullmatch(licence):
        raise SvdlensError(f"LICENSE={licence}: a licence is named by its SPDX identifier, such as {LICENSE} or MIT.")
    config = configuration([config_file] if config_file else [], PROJECT)
    check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
    sweep = Sweep(config)
    title = title_of(config_file)
    check_finished(sweep, str(config_file or "config.yaml"))
    made = configuration_of_page(CONFIGURATION_PAGE.read_text(encoding="utf-8", errors="replace"))
    check_same_configuration(made, swept_configuration(sweep_of_run(config)), str(config_file or "config.yaml"))
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    facts = {
        "name": " ".join(name.split()) or f"Singular vectors of {', '.join(sweep.models)} read as tokens",
        "description": (
            f"Singular value decompositions of the weight matrices of {', '.join(sweep.models)} in the settings "
            f"{', '.join(sweep.swept_settings())}, with the singular vectors read as tokens and labelled."
        ),
        "license": licence,
        "version": citation["version"],
        "date": date_of(Path("results"), date),
    }
    packed = contents(sweep, config, config_file, facts)
    # What is packed is what was made.
    check_inputs(path for path in [*swept_files(sweep), *EXPLORER_OUTPUTS] if path != str(CONFIGURATION_PAGE))
    files = [packed_file(each, source) for each, source in packed.items()]
    models = models_of(sweep)
    packed[METADATA] = describe(facts, citation, models, files).encode("utf-8")
    files.append(packed_file(METADATA, packed[METADATA]))
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in files)
    packed[MANIFEST] = "".join(sorted(lines, key=lambda line: line[66:])).encode("utf-8")
    return PackedSweep(title, sweep, facts, models, packed)


def publish(config_file: Path | None, licence: str = "", name: str = "", date: str = "") -> Path:
    """Pack what packed_sweep says into a zip. Raises SvdlensError as that does."""
    packed = packed_sweep(config_file, licence, name, date)
    archive = Path(f"results/publish/svdlens-{packed.title}.zip")
    write_archive(archive, packed.files)
    return archive


def main(arguments: list[str]) -> None:
    """The file of the sweep, the licence, the name and the date; each may be empty."""
    config_file, licence, name, date = [*arguments, "", "", "", ""][:4]
    archive = publish(Path(config_file) if config_file else None, licence, name, date)
    said = "" if licence else " (LICENSE=... names another)"
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, sha256 {sha256_of(archive)}")
    print(f"Licence of the results: {licence or LICENSE}{said}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
