"""Write the tables of README.md from the files that they describe: `python docs/update_readme.py`.

tests/test_project.py fails when they are out of date.
"""

from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"


def config_keys() -> str:
    """Every key of the configuration with its default and description, from the schema and config.yaml."""
    schema = yaml.safe_load((PROJECT / "rules/config.schema.yaml").read_text("utf-8"))
    defaults = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    rows = ["| key | default | meaning |", "|---|---|---|"]

    def visit(name: str, node: dict, default: object) -> None:
        if "description" in node:
            shown = f"`{default}`".replace("'", "") if isinstance(default, int | float | list) else ""
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
    rows += [
        f"| `{name}` | {', '.join(f'`{one}`' for one in switches) or 'none'} |" for name, switches in catalogue.items()
    ]
    return "\n".join(rows)


TABLES = {"config keys": config_keys, "settings": settings}


def updated(text: str) -> str:
    for name, table in TABLES.items():
        start, end = f"<!-- {name}, from docs/update_readme.py -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n\n{table()}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text("utf-8")), "utf-8")
