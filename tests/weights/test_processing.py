"""A setting does to the weights what TransformerLens does, and changes nothing else.

TransformerLens is the oracle at all eight corners of its three flags. The invariances are those of the design: which
switches cannot change which SVD or which list of tokens.
"""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from svdlens.errors import SvdlensError
from svdlens.readout.control_directions import random_unit_directions, seeded
from svdlens.readout.top_tokens import ReadoutMatrix, top_tokens
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import MATRIX_KINDS
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import FLAGS, SWITCHES, Setting, list_key, setting_from_names, svd_key
from svdlens.svd.matrix_svd import decompose_dense, decompose_product
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.factors import factors, processed_weights, unembed
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny_gpt2

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
NINE = {name: setting_from_names(name, CONFIG["settings"][name]) for name in CONFIG["sweep"]["settings"]}
LAYERS = 2
NAMES = ["embed.W_E", "unembed.W_U"] + [
    f"blocks.{layer}.{name}"
    for layer in range(LAYERS)
    for name in ("attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O", "mlp.W_in", "mlp.W_out")
]
MATRICES = list(ARCHITECTURES["gpt2"].matrices)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gpt2(tmp_path_factory.mktemp("model") / "tiny", layers=LAYERS)


@pytest.fixture(scope="module")
def files(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, WeightFile]:
    directory = tmp_path_factory.mktemp("weights")
    outputs = {group: directory / f"{group}.safetensors" for group in GROUPS}
    extract_weights(tiny, outputs)
    return {group: WeightFile(path) for group, path in outputs.items()}


def layer_factors(files: dict[str, WeightFile], matrix: str, layer: int, setting: Setting) -> list[torch.Tensor]:
    kind = MATRIX_KINDS[matrix]
    return list(factors(files[kind.weight_group], matrix, layer if kind.in_layers else None, setting))


# --- TransformerLens as the oracle


@pytest.mark.parametrize("corner", list(itertools.product([False, True], repeat=3)), ids=str)
def test_settings_equal_transformer_lens(corner: tuple[bool, ...], tiny: Path, files: dict[str, WeightFile]) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    flags = dict(zip(FLAGS, corner, strict=True))
    bridge = TransformerBridge.boot_transformers(str(tiny), device="cpu", dtype=torch.float32)
    bridge.enable_compatibility_mode(disable_warnings=True, **flags)
    expected = bridge.tl_parameters()

    setting = setting_from_names("corner", [flag for flag, chosen in flags.items() if chosen])
    ours = processed_weights(files["attention"], files["mlp"], files["unembed"], setting)
    assert sorted(ours) == sorted(NAMES)
    for name in NAMES:
        assert ours[name].dtype == torch.float32
        torch.testing.assert_close(ours[name], expected[name].detach(), rtol=0, atol=1e-6, msg=lambda m, n=name: n + m)


def test_the_model_of_these_tests_can_tell_settings_apart(files: dict[str, WeightFile]) -> None:
    """Every switch changes what it names by far more than the tolerance above."""

    def processed(setting: Setting) -> dict[str, torch.Tensor]:
        return processed_weights(files["attention"], files["mlp"], files["unembed"], setting)

    reading = {name for name in NAMES if name.endswith(("W_Q", "W_K", "W_V", "W_in"))}
    writing = {name for name in NAMES if name.endswith(("W_O", "W_out", "W_E"))}
    expected = {
        "read_gain": reading,
        "read_center": reading,
        "write_center": writing,
        "unembed_gain": {"unembed.W_U"},
        "unembed_center": {"unembed.W_U"},
        "vocab_center": {"unembed.W_U"},
    }
    raw = processed(Setting())
    for switch in SWITCHES:
        switched = processed(Setting(**{switch: True}))
        changes = {name: (switched[name] - raw[name]).abs().max().item() for name in NAMES}
        assert {name for name, change in changes.items() if change > 1e-3} == expected[switch], switch
        assert all(changes[name] == 0 for name in set(NAMES) - expected[switch]), switch


# --- names and keys


def test_flags_stand_for_their_switches() -> None:
    assert setting_from_names("raw", []) == Setting()
    assert setting_from_names("post2022", ["read_gain"]) == Setting(read_gain=True)
    assert setting_from_names("all", list(FLAGS)) == Setting(*[True] * 6)
    fold = Setting(read_gain=True, read_center=True, unembed_gain=True, unembed_center=True)
    assert setting_from_names("fold", ["fold_ln"]) == fold
    assert setting_from_names("twice", ["read_gain", "fold_ln", "fold_ln"]) == fold
    assert set(itertools.chain.from_iterable(FLAGS.values())) == set(SWITCHES)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("read_gian", "read_gain"), ("fold_nl", "fold_ln"), ("centre_unembed", "center_unembed")]
)
def test_an_unknown_switch_is_refused_with_a_suggestion(wrong: str, meant: str) -> None:
    with pytest.raises(SvdlensError) as error:
        setting_from_names("mine", ["write_center", wrong])
    message = str(error.value)
    assert message.startswith(f"settings.mine: {wrong!r} ")
    assert message.endswith(f"Did you mean {meant!r}?")
    assert all(name in message for name in [*SWITCHES, *FLAGS])


