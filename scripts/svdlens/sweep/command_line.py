"""Values that are given as `--config NAME=VALUE`."""

from collections.abc import Mapping
from typing import Any

import jsonschema
import yaml


def read_numbers(config: dict[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Turn texts into the numbers, true or false that `schema` wants there, in place and only in what `given` has.

    Within brackets and braces of --config Snakemake takes every value for text, as in
    `figures={token_table_tokens: 10}`; `given` is what it has read there, and part of `config`. A text that is no such
    number stays as it is.
    """
    for error in list(jsonschema.Draft202012Validator(schema).iter_errors(config)):
        *path, last = error.absolute_path or [None]
        if isinstance(error.instance, str) and is_within(given, [*path, last]):
            value = yaml.safe_load(error.instance)
            if isinstance(value, int | float) and (error.validator == "type" or allows(error.schema, value, schema)):
                place: Any = config
                for key in path:
                    place = place[key]
                place[last] = value


def given_to_module(given: Mapping[str, Any]) -> dict[str, Any]:
    """What of `given`, that of the whole workflow, may have gone to a module: all of it, or what is under one key."""
    parts = [part for part in given.values() if isinstance(part, Mapping)]
    return {key: value for part in (given, *parts) for key, value in part.items()}


def is_within(given: Any, path: list[Any]) -> bool:
    """Whether mappings and lists have something at `path`."""
    for key in path:
        if not (key in given if isinstance(given, Mapping) else isinstance(given, list) and key < len(given)):
            return False
        given = given[key]
    return True


def allows(node: Mapping[str, Any], value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a part of the schema, which may refer to its definitions, allows `value`."""
    return jsonschema.Draft202012Validator({**node, "$defs": schema["$defs"]}).is_valid(value)
