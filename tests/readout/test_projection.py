"""What is read as tokens: vectors as each read-out takes them, controls, and lists that equivalent settings share.

The scripts run in this process, on weights with random numbers in them: no two scores are equal by accident.
"""

import importlib
import json
from collections import defaultdict
from dataclasses import replace
from itertools import combinations
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
from svdlens.artefacts.table_schemas import CONTROLS as CONTROLS_SCHEMA
from svdlens.artefacts.table_schemas import TOKENS, columns_of, read_metadata, write_table
from svdlens.models.token_table import read_token_texts, write_token_texts
from svdlens.models.token_texts import read_vocabulary
from svdlens.readout.control_directions import gaussian_directions, random_unit_directions, rotated_directions, seeded
from svdlens.readout.parts import arrays_of_part
from svdlens.readout.projection import Reading, project_directions, residual_vectors
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.readout.token_table import TopTokens, token_columns, with_vocab_center
from svdlens.readout.top_tokens import ReadoutMatrix
from svdlens.spec.readouts import READOUTS
from svdlens.spec.settings import Setting, list_key, setting_from_names, svd_key
from svdlens.weights.weight_files import WeightFile
from tiny import save_tokenizer
from workflow import PROJECT, Files

LAYERS, HEADS, WIDTH, VOCABULARY, DIRECTIONS = 2, 2, 64, 320, 6
K, N_RANDOM, SEED = 20, 30, 7
CONFIG = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
CATALOGUE = CONFIG["settings"]
NINE = {name: setting_from_names(name, CATALOGUE[name]) for name in CONFIG["sweep"]["settings"]}
DRAWN = ("random_unit", "rotated", "gaussian")
"""The controls that are drawn at random."""
MATRICES = {"ov": "attention", "qk": "attention", "mlp_in": "mlp", "mlp_out": "mlp"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, tokenizer and provenance of a model, as the rules before the read-out leave them."""
    directory = tmp_path_factory.mktemp("results")
    for group, seed in (("attention", 0), ("mlp", 1)):
        write_weights(directory / f"{group}.safetensors", LAYERS, HEADS, WIDTH, 8, 96, seed)
    generator = np.random.default_rng(2)
    shapes = {"unembed.W_U": (WIDTH, VOCABULARY), "embed.W_E": (VOCABULARY, WIDTH), "ln_final.w": (WIDTH,)}
    # No mean is 0, so that every centring changes something.
    tensors = {name: torch.from_numpy(0.5 + generator.standard_normal(shape)).float() for name, shape in shapes.items()}
    save_file(tensors, directory / "unembed.safetensors")
    save_tokenizer(VOCABULARY, directory)
    write_token_texts(directory / "tokens.parquet", read_vocabulary(directory), {})
    facts = {"model": "mine", "revision": None, "rotary": False, "files": {"model.safetensors": {"sha256": "00ff"}}}
    (directory / "provenance.json").write_text(json.dumps(facts))
    return directory


def svd_of(results: Path, matrix: str, setting: Setting) -> Path:
    key = svd_key(setting, matrix)
    path = results / f"{'_'.join(key.values())}_{matrix}.safetensors"
    if not path.exists():
        job = SimpleNamespace(
            wildcards=Files(key | {"model": "mine", "matrix": matrix}),
            input=SimpleNamespace(
                weights=results / f"{MATRICES[matrix]}.safetensors", provenance=results / "provenance.json", parts=[]
            ),
            output=SimpleNamespace(svd=path),
            params=SimpleNamespace(directions=DIRECTIONS, numbers={}, code="0f"),
            resources={},
            threads=1,
        )
        importlib.import_module("decompose_matrices").main(job)
    return path


def varimax_of(results: Path, matrix: str, setting: Setting, readouts: list[str], threads: int = 1) -> Path:
    key = list_key(setting, matrix, readouts)
    path = results / f"varimax_{threads}_{'_'.join(key.values())}_{'_'.join(readouts)}_{matrix}.safetensors"
    if not path.exists():
        job = SimpleNamespace(
            wildcards=Files(key | {"matrix": matrix}),
            input=SimpleNamespace(
                unembed=results / "unembed.safetensors",
                gains=results / f"{MATRICES[matrix]}.safetensors",
                svd=svd_of(results, matrix, setting),
                provenance=results / "provenance.json",
            ),
            output=SimpleNamespace(varimax=path),
            params=SimpleNamespace(readout=readouts[0], n_random=N_RANDOM, seed=SEED, code="0f"),
            threads=threads,
        )
        importlib.import_module("rotate_directions").main(job)
    return path


def project(
    results: Path,
    matrix: str,
    setting: Setting,
    readouts: list[str],
    path: Path,
    threads: int = 1,
    basis: str = "svd",
    controls: tuple[str, ...] = DRAWN,
    parts: int = 1,
) -> Path:
    """What project_directions writes for the lists that a setting needs, and equivalent settings share; in `parts`,
    after as many of project_part."""
    needed = "varimax" in (basis, *controls) or "random_varimax" in controls
    varimax = [varimax_of(results, matrix, setting, readouts)] if needed else []
    job = SimpleNamespace(
        wildcards=Files(list_key(setting, matrix, readouts) | {"matrix": matrix}),
        input=SimpleNamespace(
            varimax=varimax,
            provenance=results / "provenance.json",
            unembed=results / "unembed.safetensors",
            gains=results / f"{MATRICES[matrix]}.safetensors",
            svd=svd_of(results, matrix, setting),
            tokens=results / "tokens.parquet",
            parts=[],
        ),
        output=SimpleNamespace(lists=path),
        params=SimpleNamespace(
            code="0",
            readouts=readouts,
            basis=basis,
            controls={name: None if name == "varimax" else N_RANDOM for name in controls},
            tokens=K,
            seed=SEED,
        ),
        resources={},
        threads=threads,
    )
    if parts > 1:
        files = [path.with_suffix(f".{part}_of_{parts}.parquet") for part in range(1, parts + 1)]
        for part, file in enumerate(files, start=1):
            wildcards = Files(job.wildcards | {"part": str(part), "parts": str(parts)})
            part_job = SimpleNamespace(**vars(job) | {"wildcards": wildcards, "output": SimpleNamespace(lists=file)})
            importlib.import_module("project_part").main(part_job)
        job.input.parts = files
    importlib.import_module("project_directions").main(job)
    return path


def view(lists: Path, setting: str, directory: Path, controls: tuple[str, ...] = DRAWN) -> dict[str, Path]:
    """What view_tokens makes of the shared lists for one of the nine settings: the paths of its tables."""
    job = SimpleNamespace(
        wildcards=SimpleNamespace(setting=setting),
        input=SimpleNamespace(lists=lists),
        output=SimpleNamespace(
            tokens=directory / "tokens.parquet", controls=[directory / f"{name}.parquet" for name in controls]
        ),
        params=SimpleNamespace(switches=CATALOGUE[setting], controls=list(controls), code="0"),
    )
    importlib.import_module("view_tokens").main(job)
    return {"tokens": job.output.tokens, **dict(zip(controls, job.output.controls, strict=True))}


def project_by_itself(results: Path, matrix: str, setting: Setting, readouts: list[str]) -> dict[str, pa.Table]:
    """The tables of a setting from its own switches, all of them, and nothing shared."""
    without = replace(setting, vocab_center=False)
    unembed = WeightFile(results / "unembed.safetensors")
    svd = load_file(svd_of(results, matrix, setting))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    vectors = {name: residual_vectors(svd, matrix, name, without, gains) for name in readouts}
    matrices = {name: ReadoutMatrix(readout_matrix(unembed, without, name)) for name in readouts}
    texts = read_token_texts(results / "tokens.parquet")
    reading = Reading(matrix, svd["values"].numpy(), matrices, texts, K, 1)
    columns = pa.table(project_directions({"svd": vectors}, "svd", dict.fromkeys(DRAWN, N_RANDOM), reading, SEED))
    rows = {"tokens": pa.compute.field("control").is_null()}
    rows |= {control: pa.compute.field("control") == control for control in DRAWN}
    tables = {name: columns_of(columns.filter(which)) for name, which in rows.items()}
    if setting.vocab_center:
        tables = {name: with_vocab_center(columns) for name, columns in tables.items()}
    return tables


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


# --- lists that equivalent settings share

READOUT_LISTS = pytest.mark.parametrize(
    "readouts",
    [
        ["W_U"],
        ["W_E"],
        ["pinv_W_E", "W_U"],
        ["W_U_cosine"],
        ["W_E_cosine", "W_U"],
        ["W_U_whitened", "W_U", "W_E_whitened"],
    ],
    ids=" ".join,
)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_part_of_chosen_layers_has_each_with_its_number(parts: int) -> None:
    layers, heads = torch.tensor([1, 4, 6], dtype=torch.int32), torch.tensor([0, 3], dtype=torch.int32)
    arrays = {"left": torch.randn(3, 2, 4, 8), "values": torch.rand(3, 2, 4), "right": torch.randn(3, 2, 4, 8)}
    arrays |= {"layers": layers, "heads": heads, "random": torch.randn(7, 8)}
    pieces = [arrays_of_part(arrays, "ov", part, parts) for part in range(1, parts + 1)]
    for name in ("left", "values", "right", "layers"):
        assert torch.equal(torch.cat([piece[name] for piece in pieces]), arrays[name])
    assert all(torch.equal(piece["heads"], heads) and "random" not in piece for piece in pieces)


@pytest.mark.parametrize("parts", [2, 3])  # with two layers the second leaves a part without any
@pytest.mark.parametrize("matrix", ["ov", "mlp_in"])
@pytest.mark.parametrize("basis", ["svd", "varimax"])
def test_lists_in_parts_are_those_of_the_whole(
    results: Path, tmp_path: Path, matrix: str, basis: str, parts: int
) -> None:
    controls = (*DRAWN, "varimax", "random_varimax") if basis == "svd" else DRAWN
    readouts = ["W_U", "W_E_cosine"]
    paths = [
        project(results, matrix, NINE["raw"], readouts, tmp_path / f"{n}.parquet", 1, basis, controls, n)
        for n in (1, parts)
    ]
    assert paths[1].read_bytes() == paths[0].read_bytes()


@READOUT_LISTS
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.slow
def test_a_view_is_what_the_setting_by_itself_would_project(
    matrix: str, readouts: list[str], results: Path, tmp_path: Path
) -> None:
    """For each of the nine settings and all of its tables, to the bit, from the file that it shares with others."""
    shared: dict[str, Path] = {}
    for name, setting in NINE.items():
        key = "_".join(list_key(setting, matrix, readouts).values())
        if key not in shared:
            shared[key] = project(results, matrix, setting, readouts, tmp_path / f"{key}.parquet")
        views = view(shared[key], name, tmp_path / name)
        expected = project_by_itself(results, matrix, setting, readouts)
        assert set(views) == set(expected)
        for table, path in views.items():
            schema = TOKENS if table == "tokens" else CONTROLS_SCHEMA
            assert read(path).schema.equals(schema)
            facts = read_metadata(path)
            assert facts["setting"] == sorted(CATALOGUE[name]) and facts["model"] == "mine"
            write_table(tmp_path / "expected.parquet", expected[table], schema, {})
            assert read(path).equals(read(tmp_path / "expected.parquet")), (name, table)
    # Fewer than the settings: vocab_center alone makes no other lists.
    assert len(shared) <= 5


@READOUT_LISTS
@pytest.mark.parametrize("matrix", MATRICES)
def test_settings_share_lists_where_these_are_the_same(
    matrix: str, readouts: list[str], results: Path, tmp_path: Path
) -> None:
    """Those with one key have the lists of each other, also where a switch is off in the key that is on in the setting.
    Those with other keys have other lists, but through W_E: vectors that are centred do not see write_center.
    """
    ids = defaultdict(list)
    for setting in NINE.values():
        key = tuple(list_key(setting, matrix, readouts).values())
        ids[key].append(project_by_itself(results, matrix, setting, readouts)["tokens"]["token_ids"].to_pylist())
    for lists in ids.values():
        assert all(one == lists[0] for one in lists)
    if readouts in (["W_U"], ["W_U_cosine"]):
        assert all(one[0] != other[0] for one, other in combinations(ids.values(), 2))


@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_a_list_of_center_unembed_is_that_of_an_unembedding_centred_over_the_vocabulary(
    matrix: str, results: Path, tmp_path: Path
) -> None:
    lists = project(results, matrix, Setting(), ["W_U"], tmp_path / "lists.parquet")
    raw, centred_tables = view(lists, "raw", tmp_path / "raw"), view(lists, "unembed", tmp_path / "unembed")
    W_U = load_file(results / "unembed.safetensors")["unembed.W_U"].numpy().astype(np.float64)
    centred = W_U - W_U.mean(axis=1, keepdims=True)
    svd = load_file(svd_of(results, matrix, Setting()))
    arrays = ["right"] if matrix == "mlp_out" else ["left", "right"]
    directions = np.concatenate([svd[array].numpy().reshape(-1, WIDTH) for array in arrays])
    table = read(centred_tables["tokens"])
    check_scores(table, directions, centred)
    assert table["mean_score"].to_numpy().tolist() == [0.0] * len(table)
    assert np.abs(read(raw["tokens"])["mean_score"].to_numpy()).max() > 0.1
    check_scores(read(raw["tokens"]), directions, W_U)
    directions = random_unit_directions(N_RANDOM, WIDTH, seeded(SEED, matrix, "random_unit")).numpy()
    check_scores(read(centred_tables["random_unit"]), directions, centred)
    assert read_metadata(centred_tables["tokens"])["setting"] == ["center_unembed"]
    # Tokens are the texts of their ids, bytes that are no UTF-8 among them.
    texts = read_vocabulary(results)
    assert table["tokens"].to_pylist() == [[texts[id] for id in ids] for ids in table["token_ids"].to_pylist()]
    assert any(text.startswith("\\x") for text in table["tokens"][0].as_py())


def test_the_shared_file_has_singular_directions_and_then_each_control(results: Path, tmp_path: Path) -> None:
    table = read(project(results, "mlp_in", Setting(), ["W_E", "W_U"], tmp_path / "lists.parquet"))
    assert table.schema.equals(CONTROLS_SCHEMA)
    n = [LAYERS * DIRECTIONS, *([N_RANDOM] * len(DRAWN))]
    names = [None, *DRAWN]
    assert table["control"].to_pylist() == [name for name, rows in zip(names, n, strict=True) for _ in range(4 * rows)]
    # No view has the rows of another, and together they have them all.
    views = view(tmp_path / "lists.parquet", "raw", tmp_path)
    pieces = [read(path).to_pylist() for path in views.values()]
    assert [{"control": None} | row for piece in pieces for row in piece] == table.to_pylist()


def test_of_some_controls_there_are_views_of_these_alone(results: Path, tmp_path: Path) -> None:
    lists = project(results, "mlp_out", Setting(), ["W_U"], tmp_path / "lists.parquet")
    views = view(lists, "raw", tmp_path / "raw", controls=("gaussian",))
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["gaussian.parquet", "tokens.parquet"]
    assert set(read(views["gaussian"])["control"].to_pylist()) == {"gaussian"}


@given(n=st.integers(1, 5), k=st.integers(1, 6), seed=st.integers(0, 2**32 - 1), first=st.booleans())
def test_vocab_center_takes_the_mean_from_scores_through_the_unembedding_and_leaves_all_else(n, k, seed, first):
    generator = np.random.default_rng(seed)

    def random_lists() -> dict[int, TopTokens]:
        scores = 10 * generator.standard_normal((2, n, k)).astype(np.float32)
        ids, means = generator.integers(0, 9, (2, n, k)), generator.standard_normal((2, n))
        return {sign: TopTokens(*parts) for sign, *parts in zip((+1, -1), ids, scores, means, strict=True)}

    readouts = ["W_U", "W_E", "W_U_cosine"] if first else ["pinv_W_E", "W_U_whitened", "W_U"]
    columns = token_columns(
        {name: {"read": random_lists()} for name in readouts}, list("abcdefghi"), "mlp_in", [0], [None]
    )
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
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("matrix", MATRICES)
def test_only_reading_sides_through_the_embedding_are_multiplied_by_the_gain(
    matrix: str, readout: str, read_gain: bool, results: Path
) -> None:
    """Of the norm before that matrix in that layer, unless read_gain has put it into the matrix."""
    weights = load_file(results / f"{MATRICES[matrix]}.safetensors")
    norm = "ln1" if matrix in ("ov", "qk") else "ln2"
    svd = load_file(svd_of(results, matrix, Setting()))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    vectors_by_side = residual_vectors(svd, matrix, readout, Setting(read_gain=read_gain), gains)
    sides = {
        "ov": {"read": "left", "write": "right"},
        "qk": {"query": "left", "key": "right"},
        "mlp_in": {"read": "left"},
        "mlp_out": {"write": "right"},
    }[matrix]
    assert list(vectors_by_side) == list(sides)
    heads = HEADS if matrix in ("ov", "qk") else 1
    for side, array in sides.items():
        vectors = svd[array].reshape(LAYERS, heads, DIRECTIONS, WIDTH).double()
        expected = torch.stack(
            [
                vectors[layer] * weights[f"blocks.{layer}.{norm}.w"].double()
                if readout in ("W_E", "W_E_cosine", "W_E_whitened") and side != "write" and not read_gain
                else vectors[layer]
                for layer in range(LAYERS)
            ]
        )
        assert vectors_by_side[side].dtype == torch.float64
        assert torch.equal(vectors_by_side[side], expected.flatten(0, 1)), side


def test_a_model_without_norms_before_its_matrices_has_no_gains(results: Path, tmp_path: Path) -> None:
    svd = load_file(svd_of(results, "mlp_in", Setting()))
    tensors = load_file(results / "mlp.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if ".ln" not in name}, tmp_path / "mlp.safetensors")
    gains = reading_gains(WeightFile(tmp_path / "mlp.safetensors"), "mlp_in")
    assert gains is None
    vectors = residual_vectors(svd, "mlp_in", "W_E", Setting(), gains)
    assert torch.equal(vectors["read"], svd["left"].double())


def test_the_gain_of_a_reading_side_is_what_a_token_embedding_meets(results: Path, tmp_path: Path) -> None:
    """Scores through W_E are what the matrix as the model has it, gain and all, takes from each token's embedding."""
    lists = project(results, "mlp_in", Setting(), ["W_E"], tmp_path / "lists.parquet")
    table = read(view(lists, "raw", tmp_path)["tokens"])
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
    read_scores = np.stack(table["scores"].to_numpy())
    expected = -np.sort(-scores, axis=1)[:, :K]
    np.testing.assert_allclose(read_scores, expected, rtol=0, atol=1e-5 * np.abs(scores).max())


# --- read-outs


@pytest.mark.parametrize("write_center", [False, True])
def test_the_pseudo_inverse_of_the_embedding_is_that_of_numpy(write_center: bool, results: Path) -> None:
    unembed = WeightFile(results / "unembed.safetensors")
    W_E = unembed["embed.W_E"].numpy()
    if write_center:  # of rank d_model - 1
        W_E = W_E - W_E.mean(axis=1, keepdims=True)
    inverse = readout_matrix(unembed, Setting(write_center=write_center), "pinv_W_E").numpy()
    expected = np.linalg.pinv(W_E, rcond=1e-10)
    assert inverse.shape == (WIDTH, VOCABULARY)
    np.testing.assert_allclose(inverse, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    # Scores are the combination of embeddings that gives the direction back, if there is one.
    direction = normal(0, WIDTH)
    back = direction - direction.mean() if write_center else direction
    np.testing.assert_allclose(direction @ inverse @ W_E, back, rtol=0, atol=1e-10)


def test_fewer_tokens_than_coordinates_have_a_pseudo_inverse_too(tmp_path: Path) -> None:
    W_E = normal(0, 5, 8).astype(np.float32)
    save_file({"embed.W_E": torch.from_numpy(W_E)}, tmp_path / "unembed.safetensors")
    inverse = readout_matrix(WeightFile(tmp_path / "unembed.safetensors"), Setting(), "pinv_W_E").numpy()
    np.testing.assert_allclose(inverse, np.linalg.pinv(W_E.astype(np.float64)), rtol=0, atol=1e-12)


# --- controls


@pytest.mark.parametrize("matrix", MATRICES)
def test_controls_are_read_through_the_same_readouts_as_the_vectors(matrix: str, results: Path, tmp_path: Path) -> None:
    """Every list of every control against float64, and the same directions through each read-out."""
    readouts = ["W_E", "W_U", "W_U_cosine", "W_E_whitened"]
    paths = view(project(results, matrix, Setting(), readouts, tmp_path / "lists.parquet"), "raw", tmp_path)
    unembed = WeightFile(results / "unembed.safetensors")
    svd = load_file(svd_of(results, matrix, Setting()))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    for readout in readouts:
        vectors = residual_vectors(svd, matrix, readout, Setting(), gains)
        live = [DIRECTIONS] * len(next(iter(vectors.values())))
        rotated = rotated_directions(vectors, live, N_RANDOM, seeded(SEED, matrix, "rotated"))
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
            sides_layers_heads = [table[name].to_pylist() for name in ("side", "layer", "head")]
            if control != "rotated":
                assert sides_layers_heads == [[one] * 2 * N_RANDOM for one in ("all", None, None)]
                continue
            # Matrices are counted layer by layer, in a layer head by head.
            heads = HEADS if matrix in ("ov", "qk") else 1
            where = [(side, n // heads, n % heads) for side, n in zip(rotated.sides, rotated.matrices, strict=True)]
            assert sides_layers_heads[0] == [side for side, _, _ in where for _ in range(2)]
            assert sides_layers_heads[1] == [layer for _, layer, _ in where for _ in range(2)]
            assert sides_layers_heads[2] == [head if heads > 1 else None for _, _, head in where for _ in range(2)]


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_varimax_basis_is_read_as_directions_or_as_a_control(matrix: str, results: Path, tmp_path: Path) -> None:
    """The same lists either way, those of its vectors, which span what the singular vectors span."""
    readouts = ["W_U", "W_E"]
    controls = ("random_unit", "varimax", "random_varimax")
    both = project(results, matrix, Setting(), readouts, tmp_path / "control", controls=controls)
    tables = view(both, "raw", tmp_path / "as_control", controls)
    options = {"basis": "varimax", "controls": ("random_unit",)}
    alone = project(results, matrix, Setting(), readouts, tmp_path / "basis", **options)
    as_basis = view(alone, "raw", tmp_path / "as_basis", ("random_unit",))
    assert read_metadata(as_basis["tokens"])["basis"] == "varimax" and read_metadata(both)["basis"] == "svd"
    assert read(tables["varimax"]).drop_columns("control").equals(read(as_basis["tokens"]))
    # Of a basis that is chosen by its tokens random directions are chosen so, too.
    null, random = read(tables["random_varimax"]), read(as_basis["random_unit"])
    assert null.drop_columns("control").equals(random.drop_columns("control"))
    assert not null["token_ids"].equals(read(tables["random_unit"])["token_ids"])

    stored = load_file(varimax_of(results, matrix, Setting(), readouts))
    svd = load_file(svd_of(results, matrix, Setting()))
    gains = reading_gains(WeightFile(results / f"{MATRICES[matrix]}.safetensors"), matrix)
    unembed = WeightFile(results / "unembed.safetensors")
    for readout in readouts:
        vectors = residual_vectors(stored, matrix, readout, Setting(), gains)
        table = read(as_basis["tokens"]).filter(pa.compute.field("readout") == readout)
        directions = np.concatenate([one.flatten(0, 1).numpy() for one in vectors.values()])
        check_scores(table, directions, readout_matrix(unembed, Setting(), readout).numpy())
    for name in stored.keys() & svd.keys():
        array = stored[name]
        overlap = array.double() @ svd[name].double().mT
        identity = torch.eye(DIRECTIONS, dtype=torch.float64).expand_as(overlap)
        torch.testing.assert_close(overlap @ overlap.mT, identity, rtol=0, atol=1e-5)
    one, three = (varimax_of(results, matrix, Setting(), readouts, threads) for threads in (1, 3))
    assert one.read_bytes() == three.read_bytes()


def test_each_kind_of_matrix_has_controls_of_its_own(results: Path, tmp_path: Path) -> None:
    ids = set()
    for matrix in MATRICES:
        lists = project(results, matrix, Setting(), ["W_U"], tmp_path / f"{matrix}.parquet")
        paths = view(lists, "raw", tmp_path / matrix)
        ids |= {str(read(paths[control])["token_ids"].to_pylist()) for control in DRAWN}
    assert len(ids) == len(MATRICES) * len(DRAWN)


@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_tables_have_the_same_bytes_for_one_and_two_threads(matrix: str, results: Path, tmp_path: Path) -> None:
    """Large enough for LAPACK, in the controls and in the pseudo-inverse, to share its work out, if it may."""
    before, contents = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)  # as Snakemake does before a script starts, through the environment
            path = tmp_path / f"{threads}.parquet"
            contents.append(project(results, matrix, Setting(), ["W_U", "W_E", "pinv_W_E"], path, threads).read_bytes())
    finally:
        torch.set_num_threads(before)
    assert contents[0] == contents[1]


@pytest.mark.parametrize("basis", ["svd", "varimax"])
@pytest.mark.parametrize("matrix", ["ov", "mlp_out"])
def test_null_space_is_marked_in_every_basis_and_is_in_no_control(matrix: str, basis: str, tmp_path: Path) -> None:
    """Of a model with a matrix of rank 2 and one of zeros: rows of null space, and controls within what is live."""
    names = {"attention": "attn.W_O", "mlp": "mlp.W_out"}
    write_weights(tmp_path / "sound.safetensors", 3, HEADS, WIDTH, 8, 96, 0)
    tensors = load_file(tmp_path / "sound.safetensors")
    of_rank_2, of_zeros = (tensors[f"blocks.{layer}.{names[MATRICES[matrix]]}"] for layer in (1, 2))
    of_rank_2[..., 2:, :] = 0
    of_zeros[:] = 0
    save_file(tensors, tmp_path / f"{MATRICES[matrix]}.safetensors")
    unembed = {"unembed.W_U": torch.from_numpy(normal(3, WIDTH, VOCABULARY)).float()}
    save_file(unembed, tmp_path / "unembed.safetensors")
    save_tokenizer(VOCABULARY, tmp_path)
    write_token_texts(tmp_path / "tokens.parquet", read_vocabulary(tmp_path), {})
    facts = {"model": "mine", "revision": None, "rotary": False, "files": {"model.safetensors": {"sha256": "00ff"}}}
    (tmp_path / "provenance.json").write_text(json.dumps(facts))
    controls = ("random_unit", "rotated", *(["varimax"] if basis == "svd" else []))
    path = project(tmp_path, matrix, Setting(), ["W_U"], tmp_path / "lists.parquet", basis=basis, controls=controls)
    rows = read(path).to_pandas()
    live = {0: DIRECTIONS, 1: 2, 2: 0}
    of_matrices = rows[rows["control"].isna() | (rows["control"] == "varimax")]
    assert (of_matrices["null_space"] == (of_matrices["index"] >= of_matrices["layer"].map(live))).all()
    drawn = rows[rows["control"].isin(["random_unit", "rotated"])]
    assert not drawn["null_space"].any()
    rotated = drawn[drawn["control"] == "rotated"]
    assert set(rotated["layer"]) == {0, 1} and len(rotated) == 2 * N_RANDOM
    # The mean score of a direction is its product with one vector: among those of the matrix of rank 2, all are of a
    # plane, which has no larger product than that of its own part of the vector.
    svd = load_file(svd_of(tmp_path, matrix, Setting()))
    mean = unembed["unembed.W_U"].double().mean(dim=1)
    written = rotated[(rotated["layer"] == 1) & (rotated["side"] == "write")]
    right = svd["right"][1].double()
    for head, part in written.groupby("head", dropna=False):
        plane = (right[int(head)] if matrix == "ov" else right)[:2]
        longest = float((plane @ mean).norm())
        assert part["mean_score"].abs().max() <= longest * (1 + 1e-6)
