from pathlib import Path

import pytest
import torch

from svdlens.errors import SvdlensError
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.load import load_model
from svdlens.models.token_windows import (
    first_token,
    positions_of,
    prompt_tokens,
    read_text,
    single_token,
    token_ids,
    token_windows,
)
from tiny import TINY, make_tiny

BUNDLED = Path(__file__).parents[2] / "resources/models/wordnet-2layer"


@pytest.mark.parametrize("architecture", [name for name in TINY if LAYOUTS[name].modules])
def test_windows_are_the_text_in_pieces(architecture: str, tmp_path: Path) -> None:
    """And what transformers' tokenizer makes of it; the model takes them."""
    from transformers import AutoTokenizer

    directory = make_tiny(architecture, tmp_path / "tiny", 1)
    model = load_model(directory, "tiny")
    text = "the fire burns and the ice melts " * 20
    expected = AutoTokenizer.from_pretrained(directory)(text, add_special_tokens=False)["input_ids"]
    assert token_ids(text, directory) == expected
    windows = token_windows(text, model, directory, positions_of(model), 200)
    start = first_token(model)
    assert windows.shape[1] == positions_of(model) == 32
    assert windows[:, len(start) :].flatten().tolist() == expected[: windows[:, len(start) :].numel()]
    assert windows[:, : len(start)].tolist() == [start] * len(windows)
    assert 200 - 32 < windows[:, len(start) :].numel() <= 200
    assert torch.isfinite(model(windows).logits).all()
    short = token_windows("fire", model, directory, 32, 200)
    assert short.tolist() == prompt_tokens("fire", model, directory).tolist() == [start + token_ids("fire", directory)]


def test_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    model = load_model(make_tiny("gpt2", tmp_path / "tiny", 1), "tiny")
    (tmp_path / "windows.txt").write_bytes("Über Feuer".encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes("Über Feuer".encode("latin-1"))
    (tmp_path / "empty.txt").write_bytes(b" \n")
    (tmp_path / "marked.txt").write_bytes("\ufefffire".encode())
    for name, message in (("windows", "byte 0 is 0xff"), ("latin", "byte 0 is 0xdc"), ("empty", "has no text")):
        with pytest.raises(SvdlensError, match=rf"{name}\.txt.*{message}"):
            read_text(tmp_path / f"{name}.txt")
    assert read_text(tmp_path / "marked.txt") == "fire"
    with pytest.raises(SvdlensError, match=r"'fire fire.*has \d{3} tokens, and the model takes at most 32"):
        prompt_tokens("fire " * 170, model, tmp_path / "tiny")
    with pytest.raises(SvdlensError, match=r"prompt '' has no token"):
        prompt_tokens("", model, tmp_path / "tiny")


def test_what_the_vocabulary_lacks_is_no_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Some tokenizers make one of it, the same for all that they do not know; byte-level ones have none such."""
    [unknown] = token_ids("火", BUNDLED)
    assert single_token("火", BUNDLED) is None and single_token(" 火", BUNDLED) is None
    assert [single_token(" tree", BUNDLED)] == token_ids(" tree", BUNDLED)
    assert single_token("<|endoftext|>", BUNDLED) == unknown, "that is how it is written"
    model = load_model(BUNDLED, "bundled")
    prompt_tokens("a tree", model, BUNDLED)
    assert not caplog.records
    prompt_tokens("a 火 tree", model, BUNDLED)
    assert "'a 火 tree': what the vocabulary does not have the model reads as <|endoftext|>" in caplog.text
    tiny = make_tiny("gpt2", tmp_path / "tiny", 1)
    assert single_token("a", tiny) == token_ids("a", tiny)[0] and single_token("火", tiny) is None
