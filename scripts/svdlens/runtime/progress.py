"""Progress bars of long computations."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterable[Item]:
    """A progress bar that appears after a few seconds, and never off a terminal."""
    return tqdm(items, desc=description, total=total, delay=3, disable=not sys.stderr.isatty(), leave=False)
