"""Which files of a finished sweep are published, and what of the machine they were made on does not go along.

Paths of this machine that a configuration names are their last part in what is packed. Nothing else is taken out
silently: where a secret or another path is found, nothing is packed.
"""

import mmap
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from svdlens.errors import SvdlensError
from svdlens.figures.files import figure_paths, selected_figures
from svdlens.sweep import paths
from svdlens.sweep.named_files import expand_home, named_paths
from svdlens.sweep.plan import Sweep
from svdlens.sweep.stale import LIST, data_set_files, listed_files

OF_PROJECT = ("requirements.lock", "environment.yml", "CITATION.cff")
PAGES = ("configuration", "models", "method", "fractions", "scores", "agreement", "not_made")
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE)
SHORTEST_SECRET = 8
SECRETS = re.compile(rb"\b(?:hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,})\b")
"""Tokens of the Hugging Face hub, keys of OpenAI and those who follow it, tokens of GitHub."""
OF_A_MACHINE = re.compile(r"(?<![\w.$}/:-])/(?:home|root|Users|mnt|data|scratch|tmp|work|lustre|gpfs)/[\w.@-]+")


def swept_files(sweep: Sweep) -> list[str]:
    """The files under results/ that `snakemake all` makes of a sweep and that are published, sorted."""
    tables = [f"results/tables/{table}.parquet" for table in paths.TABLES]
    texts = ["results/tables/findings.md", *(f"results/tables/paper_figures.{end}" for end in ("csv", "md", "html"))]
    pages = [f"results/report/{page}.html" for page in PAGES]
    models = [paths.PROVENANCE.format(model=model) for model in sweep.models]
    figures = figure_paths(sweep, selected_figures(sweep))
    return sorted({*tables, *texts, str(LIST), *pages, *models, *figures, "results/explorer/index.html"})


def check_finished(sweep: Sweep, name: str) -> None:
    """Raises SvdlensError if a file of the sweep, whose file is called `name`, is missing, or if results/tables is of
    another one."""
    finish = f"Finish it first: snakemake --cores all --configfile {name}"
    expected = [*swept_files(sweep), *(path for _, path in data_set_files(sweep))]
    missing = [path for path in expected if not Path(path).is_file()]
    if missing:
        raise SvdlensError(
            f"the sweep of {name} is not finished: {missing[0]} is not there"
            f"{f', and {len(missing) - 1} other files' if missing[1:] else ''}. {finish}"
        )
    if listed_files() != data_set_files(sweep):
        raise SvdlensError(f"results/tables is of another sweep than {name}. {finish}")


def check_same_configuration(made: Mapping[str, Any], asked: Mapping[str, Any], name: str) -> None:
    """Raises SvdlensError if results were `made` with another configuration than the file `name` has, places on a
    machine aside; each as swept_configuration has it."""
    both = [without_private_values(each, private_values(each)) if each else each for each in (made, asked)]
    differing = [key for key in both[1] if both[0].get(key) != both[1][key]]
    if differing:
        raise SvdlensError(
            f"the results are of another configuration than {name}, which has another value of {', '.join(differing)} "
            f"(results/report/configuration.html). Finish it first: snakemake --cores all --configfile {name}"
        )


def explorer_files() -> list[str]:
    """All of the explorer but what Snakemake left in it."""
    found = (path for path in Path("results/explorer").rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.as_posix() for path in found if not path.name.startswith("."))


def private_values(config: Mapping[str, Any]) -> dict[str, str]:
    """Values of the configuration that say where things lie on this machine, and what stands for each: its last part.

    That are paths from the root, of a home, or out of the working directory; and the address that a language model was
    asked at, which may be that of a machine. The name of the model is not private.
    """
    values = {}
    written_out = deepcopy(dict(config))
    expand_home(written_out)
    for each in (config, written_out):
        for _, mapping, key in named_paths(dict(each)):
            path = mapping.get(key)
            if path and (path.startswith(("/", "~")) or ".." in Path(path).parts):
                values[path] = Path(path).name
    address = config.get("labellers", {}).get("llm", {}).get("base_url")
    return values | ({address: "http://host"} if address else {})


def without_private_values(content: Any, values: Mapping[str, str]) -> Any:
    """A configuration, or a part of it, with something else in place of the private `values`."""
    if isinstance(content, Mapping):
        return {key: without_private_values(value, values) for key, value in content.items()}
    if isinstance(content, list):
        return [without_private_values(value, values) for value in content]
    return values.get(content, content) if isinstance(content, str) else content


def private_words(values: Iterable[str], places: Iterable[Path]) -> list[str]:
    """What must be in no published file: private values of the configuration and directories of this machine.

    Those of one part only, such as ~/gpt2, are left out: a token of a model may be called so.
    """
    long = [value for value in [*values, *map(str, places)] if value.startswith("/") and value.strip("/").count("/")]
    return sorted(set(long))


def check_publishable(name: str, content: bytes | mmap.mmap, words: Iterable[str]) -> None:
    """Raises SvdlensError for a secret, or for one of the private `words`, in what would be packed as `name`."""
    for variable, value in os.environ.items():
        if SECRET_NAMES.search(variable) and len(value) >= SHORTEST_SECRET and has(content, value):
            raise SvdlensError(
                f"{name} has the value of the environment variable {variable} in it; nothing was packed. Take it out "
                "of the configuration, and make the file again."
            )
    if SECRETS.search(content):
        raise SvdlensError(
            f"{name} has what looks like an access token in it; nothing was packed. Take it out of the "
            "configuration, and make the file again."
        )
    for word in words:
        if has(content, word):
            raise SvdlensError(
                f"{name} names a place on this machine, {word}; nothing was packed. Give paths relative to the working "
                "directory, and make the file again."
            )


def has(content: bytes | mmap.mmap, word: str) -> bool:
    """Whether a file has the word in it; the explorer may be UTF-16."""
    return any(content.find(word.encode(encoding)) >= 0 for encoding in ("utf-8", "utf-16-le"))


def check_text(name: str, text: str) -> None:
    """Raises SvdlensError for a path of a machine that is in a text for people and in no configuration."""
    found = OF_A_MACHINE.search(text)
    if found:
        raise SvdlensError(
            f"{name} names a place on a machine, {found[0]}; nothing was packed. Take it out, and make the file again."
        )


def report_members(report: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of results/report.zip, which Snakemake makes."""
    with zipfile.ZipFile(report) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, archive.read(member)
