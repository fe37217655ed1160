"""The table of scores: which lists and labels are scored, with what, and beside what."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import collect_scores
import embed_labels
import score_labels
from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import (
    CONTROL_LABELS,
    CONTROLS,
    LABEL_EMBEDDINGS,
    SCORES,
    read_metadata,
    write_table,
)
from svdlens.evaluation.scores_table import (
    Judged,
    distinct_labels,
    judged_model,
    read_judged_model,
    rows_to_score,
    score_table,
    scores_of_controls,
    scores_of_rows,
)
from svdlens.vocabulary.sentence_embedding import SHA256, embed_texts
from svdlens.vocabulary.word_forms import text_key
from tiny_vocabulary import (
    CLUSTERS,
    N_TOKENS,
    PER_CLUSTER,
    clustered_lists,
    features_of,
    random_lists,
    tiny_vocabulary,
    write_vocabulary,
)
from workflow import Files

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
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {"matrix": ["mlp_in"] * len(rows), "head": [None] * len(rows), **columns}


def write_tokens(
    path: Path, ids: np.ndarray, row_keys: dict[str, list], n_controls: int = 0, n_null_space: int = 0
) -> None:
    """Lists of singular directions, of which the first `n_null_space` are null space; the first `n_controls` of them
    once more, as a control."""
    order = [*range(len(ids)), *range(n_controls)]
    control = [None] * len(ids) + ["random_unit"] * n_controls
    columns = {name: [column[row] for row in order] for name, column in row_keys.items()}
    zeros = np.zeros(ids.shape, np.float32)[order]
    columns |= {"control": control, "token_ids": ids[order].tolist(), "scores": zeros.tolist()}
    columns |= {"tokens": [[KNOWN.texts[id] for id in row] for row in ids[order]], "mean_score": zeros[:, 0]}
    columns["null_space"] = [row < n_null_space for row in order]
    write_table(path, columns, CONTROLS, {})


def label_rows(row_keys: dict[str, list], labels: list[str | None], evidence: list[list[str]], **own) -> pd.DataFrame:
    """Every label is interpretable, unless it is one of frequent tokens. Of singular directions, if not said."""
    n = len(labels)
    kinds = ["none" if label is None else "frequency" if label == "frequent" else "semantic" for label in labels]
    columns = dict.fromkeys(CONTROL_LABELS.names, [None] * n) | row_keys
    columns |= {"label": labels, "kind": kinds, "evidence": evidence, "status": ["ok"] * n}
    columns |= {"labelled": [label is not None for label in labels], "labeller": ["made"] * n}
    columns["interpretable"] = columns["labelled"]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in (columns | own).items()})


def write_labels(path: Path, *tables: pd.DataFrame) -> Path:
    columns = pd.concat(tables, ignore_index=True).to_dict("list")
    write_table(path, columns, CONTROL_LABELS, {"labels of": path.stem})
    return path


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


def name_embeddings() -> dict[str, np.ndarray]:
    """Embeddings of the names of clusters, as a network that knew these words would have them."""
    vectors = np.zeros((CLUSTERS, MINILM_WIDTH), np.float32)
    vectors[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors.reshape(CLUSTERS, PER_CLUSTER, -1).mean(axis=1) + 0.3
    return {f"concept {cluster}": vector for cluster, vector in enumerate(vectors)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The vocabulary of a made-up model, and embeddings of labels, by the names of the rule's inputs.

    Embeddings have as many numbers as MiniLM's, but MiniLM knows nothing of these tokens.
    """
    directory = tmp_path_factory.mktemp("model")
    embeddings = np.zeros((N_TOKENS, MINILM_WIDTH), np.float32)
    embeddings[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors + 0.3
    nothing = np.zeros((len(KNOWN.classes.names), MINILM_WIDTH), np.float32)
    files = write_vocabulary(directory, KNOWN, embeddings, nothing)
    files["label_embeddings"] = directory / "label_embeddings.parquet"
    columns = {"label": list(name_embeddings()), "embedding": list(name_embeddings().values())}
    write_table(files["label_embeddings"], columns, LABEL_EMBEDDINGS, {"minilm_sha256": SHA256, "code": "0"})
    return files


@pytest.fixture(scope="module")
def judged(model: dict[str, Path]) -> Judged:
    return read_judged_model(model)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Labels that half of the lists have for good reason; and of random unit directions, and of another control."""
    directory = tmp_path_factory.mktemp("made")
    row_keys = keys(["read"], ["W_U"])
    n = len(row_keys["layer"])
    good = clustered_lists(n, 30, seed=0)
    # One half of its cluster before the fifteenth token, the rest after it.
    order = np.random.default_rng(1).permuted(np.tile(np.arange(50), (n, 1)), axis=1)
    ids = np.where(np.arange(n)[:, None] % 2 == 0, np.take_along_axis(good, order, 1), random_lists(n, 2))
    labels, evidence = labels_of(ids)
    labels = ["frequent" if row < FREQUENT else label for row, label in enumerate(labels)]
    write_tokens(directory / "mlp_in.parquet", ids, row_keys, n_controls=n)
    some = [f"concept {row}" if row < 20 else "frequent" if row < 30 else None for row in range(n)]
    random = label_rows(row_keys, some, [[]] * n, control=["random_unit"] * n)
    rotated = label_rows(row_keys, ["only of controls"] * n, [[]] * n, control=["rotated"] * n)
    p_values = [0.5 if label is None else 0.02 for label in labels]
    singular = label_rows(row_keys, labels, evidence, p_value=p_values)
    path = write_labels(directory / "mlp_in.made.parquet", singular, random, rotated)
    return SimpleNamespace(lists=directory / "mlp_in.parquet", labels_file=path, ids=ids, labels=labels)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Labels of lists of their own, that say of each list what is right of the next one."""
    directory = tmp_path_factory.mktemp("published")
    row_keys = keys(["read"], ["W_U"])
    one_sign = [row for row, sign in enumerate(row_keys["sign"]) if sign == 1]
    row_keys = {name: [column[row] for row in one_sign] for name, column in row_keys.items()}
    ids = clustered_lists(DIRECTIONS, 12, seed=5, clusters=range(0, CLUSTERS, 2))[:, :15]
    names = labels_of(ids)[0]
    path = directory / "mlp_in.published.parquet"
    write_labels(path, label_rows(row_keys, [*names[1:], names[0]], [[]] * DIRECTIONS))
    lines = [
        {"id": f"L{layer}_I{index}", "tokens": [KNOWN.texts[id].strip() for id in row]}
        for layer, index, row in zip(row_keys["layer"], row_keys["index"], ids, strict=True)
    ]
    # Three of the lists are not known.
    (directory / "published.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[3:]))
    return SimpleNamespace(lists=directory / "published.jsonl", labels_file=path)


# --- one table


def test_good_labels_are_above_chance(made: SimpleNamespace, judged: Judged) -> None:
    records = score_table(made.labels_file, made.lists, judged, seed=0)
    assert [(record["test"], record["side"], record["readout"]) for record in records] == [
        ("intrusion", "read", "W_U"),
        ("retrieval", "read", "W_U"),
        ("held_out", "read", "W_U"),
        ("false_positives", "all", "W_U"),
    ]
    n_labels = sum(label not in (None, "frequent") for label in made.labels)
    assert n_labels > 50
    for record in records[:3]:
        assert record["n"] + record["n_left_out"] == n_labels
        assert max(record["chance"], record["shuffled"]) < record["low"] <= record["value"] <= record["high"]
    # Those of the other control do not count.
    false = records[3]
    assert (false["n"], false["value"], false["chance"], false["shuffled"]) == (160, 20 / 160, 0.02, None)


def test_wrong_labels_are_not_above_chance(published: SimpleNamespace, judged: Judged) -> None:
    """Without controls nothing is said of false positives. No published list is longer than what the labeller saw."""
    records = score_table(published.labels_file, published.lists, judged, seed=0)
    wrong = {record["test"]: record for record in records}
    assert list(wrong) == ["intrusion", "retrieval", "held_out"]
    assert (wrong["intrusion"]["n"], wrong["intrusion"]["n_left_out"]) == (DIRECTIONS - 3, 3)
    assert wrong["intrusion"]["low"] <= 0.2 and wrong["retrieval"]["low"] <= 0.1
    held_out = wrong["held_out"]
    assert (held_out["n"], held_out["n_left_out"], held_out["value"]) == (0, DIRECTIONS, None)


def test_a_file_without_labels_is_scored_all_the_same(made: SimpleNamespace, judged: Judged, tmp_path: Path) -> None:
    nothing = label_rows(keys(["read"], ["W_U"]), [None] * (2 * DIRECTIONS), [[]] * (2 * DIRECTIONS))
    for rows in (nothing, nothing.iloc[:0]):
        path = write_labels(tmp_path / "labels.parquet", rows)
        records = score_table(path, made.lists, judged, seed=0)
        assert [(record["n"], record["value"]) for record in records] == [(0, None)] * 3


# --- the scripts


def script_of_scores(labels: SimpleNamespace, model: dict[str, Path], labeller: str, path: Path) -> Path:
    files = {"labels": labels.labels_file, "lists": labels.lists, **model}
    job = SimpleNamespace(
        wildcards=SimpleNamespace(matrix="mlp_in", labeller=labeller),
        input=Files({name: str(file) for name, file in files.items()}),
        output=SimpleNamespace(scores=str(path)),
        params=SimpleNamespace(seed=0, code="0f"),
    )
    score_labels.main(job)
    return path


def test_the_scripts_score_each_table_and_collect_them(
    made: SimpleNamespace, published: SimpleNamespace, model: dict[str, Path], judged: Judged, tmp_path: Path
) -> None:
    of_made = script_of_scores(made, model, "made", tmp_path / "mlp_in.made.parquet")
    of_published = script_of_scores(published, model, "published", tmp_path / "mlp_in.published.parquet")
    table = pq.ParquetFile(of_made).read()
    assert table.schema.equals(SCORES)
    constants = {"matrix": "mlp_in", "labeller": "made"}
    records = score_table(made.labels_file, made.lists, judged, 0)
    assert table.to_pylist() == [pytest.approx(constants | record) for record in records]
    facts = read_metadata(of_made)
    assert (facts["code"], facts["minilm_sha256"], facts["labels"]["labels of"]) == ("0f", SHA256, "mlp_in.made")
    again = script_of_scores(made, model, "made", tmp_path / "again/mlp_in.made.parquet")
    assert again.read_bytes() == of_made.read_bytes()
    assert str(tmp_path).encode() not in of_made.read_bytes()

    # Two equivalent settings share the first.
    places = [("m", "raw", "mlp_in", "made"), ("m", "unembed", "mlp_in", "made")]
    places.append(("m", "post2022", "mlp_in", "published"))
    job = SimpleNamespace(
        input=SimpleNamespace(scores=[str(of_made), str(of_made), str(of_published)]),
        output=SimpleNamespace(scores=str(tmp_path / "scores.parquet")),
        params=SimpleNamespace(places=places, code="0"),
    )
    collect_scores.main(job)
    whole = pq.ParquetFile(tmp_path / "scores.parquet").read()
    assert whole.schema.equals(sweep_schema(SCORES))
    expected = [
        {"model": "m", "setting": setting, **row}
        for path, setting in ((of_made, "raw"), (of_made, "unembed"), (of_published, "post2022"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    assert whole.to_pylist() == expected
    sources = read_metadata(tmp_path / "scores.parquet")["sources"]
    assert list(sources) == sorted(f"m/{setting}/mlp_in.{labeller}.parquet" for _, setting, _, labeller in places)


def test_each_label_of_the_sweep_is_embedded_once(tmp_path: Path) -> None:
    row_keys = keys(["read"], ["W_U"])
    row_keys = {name: column[:4] for name, column in row_keys.items()}
    random = label_rows(row_keys, ["tree"] * 4, [[]] * 4, control=["random_unit"] * 4)
    files = [
        write_labels(
            tmp_path / "a.parquet", label_rows(row_keys, ["fire", "frequent", None, "a / b"], [[]] * 4), random
        ),
        write_labels(tmp_path / "b.parquet", label_rows(row_keys, ["law", "fire", "fire", "=1+1"], [[]] * 4)),
    ]
    assert distinct_labels(files) == ["=1+1", "a / b", "fire", "law"]
    assert distinct_labels([]) == []
    provenance = tmp_path / "provenance.json"
    provenance.write_text(json.dumps({"model": "m", "revision": "1", "rotary": False, "files": {}}), encoding="utf-8")
    for n, threads in ((2, 1), (2, 2), (0, 1)):
        job = SimpleNamespace(
            input=SimpleNamespace(labels=list(map(str, files[:n])), provenance=provenance),
            output=SimpleNamespace(embeddings=str(tmp_path / f"{n}_{threads}.parquet")),
            params=SimpleNamespace(code="0"),
            threads=threads,
        )
        embed_labels.main(job)
    assert (tmp_path / "2_1.parquet").read_bytes() == (tmp_path / "2_2.parquet").read_bytes()
    table = pq.ParquetFile(tmp_path / "2_1.parquet").read()
    assert table.schema.equals(LABEL_EMBEDDINGS)
    assert table["label"].to_pylist() == distinct_labels(files)
    embedded = np.array(table["embedding"].to_pylist(), np.float32)
    assert np.array_equal(embedded, embed_texts(distinct_labels(files), threads=1))
    assert len(pq.ParquetFile(tmp_path / "0_1.parquet").read()) == 0


# --- which lists and labels


def read_labels(path: Path) -> pd.DataFrame:
    return pq.ParquetFile(path).read().to_pandas()


def test_all_lists_are_held_against_a_label_whoever_labelled_them(made: SimpleNamespace, tmp_path: Path) -> None:
    row_keys = keys(["read"], ["W_U"])
    half = [row for row in range(len(row_keys["layer"])) if row_keys["sign"][row] == 1][
        ::-1
    ]  # in an order of their own
    labels, evidence = labels_of(made.ids)
    few = {name: [column[row] for row in half] for name, column in row_keys.items()}
    chosen = [labels[row] for row in half]
    chosen[-1] = "frequent"
    path = write_labels(tmp_path / "few.parquet", label_rows(few, chosen, [evidence[row] for row in half]))
    rows = rows_to_score(read_labels(path), made.lists, KNOWN.texts)
    # Those of the control in the same file are no lists to hold against it.
    assert np.array_equal(np.stack(rows["token_ids"]), made.ids)
    for row, (label, words) in enumerate(zip(rows["label"], rows["evidence"], strict=True)):
        expected = labels[row] if row_keys["sign"][row] == 1 and row != 0 else None
        assert (label if isinstance(label, str) else None) == expected
        assert expected is None or list(words) == evidence[row]


def test_no_label_is_held_against_lists_of_null_space(tmp_path: Path) -> None:
    row_keys = keys(["read"], ["W_U"])
    ids = clustered_lists(len(row_keys["layer"]), 30, 0)
    path = write_labels(tmp_path / "labels.parquet", label_rows(row_keys, *labels_of(ids)))
    write_tokens(tmp_path / "tokens.parquet", ids, row_keys, n_null_space=5)
    rows = rows_to_score(read_labels(path), tmp_path / "tokens.parquet", KNOWN.texts)
    assert np.array_equal(np.stack(rows["token_ids"]), ids[5:])


def test_published_lists_are_found_by_their_texts(published: SimpleNamespace) -> None:
    rows = rows_to_score(read_labels(published.labels_file), published.lists, KNOWN.texts)
    lines = [json.loads(line) for line in published.lists.read_text().splitlines()]
    tokens_by_id = {line["id"]: line["tokens"] for line in lines}
    assert len(rows) == DIRECTIONS
    for row in rows.itertuples():
        words = [KNOWN.texts[id].strip() for id in row.token_ids]
        assert words == tokens_by_id.get(f"L{row.layer}_I{row.index}", [])


def test_each_readout_and_side_is_scored_by_itself(judged: Judged, tmp_path: Path) -> None:
    parts = []
    for seed, (readout, side) in enumerate([("W_U", "read"), ("W_U", "write"), ("W_E", "read")]):
        row_keys = keys([side], [readout])
        ids = clustered_lists(len(row_keys["layer"]), 30, seed)
        write_tokens(tmp_path / "tokens.parquet", ids, row_keys)
        path = write_labels(tmp_path / "labels.parquet", label_rows(row_keys, *labels_of(ids)))
        parts.append(rows_to_score(read_labels(path), tmp_path / "tokens.parquet", KNOWN.texts))
    alone = [record for part in parts for record in scores_of_rows(part, judged, 0)]
    assert [(record["readout"], record["side"]) for record in alone[::3]] == [
        ("W_U", "read"),
        ("W_U", "write"),
        ("W_E", "read"),
    ]
    assert scores_of_rows(pd.concat(parts), judged, 0) == alone


def test_tokens_and_labels_are_centred_on_the_vocabulary(judged: Judged) -> None:
    embeddings = np.zeros((N_TOKENS, MINILM_WIDTH))
    embeddings[:, : KNOWN.vectors.shape[1]] = KNOWN.vectors + np.float32(0.3)
    moved = embeddings - embeddings.mean(axis=0)
    # Also those of no words, which weigh less in the labeller's score.
    assert judged.vectors == pytest.approx(moved / np.linalg.norm(moved, axis=1, keepdims=True), abs=1e-5)
    assert judged.vocabulary.texts == KNOWN.texts
    assert np.array_equal(judged.vocabulary.log_ranks, KNOWN.log_ranks)
    assert np.array_equal(judged.vocabulary.groups, KNOWN.classes.groups)
    label = name_embeddings()["concept 3"] - embeddings.mean(axis=0)
    fits = judged.judge.fit(["concept 3"], [[]], np.array([[0, 95]]))[0]
    assert fits == pytest.approx(judged.vectors[[0, 95]] @ label / np.linalg.norm(label), abs=1e-5)
    # The name of a class is judged by who is in it.
    assert judged.judge.fit([text_key("Concept 2")], [[]], np.array([[60, 0]]))[0].round(1).tolist() == [1, 0]


def test_a_sweep_without_labels_has_nothing_to_embed() -> None:
    embeddings = np.random.default_rng(0).standard_normal((N_TOKENS, MINILM_WIDTH)).astype(np.float32)
    judged = judged_model(KNOWN.texts, features_of(KNOWN), embeddings, {})
    assert judged.judge.fit([], [], np.empty((0, 3), int)).shape == (0, 3)


def test_false_positives_of_each_readout() -> None:
    row_keys = keys(["all"], ["W_U", "W_E"])
    n = len(row_keys["layer"])
    labels = ["a" if row < 16 or row >= n - 40 else None for row in range(n)]
    controls = label_rows(row_keys, labels, [[]] * n, control=["random_unit"] * n)
    # Rows of singular directions say where the tables are cut: not those of the other read-out, nor of no label.
    singular = controls.assign(control=None, status="ok", p_value=np.linspace(0.01, 0.02, n))
    singular["labelled"] = [row in (3, 17, n - 2) for row in range(n)]
    records = scores_of_controls(controls, singular)
    assert [(record["readout"], record["side"], record["value"]) for record in records] == [
        ("W_U", "all", 0.1),
        ("W_E", "all", 0.25),
    ]
    for record in records:
        through_readout = singular[(singular["readout"] == record["readout"]) & singular["labelled"]]
        assert record["chance"] == through_readout["p_value"].max()
    assert records[0]["chance"] < records[1]["chance"]
    assert np.isnan(scores_of_controls(controls, singular.assign(p_value=np.nan))[0]["chance"])
