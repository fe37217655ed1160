"""What config.json and the safetensors files of each architecture must hold: names and shapes of all tensors.

Names, keys and defaults are those of the configuration and model classes of transformers, which
tests/models/test_checkpoint_layouts.py builds without weights (on torch's meta device) and compares with these tables.
They are written out because importing such a class takes four seconds, twenty times as long as all of fetch_model for
a small model; because it does not say what lies in files of old versions; and because shapes in the words of
config.json ("num_attention_heads head_dim" is the product of the two) tell more in an error than numbers do.
"""

from svdlens.models.layouts.bert import BERT
from svdlens.models.layouts.gpt import FALCON, GPT2, GPT_NEO, GPT_NEOX, GPTJ, OPT, PHI, STABLELM
from svdlens.models.layouts.llama import (
    GEMMA,
    GEMMA2,
    GEMMA3_TEXT,
    LLAMA,
    MISTRAL,
    OLMO,
    OLMO2,
    PHI3,
    QWEN2,
    QWEN3,
    SMOLLM3,
)

# By model_type in config.json, as ARCHITECTURES.
LAYOUTS = {
    "gpt2": GPT2,
    "gpt_neo": GPT_NEO,
    "gptj": GPTJ,
    "gpt_neox": GPT_NEOX,
    "opt": OPT,
    "phi": PHI,
    "falcon": FALCON,
    "stablelm": STABLELM,
    "olmo": OLMO,
    "olmo2": OLMO2,
    "llama": LLAMA,
    "smollm3": SMOLLM3,
    "mistral": MISTRAL,
    "phi3": PHI3,
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA3_TEXT,
    "bert": BERT,
}
