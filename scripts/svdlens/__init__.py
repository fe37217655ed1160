"""svdlens: singular value decompositions of transformer weights, read as tokens.

Pure functions, data in and data out: no Snakemake, no command line, no global configuration.
"""

SCHEMA_VERSION = 5
"""Version of the paths and columns of everything under results/ (docs/artefacts.md)."""
