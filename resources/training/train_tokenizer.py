"""Train the tokenizer of the bundled models: byte-level, whole words where they are frequent, no unused tokens.

Byte-pair encoding (Sennrich et al. 2016) keeps the pieces that it makes on the way to a word ("vertebr") and
bytes that no text contains. A network hardly ever sees those, and they take over the first singular directions
as glitch tokens. So every word that occurs at least MIN_COUNT times is a token, byte-pair encoding sees only the
other words, and text is split by a unigram model (Kudo 2018) over both; tokens that it uses fewer than MIN_COUNT
times are dropped. Text outside the alphabet of the corpus becomes `<|endoftext|>`, as unknown text does in GPT-2.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
MIN_COUNT = 40


def train_tokenizer(texts: list[str], subwords: int) -> Tokenizer:
    """A tokenizer of which every token but `END_OF_TEXT` occurs at least MIN_COUNT times in `texts`.

    `subwords` bounds the pieces that are no whole words.
    """
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    frequent = {word: count for word, count in words.items() if count >= MIN_COUNT}

    pieces = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=subwords, show_progress=False)
    # The words are in the byte alphabet already and are not to be split again.
    pieces.train_from_iterator((word for word, n in words.items() if word not in frequent for _ in range(n)), trainer)

    counts = dict.fromkeys([*sorted(pieces.get_vocab()), *sorted(frequent)], MIN_COUNT) | frequent
    while True:
        total = sum(counts.values())
        scores = [(piece, math.log(count / total)) for piece, count in counts.items()]
        tokenizer = byte_level(models.Unigram([(END_OF_TEXT, 0.0), *scores], unk_id=0))
        used = count_tokens(tokenizer, texts)
        rare = (used < MIN_COUNT).nonzero()[0]
        if not np.setdiff1d(rare, [0]).size:
            return tokenizer
        counts = {tokenizer.id_to_token(i): int(n) for i, n in enumerate(used) if i > 0 and n >= MIN_COUNT}


def byte_level(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> np.ndarray:
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for encoding in tokenizer.encode_batch(list(texts)):
        np.add.at(counts, encoding.ids, 1)
    return counts


def save_tokenizer(tokenizer: Tokenizer, directory: Path, context: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
