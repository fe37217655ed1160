"""Make the neutral English text that forward passes run on, from WordNet 3.0 (Fellbaum 1998), as Debian's wordnet-base
has it.

    python resources/text/build_text.py [/usr/share/wordnet]

Writes wordnet_definitions.txt beside itself, the same bytes each time: a line for each of LINES entries that have an
example of use, drawn at random, in random order: the word, its definition, its examples.
"""

import random
import re
import sys
from pathlib import Path

NAMES = ("noun", "verb", "adj", "adv")
LINES = 6000
SEED = 0


def entries(directory: Path) -> list[str]:
    """Every entry with an example, as a line of text (format of the files: wndb(5WN))."""
    lines = []
    for name in NAMES:
        for line in (directory / f"data.{name}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue  # the licence
            fields, _, gloss = line.partition(" | ")
            word = re.sub(r"\(\w+\)$", "", fields.split()[4]).replace("_", " ")
            definition, *examples = gloss.strip().split('; "')
            sentences = [sentence(example.strip().strip('"')) for example in examples]
            if sentences and gloss.isascii() and definition:
                lines.append(f"{sentence(f'{word}: {definition}')} {' '.join(sentences)}")
    return lines


def sentence(text: str) -> str:
    """With a capital, and a full stop where nothing ends it."""
    text = text.strip().strip('"')
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/wordnet")
    chosen = random.Random(SEED).sample(entries(directory), LINES)
    (Path(__file__).parent / "wordnet_definitions.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
