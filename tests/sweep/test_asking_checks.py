"""What the configuration of a labeller that asks a server lacks, and keys that stand in it."""

from pathlib import Path
from typing import Any

import pytest

from configurations import config_with
from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS
from svdlens.sweep.config_checks import check_configuration, load_schema
from svdlens.sweep.config_files import configuration
from svdlens.sweep.plan import Sweep

PROJECT = Path(__file__).parents[2]
SCHEMA = load_schema(PROJECT / "rules/config.schema.yaml")
WHOM = {"base_url": "http://localhost:8000/v1", "model": "m"}
SECRET = "sk-proj-0123456789"


def check(own: dict[str, Any], used: bool = True, **more: Any) -> None:
    swept = {"sweep": {"labellers": ["coherence", "llm"]}} if used else {}
    check_configuration(config_with({"labellers": {"llm": own}}, swept, more), SCHEMA)


def test_an_endpoint_and_a_model_are_enough() -> None:
    check(WHOM)
    check({"model": "m", "replay": True})
    check({}, used=False)


WRONG = {
    "nothing": (
        {},
        "needs base_url and model. Write labellers: {llm: {base_url: https://api.openai.com/v1, model: NAME}}.",
    ),
    "no model": ({"base_url": "http://localhost/v1"}, "needs model. Write labellers: {llm: {model: NAME}}."),
    "no endpoint": ({"model": "m"}, "needs base_url."),
    "no model to replay": ({"replay": True}, "needs model."),
    "no address": (WHOM | {"base_url": "localhost:8000"}, "labellers.llm.base_url: "),
    "a broken address": (WHOM | {"base_url": "http://[::1/v1"}, "base_url is no address"),
    "a key": (WHOM | {"key": SECRET}, "labellers.llm.key: 'key' is no key. Keys: "),
    "a number as model": (WHOM | {"model": 7}, "labellers.llm.model: YAML takes 7"),
    "an empty model": (WHOM | {"model": ""}, "labellers.llm.model"),
    "a temperature below 0": (WHOM | {"temperature": -1}, "labellers.llm.temperature"),
    "none in flight": (WHOM | {"in_flight": 0}, "labellers.llm.in_flight"),
    "more tokens than there are": (WHOM | {"tokens": 60}, "tokens: 60 are more than the 50 that are kept"),
    "a limit of cost without a price": (WHOM | {"max_cost": 3}, "without a price nothing costs anything"),
    "another price": (WHOM | {"price": {"prompt": 1}}, "labellers.llm.price.prompt: 'prompt' is no key"),
    "a path with braces": (
        WHOM | {"ledger": "{model}.sqlite"},
        "labellers.llm.ledger: {model}.sqlite: Snakemake takes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_missing_or_wrong_is_said(case: str) -> None:
    own, said = WRONG[case]
    with pytest.raises(SvdlensError) as error:
        check(own)
    assert said in str(error.value)
    assert SECRET not in str(error.value)


SECRETS = [
    {"base_url": f"https://me:{SECRET}@host/v1"},
    {"base_url": f"https://{SECRET}@host/v1"},
    {"base_url": f"https://host/v1?api-key={SECRET}"},
    {"base_url": f"https://host/v1#{SECRET}"},
    {"key_variable": SECRET},
]


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("own", SECRETS)
def test_a_key_in_the_configuration_is_refused_and_not_repeated(own: dict[str, Any], used: bool) -> None:
    with pytest.raises(SvdlensError, match=r"labellers\.llm\.(base_url|key_variable)") as error:
        check(WHOM | own, used)
    assert SECRET not in str(error.value)


def test_lists_from_elsewhere_need_an_endpoint_too() -> None:
    with pytest.raises(SvdlensError, match="the labeller llm needs base_url and model"):
        check({}, used=False, labeller="llm")


def test_results_depend_on_what_is_asked_and_on_nothing_else() -> None:
    config = config_with({"labellers": {"llm": WHOM}})
    parameters = Sweep(config).labeller_parameters("llm")
    assert set(parameters) == {"model", "tokens", "temperature", "max_tokens", "seed", "json_schema"}
    described = SCHEMA["properties"]["labellers"]["properties"]["llm"]["properties"]
    elsewhere = {"matrices", "sides", "signs", "directions", "control_lists"}
    assert set(described) == {*parameters, *elsewhere, *LABELLERS["llm"].not_results}


def test_nothing_is_asked_by_default() -> None:
    config = configuration([], PROJECT)
    assert "llm" not in config["sweep"]["labellers"]
    assert not {"base_url", "model"} & set(config["labellers"]["llm"])
