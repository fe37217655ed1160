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


SWITCHES = tuple(field.name for field in fields(Setting))
"""All of them; each is in the path of what is stored once for all settings that share it, `off` where it does not
count."""


def setting_from_names(name: str, switches: Iterable[str]) -> Setting:
    """The setting called `name`, from switches and TransformerLens flags.

    Raises SvdlensError for a name that is neither.
    """
    chosen: set[str] = set()
    for switch in switches:
        if switch not in SWITCHES and switch not in FLAGS:
            raise SvdlensError(
                f"settings.{name}: {switch!r} is no switch. Switches: {', '.join(SWITCHES)}; "
                f"flags of TransformerLens: {', '.join(FLAGS)}.{did_you_mean(switch, [*SWITCHES, *FLAGS])}"
            )
        chosen.update(FLAGS.get(switch, (switch,)))
    return Setting(**dict.fromkeys(chosen, True))


def svd_key(setting: Setting, matrix: str) -> dict[str, str]:
    """'on' or 'off' for each of SWITCHES: the SVD of `matrix` that `setting` needs.

    Switches that the matrix ignores are off, so that settings which share an SVD share its file.
    """
    relevant = MATRIX_KINDS[matrix].svd_switches
    return {name: "on" if name in relevant and getattr(setting, name) else "off" for name in SWITCHES}


def list_key(setting: Setting, matrix: str, readouts: Iterable[str]) -> dict[str, str]:
    """'on' or 'off' for each of SWITCHES: the token lists of `matrix`, through these `readouts`, of `setting`.

    Switches that change no list are off, so that settings which share lists, and hence labels, share their files.
    vocab_center is one of them, but for matrices that it changes: it takes the same number from all scores of a list.
    """
    relevant = {*MATRIX_KINDS[matrix].svd_switches}
    relevant |= {switch for readout in readouts for switch in READOUTS[readout].switches}
    return {name: "on" if name in relevant and getattr(setting, name) else "off" for name in SWITCHES}


def shared_setting(key: Mapping[str, str]) -> Setting:
    """The setting with the switches that are "on" in a key of svd_key or list_key, among whatever else it holds."""
    return Setting(**{name: key[name] == "on" for name in SWITCHES})


def switches_on(key: Mapping[str, str]) -> list[str]:
    """The switches that are "on" in such a key, in the order of the alphabet."""
    return sorted(name for name in SWITCHES if key[name] == "on")


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
