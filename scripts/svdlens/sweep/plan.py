"""What a configuration asks for: which models, settings, matrices and labellers, and where their files are.

Pure functions of config.yaml, which the rules ask. Imports nothing heavy: every cluster job reads the Snakefile again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from svdlens.labels.registry import LABELLERS, can_label, criteria
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, Architecture
from svdlens.spec.controls import RANDOM_VARIMAX, ROTATED, VARIMAX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SCALED
from svdlens.spec.settings import Setting, list_key, setting_from_names, svd_key
from svdlens.sweep import paths

CHOSEN_ROWS = ("sides", "signs", "directions")
"""Keys of a labeller's configuration that say which rows of a table it gets."""


class Place(NamedTuple):
    """One kind of matrix of a model in a setting."""

    model: str
    setting: str
    matrix: str


class LabelledPlace(NamedTuple):
    """One kind of matrix of a model in a setting, labelled by a labeller."""

    model: str
    setting: str
    matrix: str
    labeller: str


@dataclass(frozen=True)
class Sweep:
    """The sweep that a configuration describes; `config` has passed check_configuration (sweep/config_checks.py)."""

    config: Mapping[str, Any]

    @property
    def models(self) -> list[str]:
        """The names of the models that are swept."""
        return list(self.config["sweep"]["models"])

    @property
    def labellers(self) -> list[str]:
        """The names of the labellers of the sweep."""
        return list(self.config["sweep"]["labellers"])

    @property
    def controls(self) -> list[str]:
        """The names of the controls that are read and labelled beside the singular directions."""
        return list(self.config["controls"])

    @property
    def basis(self) -> str:
        """What the directions of the sweep are: one of BASES in spec/controls.py."""
        return str(self.config["basis"])

    @property
    def needs_varimax(self) -> bool:
        """Whether varimax bases are computed: as the directions of the sweep, or as controls."""
        return VARIMAX in (self.basis, *self.controls) or RANDOM_VARIMAX in self.controls

    @property
    def control_sizes(self) -> dict[str, int | None]:
        """How many directions of each control there are; None: as many as singular ones."""
        sizes = {ROTATED: self.config["rotated_directions"], VARIMAX: None}
        return {control: sizes.get(control, self.config["random_directions"]) for control in self.controls}

    def choice(self, model: str, key: str) -> list[str]:
        """The `settings`, `matrices` or `readouts` of a model: its own, or else those of the sweep."""
        return list(self.config["models"][model].get(key, self.config["sweep"][key]))

    def numbers(self, model: str, matrix: str) -> dict[str, list[int]]:
        """The `layers`, and for attention matrices the `heads`, that are decomposed, in order.

        Those of the model, or else of the sweep; neither is there where all are decomposed.
        """
        keys = ("layers", "heads") if MATRIX_KINDS[matrix].per_head else ("layers",)
        chosen = {key: self.config["models"][model].get(key, self.config["sweep"].get(key)) for key in keys}
        return {key: sorted(numbers) for key, numbers in chosen.items() if numbers is not None}

    def is_swept(self, model: str, matrix: str, layer: int, head: int | None) -> bool:
        """Whether a matrix is among those that are decomposed, if the model has it."""
        numbers = self.numbers(model, matrix)
        return layer in numbers.get("layers", [layer]) and head in numbers.get("heads", [head])

    def architecture(self, model: str) -> Architecture:
        return ARCHITECTURES[self.config["models"][model].get("architecture", DEFAULT)]

    def setting(self, name: str) -> Setting:
        """The switches of the setting called `name`. Raises SvdlensError for a switch that is none."""
        return setting_from_names(name, self.config["settings"][name])

    def swept_settings(self) -> list[str]:
        """Every setting that some model of the sweep has."""
        return list(dict.fromkeys(place.setting for place in self.places))

    # --- what is computed

    @cached_property
    def places(self) -> list[Place]:
        """Every model, setting and matrix of the sweep, in that order."""
        return [
            Place(model, setting, matrix)
            for model in self.models
            for setting in self.choice(model, "settings")
            for matrix in self.choice(model, "matrices")
        ]

    @cached_property
    def labelled_places(self) -> list[LabelledPlace]:
        """Every model, setting, matrix and labeller that gives labels, in that order."""
        return [
            LabelledPlace(*place, labeller)
            for place in self.places
            for labeller in self.labellers
            if place.matrix in self.labeller_config(labeller).get("matrices", [place.matrix])
            and can_label(LABELLERS[labeller], self.labeller_config(labeller), *place)
        ]

    def later_labellers(self, model: str, matrix: str, labeller: str, switches: Mapping[str, str]) -> list[str]:
        """The labellers after `labeller`, in the order of the sweep, whose labels are of lists with these switches."""
        readouts = self.choice(model, "readouts")
        beside = {
            place.labeller
            for place in self.labelled_places
            if (place.model, place.matrix) == (model, matrix)
            and list_key(self.setting(place.setting), matrix, readouts) == switches
        }
        later = self.labellers[self.labellers.index(labeller) + 1 :]
        return [name for name in later if name in beside]

    def labelled_rows(self, labeller: str) -> dict[str, Any]:
        """Which rows a labeller gets (labels.label_table.Choice)."""
        return {key: self.labeller_config(labeller).get(key) for key in CHOSEN_ROWS}

    def labeller_parameters(self, labeller: str) -> dict[str, Any]:
        """What a labeller's results depend on, of its configuration; what it labels does not count."""
        if LABELLERS[labeller].lists:
            return {}
        config = self.labeller_config(labeller)
        return {key: value for key, value in config.items() if key not in ("matrices", *CHOSEN_ROWS)}

    def with_controls(self) -> list[str]:
        """The labellers of the sweep that label controls."""
        return [labeller for labeller in self.labellers if LABELLERS[labeller].labels_controls]

    def criteria(self, labeller: str) -> list[str]:
        """When lists labelled by it count as interpretable; figures draw the first."""
        return criteria(LABELLERS[labeller], self.labeller_config(labeller))

    def labeller_config(self, labeller: str) -> dict[str, Any]:
        """What config.yaml says of a labeller under `labellers`; nothing need be said of one without parameters."""
        return dict(self.config["labellers"].get(labeller, {}))

    # --- where it is

    def svd_path(self, pattern: str, place: Place | LabelledPlace) -> str:
        """`pattern`, paths.SVD or paths.STABILITY, for the SVD that the place needs; equivalent settings share it."""
        key = svd_key(self.setting(place.setting), place.matrix)
        return pattern.format(model=place.model, matrix=place.matrix, **key)

    def shared_path(self, pattern: str, place: Place | LabelledPlace) -> str:
        """`pattern`, one of paths.SHARED_*, for the place; equivalent settings share it."""
        key = list_key(self.setting(place.setting), place.matrix, self.choice(place.model, "readouts"))
        return pattern.format(**place._asdict(), **key)

    def over_places(self, pattern: str) -> list[str]:
        """`pattern` for every place; each path once where it leaves the matrix or the setting out."""
        return list(dict.fromkeys(pattern.format(**place._asdict()) for place in self.places))

    def over_labels(self, pattern: str, labellers: Iterable[str] | None = None) -> list[str]:
        """`pattern` for every labelled place, of these `labellers` (None: all)."""
        chosen = self.labellers if labellers is None else list(labellers)
        return [pattern.format(**place._asdict()) for place in self.labelled_places if place.labeller in chosen]

    def over_shared_labels(self, pattern: str, model: str | None = None) -> list[str]:
        """`pattern`, one of paths.SHARED_*, for every labelled place, of one model or of all; each path once."""
        places = [place for place in self.labelled_places if model in (place.model, None)]
        return list(dict.fromkeys(self.shared_path(pattern, place) for place in places))

    def lists_path(self, place: LabelledPlace) -> str:
        """The lists that the labels of a place are of: those of the sweep, or the labeller's own."""
        own = LABELLERS[place.labeller].lists
        return own.format(**place._asdict()) if own else self.shared_path(paths.SHARED_TOKENS, place)

    # --- effects

    @property
    def effect_places(self) -> list[Place]:
        """Every place whose directions have effects on what the model predicts: not of models that predict no token."""
        architectures = {model: self.config["models"][model].get("architecture", DEFAULT) for model in self.models}
        predicting = [model for model, name in architectures.items() if LAYOUTS[name].modules]
        return [place for place in self.places if place.matrix in SCALED and place.model in predicting]

    @property
    def card_places(self) -> list[Place]:
        """Every place whose directions read and write, so that both sides have labels to put side by side."""
        return [place for place in self.places if place.matrix == "ov"]

    # --- figures

    @property
    def figure_labeller(self) -> str:
        """The labeller whose labels figures draw: figures.labeller, or else the first of the sweep."""
        return str(self.config["figures"].get("labeller", self.labellers[0]))

    def figure_setting(self, model: str) -> str:
        """The setting of the post for what is shown once for each model, or else the first of the model."""
        settings = self.choice(model, "settings")
        return "post2022" if "post2022" in settings else settings[0]
