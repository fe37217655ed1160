"""The files of a configuration, config.yaml, those of --configfile and the command line: what they are together, and in
which of them an entry is."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from svdlens.errors import SvdlensError
from svdlens.sweep.change_checks import check_changes, take_from_base
from svdlens.sweep.local_architectures import fill_in_architectures

MERGE = "<<"
"""The key of YAML that takes over another mapping, which may be there several times."""


def configuration(files: Iterable[Path], project: Path) -> dict[str, Any]:
    """The config.yaml of the project with these `files` over it, as Snakemake puts them together: mappings are merged,
    all else is replaced; with the architectures that local files say, and what differences and adapters have of their
    base. Raises SvdlensError for a file that is none."""
    config: dict[str, Any] = {}
    for file in (project / "config.yaml", *files):
        config = merged(config, read_config_file(file))
    # What is wrong with a configuration is for check_configuration to say.
    with suppress(AttributeError, KeyError, TypeError):
        fill_in_architectures(config)
        if not check_changes(config):
            take_from_base(config)
    return config


def fill_in_defaults(config: dict[str, Any], project: Path) -> None:
    """Put `config` over the config.yaml of the project, in place; no change where that is in it already."""
    config.update(merged(read_config_file(project / "config.yaml"), config))


def read_config_file(file: Path) -> dict[str, Any]:
    """Raises SvdlensError where there is no such file, or no keys with values in it."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SvdlensError(
            f"the configuration {str(file)!r} cannot be read: {error.strerror}. Name a file: SWEEP=mine.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SvdlensError(
            f"the configuration {file} is no YAML: {' '.join(str(error).split())}. Correct it."
        ) from error
    if not isinstance(content, dict):
        raise SvdlensError(
            f"the configuration {file} has no keys in it. Give it some, such as sweep: {{models: [...]}}."
        )
    return content


def merged(config: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: merged(config[key], value) for key, value in change.items() if isinstance(config.get(key), dict)}
    return {**config, **change, **both}


def read_config_files(paths: list[Path], command_line: Mapping[str, Any]) -> dict[str, Any]:
    """What each file of a configuration has, by its path, in the order in which they are merged; --config is last."""
    files = {str(path): yaml.safe_load(path.read_text(encoding="utf-8-sig")) for path in paths}
    return files | ({"--config": dict(command_line)} if command_line else {})


def check_keys(paths: Iterable[Path]) -> None:
    """Raises SvdlensError for a key that stands twice in one mapping of a file: YAML readers take the last, unsaid."""
    for path in paths:
        try:
            content = yaml.compose(path.read_text(encoding="utf-8-sig"))
        except yaml.YAMLError:  # JSON with tabs, which Snakemake has read
            continue
        if repeated := repeated_key(content):
            where, first, second = repeated
            raise SvdlensError(
                f"{where}: it stands twice in {path}, in lines {first} and {second}, and the last would count. "
                "Keep one of them."
            )


def repeated_key(node: yaml.Node | None) -> tuple[str, int, int] | None:
    """The first key that is there twice in the same mapping, with the keys to it, and both lines, from 1; else None."""
    seen: dict[str, int] = {}
    parts = node.value if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else []
    for number, part in enumerate(parts):
        key, value = part if isinstance(node, yaml.MappingNode) else (None, part)
        name = str(number) if key is None else str(key.value)
        if key is not None:
            line = key.start_mark.line + 1
            if name in seen and name != MERGE:
                return name, seen[name], line
            seen[name] = line
        if repeated := repeated_key(value):
            where, first, second = repeated
            return f"{name}.{where}", first, second
    return None


def file_of(message: str, files: Mapping[str, Any]) -> str | None:
    """The file of the entry that a message of check_configuration is about: the last one that has it.

    The message begins with the keys to the entry, joined by dots, and a colon. None where there is no such file: the
    entry is missing, or the message is about several.
    """
    where, colon, _ = message.partition(": ")
    return next((name for name in reversed(list(files)) if colon and has_entry(files[name], where)), None)


def has_entry(content: Any, where: str) -> bool:
    """Whether there is an entry at these keys; a key may have dots in it, and of a list it is a number from 0."""
    items = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    return any(
        where == str(key) or (where.startswith(f"{key}.") and has_entry(value, where[len(str(key)) + 1 :]))
        for key, value in items
    )
