"""The table of effects: which row is which, own tokens, null space, texts and words that cannot be taken."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from svdlens.artefacts.table_schemas import EFFECTS, read_metadata, write_table
from svdlens.edit.updates import EDITED
from svdlens.effects.effects_table import OWN_TOKENS, WINDOW, effect_columns, effect_windows, own_tokens, updates_of_svd
from svdlens.effects.metrics import target_ids
from svdlens.effects.slopes import direct_effects, measure_effects
from svdlens.errors import SvdlensError
from svdlens.models.load import load_model
from svdlens.models.token_windows import first_token, read_text
from svdlens.spec.architectures import ARCHITECTURES
from svdlens.spec.matrix_kinds import SCALED
from svdlens.spec.settings import Setting
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.sweep.plan import LAYOUTS
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.weight_files import WeightFile
from sweep_configs import sweep_with
from tiny import make_tiny

LAYERS, HEADS, DIRECTIONS = 2, 4, 3
WINDOWS = torch.randint(1, 300, (2, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module, dict[str, np.ndarray]]:
    """A model, and the SVD of its OV matrices, of which those of the first layer have a direction of null space."""
    directory = tmp_path_factory.mktemp("gpt2")
    model = make_tiny("gpt2", directory / "tiny", LAYERS)
    files = {group: directory / f"{group}.safetensors" for group in GROUPS}
    extract_weights(model, files)
    task = Task("ov", Setting(), DIRECTIONS)
    found = decompose_layers(WeightFile(files["attention"]), task, range(LAYERS))
    svd = {name: array.numpy() for name, array in found.items()}
    svd["values"][0, :, 2:] = 0.0
    return model, load_model(model, "tiny"), svd


def made_up_lists() -> pd.DataFrame:
    """Lists of both sides and two read-outs, in an order of no meaning, ids that tell where they belong."""
    rows = [
        {
            "layer": layer, "head": head, "index": index, "side": side, "sign": sign, "readout": readout,
            "token_ids": np.arange(30)
            + (0 if (side, readout) == ("write", "W_U") else 100)
            + 5 * (layer * 24 + head * 6 + index * 2 + (sign < 0)),
        }
        for readout in ("W_U", "W_E") for side in ("read", "write")
        for layer in range(LAYERS) for head in range(HEADS) for index in range(DIRECTIONS) for sign in (1, -1)
    ]  # fmt: skip
    first, others = rows[:1], rows[1:]
    np.random.default_rng(0).shuffle(others)
    return pd.DataFrame([*first, *others])


def test_own_tokens_are_those_of_the_writing_side_in_the_order_of_the_file() -> None:
    ids = own_tokens(made_up_lists(), LAYERS * HEADS, DIRECTIONS)
    assert ids.shape == (LAYERS * HEADS, 2, DIRECTIONS, OWN_TOKENS)
    for at, sign, index in np.ndindex(ids.shape[:3]):
        first = 5 * (at * 6 + index * 2 + sign)
        assert ids[at, sign, index].tolist() == list(range(first, first + OWN_TOKENS))


def test_rows_are_of_the_directions_they_name(tiny, tmp_path: Path) -> None:
    _, model, svd = tiny
    updates = updates_of_svd(model, "ov", Setting(), svd)
    _, effects = measure_effects(model, WINDOWS, updates)
    lists = made_up_lists()
    columns = effect_columns(model, "ov", svd, updates, effects, lists)
    write_table(tmp_path / "effects.parquet", columns, EFFECTS, {"metric": "loss"})
    assert read_metadata(tmp_path / "effects.parquet")["metric"] == "loss"
    table = pd.read_parquet(tmp_path / "effects.parquet").set_index(["layer", "head", "index", "sign"])
    assert len(table) == LAYERS * HEADS * DIRECTIONS * 2 and table.index.is_unique
    written = lists[(lists["side"] == "write") & (lists["readout"] == "W_U")].set_index(table.index.names)["token_ids"]
    for at, (update, effect) in enumerate(zip(updates, effects, strict=True)):
        for index in range(DIRECTIONS):
            for sign in (1, -1):
                row = table.loc[(at // HEADS, at % HEADS, index, sign)]
                if at < HEADS and index == 2:  # null space has no score
                    assert row[["first_order", "direct_effect", "mean_activation", "rms_activation"]].isna().all()
                    continue
                ids = torch.tensor(np.array([written[at // HEADS, at % HEADS, i, sign] for i in range(DIRECTIONS)]))
                assert row["first_order"] == effect.slope[index].item()
                assert row["direct_effect"] == direct_effects(model, update, effect, ids[:, :OWN_TOKENS])[index].item()
                assert row["mean_activation"] == sign * effect.activation[index].item()
                assert row["rms_activation"] == effect.square[index].sqrt().item()


def test_every_matrix_with_a_weight_to_scale_has_effects() -> None:
    assert set(SCALED) == set(EDITED)


def test_encoders_and_qk_have_no_effects() -> None:
    sweep = sweep_with(sweep={"models": ["own", "encoder", "rotary"], "matrices": ["ov", "mlp_in", "qk"]})
    assert {place[:1] + place[2:] for place in sweep.effect_places} == {("own", "ov"), ("own", "mlp_in")}
    assert {place.model for place in sweep.card_places} == {"own", "encoder"}
    assert set(LAYOUTS) == set(ARCHITECTURES)


# --- texts and words


def test_a_text_is_read_in_windows_of_what_the_model_takes(tiny) -> None:
    directory, model, _ = tiny
    windows = effect_windows("the cat sat on a mat " * 50, model, directory, 100)
    assert windows.shape == (3, 32)
    assert WINDOW > 32
    short = effect_windows("a cat", model, directory, 100)
    assert short.shape[0] == 1 and 2 < short.shape[1] < 32
    metric, _ = measure_effects(model, short, [])
    assert np.isfinite(metric)


def test_a_text_of_one_token_is_refused_where_nothing_follows_it(tiny) -> None:
    directory, model, _ = tiny
    assert first_token(model) == []
    with pytest.raises(SvdlensError, match=r"effects\.text: 'a' is a single token .* Give a text with at least"):
        effect_windows("a", model, directory, 100)
    model.config.bos_token_id, none = 300, model.config.bos_token_id
    assert effect_windows("a", model, directory, 100).tolist() == [[300, *target_ids(["a"], directory)[:1]]]
    assert effect_windows("a cat " * 20, model, directory, 100).shape[1] == 32
    model.config.bos_token_id = none


@pytest.mark.parametrize(("content", "message"), [(b"caf\xe9", "is no text in UTF-8"), (b" \n", "has no text")])
def test_a_file_without_text_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(SvdlensError, match=rf"own\.txt {message}"):
        read_text(tmp_path / "own.txt")


def test_words_of_a_metric_are_single_tokens(tiny) -> None:
    directory, _, _ = tiny
    ids = target_ids(["a", "b"], directory)
    assert len(ids) == 4  # each with and without a space
    assert target_ids(["b", " b"], directory) == [*target_ids(["b"], directory)]
    with pytest.raises(SvdlensError, match=r"effects\.metric: 'fire' is no single token .* makes \d+ of it.* whole"):
        target_ids(["a", "fire"], directory)
    with pytest.raises(SvdlensError, match="'火' is no single token"):
        target_ids(["火"], directory)
