"""Checks of a configuration against its schema: the first thing that is wrong, and what would be valid."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema
import yaml
from jsonschema import ValidationError

from svdlens.errors import did_you_mean

TYPES = {"integer": "whole number", "string": "text", "boolean": "true or false", "object": "mapping", "array": "list"}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

# JSON has one kind of number, so that for a schema 20.0 is whole. What counts with it in Python is not.
VALIDATOR = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def check_numbers(value: Any, where: str = "") -> str | None:
    """The first number that is none: YAML has .nan and .inf, which a schema takes for numbers of any size."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where.removeprefix('.')}: {value} is no finite number. Write one with digits."
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return next(filter(None, (check_numbers(part, f"{where}.{key}") for key, part in parts)), None)


def check_schema(config: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """The first thing that the schema does not allow."""
    # A list that lacks something comes last: a name in it may be misspelled.
    errors = sorted(
        VALIDATOR(schema).iter_errors(config),
        key=lambda error: (error.validator == "contains", [str(part) for part in error.absolute_path]),
    )
    return explain(errors[0], schema) if errors else None


def explain(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What is wrong, where, and what would be valid."""
    value, node, rule = error.instance, error.schema, error.validator_value
    where = ".".join(str(part) for part in error.absolute_path) or "the top level"
    description = f" {node['description']}" if "description" in node else ""
    if error.validator == "additionalProperties":
        known = list(node["properties"])
        wrong = next(key for key in value if key not in known)
        entry = ".".join(str(part) for part in [*error.absolute_path, wrong])
        places = ", ".join(f"`{place}`" for place in places_of(wrong, schema, schema))
        hint = f" Elsewhere it is one: {places}." if places else did_you_mean(str(wrong), known)
        return f"{entry}: {wrong!r} is no key. Keys: {', '.join(known)}.{hint}"
    if error.validator == "enum":
        known = [str(choice) for choice in rule]
        return f"{where}: {shown(value)} is not one of {', '.join(known)}.{did_you_mean(str(value), known)}"
    if error.validator == "contains":
        needed = rule["const"]
        written = ", ".join(map(str, [needed, *value]))
        return f"{where}: {needed} has to be among them, and is not. Write [{written}]."
    is_name = "propertyNames" in error.absolute_schema_path
    if error.validator == "type" and rule == "string" and (value is not None or is_name):
        # A model called 2024, or a setting called on.
        booleans = " (on, off, yes and no are true and false)" if isinstance(value, bool) else ""
        return f"{where}: YAML takes {shown(value)} for something other than text{booleans}. Write it in quotes."
    if error.validator == "anyOf" and (inner := error_of_its_kind(error)):
        return explain(inner, schema)
    if error.validator in ("type", "anyOf"):
        said = f"{where}: {shown(value)} is not valid. It takes: {takes(node, schema)}."
        return said + description + (did_you_mean(str(value), constants(node)) or what_to_write(error, schema))
    return f"{where}: {error.message}.{description}"


def places_of(key: str, node: Mapping[str, Any], schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Where else in the configuration there is a key of this name, by the keys to it; NAME is one of the user's own."""
    node = resolved(node, schema)
    inside = list(node.get("properties", {}).items())
    if isinstance(node.get("additionalProperties"), dict):
        inside.append(("NAME", node["additionalProperties"]))
    for name, child in inside:
        if name == key:
            yield f"{above}{name}"
        yield from places_of(key, child, schema, f"{above}{name}.")


def error_of_its_kind(error: ValidationError) -> ValidationError | None:
    """Of a list or mapping for which there are alternatives: what is wrong in it as the one of its kind; else None."""
    if not isinstance(error.instance, list | dict):
        return None
    other_kinds = {
        inner.schema_path[0] for inner in error.context if inner.validator in ("type", "const") and not inner.path
    }
    return next((inner for inner in error.context if inner.schema_path[0] not in other_kinds), None)


def what_to_write(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """' Write 64.' where a number was given as text, a whole one as 64.0, or one entry as it is for a list of it, and
    would be valid otherwise; else nothing."""
    value, is_valid = error.instance, VALIDATOR(schema).evolve(schema=error.schema).is_valid
    # Text without quotes: 3 and on would be something else.
    is_itself = not isinstance(value, str) or (value.isidentifier() and yaml.safe_load(value) == value)
    if is_itself and is_valid([value]):
        return f" Write [{value}]."
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    plain = int(number) if number.is_integer() else number
    return f" Write {plain}." if math.isfinite(plain) and is_valid(plain) else ""


def shown(value: Any) -> str:
    """A value as YAML has it: text in quotes, true where Python has True."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value) if isinstance(value, str) else str(value)


def constants(node: Mapping[str, Any]) -> list[str]:
    """The single values among the alternatives of a key."""
    return [choice["const"] for choice in node.get("anyOf", []) if "const" in choice]


def resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A node of the schema with what its `$ref` points to; what stands beside the reference wins."""
    if "$ref" not in node:
        return dict(node)
    target: Any = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return resolved(target, schema) | {key: value for key, value in node.items() if key != "$ref"}


def takes(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a key takes, in words; values as code."""
    if "anyOf" in node:
        return " or ".join(takes(resolved(choice, schema), schema) for choice in node["anyOf"])
    if "enum" in node or "const" in node:
        return as_code(node.get("enum", [node.get("const")]))
    if node["type"] == "array":
        items = resolved(node["items"], schema)
        return f"list of {as_code(items['enum'])}" if "enum" in items else "list"
    said = [f"{words} {node[bound]}" for bound, words in BOUNDS.items() if bound in node]
    return " ".join([TYPES.get(node["type"], node["type"]), *([", ".join(said)] if said else [])])


def as_code(names: Iterable[object]) -> str:
    return ", ".join(f"`{name}`" for name in names)
