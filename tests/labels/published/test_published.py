"""The published answers: shares against those of the post, made-up files to and fro, and every way to get them.

Files are made up here; gpt2-small's real ones are used where they are at hand.
"""

import codecs
import hashlib
import io
import json
import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import label_directions
import list_published
import view_labels
from shared_data import shared
from svdlens.artefacts.table_schemas import CONTROL_LABELS, LABELS, read_metadata, write_table
from svdlens.errors import SvdlensError
from svdlens.evaluation.fractions import fractions_of_readouts
from svdlens.labels.external_lists import read_lists
from svdlens.labels.published.answers import (
    LAYERS,
    MATRICES,
    kind,
    label_columns,
    meaning,
    parse,
    published_lists,
    published_paths,
    read_answers,
    read_array,
)
from svdlens.labels.published.fetch import COMMIT, fetch_published
from workflow import Files, Workflow

pytest_plugins = ["workflow_fixtures"]

PROJECT = Path(__file__).parents[3]
SHARES = {"mlp_in": {"P": 0.831, "V": 0.725, "B": 0.600}, "mlp_out": {"P": 0.742, "V": 0.692, "B": 0.469}}
NOTHING = "these words have no shared semantic meaning"


# --- made-up files


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values), allow_pickle=True)
    return file.getvalue()


def texts(layers: int, directions: int, response: str = "most of these words are related to fire.") -> dict[str, Any]:
    one = {"test_string": ", ".join("abcdefghijklmno"), "response": response, "verifier_response": "yes"}
    return {
        f"layer_{layer}": {f"direction_{direction}": dict(one) for direction in range(directions)}
        for layer in range(layers)
    }


def encoded(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def make_files(directory: Path, model: str, checkout: bool = False) -> Path:
    """Two directions in each layer of `model`: fire, and nothing; the verifier says yes to both."""
    layers = LAYERS[model]
    tree = texts(layers, 2)
    for layer in tree.values():
        layer["direction_1"]["response"] = NOTHING
    contents = {"outputs.json": encoded(tree), "corrects_list.npy": npy([[1, 0]] * layers)}
    contents["verifier_svd_corrects_list.npy"] = npy([[1, 1]] * layers)
    for name, path in published_paths(model).items():
        content = next(contents[end] for end in reversed(contents) if name.endswith(end))
        place = directory / (path if checkout else name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return directory


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pins(directory: Path, model: str) -> dict[str, str]:
    return {name: sha256(directory / name) for name in published_paths(model)}


@pytest.fixture
def small() -> Path:
    return shared("published")


def table_of(answers: list[Any], matrix: str, path: Path) -> pd.DataFrame:
    """The labels as they come back from a file."""
    write_table(path, label_columns(answers, matrix), LABELS, {})
    return pq.ParquetFile(path).read().to_pandas()


# --- what was published


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_shares_of_gpt2_small_are_those_of_the_post(matrix: str, small: Path, tmp_path: Path) -> None:
    rows = table_of(read_answers(small, "gpt2-small", matrix), matrix, tmp_path / "labels.parquet")
    assert len(rows) == 12 * 30
    for criterion, expected in SHARES[matrix].items():
        fractions = fractions_of_readouts(rows, None, criterion)
        overall = fractions.query("group == 'all' and side == 'all' and kind == 'all' and unit == 'row'").iloc[0]
        assert overall["n"] == 360
        assert overall["fraction"] == pytest.approx(expected, abs=0.0005)
        assert overall["low"] < overall["fraction"] < overall["high"]
        controls = ["control_fraction", "excess", "excess_low", "excess_high"]
        assert fractions[controls].isna().all(axis=None) and set(fractions["control_n"]) == {0}
        assert set(fractions["kind"]) == (
            {"all"} if criterion in "PV" else {"all", "semantic", "grammatical", "orthographic"}
        )


@pytest.mark.parametrize("matrix", MATRICES)
def test_texts_and_arrays_of_gpt2_small_agree(matrix: str, small: Path, caplog: pytest.LogCaptureFixture) -> None:
    # With P and V the other way round, hundreds of lines would be at odds.
    with caplog.at_level(logging.WARNING):
        answers = read_answers(small, "gpt2-small", matrix)
    assert caplog.messages == []
    lists = published_lists(answers)
    assert [one["id"] for one in lists] == [f"L{layer}_I{index}" for layer in range(12) for index in range(30)]
    assert all(len(one["tokens"]) == 15 for one in lists)
    assert all(", ".join(one["tokens"]) == answer.text for one, answer in zip(lists, answers, strict=True))
    assert any("," in one["tokens"] for one in lists)  # a comma is a token as well
    columns = label_columns(answers, matrix)
    for named, positive in zip(columns["label"], columns["labelled"], strict=True):
        assert (named is not None) == positive


def test_the_files_of_gpt2_small_are_pinned(small: Path) -> None:
    pinned = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))["labellers"]["published"]["sha256"]
    assert pinned == pins(small, "gpt2-small")


