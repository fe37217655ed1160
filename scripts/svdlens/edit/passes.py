"""Forward passes of a model under many edits, each of which repeats only the layers from the first edited one on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svdlens.edit.hooks import edited
from svdlens.edit.updates import Update
from svdlens.errors import SvdlensError
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.load import model_type
from svdlens.models.token_windows import plain_tokenizer, positions_of

CHUNK = 1024  # tokens of which logits are in memory at once


class Passes:
    """Token ids [n, length], padded on the right, which layers before `first` have seen already.

    Padding needs no mask: what a position gives depends on none after it.
    """

    def __init__(self, model: nn.Module, ids: Int[Tensor, "n length"], first: int) -> None:
        self.model, self.ids = model, ids
        layout = LAYOUTS[model_type(model)]
        layers: Any = model.get_submodule(f"{layout.prefix}{layout.layers}")
        self.before = list(layers)[:first]
        self.kept: list[Any] = []
        if self.before:
            handle = self.before[-1].register_forward_hook(lambda module, inputs, output: self.kept.append(output))
            self.run([])
            handle.remove()

    def run(self, updates: Sequence[Update], path: str = "total") -> Float[Tensor, "n length d_vocab"]:
        """The logits of the edited model."""
        with torch.no_grad(), edited(self.model, updates, path), skipped(self.before if self.kept else [], self.kept):
            logits: Tensor = self.model(self.ids, use_cache=False).logits
        return logits

    def next_tokens(
        self, lengths: Int[Tensor, " n"], updates: Sequence[Update] = (), path: str = "total"
    ) -> Float[Tensor, "n d_vocab"]:
        """Log-probabilities of what follows the first `lengths` tokens of each row, float64.

        Raises SvdlensError where they are not finite.
        """
        rows = torch.arange(len(self.ids))

        def last(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (inputs[0][rows, lengths - 1][:, None],)

        head: Any = self.model
        handle = head.get_output_embeddings().register_forward_pre_hook(last)
        try:
            logits = self.run(updates, path)
        finally:
            handle.remove()
        found = torch.log_softmax(logits[:, 0].double(), dim=-1)
        if not found.isfinite().all():
            eps = max((float(update.eps.abs().max()) for update in updates), default=0.0)
            raise SvdlensError(
                f"with eps of size {eps:g} the model gives no finite log-probabilities: float32 cannot hold what it "
                "computes. Take an eps nearer to 0."
            )
        return found

    def loss(self, updates: Sequence[Update] = (), path: str = "total") -> float:
        """Mean negative log-probability of each token of the rows but the first of each, natural logarithm."""
        logits = self.run(updates, path)[:, :-1].flatten(0, 1)
        return float(torch.nn.functional.cross_entropy(logits, self.ids[:, 1:].flatten()))


@contextmanager
def skipped(layers: Sequence[nn.Module], outputs: Sequence[Any]) -> Iterator[None]:
    """Within this block each of these layers gives outputs[0], what the last of them gave, and computes nothing."""
    changed: Any
    try:
        for changed in layers:
            changed.forward = lambda *args, **kwargs: outputs[0]
        yield
    finally:
        for changed in layers:
            del changed.forward


class Text:
    """A neutral text as windows of tokens, for the perplexity of a model under many edits."""

    def __init__(self, model: nn.Module, windows: Int[Tensor, "n length"], first: int) -> None:
        self.passes = [Passes(model, rows, first) for rows in windows.split(max(1, CHUNK // windows.shape[1]))]

    def perplexity(self, updates: Sequence[Update] = (), path: str = "total") -> float:
        """exp of the mean loss of a token, windows weighing the same."""
        sizes = [len(one.ids) for one in self.passes]
        losses = [one.loss(updates, path) for one in self.passes]
        mean = sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / sum(sizes)
        return float(torch.tensor(mean, dtype=torch.float64).exp())


def padded(prompts: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "n length"], Int[Tensor, " n"]]:
    """Prompts of token ids as one tensor, padded on the right, and their lengths."""
    longest = max(map(len, prompts))
    rows = [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts]
    return torch.tensor(rows), torch.tensor([len(prompt) for prompt in prompts])


def continuations(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    directory: Path,
    tokens: int,
    updates: Sequence[Update],
    path: str,
) -> list[str]:
    """What the edited model writes after each prompt: the likeliest token, again and again, up to `tokens` of them,
    as text. Prompts of the same length are continued together."""
    tokenizer = plain_tokenizer(directory)
    texts: dict[int, str] = {}
    pretrained: Any = model
    for length in sorted({len(prompt) for prompt in prompts}):
        which = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        room = min(tokens, positions_of(model) - length)
        if room <= 0:
            texts |= dict.fromkeys(which, "")
            continue
        ids = torch.tensor([list(prompts[i]) for i in which])
        with edited(model, updates, path):
            found = pretrained.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=room, do_sample=False, num_beams=1,
                pad_token_id=int(ids[0, 0]), eos_token_id=None,
            )  # fmt: skip
        texts |= {i: tokenizer.decode(row[length:].tolist()) for i, row in zip(which, found, strict=True)}
    return [texts[i] for i in range(len(prompts))]
