"""What a configuration asks for: which models, settings, matrices and labellers, and where their files are.

Pure functions of config.yaml, which the rules ask. Imports nothing heavy: every cluster job reads the Snakefile again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS, can_label, criteria
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.spec.architectures import ARCHITECTURES, DEFAULT, Architecture
from svdlens.spec.controls import RANDOM_VARIMAX, ROTATED, VARIMAX
from svdlens.spec.edits import BEST, BEST_MATRIX
from svdlens.spec.matrix_kinds import MATRIX_KINDS, SCALED, Layer
from svdlens.spec.settings import Setting, list_key, setting_from_names, shared_setting, svd_key
from svdlens.spec.token_vectors import BEST_LIST, TOKEN_VECTORS
from svdlens.sweep import paths
from svdlens.sweep.change_checks import base_of, change_of

CHOSEN_ROWS = ("sides", "signs", "directions", "control_lists")
"""Keys of a labeller's configuration that say which rows of a table it gets."""
EDIT_DEFAULTS = {"eps": -1.0, "path": "total", "groups": False}


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

    def matrices_of_layers(self, model: str) -> list[str]:
        """The kinds of matrices of a model that its layers have, which read and write on the way of a text."""
        return [matrix for matrix in self.choice(model, "matrices") if MATRIX_KINDS[matrix].in_layers]

    def numbers(self, model: str, matrix: str) -> dict[str, list[int]]:
        """The `layers`, and for attention matrices the `heads`, that are decomposed, in order.

        Those of the model, or else of the sweep; neither is there where all are decomposed.
        """
        kind = MATRIX_KINDS[matrix]
        keys = [*(["layers"] if kind.in_layers else []), *(["heads"] if kind.per_head else [])]
        chosen = {key: self.config["models"][model].get(key, self.config["sweep"].get(key)) for key in keys}
        return {key: sorted(numbers) for key, numbers in chosen.items() if numbers is not None}

    def is_swept(self, model: str, matrix: str, layer: Layer, head: int | None) -> bool:
        """Whether a matrix is among those that are decomposed, if the model has it."""
        numbers = self.numbers(model, matrix)
        return layer in numbers.get("layers", [layer]) and head in numbers.get("heads", [head])

    def architecture(self, model: str) -> Architecture:
        return ARCHITECTURES[self.config["models"][model].get("architecture", DEFAULT)]

    def is_change(self, model: str) -> bool:
        """Whether a model is a difference or an adapter, which has no weights to run or to edit."""
        return change_of(self.config["models"][model]) is not None

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
            if self.is_labelled(place, labeller)
        ]

    def labels_of_layers(self, model: str, setting: str) -> list[LabelledPlace]:
        """The places of one model and setting that the labeller of the figures labels, of matrices_of_layers."""
        matrices = self.matrices_of_layers(model)
        places = [place for place in self.labelled_places if place[:2] == (model, setting)]
        return [place for place in places if place.labeller == self.figure_labeller and place.matrix in matrices]

    def is_labelled(self, place: Place, labeller: str) -> bool:
        """Whether a labeller, if it were in the sweep, would give labels of a place."""
        config, entry = self.labeller_config(labeller), LABELLERS[labeller]
        settings = [self.figure_setting(place.model)] if entry.sampled else [place.setting]
        return (
            place.matrix in config.get("matrices", [place.matrix])
            and place.setting in config.get("settings", settings)
            and can_label(entry, config, *place)
        )

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
        if LABELLERS[labeller].lists or LABELLERS[labeller].sampled:
            return {}
        config, others = self.labeller_config(labeller), LABELLERS[labeller].not_results
        return {key: value for key, value in config.items() if key not in ("matrices", *CHOSEN_ROWS, *others)}

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

    def svd_of_lists(self, wildcards: Mapping[str, str]) -> str:
        """The SVD file of the lists with these wildcards, those of paths.SHARED_TOKENS."""
        key = svd_key(shared_setting(wildcards), wildcards["matrix"])
        return paths.SVD.format(model=wildcards["model"], matrix=wildcards["matrix"], **key)

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

    # --- labels by people

    @cached_property
    def sheet_places(self) -> list[Place]:
        """The places whose lists people label; of equivalent settings the first."""
        chosen = [place for place in self.places if self.is_labelled(place, "manual")]
        return list({self.shared_path(paths.SHARED_TOKENS, place): place for place in reversed(chosen)}.values())[::-1]

    @property
    def sheet_sources(self) -> list[tuple[str, str, str, str]]:
        """The same with the read-out through which people get their lists, the first of the model."""
        return [(*place, self.choice(place.model, "readouts")[0]) for place in self.sheet_places]

    # --- trace

    @property
    def queries(self) -> dict[str, list[str]]:
        """The words of each query by its name: the one given as `query`, which its first word names, or else all."""
        if "query" in self.config:
            first = re.sub(r"[^\w.-]+", "_", self.config["query"][0].strip())[:40]
            return {first: list(self.config["query"])}
        return {name: list(words) for name, words in self.config["trace"]["queries"].items()}

    @property
    def best_list(self) -> bool:
        """Whether a list of the model itself is a query as well (trace/best_list.py)."""
        return bool(self.config["trace"]["best_list"]) and "query" not in self.config

    @property
    def query_names(self) -> list[str]:
        """What is looked for, by name."""
        return [*self.queries, *([BEST_LIST] if self.best_list else [])]

    @property
    def traced(self) -> list[tuple[str, str]]:
        """The models and settings that are searched: of the sweep those that `trace` chooses, or else all."""
        trace = self.config["trace"]
        pairs = dict.fromkeys(place[:2] for place in self.places if self.matrices_of_layers(place.model))
        return [
            (model, setting)
            for model, setting in pairs
            if model in trace.get("models", [model]) and setting in trace.get("settings", [setting])
        ]

    def over_traced(self, pattern: str) -> list[str]:
        """`pattern` for every model and setting that is searched; none where nothing is looked for."""
        pairs = self.traced if self.query_names else []
        return [pattern.format(model=model, setting=setting) for model, setting in pairs]

    def token_vectors(self, model: str) -> str:
        """What stands for a token of the model (spec/token_vectors.py): the first of the choice for which it has the
        weights."""
        readouts = self.architecture(model).readouts
        able = [name for name in self.config["trace"]["vectors"] if TOKEN_VECTORS[name].readout in readouts]
        if not able:
            chosen = ", ".join(self.config["trace"]["vectors"])
            raise SvdlensError(f"trace.vectors: {model} has no weights for {chosen}. Write `vectors: [{chosen}, W_E]`.")
        return able[0]

    @property
    def trace_options(self) -> dict[str, Any]:
        """How it is looked for (trace/rounds.py)."""
        trace = self.config["trace"]
        return {
            "null": trace["random_queries"],
            "seed": self.config["seed"],
            "level": trace["level"],
            "least_cosine": trace["cosine"],
            "iterative": trace["iterative"],
        }

    # --- edits

    @property
    def edits(self) -> dict[str, dict[str, Any]]:
        """The edits by name, with what they need not say."""
        return {name: EDIT_DEFAULTS | dict(edit) for name, edit in self.config.get("edits", {}).items()}

    def edited_matrices(self, name: str) -> list[str]:
        """The kinds of matrices that an edit changes; of a trace those of the model of which it can change some."""
        edit = self.edits[name]
        if edit["directions"] == BEST:
            return [BEST_MATRIX]
        if self.edit_query(name) is None:
            return list(dict.fromkeys(entry["matrix"] for entry in edit["directions"]))
        able = [matrix for matrix in self.choice(edit["model"], "matrices") if matrix in SCALED]
        return [matrix for matrix in able if edit["path"] == "total" or "write" in MATRIX_KINDS[matrix].sides]

    def edit_query(self, name: str) -> str | None:
        """The query whose directions an edit scales; None where it names directions, or labels choose one."""
        directions = self.edits[name]["directions"]
        return str(directions["trace"]) if isinstance(directions, Mapping) else None

    def edited_places(self, name: str) -> list[Place]:
        """The places that the directions of an edit are of."""
        edit = self.edits[name]
        return [Place(edit["model"], edit["setting"], matrix) for matrix in self.edited_matrices(name)]

    def over_edits(self, *patterns: str) -> list[str]:
        """Each of the patterns for every edit."""
        return [pattern.format(edit=name) for name in self.edits for pattern in patterns]

    # --- prompts

    @property
    def prompts(self) -> dict[str, str]:
        """Texts to look at by name: the one given as `prompt`, which its first words name, or else all of `prompts`."""
        if "prompt" not in self.config:
            return dict(self.config["prompts"])
        words = re.findall(r"[A-Za-z0-9]+", self.config["prompt"])
        return {"_".join(words)[:40] or "prompt": self.config["prompt"]}

    # --- effects

    @property
    def effect_places(self) -> list[Place]:
        """Every place whose directions have effects on what the model predicts: not of models that cannot be run."""
        running = [model for model in self.models if not self.no_forward_pass(model)]
        return [place for place in self.places if place.matrix in SCALED and place.model in running]

    def base_model(self, model: str) -> str | None:
        """The model of the catalogue that this one is an adapter or a change of; None of one that stands by itself."""
        entry = self.config["models"][model]
        return base_of(entry) if change_of(entry) else None

    @property
    def topics(self) -> dict[str, tuple[str, str | None]]:
        """Of the models that name a topic: which, and their base model, if they have one."""
        named = {model: self.config["models"][model].get("topic") for model in self.models}
        return {model: (topic, self.base_model(model)) for model, topic in named.items() if topic}

    def no_forward_pass(self, model: str) -> str | None:
        """Why none can be made of the model, to stand after its name; None where one can."""
        if self.is_change(model):
            return "is a difference or an adapter, which reads no text by itself"
        layout = LAYOUTS[self.config["models"][model].get("architecture", DEFAULT)]
        return None if layout.modules else layout.no_modules

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
