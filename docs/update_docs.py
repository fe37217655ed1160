"""Write what README.md, docs/*.md, rules/config.schema.yaml and environment.yml take from elsewhere.

Run as `python docs/update_docs.py`.

A generated table stands between <!-- NAME, from docs/update_docs.py --> and <!-- end of NAME -->, where NAME is a key
of TABLES. In the schema the names under `$defs` that registries know are written. environment.yml has the pins of
requirements.lock. Tests in tests/project fail when any of it is out of date; `make docs` brings it up to date, and
builds the site.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.artefacts import activation_schemas  # noqa: E402
from svdlens.artefacts import table_schemas as schemas  # noqa: E402
from svdlens.evaluation.job_costs import BENCHMARKS  # noqa: E402
from svdlens.figures.registry import FIGURES  # noqa: E402
from svdlens.labels.registry import LABELLERS  # noqa: E402
from svdlens.models.checkpoint_layouts import LAYOUTS  # noqa: E402
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, REFUSED  # noqa: E402
from svdlens.spec.controls import CONTROLS  # noqa: E402
from svdlens.spec.matrix_kinds import MATRIX_KINDS  # noqa: E402
from svdlens.spec.readouts import READOUTS  # noqa: E402
from svdlens.spec.settings import Setting  # noqa: E402
from svdlens.sweep.change_checks import base_of, change_of  # noqa: E402
from svdlens.sweep.config_checks import load_schema, registered_names  # noqa: E402
from svdlens.sweep.schema_checks import as_code as code  # noqa: E402
from svdlens.sweep.schema_checks import resolved, takes  # noqa: E402

SCHEMA = PROJECT / "rules/config.schema.yaml"
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
GENERATED = re.compile(r"<!-- (?P<name>[^,\n]+), from docs/update_docs.py -->.*?<!-- end of (?P=name) -->", re.DOTALL)
EVERY_TABLE = "every table"
"""The part of docs/columns.yaml for columns that say the same wherever they occur."""
COLUMNS_OF: dict[str, pa.Schema] = {
    "spectra": schemas.SPECTRA,
    "tokens": schemas.TOKENS,
    "controls": schemas.CONTROLS,
    "labels": schemas.LABELS,
    "control_labels": schemas.CONTROL_LABELS,
    "answers": schemas.ANSWERS,
    "lists": schemas.LABELLED_LISTS,
    "sheet key": schemas.SHEET_KEY,
    "judgements": schemas.JUDGEMENTS,
    "fractions": schemas.FRACTIONS,
    "scores": schemas.SCORES,
    "agreement": schemas.AGREEMENT,
    "benchmarks": BENCHMARKS,
    "trace": schemas.TRACE,
    "trace matrices": schemas.TRACE_MATRICES,
    "examples": activation_schemas.EXAMPLES,
    "prompts": activation_schemas.PROMPTS,
    "prompt_pairs": activation_schemas.PROMPT_PAIRS,
    "ablations": activation_schemas.ABLATIONS,
    "effects": schemas.EFFECTS,
    "cards": schemas.CARDS,
    "read_write_gaps": schemas.READ_WRITE_GAPS,
    "prompt study": schemas.PROMPT_STUDY,
    "token texts": schemas.TOKEN_TEXTS,
    "token features": schemas.TOKEN_FEATURES,
    "classes": schemas.CLASSES,
    "edit directions": schemas.EDIT_DIRECTIONS,
    "edit effect": schemas.EDIT_EFFECT,
    "edit summary": schemas.EDIT_SUMMARY,
    "edit dose": schemas.EDIT_DOSE,
    "edit spectrum": schemas.EDIT_SPECTRUM,
}
"""The tables whose columns docs/artefacts.md describes, by their names in docs/columns.yaml."""
LIKE = {"controls": "tokens", "control_labels": "labels", "lists": "labels"}
"""Tables of which only those columns are listed that differ from another table's."""


def read_yaml(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT / path).read_text("utf-8"))
    return content


def markdown_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    # A bar within a cell would end it.
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines)


# The configuration


def config_keys() -> str:
    """Every key of the configuration: what it takes, its default and its description, from schema and config.yaml."""
    schema, defaults = load_schema(SCHEMA), read_yaml("config.yaml")
    rows: list[list[str]] = []

    def visit(name: str, node: Mapping[str, Any], default: object) -> None:
        node = resolved(node, schema)
        if "description" in node and name:
            default = node.get("default", default)
            if isinstance(default, bool):
                default = str(default).lower()
            shown = f"`{default}`".replace("'", "") if isinstance(default, int | float | str | list) else ""
            rows.append([f"`{name}`", takes(node, schema), shown, node["description"]])
        for key, child in node.get("properties", {}).items():
            below = default.get(key) if isinstance(default, dict) else None
            visit(f"{name}.{key}" if name else key, child, below)
        entries = node.get("additionalProperties")
        if isinstance(entries, dict):
            visit(f"{name}.NAME", entries, None)
        if "items" in node:
            visit(f"{name}[]", {key: value for key, value in node["items"].items() if key != "description"}, None)

    visit("", schema, defaults)
    return markdown_table(["key", "takes", "default", "meaning"], rows)


