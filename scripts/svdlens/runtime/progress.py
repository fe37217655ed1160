"""Progress bars of long computations."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterable[Item]:
    """A progress bar that appears after a few seconds; never off a terminal, nor where TQDM_DISABLE is set."""
    hidden = not sys.stderr.isatty() or bool(os.environ.get("TQDM_DISABLE"))
    return tqdm(items, desc=description, total=total, delay=3, disable=hidden, leave=False)
