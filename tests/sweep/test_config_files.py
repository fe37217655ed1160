"""In which file an entry of the configuration is."""

from pathlib import Path

import pytest

from svdlens.sweep.config_files import file_of, read_config_files

CONFIG = "models:\n  gpt-2.5:\n    path: a\nsweep:\n  models: [gpt-2.5]\ndirections: 64\nseed: 0\n"
MINE = "sweep:\n  models: [gpt, gpt-2.5]\nmodels:\n  mine: {path: b}\n"


@pytest.mark.parametrize(
    ("where", "file"),
    [
        ("directions", "config.yaml"),
        ("models.gpt-2.5", "config.yaml"),
        ("models.gpt-2.5.path", "config.yaml"),
        ("models.mine.path", "mine.yaml"),
        # Both have it, and what is merged last counts.
        ("sweep.models", "mine.yaml"),
        ("sweep.models.1", "mine.yaml"),
        ("seed", "--config"),
        # Not there: something is missing, or the message is about several entries.
        ("the top level", None),
        ("sweep.models.2", None),
        ("models.gpt-2", None),
        ("settings", None),
        ("'mlp_gate' is none of the matrices", None),
    ],
)
def test_the_file_is_the_last_that_has_the_entry(where: str, file: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    # As tools on Windows write it: with a byte order mark.
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8-sig")
    (tmp_path / "empty.yaml").write_text("")
    files = read_config_files([tmp_path / name for name in ("config.yaml", "empty.yaml", "mine.yaml")], {"seed": -1})
    found = file_of(f"{where}: something is wrong. See: here.", files)
    assert found == file or (found is not None and Path(found).name == file)
    assert file_of(f"{where} without a colon", files) is None
