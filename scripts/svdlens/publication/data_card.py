"""The README.md of a published sweep: a data-set card of the Hugging Face hub, made from provenance and schemas."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from svdlens.publication.crate import LICENCES
from svdlens.sweep.paths import TABLES

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
"""What the hub calls numbers of rows: below each of these."""
LARGEST_SIZE = "10M<n<100M"
MARKS = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " "})

CARD = """---
{header}---
# {name}

{description}

* `tables/*.parquet`: the whole sweep. `figures/`: every figure, and the numbers that it draws.
* `explorer/index.html`: a page to look around in, from disk or from a web server.
* `report/`: method, configuration, models, main tables.
* `config/`: what was asked for. `models/`: where the weights come from.
* `sha256sum -c manifest-sha256.txt` checks every file; `ro-crate-metadata.json` describes them (RO-Crate 1.1).
* Made with svdlens {version} and the packages of `requirements.lock`; how to cite it: `CITATION.cff`.
* Licence: {license}.

## Models

{models}

## Tables

With pandas, `pd.read_parquet("tables/tokens.parquet")`; from the hub, `datasets.load_dataset(NAME, "tokens")`. A row of
`tokens` and of `labels` is one direction and sign of one matrix. Read every share beside its control: `fractions` has
both, with intervals over matrices.

{tables}

What each column says: docs/artefacts.md of svdlens.
"""


def data_card(facts: Mapping[str, str], models: Sequence[Mapping[str, Any]], tables: Path) -> str:
    """The text of README.md, the same for the same arguments.

    facts: name, description, license (an SPDX identifier) and version. models: every provenance.json. tables: the
    directory with the parquet files that TABLES names.
    """
    files = {name: pq.ParquetFile(tables / f"{name}.parquet") for name in TABLES}
    rows = files["tokens"].metadata.num_rows
    header = {
        "license": facts["license"].lower(),
        "pretty_name": facts["name"],
        "tags": ["interpretability", "svd", "transformers"],
        "size_categories": [next((name for most, name in SIZES if rows < most), LARGEST_SIZE)],
        "configs": [{"config_name": name, "data_files": f"tables/{name}.parquet"} for name in TABLES],
    }
    return CARD.format(
        **{**facts, "name": facts["name"].translate(MARKS)},
        header=yaml.safe_dump(header, sort_keys=False, allow_unicode=True),
        models="\n".join(map(model_line, models)),
        tables="\n".join(map(table_line, files.items())),
    )


def table_line(table: tuple[str, pq.ParquetFile]) -> str:
    """A table with its number of rows and its columns."""
    name, file = table
    columns = ", ".join(f"`{column}`" for column in file.schema_arrow.names)
    return f"* `{name}` ({file.metadata.num_rows:,} rows): {columns}"


def model_line(model: Mapping[str, Any]) -> str:
    """A model with its source, revision, licence if it is known, and the sha256 of its weights."""
    said = [f"{model['architecture']}, source: {model['source']}"]
    if model["source"] != "path":
        said.append(f"`{model['repo']}`")
    if model["revision"]:
        said.append(f"revision `{model['revision']}`")
    if model["source"] != "path" and model["repo"] in LICENCES:
        said.append(f"licence {LICENCES[model['repo']]}")
    weights = [file["sha256"] for name, file in model["files"].items() if name.endswith(".safetensors")]
    said += [f"sha256 of the weights `{digest}`" for digest in sorted(weights)]
    return f"* `{model['model']}`: {', '.join(said)}".translate(MARKS)
