"""What a wheel has: the library in scripts/, and beside its modules the lexicon, which the workflow has in resources/.

Everything else about the package is in pyproject.toml, which cannot both find packages and name one more.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages("scripts", include=["svdlens*"]), "svdlens.lexicon"],
    package_dir={"": "scripts", "svdlens.lexicon": "resources/lexicon"},
    package_data={"svdlens": ["py.typed", "*.pyi"], "svdlens.lexicon": ["*.parquet", "WORDNET-LICENSE"]},
)
