"""Every way in which a model directory can be wrong is refused with a message that names the value and the fix."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers import GPT2Config

from fetch_model import main
from svdlens.errors import SvdlensError
from svdlens.models.checkpoint_layouts import LAYOUTS
from svdlens.models.checks import check_model_directory, complete_config, model_file_names
from svdlens.models.model_shape import read_shape
from svdlens.spec.architectures import ARCHITECTURES
from tiny import END_OF_TEXT, make_tiny, make_tiny_gpt2


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(config | changes))

    return edit


def edit_tensors(edit: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def rewrite(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        edit(tensors)
        save_file(tensors, directory / "model.safetensors")

    return rewrite


def extra_tensor(name: str) -> Callable[[Path], None]:
    return edit_tensors(lambda tensors: tensors.update({name: np.ones(16, dtype=np.float32)}))


def only_pickle(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def cut_short(bytes_left: int) -> Callable[[Path], None]:
    def cut(directory: Path) -> None:
        content = (directory / "model.safetensors").read_bytes()
        (directory / "model.safetensors").write_bytes(content[:bytes_left])

    return cut


def long_header(directory: Path) -> None:
    content = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + content[8:])


def appended(directory: Path) -> None:
    with (directory / "model.safetensors").open("ab") as file:
        file.write(b"\0" * 100)


def git_lfs_pointer(directory: Path) -> None:
    (directory / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def split_into_shards(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    weight_map: dict[str, str] = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, directory / shard)
        weight_map |= dict.fromkeys(names, shard)
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def missing_shard(directory: Path) -> None:
    split_into_shards(directory)
    (directory / "model-00002-of-00002.safetensors").unlink()


def shard_outside(directory: Path) -> None:
    split_into_shards(directory)
    (directory / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "../secret.safetensors"}}')


# None of these is a weights file of the directory itself.
NO_SHARD = ("a/b.safetensors", "/tmp/b.safetensors", "..", "a\\b.safetensors", "c:b.safetensors", "pytorch_model.bin")
NO_SHARD += ("rounding_steps.safetensors", "..\\b.safetensors", "b\n.safetensors", "")


def shard_called(name: str) -> Callable[[Path], None]:
    def rename(directory: Path) -> None:
        split_into_shards(directory)
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": name}}))

    return rename


def other_names_of_shards(directory: Path) -> None:
    """And beside them weights in other forms, as some repositories have them."""
    split_into_shards(directory)
    index = (directory / "model.safetensors.index.json").read_text()
    for number in (1, 2):
        old, new = f"model-0000{number}-of-00002.safetensors", f"consolidated {number} of 2.é.safetensors"
        (directory / old).rename(directory / new)
        index = index.replace(old, new)
    (directory / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    (directory / "model-00001-of-00001.safetensors").write_bytes(b"of another form")


def tensor_twice(directory: Path) -> None:
    split_into_shards(directory)
    shutil.copy(directory / "model-00001-of-00002.safetensors", directory / "model-00002-of-00002.safetensors")


def poison(name: str, *values: float) -> Callable[[Path], None]:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        tensors[name].flat[: len(values)] = values

    return edit_tensors(edit)


def as_type(dtype: type) -> Callable[[Path], None]:
    return edit_tensors(lambda t: t.update({name: value.astype(dtype) for name, value in t.items()}))


def as_bfloat16(directory: Path) -> None:
    """numpy has no bfloat16: the file is written by hand, from the upper half of each float32."""
    header, data = {}, b""
    for name, value in load_file(directory / "model.safetensors").items():
        content = (value.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    (directory / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)


def after(first: Callable[[Path], object], then: Callable[[Path], object]) -> Callable[[Path], None]:
    def both(directory: Path) -> None:
        first(directory)
        then(directory)

    return both


def remove(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def overwrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text(text)


def remove_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    (directory / "vocab.json").write_text("{}")


def add_token(directory: Path) -> None:
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save(str(directory / "tokenizer.json"))


def vocabulary_of(ids: Iterable[int]) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "tokenizer.json").unlink()
        tokens = {END_OF_TEXT if number == 0 else str(id): id for number, id in enumerate(ids)}
        (directory / "vocab.json").write_text(json.dumps(tokens))
        (directory / "merges.txt").write_text("")

    return write


def many_rows(directory: Path) -> None:
    edit_config(vocab_size=1400)(directory)
    edit_tensors(lambda t: t.update({"wte.weight": np.ones((1400, 16), dtype=np.float32)}))(directory)


FIX_CONFIG = "Restore the config.json"
WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "directory missing": (shutil.rmtree, "no such directory", "Correct models.mine"),
    "pickle only": (only_pickle, "pytorch_model.bin", "safe_serialization=True"),
    "no weights": (remove("model.safetensors"), "model.safetensors is missing", "add them"),
    "weights cut in the data": (cut_short(5000), "(5000 bytes) is cut short or damaged", "copy it again"),
    "weights cut in the header": (cut_short(20), "(20 bytes)", "copy it again"),
    "weights empty": (cut_short(0), "(0 bytes)", "copy it again"),
    "header too long": (long_header, "cut short or damaged", "copy it again"),
    "bytes after the end": (appended, "cut short or damaged", "copy it again"),
    "git lfs pointer": (git_lfs_pointer, "Git LFS pointer", "git lfs pull"),
    "shard missing": (missing_shard, "model-00002-of-00002.safetensors is missing", "copy the missing shards"),
    "shard outside": (shard_outside, "'../secret.safetensors'", "save_pretrained"),
    **{
        f"shard called {name!r}": (shard_called(name), repr(name), "plain names that end in .safe") for name in NO_SHARD
    },
    "index of numbers": (
        after(split_into_shards, overwrite("model.safetensors.index.json", '{"weight_map": {"wte.weight": 1}}')),
        "names the shard 1",
        "save_pretrained",
    ),
    "tensor twice": (tensor_twice, "is there twice", "save_pretrained"),
    "config missing": (remove("config.json"), "config.json is missing", "Add the config.json"),
    "config not json": (overwrite("config.json", "{'n_embd': 1}"), "config.json is not JSON", "copy it again"),
    "config not utf-8": (
        lambda directory: (directory / "config.json").write_bytes(b"\xff"),
        "config.json is not JSON",
        "copy it again",
    ),
    "config a list": (overwrite("config.json", "[]"), "holds a list", "Copy it again"),
    "other model type": (edit_config(model_type="llama"), "'llama'", "Supported: model_type 'gpt2'"),
    "other architecture": (
        edit_config(architectures=["GPT2ForSequenceClassification"]),
        "GPT2ForSequenceClassification",
        "Supported: model_type 'gpt2' with architectures ['GPT2LMHeadModel']",
    ),
    "no architecture": (edit_config(architectures=None, model_type=None), "None", "Supported:"),
    "no model type": (
        edit_config(model_type=None),
        "architectures ['GPT2LMHeadModel'] and no model_type",
        'Add "model_type": "gpt2"',
    ),
    "no width under another name": (
        edit_config(n_embd=None, hidden_size=32),
        "'wte.weight' is [320, 16]",
        "= [320, 32]",
    ),
    "strange model type": (edit_config(model_type=["gpt2"]), "['gpt2']", "Supported:"),
    "remote code": (edit_config(auto_map={"AutoModel": "evil.Model"}), "evil.Model", "part of transformers"),
    "remote code of the tokenizer": (
        overwrite("tokenizer_config.json", '{"auto_map": "evil.Tokenizer"}'),
        "evil.Tokenizer",
        "part of transformers",
    ),
    "n_embd": (edit_config(n_embd=32), "'wte.weight' is [320, 16], but", "[vocab_size, n_embd] = [320, 32]"),
    "n_embd no number": (edit_config(n_embd="16"), "n_embd = '16'", FIX_CONFIG),
    "n_embd zero": (edit_config(n_embd=0), "n_embd = 0", FIX_CONFIG),
    "n_head": (edit_config(n_head=3), "n_embd = 16 and n_head = 3", FIX_CONFIG),
    "n_layer too large": (
        edit_config(n_layer=10**9),
        "n_layer = 1000000000, but the weights hold layers 0 to 1",
        "Rest",
    ),
    "a layer far above the others": (
        after(edit_config(n_layer=10**9), extra_tensor("h.999999999.ln_1.bias")),
        "n_layer = 1000000000, but the weights hold only 3 layers, numbered up to 999999999",
        "Save the model whole",
    ),
    "a layer without a number that can be": (
        extra_tensor(f"h.{'9' * 5000}.ln_1.bias"),
        "9.ln_1.bias' is no part",
        "save_pretrained",
    ),
    "n_layer without end": (edit_config(n_layer=10**4000), "not a whole number from 1 to 2147483647", FIX_CONFIG),
    "config nested without end": (overwrite("config.json", "[" * 100_000), "config.json is not JSON", "copy it again"),
    "n_layer too small": (edit_config(n_layer=1), "n_layer = 1, but the weights hold layers 0 to 1", FIX_CONFIG),
    "vocab_size": (edit_config(vocab_size=321), "'wte.weight' is [320, 16]", "[321, 16]"),
    "n_inner": (edit_config(n_inner=65), "'h.0.mlp.c_fc.weight' is [16, 64]", "[n_embd, n_inner] = [16, 65]"),
    "n_positions": (edit_config(n_positions=64), "'wpe.weight' is [32, 16]", "[n_positions, n_embd] = [64, 16]"),
    "linear for convolution": (
        edit_tensors(lambda t: t.update({"h.0.attn.c_attn.weight": t["h.0.attn.c_attn.weight"].T.copy()})),
        "'h.0.attn.c_attn.weight' is [48, 16]",
        "[n_embd, 3 n_embd] = [16, 48]",
    ),
    "untied": (edit_config(tie_word_embeddings=False), "'lm_head.weight' is missing", "save_pretrained"),
    "tensor missing": (edit_tensors(lambda t: t.pop("h.1.ln_2.bias")), "'h.1.ln_2.bias' is missing", "save_pretrained"),
    "no layers": (
        edit_tensors(lambda t: [t.pop(name) for name in list(t) if name.startswith("h.")]),
        "'h.0.attn.c_attn.bias' and 11 more is missing",
        "save_pretrained",
    ),
    "tensor unknown": (
        edit_tensors(lambda t: t.update({"h.0.attn.c_attn.lora_A": np.ones(3)})),
        "'h.0.attn.c_attn.lora_A' is no part",
        "merge the adapter",
    ),
    "quantised": (
        edit_tensors(lambda t: t.update({"wte.weight": t["wte.weight"].astype(np.int8)})),
        "'wte.weight' has the type I8",
        "not quantised",
    ),
    "nan": (poison("h.1.mlp.c_proj.weight", np.nan), "1 of the 1024 values of the tensor 'h.1.mlp.c_proj", "another"),
    "inf": (poison("wte.weight", np.inf, -np.inf), "2 of the 5120 values of the tensor 'wte.weight'", "checkpoint"),
    "not finite in float16": (
        after(poison("wpe.weight", np.nan, np.inf, -np.inf), as_type(np.float16)),
        "3 of the 512 values of the tensor 'wpe.weight'",
        "checkpoint",
    ),
    "not finite in bfloat16": (
        after(poison("wpe.weight", np.nan, np.inf, -np.inf), as_bfloat16),
        "3 of the 512 values of the tensor 'wpe.w",
        "checkpoint",
    ),
    "tokenizer missing": (remove("tokenizer.json"), "tokenizer.json is missing", "Add the tokenizer"),
    "half a tokenizer": (remove_tokenizer, "vocab.json and merges.txt", "Add the tokenizer"),
    "tokenizer broken": (overwrite("tokenizer.json", "{}"), "tokenizer.json is no tokenizer", "copy it again"),
    "tokenizer too large": (add_token, "321 tokens", "W_U has 320 rows"),
    "tokenizer of another model": (many_rows, "320 tokens with ids up to 319", "cut W_U to its first 320 rows"),
    "a token without a row": (vocabulary_of([*range(319), 400]), "320 tokens with ids up to 400", "Use the tokenizer"),
    "a negative id": (vocabulary_of([*range(319), -1]), "-1 as the id of the token", "Use the tokenizer"),
    "an id that is no number": (
        after(vocabulary_of(range(320)), overwrite("vocab.json", '{"a": 0, "b": [1]}')),
        "vocab.json has [1] as the id of the token 'b', not a whole number",
        "Use the tokenizer",
    ),
    "tokenizer empty": (vocabulary_of([]), "vocab.json has no token", "Use the tokenizer"),
    "mixture of experts": (
        edit_config(model_type="mixtral", architectures=["MixtralForCausalLM"]),
        "model_type 'mixtral', a mixture of experts",
        "Use a dense model",
    ),
    "mixture of experts by its name": (edit_config(model_type="qwen3_moe"), "'qwen3_moe', a mixture", "dense model"),
    "mixture of experts by a key": (edit_config(n_routed_experts=64), "and n_routed_experts = 64", "dense model"),
    "quantised by config.json": (
        edit_config(quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantization_config ('gptq')",
        "Use the weights that are not quantised",
    ),
    "unsupported, but close": (
        edit_config(model_type="gemma3", architectures=["Gemma3ForConditionalGeneration"]),
        "model_type 'gemma3'. Such a model reads images, too",
        "save its language model by itself, a Gemma3ForCausalLM (gemma3_text)",
    ),
    "another one that is close": (
        edit_config(model_type="gpt_neo2", architectures=["GPTNeo2ForCausalLM"]),
        "'gpt_neo2' with architectures ['GPTNeo2ForCausalLM'], which is not supported",
        "Did you mean 'gpt_neo'?",
    ),
    "another architecture than config.yaml says": (
        edit_config(model_type="llama", architectures=["LlamaForCausalLM"]),
        "model_type 'llama', but the configuration has 'gpt2'",
        "Write `architecture: llama` under models.mine",
    ),
}


WRONG_LLAMA: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "shared heads": (
        edit_config(num_key_value_heads=3),
        "num_attention_heads = 4 and num_key_value_heads = 3, but num_attention_heads must be a multiple",
        FIX_CONFIG,
    ),
    "more key heads than query heads": (edit_config(num_key_value_heads=8), "num_key_value_heads = 8", FIX_CONFIG),
    "other shared heads": (
        edit_config(num_key_value_heads=1),
        "'layers.0.self_attn.k_proj.weight' is [8, 16]",
        "[num_key_value_heads head_dim, hidden_size] = [4, 16]",
    ),
    "no shared heads": (edit_config(num_key_value_heads=None), "'layers.0.self_attn.k_proj.weight' is [8", "[16, 16]"),
    "no heads": (edit_config(num_attention_heads=None), "num_attention_heads = None, not a whole number", FIX_CONFIG),
    "head_dim": (edit_config(head_dim=8), "'layers.0.self_attn.q_proj.weight' is [16", "_heads head_dim, hidden_s"),
    "width and heads": (
        edit_config(hidden_size=18, head_dim=None),
        "hidden_size = 18 and num_attention_heads = 4, but hidden_size must be a multiple of num_attention_heads. R",
        FIX_CONFIG,
    ),
    "width and heads, and a head_dim": (
        edit_config(hidden_size=1792, num_attention_heads=24, head_dim=128),
        "hidden_size = 1792 and num_attention_heads = 24, but hidden_size must be a multiple",
        "transformers refuses such a model, whatever its head_dim (128); take another one",
    ),
    "untied without an unembedding": (
        edit_tensors(lambda t: t.pop("lm_head.weight")),
        "'lm_head.weight' is missing from the weights of a LlamaForCausalLM with num_hidden_layers = 2",
        "save_pretrained",
    ),
    "biases that are not there": (
        edit_config(attention_bias=True),
        "'layers.0.self_attn.k_proj.bias' and 7 more",
        "save_pretrained",
    ),
    "biases that should not be there": (
        edit_tensors(lambda t: t.update({"model.layers.1.self_attn.q_proj.bias": np.ones(16, dtype=np.float32)})),
        "'layers.1.self_attn.q_proj.bias' is no part of a LlamaForCausalLM with this config.json",
        "save the model again",
    ),
    "declared gpt2": (
        edit_config(model_type="gpt2", architectures=["GPT2LMHeadModel"]),
        "'gpt2', but",
        ": gpt2` under",
    ),
}


@pytest.fixture(scope="module")
def sound_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny("llama", tmp_path_factory.mktemp("sound") / "tiny")


@pytest.mark.parametrize("case", WRONG_LLAMA)
def test_a_wrong_model_with_shared_heads_is_refused(case: str, sound_llama: Path, tmp_path: Path) -> None:
    spoil, value, fix = WRONG_LLAMA[case]
    directory = shutil.copytree(sound_llama, tmp_path / "tiny")
    assert check_model_directory(directory, "mine", "llama") == 0
    spoil(directory)
    with pytest.raises(SvdlensError) as error:
        check_model_directory(directory, "mine", "llama")
    assert str(error.value).startswith("model 'mine' in ")
    assert value in str(error.value)
    assert fix in str(error.value)


def test_keys_that_config_json_may_lack_are_filled_in_as_transformers_does(sound_llama: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(sound_llama, tmp_path / "tiny")
    config = json.loads((directory / "config.json").read_text())
    for key in ("head_dim", "attention_bias", "mlp_bias", "tie_word_embeddings"):
        config.pop(key)
    (directory / "config.json").write_text(json.dumps(config))
    assert check_model_directory(directory, "mine", "llama") == 0
    (directory / "config.json").write_text(json.dumps(config | {"head_dim": None}))
    assert check_model_directory(directory, "mine", "llama") == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("classes", [None, []])
def test_architectures_may_be_missing(architecture: str, classes: object, sound_of_all: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(sound_of_all / architecture, tmp_path / "tiny")
    edit_config(architectures=classes)(directory)
    assert check_model_directory(directory, "mine", architecture) == 0


@pytest.mark.parametrize("architecture", ["qwen2", "gemma"])
def test_heads_need_not_fill_the_width_where_transformers_reads_that(architecture: str, tmp_path: Path) -> None:
    directory = make_tiny(architecture, tmp_path / "tiny", hidden_size=18, head_dim=8)
    assert check_model_directory(directory, "mine", architecture) == 0


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt_neox"])
def test_heads_must_fill_the_width_where_transformers_refuses_else(architecture: str) -> None:
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    config = {"hidden_size": 18, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    with pytest.raises(SvdlensError, match="hidden_size = 18 and num_attention_heads = 4"):
        complete_config(config, architecture, "test")
    with pytest.raises(StrictDataclassError, match="attention heads"):
        getattr(transformers, ARCHITECTURES[architecture].model_class).config_class(**config)


def test_a_size_that_config_json_lacks_is_the_default(tmp_path: Path) -> None:
    """The 12 layers and heads of GPT-2 small; a null is no default."""
    directory = make_tiny_gpt2(tmp_path / "tiny", layers=12, width=24, heads=12, positions=1024)
    config = json.loads((directory / "config.json").read_text())
    for key in ("n_layer", "n_head", "n_positions", "n_inner"):
        config.pop(key)
    (directory / "config.json").write_text(json.dumps(config))
    assert check_model_directory(directory, "mine") == 0
    edit_config(n_head=None)(directory)
    with pytest.raises(SvdlensError, match="n_head = None, not a whole number"):
        check_model_directory(directory, "mine")


def test_sizes_under_the_names_that_transformers_also_takes_are_read(tmp_path: Path) -> None:
    directory = make_tiny_gpt2(tmp_path / "tiny")
    config = json.loads((directory / "config.json").read_text())
    for name, key in LAYOUTS["gpt2"].aliases.items():
        config[name] = config.pop(key)
    (directory / "config.json").write_text(json.dumps(config))
    assert check_model_directory(directory, "mine") == 0
    shape = read_shape(directory, "gpt2")
    assert shape == (config["num_hidden_layers"], config["num_attention_heads"])
    # Where a size is there under both names, it is this one, as in transformers.
    edit_config(n_layer=7)(directory)
    assert read_shape(directory, "gpt2") == shape and GPT2Config.from_pretrained(directory).n_layer == shape.n_layers


@pytest.mark.parametrize(
    ("architecture", "change", "said", "not_said"),
    [
        ("bert", {"architectures": ["BertForSequenceClassification"]}, "is not supported", "Did you mean"),
        ("gpt2", {"model_type": "gpt-2"}, "Did you mean 'gpt2'?", "no model_type"),
        ("llama", {"model_type": None}, 'Add "model_type": "llama" to it.', "Use such a model"),
    ],
)
def test_what_config_json_should_say_is_not_what_it_says(
    architecture: str, change: dict[str, object], said: str, not_said: str, sound_of_all: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(sound_of_all / architecture, tmp_path / "tiny")
    edit_config(**change)(directory)
    with pytest.raises(SvdlensError) as error:
        check_model_directory(directory, "mine", architecture)
    assert said in str(error.value) and not_said not in str(error.value)


@pytest.fixture(scope="module")
def sound_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("all")
    for architecture in ARCHITECTURES:
        make_tiny(architecture, directory / architecture)
    return directory


def test_an_architecture_that_there_is_not_is_named(sound_llama: Path) -> None:
    with pytest.raises(SvdlensError, match=r"models\.mine\.architecture .* 'lama'.*Did you mean 'llama'\?"):
        check_model_directory(sound_llama, "mine", "lama")


def test_a_gpt_neox_without_biases_is_refused(tmp_path: Path) -> None:
    directory = make_tiny("gpt_neox", tmp_path / "tiny", attention_bias=False)
    with pytest.raises(SvdlensError, match="attention_bias = False, but svdlens reads a GPTNeoXForCausalLM only"):
        check_model_directory(directory, "mine", "gpt_neox")


def with_old_buffers(*names: str) -> Callable[[Path], None]:
    return edit_tensors(lambda t: t.update({name: np.full(3, np.nan, dtype=np.float32) for name in names}))


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("gpt_neox", ["gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.rotary_emb.inv_freq"]),
        ("llama", ["model.layers.0.self_attn.rotary_emb.inv_freq"]),
        ("bert", ["embeddings.position_ids"]),
    ],
)
def test_what_old_versions_saved_and_is_no_weight_does_no_harm(
    architecture: str, names: list[str], tmp_path: Path
) -> None:
    directory = make_tiny(architecture, tmp_path / "tiny")
    with_old_buffers(*names)(directory)
    assert check_model_directory(directory, "mine", architecture) == 0


def with_prefix_and_without_pooler(tensors: dict[str, np.ndarray]) -> None:
    for name in list(tensors):
        tensors[f"bert.{name}"] = tensors.pop(name)
    for name in ("bert.pooler.dense.weight", "bert.pooler.dense.bias"):
        tensors.pop(name)


def with_old_norms(tensors: dict[str, np.ndarray]) -> None:
    """As in the files of 2018: gamma and beta."""
    for name in list(tensors):
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[old] = tensors.pop(name)


@pytest.mark.parametrize("name", ARCHITECTURES["bert"].classes)
def test_an_encoder_may_have_heads_and_old_names_of_norms(name: str, tmp_path: Path) -> None:
    directory = make_tiny("bert", tmp_path / "tiny", model_class_name=name)
    assert json.loads((directory / "config.json").read_text())["architectures"] == [name]
    edit_tensors(with_old_norms)(directory)
    assert "LayerNorm.gamma" in " ".join(load_file(directory / "model.safetensors"))
    assert check_model_directory(directory, "mine", "bert") == 0


def test_every_tensor_of_a_head_is_known(tmp_path: Path) -> None:
    """Old files have the decoder beside the embedding that it is tied to."""
    directory = make_tiny("bert", tmp_path / "tiny", model_class_name="BertForPreTraining")
    decoder = {"cls.predictions.decoder.weight": (320, 16), "cls.predictions.decoder.bias": (320,)}
    edit_tensors(lambda t: t.update({name: np.ones(shape, dtype=np.float32) for name, shape in decoder.items()}))(
        directory
    )
    names = {LAYOUTS["bert"].present_name(name) for name in load_file(directory / "model.safetensors")}
    assert set(LAYOUTS["bert"].heads) <= names
    assert check_model_directory(directory, "mine", "bert") == 0
    edit_tensors(lambda t: t.update({"cls.predictions.bias": np.ones(3, dtype=np.float32)}))(directory)
    with pytest.raises(SvdlensError, match=r"'cls\.predictions\.bias' is \[3\], but config\.json asks"):
        check_model_directory(directory, "mine", "bert")


def test_a_norm_under_both_names_is_refused(tmp_path: Path) -> None:
    directory = make_tiny("bert", tmp_path / "tiny")
    both = {"embeddings.LayerNorm.gamma": np.ones(16, dtype=np.float32)}
    edit_tensors(lambda t: t.update(both))(directory)
    with pytest.raises(SvdlensError, match=r"'embeddings\.LayerNorm\.weight' is there twice"):
        check_model_directory(directory, "mine", "bert")


def test_an_encoder_may_have_a_prefix_and_no_pooler(tmp_path: Path) -> None:
    directory = make_tiny("bert", tmp_path / "tiny")
    edit_tensors(with_prefix_and_without_pooler)(directory)
    assert check_model_directory(directory, "mine", "bert") == 0


@pytest.mark.parametrize(("ids", "padding"), [(range(300), 20), ([*range(10), 319], 0), ([*range(10), 299], 20)])
def test_rows_without_a_token_are_padding_after_the_last_and_holes_before(
    ids: list[int], padding: int, directory: Path, tmp_path: Path
) -> None:
    vocabulary_of(ids)(directory)
    assert check_model_directory(directory, "mine") == padding
    main(job(directory, tmp_path / "results"))
    provenance = json.loads((tmp_path / "results" / "models" / "mine" / "provenance.json").read_text())
    assert provenance["padding_rows"] == padding


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("sound") / "tiny", layers=2)


@pytest.fixture
def directory(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "tiny")


def job(directory: Path, results: Path) -> SimpleNamespace:
    return SimpleNamespace(
        wildcards=SimpleNamespace(model="mine"),
        params=SimpleNamespace(source={"path": str(directory)}),
        output=SimpleNamespace(provenance=results / "models" / "mine" / "provenance.json"),
        log="",
    )


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_directory_is_refused_and_nothing_is_published(case: str, directory: Path, tmp_path: Path) -> None:
    spoil, value, fix = WRONG[case]
    spoil(directory)
    with pytest.raises(SvdlensError) as error:
        main(job(directory, tmp_path / "results"))
    message = str(error.value)
    assert message.startswith("model 'mine' in ")
    assert value in message
    assert fix in message
    assert not (tmp_path / "results").exists()


def test_a_sound_directory_is_published_whole_without_paths(directory: Path, tmp_path: Path) -> None:
    (directory / "pytorch_model.bin").write_bytes(b"never read")
    (directory / "evil.py").write_text("raise SystemExit")
    (directory / "token_counts.parquet").write_bytes(b"counts")
    main(job(directory, tmp_path / "results"))
    published = tmp_path / "results" / "models" / "mine"
    names = ["config.json", "model.safetensors", "token_counts.parquet", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in published.iterdir()) == sorted([*names, "provenance.json"])
    assert all((published / name).read_bytes() == (directory / name).read_bytes() for name in names)
    provenance = json.loads((published / "provenance.json").read_text())
    assert list(provenance["files"]) == names
    assert (provenance["source"], provenance["repo"], provenance["revision"]) == ("path", "tiny", None)
    assert str(tmp_path) not in (published / "provenance.json").read_text()


def test_an_earlier_model_leaves_nothing_behind(directory: Path, tmp_path: Path) -> None:
    main(job(directory, tmp_path / "results"))
    split_into_shards(directory)
    main(job(directory, tmp_path / "results"))
    published = {path.name for path in (tmp_path / "results" / "models" / "mine").iterdir()}
    assert "model.safetensors" not in published
    assert "model-00002-of-00002.safetensors" in published


def test_shards_with_other_names_are_published(directory: Path, tmp_path: Path) -> None:
    other_names_of_shards(directory)
    main(job(directory, tmp_path / "results"))
    published = tmp_path / "results" / "models" / "mine"
    weights = ["consolidated 1 of 2.é.safetensors", "consolidated 2 of 2.é.safetensors", "model.safetensors.index.json"]
    assert sorted(path.name for path in published.iterdir() if "safetensors" in path.name) == weights
    assert check_model_directory(published, "mine") == 0
    # Of them nothing is left where another model takes their place.
    main(job(make_tiny_gpt2(tmp_path / "other"), tmp_path / "results"))
    assert [path.name for path in published.iterdir() if "safetensors" in path.name] == ["model.safetensors"]


def with_prefix_and_masks(tensors: dict[str, np.ndarray]) -> None:
    for name in list(tensors):
        tensors[f"transformer.{name}"] = tensors.pop(name)
    tensors["transformer.h.0.attn.masked_bias"] = np.array(-np.inf, dtype=np.float32)
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].copy()


SOUND: dict[str, Callable[[Path], object]] = {
    "shards": split_into_shards,
    "shards with other names": other_names_of_shards,
    "prefix, masks and unembedding": edit_tensors(with_prefix_and_masks),
    "float16": as_type(np.float16),
    "float64": as_type(np.float64),
    "bfloat16": as_bfloat16,
    "n_inner written out": edit_config(n_inner=64),
    "no tokenizer_config": remove("tokenizer_config.json"),
}


@pytest.mark.parametrize("case", SOUND)
def test_other_sound_forms_are_accepted(case: str, directory: Path) -> None:
    SOUND[case](directory)
    check_model_directory(directory, "mine")


def test_every_value_of_a_large_tensor_is_read(tmp_path: Path) -> None:
    directory = make_tiny_gpt2(tmp_path / "tiny", width=64, positions=140_000)
    check_model_directory(directory, "mine")
    edit_tensors(lambda t: t["wpe.weight"].__setitem__((-1, -1), np.nan))(directory)
    with pytest.raises(SvdlensError, match=r"1 of the 8960000 values of the tensor 'wpe\.weight'"):
        check_model_directory(directory, "mine")


def test_only_weights_config_and_tokenizer_belong_to_a_model() -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    other = [
        "pytorch_model.bin",
        "evil.py",
        "flax_model.msgpack",
        "onnx/model.safetensors",
        "x.safetensors",
        "README.md",
    ]
    common = ["added_tokens.json", "config.json", "merges.txt", "tokenizer.json", "vocab.json"]
    other += ["vocab.txt", "tokenizer.model"]  # tokenizer.json says the same
    available = [*common, *shards, *other]
    assert model_file_names(available, shards[:2]) == sorted([*common, *shards])
    single = [*available, "model.safetensors"]
    assert model_file_names(single, shards[:2]) == sorted([*common, "model.safetensors"])
