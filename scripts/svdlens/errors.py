"""The one exception of svdlens whose text is written for the person at the terminal."""

import difflib
from collections.abc import Iterable


class SvdlensError(Exception):
    """Something that the user can put right. The text names the value, the rule that it broke, and the fix."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for the first of `known` that begins with `value`, or else the closest one, or nothing.

    Capitals do not count: what is left out at the end is more often meant than another name that is about as long.
    """
    names = {name.lower(): name for name in known}
    longer = [name for name in names if value and name.startswith(value.lower())]
    close = longer or difflib.get_close_matches(value.lower(), names, n=1)
    return f" Did you mean {names[close[0]]!r}?" if close else ""
