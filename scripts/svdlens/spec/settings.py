"""Settings: how the weights are prepared before the SVD and the read-out. No tensors here (see weights/processing.py).

A setting is six switches. The three flags of TransformerLens stand for them:

    fold_ln                 read_gain, read_center, unembed_gain, unembed_center
    center_writing_weights  write_center
    center_unembed          vocab_center
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS

FLAGS = {
    "fold_ln": ("read_gain", "read_center", "unembed_gain", "unembed_center"),
    "center_writing_weights": ("write_center",),
    "center_unembed": ("vocab_center",),
}

PATH_SWITCHES = ("read_gain", "read_center", "write_center")
"""The switches in the path of an SVD."""
LIST_SWITCHES = (*PATH_SWITCHES, "unembed_gain", "unembed_center")
"""The switches in the path of token lists and labels."""


@dataclass(frozen=True)
class Setting:
    """read_gain: reading weights x layer-norm gain. read_center: reading weights centred over d_model.
    write_center: writing weights centred over d_model. unembed_gain: W_U x final layer-norm gain.
    unembed_center: W_U centred over d_model. vocab_center: W_U centred over the vocabulary.
    """

    read_gain: bool = False
    read_center: bool = False
    write_center: bool = False
    unembed_gain: bool = False
    unembed_center: bool = False
    vocab_center: bool = False


def setting_from_names(name: str, switches: Iterable[str]) -> Setting:
    """The setting called `name`, from switches and TransformerLens flags.

    Raises SvdlensError for a name that is neither.
    """
    known = [field.name for field in fields(Setting)]
    chosen: set[str] = set()
    for switch in switches:
        if switch not in known and switch not in FLAGS:
            raise SvdlensError(
                f"settings.{name}: {switch!r} is no switch. Switches: {', '.join(known)}; "
                f"flags of TransformerLens: {', '.join(FLAGS)}.{did_you_mean(switch, [*known, *FLAGS])}"
            )
        chosen.update(FLAGS.get(switch, (switch,)))
    return Setting(**dict.fromkeys(chosen, True))


def svd_key(setting: Setting, matrix: str) -> dict[str, str]:
    """'on' or 'off' for each of PATH_SWITCHES: the SVD of `matrix` that `setting` needs.

    Switches that the matrix ignores are off, so that settings which share an SVD share its file.
    """
    relevant = MATRIX_KINDS[matrix].svd_switches
    return {name: "on" if name in relevant and getattr(setting, name) else "off" for name in PATH_SWITCHES}


def list_key(setting: Setting, matrix: str, readouts: Iterable[str]) -> dict[str, str]:
    """'on' or 'off' for each of LIST_SWITCHES: the token lists of `matrix`, through these `readouts`, of `setting`.

    Switches that change no list are off, so that settings which share lists, and hence labels, share their files.
    vocab_center is none of them: it takes the same number from all scores of a list.
    """
    relevant = {*MATRIX_KINDS[matrix].svd_switches}
    relevant |= {switch for readout in readouts for switch in READOUTS[readout].switches}
    return {name: "on" if name in relevant and getattr(setting, name) else "off" for name in LIST_SWITCHES}


class Pair(NamedTuple):
    """Two settings that differ in one switch or one flag of TransformerLens, `change`: off in one, on in the other."""

    change: str
    off: str
    on: str


def setting_pairs(settings: Mapping[str, Setting]) -> list[Pair]:
    """All pairs of settings that differ in one switch or one flag, by what differs."""
    switches = {name: {switch for switch, on in vars(one).items() if on} for name, one in settings.items()}
    single = {frozenset([switch]): switch for switch in Setting.__annotations__}
    changes = single | {frozenset(whole): flag for flag, whole in FLAGS.items() if len(whole) > 1}
    pairs = [
        Pair(changes[frozenset(switches[on] - switches[off])], off, on)
        for off in settings
        for on in settings
        if switches[off] < switches[on] and frozenset(switches[on] - switches[off]) in changes
    ]
    order = list(changes.values())
    return sorted(pairs, key=lambda pair: order.index(pair.change))
