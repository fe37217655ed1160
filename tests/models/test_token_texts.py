"""The text of each token is what its tokenizer says, and bytes that are no UTF-8 can be seen."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from shared_data import shared
from svdlens.errors import SvdlensError
from svdlens.models.token_texts import byte_alphabet, read_vocabulary
from svdlens.vocabulary.sentence_embedding import minilm_directory
from tiny import END_OF_TEXT, tiny_tokenizer


def raw_bytes(piece: str) -> bytes:
    return bytes(byte_table()[character] for character in piece)


@functools.cache
def byte_table() -> dict[str, int]:
    """The table in transformers, made independently of ours."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {character: byte for byte, character in bytes_to_unicode().items()}


def is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def save_byte_level(directory: Path, pieces: list[str], special: tuple[str, ...] = ()) -> None:
    tokenizer = Tokenizer(models.BPE(vocab={piece: id for id, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    tokenizer.save(str(directory / "tokenizer.json"))


def in_alphabet(raw: bytes) -> str:
    characters = {byte: character for character, byte in byte_alphabet().items()}
    return "".join(characters[byte] for byte in raw)


def test_the_alphabet_has_one_printable_character_for_each_byte() -> None:
    alphabet = byte_alphabet()
    assert len(alphabet) == 256
    assert sorted(alphabet.values()) == list(range(256))
    assert all(len(character) == 1 and character.isprintable() and character != " " for character in alphabet)
    assert set(alphabet) == set(pre_tokenizers.ByteLevel.alphabet())
    assert alphabet == byte_table()
    assert {character: alphabet[character] for character in "aZ~Ġ"} == {"a": 97, "Z": 90, "~": 126, "Ġ": 32}


def test_tiny_tokenizer_equals_its_own_decoding(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(400)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = read_vocabulary(tmp_path)
    assert len(texts) == 400
    assert texts[399] == END_OF_TEXT
    for id in range(399):
        raw = raw_bytes(tokenizer.id_to_token(id))
        expected = tokenizer.decode([id], skip_special_tokens=False) if is_text(raw) else f"\\x{raw[0]:02x}"
        assert texts[id] == expected
    assert " a" in texts  # the leading space is part of a token
    assert sum(text.startswith("\\x") for text in texts) == 128


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"fire", "fire"),
        (b" fire", " fire"),
        (b"\n", "\n"),
        (b"\x00", "\x00"),
        ("火".encode(), "火"),
        (" é🔥".encode(), " é🔥"),
        ("火".encode()[:2], "\\xe7\\x81"),  # cut off
        ("火".encode()[1:], "\\x81\\xab"),
        (b"a\xffb", "a\\xffb"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # a surrogate is no text
        (b"\xc0\xaf", "\\xc0\\xaf"),  # nor is an overlong slash
        ("�".encode(), "�"),  # a real token of GPT-2, not a failure to decode
    ],
)
def test_bytes_become_text_or_can_be_seen(raw: bytes, text: str, tmp_path: Path) -> None:
    save_byte_level(tmp_path, ["x", in_alphabet(raw)])
    assert read_vocabulary(tmp_path) == ["x", text]


def test_special_tokens_are_what_the_library_decodes(tmp_path: Path) -> None:
    """Where all their characters stand for bytes they are these bytes, else they are as they are written."""
    save_byte_level(tmp_path, ["x", "Ġx"], ("<|endoftext|>", "<Ġ>", "<a é>"))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = read_vocabulary(tmp_path)
    assert texts == ["x", " x", "<|endoftext|>", "< >", "<a é>"]
    assert texts == [tokenizer.decode([id], skip_special_tokens=False) for id in range(5)]


def save_parts(directory: Path, pieces: dict[str, int]) -> None:
    (directory / "vocab.json").write_text(json.dumps(pieces), encoding="utf-8")
    (directory / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")


def test_vocab_json_and_merges_txt_alone_will_do(tmp_path: Path) -> None:
    save_parts(tmp_path, {"Ġx": 1, "a": 0, in_alphabet(b"\xe7\x81"): 2, END_OF_TEXT: 3})
    assert read_vocabulary(tmp_path) == ["a", " x", "\\xe7\\x81", END_OF_TEXT]


def test_tokenizer_json_goes_before_vocab_json(tmp_path: Path) -> None:
    save_byte_level(tmp_path, ["a", "b"])
    (tmp_path / "vocab.json").write_text(json.dumps({"c": 0}), encoding="utf-8")
    assert read_vocabulary(tmp_path) == ["a", "b"]


def test_ids_that_no_token_has_are_empty(tmp_path: Path) -> None:
    """Ids must stay in step with the columns of W_U."""
    save_parts(tmp_path, {END_OF_TEXT: 0, "b": 3})
    assert read_vocabulary(tmp_path) == [END_OF_TEXT, "", "", "b"]


def test_a_tokenizer_of_whole_words_is_decoded_by_itself(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"Ġ": 0, "fire": 1, "é": 2}, unk_token="Ġ"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert read_vocabulary(tmp_path) == ["Ġ", "fire", "é"]


def test_added_tokens_of_a_byte_level_tokenizer_keep_their_spaces(tmp_path: Path) -> None:
    """GPT-NeoX has runs of spaces and Qwen2 markers of turns among them."""
    tokenizer = tiny_tokenizer(300)
    added = ["  ", " " * 24, "<|im_start|>", "\n\n", "<火>"]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert read_vocabulary(tmp_path)[300:] == added


CORPUS = ["the fire burns the house, and the fires burned", "a house of the fireman é火"] * 20
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def llama_tokenizer() -> Tokenizer:
    """As Llama's: a space is ▁, bytes that no piece has are pieces of their own, decoding drops the first space."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    words = [word for line in CORPUS for word in line.split()]
    special = ["<unk>", "<s>", "</s>", *BYTES]
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(vocab_size=310, special_tokens=special))
    # Trained as special tokens, for want of another way; in real files the bytes are ordinary pieces.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(state))


def gemma_tokenizer() -> Tokenizer:
    """As Gemma's: the same without the dropped space, and runs of ▁ among the added tokens."""
    tokenizer = llama_tokenizer()
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken("▁▁", normalized=False), AddedToken("\n\n", normalized=False)])
    return tokenizer


def unigram_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>", "</s>"], unk_token="<unk>")
    )
    return tokenizer


