"""A difference is of two models with the same tensors, heads and tokens; anything else is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from svdlens.errors import SvdlensError
from svdlens.models.fetch import fetch_from_directory
from svdlens.models.fetch_change import fetch_difference
from tiny import make_tiny


def fetched(directory: Path, name: str, **config: Any) -> Path:
    source = make_tiny("llama", directory / f"{name}_source", **config)
    fetch_from_directory(source, directory / name, {}, name, "path", "llama")
    return directory / name


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetched(tmp_path_factory.mktemp("models"), "base")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"intermediate_size": 20}, "'layers.0.mlp.down_proj.weight' is [16, 20] in other and [16, 24] in base"),
        ({"layers": 1}, "'layers.1.input_layernorm.weight' is missing in other"),
        ({"vocabulary": 321}, "'embed_tokens.weight' is [321, 16] in other and [320, 16] in base"),
        ({"attention_bias": True}, "k_proj.bias' is [8] in other and missing in base"),
        ({"num_attention_heads": 2, "num_key_value_heads": 1}, "num_attention_heads is 2 in other and 4 in base"),
    ],
)
def test_two_models_that_are_not_alike_are_refused(config: dict, said: str, base: Path, tmp_path: Path) -> None:
    other = fetched(tmp_path, "other", **({"head_dim": 4} if "num_attention_heads" not in config else {}), **config)
    if "num_attention_heads" in config:
        # Wider heads, so that all tensors have the same shapes.
        assert json.loads((other / "config.json").read_text())["head_dim"] == 8
    with pytest.raises(SvdlensError) as error:
        fetch_difference(other, base, tmp_path / "results/delta", "delta", "llama")
    assert said in str(error.value) and "model 'delta' (other minus base)" in str(error.value)
    assert not (tmp_path / "results").exists()


def test_other_tokens_are_named(base: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(base, tmp_path / "other"))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokens = tokenizer["model"]["vocab"]
    tokens["A"], tokens["B"] = tokens["B"], tokens["A"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(SvdlensError, match=r"the token \d+ is 'B' in other and 'A' in base"):
        fetch_difference(other, base, tmp_path / "delta", "delta", "llama")


def test_provenance_has_that_of_both(base: Path, tmp_path: Path) -> None:
    tuned = fetched(tmp_path, "tuned", seed=1)
    fetch_difference(tuned, base, tmp_path / "delta", "delta", "llama")
    provenance = json.loads((tmp_path / "delta/provenance.json").read_text())
    assert (provenance["source"], provenance["repo"]) == ("diff", "tuned minus base")
    for name, directory in (("of", tuned), ("minus", base)):
        assert provenance["models"][name] == json.loads((directory / "provenance.json").read_text())
    assert set(provenance["files"]) == {"config.json", "tokenizer.json", "tokenizer_config.json"}
