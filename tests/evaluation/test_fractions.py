"""The fractions table: counts against a loop, intervals against statsmodels, controls and excess."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

import collect_fractions
from svdlens.artefacts.table_schemas import CONTROL_LABELS, FRACTIONS, read_metadata, write_table
from svdlens.evaluation.fractions import fractions_of, fractions_of_readouts, fractions_of_sweep
from svdlens.evaluation.intervals import wilson_interval


def labels(seed: int = 0, layers: int = 3, heads: int | None = 2, indices: int = 5, sides=("read", "write")):
    """A labels table with every kind, abstentions, and different shares by layer."""
    rng = np.random.default_rng(seed)
    rows = [
        (layer, head, index, side, sign)
        for layer in range(layers)
        for head in (range(heads) if heads else [None])
        for index in range(indices)
        for side in sides
        for sign in (1, -1)
    ]
    table = pd.DataFrame(rows, columns=["layer", "head", "index", "side", "sign"])
    table["interpretable"] = rng.random(len(table)) < 0.3 + 0.2 * table["layer"].fillna(0)
    table["kind"] = rng.choice(["semantic", "orthographic", "grammatical", "frequency", "glitch"], len(table))
    table.loc[~table["interpretable"], "kind"] = "none"
    table["status"] = np.where(rng.random(len(table)) < 0.1, "abstained", "ok")
    table["labelled"] = table["interpretable"]
    # Nothing in what is interpretable follows from these; with ties.
    for name in ("score", "p_value", "q_direction"):
        table[name] = np.round(rng.random(len(table)) ** 3, 2)
    return table


def controls(n: int = 200, share: float = 0.2):
    table = labels(1, layers=1, heads=None, indices=n // 2, sides=("all",)).assign(layer=np.nan, head=np.nan)
    table["interpretable"] = np.arange(n) < share * n
    table["kind"] = np.where(table["interpretable"], "semantic", "none")
    return table.assign(status="ok")


def one(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_counts_are_those_of_a_loop():
    rows = labels()
    table = fractions_of(rows, controls(), criterion="q_value < 0.05")
    counts = lambda row: row["interpretable"] and row["kind"] not in ("frequency", "glitch")  # noqa: E731
    for layer in range(3):
        for side in ("read", "write", "all"):
            counted = [
                row
                for _, row in rows.iterrows()
                if row["layer"] == layer and side in (row["side"], "all") and row["status"] == "ok"
            ]
            share = one(table, group="layer", layer=layer, side=side, kind="all", unit="row")
            assert (share["n"], share["k"]) == (len(counted), sum(map(counts, counted)))
            semantic = one(table, group="layer", layer=layer, side=side, kind="semantic", unit="row")
            assert semantic["k"] == sum(counts(row) and row["kind"] == "semantic" for row in counted)


def test_each_readout_is_counted_against_its_own_controls():
    rows, random = labels(0), controls(200, 0.2)
    both = pd.concat([rows.assign(readout="W_U"), labels(1).assign(readout="W_E")])
    both_controls = pd.concat([random.assign(readout="W_U"), controls(200, 0.6).assign(readout="W_E")])
    table = fractions_of_readouts(both, both_controls, criterion="c")
    assert list(table["readout"].unique()) == ["W_U", "W_E"]  # in the order of the rows
    for readout in ("W_U", "W_E"):
        alone = fractions_of(*(part[part["readout"] == readout] for part in (both, both_controls)), criterion="c")
        together = table[table["readout"] == readout].drop(columns="readout").reset_index(drop=True)
        pd.testing.assert_frame_equal(together, alone)
    overall = table.query("group == 'all' and side == 'all' and kind == 'all' and unit == 'row'")
    assert overall["control_fraction"].tolist() == pytest.approx([0.2, 0.6])


def test_either_sign_counts_directions():
    rows = labels().assign(status="ok", kind="semantic")
    table = fractions_of(rows, controls(), criterion="c")
    either = one(table, group="all", side="all", kind="all", unit="either")
    directions = rows.groupby(["layer", "head", "index", "side"])["interpretable"].any()
    assert (either["n"], either["k"]) == (len(directions), directions.sum())


def test_kinds_are_a_partition_of_directions():
    """A direction of which both signs count is of the kind of the sign with the higher score."""
    rows = labels()
    table = fractions_of(rows, controls(), criterion="c").query("group == 'all' and side == 'all'")
    for unit in ("row", "either"):
        by_kind = table[table["unit"] == unit].set_index("kind")
        parts = by_kind.loc[["semantic", "grammatical", "orthographic"]]
        for name in ("k", "control_k"):
            assert by_kind.loc["all", name] == parts[name].sum()
    counted = rows[(rows["status"] == "ok") & rows["interpretable"] & ~rows["kind"].isin(["frequency", "glitch"])]
    best = counted.sort_values("score", kind="stable", ascending=False).drop_duplicates(
        ["layer", "head", "index", "side"]
    )
    either = table[table["unit"] == "either"].set_index("kind")["k"]
    assert {kind: either[kind] for kind in best["kind"].unique()} == best["kind"].value_counts().to_dict()


def test_intervals_of_single_matrices_agree_with_statsmodels():
    """Their rows are taken as independent."""
    table = fractions_of(labels(), controls(200, 0.2), criterion="c").query("kind == 'all' and unit == 'row'")
    heads = table.query("group == 'head'")
    assert len(heads) == 3 * 2 * 3 and (heads["n_matrices"] == 1).all() and heads["design_effect"].isna().all()
    for _, row in heads.iterrows():
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(row["k"], row["n"], method="wilson"))
        expected = confint_proportions_2indep(row["k"], row["n"], 40, 200, method="newcomb", compare="diff")
        assert (row["excess_low"], row["excess_high"]) == pytest.approx(expected)
    assert (table["control_n"] == 200).all() and (table["control_k"] == 40).all()
    assert table["control_fraction"].to_numpy() == pytest.approx(0.2)
    assert table["excess"].to_numpy() == pytest.approx(table["fraction"] - 0.2)


def test_matrices_are_layers_and_heads():
    table = fractions_of(labels().assign(status="ok"), controls(), criterion="c").query("kind == 'all'")
    counts = table.groupby("group")["n_matrices"].unique()
    assert {group: values.tolist() for group, values in counts.items()} == {
        "all": [6], "head": [1], "index": [6], "layer": [2]
    }  # fmt: skip
    without_heads = fractions_of(labels(layers=3, heads=None), controls(), criterion="c")
    assert set(without_heads.query("group == 'all'")["n_matrices"]) == {3}


def test_the_excess_is_above_0_less_often_where_matrices_differ():
    """The same counts, in matrices that are alike and in matrices that are not."""
    rows = labels(layers=6, heads=None, indices=40, sides=("write",)).assign(status="ok", kind="semantic")
    number = np.arange(len(rows)) % 80
    alike = rows.assign(interpretable=number < 28)
    unlike = rows.assign(interpretable=number < np.array([0, 8, 20, 30, 50, 60])[rows["layer"]])
    tables = [fractions_of(one, controls(2000, 0.28), criterion="c") for one in (alike, unlike)]
    of_alike, of_unlike = (one(t, group="all", side="all", kind="all", unit="row") for t in tables)
    assert (of_alike["n"], of_alike["k"]) == (of_unlike["n"], of_unlike["k"]) == (480, 168)
    assert of_alike["excess"] == of_unlike["excess"] == pytest.approx(0.07)
    assert of_alike["excess_low"] > 0 > of_unlike["excess_low"]
    assert of_alike["design_effect"] == 0 and of_unlike["design_effect"] > 5


def test_the_cut_is_the_largest_p_value_of_a_labelled_row():
    rows = labels()
    decided = rows[rows["status"] == "ok"]
    table = fractions_of(rows, controls(), criterion="c")
    assert set(table["cut_p"]) == {decided.loc[decided["labelled"], "p_value"].max()}
    assert set(fractions_of(rows.assign(labelled=False), None, criterion="c")["cut_p"]) == {0.0}
    assert fractions_of(rows.assign(p_value=np.nan), None, criterion="c")["cut_p"].isna().all()


@pytest.mark.parametrize("unit", ["row", "either"])
def test_rows_are_counted_at_a_p_value_that_is_the_same_for_all_tables(unit):
    rows, random = labels(), controls().assign(p_value=np.linspace(0, 0.1, 200))
    table = fractions_of(rows, random, criterion="c").query("unit == @unit")
    shares = []
    for part in (rows, random):
        part = part[part["status"] == "ok"]
        passed = (part["p_value"] <= 0.01) & ~part["kind"].isin(["frequency", "glitch"])
        if unit == "either":
            passed = passed.groupby([part[name] for name in ("layer", "head", "index", "side")], dropna=False).any()
        shares.append(passed)
    whole = one(table, group="all", side="all", kind="all")
    assert (whole["k_p01"], whole["control_k_p01"]) == tuple(passed.sum() for passed in shares)
    assert whole["fraction_p01"] == shares[0].mean() and whole["control_fraction_p01"] == shares[1].mean()
    assert whole["excess_low_p01"] < whole["excess_p01"] < whole["excess_high_p01"]
    assert whole["excess_p01"] == pytest.approx(shares[0].mean() - shares[1].mean())
    # One number for all kinds, and none without p-values.
    assert table.query("kind != 'all'")["k_p01"].isna().all()
    nothing = fractions_of(rows.assign(p_value=np.nan), random, criterion="c").filter(like="_p01")
    assert nothing.shape[1] == 7 and nothing.isna().all(axis=None)


def test_rows_better_than_random_directions_are_counted():
    rows = labels()
    rows.loc[rows.index % 3 == 0, "q_direction"] = np.nan
    table = fractions_of(rows, controls(), criterion="c").query("kind == 'all'")
    decided = rows[(rows["status"] == "ok") & rows["q_direction"].notna()]
    for layer in range(3):
        of_layer = decided[decided["layer"] == layer]
        row = one(table, group="layer", layer=layer, side="all", unit="row")
        assert (row["beyond_n"], row["beyond_k"]) == (len(of_layer), (of_layer["q_direction"] < 0.05).sum())
        assert row["beyond_random"] == (of_layer["q_direction"] < 0.05).mean()
    without = fractions_of(rows.assign(q_direction=np.nan), None, criterion="c").query("kind == 'all'")
    assert without["beyond_random"].isna().all() and (without["beyond_n"] == 0).all()


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_wilson_interval_at_the_edges(n):
    for k in {0, 1, n - 1, n}:
        expected = proportion_confint(k, n, method="wilson")
        low, high = (limit.iloc[0] for limit in wilson_interval(pd.Series([k]), pd.Series([n])))
        assert (low, high) == pytest.approx(expected, abs=1e-12)
        assert 0 <= low <= k / n <= high <= 1


def test_without_controls_there_is_no_excess():
    table = fractions_of(labels(), controls().iloc[:0], criterion="c")
    assert table[["control_fraction", "excess", "excess_low", "excess_high"]].isna().all(axis=None)
    assert (table[["control_n", "control_k"]] == 0).all(axis=None)
    assert table[["excess_p01", "excess_low_p01", "excess_high_p01"]].isna().all(axis=None)
    assert table["fraction"].between(0, 1).all()


@pytest.mark.parametrize("kind", ["all", "semantic", "grammatical", "orthographic"])
def test_controls_are_counted_as_the_rows_are(kind):
    """The same unit and kind, whatever the rows are grouped by; controls have no layers."""
    random = labels(3, layers=1, heads=None, indices=40, sides=("all",)).assign(layer=np.nan, head=np.nan)
    table = fractions_of(labels(), random, criterion="c").query("kind == @kind")
    decided = random[random["status"] == "ok"]
    passed = decided["interpretable"] & ~decided["kind"].isin(["frequency", "glitch"])
    passed &= (decided["kind"] == kind) | (kind == "all")
    # A direction has the kind of the sign with the higher score.
    best = decided[decided["interpretable"] & ~decided["kind"].isin(["frequency", "glitch"])]
    best = best.sort_values("score", ascending=False, kind="stable").drop_duplicates("index").set_index("index")["kind"]
    directions = best[(best == kind) | (kind == "all")].reindex(decided["index"].unique()).notna()
    for unit, counts in (("row", passed), ("either", directions)):
        of_unit = table[table["unit"] == unit]
        assert set(of_unit["control_n"]) == {len(counts)} and set(of_unit["control_k"]) == {counts.sum()}
        assert 0 < counts.sum() < len(counts)
        assert of_unit["control_fraction"].to_numpy() == pytest.approx(counts.mean())
        assert len(of_unit) > 20


def test_the_criteria_of_the_post_count_their_columns():
    rows, random = labels(), np.random.default_rng(2)
    for column in ("labelled", "verified"):
        rows[column] = random.choice([True, False, None], len(rows))
    known = rows["labelled"].notna() & rows["verified"].notna()
    both = rows["labelled"].eq(True) & rows["verified"].eq(True)
    rows["interpretable"] = both.astype(object).where(known, None)
    rows["kind"] = np.where(both, random.choice(["semantic", "grammatical", "orthographic"], len(rows)), "none")
    rows["status"] = np.where(known, "ok", "unparsed")
    for criterion, column in {"P": "labelled", "V": "verified", "B": "interpretable"}.items():
        table = fractions_of(rows, None, criterion)
        assert set(table["criterion"]) == {criterion}
        overall = one(table, group="all", side="all", kind="all", unit="row")
        assert (overall["n"], overall["k"]) == (rows[column].notna().sum(), rows[column].eq(True).sum())
        # Kinds are known of what is both labelled and verified.
        assert set(table["kind"]) == (set(rows["kind"]) - {"none"} if criterion == "B" else set()) | {"all"}
        assert table[["control_fraction", "excess", "excess_low", "excess_high"]].isna().all(axis=None)
    # Not parsed is not counted, whatever the criterion is called.
    overall = one(fractions_of(rows, None, "both"), group="all", side="all", kind="all", unit="row")
    assert (overall["n"], overall["k"]) == (known.sum(), both.sum())
    assert len(fractions_of(rows.assign(labelled=None), None, "P")) == 0


def test_mlp_has_no_heads():
    table = fractions_of(labels(heads=None, sides=("write",)), controls(), criterion="c")
    assert set(table["group"]) == {"all", "layer", "index"}
    assert set(table["side"]) == {"all", "write"}
    assert (table.query("side == 'all'")["k"].to_numpy() == table.query("side == 'write'")["k"].to_numpy()).all()


# --- the whole sweep


def write_labels(path: Path, singular: pd.DataFrame, labeller: str, **controls: pd.DataFrame) -> Path:
    """A labels file under results/by_switches: singular directions, and controls by name."""
    pieces = [singular.assign(control=None), *(table.assign(control=name) for name, table in controls.items())]
    table = pd.concat(pieces, ignore_index=True).assign(labeller=labeller, matrix="ov")
    # Missing numbers are none, in Python as in the file.
    rows = table.astype(object).where(table.notna(), None)
    columns = dict.fromkeys(CONTROL_LABELS.names, [None] * len(rows)) | rows.to_dict("list")
    write_table(path, columns, CONTROL_LABELS, {"file": path.name})
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> SimpleNamespace:
    """Two files of coherence, one of them shared by two settings, and one of a labeller with criteria B, P and V."""
    random = {"random_unit": controls(200, 0.2), "rotated": labels(7).iloc[::3]}
    random = {name: rows.assign(readout="W_U") for name, rows in random.items()}
    shared = write_labels(tmp_path / "a/ov.coherence.parquet", labels(0).assign(readout="W_U"), "coherence", **random)
    other = pd.concat([labels(1).assign(readout="W_E"), labels(2).assign(readout="W_U")])
    other = write_labels(tmp_path / "b/ov.coherence.parquet", other, "coherence", **random)
    answers = labels(4).assign(readout="W_U", labelled=labels(5)["interpretable"], verified=labels(6)["interpretable"])
    answers = write_labels(tmp_path / "b/ov.published.parquet", answers, "published")
    return SimpleNamespace(
        files=[shared, shared, other, answers],
        places=[
            ("m", "raw", "ov", "coherence"),
            ("m", "unembed", "ov", "coherence"),
            ("m", "post2022", "ov", "coherence"),
            ("m", "post2022", "ov", "published"),
        ],
        criteria={"coherence": ["q_value < 0.05"], "published": ["B", "P", "V"]},
    )


def test_the_table_of_a_sweep_has_every_setting_labeller_and_criterion(sweep):
    table = fractions_of_sweep(sweep.files, sweep.places, sweep.criteria)
    expected = []
    for path, (model, setting, matrix, labeller) in zip(sweep.files, sweep.places, strict=True):
        rows = pq.ParquetFile(path).read().to_pandas()
        singular, random = rows[rows["control"].isna()], rows[rows["control"] == "random_unit"]
        rotated = rows[rows["control"] == "rotated"]
        for criterion in sweep.criteria[labeller]:
            piece = fractions_of_readouts(singular, random, criterion, rotated)
            expected.append(piece.assign(model=model, setting=setting, matrix=matrix, labeller=labeller))
    pd.testing.assert_frame_equal(table, pd.concat(expected, ignore_index=True))
    overall = table.query("group == 'all' and side == 'all' and kind == 'all' and unit == 'row'")
    columns = overall[["setting", "labeller", "readout", "criterion", "control_n", "control_k"]]
    assert list(columns.itertuples(index=False, name=None)) == [
        ("raw", "coherence", "W_U", "q_value < 0.05", 200, 40),
        ("unembed", "coherence", "W_U", "q_value < 0.05", 200, 40),
        ("post2022", "coherence", "W_E", "q_value < 0.05", 0, 0),  # whose controls nobody read
        ("post2022", "coherence", "W_U", "q_value < 0.05", 200, 40),
        ("post2022", "published", "W_U", "B", 0, 0),
        ("post2022", "published", "W_U", "P", 0, 0),
        ("post2022", "published", "W_U", "V", 0, 0),
    ]


def test_a_file_without_labels_of_singular_directions_has_no_fractions(sweep, tmp_path):
    """A labeller that is told to label sides that a matrix has not."""
    random = controls().assign(readout="W_U")
    nothing = write_labels(
        tmp_path / "ov.parquet", labels().iloc[:0].assign(readout="W_U"), "coherence", random_unit=random
    )
    place = ("m", "fold", "ov", "coherence")
    with_it = fractions_of_sweep([*sweep.files, nothing], [*sweep.places, place], sweep.criteria)
    without = fractions_of_sweep(sweep.files, sweep.places, sweep.criteria)
    pd.testing.assert_frame_equal(with_it, without, check_dtype=False)
    alone = fractions_of_sweep([nothing], [place], sweep.criteria)
    assert len(alone) == 0 and set(FRACTIONS.names) <= set(alone)


def test_the_script_writes_the_table_and_where_it_is_from(sweep, tmp_path):
    contents = []
    for run in ("first", "second"):
        job = SimpleNamespace(
            input=SimpleNamespace(labels=list(map(str, sweep.files))),
            output=SimpleNamespace(fractions=str(tmp_path / run / "fractions.parquet")),
            params=SimpleNamespace(places=sweep.places, criteria=sweep.criteria, code="0"),
        )
        collect_fractions.main(job)
        contents.append((tmp_path / run / "fractions.parquet").read_bytes())
    assert contents[0] == contents[1] and str(tmp_path).encode() not in contents[0]
    table = pq.ParquetFile(tmp_path / "first/fractions.parquet").read()
    assert table.schema.equals(FRACTIONS)
    expected = fractions_of_sweep(sweep.files, sweep.places, sweep.criteria)
    assert len(table) == len(expected)
    for name in FRACTIONS.names:
        assert table[name].to_pylist() == [None if pd.isna(value) else value for value in expected[name]], name
    sources = read_metadata(tmp_path / "first/fractions.parquet")["sources"]
    assert {name: facts["file"] for name, facts in sources.items()} == {
        "m/raw/ov.coherence.parquet": "ov.coherence.parquet",
        "m/unembed/ov.coherence.parquet": "ov.coherence.parquet",
        "m/post2022/ov.coherence.parquet": "ov.coherence.parquet",
        "m/post2022/ov.published.parquet": "ov.published.parquet",
    }