@pytest.mark.parametrize(
    ("response", "label", "form"),
    [
        ("most of these words are related to states.", "states", "semantic"),
        ("most of these words relate to money", "money", "semantic"),
        ("Most of these words have to do with\n documents or", "documents or", "semantic"),
        ("these words are punctuation marks.", "punctuation marks", "orthographic"),
        ("most of these words are suffixes.", "suffixes", "orthographic"),
        ("most of these words are -ism words.", "-ism words", "orthographic"),
        ("most of these words end in -ical", "end in -ical", "orthographic"),
        ("most of these words are letters in the english alphabet", "letters in the english alphabet", "orthographic"),
        ("most of these words are positive adjectives.", "positive adjectives", "grammatical"),
        ("most of these words are nouns or verbs", "nouns or verbs", "grammatical"),
        ("most of these words are verbs meaning to notice.", "verbs meaning to notice", "semantic"),
        ("most of these words relate to numbers.", "numbers", "semantic"),
        ("most of these words describe positive qualities.", "describe positive qualities", "semantic"),
        ("fire", "fire", "semantic"),
        (NOTHING + ".", None, "semantic"),
        (" . ", None, "semantic"),
        ("", None, "semantic"),
    ],
)
def test_an_answer_in_plain_words(response: str, label: str | None, form: str) -> None:
    assert meaning(response) == label
    assert kind(response) == form


# --- made-up files, to and fro

CELLS = st.sampled_from([-1, 0, 1])
WORDS = st.text(st.characters(exclude_categories=["Cs", "Zs"]), max_size=6)
RESPONSES = st.sampled_from([NOTHING, "most of these words are verbs.", "most of these words relate to law", "?", ""])


@st.composite
def published(draw: st.DrawFn) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dtype = draw(st.sampled_from([np.int64, np.int8, np.float64, ">i4"]))
    tree = texts(*shape)
    for layer in tree.values():
        for one in layer.values():
            one["test_string"] = ", ".join(draw(st.lists(WORDS, min_size=13, max_size=16)))
            one["response"] = draw(RESPONSES)
    return tree, *(draw(hnp.arrays(dtype, shape, elements=CELLS)) for _ in range(2))


