"""Configurations: config.yaml of the project with changes, merged as Snakemake merges configuration files."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
SCHEMA = PROJECT / "rules/config.schema.yaml"


def config_with(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """config.yaml with one change after the other: mappings are merged, lists and values replaced."""
    config = copy.deepcopy(CONFIG)
    for change in changes:
        merge(config, change)
    return config


def merge(config: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = copy.deepcopy(value)
