"""Queries in a model: planted directions are found, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from random_weights import normal as numbers
from svdlens.errors import SvdlensError
from svdlens.spec.matrix_kinds import layers_and_heads
from svdlens.spec.settings import Setting
from svdlens.spec.token_vectors import TOKEN_VECTORS
from svdlens.trace.best_list import WORDS, best_list
from svdlens.trace.cosines import Cosines
from svdlens.trace.queries import QueryTokens
from svdlens.trace.rounds import MOST_ROUNDS, Traced, trace_queries
from svdlens.trace.token_vectors import token_vectors
from svdlens.trace.trace_model import Directions, live_directions, load_lists
from svdlens.trace.trace_table import (
    AT_LEAST,
    KEYS,
    best_of_matrices,
    direction_keys,
    matrix_starts,
    round_trip,
    trace_rows,
    with_lists,
)
from svdlens.weights.weight_files import WeightFile, save_tensors

D_MODEL, D_VOCAB = 48, 600
RANKS = np.log(1.0 + np.arange(D_VOCAB))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(numbers(seed, *shape))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightFile:
    path = tmp_path_factory.mktemp("weights") / "unembed.safetensors"
    tensors = {
        "unembed.W_U": normal(1, D_MODEL, D_VOCAB),
        "embed.W_E": normal(2, D_VOCAB, D_MODEL),
        "ln_final.w": 1 + 0.1 * normal(3, D_MODEL),
    }
    save_tensors(path, tensors)
    return WeightFile(path)


@pytest.mark.parametrize("setting", [Setting(), Setting(unembed_gain=True, unembed_center=True, write_center=True)])
def test_token_vectors_are_those_of_numpy(setting, weights):
    W_U, W_E = weights["unembed.W_U"].numpy(), weights["embed.W_E"].numpy()
    if setting.unembed_gain:
        W_U = W_U * weights["ln_final.w"].numpy()[:, None]
    if setting.unembed_center:
        W_U = W_U - W_U.mean(0)
    if setting.write_center:
        W_E = W_E - W_E.mean(1, keepdims=True)
    expected = {"pinv_W_U": np.linalg.pinv(W_U), "W_U": W_U.T, "W_E": W_E}
    for name in TOKEN_VECTORS:
        np.testing.assert_allclose(token_vectors(weights, setting, name).numpy(), expected[name], atol=1e-10)


def planted(weights: WeightFile, words: list[int], places: dict[int, int]) -> tuple[torch.Tensor, Directions]:
    """Vectors of tokens, and directions that are random but for those of `places`, which are the sum of `words` times
    the sign there."""
    vectors = token_vectors(weights, Setting(), "pinv_W_U")
    directions = normal(5, 200, D_MODEL)
    for number, sign in places.items():
        directions[number] = sign * vectors[words].sum(0) + 1e-4 * normal(number, D_MODEL)
    keys = direction_keys(
        {"ov": {"write": directions.view(10, 20, D_MODEL)}}, {"ov": layers_and_heads((5, 2, 20), "ov")}
    )
    return vectors, Directions(directions.float(), keys)


def lists_of(directions: Directions, vectors: torch.Tensor) -> pd.DataFrame:
    """For each sign the tokens whose vectors lie closest."""
    cosines = torch.nn.functional.normalize(directions.vectors.double()) @ torch.nn.functional.normalize(vectors).T
    signs = []
    for sign in (1, -1):
        ids = (sign * cosines).argsort(dim=1, descending=True)[:, :10].tolist()
        texts = [[f"t{id}" for id in row] for row in ids]
        signs.append(directions.keys.assign(sign=sign, token_ids=ids, tokens=texts))
    return pd.concat(signs, ignore_index=True)


def traced(
    words: list[int],
    directions: Directions,
    vectors: torch.Tensor,
    level: float = 0.05,
    iterative: bool = False,
    ranks: np.ndarray = RANKS,
) -> Traced:
    queries = {"concept": QueryTokens([f"t{word}" for word in words], [[word] for word in words])}
    options = {"null": 1000, "seed": 0, "level": level, "least_cosine": 0.4, "threads": 1, "iterative": iterative}
    return trace_queries(queries, vectors, ranks, directions, lists_of(directions, vectors), **options)


def test_planted_directions_are_found_and_no_others(weights):
    words = [300, 310, 320]
    vectors, directions = planted(weights, words, {3: 1, 77: -1, 150: 1})
    rows, matrices, rounds = traced(words, directions, vectors, level=0.002)
    found = rows[rows["found"]]
    places = {(layer, head, index) for layer, head, index in found[["layer", "head", "index"]].to_numpy(int).tolist()}
    assert places == {(0, 0, 3), (1, 1, 17), (3, 1, 10)}
    assert found.set_index("layer")["sign"].to_dict() == {0: 1, 1: -1, 3: 1}
    assert (found["rank"] <= 3).all() and (found["cosine"] > 0.99).all() and found["above_cosine"].all()
    assert len(rows) == 50 and rows["rank"].tolist() == list(range(1, 51)), "the nearest are there in any case"
    assert rounds == {"concept": [{"words": ["t300", "t310", "t320"], "found": 3}]}
    # The best of each head: what is planted where it is, with its sign.
    assert len(matrices) == 10 and (matrices["n"] == 20).all() and matrices["n_found"].sum() == 3
    best = matrices[matrices["n_found"] == 1]
    assert set(zip(best["layer"], best["head"], best["index"], best["sign"], strict=True)) == {
        (0, 0, 3, 1),
        (1, 1, 17, -1),
        (3, 1, 10, 1),
    }


def test_random_words_find_nothing(weights):
    vectors, directions = planted(weights, [300, 310, 320], {3: 1})
    generator = np.random.default_rng(1)
    found = [
        traced(sorted(generator.choice(range(240, 300), 3)), directions, vectors).rows["found"].any() for _ in range(20)
    ]
    assert sum(found) <= 4


def test_rounds_go_from_direction_to_direction_until_nothing_new_is_found():
    """Each planted direction has two words of what is looked for by then, and most of a further word."""
    vectors = torch.nn.functional.normalize(normal(1, D_VOCAB, 256))
    directions = normal(5, 200, 256)
    for number, word in ((20, 300), (90, 301)):
        directions[number] = vectors[word] + vectors[word + 1] + 2 * vectors[word + 2]
    keys = direction_keys({"ov": {"write": directions.view(10, 20, 256)}}, {"ov": layers_and_heads((5, 2, 20), "ov")})
    every = Directions(directions.float(), keys)
    once = traced([300, 301], every, vectors)
    rows, matrices, rounds = traced([300, 301], every, vectors, iterative=True)
    found = rows[rows["found"]]
    assert once.rows.loc[once.rows["found"], "direction"].tolist() == [20]
    assert found["direction"].tolist() == [20, 90] and found["round"].tolist() == [1, 2]
    assert rows["direction"].is_unique and rows["rank"].tolist() == list(range(1, len(rows) + 1))
    assert rounds["concept"] == [
        {"words": ["t300", "t301"], "found": 1},
        *({"words": [f"t{word}"], "found": found} for word, found in ((302, 1), (303, 0))),
    ]
    assert len(rounds["concept"]) <= MOST_ROUNDS
    pd.testing.assert_frame_equal(matrices, once.matrices)
    # A word that is refused as too frequent does not join.
    ranks = RANKS.copy()
    ranks[302] = -1.0
    *_, rounds = traced([300, 301], every, vectors, iterative=True, ranks=ranks)
    assert [one["words"] for one in rounds["concept"]] == [["t300", "t301"]]
    again = traced([300, 301], every, vectors, iterative=True)
    pd.testing.assert_frame_equal(again.rows, rows)


def test_all_that_is_found_and_the_nearest_are_rows():
    """Against sorting everything, with more found than are there in any case."""
    generator = np.random.default_rng(2)
    score = generator.normal(size=(2, 400))
    q_value = np.where(np.abs(score) > 0.9, 0.01, 0.5)
    cosines = Cosines(score / 10, score, q_value / 2, q_value)
    keys = direction_keys(
        {"mlp_in": {"read": torch.zeros(4, 100, 3)}}, {"mlp_in": layers_and_heads((4, 100), "mlp_in")}
    )
    rows = trace_rows(keys, cosines, 1, 0.05, 2.0)
    expected = np.argsort(-np.abs(score[1]), kind="stable")[: int((np.abs(score[1]) > 0.9).sum())]
    assert rows["direction"].tolist() == expected.tolist() and len(rows) > AT_LEAST
    assert len(trace_rows(keys, cosines, 1, 0.001, 2.0)) == AT_LEAST
    assert len(trace_rows(keys.iloc[:7], Cosines(*(part[:, :7] for part in cosines)), 1, 0.001, 2.0)) == 7
    best = best_of_matrices(keys, matrix_starts(keys), cosines, 0, 0.05)
    assert best["index"].tolist() == np.abs(score[0]).reshape(4, 100).argmax(1).tolist()
    assert best["n_found"].tolist() == (q_value[0].reshape(4, 100) <= 0.05).sum(1).tolist()


def test_the_best_list_is_that_with_the_highest_score_among_those_of_meaning():
    keys = direction_keys({"ov": {"write": torch.zeros(2, 2, 3)}}, {"ov": layers_and_heads((2, 1, 2), "ov")})
    both = pd.concat([keys.assign(sign=1), keys.assign(sign=-1)], ignore_index=True)
    lists = both.assign(
        token_ids=[list(range(20 * row, 20 * row + 20)) for row in range(8)],
        tokens=[[f"t{20 * row + column}" for column in range(20)] for row in range(8)],
    )
    labels = both.assign(
        score=[9.0, 5, 7, 8, 1, 5, 2, np.nan],
        kind=["orthographic", *["semantic"] * 7],
        interpretable=[True, True, None, False, *[True] * 4],
        label=[f"l{row}" for row in range(8)],
    )
    words, which = best_list(lists.sample(frac=1, random_state=0), labels.sample(frac=1, random_state=1))
    # Two have a score of 5: the first by layer, head, index, side, sign.
    assert which == {"matrix": "ov", "layer": 0, "head": 0, "index": 1, "side": "write", "sign": -1, "label": "l5"}
    assert words.ids == [[100 + number] for number in range(WORDS)] and words.words[0] == "t100"
    for nothing in (labels.iloc[:0], labels.assign(interpretable=False), labels.assign(kind="frequency")):
        with pytest.raises(SvdlensError, match=r"trace\.best_list: no list .* best_list: false"):
            best_list(lists, nothing)


def test_lists_and_labels_of_both_signs_stand_beside_a_direction():
    rows = pd.DataFrame(
        {"matrix": ["ov"], "layer": [2], "head": pd.array([1], "Int32"), "index": [0], "side": ["read"]}
    )
    both = pd.concat([rows.assign(sign=1, tokens="fire"), rows.assign(sign=-1, tokens="ice")])
    other = both.assign(layer=3, tokens="else")
    lists = pd.concat([both, other])
    labels = both.assign(label=["hot", "cold"], kind="semantic", interpretable=[True, False])
    joined = with_lists(rows.assign(sign=-1), lists, labels).iloc[0]
    assert (joined["tokens"], joined["antipode_tokens"]) == ("ice", "fire")
    assert (joined["label"], joined["antipode_label"], joined["interpretable"]) == ("cold", "hot", False)
    assert with_lists(rows.assign(sign=1), lists, load_lists([], "W_U"))["label"].isna().all()


def test_a_direction_that_is_a_token_is_found_by_it():
    directions = torch.linalg.qr(normal(8, D_MODEL, 20))[0].T
    found = round_trip(directions, range(20), directions, [[number] for number in range(20)], [1] * 20)
    assert found == {"round_trip_cosine": pytest.approx(1.0), "recall": 1.0, "n": 20}
    # The wrong sign, and another's token.
    assert round_trip(directions, [0], directions, [[0]], [-1])["recall"] == 0.0
    assert round_trip(directions, [0], directions, [[5]], [1])["recall"] == 0.0


def test_keys_follow_the_order_of_the_vectors():
    keys = direction_keys(
        {"ov": {"read": torch.zeros(6, 2, 3)}, "mlp_in": {"read": torch.zeros(3, 2, 3)}},
        {name: layers_and_heads(shape, name) for name, shape in {"ov": (3, 2, 2), "mlp_in": (3, 2)}.items()},
    )
    assert keys.iloc[5][KEYS].tolist() == ["ov", 1, 0, 1, "read"]
    assert keys.iloc[12 + 3]["layer"] == 1 and keys.iloc[12 + 3]["index"] == 1 and keys["head"].isna().sum() == 6


def test_null_space_is_not_searched():
    matrices = {"ov": layers_and_heads((3, 1, 2), "ov")}
    every = Directions(torch.eye(6), direction_keys({"ov": {"read": torch.eye(6).view(3, 2, 6)}}, matrices))
    lists = pd.concat(
        [every.keys.assign(sign=sign, null_space=[False, True, False, False, True, True]) for sign in (1, -1)]
    )
    live = live_directions(every, lists)
    assert live.vectors.tolist() == torch.eye(6)[[0, 2, 3]].tolist()
    assert live.keys[["layer", "index"]].to_numpy().tolist() == [[0, 0], [1, 0], [1, 1]]
