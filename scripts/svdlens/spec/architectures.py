"""The architectures that svdlens reads, one entry each: what a model of it has.

No tensors here: the Snakefile imports this too. What the files of such a model must hold is in
models/layouts/. A new architecture is an entry here, an entry there, a tiny model in
tests/helpers/tiny.py, and its name in the configuration's schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from svdlens.errors import SvdlensError, did_you_mean
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting

LAYER_NORM_SWITCHES = ("read_gain", "read_center", "write_center", "unembed_gain", "unembed_center", "vocab_center")
# RMSNorm subtracts no mean, so nothing may be centred over d_model.
RMS_NORM_SWITCHES = ("read_gain", "unembed_gain", "vocab_center")

DEFAULT = "gpt2"  # of a model that names no architecture


@dataclass(frozen=True)
class Architecture:
    """What svdlens knows of one model_type.

    model_class: the class of transformers, the one entry of `architectures` in config.json, if it has any.
    other_classes: those that may stand there, too: the same model with heads on top, which are not read.
    switches: those of a Setting that such a model has. readouts: how directions can be read.
    gated: its MLPs have a gate, W_gate.
    rotary: positions enter as rotations of queries and keys, so W_Q W_K^T is their product at relative position 0.
    gains: the norms with a gain of those before attention (ln1), before the MLP (ln2) and before the unembedding.
    post_norm: a norm stands between what attention and MLP write and the residual stream that it is added to.
    shared_norm: one norm stands before attention and MLP, which both read what it gives; ln2 is ln1.
    qk_norm: queries and keys are normalised before they meet, so that W_Q W_K^T is no part of the model.
    gain_offset: the norms multiply by gain_offset plus the stored weight.
    """

    model_class: str
    switches: tuple[str, ...]
    readouts: tuple[str, ...] = tuple(READOUTS)
    gated: bool = False
    rotary: bool = False
    gains: tuple[str, ...] = ("ln1", "ln2", "ln_final")
    post_norm: bool = False
    shared_norm: bool = False
    qk_norm: bool = False
    other_classes: tuple[str, ...] = ()
    gain_offset: float = 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of transformers whose files can be read."""
        return (self.model_class, *self.other_classes)

    @property
    def matrices(self) -> tuple[str, ...]:
        """The matrices that can be decomposed: those whose factors such a model has."""
        lacks = {"mlp.W_gate"} if not self.gated else set()
        lacks |= {"attn.W_Q"} if self.qk_norm else set()
        lacks |= {"unembed.W_U"} if "W_U" not in self.readouts else set()
        return tuple(
            name for name, kind in MATRIX_KINDS.items() if not any(factor.weight in lacks for factor in kind.factors)
        )

    @property
    def matrices_of_layers(self) -> tuple[str, ...]:
        """Those of them that each layer, or each head, has one of."""
        return tuple(name for name in self.matrices if MATRIX_KINDS[name].in_layers)