def test_an_unknown_switch_like_nothing_known_gets_no_suggestion() -> None:
    with pytest.raises(SvdlensError, match=r"'zzz' is no switch(?!.*Did you mean)"):
        setting_from_names("mine", ["zzz"])


def test_nine_settings_share_few_decompositions() -> None:
    settings = list(NINE.values())
    assert len(settings) == len(set(settings)) == 9
    distinct = {
        matrix: len({tuple(svd_key(setting, matrix).items()) for setting in settings})
        for matrix in ("ov", "mlp_in", "mlp_out")
    }
    assert distinct == {"ov": 5, "mlp_in": 3, "mlp_out": 2}


@pytest.mark.parametrize(
    ("readouts", "distinct"),
    [
        (["W_U"], {"ov": 5, "qk": 3, "mlp_in": 3, "mlp_out": 4}),
        (["W_E"], {"ov": 5, "qk": 5, "mlp_in": 5, "mlp_out": 2}),
        (["pinv_W_E"], {"ov": 5, "qk": 5, "mlp_in": 5, "mlp_out": 2}),
        (["W_E", "W_U"], {"ov": 5, "qk": 5, "mlp_in": 5, "mlp_out": 4}),
    ],
    ids=str,
)
def test_nine_settings_share_few_lists_of_tokens(readouts: list[str], distinct: dict[str, int]) -> None:
    """That lists with one key are in fact the same, and those with others not, is in test_projection.py."""
    keys = {matrix: {str(list_key(setting, matrix, readouts)) for setting in NINE.values()} for matrix in distinct}
    assert {matrix: len(keys_of_matrix) for matrix, keys_of_matrix in keys.items()} == distinct


def sharing(matrix: str) -> list[set[str]]:
    """The nine settings, those together that share their lists through W_U."""
    names: dict[str, set[str]] = {}
    for name, setting in NINE.items():
        names.setdefault(str(list_key(setting, matrix, ["W_U"])), set()).add(name)
    return list(names.values())


def test_which_of_the_nine_settings_share_their_lists() -> None:
    assert sharing("ov") == [
        {"raw", "unembed"},
        {"fold", "fold_unembed"},
        {"write", "write_unembed"},
        {"fold_write", "tl_default"},
        {"post2022"},
    ]
    # Writing weights are nothing to the matrices that read.
    reading = [{"raw", "unembed", "write", "write_unembed"}, {"fold", "fold_unembed", "fold_write", "tl_default"}]
    assert sharing("mlp_in") == sharing("qk") == [*reading, {"post2022"}]
    # Nor is the gain of the norm before it to the one that writes.
    assert sharing("mlp_out") == [
        {"raw", "unembed", "post2022"},
        {"fold", "fold_unembed"},
        {"write", "write_unembed"},
        {"fold_write", "tl_default"},
    ]


settings = st.builds(Setting, *[st.booleans()] * 6)
matrices = st.sampled_from(list(MATRIX_KINDS))
some_readouts = st.lists(st.sampled_from(list(READOUTS)), min_size=1, unique=True)


@given(settings, matrices, some_readouts)
def test_switches_that_change_no_list_are_off_in_its_key(setting, matrix, readouts):
    """The key is a setting itself: the one with the fewest switches that has these lists, and this SVD."""
    key = list_key(setting, matrix, readouts)
    assert list(key) == list(SWITCHES)
    fewest = Setting(**{switch: value == "on" for switch, value in key.items()})
    assert all(getattr(setting, switch) for switch in key if getattr(fewest, switch))
    assert list_key(fewest, matrix, readouts) == key
    assert svd_key(fewest, matrix) == svd_key(setting, matrix)
    # vocab_center makes no other lists, but of the unembedding itself; the order of the read-outs is nothing to them.
    toggled = list_key(replace(setting, vocab_center=not setting.vocab_center), matrix, readouts[::-1])
    assert (toggled == key) == (matrix != "unembed")
    # More read-outs never share more.
    for readout in readouts:
        fewer = list_key(setting, matrix, [readout])
        assert all(key[switch] == "on" for switch, value in fewer.items() if value == "on")


