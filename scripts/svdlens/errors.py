"""The one exception of svdlens whose text is written for the person at the terminal."""

import difflib
from collections.abc import Iterable

CLOSE = 0.61  # of 1 for the same letters in the same order: layer is close to labeller (.62), mamba not to llama (.6)


class SvdlensError(Exception):
    """Something that the user can put right. The text names the value, the rule that it broke, and the fix."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for the closest of `known`, or nothing; capitals do not count.

    Where the closest only goes on as `value` does, the first that does: gpt2 is gpt2-small, not the shorter gpt2-xl.
    """
    names = {name.lower(): name for name in known}
    longer = [name for name in names if value and name.startswith(value.lower())]
    close = difflib.get_close_matches(value.lower(), names, n=1, cutoff=CLOSE)
    found = longer if not close or close[0] in longer else close
    return f" Did you mean {names[found[0]]!r}?" if found else ""
