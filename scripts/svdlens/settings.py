"""Settings: how the weights are prepared before the SVD and the read-out. No tensors here (see processing.py).

A setting is six switches. The three flags of TransformerLens stand for them:

    fold_ln                 read_gain, read_center, unembed_gain, unembed_center
    center_writing_weights  write_center
    center_unembed          vocab_center
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from svdlens.errors import SvdlensError, did_you_mean

FLAGS = {
    "fold_ln": ("read_gain", "read_center", "unembed_gain", "unembed_center"),
    "center_writing_weights": ("write_center",),
    "center_unembed": ("vocab_center",),
}

# The switches that change the singular value decomposition of each kind of matrix. The others are "off" in the
# path of its SVD, so that settings which share an SVD share the file.
SVD_SWITCHES = {
    "ov": ("read_gain", "read_center", "write_center"),
    "qk": ("read_gain", "read_center"),
    "mlp_in": ("read_gain", "read_center"),
    "mlp_gate": ("read_gain", "read_center"),
    "mlp_out": ("write_center",),
}
# The further switches that change which tokens the directions of a matrix are read as. Not vocab_center: it shifts all
# scores of a direction through W_U alike. Nor read_gain: where it matters to W_E, it changes the SVD as well.
READOUT_SWITCHES = {
    "W_U": ("unembed_gain", "unembed_center"),
    "W_E": ("write_center",),
    "pinv_W_E": ("write_center",),
}
HEAD_MATRICES = ("ov", "qk")  # one matrix for each head; the others have one for each layer
PATH_SWITCHES = ("read_gain", "read_center", "write_center")


# The side whose largest coordinate decides the sign (docs/design.md): the one in the residual stream, and where
# both are, the one that writes (ov) or asks (qk).
SIGN_SIDE = {"ov": "right", "qk": "left", "mlp_in": "left", "mlp_gate": "left", "mlp_out": "right"}
CONTROLS = ("random_unit", "rotated", "gaussian")  # directions that are no singular vectors (controls.py)
READING_SIDES = ("read", "query", "key")  # of these a gain stands before the matrix
# The sides of each matrix that live in the residual stream and can be read as tokens, and where they are in an SVD.
RESIDUAL_SIDES = {
    "ov": {"read": "left", "write": "right"},
    "qk": {"query": "left", "key": "right"},
    "mlp_in": {"read": "left"},
    "mlp_gate": {"read": "left"},
    "mlp_out": {"write": "right"},
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


def matrix_places(shape: Sequence[int], matrix: str) -> tuple[list[int], list[int | None]]:
    """Layer and head of each matrix of an SVD file, in its order; `shape` is that of its `values`. MLPs: head None."""
    if matrix in HEAD_MATRICES:
        places = [(layer, head) for layer in range(shape[0]) for head in range(shape[1])]
        return [layer for layer, _ in places], [head for _, head in places]
    return list(range(shape[0])), [None for _ in range(shape[0])]


def svd_key(setting: Setting, matrix: str) -> dict[str, str]:
    """'on' or 'off' for each switch in the path of the SVD that `setting` needs of `matrix`."""
    relevant = SVD_SWITCHES[matrix]
    return {name: "on" if name in relevant and getattr(setting, name) else "off" for name in PATH_SWITCHES}


def twin_setting(name: str, settings: Mapping[str, Setting], matrix: str, readouts: Iterable[str]) -> str:
    """The one of `settings` whose tokens those of the setting called `name` are derived from; itself if from none.

    Settings that agree in every switch that matters here, vocab_center aside, have the same token lists. The first of
    them is the twin of all, if possible one without vocab_center.
    """
    relevant = {*SVD_SWITCHES[matrix], *(switch for readout in readouts for switch in READOUT_SWITCHES[readout])}

    def lists_of(setting: Setting) -> list[bool]:
        return [getattr(setting, switch) for switch in sorted(relevant)]

    same = [other for other, setting in settings.items() if lists_of(setting) == lists_of(settings[name])]
    return min(same, key=lambda other: settings[other].vocab_center)