@settings(max_examples=40)
@given(published(), st.sampled_from(MATRICES))
def test_made_up_files_come_back(tmp_path_factory: pytest.TempPathFactory, files: Any, matrix: str) -> None:
    tree, labelled, verified = files
    answers = parse(encoded(tree), npy(labelled), npy(verified), len(labelled))
    rows = table_of(answers, matrix, tmp_path_factory.mktemp("labels") / "labels.parquet")
    n_directions = labelled.shape[1]
    assert [(row.layer, row.index) for row in rows[["layer", "index"]].itertuples(index=False, name="Row")] == [
        (layer, index) for layer in range(len(labelled)) for index in range(n_directions)
    ]
    for row, answer, p, v in zip(rows.to_dict("records"), answers, labelled.flat, verified.flat, strict=True):
        original = tree[f"layer_{answer.layer}"][f"direction_{answer.direction}"]
        assert (answer.text, answer.response) == (original["test_string"], original["response"])
        assert row["labelled"] == (None if p == -1 else bool(p))
        assert row["verified"] == (None if v == -1 else bool(v))
        unparsed = -1 in (p, v)
        assert row["status"] == ("unparsed" if unparsed else "ok")
        assert row["interpretable"] == (None if unparsed else bool(p == v == 1))
        assert (row["kind"] == "none") == (not row["interpretable"])
        assert (row["side"], row["sign"], row["readout"]) == ({"mlp_in": "read", "mlp_out": "write"}[matrix], 1, "W_U")
    # Words have no spaces, so that every list of 15 comes back just as it was, commas and quotes and all.
    whole = {f"L{answer.layer}_I{answer.direction}" for answer in answers if answer.text.count(", ") == 14}
    lists = published_lists(answers)
    assert {one["id"] for one in lists} == whole
    texts_of = {f"L{answer.layer}_I{answer.direction}": answer.text for answer in answers}
    assert all(", ".join(one["tokens"]) == texts_of[one["id"]] for one in lists)


def test_answers_are_read_with_a_byte_order_mark() -> None:
    files = encoded(texts(1, 2)), npy([[1, 1]]), npy([[1, 0]])
    assert parse(codecs.BOM_UTF8 + files[0], *files[1:]) == parse(*files)


def test_tokens_may_have_commas_and_quotes() -> None:
    tokens = ["the", ",", "a", "',\"", ",,", '","', "", "\\", "<script>", "a,b", ".", "x,", "\n", '"', "и"]
    tree = texts(1, 1)
    tree["layer_0"]["direction_0"]["test_string"] = ", ".join(tokens)
    [answer] = parse(encoded(tree), npy([[1]]), npy([[1]]))
    assert answer.tokens == tokens


def test_without_15_tokens_a_list_is_left_out_and_its_label_stays(caplog: pytest.LogCaptureFixture) -> None:
    tree = texts(1, 2)
    tree["layer_0"]["direction_0"]["test_string"] = "too, few"
    answers = parse(encoded(tree), npy([[1, 1]]), npy([[1, 1]]))
    assert [one["id"] for one in published_lists(answers)] == ["L0_I1"]
    assert (answers[0].text, answers[0].tokens) == ("too, few", None)
    assert label_columns(answers, "mlp_in")["label"] == ["fire", "fire"]
    assert "direction_0: no list of 15 tokens: 'too, few'" in caplog.text


def test_an_answer_at_odds_with_its_array_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    parse(encoded(texts(1, 1)), npy([[0]]), npy([[0]]))
    assert "labelled is False, but the answer is 'most of these words are related to fire.'" in caplog.text
    assert "verified is False, but the verifier said 'yes'" in caplog.text


# --- files that are not what they should be


def without(tree: dict[str, Any], *place: str) -> dict[str, Any]:
    node = tree
    for name in place[:-1]:
        node = node[name]
    del node[place[-1]]
    return tree


