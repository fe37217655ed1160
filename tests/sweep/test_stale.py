"""Files of other configurations: told apart by their paths, and nothing else is ever deleted."""

import csv
from pathlib import Path

import pytest
import yaml

from configurations import config_with
from svdlens.errors import SvdlensError
from svdlens.runtime.checksums import all_records, record_of, write_records
from svdlens.sweep.plan import Sweep
from svdlens.sweep.stale import LIST, data_set_files, main, stale_beside, stale_files

FIRST = Sweep(config_with({"sweep": {"models": ["wordnet-2layer"], "settings": ["raw", "fold"]}}))
CHANGE = {"sweep": {"models": ["wordnet-2layer"], "settings": ["raw"]}, "controls": ["random_unit"]}
SECOND = Sweep(config_with(CHANGE))
FOREIGN = [
    "results/tokens/notes.parquet",
    "results/tokens/model=a/setting=raw/notes.txt",
    "results/tokens/model=a/setting=raw/deeper/ov.parquet",
    "results/tokens/model=a/mine/ov.parquet",
    "results/tokens/model=a/setting=raw/.ov.123.parquet",
    "results/svd/model=a/setting=raw/ov.parquet",
    "tokens/model=a/setting=raw/ov.parquet",
]


def make(paths: list[str]) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_list(sweep: Sweep) -> None:
    make([str(LIST)])
    with LIST.open("w", newline="") as file:
        csv.writer(file).writerows([("data_set", "path"), *data_set_files(sweep)])


def test_what_another_configuration_made_is_listed_and_on_request_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("second.yaml").write_text(yaml.safe_dump(CHANGE), encoding="utf-8")
    first, second = ([path for _, path in data_set_files(sweep)] for sweep in (FIRST, SECOND))
    assert set(second) < set(first)
    make([*first, *FOREIGN])
    write_records([*first, *FOREIGN[:1]])
    assert stale_files(first) == []
    main(["second.yaml"])
    listed = capsys.readouterr().out.splitlines()[:-1]
    # Each of two settings has spectra, tokens, three controls and labels of three matrices.
    assert listed == sorted(set(first) - set(second))
    assert len(first) == 2 * 3 * 6 and len(listed) == 3 * 6 + 3 * 2
    assert all(map(Path.exists, map(Path, [*first, *FOREIGN])))
    main(["second.yaml", "--delete"])
    left = {str(path) for path in Path().rglob("*") if path.is_file() and path.suffix != ".sha256"}
    assert left == {*second, *FOREIGN, "second.yaml"}
    assert set(all_records()) == {record_of(Path(path)) for path in [*second, FOREIGN[0]]}
    assert not Path("results/tokens/model=wordnet-2layer/setting=fold").exists()


def test_a_run_speaks_of_other_files_only_where_the_tables_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = ([path for _, path in data_set_files(sweep)] for sweep in (FIRST, SECOND))
    make(first)
    assert stale_beside(SECOND) == []
    write_list(SECOND)
    assert stale_beside(SECOND) == sorted(set(first) - set(second))
    # The tables are of SECOND, and what is beside them may be what was made last.
    assert stale_beside(FIRST) == []
    write_list(FIRST)
    assert stale_beside(FIRST) == []


def test_nothing_is_deleted_for_a_wrong_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [(_, path), *_] = data_set_files(FIRST)
    make([path])
    for wrong in ({"sweep": {"models": ["gpt9"]}}, {"sweep": {"settings": ["rwa"]}}, {"controls": ["randon_unit"]}):
        Path("mine.yaml").write_text(yaml.safe_dump(wrong))
        with pytest.raises(SvdlensError):
            main(["--delete", "mine.yaml"])
        assert Path(path).exists()
