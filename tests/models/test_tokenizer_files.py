"""Whatever files a tokenizer consists of, the texts are those that transformers' AutoTokenizer decodes."""

import codecs
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from svdlens.errors import SvdlensError
from svdlens.models.checks import check_model_directory
from svdlens.models.token_texts import read_vocabulary
from tiny import END_OF_TEXT, make_tiny_gpt2, tiny_tokenizer

CORPUS = ["the fire burns the house, and the fires burned", "every dog has a day, and all the cats too é"] * 20
SETTINGS_WITH_ID = {
    "content": "<|user|>",
    "lstrip": False,
    "normalized": False,
    "rstrip": False,
    "single_word": False,
    "special": True,
}


def write(directory: Path, **contents: object) -> None:
    """name: content of name.json, or of name_txt."""
    for name, content in contents.items():
        file = name.removesuffix("_txt") + (".txt" if name.endswith("_txt") else ".json")
        (directory / file).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def byte_level_parts(directory: Path) -> int:
    """vocab.json and merges.txt with every byte; returns the number of tokens, 320."""
    state = json.loads(tiny_tokenizer(320).to_str())
    pieces = state["model"]["vocab"] | {END_OF_TEXT: 319}
    merges = "\n".join(" ".join(pair) for pair in state["model"]["merges"])
    write(directory, vocab=pieces, merges_txt=f"#version: 0.2\n{merges}\n", config={"model_type": "gpt2"})
    return 320


def added_to_parts(directory: Path) -> None:
    n_tokens = byte_level_parts(directory)
    write(directory, added_tokens={"<|user|>": n_tokens, "  ": n_tokens + 1, "<é>": n_tokens + 2})


def settings_of_parts(directory: Path) -> None:
    n_tokens = byte_level_parts(directory)
    write(directory, tokenizer_config={"added_tokens_decoder": {str(n_tokens): SETTINGS_WITH_ID}})


def special_tokens_of_parts(directory: Path) -> None:
    byte_level_parts(directory)
    write(directory, special_tokens_map={"pad_token": "<pad>", "additional_special_tokens": ["<|user|>", "<|end|>"]})


def added_beside_tokenizer_json(directory: Path) -> None:
    write(directory, tokenizer=tiny_tokenizer(300).to_str(), config={"model_type": "llama"})
    write(
        directory,
        added_tokens={"<|user|>": 300},
        tokenizer_config={"pad_token": SETTINGS_WITH_ID | {"content": "<pad>", "__type": "AddedToken"}},
    )


def added_in_tokenizer_json(directory: Path) -> None:
    tokenizer = tiny_tokenizer(300)
    tokenizer.add_tokens([AddedToken("<|user|>", normalized=False), AddedToken("Ġé", normalized=True)])
    tokenizer.add_special_tokens([AddedToken("<Ġ>", special=True)])
    write(directory, tokenizer=tokenizer.to_str(), config={"model_type": "gpt2"})


def word_pieces(directory: Path) -> None:
    """The added tokens are normalised as the vocabulary is: lower case, no accents."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fire", "##s", ",", "Fire"]
    write(directory, vocab_txt="\n".join(pieces), config={"model_type": "bert"})
    write(directory, added_tokens={"[USER]": 9, "Ébène": 10})


def sentence_pieces(model_type: str, kind: str) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS),
            model_writer=model,
            vocab_size=300,
            model_type=kind,
            byte_fallback=True,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (directory / "tokenizer.model").write_bytes(model.getvalue())
        n_tokens = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()
        write(directory, config={"model_type": model_type}, added_tokens={"<|user|>": n_tokens})

    return make


def unigram_with_normaliser(directory: Path) -> None:
    """As T5's: NFKC, ▁ for a space, and byte pieces that its decoder does not know."""
    pieces = ["<unk>", "</s>", "▁fire", "▁", "s", "ﬁ", "fi", "é", "<0x0A>"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 - i) for i, piece in enumerate(pieces)], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_tokens([AddedToken("ＡＢ", normalized=True), AddedToken("ﬁn", normalized=False)])
    write(directory, tokenizer=tokenizer.to_str(), tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})


def byte_fallback_without_spaces(directory: Path) -> None:
    pieces = ["<unk>", "fire", "<0x0A>", "<0xE7>", "s"]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    write(directory, tokenizer=tokenizer.to_str(), tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})


def other_space(directory: Path) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("_fire", -1.0), ("s", -2.0)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="_")
    tokenizer.decoder = decoders.Metaspace(replacement="_")
    write(directory, tokenizer=tokenizer.to_str(), tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})


