"""The data of the explorer: shards hold what the tables hold, once, in files that no token can break out of."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_sweep import HOSTILE, Shape, write_effects, write_examples, write_sweep
from svdlens.artefacts.table_schemas import LABELS, write_table
from svdlens.artefacts.table_schemas import TOKENS as TOKENS_SCHEMA
from svdlens.errors import SvdlensError
from svdlens.explorer.build import TOKENS, Source, build_explorer, file_name
from svdlens.explorer.search_index import MOST_TABLES, parts_of, postings_of
from svdlens.explorer.shard_format import (
    Column,
    bytes_of,
    characters_of,
    number_codes,
    number_values,
    read_shard,
    script_json,
    write_shard,
)
from svdlens.explorer.table_shards import moves

PROJECT = Path(__file__).parents[2]
STATIC = sorted((PROJECT / "resources/explorer").glob("*"))
MODELS = {
    "tiny one": Shape(matrices=("ov", "mlp_in")),
    "deeper": Shape(layers=5, heads=2, readouts=("W_U", "W_E"), matrices=("qk",), tables=(("raw", 0),)),
}
NUMBERS = ["score", "p_value", "q_value", "p_direction", "q_direction", "mean_log_rank"]


def rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


# --- shards ---


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1), st.integers(2, 5))
def test_codes_are_of_numbers_rounded_to_digits(values, digits):
    codes = number_codes(np.array(values), digits)
    found = number_values(codes, digits)
    for value, number in zip(values, found, strict=True):
        # Floats from powers of ten that are not exact may be one unit in the last place off.
        assert number == pytest.approx(rounded(value, digits), rel=1e-12)


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_larger_numbers_have_codes_that_are_no_smaller(values):
    assert (np.diff(number_codes(np.sort(np.array(values)), 3)) >= 0).all()


@given(st.binary())
def test_characters_hold_bytes_and_are_letters(raw):
    characters = characters_of(raw)
    assert bytes_of(characters, len(raw)) == raw
    text = characters.decode("utf-16-le")
    assert len(text) == -(-8 * len(raw) // 15)
    assert all(0x3400 <= ord(character) < 0xB400 for character in text)


@given(
    st.lists(st.integers(-(2**30), 2**30)),
    st.lists(st.text()),
    st.lists(st.one_of(st.just(math.nan), st.floats(allow_nan=False, width=32))),
)
def test_a_shard_holds_its_columns(tmp_path_factory, integers, texts, numbers):
    directory = tmp_path_factory.mktemp("shard")
    columns = [
        Column("integers", np.array(integers, int)),
        Column("texts", texts),
        Column("numbers", np.array(numbers), 3),
    ]
    name = write_shard(directory, "a/b", columns, {"kinds": texts})
    found, facts = read_shard(directory / f"{name}.js")
    assert found["integers"].tolist() == integers and found["texts"] == texts and facts == {"kinds": texts}
    np.testing.assert_allclose(found["numbers"], [rounded(number) for number in numbers], rtol=1e-12)


def test_a_shard_in_which_nothing_is_known(tmp_path):
    name = write_shard(tmp_path, "none", [Column("numbers", np.full(3, np.nan), 3)])
    assert np.isnan(read_shard(tmp_path / f"{name}.js")[0]["numbers"]).all()


@given(st.text() | st.sampled_from(["</script><!--", "<!-- </SCRIPT>", "\u2028\u2029"]))
def test_json_in_scripts_cannot_end_them(text):
    written = script_json({text: [text]})
    assert written.isascii() and "</" not in written and "<!--" not in written
    assert json.loads(written) == {text: [text]}


# --- the index ---


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_postings_are_where_tokens_occur(n_frames, n_tables, random):
    generator = np.random.default_rng(random.randrange(2**32))
    frames = [
        [np.argsort(generator.random((rows, 12)), axis=1)[:, :5] for _ in range(generator.integers(1, n_tables + 1))]
        for rows in generator.integers(1, 9, n_frames)
    ]
    postings = postings_of(frames, 12)
    for token in range(12):
        expected, offset = {}, 0
        for tables in frames:
            for place, numbers in enumerate(tables):
                for row in np.flatnonzero((numbers == token).any(axis=1)):
                    expected[offset + row] = expected.get(offset + row, 0) | 1 << place
            offset += len(tables[0])
        run = slice(postings.starts[token], postings.starts[token + 1])
        assert dict(zip(postings.rows[run].tolist(), postings.tables[run].tolist(), strict=True)) == expected
        assert (np.diff(postings.rows[run]) > 0).all()


def test_more_tables_than_bits_are_refused():
    with pytest.raises(SvdlensError, match=f"32 settings of one model.*takes {MOST_TABLES}"):
        postings_of([[np.array([[table]]) for table in range(32)]], 32)


@given(st.lists(st.integers(0, 9)), st.integers(1, 12))
def test_parts_keep_the_order_and_are_no_larger_than_asked(sizes, largest):
    parts = parts_of(range(len(sizes)), np.array(sizes, int), largest)
    assert [token for part in parts for token in part] == list(range(len(sizes)))
    assert all(len(part) == 1 or sum(sizes[token] for token in part) <= largest for part in parts)


def test_lists_are_told_from_earlier_ones():
    earlier = np.array([[3, 1, 4, 5]])
    later = np.array([[1, 3, 9, 4]])
    moved = moves(earlier, later)
    # 1 stands one place further down, 3 one further up (three further down, modulo 4), 9 nowhere.
    assert moved.tolist() == [[1, 3, 4, 3]]


# --- a whole explorer ---


def catalogue_of(target: Path) -> dict:
    text = (target / "data/catalogue.js").read_text("ascii")
    return json.loads(text.removeprefix("svdlens.catalogue = ").removesuffix(";\n"))


class Explorer:
    """Reads the data as the page does."""

    def __init__(self, target: Path):
        self.target, self.catalogue = target, catalogue_of(target)
        self.models = {model["name"]: model for model in self.catalogue["models"]}

    def shard(self, name: str) -> tuple[dict, dict]:
        return read_shard(self.target / f"data/{name}.js")

    def numbers(self, tables: list[dict], table: int) -> np.ndarray:
        """Token numbers of a table, [rows, k]."""
        one, pieces = tables[table], []
        for part, name in enumerate(one["lists"]):
            columns = self.shard(name)[0]
            fresh = columns["tokens"]
            if one["base"] is None:
                pieces.append(fresh.reshape(-1, one["tokens"]))
                continue
            moved = columns["moved"].reshape(-1, one["tokens"])
            start = sum(len(piece) for piece in pieces)
            earlier = self.numbers(tables, one["base"])[start : start + len(moved)]
            places = (np.arange(one["tokens"]) + moved) % one["tokens"]
            piece = np.take_along_axis(earlier, places, axis=1)
            piece[moved == one["tokens"]] = fresh
            pieces.append(piece)
            assert part < len(tables[one["base"]]["lists"])
        return np.concatenate(pieces)

    def scores(self, names: list[str]) -> np.ndarray:
        pieces = []
        for name in names:
            columns, facts = self.shard(name)
            first = columns["first"][:, None]
            steps = columns["steps"].reshape(-1, len(first)).T
            codes = np.concatenate([first, first - np.cumsum(steps, axis=1)], axis=1)
            pieces.append(number_values(codes, facts["digits"]))
        return np.concatenate(pieces)

    def frame(self, frame: dict, entry: dict, vocabulary: dict) -> pd.DataFrame:
        """Keys, tokens and scores of a table."""
        axes = ("layers", "heads", "readouts", "sides")
        names = ["layer", "head", "readout", "side", "index", "sign"]
        keys = pd.MultiIndex.from_product(
            [*(frame[axis] for axis in axes), range(frame["directions"]), (1, -1)], names=names
        )
        numbers = self.numbers(frame["tables"], entry["table"])
        found = keys.to_frame(index=False)
        found["token_ids"] = list(vocabulary["ids"][numbers])
        found["tokens"] = [[vocabulary["texts"][number] for number in row] for row in numbers]
        found["scores"] = list(self.scores(entry["scores"]))
        return found

    def labels(self, entry: dict) -> pd.DataFrame:
        """Columns of labels in the order of the frame."""
        whole, facts = self.shard(entry["names"])
        parts = [self.shard(name)[0] for name in entry["numbers"]]
        found = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        for null, names in {
            "list_null": ["p_value", "q_value"],
            "direction_null": ["p_direction", "q_direction"],
        }.items():
            for name in names:
                found[name] = whole[name][found[null]]
        found["label"] = [whole["names"][place - 1] if place else None for place in whole["name"]]
        found["kind"] = [facts["kinds"][place] for place in whole["kind"]]
        found["status"] = [facts["statuses"][place] for place in whole["status"]]
        for factor, name in ((1, "labelled"), (3, "verified"), (9, "interpretable")):
            found[name] = [(None, False, True)[judged // factor % 3] for judged in whole["judged"]]
        return found


def table_of(path: Path, frame: dict, directions: int | None = None) -> pd.DataFrame:
    """A parquet table in the order of a frame; no layer and no head are -1."""
    table = pq.ParquetFile(path).read().to_pandas()
    for name in ("layer", "head"):
        table[name] = table[name].fillna(-1).astype(int)
    table["sign"] = -table["sign"]
    for name in ("readout", "side"):
        table[name] = pd.Categorical(table[name], frame[f"{name}s"])
    table = table.sort_values(["layer", "head", "readout", "side", "index", "sign"]).reset_index(drop=True)
    table["sign"] = -table["sign"]
    return table[table["index"] < frame["directions"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> tuple[list[Source], Path]:
    results = tmp_path_factory.mktemp("sweep")
    return write_sweep(results, MODELS, labellers=("coherence", "other")), results / "tables/fractions.parquet"


@pytest.fixture(scope="module")
def built(sweep, tmp_path_factory) -> Explorer:
    target = tmp_path_factory.mktemp("explorer")
    build_explorer(sweep[0], sweep[1], STATIC, target)
    return Explorer(target)


def known(values: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in values]


def entries(built: Explorer, sources: list[Source]):
    for source in sources:
        model = built.models[source.model]
        entry = model["matrices"][source.tokens.stem][source.setting]
        yield source, model, entry


def test_lists_and_scores_are_those_of_the_tables(built, sweep):
    for source, model, entry in entries(built, sweep[0]):
        vocabulary = built.shard(model["vocabulary"])[0]
        controls = (source.random, entry["random"], entry["random"])
        for path, frame, one in [(source.tokens, model["frames"][entry["frame"]], entry), controls]:
            found, table = built.frame(frame, one, vocabulary), table_of(path, frame)
            for name in ("layer", "head", "index", "side", "sign", "readout"):
                assert found[name].tolist() == table[name].tolist()
            for name in ("token_ids", "tokens"):
                assert [list(row) for row in found[name]] == [list(row[:TOKENS]) for row in table[name]]
            expected = [[rounded(float(score)) for score in row[:TOKENS]] for row in table["scores"]]
            np.testing.assert_allclose(np.stack(found["scores"]), expected, rtol=1e-12)


def test_labels_are_those_of_the_tables(built, sweep):
    for source, model, entry in entries(built, sweep[0]):
        frame = model["frames"][entry["frame"]]
        lists = table_of(source.tokens, frame)["tokens"]
        for labeller, path in source.labels.items():
            found, table = built.labels(entry["labels"][labeller]), table_of(path, frame)
            for name in ("label", "kind", "status", "labelled", "verified", "interpretable", "n_concepts"):
                assert known(found[name]) == known(table[name]), name
            for name in NUMBERS:
                np.testing.assert_allclose(found[name], [rounded(value) for value in table[name]], rtol=1e-12)
            assert found["n_evidence"].tolist() == [len(words) for words in table["evidence"]]
            for bits, words, tokens in zip(found["evidence"], table["evidence"], lists, strict=True):
                marked = {tokens[place] for place in range(TOKENS) if bits >> place & 1}
                assert marked == set(words) & set(tokens[:TOKENS])


def test_singular_values_are_those_of_the_tables(built, sweep):
    for source, model, entry in entries(built, sweep[0]):
        columns, facts = built.shard(entry["spectra"])
        table = pq.ParquetFile(source.spectra).read().to_pandas().sort_values(["layer", "head", "index"])
        directions = model["frames"][entry["frame"]]["directions"]
        assert facts["rank"] == table["index"].max() + 1
        np.testing.assert_allclose(columns["value"], [rounded(value, 4) for value in table["value"]], rtol=1e-12)
        assert columns["cluster"].tolist() == table["cluster"].fillna(-1).astype(int).tolist()
        for name in ("energy", "gap", "stability_noise", "stability_float32", "sign_margin", "cluster_spread"):
            expected = [rounded(value) for value in table.loc[table["index"] < directions, name]]
            np.testing.assert_allclose(columns[name], expected, rtol=1e-12)
        noise = table.groupby(["layer", "head"], dropna=False)["stability_noise"]
        facts_of_cells = built.shard(entry["summary"])[0]
        shares = noise.apply(lambda known: (known.dropna() < built.catalogue["determined"]).mean())
        for name, expected in (("undetermined", shares), ("stability", noise.median())):
            found = facts_of_cells[f"spectra.{name}"]
            np.testing.assert_allclose(found, [rounded(value) for value in expected], rtol=1e-12)


def test_effects_are_those_of_the_table_and_change_nothing_else(built, sweep, tmp_path):
    sources = [write_effects(source, directions=3 if source.setting == "fold" else None) for source in sweep[0]]
    build_explorer(sources, sweep[1], STATIC, tmp_path)
    beside = Explorer(tmp_path)
    shards = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.js")}
    before = {path.relative_to(built.target) for path in built.target.rglob("*.js")}
    assert before < shards and all("_effects_" in path.name for path in shards - before)
    unchanged = before - {Path("data/catalogue.js")}
    assert all((tmp_path / path).read_bytes() == (built.target / path).read_bytes() for path in unchanged)
    for source, model, entry in entries(beside, sources):
        measured = entry.pop("effects")
        shard = measured.pop("shard")
        assert measured == {"metric": "loss", "tokens": 1024}
        frame = model["frames"][entry["frame"]]
        columns, _ = beside.shard(shard)
        table = pd.read_parquet(source.effects, partitioning=None)
        table["head"] = table["head"].fillna(-1)
        table = table.set_index(["layer", "head", "index", "sign"])
        places = pd.MultiIndex.from_product([frame["layers"], frame["heads"], range(frame["directions"]), (1, -1)])
        expected = table.reindex(places)  # what was not measured is NaN
        np.testing.assert_allclose(columns["direct_effect"], [rounded(one) for one in expected["direct_effect"]])
        for name in ("first_order", "rms_activation"):
            np.testing.assert_allclose(columns[name], [rounded(one) for one in expected[name][::2]], rtol=1e-12)
    assert beside.catalogue == built.catalogue


def test_effects_of_other_weights_are_not_shown(sweep, tmp_path):
    sources = [write_effects(source, weights="others") for source in sweep[0][:1]]
    build_explorer(sources, sweep[1], [], tmp_path)
    assert not list(tmp_path.rglob("*_effects_*"))


def test_fractions_are_those_of_the_table_and_counts_those_of_the_labels(built, sweep):
    fractions = pq.ParquetFile(sweep[1]).read().to_pandas()
    for source, model, entry in entries(built, sweep[0]):
        columns, facts = built.shard(entry["summary"])
        own = fractions.query("model == @source.model and setting == @source.setting and matrix == @source.tokens.stem")
        own = own[(own["unit"] == "row") & (own["group"] != "index")]
        for name in ("labeller", "criterion", "readout", "side", "kind"):
            assert [facts[name][place] for place in columns[name]] == own[name].tolist()
        for name in ("layer", "head", "n", "k"):
            assert columns[name].tolist() == own[name].fillna(-1).astype(int).tolist()
        for name in ("low", "high", "control_fraction", "excess", "excess_low", "excess_high"):
            np.testing.assert_allclose(columns[name], [rounded(value) for value in own[name]], rtol=1e-12)
        counted = []
        for labeller in facts["labellers"]:
            table = table_of(source.labels[labeller], model["frames"][entry["frame"]])
            table["common"] = table["kind"].isin(["frequency", "glitch"])
            table["beyond"] = table["p_direction"] < built.catalogue["beyond"]
            sums = table.groupby(["layer", "head", "readout", "side"], observed=True, sort=False)
            counted.append(sums.agg(ok=("kind", "size"), common=("common", "sum"), beyond=("beyond", "sum")))
        for name in ("ok", "common", "beyond"):
            assert columns[f"labels.{name}"].tolist() == pd.concat(counted)[name].tolist()


def test_the_index_finds_every_token_and_nothing_else(built):
    for model in built.models.values():
        vocabulary = built.shard(model["vocabulary"])[0]
        parts = [built.shard(name)[0] for name in model["index"]]
        found: set[tuple[int, int, int]] = set()
        for part, columns in enumerate(parts):
            start = 0
            for token, size in zip(columns["tokens"], columns["sizes"], strict=True):
                assert vocabulary["parts"][token] == part and vocabulary["rows"][token] == size
                rows = np.cumsum(columns["steps"][start : start + size])
                tables = columns["tables"][start : start + size]
                found |= {
                    (token, row, table) for row, bits in zip(rows, tables, strict=True) for table in bits_of(bits)
                }
                start += size
        expected = {
            (token, frame["offset"] + row, table)
            for frame in model["frames"]
            for table in range(len(frame["tables"]))
            for row, tokens in enumerate(built.numbers(frame["tables"], table))
            for token in tokens
        }
        assert found == expected


def bits_of(bits: int) -> list[int]:
    return [place for place in range(31) if bits >> place & 1]


def test_settings_with_the_same_lists_share_them(built):
    ov = built.models["tiny one"]["matrices"]["ov"]
    assert ov["raw"]["table"] == ov["unembed"]["table"] != ov["fold"]["table"]
    assert ov["raw"]["scores"] != ov["unembed"]["scores"]  # one is shifted
    assert ov["raw"]["labels"] == ov["unembed"]["labels"] and ov["raw"]["spectra"] == ov["unembed"]["spectra"]


def test_the_lists_of_another_setting_are_told_from_these(built):
    tables = built.models["tiny one"]["frames"][0]["tables"]
    assert [table["base"] for table in tables] == [None, 0]


def test_no_token_can_break_out_of_a_file(built, sweep):
    texts = {text for model in built.models.values() for text in built.shard(model["vocabulary"])[0]["texts"]}
    assert set(HOSTILE) <= texts | {""}, "the sweep has every hostile token"
    for path in built.target.rglob("data/**/*.js"):
        raw = path.read_bytes()
        text = raw.decode("utf-16" if raw.startswith(b"\xff\xfe") else "ascii")
        assert "</" not in text and "<!--" not in text
        assert not {"\u2028", "\u2029"} & set(text)
        assert text.count("\n") == 1 and text.endswith(";\n")


def test_two_builds_have_the_same_bytes(built, sweep, tmp_path):
    build_explorer(sweep[0], sweep[1], STATIC, tmp_path)
    first, second = (
        {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        for target in (built.target, tmp_path)
    )
    assert first == second
    assert not [name for name in first if not re.fullmatch(r"[\w./-]+", name)]


def test_names_of_models_make_safe_names_of_files():
    assert file_name("my org/model 2.5:x") == "my-org-model-2-5-x"


def test_a_list_takes_few_bytes(tmp_path):
    """150 MB for the sweep of the paper, 338,000 lists in each of nine settings, are 49 bytes for each list in each.

    This is one setting by itself; nine have five different tables of lists (benchmarks/explorer.py --paper).
    """
    shape = Shape(layers=4, heads=4, directions=64, vocabulary=20_000, rank=64, matrices=("ov",), tables=(("raw", 0),))
    sources = write_sweep(tmp_path / "results", {"medium": shape})
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")
    size = sum(path.stat().st_size for path in (tmp_path / "explorer/data/medium").glob("ov_[lsc]*"))
    assert size / (4 * 4 * 64 * 2 * 2) < 75


# --- what may be missing ---


def build(tmp_path: Path, shape: Shape, **choices) -> Explorer:
    sources = write_sweep(tmp_path / "results", {"model": shape}, **choices)
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")
    return Explorer(tmp_path / "explorer")


@pytest.mark.parametrize(
    "shape",
    [
        Shape(layers=1, heads=1, directions=1, tables=(("raw", 0),)),
        Shape(matrices=("mlp_in",), tables=(("raw", 0),)),
        Shape(matrices=("ov",), tokens=15, vocabulary=60, tables=(("raw", 0),)),
    ],
)
def test_small_sweeps(tmp_path, shape):
    built = build(tmp_path, shape)
    assert list(built.models["model"]["matrices"]) == list(shape.matrices)
    assert all(
        table["tokens"] == min(20, shape.tokens)
        for frame in built.models["model"]["frames"]
        for table in frame["tables"]
    )


def test_a_sweep_without_labels(tmp_path):
    built = build(tmp_path, Shape(matrices=("ov",)), labellers=())
    assert all(
        entry["labels"] == {} for settings in built.models["model"]["matrices"].values() for entry in settings.values()
    )


def test_labels_of_some_matrices(tmp_path):
    labellers = ("coherence", "published")
    built = build(tmp_path, Shape(tables=(("raw", 0),)), labellers=labellers, labels_of=("mlp_in",))
    labelled = {
        matrix: list(settings["raw"]["labels"]) for matrix, settings in built.models["model"]["matrices"].items()
    }
    assert labelled == {"ov": [], "mlp_in": list(labellers), "mlp_out": []}
    # The published labels are of lists of their own, which the page says.
    labels = built.models["model"]["matrices"]["mlp_in"]["raw"]["labels"]
    assert [name for name in labels if labels[name].get("own_lists")] == ["published"]


def rewritten(path: Path, schema: pa.Schema, change) -> None:
    table = change(pq.ParquetFile(path).read())
    facts = json.loads(table.schema.metadata[b"svdlens"])
    write_table(path, {name: table[name].combine_chunks() for name in table.column_names}, schema, facts)


def test_labels_of_some_lists_are_absent_from_the_others(tmp_path):
    sources = write_sweep(tmp_path / "results", {"model": Shape(matrices=("ov",), tables=(("raw", 0),))})
    rewritten(sources[0].labels["coherence"], LABELS, lambda table: table.filter(pa.compute.equal(table["sign"], 1)))
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")
    built = Explorer(tmp_path / "explorer")
    entry = built.models["model"]["matrices"]["ov"]["raw"]
    found = built.labels(entry["labels"]["coherence"])
    assert set(found["status"][0::2]) == {"ok"} and set(found["status"][1::2]) == {"absent"}
    absent = found[found["status"] == "absent"]
    assert absent[["label", "interpretable", "score", "q_value", "p_direction"]].isna().all(axis=None)
    assert sum(built.shard(entry["summary"])[0]["labels.ok"]) == len(found) / 2


@pytest.mark.parametrize("everything", [False, True])
def test_null_space_is_shown_as_such_and_found_by_no_search(everything, tmp_path):
    sources = write_sweep(tmp_path / "results", {"model": Shape(matrices=("ov",), tables=(("raw", 0),))})

    def null(table):
        return [everything or (layer == 1 and index > 0) for layer, index in
                zip(table["layer"].to_pylist(), table["index"].to_pylist(), strict=True)]  # fmt: skip

    def marked(table):
        return table.set_column(table.column_names.index("null_space"), "null_space", pa.array(null(table)))

    def said(table):
        status = ["null_space" if one else "ok" for one in null(table)]
        return table.set_column(table.column_names.index("status"), "status", pa.array(status))

    rewritten(sources[0].tokens, TOKENS_SCHEMA, marked)
    rewritten(sources[0].labels["coherence"], LABELS, said)
    build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")
    built = Explorer(tmp_path / "explorer")
    model = built.models["model"]
    entry, [frame] = model["matrices"]["ov"]["raw"], model["frames"]
    found = built.frame(frame, entry, built.shard(model["vocabulary"])[0])
    found["status"] = built.labels(entry["labels"]["coherence"])["status"]
    is_null = (found["layer"] == 1) & (found["index"] > 0) | everything
    assert set(found.loc[is_null, "status"]) == {"null_space"} and is_null.sum() > 0
    # Their tokens are there to look at.
    assert (found["tokens"].map(len) == frame["tables"][0]["tokens"]).all()
    rows = set()
    for name in model["index"]:
        columns = built.shard(name)[0]
        ends = np.cumsum(columns["sizes"])
        rows |= {row for piece in np.split(columns["steps"], ends[:-1]) for row in np.cumsum(piece)}
    assert rows == set(np.flatnonzero(~is_null))
    assert sum(built.shard(entry["summary"])[0]["labels.ok"]) == (~is_null).sum()


def test_a_table_that_lacks_lists_is_refused(tmp_path):
    sources = write_sweep(tmp_path / "results", {"model": Shape(matrices=("ov",), tables=(("raw", 0),))})
    rewritten(sources[0].tokens, TOKENS_SCHEMA, lambda table: table.slice(1))
    with pytest.raises(
        SvdlensError, match=r"ov\.parquet: 95 rows, and every combination .* would be 96.*Delete the file"
    ):
        build_explorer(sources, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")


def test_tables_of_two_runs_are_refused(tmp_path):
    sources = write_sweep(tmp_path / "results", {"model": Shape(matrices=("ov",), tables=(("raw", 0),))})
    other = write_sweep(tmp_path / "other", {"model": Shape(layers=1, matrices=("ov",), tables=(("raw", 0),))})
    mixed = [replace(sources[0], spectra=other[0].spectra)]
    with pytest.raises(SvdlensError, match="not of one run"):
        build_explorer(mixed, tmp_path / "results/tables/fractions.parquet", [], tmp_path / "explorer")


def test_examples_add_shards_of_their_own_and_change_no_other(tmp_path):
    models = {"tiny": Shape(matrices=("ov", "mlp_in"))}
    sources = write_sweep(tmp_path / "results", models, controls=40)
    write_examples(tmp_path / "examples.parquet", models["tiny"])
    fractions = tmp_path / "results/tables/fractions.parquet"
    build_explorer(sources, fractions, [], tmp_path / "without")
    some = [replace(source, examples=tmp_path / "examples.parquet") for source in sources[:1]]
    build_explorer([*some, *sources[1:]], fractions, [], tmp_path / "with")
    without, made = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "data/tiny").iterdir()}
        for name in ("without", "with")
    )
    assert made.items() >= without.items()
    [added] = made.keys() - without.keys()
    assert added.startswith("ov_examples_")
    columns, _ = read_shard(tmp_path / "with/data/tiny" / added)
    assert len(columns["windows"]) == 3 * 2 * 3 * 2 * 4 * 2  # windows, layers, heads, sides, directions, signs
    assert columns["texts"][: 3 * 3 : 3] == ["ov 0 0 read 0 1"] * 3
