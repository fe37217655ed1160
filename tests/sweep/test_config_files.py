"""In which file an entry of the configuration is."""

from pathlib import Path

import pytest

from svdlens.errors import SvdlensError
from svdlens.sweep.config_files import check_keys, configuration, file_of, read_config_files

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\ndirections: 5\nseed: 2\n", "seed: it stands twice in {}, in lines 1 and 3,"),
        ("models:\n  a:\n    path: b\n    path: c\n", "models.a.path: it stands twice in {}, in lines 3 and 4,"),
        (
            "models:\n  a:\n    token_tables:\n      - {layer: 1, layer: 2}\n",
            "models.a.token_tables.0.layer: it stands",
        ),
        ('{"seed": 1, "seed": 2}', "seed: it stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_said(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SvdlensError) as error:
        check_keys([path])
    assert str(error.value).startswith(said.format(path)) and "Keep one" in str(error.value)


def test_a_file_in_which_no_mapping_has_a_key_twice_is_right(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text in (
        CONFIG,
        MINE,
        "",
        "# nothing",
        '{\n\t"a": 1}',
        "a: &a {path: b}\nb: {<<: *a, path: c}\nc: [{path: 1}, {path: 2}]\n",
    ):
        path.write_text(text, encoding="utf-8-sig")
        check_keys([path])


@pytest.mark.parametrize("content", [None, b"", b"a text", b"[1]", b"sweep: [", b"\xff\xfe\x00\xd8", "directory"])
def test_a_configuration_that_is_none_is_named(content: bytes | str | None, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    file = tmp_path / "mine.yaml"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    with pytest.raises(SvdlensError, match=r"mine\.yaml") as error:
        configuration([file], tmp_path)
    assert "\n" not in str(error.value)
