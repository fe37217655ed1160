"""The registry of labellers: what an entry promises, its module keeps."""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from svdlens.labels.published.answers import LAYERS, MATRICES
from svdlens.labels.registry import LABELLERS, LabellerEntry, can_label, criteria

PROJECT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
ANY = LabellerEntry("any", "a.module", "anything", ("q < {level}", "p < {limit}"))


@pytest.mark.parametrize("name", LABELLERS)
def test_an_entry_names_a_module_that_does_what_it_says(name: str) -> None:
    entry = LABELLERS[name]
    assert entry.name == name
    module = importlib.import_module(entry.module)
    assert callable(getattr(module, "own_labels" if entry.lists else "labeller_from_files"))
    if entry.external_module:
        assert callable(importlib.import_module(entry.external_module).label_external_lists)
    # Who brings lists of his own has none of the controls.
    assert not (entry.lists and entry.labels_controls)
    patterns = [*entry.files.values(), *([entry.lists] if entry.lists else [])]
    for pattern in patterns:
        path = pattern.format(model="a-model", matrix="ov")
        # What people say of a sample is of the whole sweep.
        assert path.startswith("results/") and ("a-model" in path or entry.sampled)


def test_some_labeller_labels_lists_from_elsewhere() -> None:
    assert [name for name, entry in LABELLERS.items() if entry.external_module]


def test_the_registry_is_read_without_anything_heavy() -> None:
    """Every job of a cluster reads the Snakefile, and with it the registries, again."""
    heavy = {"numpy", "torch", "pandas", "pyarrow", "matplotlib", "transformers"}
    code = f"import sys; import svdlens.sweep.plan, svdlens.sweep.code_hash; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT / "scripts")
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_labeller_without_limits_can_label_everything() -> None:
    assert can_label(ANY, {}, "m", "raw", "ov")


def test_each_limit_is_one() -> None:
    limits = {"matrices": ("ov", "qk"), "settings": ("raw",), "models_key": "models"}
    configuration = {"models": ["m", "n"]}
    limited = replace(ANY, **limits)
    assert can_label(limited, configuration, "m", "raw", "ov")
    for wrong in (("other", "raw", "ov"), ("m", "fold", "ov"), ("m", "raw", "mlp_in")):
        assert not can_label(limited, configuration, *wrong)
        # And no other one: without this limit it can.
        alone = [key for key in limits if not can_label(replace(ANY, **{key: limits[key]}), configuration, *wrong)]
        assert len(alone) == 1
    assert not can_label(limited, {}, "m", "raw", "ov")  # no model was named


def test_published_answers_are_of_some_mlps_in_one_setting() -> None:
    labeller, configuration = LABELLERS["published"], CONFIG["labellers"]["published"]
    labelled = {
        (model, setting, matrix)
        for model in [*LAYERS, "pythia-70m"]
        for setting in CONFIG["settings"]
        for matrix in ("ov", "qk", "mlp_in", "mlp_out")
        if can_label(labeller, configuration, model, setting, matrix)
    }
    assert labelled == {(model, "post2022", matrix) for model in LAYERS for matrix in MATRICES}
    # How the authors prepared the weights.
    assert CONFIG["settings"]["post2022"] == ["read_gain"]


def test_criteria_take_numbers_from_the_configuration() -> None:
    assert criteria(ANY, {"level": 0.05, "limit": 1e-3, "other": 1}) == ["q < 0.05", "p < 0.001"]
    assert criteria(LABELLERS["coherence"], {"level": 0.1}) == ["q_value < 0.1"]
    assert criteria(LABELLERS["published"], {}) == ["B", "P", "V"]
