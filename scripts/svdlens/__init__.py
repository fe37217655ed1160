"""svdlens: singular value decompositions of transformer weights, read as tokens.

Pure functions, data in and data out: no Snakemake, no command line, no global configuration.
For use from Python (docs/python.md): svdlens.directions, svdlens.spectra, svdlens.SvdlensError.
"""

import importlib

SCHEMA_VERSION = 5
"""Version of the paths and columns of everything under results/ (docs/artefacts.md)."""

PUBLIC = {
    "directions": "svdlens.interactive.tables",
    "spectra": "svdlens.interactive.tables",
    "SvdlensError": "svdlens.errors",
}
"""Names for use from Python, and where they are. They are imported when they are first asked for (PEP 562): the
Snakefile imports this package, and torch takes seconds. Their types are in __init__.pyi."""


def __getattr__(name: str) -> object:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