# By model_type in config.json.
ARCHITECTURES = {
    "gpt2": Architecture("GPT2LMHeadModel", LAYER_NORM_SWITCHES),
    "gpt_neo": Architecture("GPTNeoForCausalLM", LAYER_NORM_SWITCHES),
    "gptj": Architecture("GPTJForCausalLM", LAYER_NORM_SWITCHES, rotary=True, shared_norm=True),
    "gpt_neox": Architecture("GPTNeoXForCausalLM", LAYER_NORM_SWITCHES, rotary=True),
    "opt": Architecture("OPTForCausalLM", LAYER_NORM_SWITCHES),
    "phi": Architecture("PhiForCausalLM", LAYER_NORM_SWITCHES, rotary=True, shared_norm=True),
    "falcon": Architecture("FalconForCausalLM", LAYER_NORM_SWITCHES, rotary=True, shared_norm=True),
    "stablelm": Architecture("StableLmForCausalLM", LAYER_NORM_SWITCHES, gated=True, rotary=True),
    "olmo": Architecture(
        "OlmoForCausalLM",
        # Its layer norms have neither gains nor biases.
        switches=("read_center", "write_center", "unembed_center", "vocab_center"),
        gated=True,
        rotary=True,
        gains=(),
    ),
    "olmo2": Architecture(
        "Olmo2ForCausalLM",
        # Its norms follow attention and MLP, which read the stream as it is; one stands before the unembedding.
        switches=("unembed_gain", "vocab_center"),
        gated=True,
        rotary=True,
        gains=("ln_final",),
        post_norm=True,
        qk_norm=True,
    ),
    "llama": Architecture("LlamaForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True),
    "smollm3": Architecture("SmolLM3ForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True),
    "mistral": Architecture("MistralForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True),
    "phi3": Architecture("Phi3ForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True),
    "qwen2": Architecture("Qwen2ForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True),
    "qwen3": Architecture("Qwen3ForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True, qk_norm=True),
    "gemma": Architecture("GemmaForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True, gain_offset=1.0),
    "gemma2": Architecture(
        "Gemma2ForCausalLM",
        # The soft cap on its logits is no shift: a constant added to them would change what it does.
        switches=("read_gain", "unembed_gain"),
        gated=True,
        rotary=True,
        post_norm=True,
        gain_offset=1.0,
    ),
    "gemma3_text": Architecture(
        "Gemma3ForCausalLM", RMS_NORM_SWITCHES, gated=True, rotary=True, post_norm=True, qk_norm=True, gain_offset=1.0
    ),
    "bert": Architecture(
        "BertModel",
        # Its layer norms follow the sums: no gain stands between the residual stream and the weights that read it.
        switches=(),
        readouts=tuple(name for name, readout in READOUTS.items() if readout.weights == "W_E"),
        gains=(),
        post_norm=True,
        other_classes=("BertForMaskedLM", "BertForPreTraining", "BertForNextSentencePrediction", "BertLMHeadModel"),
    ),
}

REFUSED = {
    "gemma3": "reads images, too: save its language model by itself, a Gemma3ForCausalLM (gemma3_text)",
    "bloom": "has one weight for queries, keys and values that svdlens does not take apart",
    "gpt_bigcode": "has one weight for queries, keys and values that svdlens does not take apart",
    "mpt": "has one weight for queries, keys and values that svdlens does not take apart",
    "mamba": "has no attention, and its layers have other matrices than OV and MLP",
    "mamba2": "has no attention, and its layers have other matrices than OV and MLP",
    "t5": "has an encoder and a decoder, and svdlens reads models of one stack",
    "bart": "has an encoder and a decoder, and svdlens reads models of one stack",
}
"""Why models of other model_types that people ask for cannot be read, to stand after the name."""


def find_architecture(name: str, model: str) -> Architecture:
    """The entry of `models.{model}.architecture`. Raises SvdlensError for a name that is none."""
    if name not in ARCHITECTURES:
        raise SvdlensError(
            f"models.{model}.architecture is {name!r}, which is not supported. "
            f"Write one of {', '.join(ARCHITECTURES)}.{did_you_mean(str(name), ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def missing_switches(setting: Setting, architecture: Architecture) -> list[str]:
    """The switches that `setting` uses and such a model does not have."""
    used = [switch.name for switch in fields(setting) if getattr(setting, switch.name)]
    return [switch for switch in used if switch not in architecture.switches]


def check_switches(
    name: str, setting: Setting, model: str, architecture: str, possible: Iterable[str] = ("raw",)
) -> None:
    """Raises SvdlensError if the setting called `name` uses a switch that the model does not have.

    model, architecture: as config.yaml names them. possible: names of settings that the model can have, for the
    message.
    """
    entry = find_architecture(architecture, model)
    missing = missing_switches(setting, entry)
    if missing:
        has = f"it has {', '.join(entry.switches)}" if entry.switches else "it has no switches"
        raise SvdlensError(
            f"settings.{name} uses {', '.join(missing)}, which {model} ({architecture}) does not have; {has}. "
            f"List for the model only settings that it can have: "
            f"`models.{model}.settings: [{', '.join(possible)}]`."
        )


def check_choices(
    model: str, architecture: str, settings: Mapping[str, Setting], matrices: Iterable[str], readouts: Iterable[str]
) -> None:
    """Raises SvdlensError if the model has not all of these settings, matrices and read-outs.

    model, architecture: as config.yaml names them; settings: by name.
    """
    entry = find_architecture(architecture, model)
    possible = [name for name, setting in settings.items() if not missing_switches(setting, entry)] or ["raw"]
    for name, setting in settings.items():
        check_switches(name, setting, model, architecture, possible)
    check_chosen(model, architecture, "matrices", list(matrices), entry.matrices)
    check_chosen(model, architecture, "readouts", list(readouts), entry.readouts)


def check_chosen(model: str, architecture: str, key: str, chosen: list[str], available: tuple[str, ...]) -> None:
    """Raises SvdlensError if a name `chosen` under `key`, matrices or readouts, is none of those `available`."""
    for choice in chosen:
        if choice not in available:
            possible = [other for other in chosen if other in available] or available
            why = " (its queries and keys are normalised before they meet)" if choice == "qk" else ""
            raise SvdlensError(
                f"{choice!r} is none of the {key} of {model} ({architecture}){why}, which are {', '.join(available)}. "
                f"List for the model only those: `models.{model}.{key}: [{', '.join(possible)}]`."
                f"{did_you_mean(choice, available)}"
            )
