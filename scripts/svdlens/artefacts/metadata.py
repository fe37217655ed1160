"""What every table and every file of arrays says of itself: one entry, KEY, of its metadata, with facts as JSON."""

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from svdlens.artefacts.version import VERSION

KEY = "svdlens"
PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformer-lens",
    "transformers",
)
"""Those that numbers come from."""


@cache
def package_versions() -> dict[str, str]:
    return {"python": platform.python_version(), "svdlens": VERSION, **{name: version(name) for name in PACKAGES}}


def metadata_text(facts: Mapping[str, object]) -> str:
    """`facts` and the versions of packages, unless they are among the facts: a view of a table keeps those that its
    numbers were computed with. Same facts and packages, same text."""
    return json.dumps({"packages": package_versions(), **facts}, sort_keys=True)


def metadata_of(facts: Mapping[str, object]) -> dict[str, str]:
    """The metadata of a file. One entry: safetensors writes several in no fixed order."""
    return {KEY: metadata_text(facts)}
