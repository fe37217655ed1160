"""What the labeller coherence knows of the tokens of a model, for a call from Python."""

import functools
import hashlib
import json
import tempfile
from pathlib import Path

from svdlens.artefacts.version import VERSION
from svdlens.interactive.raw_model import RawModel, temporary_directory
from svdlens.vocabulary.sentence_embedding import embed_vocabulary
from svdlens.vocabulary.token_classes import classify_tokens
from svdlens.vocabulary.token_features import KnownVocabulary, TokenFeatures, load_vocabulary
from svdlens.vocabulary.token_frequency import log_ranks
from svdlens.vocabulary.wordnet import load_lexicon


def know_vocabulary(
    raw: RawModel, texts: list[str], token_counts: Path | None, cache: Path | None, threads: int
) -> tuple[KnownVocabulary, TokenFeatures]:
    """As `classify_tokens` and `embed_tokens` make it of the `texts` of a model's tokens.

    token_counts: the file with the counts of the tokens, where they are not beside the model. cache: the directory
    where embeddings are kept, because they take minutes; None for one that is gone with this process.
    Raises SvdlensError for counts of other tokens.
    """
    ranks, token_frequency = log_ranks(raw.directory, len(texts), token_counts, raw.files["unembed"])
    features = TokenFeatures(classify_tokens(texts, load_lexicon(), ranks), ranks, token_frequency)
    made_of = json.dumps([texts, features.classes.names, features.classes.kinds])
    directory = cache or Path(directory_of_process().name)
    path = directory / f"embeddings-{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.safetensors"
    # Its own file, if it is there, sound, and made by this version: then it is what there is to do.
    embed_vocabulary(texts, features.classes, path, threads, VERSION, [path])
    return load_vocabulary(path, features, texts), features


@functools.cache
def directory_of_process() -> "tempfile.TemporaryDirectory[str]":
    return temporary_directory()
