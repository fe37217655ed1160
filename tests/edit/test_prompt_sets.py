"""Repeated sequences with and without a token of a concept, and sentences with an indirect object."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from svdlens.edit.heads import head_removal
from svdlens.edit.hooks import edited
from svdlens.edit.prompt_sets import NAMES, REPEATS, SEQUENCE, CueSet, indirect_object_cues, induction_cues
from svdlens.edit.prompts import Cue, written_cues
from svdlens.errors import SvdlensError
from svdlens.models.load import load_model
from svdlens.models.token_texts import read_vocabulary
from svdlens.models.token_windows import token_ids
from tiny import make_tiny_gpt2

TARGETS, MATCHED = [3, 4, 5], {3: 103, 4: 104, 5: 105}
LETTERS = ("b", "c", "d", "e")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("sets") / "tiny", positions=128)


@pytest.fixture(scope="module")
def model(directory: Path) -> nn.Module:
    return load_model(directory, "tiny")


def test_a_sequence_is_repeated_up_to_its_target(model: nn.Module, directory: Path) -> None:
    texts = read_vocabulary(directory)
    inside, outside = induction_cues(TARGETS, MATCHED, range(200), texts, model, 0)
    assert len(inside) == len(outside) == len(TARGETS) * REPEATS
    assert [cue.targets for cue in inside] == [[token] for token in TARGETS for _ in range(REPEATS)]
    places = set()
    for one, other in zip(inside, outside, strict=True):
        ids, [target] = one.ids[1:], one.targets
        assert one.ids[0] == model.config.bos_token_id
        once, again = ids[:SEQUENCE], ids[SEQUENCE:]
        # What a copying head predicts is the target: what followed the last token when it was there before.
        assert once[: len(again)] == again and once[once.index(again[-1]) + 1] == target
        assert len(set(once)) == SEQUENCE
        assert not (set(once) - {target}) & {*TARGETS, *MATCHED.values()}
        places.add(len(again))
        # The other differs in that one token, and nothing else.
        assert [MATCHED[target] if id == target else id for id in one.ids] == other.ids
        assert other.targets == [MATCHED[target]] and other.words == [texts[MATCHED[target]]]
        assert one.text == "".join(texts[id] for id in ids)
    assert len(places) > 4
    assert induction_cues(TARGETS, MATCHED, range(200), texts, model, 0)[0] == inside
    assert induction_cues(TARGETS, MATCHED, range(200), texts, model, 1)[0] != inside


def test_a_sequence_fits_into_the_model_and_has_enough_tokens(tmp_path: Path) -> None:
    short = load_model(make_tiny_gpt2(tmp_path / "short", positions=16), "short")
    texts = read_vocabulary(tmp_path / "short")
    for cue in induction_cues(TARGETS, MATCHED, range(200), texts, short, 0)[0]:
        assert len(cue.ids) < 16
        short(torch.tensor([[*cue.ids, *cue.targets]]))
    with pytest.raises(SvdlensError, match=r"^5 tokens are too few for a sequence of 7"):
        induction_cues(TARGETS, MATCHED, [3, 104, 1, 2, 6, 7, 8], texts, short, 0)


def test_the_indirect_object_is_the_name_that_is_there_once(model: nn.Module, directory: Path) -> None:
    cues = indirect_object_cues(model, directory, 40, 0, LETTERS)
    first = 0
    for cue in cues:
        indirect, subject = cue.words
        words = cue.text.replace(",", "").split()
        assert (words.count(indirect), words.count(subject)) == (1, 2)
        assert cue.text.count(f", {subject} ") == 1 and cue.text.endswith(" to")
        assert cue.targets == [token_ids(f" {name}", directory)[0] for name in (indirect, subject)]
        assert cue.ids == [model.config.bos_token_id, *token_ids(cue.text, directory)]
        first += words[1] == indirect
        # As an edit takes prompts.
        [written] = written_cues([{"prompt": cue.text, "targets": [indirect]}], model, directory)
        assert (written.ids, written.targets) == (cue.ids, cue.targets[:1])
    assert first == 20, "either name is the first by turns"
    assert {name for cue in cues for name in cue.words} == set(LETTERS)
    assert cues == indirect_object_cues(model, directory, 40, 0, LETTERS)


def test_a_tokenizer_without_names_is_refused(model: nn.Module, directory: Path) -> None:
    with pytest.raises(SvdlensError, match=r"of the names Mary, John.* has 0 as a single token"):
        indirect_object_cues(model, directory, 2, 0)
    with pytest.raises(SvdlensError, match="has 1 as a single token"):
        indirect_object_cues(model, directory, 2, 0, ("a", "Q", "zz"))
    assert len(set(NAMES)) == len(NAMES)


def test_two_targets_are_a_difference_of_logits(model: nn.Module) -> None:
    removal = [head_removal(model, 0, 1)]
    prompts = [[5, 6, 7, 8, 9], [40, 41], [90, 91, 92]]
    two = CueSet(model, [Cue(prompt, [7, 11], "", []) for prompt in prompts], 0)
    one = CueSet(model, [Cue(prompt, [7], "", []) for prompt in prompts], 0)
    with edited(model, removal):
        logits = torch.stack([model(torch.tensor([prompt])).logits[0, -1].double() for prompt in prompts])
    torch.testing.assert_close(two.measure(removal), logits[:, 7] - logits[:, 11], rtol=0, atol=1e-5)
    torch.testing.assert_close(one.measure(removal), torch.log_softmax(logits, -1)[:, 7], rtol=0, atol=1e-5)
    assert np.abs((two.measure(removal) - two.measure()).numpy()).max() > 1e-3