KINDS = {
    "byte-level, added": added_to_parts,
    "byte-level, added in the settings": settings_of_parts,
    "byte-level, special": special_tokens_of_parts,
    "tokenizer.json, added beside it": added_beside_tokenizer_json,
    "tokenizer.json, added in it": added_in_tokenizer_json,
    "wordpiece, normalised": word_pieces,
    "sentencepiece, byte fallback": sentence_pieces("llama", "bpe"),
    "sentencepiece of Gemma": sentence_pieces("gemma", "bpe"),
    "sentencepiece, unigram": sentence_pieces("gemma2", "unigram"),
    "unigram, normalised": unigram_with_normaliser,
    "byte fallback alone": byte_fallback_without_spaces,
    "another sign for a space": other_space,
}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_what_transformers_decodes(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    texts = read_vocabulary(tmp_path)
    ids = sorted(tokenizer.get_vocab().values())
    assert len(texts) == max(ids) + 1
    before = tokenizer.convert_tokens_to_ids("s")  # what comes first in a text may lose its space
    for id in ids:
        if texts[id].startswith("##"):
            assert texts[id] == tokenizer.decode([id])
            continue
        after = tokenizer.decode([before, id]).removeprefix("s")
        expected = tokenizer.decode([id]) if "wordpiece" in kind else after
        # Bytes that are no UTF-8 are shown, where decoding loses them.
        assert texts[id] == expected or ("�" in expected and "\\x" in texts[id])
    assert not {"<|user|>", "[user]"}.isdisjoint(texts) or "added" not in kind
    # And with a byte order mark before every text.
    for path in [*tmp_path.glob("*.json"), *tmp_path.glob("*.txt")]:
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_vocabulary(tmp_path) == texts


def add_rows(directory: Path, n_rows: int) -> None:
    tensors = load_file(directory / "model.safetensors")
    more = np.ones((n_rows, tensors["wte.weight"].shape[1]), dtype=np.float32)
    tensors["wte.weight"] = np.concatenate([tensors["wte.weight"], more])
    save_file(tensors, directory / "model.safetensors")
    config = json.loads((directory / "config.json").read_text())
    write(directory, config=config | {"vocab_size": len(tensors["wte.weight"])})


@pytest.mark.parametrize(("n_rows", "padding"), [(1, 0), (4, 3)])
def test_the_row_of_an_added_token_is_no_padding(n_rows: int, padding: int, tmp_path: Path) -> None:
    directory = make_tiny_gpt2(tmp_path / "tiny")
    config = json.loads((directory / "config.json").read_text())
    (directory / "tokenizer.json").unlink()
    n_tokens = byte_level_parts(directory)
    write(directory, config=config, added_tokens={"<|user|>": n_tokens})
    add_rows(directory, n_rows)
    assert check_model_directory(directory, "mine") == padding
    assert read_vocabulary(directory)[n_tokens:] == ["<|user|>"]


def test_a_special_token_that_has_neither_id_nor_row_is_left_out(tmp_path: Path) -> None:
    """transformers appends it, but the model knows nothing of it; with a row it would be that row's."""
    directory = make_tiny_gpt2(tmp_path / "tiny")
    write(directory, special_tokens_map={"pad_token": "<pad>"})
    assert check_model_directory(directory, "mine") == 0
    assert len(read_vocabulary(directory)) == 320
    add_rows(directory, 1)
    assert check_model_directory(directory, "mine") == 0
    assert read_vocabulary(directory)[320:] == ["<pad>"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("added_tokens", '{"<|user|>": "320"}', "added_tokens.json has '320' as the id of the token '<|user|>'"),
        ("added_tokens", "[]", "added_tokens.json holds a list, not a JSON object"),
        ("vocab", '{"a": 1.5}', "vocab.json has 1.5 as the id of the token 'a'"),
        ("merges_txt", "#version: 0.2\nno such\n", "transformers makes no tokenizer of merges.txt, vocab.json ("),
    ],
)
def test_damaged_parts_are_named(file: str, content: str, message: str, tmp_path: Path) -> None:
    byte_level_parts(tmp_path)
    write(tmp_path, **{file: content})
    with pytest.raises(SvdlensError) as error:
        read_vocabulary(tmp_path)
    assert message in str(error.value)


def test_all_parts_belong_to_the_model(tmp_path: Path) -> None:
    """What is copied reads as what it was copied from."""
    from svdlens.models.checks import model_file_names

    for kind, make in KINDS.items():
        source, copy = tmp_path / kind / "source", tmp_path / kind / "copy"
        source.mkdir(parents=True)
        copy.mkdir()
        make(source)
        for name in model_file_names((path.name for path in source.iterdir()), shards=()):
            shutil.copy(source / name, copy)
        assert read_vocabulary(copy) == read_vocabulary(source)
