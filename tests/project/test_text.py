"""The text that forward passes run on by default."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = Path(__file__).parents[2] / "resources/text"
WORDNET = Path("/usr/share/wordnet")


@pytest.mark.skipif(not WORDNET.exists(), reason="WordNet itself is not here (Debian: wordnet-base)")
def test_its_script_makes_the_same_text_again(tmp_path: Path) -> None:
    shutil.copy(TEXT / "build_text.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "build_text.py", WORDNET], check=True)
    assert (tmp_path / "wordnet_definitions.txt").read_bytes() == (TEXT / "wordnet_definitions.txt").read_bytes()


def test_it_is_lines_of_plain_english() -> None:
    lines = (TEXT / "wordnet_definitions.txt").read_text(encoding="ascii").splitlines()
    assert len(lines) == len(set(lines)) == 6000
    assert all(line[0].isupper() or not line[0].isalpha() for line in lines)
    assert all(line.endswith((".", "!", "?")) and ": " in line for line in lines)
