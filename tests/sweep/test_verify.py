"""make verify: fetched files and their sources against provenance.json, by their whole content."""

import json
from pathlib import Path

import pytest
import yaml

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.errors import SvdlensError
from svdlens.models.fetch import fetch_from_directory
from svdlens.sweep.verify import main
from tiny import make_tiny_gpt2


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_verify_names_every_file_that_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    source = make_tiny_gpt2(tmp_path / "source")
    fetch_from_directory(source, Path("results/models/mine"), {}, "mine", "path")
    gguf = tmp_path / "a.gguf"
    gguf.write_bytes(b"gguf" * 50)
    converted = Path("results/models/converted")
    converted.mkdir()
    provenance = {"files": {}, "gguf": {"file": "a.gguf", "sha256": sha256_of(gguf)}}
    (converted / "provenance.json").write_text(json.dumps(provenance))
    answers, name = tmp_path / "answers", "small_mlp_in_text_outputs.json"
    for directory in (answers, Path("results/published/gpt2-small")):
        directory.mkdir(parents=True)
        (directory / name).write_text("[]")
    provenance = {"files": {name: {"sha256": sha256_of(answers / name)}}}
    Path("results/published/gpt2-small/provenance.json").write_text(json.dumps(provenance))
    config = {
        "models": {"mine": {"path": "~/source"}, "converted": {"path": "~/a.gguf"}},
        "labellers": {"published": {"path": "~/answers"}},
    }
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    main(["mine.yaml"])
    assert "is what provenance.json says" in capsys.readouterr().out

    # One bit, in the middle.
    fetched = Path("results/models/mine")
    changed = [source / "model.safetensors", fetched / "model.safetensors", gguf, answers / name]
    for path in changed:
        flip_a_bit(path, path.stat().st_size // 2)
    (fetched / "config.json").unlink()
    with pytest.raises(SvdlensError) as error:
        main(["mine.yaml"])
    *found, way_out = str(error.value).splitlines()
    assert {line.split(" ")[0] for line in found} == {*map(str, changed), str(fetched / "config.json")}
    assert "Delete provenance.json" in way_out
