"""The table of scores: which lists and labels are scored, with what, and beside what."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import score_labels
from svdlens.artefacts.table_schemas import CONTROL_LABELS, LABELS, SCORES, TOKENS, read_metadata, write_table
from svdlens.evaluation.scores_table import (
    distinct_labels,
    judged_model,
    rows_to_score,
    scores_of_controls,
    scores_of_rows,
)
from svdlens.vocabulary.sentence_embedding import SHA256
from svdlens.vocabulary.token_features import save_vocabulary
from svdlens.vocabulary.word_forms import text_key
from tiny_vocabulary import CLUSTERS, N_TOKENS, PER_CLUSTER, clustered_lists, random_lists, tiny_vocabulary

KNOWN = tiny_vocabulary()
MINILM_WIDTH = 384
LAYERS, EACH = 4, 20  # directions of each layer
DIRECTIONS = LAYERS * EACH
FREQUENT = 8  # directions whose lists are called frequent


def keys(sides: list[str], readouts: list[str]) -> dict[str, list]:
    """Two signs of each direction, as project_directions orders them."""
    rows = [
        (layer, index, side, sign, readout)
        for readout in readouts
        for side in sides
        for layer in range(LAYERS)
        for index in range(EACH)
        for sign in (1, -1)
    ]
    names = ("layer", "index", "side", "sign", "readout")
    found = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {"matrix": ["mlp_in"] * len(rows), "head": [None] * len(rows), **found}


def write_tokens(path: Path, ids: np.ndarray, of: dict[str, list]) -> None:
    tokens = [[KNOWN.texts[id] for id in row] for row in ids]
    zeros = np.zeros(len(ids))
    scores = np.zeros(ids.shape, np.float32).tolist()
    columns = {"token_ids": ids.tolist(), "tokens": tokens, "scores": scores, "mean_score": zeros}
    write_table(path, of | columns, TOKENS, {})


def write_labels(path: Path, of: dict[str, list], labels: list[str | None], evidence: list[list[str]], **own) -> None:
    """Every label is interpretable, unless it is one of frequent tokens."""
    n = len(labels)
    kinds = ["none" if label is None else "frequency" if label == "frequent" else "semantic" for label in labels]
    columns = dict.fromkeys(LABELS.names, [None] * n) | of
    columns |= {"label": labels, "kind": kinds, "evidence": evidence, "status": ["ok"] * n}
    columns |= {"labelled": [label is not None for label in labels], "labeller": ["made"] * n}
    columns["interpretable"] = columns["labelled"]
    write_table(path, columns | own, CONTROL_LABELS if "control" in own else LABELS, {"labels of": path.stem})


def labels_of(ids: np.ndarray) -> tuple[list[str | None], list[list[str]]]:
    """A list with at least 8 tokens of one cluster among its first 15 is named after it."""
    labels, evidence = [], []
    for row in ids:
        clusters = row[:15] // PER_CLUSTER
        cluster = np.bincount(clusters).argmax()
        named = (clusters == cluster).sum() >= 8
        labels.append(f"concept {cluster}" if named else None)
        evidence.append([KNOWN.texts[id] for id in row[:15][clusters == cluster]] if named else [])
    return labels, evidence


def write_model(directory: Path, embeddings: np.ndarray) -> dict[str, Path]:
    (directory / "model").mkdir(parents=True, exist_ok=True)
    pieces = {text.replace(" ", "Ġ"): id for id, text in enumerate(KNOWN.texts)}
    (directory / "model/vocab.json").write_text(json.dumps(pieces))
    (directory / "model/provenance.json").write_text("{}")
    files = {"embeddings": directory / "e.safetensors", "classes": directory / "c.parquet"}
    of_names = np.zeros((len(KNOWN.classes.names), embeddings.shape[1]), np.float32)
    save_vocabulary(*files.values(), embeddings, of_names, KNOWN.classes, KNOWN.log_ranks, {"minilm_sha256": "0"})
    return {"provenance": directory / "model/provenance.json", **files}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A made-up model in two settings that are twins, labelled on half of its lists with good reason; and published
    labels, that say of each list what is right of the next one.

    Embeddings have as many numbers as MiniLM's, but MiniLM knows nothing of these tokens.
    """
    directory = tmp_path_factory.mktemp("sweep")
    embeddings = np.zeros((N_TOKENS, MINILM_WIDTH), np.float32)
    embeddings[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors + 0.3
    of = keys(["read"], ["W_U"])
    n = len(of["layer"])
    good = clustered_lists(n, 30, seed=0)
    # One half of its cluster before the fifteenth place, the rest after it.
    order = np.random.default_rng(1).permuted(np.tile(np.arange(50), (n, 1)), axis=1)
    ids = np.where(np.arange(n)[:, None] % 2 == 0, np.take_along_axis(good, order, 1), random_lists(n, 2))
    labels, evidence = labels_of(ids)
    labels = ["frequent" if row < FREQUENT else label for row, label in enumerate(labels)]
    files = {"lists": [], "labels": [], "control_labels": []}
    for setting in ("raw", "unembed"):
        files["lists"].append(directory / f"{setting}.tokens.parquet")
        files["labels"].append(directory / f"{setting}.made.parquet")
        files["control_labels"].append(directory / f"{setting}.random_unit.made.parquet")
        write_tokens(files["lists"][-1], ids, of)
        write_labels(files["labels"][-1], of, labels, evidence)
        control = {"control": ["random_unit"] * n}
        some = [f"concept {row}" if row < 20 else "frequent" if row < 30 else None for row in range(n)]
        write_labels(files["control_labels"][-1], of, some, [[]] * n, **control)

    of = {
        name: [value for value, sign in zip(column, of["sign"], strict=True) if sign == 1]
        for name, column in of.items()
    }
    published = clustered_lists(DIRECTIONS, 12, seed=5, clusters=range(0, CLUSTERS, 2))[:, :15]
    names = labels_of(published)[0]
    write_labels(directory / "post2022.published.parquet", of, [*names[1:], names[0]], [[]] * DIRECTIONS)
    lines = [
        {"id": f"L{layer}_I{index}", "tokens": [KNOWN.texts[id].strip() for id in row]}
        for layer, index, row in zip(of["layer"], of["index"], published, strict=True)
    ]
    (directory / "published.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[3:]))
    files["labels"].append(directory / "post2022.published.parquet")
    files["lists"].append(directory / "published.jsonl")
    return SimpleNamespace(
        directory=directory, files=files, ids=ids, labels=labels, **write_model(directory, embeddings)
    )


@pytest.fixture(scope="module")
def judged(sweep: SimpleNamespace):
    return judged_model(sweep.provenance.parent, sweep.embeddings, sweep.classes, of_clusters())


def of_clusters() -> dict[str, np.ndarray]:
    """Embeddings of the names of clusters, as a network that knew these words would have them."""
    vectors = np.zeros((CLUSTERS, MINILM_WIDTH), np.float32)
    vectors[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors.reshape(CLUSTERS, PER_CLUSTER, -1).mean(axis=1) + 0.3
    return {f"concept {cluster}": vector for cluster, vector in enumerate(vectors)}


@pytest.fixture(scope="module")
def scores(sweep: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What the script of the rule makes of it."""
    one_model = {name: [getattr(sweep, name)] for name in ("provenance", "embeddings", "classes")}
    places = [["m", "raw", "mlp_in", "made"], ["m", "unembed", "mlp_in", "made"]]
    params = {"models": ["m"], "labelled": [*places, ["m", "post2022", "mlp_in", "published"]]}
    params |= {"twins": ["raw", "raw", "post2022"], "with_controls": ["made"], "level": 0.05, "seed": 0, "code": "0"}
    output = tmp_path_factory.mktemp("tables") / "scores.parquet"
    inputs = SimpleNamespace(**{name: list(map(str, paths)) for name, paths in (sweep.files | one_model).items()})
    smk = SimpleNamespace(
        input=inputs, output=SimpleNamespace(scores=output), params=SimpleNamespace(**params), threads=1
    )
    score_labels.main(smk)
    return SimpleNamespace(path=output, table=pq.ParquetFile(output).read())


def test_each_labeller_has_its_tests(sweep: SimpleNamespace, scores: SimpleNamespace) -> None:
    assert scores.table.schema.equals(SCORES)
    table = scores.table.to_pandas()
    assert set(table["model"]) == {"m"} and set(table["matrix"]) == {"mlp_in"} and set(table["readout"]) == {"W_U"}
    tests = [("intrusion", "read"), ("retrieval", "read"), ("held_out", "read")]
    found = [
        list(of[["test", "side"]].itertuples(index=False, name=None))
        for _, of in table.groupby("setting", sort=False, observed=True)
    ]
    assert found == [[*tests, ("false_positives", "all")]] * 2 + [tests]
    # Nothing is scored twice that is the same.
    raw, unembed = (table[table["setting"] == name].drop(columns="setting") for name in ("raw", "unembed"))
    assert raw.reset_index(drop=True).equals(unembed.reset_index(drop=True))
    facts = read_metadata(scores.path)
    expected = [f"m/{path.name.split('.')[0]}/{path.name}" for path in sweep.files["labels"]]
    assert list(facts["sources"]) == sorted(expected) and facts["code"] == "0" and facts["minilm_sha256"] == SHA256
    assert str(sweep.directory).encode() not in scores.path.read_bytes()


def test_good_labels_are_above_chance_and_wrong_ones_are_not(sweep: SimpleNamespace, scores: SimpleNamespace) -> None:
    of = {(row["setting"], row["test"]): row for row in scores.table.to_pylist()}
    n_labels = sum(label not in (None, "frequent") for label in sweep.labels)
    assert n_labels > 50
    for test in ("intrusion", "retrieval", "held_out"):
        row = of["raw", test]
        assert row["n"] + row["n_left_out"] == n_labels
        assert max(row["chance"], row["shuffled"]) < row["low"] <= row["value"] <= row["high"], test
    # Three of the published lists are not known, and none is longer than what the labeller saw.
    wrong = {test: of["post2022", test] for test in ("intrusion", "retrieval", "held_out")}
    assert (wrong["intrusion"]["n"], wrong["intrusion"]["n_left_out"]) == (DIRECTIONS - 3, 3)
    assert wrong["intrusion"]["low"] <= 0.2 and wrong["retrieval"]["low"] <= 0.1
    assert (wrong["held_out"]["n"], wrong["held_out"]["n_left_out"], wrong["held_out"]["value"]) == (
        0,
        DIRECTIONS,
        None,
    )
    false = of["raw", "false_positives"]
    assert (false["n"], false["value"], false["chance"], false["shuffled"]) == (160, 20 / 160, 0.05, None)


def test_labels_that_are_scored(sweep: SimpleNamespace) -> None:
    assert distinct_labels(sweep.files["labels"][:1]) == sorted({*sweep.labels} - {None, "frequent"})
    assert distinct_labels([]) == []


def test_all_lists_are_held_against_a_label_whoever_labelled_them(sweep: SimpleNamespace, tmp_path: Path) -> None:
    of = keys(["read"], ["W_U"])
    half = [row for row in range(len(of["layer"])) if of["sign"][row] == 1][::-1]  # in an order of their own
    labels, evidence = labels_of(sweep.ids)
    few = {name: [column[row] for row in half] for name, column in of.items()}
    chosen = [labels[row] for row in half]
    chosen[-1] = "frequent"
    write_labels(tmp_path / "few.parquet", few, chosen, [evidence[row] for row in half])
    rows = rows_to_score(tmp_path / "few.parquet", sweep.files["lists"][0], KNOWN.texts)
    assert np.array_equal(np.stack(rows["token_ids"]), sweep.ids)
    for row, (label, words) in enumerate(zip(rows["label"], rows["evidence"], strict=True)):
        expected = labels[row] if of["sign"][row] == 1 and row != 0 else None
        assert (label if isinstance(label, str) else None) == expected
        assert expected is None or list(words) == evidence[row]


def test_published_lists_are_found_by_their_texts(sweep: SimpleNamespace) -> None:
    rows = rows_to_score(sweep.files["labels"][2], sweep.files["lists"][2], KNOWN.texts)
    lines = [json.loads(line) for line in sweep.files["lists"][2].read_text().splitlines()]
    of_id = {line["id"]: line["tokens"] for line in lines}
    assert len(rows) == DIRECTIONS
    for row in rows.itertuples():
        words = [KNOWN.texts[id].strip() for id in row.token_ids]
        assert words == of_id.get(f"L{row.layer}_I{row.index}", [])


def test_each_readout_and_side_is_scored_by_itself(sweep: SimpleNamespace, judged, tmp_path: Path) -> None:
    parts = []
    for seed, (readout, side) in enumerate([("W_U", "read"), ("W_U", "write"), ("W_E", "read")]):
        of = keys([side], [readout])
        ids = clustered_lists(len(of["layer"]), 30, seed)
        labels, evidence = labels_of(ids)
        write_tokens(tmp_path / "tokens.parquet", ids, of)
        write_labels(tmp_path / "labels.parquet", of, labels, evidence)
        parts.append(rows_to_score(tmp_path / "labels.parquet", tmp_path / "tokens.parquet", KNOWN.texts))
    alone = [record for part in parts for record in scores_of_rows(part, judged, 0)]
    assert [(record["readout"], record["side"]) for record in alone[::3]] == [
        ("W_U", "read"),
        ("W_U", "write"),
        ("W_E", "read"),
    ]
    assert scores_of_rows(pd.concat(parts), judged, 0) == alone


def test_tokens_and_labels_are_centred_on_the_vocabulary(judged) -> None:
    embeddings = np.zeros((N_TOKENS, MINILM_WIDTH))
    embeddings[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors + np.float32(0.3)
    moved = embeddings - embeddings.mean(axis=0)
    # Also those of no words, which weigh less in the labeller's score.
    assert judged.vectors == pytest.approx(moved / np.linalg.norm(moved, axis=1, keepdims=True), abs=1e-5)
    assert judged.vocabulary.texts == KNOWN.texts
    label = of_clusters()["concept 3"] - embeddings.mean(axis=0)
    found = judged.judge.fit(["concept 3"], [[]], np.array([[0, 95]]))[0]
    assert found == pytest.approx(judged.vectors[[0, 95]] @ label / np.linalg.norm(label), abs=1e-5)
    # The name of a class is judged by who is in it.
    assert judged.judge.fit([text_key("Concept 2")], [[]], np.array([[60, 0]]))[0].round(1).tolist() == [1, 0]


def test_false_positives_of_each_readout(tmp_path: Path) -> None:
    of = keys(["all"], ["W_U", "W_E"])
    n = len(of["layer"])
    labels = ["a" if row < 16 or row >= n - 40 else None for row in range(n)]
    write_labels(tmp_path / "c.parquet", of, labels, [[]] * n, control=["random_unit"] * n)
    found = scores_of_controls(tmp_path / "c.parquet", 0.1)
    assert [(record["readout"], record["side"], record["value"]) for record in found] == [
        ("W_U", "all", 0.1),
        ("W_E", "all", 0.25),
    ]
    assert {record["chance"] for record in found} == {0.1}