# Catalogues and registries


def settings() -> str:
    """The catalogue of settings with the switches and flags that each stands for."""
    catalogue = read_yaml("config.yaml")["settings"]
    rows = [[f"`{name}`", code(switches) or "none"] for name, switches in catalogue.items()]
    return markdown_table(["setting", "switches and flags"], rows)


def models() -> str:
    """The catalogue of models: source, architecture, which sweep takes them, and their own lists."""
    config, demo = read_yaml("config.yaml"), read_yaml("profiles/demo/sweep.yaml")
    sweeps = {"`snakemake`": config["sweep"]["models"], "`make run`": demo["sweep"]["models"]}
    places = {"repo": "hub", "bundled": "bundled", "path": "directory", "package": "package", "wheel": "wheel"}
    places |= {"difference": "difference", "adapter": "adapter"}
    rows = []
    for name, model in config["models"].items():
        where = {**model, "wheel": model["wheel"]["name"]} if "wheel" in model else model
        if "diff" in model:
            where = {"difference": f"{model['diff']['of']} minus {model['diff']['minus']}"}
        elif "adapter" in model:
            adapter = model["adapter"]
            where = {"adapter": f"{adapter.get('bundled') or adapter['path']} of {adapter['of']}"}
        [source] = [f"{place} `{where[key]}`" for key, place in places.items() if key in where]
        swept = ", ".join(command for command, taken in sweeps.items() if name in taken)
        own = ", ".join(f"{key} {code(model[key])}" for key in ("settings", "matrices", "readouts") if key in model)
        base = config["models"][base_of(model)] if change_of(model) else model
        rows.append([f"`{name}`", source, f"`{base.get('architecture', DEFAULT)}`", swept, own])
    return markdown_table(["model", "source", "architecture", "in the sweep of", "in place of the sweep's"], rows)


def architectures() -> str:
    """What a model of each architecture has and lacks."""
    switches = list(Setting.__annotations__)
    rows = []
    for name, one in ARCHITECTURES.items():
        lacks = [switch for switch in switches if switch not in one.switches]
        shown = "all" if len(lacks) == len(switches) else code(lacks) or "none"
        positions = "rotary" if one.rotary else "added"
        rows.append([f"`{name}`", f"`{one.model_class}`", code(one.matrices), shown, code(one.readouts), positions])
    heads = ["architecture", "class in transformers", "matrices", "switches that it lacks", "read-outs", "positions"]
    return markdown_table(heads, rows)


def refused() -> str:
    """Architectures that are refused by name, and why."""
    return "\n".join(f"* `{name}`: {reason}" for name, reason in REFUSED.items())


def not_run() -> str:
    """Architectures of which no forward pass can be made, and why."""
    return "\n".join(f"* `{name}`: {one.no_modules}" for name, one in LAYOUTS.items() if not one.modules)


def matrix_kinds() -> str:
    """The kinds of matrices: factors, sides, signs, and what changes their SVD."""
    rows = []
    for name, kind in MATRIX_KINDS.items():
        product = " ".join(factor.weight.split(".")[1] + ("^T" if factor.transposed else "") for factor in kind.factors)
        sides = ", ".join(f"`{side}` (`{entry.array}`)" for side, entry in kind.sides.items())
        rows.append([f"`{name}`", product, kind.per, sides, f"`{kind.sign_side}`", code(kind.svd_switches)])
    heads = ["matrix", "product", "one for each", "sides (array)", "sign decided by", "switches that change its SVD"]
    return markdown_table(heads, rows)


def readouts() -> str:
    """The read-outs, and the switches that change lists through them."""
    rows = [[f"`{name}`", readout.score, code(readout.switches)] for name, readout in READOUTS.items()]
    return markdown_table(["read-out", "score of a token", "switches that change its lists"], rows)


def controls() -> str:
    """The controls."""
    return markdown_table(["control", "what it is"], [[f"`{name}`", one.what] for name, one in CONTROLS.items()])


def labellers() -> str:
    """The labellers: what they are, label and need."""
    rows = []
    for name, entry in LABELLERS.items():
        matrices = code(entry.matrices) if entry.matrices else "all"
        settings = code(entry.settings) if entry.settings else "all"
        lists = "its own" if entry.lists else "those of the sweep"
        also = ["controls"] * entry.labels_controls + ["lists from elsewhere"] * (entry.external_module is not None)
        criteria = code(text.replace("{level}", "level") for text in entry.criteria)
        rows.append([f"`{name}`", entry.what, lists, matrices, settings, ", ".join(also), criteria])
    heads = ["labeller", "what it is", "lists", "matrices", "settings", "labels also", "criteria (figures: the first)"]
    return markdown_table(heads, rows)


