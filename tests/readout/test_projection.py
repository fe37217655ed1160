"""What is read as tokens: vectors as each read-out takes them, controls, and lists that one setting has from another.

The scripts run in this process, on weights with random numbers in them: no two scores are equal by accident.
"""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from random_weights import normal, write_weights
from svdlens.artefacts.table_schemas import read_metadata
from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.control_directions import gaussian_directions, random_unit_directions, rotated_directions, seeded
from svdlens.readout.projection import residual_vectors
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.token_table import token_columns, with_vocab_center
from svdlens.readout.top_tokens import TopTokens
from svdlens.spec.controls import CONTROLS
from svdlens.spec.settings import Setting, setting_from_names, svd_key, twin_setting
from svdlens.weights.weight_files import WeightFile
from tiny import save_tokenizer
from workflow import PROJECT, Files

LAYERS, HEADS, WIDTH, VOCABULARY, DIRECTIONS = 2, 2, 64, 320, 6
K, N_RANDOM, SEED = 20, 30, 7
CATALOGUE = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["settings"]
NINE = {name: setting_from_names(name, switches) for name, switches in CATALOGUE.items()}
MATRICES = {"ov": "attention", "qk": "attention", "mlp_in": "mlp", "mlp_out": "mlp"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, tokenizer and provenance of a model, as the rules before the read-out leave them."""
    place = tmp_path_factory.mktemp("results")
    for group, seed in (("attention", 0), ("mlp", 1)):
        write_weights(place / f"{group}.safetensors", LAYERS, HEADS, WIDTH, 8, 96, seed)
    generator = np.random.default_rng(2)
    shapes = {"unembed.W_U": (WIDTH, VOCABULARY), "embed.W_E": (VOCABULARY, WIDTH), "ln_final.w": (WIDTH,)}
    # No mean is 0, so that every centring changes something.
    tensors = {name: torch.from_numpy(0.5 + generator.standard_normal(shape)).float() for name, shape in shapes.items()}
    save_file(tensors, place / "unembed.safetensors")
    save_tokenizer(VOCABULARY, place)
    facts = {"model": "mine", "revision": None, "rotary": False, "files": {"model.safetensors": {"sha256": "00ff"}}}
    (place / "provenance.json").write_text(json.dumps(facts))
    return place


def svd_of(results: Path, matrix: str, setting: Setting) -> Path:
    key = svd_key(setting, matrix)
    path = results / f"{'_'.join(key.values())}_{matrix}.safetensors"
    if not path.exists():
        job = SimpleNamespace(
            wildcards=Files(key | {"matrix": matrix}),
            input=SimpleNamespace(weights=results / f"{MATRICES[matrix]}.safetensors"),
            output=SimpleNamespace(svd=path),
            params=SimpleNamespace(directions=DIRECTIONS, weight_noise=0.01, seed=0),
            resources={},
            threads=1,
        )
        importlib.import_module("decompose_matrices").main(job)
    return path


def outputs(directory: Path) -> dict[str, Path]:
    return {name: directory / f"{name}.parquet" for name in ("tokens", *CONTROLS)}


def project(
    results: Path, matrix: str, setting: str, readouts: list[str], directory: Path, threads: int = 1
) -> dict[str, Path]:
    """project_directions for one of the nine settings: the paths of its tables."""
    job = SimpleNamespace(
        wildcards=SimpleNamespace(matrix=matrix, setting=setting),
        input=SimpleNamespace(
            provenance=results / "provenance.json",
            unembed=results / "unembed.safetensors",
            weights=results / f"{MATRICES[matrix]}.safetensors",
            svd=svd_of(results, matrix, NINE[setting]),
        ),
        output=Files(outputs(directory)),
        params=SimpleNamespace(
            switches=CATALOGUE[setting], code="0", readouts=readouts, controls=CONTROLS, tokens=K, n_random=N_RANDOM,
            seed=SEED,
        ),
        resources={},
        threads=threads,
    )  # fmt: skip
    importlib.import_module("project_directions").main(job)
    return outputs(directory)


def derive(results: Path, matrix: str, setting: str, shift: bool, twin: dict[str, Path], directory: Path) -> dict:
    job = SimpleNamespace(
        wildcards=SimpleNamespace(matrix=matrix, setting=setting),
        input=Files({**twin, "provenance": results / "provenance.json"}),
        output=Files(outputs(directory)),
        params=SimpleNamespace(switches=CATALOGUE[setting], code="0", shift=shift),
    )
    importlib.import_module("derive_tokens").main(job)
    return outputs(directory)


def read(path: Path) -> pa.Table:
    """The file alone: nothing from the names of its directories."""
    return pq.ParquetFile(path).read()


def check_scores(table: pa.Table, directions: np.ndarray, matrix: np.ndarray) -> None:
    """Every list of a table, row by row, against scores in float64: both signs of each direction."""
    scores = np.repeat(directions.astype(np.float64), 2, axis=0) @ matrix
    scores[1::2] *= -1
    ids = np.stack(table["token_ids"].to_numpy())
    np.testing.assert_array_equal(ids, np.argsort(-scores, axis=1, kind="stable")[:, :K])
    np.testing.assert_allclose(
        np.stack(table["scores"].to_numpy()),
        np.take_along_axis(scores, ids, axis=1),
        rtol=0,
        atol=1e-5 * np.abs(scores).max(),
    )
    np.testing.assert_allclose(table["mean_score"].to_numpy(), scores.mean(axis=1), atol=1e-12 * np.abs(scores).max())


# --- lists that one setting has from another


@pytest.mark.parametrize("readouts", [["W_U"], ["W_E"], ["pinv_W_E", "W_U"]], ids=" ".join)
@pytest.mark.parametrize("matrix", MATRICES)
def test_what_is_derived_from_a_twin_is_what_would_be_projected(
    matrix: str, readouts: list[str], results: Path, tmp_path: Path
) -> None:
    """For each of the nine settings, all tables, to the byte. And nothing is projected twice through W_U: settings with
    other twins have other lists. (Through W_E they need not: vectors that are centred do not see write_center.)
    """
    twins = {name: twin_setting(name, NINE, matrix, readouts) for name in NINE}
    projected = {name: project(results, matrix, name, readouts, tmp_path / name) for name in NINE}
    ids = {name: read(paths["tokens"])["token_ids"].to_pylist() for name, paths in projected.items()}
    for name, twin in twins.items():
        for other in NINE if readouts == ["W_U"] else []:
            assert (ids[name] == ids[other]) == (twin == twins[other]), (name, other)
        if twin == name:
            continue
        shift = NINE[name].vocab_center and not NINE[twin].vocab_center
        derived = derive(results, matrix, name, shift, projected[twin], tmp_path / "derived")
        for table, path in derived.items():
            expected = projected[name][table]
            assert read(path).equals(read(expected)), (name, twin, table)
            assert path.read_bytes() == expected.read_bytes(), (name, twin, table)


@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_a_derived_list_is_that_of_an_unembedding_centred_over_the_vocabulary(
    matrix: str, results: Path, tmp_path: Path
) -> None:
    twin = project(results, matrix, "raw", ["W_U"], tmp_path / "raw")
    derived = derive(results, matrix, "unembed", True, twin, tmp_path / "unembed")
    W_U = load_file(results / "unembed.safetensors")["unembed.W_U"].numpy().astype(np.float64)
    centred = W_U - W_U.mean(axis=1, keepdims=True)
    svd = load_file(svd_of(results, matrix, Setting()))
    arrays = ["right"] if matrix == "mlp_out" else ["left", "right"]
    directions = np.concatenate([svd[array].numpy().reshape(-1, WIDTH) for array in arrays])
    table = read(derived["tokens"])
    check_scores(table, directions, centred)
    assert table["mean_score"].to_numpy().tolist() == [0.0] * len(table)
    assert np.abs(read(twin["tokens"])["mean_score"].to_numpy()).max() > 0.1
    directions = random_unit_directions(N_RANDOM, WIDTH, seeded(SEED, matrix, "random_unit")).numpy()
    check_scores(read(derived["random_unit"]), directions, centred)
    assert read_metadata(derived["tokens"])["setting"] == ["center_unembed"]
    # Tokens are the texts of their ids, bytes that are no UTF-8 among them.
    texts = read_vocabulary(results)
    assert table["tokens"].to_pylist() == [[texts[id] for id in ids] for ids in table["token_ids"].to_pylist()]
    assert any(text.startswith("\\x") for text in table["tokens"][0].as_py())


@given(n=st.integers(1, 5), k=st.integers(1, 6), seed=st.integers(0, 2**32 - 1), first=st.booleans())
def test_vocab_center_takes_the_mean_from_scores_through_the_unembedding_and_leaves_all_else(n, k, seed, first):
    generator = np.random.default_rng(seed)

    def found() -> dict[int, TopTokens]:
        scores = 10 * generator.standard_normal((2, n, k)).astype(np.float32)
        ids, means = generator.integers(0, 9, (2, n, k)), generator.standard_normal((2, n))
        return {sign: TopTokens(*parts) for sign, *parts in zip((+1, -1), ids, scores, means, strict=True)}

    readouts = ["W_U", "W_E"] if first else ["pinv_W_E", "W_U"]
    columns = token_columns({name: {"read": found()} for name in readouts}, list("abcdefghi"), "mlp_in", [0], [None])
    shifted = with_vocab_center(columns)
    assert list(shifted) == list(columns)
    for name, values in columns.items():
        if name not in ("scores", "mean_score"):
            assert shifted[name] is values, name
    before, after = (np.stack(one["scores"].to_numpy(zero_copy_only=False)) for one in (columns, shifted))
    means = columns["mean_score"].to_numpy()
    through_W_U = np.array(columns["readout"]) == "W_U"
    assert through_W_U.sum() == 2 * n
    np.testing.assert_array_equal(after[~through_W_U], before[~through_W_U])
    expected = (before.astype(np.float64) - means[:, None])[through_W_U]
    np.testing.assert_array_equal(after[through_W_U], expected.astype(np.float32))
    np.testing.assert_array_equal(shifted["mean_score"], np.where(through_W_U, 0, means))
    # A second time changes nothing.
    assert with_vocab_center(shifted)["scores"].equals(shifted["scores"])


# --- vectors as a read-out takes them


@pytest.mark.parametrize("read_gain", [False, True])
@pytest.mark.parametrize("readout", ["W_U", "W_E", "pinv_W_E"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_only_reading_sides_through_the_embedding_are_multiplied_by_the_gain(
    matrix: str, readout: str, read_gain: bool, results: Path
) -> None:
    """Of the norm before that matrix in that layer, unless read_gain has put it into the matrix."""
    weights = load_file(results / f"{MATRICES[matrix]}.safetensors")
    norm = "ln1" if matrix in ("ov", "qk") else "ln2"
    svd = load_file(svd_of(results, matrix, Setting()))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    found = residual_vectors(svd, matrix, readout, Setting(read_gain=read_gain), gains)
    sides = {
        "ov": {"read": "left", "write": "right"},
        "qk": {"query": "left", "key": "right"},
        "mlp_in": {"read": "left"},
        "mlp_out": {"write": "right"},
    }[matrix]
    assert list(found) == list(sides)
    heads = HEADS if matrix in ("ov", "qk") else 1
    for side, array in sides.items():
        vectors = svd[array].reshape(LAYERS, heads, DIRECTIONS, WIDTH).double()
        expected = torch.stack(
            [
                vectors[layer] * weights[f"blocks.{layer}.{norm}.w"].double()
                if readout == "W_E" and side != "write" and not read_gain
                else vectors[layer]
                for layer in range(LAYERS)
            ]
        )
        assert found[side].dtype == torch.float64
        assert torch.equal(found[side], expected.flatten(0, 1)), side


def test_a_model_without_norms_before_its_matrices_has_no_gains(results: Path, tmp_path: Path) -> None:
    svd = load_file(svd_of(results, "mlp_in", Setting()))
    tensors = load_file(results / "mlp.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if ".ln" not in name}, tmp_path / "mlp.safetensors")
    gains = reading_gains(WeightFile(tmp_path / "mlp.safetensors"), "mlp_in")
    assert gains is None
    found = residual_vectors(svd, "mlp_in", "W_E", Setting(), gains)
    assert torch.equal(found["read"], svd["left"].double())


def test_the_gain_of_a_reading_side_is_what_a_token_embedding_meets(results: Path, tmp_path: Path) -> None:
    """Scores through W_E are what the matrix as the model has it, gain and all, takes from each token's embedding."""
    table = read(project(results, "mlp_in", "raw", ["W_E"], tmp_path)["tokens"])
    mlp, unembed = load_file(results / "mlp.safetensors"), load_file(results / "unembed.safetensors")
    W_E = unembed["embed.W_E"].double().numpy()
    directions = []
    for layer in range(LAYERS):
        gain, W_in = (mlp[f"blocks.{layer}.{name}"].double().numpy() for name in ("ln2.w", "mlp.W_in"))
        svd = load_file(svd_of(results, "mlp_in", Setting()))
        right, values = (svd[name][layer].double().numpy() for name in ("right", "values"))
        # What the embeddings, multiplied by the gain, give along each output direction of W_in.
        directions.append(((W_E * gain) @ W_in @ right.T / values[:DIRECTIONS]).T)
    scores = np.repeat(np.concatenate(directions), 2, axis=0)
    scores[1::2] *= -1
    found = np.stack(table["scores"].to_numpy())
    expected = -np.sort(-scores, axis=1)[:, :K]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(scores).max())


