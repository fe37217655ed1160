"""What is given as `--config NAME=VALUE` is what the same text in a file would be."""

from typing import Any

import pytest
from snakemake.cli import parse_config

from configurations import SCHEMA, config_with
from svdlens.errors import SvdlensError
from svdlens.sweep.command_line import read_numbers
from svdlens.sweep.config_checks import check_configuration, load_schema


def configured(*given: str, file: dict[str, Any] | None = None) -> dict[str, Any]:
    """config.yaml with a file and, on top of it, what Snakemake reads from --config."""
    config, schema = config_with(file or {}, parsed := parse_config(given)), load_schema(SCHEMA)
    read_numbers(config, parsed, schema)
    check_configuration(config, schema)
    return config


def test_numbers_within_braces_are_numbers() -> None:
    figures = configured("figures={token_table_tokens: 10, select: [token_table, spectra]}")["figures"]
    assert figures == {"token_table_directions": 15, "token_table_tokens": 10, "select": ["token_table", "spectra"]}
    labeller = configured("labellers={coherence: {level: 0.1, signs: [1, -1], directions: 30}}")["labellers"][
        "coherence"
    ]
    assert labeller == {"level": 0.1, "signs": [1, -1], "directions": 30}
    tables = configured("models={gpt2-xl: {token_tables: [{matrix: ov, layer: 3, head: 0}]}}")["models"]["gpt2-xl"]
    assert tables["token_tables"] == [{"matrix": "ov", "layer": 3, "head": 0}]


def test_values_without_braces_are_as_snakemake_reads_them() -> None:
    config = configured("directions=all", "stability=false", "seed=7", "weight_noise=0.02")
    assert [config[key] for key in ("directions", "stability", "seed", "weight_noise")] == ["all", False, 7, 0.02]


def test_names_stay_texts() -> None:
    file = {"models": {"2024": {"path": "2024"}}, "settings": {"on": []}}
    sweep = configured("sweep={models: [2024], settings: [on]}", file=file)["sweep"]
    assert (sweep["models"], sweep["settings"]) == (["2024"], ["on"])


@pytest.mark.parametrize(
    ("given", "file", "said"),
    [
        ("figures={token_table_tokens: ten}", {}, "figures.token_table_tokens: 'ten'"),
        ("figures={token_table_tokens: 0}", {}, "figures.token_table_tokens: 0 is less than"),
        # A text in a file was written as one.
        (
            "figures={token_table_tokens: 10}",
            {"figures": {"token_table_directions": "10"}},
            "token_table_directions: '10'",
        ),
    ],
)
def test_what_is_no_number_is_refused(given: str, file: dict[str, Any], said: str) -> None:
    with pytest.raises(SvdlensError, match=said):
        configured(given, file=file)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("models.mine.path", lambda path: {"models": {"mine": {"path": path}}}),
        ("models.gpt2-xl.token_counts", lambda path: {"models": {"gpt2-xl": {"token_counts": path}}}),
        ("labellers.published.path", lambda path: {"labellers": {"published": {"path": path}}}),
        ("lists", lambda path: {"lists": path}),
        ("tokenizer", lambda path: {"tokenizer": path}),
    ],
)
def test_no_path_has_a_wildcard(where: str, change: Any) -> None:
    configured(file=change("my model's {100 % #1"))
    with pytest.raises(SvdlensError, match=rf"{where}: a/\{{b\}}: Snakemake takes .* \(ln -s\)"):
        configured(file=change("a/{b}"))
