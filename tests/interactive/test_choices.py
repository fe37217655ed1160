"""What is asked for and is not there is named, with what there is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from svdlens.errors import SvdlensError
from svdlens.interactive.choices import SETTINGS, check_choices, check_level, check_positive, choose, control_sizes
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.settings import setting_from_names

ASKED: dict[str, Any] = {"matrices": ["ov"], "setting": "raw", "layers": None, "heads": None}


def test_named_settings_are_those_of_the_configuration() -> None:
    catalogue = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text("utf-8"))["settings"]
    for name, switches in SETTINGS.items():
        assert setting_from_names(name, switches) == setting_from_names(name, catalogue[name])


@pytest.mark.parametrize(
    ("architecture", "asked", "said"),
    [
        ("gpt2", {"matrices": "mlp_gate"}, "'mlp_gate' is none of the matrices"),
        ("gpt2", {"matrices": ["ov", "mlp-out"]}, "Did you mean 'mlp_out'"),
        ("gpt2", {"matrices": []}, "matrices is empty"),
        ("gpt2", {"setting": "tl_defualt"}, "'tl_defualt' is no switch"),
        ("gpt2", {"setting": ["fold_ln", "center"]}, "'center' is no switch"),
        ("llama", {"setting": "tl_default"}, "read_center.*which a LlamaForCausalLM does not have"),
        ("bert", {"setting": ["read_gain"]}, "BertModel does not have; it has none"),
        ("gpt2", {"layers": []}, "layers is empty"),
    ],
)
def test_choices_that_the_model_does_not_have(architecture: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(SvdlensError, match=said):
        check_choices(ARCHITECTURES[architecture], **ASKED | asked)


def test_controls_of_another_basis_are_refused() -> None:
    assert control_sizes("rotated", True, 5, 7) == {"random_unit": 5, "rotated": 7}
    assert control_sizes([], False, 5, 7) == {}
    for name in ("varimax", "random"):
        with pytest.raises(SvdlensError, match="none of the controls"):
            control_sizes([name], True, 5, 7)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "all"])
def test_sizes_are_whole_numbers(size: Any) -> None:
    with pytest.raises(SvdlensError, match="not a whole number from 1 on"):
        check_positive(tokens=size)


@pytest.mark.parametrize("level", [0, 1, 5, float("nan")])
def test_the_level_is_a_rate(level: float) -> None:
    with pytest.raises(SvdlensError, match="a false discovery rate is between 0 and 1"):
        check_level(level)


def test_one_layer_may_be_given_as_it_is() -> None:
    asked = ASKED | {"layers": 1, "heads": range(2)}
    assert check_choices(ARCHITECTURES["gpt2"], **asked).numbers == {"layers": [1], "heads": [0, 1]}


def test_each_name_is_taken_once() -> None:
    assert choose("readouts", ["W_E", "W_U", "W_E"], ["W_U", "W_E"]) == ["W_E", "W_U"]
