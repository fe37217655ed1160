"""make verify: fetched files and their sources against provenance.json, by their whole content."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from svdlens.artefacts.atomic_files import sha256_of
from svdlens.artefacts.table_schemas import CLASSES, write_table
from svdlens.errors import SvdlensError
from svdlens.models.fetch import fetch_from_directory
from svdlens.runtime.checksums import write_records
from svdlens.sweep.named_files import tokenizer_name
from svdlens.sweep.verify import main
from svdlens.vocabulary.token_features import save_features
from tiny import make_tiny_gpt2
from tiny_vocabulary import features_of, tiny_vocabulary


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
    assert "is what it was" in capsys.readouterr().out

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


def test_verify_reads_every_file_that_a_configuration_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of tokens, lists from elsewhere and their tokenizer, each as it was when a table was made of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    counts, lists = tmp_path / "counts.parquet", tmp_path / "my [lists].jsonl"
    counts.write_bytes(b"counts")
    lists.write_text('{"id": "a", "tokens": []}')
    tokenizer = make_tiny_gpt2(tmp_path / "tokenizer")
    for model, named in (("mine", counts), ("other", None)):
        directory = Path(f"results/vocabulary/{model}")
        directory.mkdir(parents=True)
        features = features_of(tiny_vocabulary())
        save_features(directory / "features.parquet", directory / "classes.parquet", features, named)
    Path("results/lists").mkdir()
    facts = {"lists_sha256": sha256_of(lists), "tokenizer": tokenizer_name(tokenizer)}
    table = Path("results/lists/my [lists].coherence.parquet")
    write_table(table, {"name": [], "kind": []}, CLASSES, facts)
    models = {"mine": {"path": "nowhere", "token_counts": "~/counts.parquet"}, "other": {"path": "nowhere"}}
    config = {"models": models, "lists": f"~/{lists.name}", "tokenizer": "~/tokenizer"}
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    main(["mine.yaml"])

    for path in (counts, lists, tokenizer / "tokenizer_config.json"):
        flip_a_bit(path, path.stat().st_size // 2)
    with pytest.raises(SvdlensError) as error:
        main(["mine.yaml"])
    *found, way_out = str(error.value).splitlines()
    made = {str(counts): "results/vocabulary/mine/features.parquet", str(lists): str(table), str(tokenizer): str(table)}
    assert len(found) == 3
    for path, result in made.items():
        [sentence] = [line for line in found if line.startswith(path)]
        assert result in sentence
    assert "delete the table that was made of them" in way_out
    counts.unlink()
    with pytest.raises(SvdlensError, match=f"{counts} is gone"):
        main(["mine.yaml"])


def test_verify_reads_everything_that_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fetch_from_directory(make_tiny_gpt2(tmp_path / "source"), Path("results/models/mine"), {}, "mine", "path")
    made = [
        f"results/{path}"
        for path in (
            *("tables/labels.parquet", "svd/model=mine/a b.safetensors", "explorer/data/a.js", "explorer/data/b/c.js"),
            *("weights/mine/steps.safetensors", "weights/mine/raw.safetensors", "models/mine/provenance.json"),
        )
    ]
    for path in map(Path, made[:-1]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what was made as {path}")
    write_records([*made[:2], "results/explorer/data", *made[4:]])
    # No results, a file of a job that was killed, and two that nobody has made.
    others = ("logs/a.log", "tables/.labels.x.parquet", "llm_ledger.sqlite", "tables/mine.txt")
    for path in (tmp_path / "results" / name for name in others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    Path("mine.yaml").write_text(yaml.safe_dump({"models": {"mine": {"path": "source"}}}))
    main(["mine.yaml"])
    said = capsys.readouterr().out
    assert said.startswith("7 results with a checksum.\n2 without: ")
    Path(made[4]).unlink()
    main(["mine.yaml"])
    assert "6 results with a checksum." in capsys.readouterr().out

    flip_a_bit(Path(made[0]), 7)
    Path(made[1]).write_bytes(Path(made[1]).read_bytes()[:-1])
    for path in (made[3], made[5]):
        Path(path).unlink()
    with pytest.raises(SvdlensError) as error:
        main(["mine.yaml"])
    *found, way_out = str(error.value).splitlines()
    assert {line.removeprefix("results/").partition(" has ")[0].partition(" is ")[0] for line in found} == {
        path.removeprefix("results/") for path in (*made[:2], made[3], made[5])
    }
    assert [line for line in found if line.endswith("is gone")] == [f"{made[3]} is gone", f"{made[5]} is gone"]
    assert "Delete these files and ask for them" in way_out


def replaced_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def replaced_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(path.read_bytes()[:9]),
    lambda path: path.write_text("[]"),
    lambda path: path.write_bytes(b""),
    replaced_by_a_link,
    replaced_by_a_directory,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "path",
    [
        "models/mine/provenance.json",
        "checksums/tables/a.parquet.sha256",
        "vocabulary/mine/features.parquet",
        "lists/mine.coherence.parquet",
    ],
)
def test_whatever_is_damaged_verify_goes_on_and_names_it(
    path: str, damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, results = tmp_path / "source", Path("results")
    source.mkdir()
    made = [results / path, results / "tables/a.parquet", results / "tables/b.parquet"]
    for each in made:
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_text(f"what was made as {each}")
    if path.endswith("provenance.json"):
        made[0].write_text(json.dumps({"files": {}}))
    write_records(map(str, made[1:] if "checksums" in path else made))
    named = {"models": {"mine": {"path": "source", "token_counts": "counts"}}, "lists": "mine.jsonl"}
    Path("mine.yaml").write_text(yaml.safe_dump(named))
    main(["mine.yaml"])
    damage(results / path)
    flip_a_bit(made[2], 3)
    with pytest.raises(SvdlensError) as error:
        main(["mine.yaml"])
    assert f"results/{path} " in str(error.value) and f"{made[2]} has " in str(error.value)
