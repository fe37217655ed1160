"""What is asked for and is not there is named, with what there is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from svdlens.errors import SvdlensError
from svdlens.interactive.choices import (
    SETTINGS,
    check_choices,
    check_labels,
    check_level,
    check_positive,
    check_seed,
    check_tolerance,
    choose,
    control_sizes,
    given_directory,
    given_file,
)
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
        ("gpt2", {"layers": "0"}, "layers has '0', no whole number"),
        ("gpt2", {"heads": [0, 0.5]}, "heads has 0.5, no whole number"),
        ("gpt2", {"layers": True}, "layers has True, no whole number"),
        ("gpt2", {"layers": 0.5}, "layers is 0.5, neither one of them nor a list"),
        ("gpt2", {"matrices": None}, "matrices is None, neither"),
        ("gpt2", {"setting": 3}, "setting is 3, neither"),
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


@pytest.mark.parametrize("level", [0, 1, 5, float("nan"), "0.05", None])
def test_the_level_is_a_rate(level: float) -> None:
    with pytest.raises(SvdlensError, match="a false discovery rate is between 0 and 1"):
        check_level(level)
    with pytest.raises(SvdlensError, match=r"cluster_tolerance is .* not a number between 0 and 1"):
        check_tolerance(level)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(SvdlensError, match=r"seed is .* not a whole number from 0 on"):
        check_seed(seed)


def test_lists_are_as_long_as_the_labeller_reads() -> None:
    check_labels(False, 5)
    with pytest.raises(SvdlensError, match="tokens is 14, and the labeller reads the first 15"):
        check_labels(True, 14)
    with pytest.raises(SvdlensError, match="labels is 'coherence', neither True nor False"):
        check_labels("coherence", 50)  # type: ignore[arg-type]


def test_paths_are_looked_at_before_they_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert given_file("token_counts", str(file)) == file and given_file("token_counts", None) is None
    assert given_directory("cache", tmp_path / "a/b") == tmp_path / "a/b" and (tmp_path / "a/b").is_dir()
    for given, path, said in (
        (given_file, tmp_path / "nowhere", "there is no such file"),
        (given_file, 3, "token_counts is 3, no path"),
        (given_file, "~no-such-person/x", "no such home directory"),
        (given_directory, file, "is a file"),
        (given_directory, file / "below", "cannot be written to"),
        (given_directory, "/proc/cache", "cannot be written to"),
    ):
        with pytest.raises(SvdlensError, match=said):
            given("token_counts", path)


def test_one_layer_may_be_given_as_it_is() -> None:
    for one in (1, np.int64(1)):
        asked = ASKED | {"layers": one, "heads": range(2)}
        assert check_choices(ARCHITECTURES["gpt2"], **asked).numbers == {"layers": [1], "heads": [0, 1]}


def test_each_name_is_taken_once() -> None:
    assert choose("readouts", ["W_E", "W_U", "W_E"], ["W_U", "W_E"]) == ["W_E", "W_U"]