@pytest.mark.parametrize("make", [llama_tokenizer, gemma_tokenizer, unigram_tokenizer])
def test_a_token_after_sentencepiece_is_its_share_of_the_decoded_text(
    make: Callable[[], Tokenizer], tmp_path: Path
) -> None:
    """After another token the library drops no space, so what a token adds to "a" is its text."""
    tokenizer = make()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = read_vocabulary(tmp_path)
    assert {" ", " fire", "e", "</s>"} <= set(texts)
    assert len(texts) == tokenizer.get_vocab_size()
    before = tokenizer.token_to_id("a")
    for id, text in enumerate(texts):
        added = tokenizer.decode([before, id], skip_special_tokens=False).removeprefix(tokenizer.decode([before]))
        assert text == added or (added == "�" and text.startswith("\\x"))
    assert not any("▁" in text for text in texts)


def test_byte_pieces_become_their_byte(tmp_path: Path) -> None:
    tokenizer = gemma_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = read_vocabulary(tmp_path)
    assert texts[tokenizer.token_to_id("<0x0A>")] == "\n"
    assert texts[tokenizer.token_to_id("<0x41>")] == "A"
    assert texts[tokenizer.token_to_id("<0xE7>")] == "\\xe7"
    assert texts[tokenizer.token_to_id("▁▁")] == "  "
    assert texts[tokenizer.token_to_id("\n\n")] == "\n\n"


def test_continuations_of_wordpiece_are_told_from_words(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=90, special_tokens=["[UNK]", "[CLS]"]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = read_vocabulary(tmp_path)
    assert texts[:2] == ["[UNK]", "[CLS]"]
    assert {"the", "fire", "##s", ","} <= set(texts)
    assert len(set(texts)) == len(texts)
    # What stands first in a text is decoded alone, and there the library writes the ## too.
    assert texts == [tokenizer.decode([id], skip_special_tokens=False) for id in range(len(texts))]


def test_the_vocabulary_of_minilm() -> None:
    texts = read_vocabulary(minilm_directory())
    assert len(texts) == 30_522
    assert (texts[0], texts[101], texts[2543], texts[2075]) == ("[PAD]", "[CLS]", "fire", "##ing")
    assert not any(" " in text for text in texts)


def test_no_tokenizer_is_an_error_that_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(SvdlensError, match=r"no tokenizer\.json, and neither vocab\.json") as error:
        read_vocabulary(tmp_path)
    assert str(error.value).startswith(str(tmp_path))


def test_the_vocabulary_of_gpt2(tmp_path: Path) -> None:
    from transformers import GPT2Tokenizer

    directory = shared("gpt2-tokenizer")
    texts = read_vocabulary(directory)
    assert len(texts) == 50257
    assert texts[50256] == END_OF_TEXT
    pieces = {id: piece for piece, id in json.loads((directory / "vocab.json").read_text("utf-8")).items()}
    decoder = GPT2Tokenizer.from_pretrained(directory).backend_tokenizer
    raw = [raw_bytes(pieces[id]) for id in range(50257)]
    valid = [id for id in range(50257) if is_text(raw[id])]
    assert 49_000 < len(valid) < 50257
    decoded = decoder.decode_batch([[id] for id in valid], skip_special_tokens=False)
    assert [texts[id] for id in valid] == decoded
    for id in set(range(50257)) - set(valid):
        assert "\\x" in texts[id]
        assert texts[id].encode("utf-8").decode("unicode_escape").encode("latin-1") == raw[id]
    assert sum(text.startswith(" ") for text in texts) == sum(piece.startswith("Ġ") for piece in pieces.values())

    for name in ("vocab.json", "merges.txt"):
        shutil.copy(directory / name, tmp_path)
    assert read_vocabulary(tmp_path) == texts