GOOD = [[1, 0], [0, 1]]
REPEATED = b'{"layer_0": {}, "layer_0": {}}'
BAD: dict[str, tuple[bytes, bytes, bytes, str]] = {
    "truncated json": (encoded(texts(2, 2))[:-9], npy(GOOD), npy(GOOD), "is no JSON.*truncated"),
    "empty json": (b"", npy(GOOD), npy(GOOD), "is no JSON"),
    "bytes": (b"\xff\xfe", npy(GOOD), npy(GOOD), "is no JSON"),
    "deep": (b"[" * 100_000, npy(GOOD), npy(GOOD), "is no JSON"),
    "repeated": (REPEATED, npy(GOOD), npy(GOOD), "'layer_0' comes twice"),
    "a list": (b"[]", npy(GOOD), npy(GOOD), "has list, and no object with layer_0"),
    "a layer": (encoded(without(texts(2, 2), "layer_1")), npy(GOOD), npy(GOOD), "has no layer_1"),
    "a direction": (
        encoded(without(texts(2, 2), "layer_1", "direction_0")),
        npy(GOOD),
        npy(GOOD),
        "layer_1.*direction_0",
    ),
    "a field": (
        encoded(without(texts(2, 2), "layer_1", "direction_0", "response")),
        npy(GOOD),
        npy(GOOD),
        "layer_1: direction_0.*no text as response",
    ),
    "a number": (
        encoded(texts(2, 2, response=3)),  # type: ignore[arg-type]
        npy(GOOD),
        npy(GOOD),
        "no text as response",
    ),
    "a surrogate": (encoded(texts(2, 2, response="\ud800")), npy(GOOD), npy(GOOD), "surrogate"),
    "one layer more": (encoded(texts(3, 2)), npy(GOOD), npy(GOOD), "'layer_2'.*end with layer_1"),
    "unlike shapes": (encoded(texts(2, 2)), npy(GOOD), npy([[1, 0]]), r"\(2, 2\).*\(1, 2\)"),
    "another depth": (encoded(texts(1, 2)), npy([[1, 0]]), npy([[1, 0]]), "have 1 layers, and the model has 2"),
    "flat": (encoded(texts(2, 2)), npy([1, 0]), npy(GOOD), r"has int64 \(2,\)"),
    "nothing": (encoded({}), npy(np.zeros((0, 2))), npy(np.zeros((0, 2))), r"has float64 \(0, 2\)"),
    "texts": (encoded(texts(2, 2)), npy([["1", "0"], ["0", "1"]]), npy(GOOD), "not a table of numbers"),
    "two": (encoded(texts(2, 2)), npy([[1, 2], [0, 1]]), npy(GOOD), "has the value 2"),
    "nan": (encoded(texts(2, 2)), npy(GOOD), npy([[1, np.nan], [0, 1]]), "verifier_svd.*has the value nan"),
    "pickled": (encoded(texts(2, 2)), npy(np.array(GOOD, object)), npy(GOOD), "without pickle"),
    "a pickle": (encoded(texts(2, 2)), b"\x80\x04K\x01.", npy(GOOD), "without pickle"),
    "truncated npy": (encoded(texts(2, 2)), npy(GOOD)[:-1], npy(GOOD), "cannot be read as a .npy file"),
    "empty npy": (encoded(texts(2, 2)), b"", npy(GOOD), "cannot be read as a .npy file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_not_what_it_should_be_is_refused(case: str) -> None:
    content, labelled, verified, message = BAD[case]
    with pytest.raises(SvdlensError, match=rf"(?s)^there: .*{message}.*fetch it again"):
        parse(content, labelled, verified, 2, where="there")


@given(st.data())
def test_damage_is_found_or_harmless(data: st.DataObject) -> None:
    files = [encoded(texts(2, 2)), npy(GOOD), npy(GOOD)]
    which, cut = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    place = data.draw(st.integers(0, len(files[which]) - 1))
    damaged = b"" if cut else data.draw(st.binary(min_size=1, max_size=3)) + files[which][place + 1 :]
    files[which] = files[which][:place] + damaged
    try:
        answers = parse(*files)
    except SvdlensError:
        return
    assert not cut
    assert len(answers) == 4


@given(hnp.arrays(st.sampled_from([np.int64, np.float32, np.bool_, np.complex64]), hnp.array_shapes(max_dims=3)))
def test_an_array_is_a_table_of_three_values_or_refused(array: np.ndarray) -> None:
    sound = array.ndim == 2 and array.dtype.kind in "if" and np.isin(array, [-1, 0, 1]).all()
    if sound:
        assert (read_array(npy(array), "there") == array).all()
    else:
        with pytest.raises(SvdlensError, match="there: has"):
            read_array(npy(array), "there")


# --- from a directory or by download


@pytest.mark.parametrize("checkout", [False, True])
def test_files_come_from_either_layout(checkout: bool, tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", "gpt2-medium", checkout)
    target = tmp_path / "published" / "gpt2-medium"
    fetch_published("gpt2-medium", target, {}, source)
    provenance = json.loads((target / "provenance.json").read_text())
    assert (provenance["source"], provenance["commit"]) == ("path", None)  # nothing says that these are of the commit
    assert sorted(path.name for path in target.iterdir()) == sorted(
        [*published_paths("gpt2-medium"), "provenance.json"]
    )
    for name, path in published_paths("gpt2-medium").items():
        assert (target / name).read_bytes() == (source / (path if checkout else name)).read_bytes()
        assert provenance["files"][name]["sha256"] == sha256(target / name)
    assert [path.name for path in target.parent.iterdir()] == ["gpt2-medium"]
    fetch_published("gpt2-medium", target, pins(target, "gpt2-medium"), source)
    assert json.loads((target / "provenance.json").read_text())["commit"] == COMMIT


def test_what_is_wrong_with_a_directory_is_said(tmp_path: Path) -> None:
    source, target = make_files(tmp_path / "source", "gpt2-medium"), tmp_path / "published" / "gpt2-medium"
    name = "verifier_mlp_out_gpt2_medium_svd_corrects_list.npy"
    with pytest.raises(
        SvdlensError, match=r"labellers\.published\.path is .*nowhere, which has neither data/json_data/medium"
    ):
        fetch_published("gpt2-medium", target, {}, tmp_path / "nowhere")
    with pytest.raises(SvdlensError, match=rf"{name} has the sha256 {sha256(source / name)}, but .* pins 0{{64}}"):
        fetch_published("gpt2-medium", target, {name: "0" * 64}, source)
    with pytest.raises(SvdlensError, match=f"no published file. Did you mean '{name}'"):
        fetch_published("gpt2-medium", target, {name[:-1]: "0" * 64}, source)
    (source / name).write_bytes(npy([[1, 0]] * 12))
    with pytest.raises(SvdlensError, match=r"shape \(12, 2\), but .* \(24, 2\)"):
        fetch_published("gpt2-medium", target, {}, source)
    assert not target.exists()
    with pytest.raises(SvdlensError, match=r"missing\. Delete .*provenance\.json"):
        read_answers(target, "gpt2-medium", "mlp_in")


class Server:
    """The files of a directory under the commit, and how often each was asked for."""

    def __init__(self, server: HTTPServer, files: Path) -> None:
        self.files, self.asked, self.tokens = files, [], []
        self.statuses: dict[str, list[int]] = {}
        self.cut: dict[str, int] = {}
        self.url = server.url_for("/someone/answers")
        server.expect_request(re.compile(r"/someone/answers/.*")).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        path = request.path.removeprefix(f"/someone/answers/{COMMIT}/")
        name = Path(path).name
        self.asked.append(name)
        self.tokens.append(request.headers.get("Authorization"))
        if statuses := self.statuses.get(name):
            return Response("refused", status=statuses.pop(0))
        place = self.files / path
        if not place.is_file():
            return Response("404: Not Found", status=404)
        content = place.read_bytes()
        return Response(content[: self.cut.get(name, len(content))])


@pytest.fixture
def server(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    # As in the process of a job, which comes by huggingface_hub with the network allowed.
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_DISABLE_XET"):
        monkeypatch.setenv(name, "0" if name == "HF_HUB_OFFLINE" else "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import constants, utils

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    utils.close_session()
    return Server(httpserver, make_files(tmp_path / "repository", "gpt2-medium", checkout=True))


def test_a_download_is_verified_and_says_what_to_pin(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "published" / "gpt2-medium"
    fetch_published("gpt2-medium", target, {}, url=server.url)
    paths = published_paths("gpt2-medium")
    assert sorted(server.asked) == sorted(paths)
    assert set(server.tokens) == {None}  # the token for the hub is nobody else's
    provenance = json.loads((target / "provenance.json").read_text())
    assert (provenance["source"], provenance["commit"], provenance["model"]) == ("download", COMMIT, "gpt2-medium")
    for name, path in paths.items():
        assert sha256(target / name) == sha256(server.files / path) == provenance["files"][name]["sha256"]
        assert (
            f"{name} has the sha256 {sha256(target / name)}, and no pin. To pin it: labellers.published" in caplog.text
        )
    caplog.clear()
    fetch_published("gpt2-medium", tmp_path / "again" / "gpt2-medium", pins(target, "gpt2-medium"), url=server.url)
    assert not [record for record in caplog.records if record.name.startswith("svdlens")]
    assert (tmp_path / "again/gpt2-medium/provenance.json").read_text() == (target / "provenance.json").read_text()


def test_an_altered_or_truncated_download_is_not_published(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "published" / "gpt2-medium"
    paths = published_paths("gpt2-medium")
    pinned = {name: sha256(server.files / path) for name, path in paths.items()}
    name = "medium_mlp_in_text_outputs.json"
    server.cut = {name: 1000}
    with pytest.raises(SvdlensError, match=rf"{name} has the sha256 .*, but .* pins {pinned[name]}"):
        fetch_published("gpt2-medium", target, pinned, url=server.url)
    with pytest.raises(SvdlensError, match=r"gpt2-medium, mlp_in: .* is no JSON"):
        fetch_published("gpt2-medium", target, {}, url=server.url)
    assert not target.exists()
    server.cut = {}
    fetch_published("gpt2-medium", target, pinned, url=server.url)
    assert pins(target, "gpt2-medium") == pinned
    assert [path.name for path in target.parent.iterdir()] == ["gpt2-medium"]


def test_a_download_goes_on_where_it_failed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svdlens.models.fetch.WAITS", (0, 0))
    target = tmp_path / "published" / "gpt2-medium"
    third, last = list(published_paths("gpt2-medium"))[2::3]
    server.statuses = {third: [503, 503], last: [503] * 3}
    with pytest.raises(
        SvdlensError, match=rf"{last} answers with status 503.*run again later.*`path:` under labellers"
    ):
        fetch_published("gpt2-medium", target, {}, url=server.url)
    assert [server.asked.count(name) for name in (third, last)] == [3, 3]
    assert not target.exists()
    server.asked.clear()
    fetch_published("gpt2-medium", target, {}, url=server.url)
    assert server.asked == [last]


def test_a_wrong_address_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "published" / "gpt2-large"
    with pytest.raises(SvdlensError, match=r"large_mlp_in_text_outputs\.json answers with status 404.*published\.url"):
        fetch_published("gpt2-large", target, {}, url=server.url)
    assert len(server.asked) == 1
    monkeypatch.setattr("svdlens.models.fetch.WAITS", (0, 0))
    with pytest.raises(
        SvdlensError, match=r"cannot download http://127\.0\.0\.1:9/.*`path:` under labellers\.published"
    ):
        fetch_published("gpt2-large", target, {}, url="http://127.0.0.1:9")
    assert not target.exists()


# --- the scripts, and the workflow


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """provenance.json of the made-up answers about gpt2-medium."""
    source = make_files(tmp_path / "source", "gpt2-medium")
    target = tmp_path / "published/gpt2-medium"
    fetch_published("gpt2-medium", target, pins(source, "gpt2-medium"), source)
    return target / "provenance.json"


def label_published(fetched: Path, path: Path) -> Path:
    """What label_directions, the script of every labeller, writes."""
    wildcards = Files({"model": "gpt2-medium", "matrix": "mlp_out", "labeller": "published", "read_gain": "off"})
    choice = {"sides": None, "signs": None, "directions": None}
    source = {"path": str(fetched.parents[2] / "source")}
    params = SimpleNamespace(parameters={}, source=source, choice=choice, seed=0, code="0f")
    output = SimpleNamespace(labels=path)
    label_directions.main(
        SimpleNamespace(wildcards=wildcards, input=Files({"answers": str(fetched)}), output=output, params=params)
    )
    return path


def test_labels_of_one_matrix(fetched: Path, tmp_path: Path) -> None:
    first, second = (label_published(fetched, tmp_path / run / "labels.parquet") for run in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    # Files that are gone come back from where they came.
    for name in pins(fetched.parent, "gpt2-medium"):
        (fetched.parent / name).unlink()
    third = label_published(fetched, tmp_path / "third/labels.parquet")
    assert first.read_bytes() == third.read_bytes()
    facts = read_metadata(first)
    assert (facts["model"], facts["preset"], facts["sign"], facts["commit"], facts["code"]) == (
        "gpt2-medium",
        "post2022",
        "unknown",
        COMMIT,
        "0f",
    )
    assert facts["repository"] == "github.com/BerenMillidge/svd_directions"
    assert facts["sha256"] == pins(fetched.parent, "gpt2-medium")
    table = pq.ParquetFile(first).read()
    assert table.schema.equals(CONTROL_LABELS)
    rows = table.to_pandas()
    assert rows["control"].isna().all()
    assert rows["label"].iloc[::2].tolist() == ["fire"] * 24
    assert rows["label"].iloc[1::2].isna().all()
    assert rows["interpretable"].tolist() == [True, False] * 24
    assert rows["verified"].all()
    assert rows[["score", "p_value", "q_value", "n_concepts"]].isna().all(axis=None)
    assert all(len(evidence) == 0 for evidence in rows["evidence"])

    view = SimpleNamespace(
        input=SimpleNamespace(labels=str(first)),
        output=SimpleNamespace(labels=tmp_path / "view.parquet"),
        params=SimpleNamespace(switches=["read_gain"]),
    )
    view_labels.main(view)
    viewed = pq.ParquetFile(tmp_path / "view.parquet").read()
    assert viewed.schema.equals(LABELS)
    assert viewed.to_pylist() == table.drop_columns("control").to_pylist()
    # The setting is that of the answers, not of whoever shares the file.
    assert read_metadata(tmp_path / "view.parquet") == facts


def test_lists_of_one_matrix(fetched: Path, tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    names = SimpleNamespace(model="gpt2-medium", matrix="mlp_out")
    files = SimpleNamespace(input=SimpleNamespace(answers=str(fetched)), output=SimpleNamespace(lists=path))
    params = SimpleNamespace(source={"path": str(tmp_path / "source")})
    list_published.main(SimpleNamespace(wildcards=names, input=files.input, output=files.output, params=params))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"L{layer}_I{index}" for layer in range(24) for index in range(2)]
    assert lines[3] == {"id": "L1_I1", "tokens": list("abcdefghijklmno")}
    # Which is what label_lists takes.
    assert [(one.id, one.tokens) for one in read_lists(path)] == [(line["id"], line["tokens"]) for line in lines]


def test_the_workflow_labels_what_was_published_without_a_model(tiny: Workflow) -> None:
    # Neither the sweep nor the disk has this model.
    make_files(tiny.directory / "answers", "gpt2-medium", checkout=True)
    targets = [f"results/labels/model=gpt2-medium/setting=post2022/{matrix}.published.parquet" for matrix in MATRICES]
    targets += [f"results/lists/published_gpt2-medium_{matrix}.jsonl" for matrix in MATRICES]
    run = tiny.finish(*targets, config={"labellers": {"published": {"path": "answers"}}})
    # The same files elsewhere are the same; another file is another, whatever its date.
    (tiny.directory / "answers").rename(tiny.directory / "moved")
    moved = {"labellers": {"published": {"path": "moved"}}}
    assert not tiny.finish("--dry-run", *targets, config=moved).jobs
    answers = next((tiny.directory / "moved").rglob("*mlp_in_text_outputs.json"))
    answers.write_text(answers.read_text() + " ")
    os.utime(answers, (1e9, 1e9))
    assert "fetch_published" in tiny.finish("--dry-run", *targets, config=moved).rules
    assert run.counts == {"fetch_published": 1, "label_directions": 2, "view_labels": 2, "list_published": 2}
    assert all((tiny.directory / target).is_file() for target in targets)
    assert "no pin" in (tiny.results / "logs/fetch_published/gpt2-medium.log").read_text()
    for matrix in MATRICES:
        lists = (tiny.results / f"lists/published_gpt2-medium_{matrix}.jsonl").read_text().splitlines()
        assert len(lists) == 48
