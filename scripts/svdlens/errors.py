"""The one exception of svdlens whose text is written for the person at the terminal."""

import difflib
from collections.abc import Iterable


class SvdlensError(Exception):
    """Something that the user can put right. The text names the value, the rule that it broke, and the fix."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for the closest of `known`, or nothing."""
    close = difflib.get_close_matches(value, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
