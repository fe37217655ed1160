"""README, docs/ and the schema of the configuration: they say what the code says, and their links and examples work."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config
from test_rooms import ROOMS

from svdlens.labels.label_table import Choice
from svdlens.labels.published.answers import LAYERS
from svdlens.sweep.config_checks import check_configuration, load_schema

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
LIBRARY = PROJECT / "scripts/svdlens"
SCHEMA = PROJECT / "rules/config.schema.yaml"
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]
TEXTS = {page.name: page.read_text("utf-8") for page in PAGES}
YAML_BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in TEXTS.items()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
]
PYTHON_BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


@pytest.fixture(scope="module")
def update_docs() -> ModuleType:
    """docs/update_docs.py."""
    spec = importlib.util.spec_from_file_location("update_docs", DOCS / "update_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return load_schema(SCHEMA)


@pytest.mark.parametrize("page", TEXTS)
def test_generated_tables_are_up_to_date(page: str, update_docs: ModuleType) -> None:
    assert update_docs.updated(TEXTS[page]) == TEXTS[page], "run: python docs/update_docs.py"


def test_every_generated_table_is_on_one_page(update_docs: ModuleType) -> None:
    found = [match["name"] for text in TEXTS.values() for match in update_docs.GENERATED.finditer(text)]
    assert sorted(found) == sorted(update_docs.TABLES)


def test_the_schema_has_the_names_of_the_registries(update_docs: ModuleType) -> None:
    text = SCHEMA.read_text("utf-8")
    assert update_docs.updated_schema(text) == text, "run: python docs/update_docs.py"


def test_every_key_of_the_configuration_is_described(schema: dict[str, Any], update_docs: ModuleType) -> None:
    def visit(place: str, node: dict) -> None:
        node = update_docs.resolved(node, schema)
        if "properties" in node:
            assert node["additionalProperties"] is False, f"{place} is open"
        for name, child in node.get("properties", {}).items():
            described = update_docs.resolved(child, schema)
            assert described.get("description"), f"{place}.{name} has no description"
            visit(f"{place}.{name}", child)
        for key in ("additionalProperties", "items"):
            if isinstance(node.get(key), dict):
                visit(f"{place}.{key}", node[key])

    visit("config", schema)


def test_the_schema_knows_what_labellers_can_label(schema: dict[str, Any]) -> None:
    labellers = schema["properties"]["labellers"]["properties"]
    assert set(labellers["coherence"]["properties"]) == {"level", "matrices", *Choice._fields}
    assert labellers["published"]["properties"]["models"]["items"]["enum"] == list(LAYERS)


def test_every_description_of_a_column_is_of_one(update_docs: ModuleType) -> None:
    """That every column has one, the tables themselves show."""
    written = update_docs.read_yaml("docs/columns.yaml")
    for_all = set(written.pop(update_docs.EVERY_TABLE))
    assert set(written) <= set(update_docs.COLUMNS_OF)
    for table, descriptions in written.items():
        assert set(descriptions) <= set(update_docs.COLUMNS_OF[table].names), table
    assert for_all <= {name for columns in update_docs.COLUMNS_OF.values() for name in columns.names}


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_configurations_are_accepted(block: str, schema: dict[str, Any]) -> None:
    """Merged with config.yaml as Snakemake merges a --configfile."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    update_config(config, yaml.safe_load(block))
    check_configuration(config, schema)


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_code_is_python(block: str) -> None:
    compile(block, "docs", "exec")


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXTS["README.md"])
    assert links and [link for link in links if not (PROJECT / link).exists()] == []


def test_the_site_builds_with_every_page_and_link_and_asks_no_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert built.returncode == 0, built.stdout
    pages = {page.stem for page in (tmp_path / "site").glob("*.html")} - {"404"}
    assert pages == {page.stem for page in DOCS.glob("*.md")}
    loads = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]+>")
    for page in pages:
        assert loads.findall((tmp_path / f"site/{page}.html").read_text("utf-8")) == [], page


def test_files_that_the_pages_name_are_there() -> None:
    """Paths with a suffix in `code`, as seen from the project, the library or the rules."""
    named = {
        (name, path)
        for name, text in TEXTS.items()
        for path in re.findall(r"`([\w/.]+\.(?:py|smk|js|yml|schema\.json|schema\.yaml))`", text)
        if "NAME" not in path
    }
    places = [PROJECT, PROJECT / "scripts", LIBRARY, PROJECT / "rules", PROJECT / "resources/explorer"]
    assert len(named) > 30
    assert [(name, path) for name, path in named if not any((place / path).exists() for place in places)] == []


def test_the_dag_has_every_rule() -> None:
    dag = TEXTS["architecture.md"].split("## The DAG")[1].split("\nNothing flows back")[0]
    rules = {
        rule
        for path in (PROJECT / "rules").glob("*.smk")
        for rule in re.findall(r"^rule (\w+):", path.read_text("utf-8"), re.MULTILINE)
    }
    assert rules - set(re.findall(r"\w+", dag)) == set()


def test_the_rooms_are_listed_in_their_order() -> None:
    table = TEXTS["architecture.md"].split("## The rooms of the library")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == ["errors", *ROOMS]
