"""Rows of the labels tables: which lists a labeller gets, what becomes of what it says, and the scripts around it."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import (
    CONTROL_LABELS,
    CONTROLS,
    LABEL_FIELDS,
    LABELS,
    columns_of,
    read_metadata,
    write_table,
)
from svdlens.labels.coherence.labeller import Coherence
from svdlens.labels.coherence.nulls import NULL_LISTS
from svdlens.labels.label_table import Choice, choose, label_table
from svdlens.labels.labeller import SINGULAR, Columns, Labelled, Labeller, TokenLists
from svdlens.readout.token_table import TopTokens, join_columns, token_columns
from svdlens.vocabulary.list_similarity import LIST_LENGTH
from svdlens.vocabulary.token_features import KnownVocabulary, load_features, load_vocabulary
from tiny_vocabulary import features_of, tiny_vocabulary, write_vocabulary
from workflow import Files

VOCABULARY = tiny_vocabulary()
FEATURES = features_of(VOCABULARY)
KEYS = ["control", "matrix", "layer", "head", "index", "side", "sign", "readout"]


def shared_lists(vocabulary: KnownVocabulary = VOCABULARY, names: tuple[str, ...] = ("random_unit", "gaussian")):
    """A table as project_directions writes it: singular directions and controls, of two matrices, two sides and two
    read-outs; lists are of any tokens."""
    generator = np.random.default_rng(0)

    def lists(n: int) -> dict[int, TopTokens]:
        zeros = np.zeros((n, 20))
        ids = {sign: generator.integers(0, len(vocabulary.texts), (n, 20)) for sign in (+1, -1)}
        return {sign: TopTokens(ids[sign], zeros, zeros[:, 0]) for sign in ids}

    rows = {readout: {"read": lists(30), "write": lists(30)} for readout in ("W_E", "W_U")}
    pieces = [token_columns(rows, vocabulary.texts, "ov", [0, 0], [0, 1])]
    for name in names:
        controls = {readout: {"all": lists(40)} for readout in rows}
        columns = token_columns(controls, vocabulary.texts, "ov", [None], [None])
        pieces.append(columns | {"control": [name] * len(columns["matrix"])})
    return pa.table(join_columns(pieces))


def rows_of(columns: Mapping[str, object]) -> list[dict[str, object]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def written(columns: dict[str, object], path: Path) -> list[dict[str, object]]:
    write_table(path, columns, CONTROL_LABELS, {})
    return pq.ParquetFile(path).read().to_pylist()


class Shouting:
    """The smallest labeller: it names a list after its first token, and remembers nothing but what it was given."""

    facts: Mapping[str, object] = {"voice": "loud"}

    def __init__(self) -> None:
        self.given: list[dict[str, int]] = []

    def label(self, lists: Mapping[str, TokenLists]) -> Labelled:
        self.given.append({name: len(one.ids) for name, one in lists.items()})
        columns = {name: self.label_lists(one) for name, one in lists.items()}
        return Labelled(columns, {"lists": len(columns)})

    def label_lists(self, lists: TokenLists) -> Columns:
        n = len(lists.ids)
        assert len(lists.texts) == n
        columns: Columns = {name: [None] * n for name, _ in LABEL_FIELDS if name not in ("labeller", "mean_log_rank")}
        first = [tokens[0].upper() for tokens in lists.texts.to_pylist()]
        evidence = [[VOCABULARY.texts[id]] for id in lists.ids[:, 0]]
        return columns | {"label": first, "evidence": evidence, "kind": ["semantic"] * n, "status": ["ok"] * n}


# --- any labeller


def with_null_space(tokens: pa.Table) -> pa.Table:
    """The same with a third of the directions null space, some of a control among them."""
    null_space = [index % 3 == 2 and control != "gaussian" for index, control in
                  zip(tokens["index"].to_pylist(), tokens["control"].to_pylist(), strict=True)]  # fmt: skip
    return tokens.set_column(tokens.column_names.index("null_space"), "null_space", pa.array(null_space))


def test_null_space_has_a_status_and_changes_nothing_of_the_others(tmp_path: Path) -> None:
    """Labels, nulls and q-values of all other lists are what they are where null space is not in the table at all."""
    tokens = with_null_space(shared_lists())
    live = tokens.filter(~pc.field("null_space"))
    assert 0 < len(live) < len(tokens)
    tables = []
    for table in (tokens, live):
        labeller = Coherence(VOCABULARY, 0.05, 0)
        tables.append(label_table(table, "coherence", labeller, FEATURES, Choice()))
    (columns, facts), (alone, facts_alone) = tables
    rows, rows_alone = written(columns, tmp_path / "all.parquet"), written(alone, tmp_path / "live.parquet")
    assert len(rows) == len(tokens) and facts == facts_alone
    is_null = [row["status"] == "null_space" for row in rows]
    assert [[row[key] for key in KEYS] for row in rows] == [[one[key] for key in KEYS] for one in tokens.to_pylist()]
    assert is_null == tokens["null_space"].to_pylist()
    nothing = {"kind": "none", "evidence": [], "status": "null_space", "labeller": "coherence"}
    fields = [name for name, _ in LABEL_FIELDS]
    for row in (row for row, null in zip(rows, is_null, strict=True) if null):
        assert {name: row[name] for name in fields} == dict.fromkeys(fields) | nothing
    assert [row for row, null in zip(rows, is_null, strict=True) if not null] == rows_alone


def test_where_everything_is_null_space_nothing_is_labelled(tmp_path: Path) -> None:
    tokens = shared_lists(names=("random_unit",))
    null_space = pa.array([control is None for control in tokens["control"].to_pylist()])
    tokens = tokens.set_column(tokens.column_names.index("null_space"), "null_space", null_space)
    columns, _ = label_table(tokens, "coherence", Coherence(VOCABULARY, 0.05, 0), FEATURES, Choice())
    rows = written(columns, tmp_path / "labels.parquet")
    assert {row["status"] for row in rows if row["control"] is None} == {"null_space"}
    assert {row["status"] for row in rows if row["control"]} == {"abstained"}


@pytest.mark.parametrize("kept", [pc.field("control").is_valid(), pc.field("sign") == 0], ids=["controls", "nothing"])
def test_a_labeller_that_knows_no_direction_gives_none_a_label(kept: pc.Expression, tmp_path: Path) -> None:
    some = shared_lists().filter(kept)
    rows = written(label_table(some, "shouting", Shouting(), FEATURES, Choice())[0], tmp_path / "labels.parquet")
    assert [(row["control"], row["index"]) for row in rows] == [
        (row["control"], row["index"])
        for control in ("random_unit", "gaussian")
        for readout in ("W_E", "W_U")
        for row in some.to_pylist()
        if (row["control"], row["readout"]) == (control, readout)
    ]


def test_the_smallest_labeller_gets_its_rows(tmp_path: Path) -> None:
    labeller: Labeller = Shouting()
    tokens = shared_lists()
    rows = written(label_table(tokens, "shouting", labeller, FEATURES, Choice())[0], tmp_path / "labels.parquet")
    lists = tokens.to_pylist()
    assert len(rows) == len(lists)
    for row, one in zip(rows, lists, strict=True):
        assert [row[key] for key in KEYS] == [one[key] for key in KEYS]
        assert (row["labeller"], row["label"]) == ("shouting", one["tokens"][0].upper())
        # Ids and texts are of the same list.
        assert row["evidence"] == [one["tokens"][0]]
        first = list(dict.fromkeys(one["token_ids"]))[:LIST_LENGTH]
        assert row["mean_log_rank"] == pytest.approx(VOCABULARY.log_ranks[first].mean())


def test_a_labeller_is_asked_once_for_each_readout_with_all_its_controls() -> None:
    labeller = Shouting()
    label_table(shared_lists(), "shouting", labeller, FEATURES, Choice(signs=[1]))
    assert labeller.given == [{SINGULAR: 120 // 2, "random_unit": 40, "gaussian": 40}] * 2


def test_what_a_labeller_says_of_its_calibration_is_kept_by_readout() -> None:
    _, facts = label_table(shared_lists(), "shouting", Shouting(), FEATURES, Choice())
    assert facts == {"W_E": {"lists": 3}, "W_U": {"lists": 3}}


def test_rows_keep_their_order_whatever_it_is() -> None:
    """Singular directions first, then one control after the other, each as in the table of tokens."""
    tokens = shared_lists()
    order = np.random.default_rng(1).permutation(len(tokens))
    rows = rows_of(label_table(tokens.take(order), "shouting", Shouting(), FEATURES, Choice())[0])
    lists = tokens.take(order).to_pylist()
    readouts = list(dict.fromkeys(one["readout"] for one in lists))
    controls = [None, *dict.fromkeys(one["control"] for one in lists if one["control"])]
    expected = sorted(lists, key=lambda one: (controls.index(one["control"]), readouts.index(one["readout"])))
    assert [[row[key] for key in KEYS] for row in rows] == [[one[key] for key in KEYS] for one in expected]
    assert [row["label"] for row in rows] == [one["tokens"][0].upper() for one in expected]


CHOICES = [
    Choice(),
    Choice(sides=["write"]),
    Choice(signs=[1]),
    Choice(directions=4),
    Choice(["read"], [-1], 7),
    Choice(directions=0),
    Choice(sides=["query"]),
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_labeller_gets_the_rows_that_were_chosen(choice: Choice) -> None:
    tokens = shared_lists()
    expected = [
        row
        for row in tokens.to_pylist()
        if (choice.signs is None or row["sign"] in choice.signs)
        # Controls have no sides, and the order of their directions means nothing.
        and (row["control"] or choice.sides is None or row["side"] in choice.sides)
        and (row["control"] or choice.directions is None or row["index"] < choice.directions)
    ]
    assert choose(tokens, choice).to_pylist() == expected
    for labeller in (Coherence(VOCABULARY, 0.05, seed=1), Shouting()):
        columns, _ = label_table(tokens, "any", labeller, FEATURES, choice)
        assert {len(values) for values in columns.values()} == {len(expected)}
        for key in KEYS:
            assert columns[key] == [row[key] for row in expected], key


def test_without_controls_there_are_the_rows_of_singular_directions() -> None:
    labeller, tokens = Shouting(), shared_lists(names=())
    columns, _ = label_table(tokens, "shouting", labeller, FEATURES, Choice())
    assert columns["control"] == [None] * len(tokens)
    assert labeller.given == [{SINGULAR: 120}] * 2


def test_tokens_of_the_same_word_count_once_in_the_frequency_of_a_list() -> None:
    """As they do for the labellers: groups of case variants and inflections."""
    groups = np.arange(len(VOCABULARY.texts)) // 3
    features = FEATURES._replace(classes=FEATURES.classes._replace(groups=groups))
    tokens = shared_lists()
    columns, _ = label_table(tokens, "shouting", Shouting(), features, Choice())
    for ids, mean in zip(tokens["token_ids"].to_pylist(), columns["mean_log_rank"], strict=True):
        first_of_group: dict[int, int] = {}
        for id in ids:
            first_of_group.setdefault(groups[id], id)
        counted = list(first_of_group.values())[:LIST_LENGTH]
        assert mean == pytest.approx(VOCABULARY.log_ranks[counted].mean())


# --- coherence


def test_each_readout_is_labelled_by_itself() -> None:
    """Two read-outs in one table get the labels that each gets alone."""
    labeller, tokens = Coherence(VOCABULARY, 0.05, seed=1), shared_lists()
    both = rows_of(label_table(tokens, "coherence", labeller, FEATURES, Choice())[0])
    for readout in ("W_E", "W_U"):
        through_readout = tokens.filter(pc.field("readout") == readout)
        alone = rows_of(label_table(through_readout, "coherence", labeller, FEATURES, Choice())[0])
        assert len(alone) == len(tokens) / 2
        # As text, in which NaN equals NaN.
        assert str([row for row in both if row["readout"] == readout]) == str(alone)


# --- the scripts


@pytest.fixture
def job(tmp_path: Path) -> SimpleNamespace:
    """A job of label_directions by coherence, with files of its own."""
    embeddings = VOCABULARY.vectors + np.float32(0.3)
    files = write_vocabulary(tmp_path / "vocabulary", VOCABULARY, embeddings, VOCABULARY.name_vectors)
    write_table(tmp_path / "ov.parquet", columns_of(shared_lists()), CONTROLS, {})
    weights = {"model.safetensors": {"sha256": "0a"}, "config.json": {"sha256": "0b"}}
    facts = {"model": "mine", "revision": "7", "rotary": False, "files": weights}
    (tmp_path / "provenance.json").write_text(json.dumps(facts))
    files |= {"lists": tmp_path / "ov.parquet", "provenance": tmp_path / "provenance.json"}
    switches = {"read_gain": "on", "read_center": "off", "write_center": "off"}
    switches |= {"unembed_gain": "on", "unembed_center": "off", "vocab_center": "off"}
    return SimpleNamespace(
        wildcards=Files({"model": "mine", "matrix": "ov", "labeller": "coherence", **switches}),
        input=Files({name: str(path) for name, path in files.items()}),
        output=SimpleNamespace(labels=tmp_path / "labels.parquet"),
        params=SimpleNamespace(
            parameters={"level": 0.1},
            choice={"sides": ["write"], "signs": None, "directions": 10},
            seed=3,
            code="0f",
        ),
    )


def test_labels_of_coherence_are_those_of_its_files(job: SimpleNamespace, tmp_path: Path) -> None:
    label = importlib.import_module("label_directions").main
    label(job)
    first = job.output.labels.read_bytes()
    features = load_features(Path(job.input.features), Path(job.input.classes))
    vocabulary = load_vocabulary(Path(job.input.embeddings), features, VOCABULARY.texts)
    labeller = Coherence(vocabulary, 0.1, seed=3)
    tokens = pq.ParquetFile(job.input.lists).read()
    columns, calibration = label_table(tokens, "coherence", labeller, features, Choice(["write"], None, 10))
    assert pq.ParquetFile(job.output.labels).read().to_pylist() == written(columns, tmp_path / "expected.parquet")
    facts = read_metadata(job.output.labels)
    assert (facts["model"], facts["revision"], facts["weights_sha256"]) == ("mine", "7", {"model.safetensors": "0a"})
    assert facts["setting"] == ["read_gain", "unembed_gain"]
    assert (facts["token_frequency"], facts["minilm_sha256"], facts["code"]) == ("made up", "00ff", "0f")
    assert facts["labeller_network"] is False
    assert facts["calibration"] == calibration
    assert calibration["W_U"] == {"null_lists": NULL_LISTS, "direction_tail": None}  # of 40 lists there is no fit
    label(job)
    assert job.output.labels.read_bytes() == first and str(tmp_path).encode() not in first


def test_a_model_that_is_the_network_of_the_labeller_is_known_as_such(job: SimpleNamespace) -> None:
    """Its labels are no independent evidence."""
    provenance = Path(job.input.provenance)
    provenance.write_text(provenance.read_text().replace("0a", VOCABULARY.facts["minilm_sha256"]))
    importlib.import_module("label_directions").main(job)
    assert read_metadata(job.output.labels)["labeller_network"] is True


def test_the_view_of_a_setting_has_the_labels_of_its_singular_directions(job: SimpleNamespace, tmp_path: Path) -> None:
    importlib.import_module("label_directions").main(job)
    for name, switches in (("post2022", ["read_gain"]), ("tl_default", ["fold_ln", "center_unembed"])):
        view = SimpleNamespace(
            input=SimpleNamespace(labels=job.output.labels),
            output=SimpleNamespace(labels=tmp_path / f"{name}.parquet"),
            params=SimpleNamespace(switches=switches, code="0"),
        )
        importlib.import_module("view_labels").main(view)
        table = pq.ParquetFile(view.output.labels).read()
        assert table.schema.equals(LABELS)
        shared = pq.ParquetFile(job.output.labels).read().to_pylist()
        expected = [{key: row[key] for key in LABELS.names} for row in shared if row["control"] is None]
        assert table.to_pylist() == expected and 0 < len(expected) < len(shared)
        facts = read_metadata(view.output.labels)
        assert facts == read_metadata(job.output.labels) | {"setting": sorted(switches)}


def test_labels_and_those_of_controls_are_collected_apart(job: SimpleNamespace, tmp_path: Path) -> None:
    """Both of the whole sweep, from the views and from the files that equivalent settings share."""
    importlib.import_module("label_directions").main(job)
    places = [("mine", "post2022", "ov", "coherence"), ("mine", "unembed", "ov", "coherence")]
    view = SimpleNamespace(
        input=SimpleNamespace(labels=job.output.labels),
        output=SimpleNamespace(labels=tmp_path / "view.parquet"),
        params=SimpleNamespace(switches=[]),
    )
    importlib.import_module("view_labels").main(view)
    tables = {}
    for name, path in (("labels", view.output.labels), ("control_labels", job.output.labels)):
        collect = SimpleNamespace(
            input=SimpleNamespace(labels=[str(path)] * 2),
            output=Files({name: str(tmp_path / f"tables/{name}.parquet")}),
            params=SimpleNamespace(places=places, code="0"),
        )
        importlib.import_module(f"collect_{name}").main(collect)
        tables[name] = pq.ParquetFile(tmp_path / f"tables/{name}.parquet").read()
    assert tables["labels"].schema.equals(sweep_schema(LABELS))
    assert tables["control_labels"].schema.equals(sweep_schema(CONTROL_LABELS))
    shared = pq.ParquetFile(job.output.labels).read().to_pylist()
    for name, table in tables.items():
        rows = [row for row in shared if (row["control"] is None) == (name == "labels")]
        expected = [
            {"model": "mine", "setting": setting, **{key: row[key] for key in table.column_names[2:]}}
            for _, setting, *_ in places
            for row in rows
        ]
        assert table.to_pylist() == expected and len(rows) > 0
    assert set(tables["control_labels"]["control"].to_pylist()) == {"random_unit", "gaussian"}
