"""What config.json and the safetensors files of each architecture must hold: names and shapes of all tensors.

Names, keys and defaults are those of the configuration and model classes of transformers, which
tests/models/test_checkpoint_layouts.py builds without weights (on torch's meta device) and compares with these tables.
They are written out because importing such a class takes four seconds, twenty times as long as all of fetch_model for
a small model; because it does not say what lies in files of old versions; and because shapes in the words of
config.json ("num_attention_heads head_dim" is the product of the two) tell more in an error than numbers do.
"""

from svdlens.models.layouts.bert import BERT
from svdlens.models.layouts.gpt import GPT2, GPT_NEOX
from svdlens.models.layouts.llama import GEMMA, GEMMA2, LLAMA, QWEN2

# By model_type in config.json, as ARCHITECTURES.
LAYOUTS = {
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "llama": LLAMA,
    "qwen2": QWEN2,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "bert": BERT,
}
