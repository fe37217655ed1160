"""What jobs ask a scheduler for: by input and by attempt."""

from pathlib import Path

import pytest

from svdlens.sweep.job_resources import memory, minutes, model_mb


class Input(list):
    """Paths with the sum of their sizes, as Snakemake gives them."""

    @property
    def size_mb(self) -> float:
        return sum(Path(path).stat().st_size for path in self) / 1e6


def file_of(path: Path, mb: float) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(round(mb * 1e6)))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Input:
    """2 MB of weights, and the provenance of a model of 3 MB."""
    file_of(tmp_path / "model/model.safetensors", 3)
    (tmp_path / "model/.partial").mkdir()
    return Input([file_of(tmp_path / "weights.safetensors", 2), file_of(tmp_path / "model/provenance.json", 0)])


def test_memory_grows_with_input_model_and_attempt(files: Input) -> None:
    assert memory(100)(None, files, 1) == 100
    assert memory(100, times_input=10)(None, files, 1) == 120
    assert memory(100, times_input=10, times_model=5)(None, files, 1) == 135
    assert memory(100, times_input=10, times_model=5)(None, files, 3) == 405


def test_time_grows_with_input_model_and_attempt(files: Input) -> None:
    assert minutes(10)(None, files, 2) == 20
    assert minutes(10, per_gb=1000, per_model_gb=2000)(None, files, 1) == 10 + 2 + 6


def test_what_is_asked_for_is_whole_and_never_less_than_needed(files: Input) -> None:
    assert memory(100, times_input=0.3)(None, files, 1) == 101
    assert minutes(1, per_gb=1)(None, files, 1) == 2


def test_a_model_is_all_files_of_its_directory(files: Input) -> None:
    assert model_mb(files) == 3
    assert model_mb(files[:1]) == 0


def test_input_that_is_not_there_yet_is_said_by_its_name(tmp_path: Path) -> None:
    """Snakemake takes that for `not known yet` and asks again before the job."""
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(FileNotFoundError) as raised:
        memory(100)(None, Input([missing]), 1)
    assert raised.value.filename == str(missing)