# --- read-outs


@pytest.mark.parametrize("write_center", [False, True])
def test_the_pseudo_inverse_of_the_embedding_is_that_of_numpy(write_center: bool, results: Path) -> None:
    unembed = WeightFile(results / "unembed.safetensors")
    W_E = unembed["embed.W_E"].numpy()
    if write_center:  # of rank d_model - 1
        W_E = W_E - W_E.mean(axis=1, keepdims=True)
    found = readout_matrix(unembed, Setting(write_center=write_center), "pinv_W_E").numpy()
    expected = np.linalg.pinv(W_E, rcond=1e-10)
    assert found.shape == (WIDTH, VOCABULARY)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    # Scores are the combination of embeddings that gives the direction back, if there is one.
    direction = normal(0, WIDTH)
    back = direction - direction.mean() if write_center else direction
    np.testing.assert_allclose(direction @ found @ W_E, back, rtol=0, atol=1e-10)


def test_fewer_tokens_than_coordinates_have_a_pseudo_inverse_too(tmp_path: Path) -> None:
    W_E = normal(0, 5, 8).astype(np.float32)
    save_file({"embed.W_E": torch.from_numpy(W_E)}, tmp_path / "unembed.safetensors")
    found = readout_matrix(WeightFile(tmp_path / "unembed.safetensors"), Setting(), "pinv_W_E").numpy()
    np.testing.assert_allclose(found, np.linalg.pinv(W_E.astype(np.float64)), rtol=0, atol=1e-12)