@given(settings, settings, matrices, some_readouts)
def test_settings_with_one_key_agree_in_every_switch_that_matters(one, other, matrix, readouts):
    relevant = {*MATRIX_KINDS[matrix].svd_switches, *(name for each in readouts for name in READOUTS[each].switches)}
    agree = all(getattr(one, switch) == getattr(other, switch) for switch in relevant)
    assert (list_key(one, matrix, readouts) == list_key(other, matrix, readouts)) == agree


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_key_of_an_svd_names_exactly_the_switches_that_change_its_matrix(
    matrix: str, files: dict[str, WeightFile]
) -> None:
    """So settings share a file when, and only when, they share an SVD."""
    touched = {
        "ov": {"read_gain", "read_center", "write_center"},
        "qk": {"read_gain", "read_center"},
        "mlp_in": {"read_gain", "read_center"},
        "mlp_out": {"write_center"},
        "unembed": {"unembed_gain", "unembed_center", "vocab_center"},
        "embed": {"write_center"},
    }[matrix]
    raw = layer_factors(files, matrix, 1, Setting())
    for switch in SWITCHES:
        setting = Setting(**{switch: True})
        switched = layer_factors(files, matrix, 1, setting)
        same = all(torch.equal(one, other) for one, other in zip(raw, switched, strict=True))
        assert same == (switch not in touched), switch
        assert (svd_key(setting, matrix) == svd_key(Setting(), matrix)) == same, switch
        assert list(svd_key(setting, matrix)) == list(SWITCHES)
        assert svd_key(setting, matrix)[switch] == ("on" if switch in touched else "off")


def test_the_gate_is_read_like_the_other_matrix_of_an_mlp_that_reads() -> None:
    """Its numbers are in test_architectures.py: GPT-2 has none."""
    gate, other = MATRIX_KINDS["mlp_gate"], MATRIX_KINDS["mlp_in"]
    for fact in ("svd_switches", "sign_side", "sides", "norm", "weight_group", "per"):
        assert getattr(gate, fact) == getattr(other, fact), fact
    assert set(MATRIX_KINDS) == {matrix for entry in ARCHITECTURES.values() for matrix in entry.matrices}


# --- invariances of the read-out


def vectors(files: dict[str, WeightFile], matrix: str, side: str, setting: Setting) -> torch.Tensor:
    """Singular vectors of both layers on one side, without those of null space."""
    found = []
    for layer in range(LAYERS):
        parts = layer_factors(files, matrix, layer, setting)
        if len(parts) == 2:
            decompositions = [decompose_product(*pair, 99) for pair in zip(*parts, strict=True)]
        else:
            decompositions = [decompose_dense(parts[0], 99)]
        for one in decompositions:
            found.append(getattr(one, MATRIX_KINDS[matrix].sides[side].array)[one.values > 1e-6 * one.values[0]])
    return torch.cat(found)


def lists_of(directions: torch.Tensor, files: dict[str, WeightFile], setting: Setting) -> dict[int, list]:
    found = top_tokens(directions, ReadoutMatrix(unembed(files["unembed"], setting)), 20)
    return {sign: tokens.ids.tolist() for sign, tokens in found.items()}


@pytest.mark.parametrize(
    "others", [[], ["fold_ln"], ["fold_ln", "center_writing_weights"]], ids=lambda names: " ".join(names) or "raw"
)
def test_vocab_center_changes_no_list(others: list[str], files: dict[str, WeightFile]) -> None:
    setting = setting_from_names("test", others)
    directions = random_unit_directions(50, 16, seeded(1))
    centred = replace(setting, vocab_center=True)
    assert lists_of(directions, files, centred) == lists_of(directions, files, setting)
    # It is no empty promise: the scores of a direction do change, all by one constant.
    before, after = (directions @ unembed(files["unembed"], one) for one in (setting, centred))
    change = after - before
    assert change.abs().max() > 1e-3
    assert (change - change[:, :1]).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("matrix", "side", "centring"),
    [
        ("ov", "write", "write_center"),
        ("mlp_out", "write", "write_center"),
        ("ov", "read", "read_center"),
        ("mlp_in", "read", "read_center"),
        ("qk", "query", "read_center"),
        ("qk", "key", "read_center"),
    ],
)
@pytest.mark.parametrize("gain", [False, True])
def test_unembed_center_changes_nothing_for_centred_vectors(
    matrix: str, side: str, centring: str, gain: bool, files: dict[str, WeightFile]
) -> None:
    plain = Setting(unembed_gain=gain)
    centred = replace(plain, unembed_center=True)
    orthogonal_to_ones = vectors(files, matrix, side, Setting(read_gain=gain, **{centring: True}))
    assert orthogonal_to_ones.sum(dim=1).abs().max() < 1e-10
    assert lists_of(orthogonal_to_ones, files, centred) == lists_of(orthogonal_to_ones, files, plain)
    # Without that centring the lists do change: the test can fail.
    others = vectors(files, matrix, side, Setting(read_gain=gain))
    assert lists_of(others, files, centred) != lists_of(others, files, plain)
