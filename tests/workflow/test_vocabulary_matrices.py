"""A sweep over unembedding and embedding themselves: what comes out, and that everything after the lists takes it."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from svdlens.spec.settings import list_key, setting_from_names, svd_key
from svdlens.sweep import paths
from workflow import SWEEP, Workflow

pytest_plugins = ["workflow_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.workflow]

FLAGS = ["fold_ln", "center_writing_weights", "center_unembed"]
SETTINGS = {"raw": [], "tl_default": FLAGS, "centred": ["vocab_center"]}


@pytest.fixture(scope="module")
def swept(project, tmp_path_factory) -> Workflow:
    """Everything of a tiny model in three settings, a matrix of its layers beside the two of its vocabulary."""
    from workflow import new_workflow

    tables = [{"matrix": "unembed"}, {"matrix": "embed"}, {"matrix": "mlp_in", "layer": 0}]
    sweep = SWEEP["sweep"] | {"settings": list(SETTINGS), "matrices": ["mlp_in", "unembed", "embed"]}
    models = {name: entry | {"token_tables": tables} for name, entry in SWEEP["models"].items()}
    drawn = {"figures": {"select": "all"}}
    config = SWEEP | {"sweep": sweep, "models": models, "settings": SETTINGS} | drawn
    workflow = new_workflow(project, tmp_path_factory.mktemp("swept"), config)
    workflow.finish()
    return workflow


def weights(workflow: Workflow, setting: str) -> dict[str, np.ndarray]:
    """W_U and W_E [d_model, d_vocab] of the model's file as a setting wants them, by hand, float64."""
    raw = load_file(workflow.directory / "source/model.safetensors")
    tensors = {name.removeprefix("transformer."): tensor.astype(np.float64) for name, tensor in raw.items()}
    W_E = tensors["wte.weight"].T
    W_U = tensors.get("lm_head.weight", tensors["wte.weight"]).T
    if setting == "tl_default":
        W_E = W_E - W_E.mean(axis=0)
        W_U = W_U * tensors["ln_f.weight"][:, None]
        W_U = W_U - W_U.mean(axis=0)
    if setting != "raw":
        W_U = W_U - W_U.mean(axis=1, keepdims=True)
    return {"unembed": W_U, "embed": W_E}


@pytest.mark.parametrize("setting", list(SETTINGS))
@pytest.mark.parametrize("matrix", ["unembed", "embed"])
def test_the_files_are_those_of_the_matrix(swept: Workflow, matrix: str, setting: str) -> None:
    W, made = weights(swept, setting)[matrix], setting_from_names(setting, SETTINGS[setting])
    place = {"model": "tiny", "setting": setting, "matrix": matrix}
    svd = load_file(swept.directory / paths.SVD.format(**place, **svd_key(made, matrix)))
    expected = W if matrix == "unembed" else W.T
    (left,), (right,), (values,) = svd["left"], svd["right"], svd["values"]
    dense = np.linalg.svd(expected, compute_uv=False)
    np.testing.assert_allclose(values, dense, atol=1e-5 * dense[0])
    if len(left) == len(dense):
        np.testing.assert_allclose(left.T * values @ right, expected, atol=1e-4 * dense[0])

    tokens = pd.read_parquet(swept.directory / paths.TOKENS.format(**place), partitioning=None)
    assert tokens["layer"].isna().all() and tokens["head"].isna().all()
    assert set(tokens["side"]) == {"read" if matrix == "unembed" else "write"}
    # Through the same matrix a list is that of the vector over the vocabulary, directly.
    over_tokens = right if matrix == "unembed" else left
    if matrix == "unembed":
        for row in tokens[tokens["readout"] == "W_U"].to_dict("records"):
            scores = row["sign"] * values[row["index"]] * over_tokens[row["index"]]
            np.testing.assert_allclose(row["scores"], np.sort(scores)[::-1][: len(row["scores"])], atol=1e-4 * dense[0])
            np.testing.assert_allclose(scores[row["token_ids"]], row["scores"], atol=1e-4 * dense[0])


def test_settings_share_what_they_have_in_common(swept: Workflow) -> None:
    """vocab_center touches the unembedding and not the embedding, whose lists through W_U it leaves alone."""
    keys = {name: setting_from_names(name, switches) for name, switches in SETTINGS.items()}
    shared = {
        matrix: list_key(keys["raw"], matrix, ["W_U"]) == list_key(keys["centred"], matrix, ["W_U"])
        for matrix in ("unembed", "embed")
    }
    assert shared == {"unembed": False, "embed": True}
    place = {"model": "tiny", "matrix": "embed"}
    lists = [
        pd.read_parquet(swept.directory / paths.TOKENS.format(**place, setting=name), partitioning=None)
        for name in ("raw", "centred")
    ]
    assert lists[0]["token_ids"].map(list).tolist() == lists[1]["token_ids"].map(list).tolist()


def test_tables_have_shares_of_the_matrix_and_none_of_layers(swept: Workflow) -> None:
    fractions = pd.read_parquet(swept.results / "tables/fractions.parquet")
    groups = fractions.groupby("matrix", observed=True)["group"].unique().map(set)
    assert groups["unembed"] == groups["embed"] == {"all", "index"}
    assert groups["mlp_in"] == {"all", "layer", "index"}
    spectra = pd.read_parquet(swept.results / "tables/spectra.parquet")
    assert spectra[spectra["matrix"] == "unembed"]["layer"].isna().all()


def test_pictures_and_explorer_have_them(swept: Workflow) -> None:
    drawn = {path.stem for path in (swept.results / "figures/tiny/raw").glob("*.png")}
    assert {"token_table_unembed", "token_table_embed", "spectra_unembed", "token_table_mlp_in_L0"} <= drawn
    by_layer = pd.read_csv(swept.results / "figures/fraction_by_layer_raw.csv")
    assert set(by_layer["matrix"]) == {"mlp_in"}
    by_matrix = pd.read_csv(swept.results / "figures/fraction_by_matrix.csv")
    assert set(by_matrix["matrix"]) == {"mlp_in", "unembed", "embed"}
    catalogue = (swept.results / "explorer/data/catalogue.js").read_text()
    entry = json.loads(catalogue[catalogue.index("{") : catalogue.rindex("}") + 1])
    assert [list(model["matrices"]) for model in entry["models"]] == [["mlp_in", "unembed", "embed"]]


@pytest.mark.parametrize(
    ("target", "config", "said"),
    [
        ("examples", {}, "computed of what layers read and write"),
        ("trace", {"trace": {"queries": {"one": ["a"]}}}, "trace: it searches what layers read and write"),
        ("results/exports/tiny/raw/unembed_read.json", {}, "unembed is of no layer"),
        ("results/effects/model=tiny/setting=raw/unembed.parquet", {}, "unembed is no matrix in which directions are"),
    ],
)
def test_what_is_of_layers_alone_says_so(swept: Workflow, target: str, config: dict, said: str) -> None:
    alone = {"sweep": {"matrices": ["unembed"]}} | config
    run = swept.run("--dry-run", target, config=alone)
    assert run.status != 0
    assert said in run.printed, run.printed
