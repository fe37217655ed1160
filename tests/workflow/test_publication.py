"""make publish: a finished sweep as an archive that says what it is, and nothing of the machine it was made on."""

import hashlib
import json
import os
import socket
import zipfile
from pathlib import Path

import pytest
import yaml
from rocrate.rocrate import ROCrate

from svdlens.errors import SvdlensError
from svdlens.publication.archive import main, publish

pytest_plugins = ["workflow_fixtures"]

ARCHIVE = Path("results/publish/svdlens-tiny.zip")
SECRET = "a-very-secret-value"


def unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_archive_is_whole_and_described(finished_here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = yaml.safe_load(Path("tiny.yaml").read_text("utf-8"))
    sweep["models"]["tiny"]["path"] = f"{finished_here}/source"
    Path("tiny.yaml").write_text(yaml.safe_dump(sweep), "utf-8")
    page = Path("results/report/configuration.html")
    page.write_text(page.read_text("utf-8").replace("path: source", f"path: {finished_here}/source"), "utf-8")
    main(["tiny.yaml", "", "", "2026-01-31"])
    assert "Licence of the results: CC-BY-4.0 (LICENSE=" in capsys.readouterr().out
    files = unpacked(ARCHIVE)
    assert list(files) == sorted(files)

    # Every file is in the manifest, and all but the manifest and itself in the description.
    manifest = dict(reversed(line.split("  ", 1)) for line in files["manifest-sha256.txt"].decode().splitlines())
    assert manifest == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "manifest-sha256.txt"
    }
    crate_directory = finished_here / "crate"
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(crate_directory)
    crate = ROCrate(crate_directory)
    described = {entity.id: entity for entity in crate.get_by_type("File") if not entity.id.startswith("ro-crate")}
    assert described.keys() == files.keys() - {"manifest-sha256.txt", "ro-crate-metadata.json"}
    for name, entity in described.items():
        assert (entity["sha256"], int(entity["contentSize"])) == (manifest[name], len(files[name]))
    for name in (
        "tables/fractions.parquet",
        "figures/fraction_by_model.csv",
        "explorer/index.html",
        "requirements.lock",
    ):
        assert name in described
    root = crate.root_dataset
    assert (root["license"].id, root["datePublished"]) == ("https://spdx.org/licenses/CC-BY-4.0", "2026-01-31")
    assert root["creator"]["name"] == "The svdlens developers"
    model = root["isBasedOn"]
    provenance = json.loads(files["models/tiny/provenance.json"])
    assert (model["name"], model["sha256"]) == ("tiny", provenance["files"]["model.safetensors"]["sha256"])
    assert "license" not in model  # of a model of one's own nothing is known
    made_by = root["mentions"]
    assert made_by["instrument"]["name"] == "svdlens"
    assert [entity.id for entity in made_by["object"]] == ["#model-tiny", "config/config.yaml", "config/sweep.yaml"]

    # Nothing of the machine.
    assert yaml.safe_load(files["config/sweep.yaml"])["models"]["tiny"]["path"] == "source"
    assert b"path: source" in files["report/configuration.html"]
    private = [str(finished_here), finished_here.name, f"{Path.home()}/"]
    private += [host for host in [socket.gethostname()] if len(host) > 8]
    for name, content in files.items():
        for word in private:
            assert word.encode() not in content and word.encode("utf-16-le") not in content, (name, word)

    # The same bytes again, whatever the dates of the files, and of another directory.
    first = ARCHIVE.read_bytes()
    for path in Path("results").rglob("*"):
        os.utime(path, (1e9, 1e9))
    main(["tiny.yaml", "", "", "2026-01-31"])
    assert ARCHIVE.read_bytes() == first
    main(["tiny.yaml", "MIT", "A name"])
    crate = json.loads(unpacked(ARCHIVE)["ro-crate-metadata.json"])
    [root] = [entity for entity in crate["@graph"] if entity["@id"] == "./"]
    assert (root["name"], root["license"]["@id"]) == ("A name", "https://spdx.org/licenses/MIT")
    assert root["datePublished"] == "2001-09-09"  # the day of the last table


def test_what_is_not_published(finished_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished sweep, another one, a secret, a path of a machine, and what is no licence or date."""
    sweep = Path("tiny.yaml")

    def refused(message: str, *arguments: str) -> None:
        with pytest.raises(SvdlensError, match=message) as error:
            publish(sweep, *arguments)
        assert SECRET not in str(error.value)
        assert "\n" not in str(error.value)
        assert not ARCHIVE.exists()

    refused("LICENSE=my own: a licence is named by its SPDX identifier", "my own")
    refused("DATE=31.1.2026: a date is written YYYY-MM-DD", "", "", "31.1.2026")
    monkeypatch.setenv("MY_SERVICE_TOKEN", SECRET)
    page, explorer = Path("results/report/method.html"), Path("results/explorer/data/catalogue.js")
    for path in (page, explorer):
        content = path.read_bytes()
        path.write_bytes(content + SECRET.encode("utf-16-le" if path == explorer else "utf-8"))
        refused("has the value of the environment variable MY_SERVICE_TOKEN in it; nothing was packed")
        path.write_bytes(content)
    content = page.read_bytes()
    for added, message in {
        "hf_" + "a1" * 17: "report/method.html has what looks like an access token",
        "made in /scratch/someone/sweeps": "report/method.html names a place on a machine, /scratch/someone",
    }.items():
        page.write_bytes(content + added.encode())
        refused(message)
    page.write_bytes(content)
    original = explorer.read_bytes()
    explorer.write_bytes(original + str(finished_here / "source").encode())
    refused("explorer/data/catalogue.js names a place on this machine")
    explorer.write_bytes(explorer.read_bytes().replace(str(finished_here / "source").encode(), b" "))
    refused("explorer/data/catalogue.js is damaged or edited")
    explorer.write_bytes(original)
    table = Path("results/tables/labels.parquet")
    content = table.read_bytes()
    table.write_bytes(content[:50] + b"x" + content[51:])
    refused("results/tables/labels.parquet is damaged or edited")
    table.write_bytes(content)
    whole = sweep.read_bytes()
    sweep.write_text(yaml.safe_dump(yaml.safe_load(whole) | {"seed": 12345}), "utf-8")
    refused("the results are of another configuration than tiny.yaml, which has another value of seed")
    sweep.write_bytes(whole)
    other = yaml.safe_load(sweep.read_text("utf-8")) | {"controls": ["random_unit"], "figures": {"select": ["spectra"]}}
    sweep.write_text(yaml.safe_dump(other), "utf-8")
    refused("results/tables is of another sweep than tiny.yaml. Finish it first: snakemake --cores all --configfile")
    Path("results/figures/tiny/raw/spectra_ov.csv").unlink()
    refused("the sweep of tiny.yaml is not finished: results/figures/tiny/raw/spectra_ov.csv is not there. Finish it")
