"""Text files as tools on Windows write them: in UTF-8 with a byte order mark, which readers of JSON stumble over.

Files of a model stay as they are, wherever they come from, and so do their checksums. What svdlens reads itself it
reads with the mark; another library gets a directory without.
"""

import codecs
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from svdlens.errors import SvdlensError

TEXTS = (".json", ".txt")


@contextmanager
def without_marks(directory: Path) -> Iterator[Path]:
    """The directory itself, or where a text file in it begins with a byte order mark, one of links to its files in
    which these files have none; it is gone afterwards. Messages of a SvdlensError name `directory` all the same."""
    files = [path.absolute() for path in directory.iterdir() if path.is_file()] if directory.is_dir() else []
    marked = [path for path in files if path.suffix in TEXTS and starts_with_mark(path)]
    if not marked:
        yield directory
        return
    with tempfile.TemporaryDirectory() as temporary:
        for path in files:
            copy = Path(temporary) / path.name
            if path in marked:
                copy.write_bytes(path.read_bytes().removeprefix(codecs.BOM_UTF8))
            else:
                copy.symlink_to(path)
        try:
            yield Path(temporary)
        except SvdlensError as error:
            raise SvdlensError(str(error).replace(temporary, str(directory))) from error


def starts_with_mark(path: Path) -> bool:
    """Whether a file begins with the byte order mark of UTF-8; False of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    except OSError:
        return False