# --- controls


@pytest.mark.parametrize("matrix", MATRICES)
def test_controls_are_read_through_the_same_readouts_as_the_vectors(matrix: str, results: Path, tmp_path: Path) -> None:
    """Every list of every control against float64, and the same directions through each read-out."""
    readouts = ["W_E", "W_U"]
    paths = project(results, matrix, "raw", readouts, tmp_path)
    unembed = WeightFile(results / "unembed.safetensors")
    svd = load_file(svd_of(results, matrix, Setting()))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    for readout in readouts:
        vectors = residual_vectors(svd, matrix, readout, Setting(), gains)
        rotated = rotated_directions(vectors, N_RANDOM, seeded(SEED, matrix, "rotated"))
        expected = {
            "random_unit": random_unit_directions(N_RANDOM, WIDTH, seeded(SEED, matrix, "random_unit")),
            "rotated": rotated.directions,
            "gaussian": gaussian_directions(N_RANDOM, WIDTH, seeded(SEED, matrix, "gaussian")),
        }
        for control, directions in expected.items():
            table = read(paths[control])
            assert len(table) == 2 * N_RANDOM * len(readouts)
            table = table.filter(pa.compute.field("readout") == readout)
            check_scores(table, directions.numpy(), readout_matrix(unembed, Setting(), readout).numpy())
            columns = {name: table[name].to_pylist() for name in ("control", "matrix", "index", "sign")}
            assert columns["control"] == [control] * 2 * N_RANDOM
            assert columns["matrix"] == [matrix] * 2 * N_RANDOM
            assert columns["index"] == [index for index in range(N_RANDOM) for _ in range(2)]
            assert columns["sign"] == [+1, -1] * N_RANDOM
            places = [table[name].to_pylist() for name in ("side", "layer", "head")]
            if control != "rotated":
                assert places == [[one] * 2 * N_RANDOM for one in ("all", None, None)]
                continue
            # Matrices are counted layer by layer, in a layer head by head.
            heads = HEADS if matrix in ("ov", "qk") else 1
            where = [(side, n // heads, n % heads) for side, n in zip(rotated.sides, rotated.matrices, strict=True)]
            assert places[0] == [side for side, _, _ in where for _ in range(2)]
            assert places[1] == [layer for _, layer, _ in where for _ in range(2)]
            assert places[2] == [head if heads > 1 else None for _, _, head in where for _ in range(2)]


def test_each_kind_of_matrix_has_controls_of_its_own(results: Path, tmp_path: Path) -> None:
    ids = set()
    for matrix in MATRICES:
        paths = project(results, matrix, "raw", ["W_U"], tmp_path / matrix)
        ids |= {str(read(paths[control])["token_ids"].to_pylist()) for control in CONTROLS}
    assert len(ids) == len(MATRICES) * len(CONTROLS)


@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_tables_have_the_same_bytes_for_one_and_two_threads(matrix: str, results: Path, tmp_path: Path) -> None:
    """Large enough for LAPACK, in the controls and in the pseudo-inverse, to share its work out, if it may."""
    before, contents = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)  # as Snakemake does before a script starts, through the environment
            paths = project(results, matrix, "raw", ["W_U", "W_E", "pinv_W_E"], tmp_path / str(threads), threads)
            contents.append({name: path.read_bytes() for name, path in paths.items()})
    finally:
        torch.set_num_threads(before)
    assert contents[0] == contents[1]
