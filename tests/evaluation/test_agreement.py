"""Agreement of two labellers: against statsmodels and scipy, and null where nothing can be said."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, spearmanr
from statsmodels.stats.inter_rater import cohens_kappa

import collect_agreement
import compare_labellers
from svdlens.artefacts.sweep_tables import sweep_schema
from svdlens.artefacts.table_schemas import AGREEMENT, CONTROL_LABELS, read_metadata, write_table
from svdlens.errors import SvdlensError
from svdlens.evaluation.agreement import (
    CELLS,
    KEYS,
    agreement,
    agreement_of_sweep,
    alone,
    compare,
    kappa,
    kappa_interval,
    random_unit,
    read_decisions,
    singular,
)

CONTROL = ["control_n", *(f"control_{cell}" for cell in CELLS)]


def labels(seed: int, layers: int = 3, heads: int | None = 2, indices: int = 10) -> pd.DataFrame:
    """A labels table in which rarer tokens and higher scores are more often called interpretable."""
    rng = np.random.default_rng(seed)
    rows = [
        ("ov" if heads else "mlp_in", layer, head, index, side, sign, "W_U")
        for layer in range(layers)
        for head in (range(heads) if heads else [None])
        for index in range(indices)
        for side in ("read", "write")
        for sign in (1, -1)
    ]
    table = pd.DataFrame(rows, columns=["matrix", "layer", "head", "index", "side", "sign", "readout"])
    truth = np.random.default_rng(1234).standard_normal(len(table))  # the same for every labeller
    table["score"] = np.round(truth + rng.standard_normal(len(table)), 1)  # with ties
    table["mean_log_rank"] = np.round(5 + truth + np.random.default_rng(99).standard_normal(len(table)), 1)
    table["interpretable"] = (table["score"] > 0.2).astype(object)
    table["kind"] = np.where(table["interpretable"], "semantic", "none")
    table["status"] = "ok"
    return table


def quietly(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return agreement(first, second, seed)


@given(st.integers(0, 2**16), st.integers(0, 2**16))
@settings(max_examples=25)
def test_numbers_are_those_of_statsmodels_and_scipy(one, other):
    first, second = labels(one), labels(other)
    record = quietly(first, second)
    a, b = (of["interpretable"].to_numpy(dtype=bool) for of in (first, second))
    counts = [(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()]
    assert [record[cell] for cell in CELLS] == counts and record["n"] == record["n_joined"] == len(first)
    assert record["kappa"] == pytest.approx(cohens_kappa(np.reshape(counts, (2, 2))).kappa)
    for name, table, decision, reference in (("first", first, a, b), ("second", second, b, a)):
        score, log_rank = table["score"], table["mean_log_rank"]
        assert record[f"{name}_auc"] == pytest.approx(area(score, reference))
        assert record[f"{name}_spearman"] == pytest.approx(spearmanr(score, log_rank).statistic)
        assert record[f"{name}_log_rank_interpretable"] == pytest.approx(log_rank[decision].mean())
        assert record[f"{name}_log_rank_not"] == pytest.approx(log_rank[~decision].mean())
        assert record[f"{name}_log_rank_auc"] == pytest.approx(area(log_rank, decision))


def test_lists_of_frequent_and_of_glitch_tokens_say_nothing_of_frequency():
    """They are never interpretable, whatever they share, so they would make any labeller one of rare tokens."""
    first, second = labels(1), labels(2)
    never = first.index % 4 == 0
    first.loc[never, "kind"] = np.where(first.index[never] % 8, "glitch", "frequency")
    first.loc[never, "mean_log_rank"] = 0.5
    record = quietly(first, second)
    without = quietly(first[~never], second)
    for name in ("first_log_rank_interpretable", "first_log_rank_not", "first_log_rank_auc"):
        assert record[name] == without[name] == alone(first)[name]
    log_rank, decision = first["mean_log_rank"], first["interpretable"].astype(bool) & ~never
    assert record["first_log_rank_auc"] < area(log_rank, decision) - 0.05
    # The other labeller calls some of them interpretable.
    assert record["second_log_rank_auc"] == pytest.approx(area(log_rank, second["interpretable"].astype(bool)))
    assert record["first_spearman"] == pytest.approx(spearmanr(first["score"], log_rank).statistic)


def area(scores, positive) -> float:
    statistic = mannwhitneyu(scores[positive], scores[~positive]).statistic
    return statistic / (positive.sum() * (~positive).sum())


def test_the_interval_of_kappa_is_near_that_of_large_samples():
    first, second = labels(1, layers=20), labels(2, layers=20)
    record = quietly(first, second)
    expected = cohens_kappa(np.reshape([record[cell] for cell in CELLS], (2, 2)))
    assert record["kappa_low"] == pytest.approx(expected.kappa_low, abs=0.01)
    assert record["kappa_high"] == pytest.approx(expected.kappa_upp, abs=0.01)
    assert quietly(first, second) == record
    assert quietly(first, second, seed=1)["kappa_low"] != record["kappa_low"]


@pytest.mark.parametrize("cells", [[5, 0, 3, 0], [0, 4, 0, 4], [2, 6, 0, 0], [1, 0, 1, 0], [7, 0, 0, 3]])
def test_an_interval_that_looks_certain_is_none(cells):
    """One of the two says one thing of all rows, or they never differ: every resample has the same kappa."""
    assert kappa(cells) in (0, 1)
    assert kappa_interval(cells, 0) == (None, None)
    changed = [count + 1 for count in cells]
    low, high = kappa_interval(changed, 0)
    assert low < kappa(changed) < high


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_rows_does_not_matter(random):
    first, second = labels(1), labels(2)
    orders = [list(range(len(first))) for _ in range(2)]
    for order in orders:
        random.shuffle(order)
    record = quietly(first.iloc[orders[0]], second.iloc[orders[1]])
    assert record == pytest.approx(quietly(first, second))


def test_the_other_way_round_says_the_same():
    one_way, other_way = quietly(labels(1), labels(2)), quietly(labels(2), labels(1))
    assert one_way["kappa"] == other_way["kappa"] and one_way["only_first"] == other_way["only_second"]
    assert one_way["first_auc"] == other_way["second_auc"]
    assert one_way["second_log_rank_auc"] == other_way["first_log_rank_auc"]


def test_a_labeller_agrees_with_itself():
    record = quietly(labels(1), labels(1))
    assert (record["kappa"], record["kappa_low"], record["kappa_high"]) == (1, None, None)
    assert (record["only_first"], record["only_second"], record["first_auc"]) == (0, 0, 1)


@pytest.mark.parametrize("heads", [2, None])
def test_rows_are_joined_whatever_the_types_of_their_keys(heads):
    first, second = labels(1, heads=heads), labels(2, heads=heads)
    typed = second.astype({"matrix": "category", "side": "category", "layer": "Int16", "head": "Int16", "sign": "int8"})
    typed["interpretable"] = typed["interpretable"].astype("boolean")
    assert quietly(first, typed) == quietly(first, second)
    assert quietly(first, second)["n"] == len(first)
    assert quietly(first, second.iloc[7:50])["n_joined"] == 43


def test_lists_are_joined_by_id():
    first = labels(1).drop(columns=list(KEYS[:-1])).assign(id=[f"list {i}" for i in range(240)][: len(labels(1))])
    second = labels(2).drop(columns=list(KEYS[:-1])).assign(id=first["id"])
    assert quietly(first, second.iloc[::-1]) == quietly(labels(1), labels(2))
    halves = [of.assign(id=np.arange(len(of)) / 2) for of in (first, second)]
    assert quietly(*halves)["n"] == len(first)


def test_rows_that_one_leaves_open_do_not_count():
    first, second = labels(1), labels(2)
    second.loc[:9, "status"] = "abstained"
    second.loc[10:19, "interpretable"] = None
    first.loc[20:29, ["status", "interpretable"]] = ["failed", None]
    record = quietly(first, second)
    alone = quietly(first.iloc[30:], second.iloc[30:])
    assert (record["n_joined"], record["n"]) == (len(first), len(first) - 30)
    assert {**record, "n_joined": alone["n_joined"]} == alone


def test_lists_of_frequent_tokens_are_not_interpretable():
    first, second = labels(1), labels(1)
    second.loc[second["kind"] == "semantic", "kind"] = "frequency"
    record = quietly(first, second)
    assert (record["both"], record["only_second"]) == (0, 0) and record["only_first"] > 0


def test_one_labellers_log_ranks_serve_for_both():
    first, second = labels(1), labels(2)
    expected = quietly(first, second)
    assert quietly(first.drop(columns="mean_log_rank"), second) == expected
    assert quietly(first, second.assign(mean_log_rank=np.nan)) == expected
    neither = quietly(*(of.drop(columns="mean_log_rank") for of in (first, second)))
    silent = [name for name in expected if "log_rank" in name or "spearman" in name]
    assert len(silent) == 8 and all(neither[name] is None for name in silent)
    assert neither["first_auc"] == expected["first_auc"]


def test_scores_that_are_not_there():
    second = labels(2).assign(score=None)
    record = quietly(labels(1), second)
    assert record["second_auc"] is None and record["second_spearman"] is None and record["first_auc"] is not None
    some = labels(2)
    some.loc[::3, "score"] = np.nan
    record, rest = quietly(labels(1), some), some["score"].notna()
    assert record["second_auc"] == pytest.approx(
        area(some["score"][rest], labels(1)["interpretable"][rest].astype(bool))
    )


@pytest.mark.parametrize(
    "case", ["disjoint", "empty", "abstains", "one class", "both one class", "one row", "one score"]
)
def test_what_cannot_be_said_is_none(case):
    first, second = labels(1), labels(2)
    if case == "disjoint":
        second = second.assign(layer=second["layer"] + 100)
    elif case == "empty":
        second = second.iloc[:0]
    elif case == "abstains":
        second = second.assign(status="abstained", interpretable=None, score=np.nan)
    elif case == "one class":
        second = second.assign(interpretable=True)
    elif case == "both one class":
        first, second = first.assign(interpretable=False), second.assign(interpretable=False)
    elif case == "one row":
        first, second = first.iloc[:1], second.iloc[:1]
    else:
        first = first.assign(score=0.5)
    record = quietly(first, second)
    assert set(record) == set(AGREEMENT.names) - {"model", "setting", "matrix", "readout", "first", "second"}
    assert all(value is None or np.isfinite(value) for value in record.values())
    nothing = {name for name, value in record.items() if value is None}
    if case in ("disjoint", "empty", "abstains"):
        assert record["n"] == 0 and [record[cell] for cell in CELLS] == [0] * 4
        assert nothing == set(record) - {"n_joined", "n", *CELLS, *CONTROL}
    elif case == "one class":
        interval = {"kappa_low", "kappa_high"}
        assert record["kappa"] == 0
        assert nothing == interval | {"first_auc", "second_log_rank_auc", "second_log_rank_not"}
    elif case == "both one class":
        assert {"kappa", "kappa_low", "kappa_high", "first_auc", "second_auc"} < nothing
    elif case == "one row":
        assert {"kappa", "first_auc", "first_spearman"} < nothing and record["n"] == 1
    else:
        assert nothing == {"first_spearman"} and record["first_auc"] == 0.5


def test_frequency_alone_can_explain_everything():
    first = labels(1)
    first["interpretable"] = (first["mean_log_rank"] < 5).astype(object)
    record = quietly(first.assign(score=-first["mean_log_rank"]), labels(2))
    assert record["first_log_rank_auc"] == 0  # the more frequent the tokens, the more interpretable
    assert record["first_spearman"] == pytest.approx(-1)
    assert record["first_log_rank_interpretable"] < 5 <= record["first_log_rank_not"]


def test_rows_with_the_same_keys_are_named():
    first = labels(1)
    with pytest.raises(SvdlensError, match=r"2 rows with the keys of an earlier row.*layer 0, head 0, index 0"):
        agreement(pd.concat([first, first.iloc[:2]]), labels(2))
    with pytest.raises(SvdlensError, match="share none of the columns matrix, layer"):
        agreement(first, labels(2).drop(columns=list(KEYS[:-1])).assign(id=range(len(first))))


def test_records_make_a_table(tmp_path):
    constants = {"matrix": "ov", "readout": "W_U", "first": "a", "second": "b"}
    records = [constants | quietly(labels(1), labels(2)), constants | quietly(labels(1), labels(2).iloc[:0])]
    columns = {name: [record[name] for record in records] for name in AGREEMENT.names}
    write_table(tmp_path / "agreement.parquet", columns, AGREEMENT, {})
    table = pq.ParquetFile(tmp_path / "agreement.parquet").read()
    assert table.schema.equals(AGREEMENT)
    assert table.to_pylist() == [pytest.approx(record) for record in records]


def test_a_labeller_by_itself_has_its_frequency_and_nothing_else():
    table = labels(1)
    table.loc[:9, "status"] = "abstained"
    table.loc[10:19, "interpretable"] = None
    record, rest = alone(table), table.iloc[20:]
    log_rank, decision = rest["mean_log_rank"], rest["interpretable"].astype(bool)
    assert (record["n_joined"], record["n"]) == (len(table), len(rest))
    assert record["first_log_rank_auc"] == pytest.approx(area(log_rank, decision))
    assert record["first_spearman"] == pytest.approx(spearmanr(rest["score"], log_rank).statistic)
    means = record["first_log_rank_interpretable"], record["first_log_rank_not"]
    assert means == pytest.approx((log_rank[decision].mean(), log_rank[~decision].mean()))
    with_itself = quietly(table, table)
    for name in set(record) - {"n_joined"}:
        # What would be said of everything that is compared with itself is left out.
        assert record[name] is None or record[name] == with_itself[name]
    said = {name for name, value in record.items() if value is not None}
    assert said == {"n_joined", "n"} | {name for name in record if name.startswith("first_") and name != "first_auc"}
    silent = alone(table.assign(mean_log_rank=np.nan, score=None))
    assert {name for name, value in silent.items() if value is not None} == {"n_joined", "n"}


def test_readouts_are_compared_one_by_one():
    one, other, third = labels(1), labels(2), labels(3, layers=1)
    both = pd.concat([one, one.assign(readout="W_E", score=-one["score"])])
    records = compare(both, {"b": other, "c": third}, seed=3)
    assert [(record["readout"], record["second"]) for record in records] == [
        ("W_U", None),
        ("W_U", "b"),
        ("W_U", "c"),
        ("W_E", None),
    ]
    assert records[0] == {"readout": "W_U", "second": None, **alone(one)}
    assert records[1] == {"readout": "W_U", "second": "b", **agreement(one, other, 3)}
    assert records[2]["n"] == len(third)
    assert records[3]["first_spearman"] == pytest.approx(-records[0]["first_spearman"])
    assert compare(both, {}) == [records[0], records[3]]
    assert compare(one.iloc[:0], {"b": other}) == []


# --- random directions


def random(labels: pd.DataFrame, control: str = "random_unit") -> pd.DataFrame:
    """As many rows of a control, which are of no matrix: of random unit directions every other is interpretable."""
    rows = labels.assign(control=control, layer=None, head=None, side="all", index=range(len(labels)), status="ok")
    says = (rows["index"] % 2 == 0) | (control != "random_unit")
    return rows.assign(interpretable=says.astype(object), kind=np.where(says, "semantic", "none"))


def test_false_positives_are_those_of_the_directions_that_both_decided_on():
    first, second = labels(1), labels(2)
    one, other = random(first), random(second).iloc[10:50].copy()  # the second labelled a sample
    other.loc[other["index"] % 3 == 0, ["interpretable", "kind"]] = [True, "semantic"]
    other.loc[other["index"] == 12, "kind"] = "frequency"
    other.loc[other["index"] == 13, ["status", "interpretable"]] = ["failed", None]
    with_random = [pd.concat([of.assign(control=None), control]) for of, control in ((first, one), (second, other))]
    record = quietly(*with_random)
    index = np.array([number for number in range(10, 50) if number != 13])
    a, b = index % 2 == 0, ((index % 2 == 0) | (index % 3 == 0)) & (index != 12)
    counts = [(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()]
    assert [record[name] for name in CONTROL] == [39, *counts]
    # Nothing else is about them, and without them there are none.
    without = quietly(first, second)
    assert {name: value for name, value in record.items() if name not in CONTROL} == {
        name: value for name, value in without.items() if name not in CONTROL
    }
    assert [without[name] for name in CONTROL] == [0] * 5
    turned = quietly(*with_random[::-1])
    assert [turned[name] for name in CONTROL] == [39, counts[0], counts[2], counts[1], counts[3]]
    # A labeller with nothing but controls is compared with nobody.
    assert [row["second"] for row in compare(with_random[0], {"b": other})] == [None]
    assert compare(one, {}) == []


# --- files of labels, and the whole sweep


def label_file(path: Path, table: pd.DataFrame, labeller: str = "a") -> Path:
    """A labels file as label_directions writes it: singular directions, random unit directions, of which the even are
    interpretable, and another control, all of which is."""
    live = table[table["status"] != "null_space"]
    rows = pd.concat([table.assign(control=None), random(live), random(live, "gaussian")], ignore_index=True)
    rows = rows.assign(labeller=labeller)
    rows = rows.astype(object).where(rows.notna(), None)
    columns = dict.fromkeys(CONTROL_LABELS.names, [None] * len(rows)) | rows.to_dict("list")
    write_table(path, columns, CONTROL_LABELS, {"file": path.name})
    return path


def test_decisions_are_those_about_singular_directions(tmp_path):
    first, second = labels(1, heads=None), labels(2, heads=None).assign(score=None, mean_log_rank=None)
    decisions = read_decisions(label_file(tmp_path / "first.parquet", first))
    assert len(singular(decisions)) == len(random_unit(decisions)) == len(decisions) / 2 == len(first)
    others = {"b": read_decisions(label_file(tmp_path / "second.parquet", second))}
    n, half = len(first), len(first) // 2
    of_random = dict(zip(CONTROL, [n, half, 0, 0, half], strict=True))
    alone, pair = compare(first, {"b": second}, 5)
    assert compare(decisions, others, 5) == [pytest.approx(alone), pytest.approx(pair | of_random)]


def test_null_space_is_in_no_comparison(tmp_path):
    first, second = labels(1, heads=None), labels(2, heads=None)
    null = first.iloc[:7].assign(index=99, status="null_space", interpretable=None, score=None, mean_log_rank=None)
    tables = []
    for with_null in (False, True):
        files = [label_file(tmp_path / f"{with_null}_{number}.parquet", pd.concat([one, null] if with_null else [one]))
                 for number, one in enumerate((first, second))]  # fmt: skip
        decisions, other = map(read_decisions, files)
        tables.append(compare(decisions, {"b": other}, 5))
    assert tables[1] == [pytest.approx(record) for record in tables[0]]


def test_nothing_but_the_file_itself_is_read(tmp_path):
    """Directories such as matrix=... name columns to some readers."""
    path = label_file(tmp_path / "matrix=qk/sign=7/ov.parquet", labels(1))
    decisions = read_decisions(path)
    assert set(decisions["matrix"]) == {"ov"} and set(decisions["sign"]) == {1, -1}


@pytest.fixture
def labelled(tmp_path) -> dict[str, Path]:
    """Labels of three labellers, which mlp_in has by all and ov by the first; by name of the file."""
    tables = {"coherence": labels(1, heads=None), "published": labels(2, heads=None), "third": labels(3, heads=None)}
    tables["published"] = tables["published"].assign(score=None, mean_log_rank=None)
    files = {f"mlp_in.{name}": label_file(tmp_path / f"mlp_in.{name}.parquet", of, name) for name, of in tables.items()}
    return files | {"ov.coherence": label_file(tmp_path / "ov.coherence.parquet", labels(4), "coherence")}


def compared(labelled: dict[str, Path], directory: Path, name: str, *later: str) -> Path:
    """What the script compare_labellers writes of a file of labels and of those of later labellers."""
    matrix, labeller = name.split(".")
    job = SimpleNamespace(
        wildcards=SimpleNamespace(matrix=matrix, labeller=labeller),
        input=SimpleNamespace(labels=str(labelled[name]), others=[str(labelled[f"{matrix}.{one}"]) for one in later]),
        output=SimpleNamespace(agreement=str(directory / f"{name}.parquet")),
        params=SimpleNamespace(others=list(later), seed=0, code="0f"),
    )
    compare_labellers.main(job)
    return directory / f"{name}.parquet"


def test_a_labeller_is_compared_with_later_ones(labelled, tmp_path):
    path = compared(labelled, tmp_path / "one", "mlp_in.coherence", "published", "third")
    table = pq.ParquetFile(path).read()
    assert table.schema.equals(AGREEMENT)
    decisions = {name: read_decisions(file) for name, file in labelled.items()}
    others = {name: decisions[f"mlp_in.{name}"] for name in ("published", "third")}
    expected = compare(decisions["mlp_in.coherence"], others, 0)
    constants = {"matrix": "mlp_in", "first": "coherence"}
    assert table.to_pylist() == [pytest.approx(constants | record) for record in expected]
    assert [record["second"] for record in expected] == [None, "published", "third"]
    facts = read_metadata(path)
    assert (facts["code"], facts["labels"]["file"]) == ("0f", "mlp_in.coherence.parquet")
    assert {name: of["file"] for name, of in facts["others"].items()} == {
        "published": "mlp_in.published.parquet",
        "third": "mlp_in.third.parquet",
    }
    again = compared(labelled, tmp_path / "again", "mlp_in.coherence", "published", "third")
    assert again.read_bytes() == path.read_bytes() and str(tmp_path).encode() not in path.read_bytes()


PLACES = [
    ("m", "raw", "mlp_in", "coherence"),
    ("m", "raw", "mlp_in", "third"),
    ("m", "raw", "ov", "coherence"),
    ("m", "post2022", "mlp_in", "coherence"),
    ("m", "post2022", "mlp_in", "published"),
    ("m", "post2022", "mlp_in", "third"),
    ("m", "post2022", "ov", "coherence"),
]
"""Both settings share their labels, but published labels one of them alone."""


@pytest.fixture
def compared_files(labelled, tmp_path) -> list[Path]:
    """For each of PLACES, the file that equivalent settings share: each labeller with all after it."""
    shared = {
        ("mlp_in", "coherence"): compared(labelled, tmp_path / "shared", "mlp_in.coherence", "published", "third"),
        ("mlp_in", "published"): compared(labelled, tmp_path / "shared", "mlp_in.published", "third"),
        ("mlp_in", "third"): compared(labelled, tmp_path / "shared", "mlp_in.third"),
        ("ov", "coherence"): compared(labelled, tmp_path / "shared", "ov.coherence"),
    }
    return [shared[matrix, labeller] for _, _, matrix, labeller in PLACES]


def test_the_table_of_a_sweep_has_labellers_alone_and_then_in_pairs(compared_files):
    table = agreement_of_sweep(compared_files, PLACES)
    columns = table[["setting", "matrix", "first", "second"]].astype(object)
    order = columns.where(columns.notna(), None).itertuples(index=False, name=None)
    assert list(order) == [
        ("raw", "mlp_in", "coherence", None),
        ("raw", "mlp_in", "third", None),
        ("raw", "mlp_in", "coherence", "third"),
        ("raw", "ov", "coherence", None),
        ("post2022", "mlp_in", "coherence", None),
        ("post2022", "mlp_in", "published", None),
        ("post2022", "mlp_in", "third", None),
        ("post2022", "mlp_in", "coherence", "published"),
        ("post2022", "mlp_in", "coherence", "third"),
        ("post2022", "mlp_in", "published", "third"),
        ("post2022", "ov", "coherence", None),
    ]


def test_the_script_writes_the_table_of_the_sweep(compared_files, tmp_path):
    output = tmp_path / "tables/agreement.parquet"
    job = SimpleNamespace(
        input=SimpleNamespace(agreement=list(map(str, compared_files))),
        output=SimpleNamespace(agreement=str(output)),
        params=SimpleNamespace(places=PLACES, code="0"),
    )
    collect_agreement.main(job)
    table = pq.ParquetFile(output).read()
    assert table.schema.equals(sweep_schema(AGREEMENT))
    # Numbers are those of the files, row by row.
    of_files = {
        (matrix, labeller): {row["second"]: row for row in pq.ParquetFile(path).read().to_pylist()}
        for path, (_, _, matrix, labeller) in zip(compared_files, PLACES, strict=True)
    }
    for row in table.to_pylist():
        expected = of_files[row["matrix"], row["first"]][row["second"]]
        assert row == {"model": "m", "setting": row["setting"], **expected}
    assert len(table) == len(agreement_of_sweep(compared_files, PLACES))
    sources = read_metadata(output)["sources"]
    assert set(sources) == {f"m/{setting}/{matrix}.{labeller}.parquet" for _, setting, matrix, labeller in PLACES}
    assert sources["m/post2022/mlp_in.published.parquet"]["labels"]["file"] == "mlp_in.published.parquet"


def test_one_labeller_alone_still_has_a_row(compared_files):
    table = agreement_of_sweep(compared_files[2:3], PLACES[2:3])
    assert table[["matrix", "first"]].to_numpy().tolist() == [["ov", "coherence"]]
    assert table["second"].isna().all() and table["kappa"].isna().all() and table["first_log_rank_auc"].notna().all()
