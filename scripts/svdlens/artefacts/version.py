"""The version of svdlens. It is in no hash of code (sweep/code_hash.py): a release repeats only what it changes."""

VERSION = "0.1.0"
