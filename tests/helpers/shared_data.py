"""Where tests find the reference data: real weights, tokenizers and published results that are not in this repository.

They lie in the directory SVDLENS_SHARED, by default `shared` beside the repository.
"""

import os
from pathlib import Path

import pytest

REASON = "reference data"
ASKED: list[str] = []
"""The test (node id) that was running at each call of `shared`; conftest.py counts them."""


def shared(name: str) -> Path:
    """The file or directory `name` of the reference data; a test that asks is skipped when it is absent."""
    ASKED.append(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
    default = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("SVDLENS_SHARED") or default) / name
    if not path.exists():
        pytest.skip(f"{REASON}: {name} is not in {path.parent}; say where it is with SVDLENS_SHARED")
    return path
