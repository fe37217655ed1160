"""Write the tables of README.md from the files that they describe: `python docs/update_readme.py`.

tests/project/test_project.py fails when they are out of date.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"
sys.path.insert(0, str(PROJECT / "scripts"))

from svdlens.spec.architectures import ARCHITECTURES, DEFAULT  # noqa: E402
from svdlens.spec.matrix_kinds import MATRIX_KINDS  # noqa: E402
from svdlens.spec.settings import Setting  # noqa: E402


def config_keys() -> str:
    """Every key of the configuration with its default and description, from the schema and config.yaml."""
    schema = yaml.safe_load((PROJECT / "rules/config.schema.yaml").read_text("utf-8"))
    defaults = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    rows = ["| key | default | meaning |", "|---|---|---|"]

    def visit(name: str, node: dict, default: object) -> None:
        if "description" in node:
            default = node.get("default", default)
            shown = f"`{default}`".replace("'", "") if isinstance(default, int | float | str | list) else ""
            rows.append(f"| `{name}` | {shown} | {node['description']} |")
        for key, child in node.get("properties", {}).items():
            below = default.get(key) if isinstance(default, dict) else None
            visit(f"{name}.{key}" if name else key, child, below)
        entries = node.get("additionalProperties")
        if isinstance(entries, dict):
            visit(f"{name}.NAME", entries, None)
        if "items" in node:
            visit(f"{name}[]", node["items"], None)

    visit("", schema, defaults)
    return "\n".join(rows)


def settings() -> str:
    """The catalogue of settings with the switches that each stands for."""
    catalogue = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["settings"]
    rows = ["| setting | switches and flags |", "|---|---|"]
    rows += [f"| `{name}` | {code(switches) or 'none'} |" for name, switches in catalogue.items()]
    return "\n".join(rows)


def models() -> str:
    """The catalogue of models: source, architecture, which sweep takes them, and their own lists."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    demo = yaml.safe_load((PROJECT / "profiles/demo/sweep.yaml").read_text("utf-8"))
    sweeps = {"`snakemake`": config["sweep"]["models"], "`make run`": demo["sweep"]["models"]}
    places = {"repo": "hub", "bundled": "bundled", "path": "directory", "package": "package"}
    rows = ["| model | source | architecture | in the sweep of | in place of the sweep's |", "|---|---|---|---|---|"]
    for name, model in config["models"].items():
        [source] = [f"{place} `{model[key]}`" for key, place in places.items() if key in model]
        swept = ", ".join(command for command, taken in sweeps.items() if name in taken)
        own = ", ".join(f"{key} {code(model[key])}" for key in ("settings", "matrices", "readouts") if key in model)
        rows.append(f"| `{name}` | {source} | `{model.get('architecture', DEFAULT)}` | {swept} | {own} |")
    return "\n".join(rows)


def architectures() -> str:
    """What a model of each architecture has and lacks."""
    switches = list(Setting.__annotations__)
    rows = ["| architecture | class in transformers | matrices | switches that it lacks | read-outs | positions |"]
    rows.append("|---|---|---|---|---|---|")
    for name, one in ARCHITECTURES.items():
        lacks = [switch for switch in switches if switch not in one.switches]
        shown = "all" if len(lacks) == len(switches) else code(lacks) or "none"
        matrices = code([matrix for matrix in MATRIX_KINDS if matrix in one.matrices])
        positions = "rotary" if one.rotary else "added"
        rows.append(f"| `{name}` | `{one.model_class}` | {matrices} | {shown} | {code(one.readouts)} | {positions} |")
    return "\n".join(rows)


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


TABLES = {"config keys": config_keys, "settings": settings, "models": models, "architectures": architectures}


def updated(text: str) -> str:
    for name, table in TABLES.items():
        start, end = f"<!-- {name}, from docs/update_readme.py -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n\n{table()}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text("utf-8")), "utf-8")