FILES_OF_SCOPE = {
    "sweep": "`{name}`",
    "setting": "`{name}_{{setting}}`",
    "model": "`{{model}}/{name}`",
    "one_matrix": "`{{model}}/{{setting}}/{name}`",
    "labelled_kind": "`{{model}}/{{setting}}/{name}_{{matrix}}`",
    "place": "`{{model}}/{{setting}}/{name}_{{matrix}}`",
    "topic": "`{{model}}/{{setting}}/{name}`",
    "trace": "`{{model}}/{{setting}}/{name}_{{query}}`",
    "edit": "`{{model}}/{{setting}}/{name}_{{edit}}`",
    "effect": "`{{model}}/{{setting}}/{name}_{{matrix}}`",
    "card": "`{{model}}/{{setting}}/{name}_{{matrix}}`",
    "token_table": "`{{model}}/{{setting}}/{name}_{{matrix}}_L{{layer}}[_H{{head}}]`",
}
"""The files of a figure under results/figures by FigureEntry.scope."""


def figures() -> str:
    """The figures: what each shows, and its files."""
    rows = [
        [f"`{name}`", entry.category, entry.shows, FILES_OF_SCOPE[entry.scope].format(name=name)]
        for name, entry in FIGURES.items()
    ]
    return markdown_table(["figure", "chapter of the report", "what it shows", "files"], rows)


# Columns of tables


def type_name(type: pa.DataType) -> str:
    """The type of a column, as readers of the file see it."""
    if pa.types.is_dictionary(type):
        return "category"
    if pa.types.is_list(type):
        return f"list of {type_name(type.value_type)}"
    return {"float": "float32", "double": "float64"}.get(str(type), str(type))


def described_columns(table: str) -> dict[str, tuple[str, str]]:
    """Type and description of each column. Raises KeyError for a column that docs/columns.yaml does not describe."""
    written = read_yaml("docs/columns.yaml")
    described = written[EVERY_TABLE] | written.get(table, {})
    return {field.name: (type_name(field.type), described[field.name]) for field in COLUMNS_OF[table]}


def columns(table: str) -> str:
    """The columns of a table with their types."""
    there = described_columns(LIKE[table]) if table in LIKE else {}
    rows = [
        [f"`{name}`", type, meaning]
        for name, (type, meaning) in described_columns(table).items()
        if there.get(name) != (type, meaning)
    ]
    return markdown_table(["column", "type", "meaning"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "config keys": config_keys,
    "settings": settings,
    "models": models,
    "architectures": architectures,
    "refused": refused,
    "not run": not_run,
    "matrix kinds": matrix_kinds,
    "readouts": readouts,
    "controls": controls,
    "labellers": labellers,
    "figures": figures,
    **{f"columns of {table}": partial(columns, table) for table in COLUMNS_OF},
}
"""The generated tables by the name in their markers."""


def updated(text: str) -> str:
    """A page with its generated tables as they are now. Raises KeyError for a table that is none of TABLES."""
    return GENERATED.sub(
        lambda found: (
            f"<!-- {found['name']}, from docs/update_docs.py -->\n\n{TABLES[found['name']]()}\n\n"
            f"<!-- end of {found['name']} -->"
        ),
        text,
    )


def updated_schema(text: str) -> str:
    """The schema's text with the names that registries have now. Raises ValueError where it lacks a definition."""
    for definition, names in registered_names().items():
        text, found = re.subn(
            rf"^  {definition}: \{{enum: \[.*\]\}}$",
            f"  {definition}: {{enum: [{', '.join(names)}]}}",
            text,
            flags=re.MULTILINE,
        )
        if found != 1:
            raise ValueError(
                f"{SCHEMA.name} defines {definition} {found} times under $defs; write `{definition}: {{enum: []}}`"
            )
    return text


def environment(project: Path = PROJECT) -> str:
    """environment.yml: an environment for conda that stands by itself, for Snakemake copies the file alone."""
    locked = (project / "requirements.lock").read_text("utf-8").splitlines()
    needed = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    lines = [
        "# Every package at the version of requirements.lock. Made by `make lock`.",
        "name: svdlens",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python={needed.removeprefix('>=')}",
        "  - pip",
        "  - pip:",
        *(f"      - {pin}" for pin in locked if not pin.startswith("#")),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(updated(page.read_text("utf-8")), "utf-8")
    (PROJECT / "environment.yml").write_text(environment(), "utf-8")
    SCHEMA.write_text(updated_schema(SCHEMA.read_text("utf-8")), "utf-8")
