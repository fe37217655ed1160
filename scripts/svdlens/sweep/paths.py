"""The paths of all artefacts under results/ (docs/artefacts.md), as patterns of wildcards.

Where something is stored once for all settings that share it, its directory names the switches that it depends on; what
belongs to one setting is under model=.../setting=....
"""

from svdlens.spec.settings import SWITCHES as ALL_SWITCHES

PROVENANCE = "results/models/{model}/provenance.json"
WEIGHTS = "results/weights/{model}/{group}.safetensors"
TEMPORARY_WEIGHTS = ("attention", "mlp", "unembed", "gains", "steps")
"""The groups of them, which are deleted when no job needs them any more."""

SWITCHES = "/".join(f"{name}={{{name}}}" for name in ALL_SWITCHES)
SVD = f"results/svd/model={{model}}/{SWITCHES}/{{matrix}}.safetensors"
STABILITY = f"results/stability/model={{model}}/{SWITCHES}/{{matrix}}.safetensors"
# Of some of the layers, where svd_parts or readout_parts ask for several jobs.
PART = "{matrix}.{part}_of_{parts}"
SVD_PART = f"results/svd_parts/model={{model}}/{SWITCHES}/{PART}.safetensors"
STABILITY_PART = f"results/stability_parts/model={{model}}/{SWITCHES}/{PART}.safetensors"

VARIMAX = f"results/varimax/model={{model}}/{SWITCHES}/{{matrix}}.safetensors"
TOKENS_PART = f"results/token_parts/model={{model}}/{SWITCHES}/{PART}.parquet"
SHARED_TOKENS = f"results/by_switches/tokens/model={{model}}/{SWITCHES}/{{matrix}}.parquet"
SHARED_LABELS = f"results/by_switches/labels/model={{model}}/{SWITCHES}/{{matrix}}.{{labeller}}.parquet"
SHARED_SCORES = f"results/by_switches/scores/model={{model}}/{SWITCHES}/{{matrix}}.{{labeller}}.parquet"
SHARED_AGREEMENT = f"results/by_switches/agreement/model={{model}}/{SWITCHES}/{{matrix}}.{{labeller}}.parquet"

# The replies of a language model about lists, and what they say. `of`: by_switches or lists; `lists`: the path of a
# file of lists below that of all of them, without its suffix.
REPLIES = "results/{of}/replies/{lists}.{labeller}.jsonl"
ATTEMPT = "results/{of}/replies/{lists}.{labeller}.attempt"
ANSWERS = "results/{of}/answers/{lists}.{labeller}.parquet"
SHARED_ANSWERS = f"results/by_switches/answers/model={{model}}/{SWITCHES}/{{matrix}}.{{labeller}}.parquet"

PROMPT_FILES = {
    "label_prompt": "resources/prompts/label.jinja",
    "verify_prompt": "resources/prompts/verify.jinja",
    "examples": "resources/prompts/examples.yaml",
}
STUDY_EXAMPLES = "resources/prompts/study_examples.yaml"
"""Templates and examples of prompts in the project, by the key of the configuration that names others."""

SPECTRA = "results/spectra/model={model}/setting={setting}/{matrix}.parquet"
TOKENS = "results/tokens/model={model}/setting={setting}/{matrix}.parquet"
CONTROLS = "results/controls/model={model}/setting={setting}/{matrix}.{control}.parquet"
LABELS = "results/labels/model={model}/setting={setting}/{matrix}.{labeller}.parquet"

TRACE = "results/trace/directions/model={model}/setting={setting}/directions.parquet"
TRACE_MATRICES = "results/trace/matrices/model={model}/setting={setting}/matrices.parquet"
EDIT_DIRECTIONS = "results/edits/{edit}/directions.parquet"
EDIT_EFFECT = "results/edits/{edit}/effect.parquet"
EDIT_SUMMARY = "results/edits/{edit}/summary.parquet"
EDIT_DOSE = "results/edits/{edit}/dose.parquet"
EDIT_SPECTRUM = "results/edits/{edit}/spectrum.parquet"
EDIT_CONTINUATIONS = "results/edits/{edit}/continuations.csv"
EDITED_MODEL = "results/edits/{edit}/model"
PROMPTS = "results/prompts/{prompt}/model={model}/setting={setting}/{table}"
EXAMPLES = "results/examples/model={model}/setting={setting}/examples.parquet"
EFFECTS = "results/effects/model={model}/setting={setting}/{matrix}.parquet"
CARDS = "results/cards/model={model}/setting={setting}/{matrix}.parquet"
READ_WRITE_GAPS = "results/read_write_gaps/model={model}/setting={setting}/{matrix}.parquet"

TABLES = ("spectra", "tokens", "labels", "control_labels", "fractions", "scores", "agreement")
"""The tables of the whole sweep, results/tables/{table}.parquet."""
