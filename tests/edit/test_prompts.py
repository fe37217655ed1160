"""Cue prompts, target words as tokens, and tokens matched in frequency."""

import json
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from svdlens.edit.prompts import (
    N_PROMPTS,
    N_TARGETS,
    NEAREST,
    list_targets,
    matched_tokens,
    read_prompts,
    text_cues,
    written_cues,
)
from svdlens.errors import SvdlensError
from svdlens.models.load import load_model
from svdlens.models.token_texts import read_vocabulary
from svdlens.models.token_windows import token_ids
from tiny import make_tiny_gpt2

LINE = '{"prompt": "a b", "targets": ["c"]}'


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("prompts") / "tiny")


@pytest.fixture(scope="module")
def model(directory: Path) -> nn.Module:
    return load_model(directory, "tiny")


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ([LINE, '{"prompt": "a b"'], ("line 2: no JSON", "Each line is an object")),
        ([LINE, "", '{"prompt": "a b"}'], ("line 3", "has not just `prompt` and `targets`")),
        (['{"prompt": "a", "targets": ["b"], "more": 1}'], ("line 1", "has not just")),
        (['{"prompt": " ", "targets": ["b"]}'], ("line 1: the prompt ' ' is no text",)),
        (['{"prompt": "a", "targets": []}'], ("line 1: the targets [] are no list of words",)),
        (['{"prompt": "a", "targets": [3]}'], ("line 1: the targets [3]",)),
        ([""], ("has no prompt",)),
    ],
)
def test_a_broken_line_is_named(lines: list[str], parts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    with pytest.raises(SvdlensError) as error:
        read_prompts(tmp_path / "prompts.jsonl")
    assert all(part in str(error.value) for part in ("prompts.jsonl", *parts)), error.value


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_bytes(json.dumps({"prompt": "é"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(SvdlensError, match=r"prompts.jsonl cannot be read as UTF-8"):
        read_prompts(tmp_path / "prompts.jsonl")


def test_lines_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text(f"\ufeff{LINE}\n\n{LINE.replace('c', 'd')}\n", encoding="utf-8")
    assert [entry["targets"] for entry in read_prompts(tmp_path / "prompts.jsonl")] == [["c"], ["d"]]


def test_a_target_word_is_the_token_that_follows(model: nn.Module, directory: Path) -> None:
    """With a space before it, as the text goes on, whether or not one was written; the prompt ends without."""
    [cue] = written_cues([{"prompt": "ab c  ", "targets": ["d", " e", "("]}], model, directory)
    followed = [token_ids(f"ab c{text}", directory)[-1] for text in (" d", " e")]
    assert cue.targets == [*followed, *token_ids("(", directory)]  # there is no token of a space and a bracket
    assert cue.ids == [model.config.bos_token_id, *token_ids("ab c", directory)]
    assert cue.words == ["d", " e", "("]
    [cue] = written_cues([{"prompt": "ab c", "targets": ["d", "e", " d", "("]}], model, directory)
    assert cue.words == ["d", "e", "("] and len(cue.targets) == 3, "each token once"
    with pytest.raises(SvdlensError, match="half a surrogate pair"):
        written_cues([{"prompt": "ab \ud800", "targets": ["d"]}], model, directory)


def test_split_words_are_all_named_with_their_pieces(model: nn.Module, directory: Path) -> None:
    with pytest.raises(
        SvdlensError, match=r"'zzzz' is ' z' \+ .*; 'q!' is ' q' \+ '!'.*write words that are one token"
    ):
        written_cues([{"prompt": "a", "targets": ["zzzz", "b"]}, {"prompt": "a", "targets": ["q!"]}], model, directory)


def test_a_prompt_beyond_the_context_is_refused(model: nn.Module, directory: Path) -> None:
    for length, said in ((31, "none can follow"), (32, "takes at most 32")):
        with pytest.raises(SvdlensError, match=said):
            written_cues([{"prompt": "!" * length, "targets": ["b"]}], model, directory)
    assert written_cues([{"prompt": "!" * 30, "targets": ["b"]}], model, directory)


@pytest.mark.parametrize("n_cued", [0, 3, 40])
def test_prompts_end_where_a_target_comes_next(n_cued: int, model: nn.Module, directory: Path) -> None:
    """All such places while there are few, else some of the whole text, with the tokens that stand before them."""
    ids = np.random.default_rng(0).integers(10, 200, 400)
    places = np.random.default_rng(1).choice(np.arange(20, 400), n_cued, replace=False)
    ids[places] = 7
    cues = text_cues(ids.tolist(), [7, 5], read_vocabulary(directory), model)
    assert len(cues) == N_PROMPTS
    rows = {tuple(ids[i - 15 : i]): i for i in range(15, 400)}
    ends = [rows[tuple(cue.ids[1:])] for cue in cues]
    assert ends == sorted(set(ends))
    assert sum(ids[end] == 7 for end in ends) == min(n_cued, N_PROMPTS)
    assert max(ends) - min(ends) > 200
    assert all(cue.ids[0] == model.config.bos_token_id and cue.targets == [7, 5] for cue in cues)


def test_targets_of_several_lists_are_taken_in_turn() -> None:
    assert list_targets([[1, 2, 3], [4, 1, 5, 6]]) == [1, 4, 2, 3, 5, 6]
    assert list_targets([[1, 2, 3]], without=[2]) == [1, 3]
    assert len(list_targets([list(range(50))])) == N_TARGETS


def test_matched_tokens_are_others_of_like_frequency() -> None:
    random = np.random.default_rng(0)
    log_ranks, is_word = random.permutation(np.log(np.arange(1, 1001))), random.random(1000) < 0.5
    targets, listed = list(range(10)), list(range(10, 60))
    matched = matched_tokens(targets, log_ranks, is_word, listed, seed=3)
    assert list(matched) == targets
    assert len(set(matched.values())) == 10 and not set(matched.values()) & {*targets, *listed}
    for target, token in matched.items():
        assert is_word[target] == is_word[token]
        free = [other for other in range(60, 1000) if is_word[other] == is_word[target]]
        nearer = sum(abs(log_ranks[o] - log_ranks[target]) < abs(log_ranks[token] - log_ranks[target]) for o in free)
        assert nearer < NEAREST + len(targets)
    assert matched == matched_tokens(targets, log_ranks, is_word, listed, seed=3)


def test_matched_tokens_are_others_where_lists_have_the_whole_vocabulary() -> None:
    """As of all directions of a head of a small model."""
    log_ranks, is_word = np.log(np.arange(1, 31)), np.arange(30) % 2 == 0
    matched = matched_tokens([3, 8, 20], log_ranks, is_word, range(30), seed=0)
    assert not set(matched.values()) & {3, 8, 20}
    assert all(is_word[token] == is_word[target] for target, token in matched.items())
