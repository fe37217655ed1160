"""What of a model's predictions an effect is on: the loss on a text, or the log-probability of some tokens."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from svdlens.errors import SvdlensError
from svdlens.models.token_windows import single_token, token_ids

LOSS = "loss"


def target_ids(words: Sequence[str], directory: Path) -> list[int]:
    """The tokens that words are, with and without a space before them, by the tokenizer in a model's `directory`.

    Raises SvdlensError for a word that is a single token neither way.
    """
    ids: dict[int, None] = {}
    for word in words:
        spellings = dict.fromkeys([word, f" {word.lstrip()}"])
        found = [single_token(spelling, directory) for spelling in spellings]
        single = [token for token in found if token is not None]
        if not single:
            pieces = token_ids(list(spellings)[-1], directory)
            raise SvdlensError(
                f"effects.metric: {word!r} is no single token of the model, whose tokenizer makes {len(pieces)} of "
                "it. The metric is the log-probability of next tokens: take words that the vocabulary has whole."
            )
        ids |= dict.fromkeys(single)
    return list(ids)


def metric_terms(length: int, targets: Int[Tensor, " n"] | None) -> int:
    """Over how many positions of a window of so many tokens metric_sum sums."""
    return length - 1 if targets is None else length


def metric_sum(
    logits: Float[Tensor, "length d_vocab"], window: Int[Tensor, " length"], targets: Int[Tensor, " n"] | None
) -> Float[Tensor, ""]:
    """The metric summed over the positions of a window, in nats.

    targets None: the loss, -log p of each token that follows. Else the mean log p of `targets` at every position.
    """
    if targets is None:
        return functional.cross_entropy(logits[:-1], window[1:], reduction="none").double().sum()
    return (logits[:, targets].mean(dim=-1) - torch.logsumexp(logits, dim=-1)).double().sum()
