"""Read-write cards: signs and sides belong together, and a matrix that copies is told from one that does not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from random_weights import normal
from svdlens.artefacts.table_schemas import CARDS, READ_WRITE_GAPS, write_table
from svdlens.effects.cards import card_columns, gap_rows

D_MODEL, D_VOCAB, HEADS = 12, 200, 3
W_U = normal(1, D_MODEL, D_VOCAB)


def svd_of(matrices: np.ndarray) -> dict[str, np.ndarray]:
    left, values, right = np.linalg.svd(matrices)
    return {"left": np.swapaxes(left, -1, -2)[:, :4], "values": values, "right": right[:, :4]}


def tables(svd: dict[str, np.ndarray]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lists through W_U of both sides, shuffled, with labels that say where they are from."""
    rows = []
    for layer, head, index in np.ndindex(svd["left"].shape[:3]):
        for side, array in (("read", "left"), ("write", "right")):
            for sign in (1, -1):
                ids = np.argsort(-sign * (svd[array][layer, head, index] @ W_U))[:20]
                label = f"{side} {layer}.{head}.{index}.{sign}"
                rows.append((layer, head, index, side, sign, ids, [f"t{one}" for one in ids], label))
    names = ["layer", "head", "index", "side", "sign", "token_ids", "tokens", "label"]
    table = pd.DataFrame(rows, columns=names).assign(readout="W_U").sample(frac=1.0, random_state=0)
    lists = table.drop(columns="label").assign(null_space=table["index"] == 3)
    numbers = dict.fromkeys(["score", "p_value", "q_value", "p_direction", "q_direction"], 0.5)
    labels = table.drop(columns=["token_ids", "tokens"]).assign(kind="semantic", status="ok", labelled=True, **numbers)
    labels["interpretable"] = (labels["side"] == "write") | (labels["head"] == 0)
    return lists, labels.sample(frac=1.0, random_state=1)


@pytest.fixture(scope="module")
def svd() -> dict[str, np.ndarray]:
    """Head 0 writes what it reads, head 1 its opposite, head 2 anything."""
    symmetric = normal(2, D_MODEL, D_MODEL)
    symmetric = symmetric @ symmetric.T
    of_heads = np.stack([symmetric, -symmetric, normal(3, D_MODEL, D_MODEL)])
    return {name: np.stack([array, array]) for name, array in svd_of(of_heads).items()}


def test_a_card_has_both_sides_of_one_direction_and_sign(svd: dict[str, np.ndarray], tmp_path: Path) -> None:
    lists, labels = tables(svd)
    write_table(tmp_path / "cards.parquet", card_columns("ov", svd, lists, labels), CARDS, {})
    table = pd.read_parquet(tmp_path / "cards.parquet")
    assert len(table) == 2 * HEADS * 4 * 2
    for row in table.to_dict("records"):
        where = f"{row['layer']}.{row['head']}.{row['index']}.{row['sign']}"
        assert (row["read_label"], row["write_label"]) == (f"read {where}", f"write {where}")
        assert len(row["read_tokens"]) == 15
        found = lists[(lists["side"] == "write")].set_index(["layer", "head", "index", "sign"])
        key = row["layer"], row["head"], row["index"], row["sign"]
        assert list(row["write_tokens"]) == found.loc[key, "tokens"][:15]


def test_heads_that_copy_are_told_from_those_that_do_not(svd: dict[str, np.ndarray]) -> None:
    lists, labels = tables(svd)
    table = pd.DataFrame(card_columns("ov", svd, lists, labels))
    scores = table[table["index"] < 3].groupby("head")[["cosine", "overlap", "opposite_overlap"]]
    means = scores.mean()
    np.testing.assert_allclose(means.loc[0], [1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(means.loc[1], [-1, 0, 1], atol=1e-9)
    assert means.loc[2, "cosine"] == pytest.approx(means.loc[2, "cosine"]) and scores.max().loc[2, "overlap"] < 1
    null_space = table[table["index"] == 3][["cosine", "overlap", "opposite_overlap"]]
    assert null_space.isna().all().all()


def test_lists_without_a_label_have_a_card(svd: dict[str, np.ndarray], tmp_path: Path) -> None:
    lists, labels = tables(svd)
    some = labels[labels["side"] == "write"]
    write_table(tmp_path / "cards.parquet", card_columns("ov", svd, lists, some), CARDS, {})
    table = pd.read_parquet(tmp_path / "cards.parquet")
    assert table["read_label"].isna().all() and table["read_interpretable"].isna().all()
    assert table["write_label"].notna().all()


def test_the_gap_is_the_difference_of_the_shares_with_an_interval(svd: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Half of what heads 1 and 2 read counts; bootstrapping heads gives about the same interval."""
    _, labels = tables(svd)
    labels.loc[(labels["side"] == "read") & (labels["sign"] == 1), "interpretable"] = True
    labels.loc[(labels["side"] == "write") & (labels["layer"] == 1) & (labels["head"] == 1), "interpretable"] = False
    gaps = gap_rows("ov", labels, "coherence", ["q_value < 0.05"])
    write_table(tmp_path / "gaps.parquet", dict(gaps.items()), READ_WRITE_GAPS, {})
    table = pd.read_parquet(tmp_path / "gaps.parquet").set_index(["group", "layer"], drop=False)
    assert table["group"].tolist() == ["all", "layer", "layer"]
    whole = table.iloc[0]
    per_head = labels.groupby(["layer", "head", "side"])["interpretable"].mean().unstack("side")
    differences = (per_head["write"] - per_head["read"]).to_numpy()
    assert whole["gap"] == pytest.approx(differences.mean())
    assert whole["n_matrices"] == 6 and (whole["read_n"], whole["write_n"]) == (48, 48)
    assert whole["gap"] == pytest.approx(whole["write_fraction"] - whole["read_fraction"])
    assert whole["gap_low"] < whole["gap"] < whole["gap_high"]
    random = np.random.default_rng(0)
    drawn = random.choice(differences, (4000, 6)).mean(axis=1)
    width = (whole["gap_high"] - whole["gap_low"]) / (np.quantile(drawn, 0.975) - np.quantile(drawn, 0.025))
    assert 0.9 < width < 2.0  # six heads: Student's t with five degrees of freedom is wider
    by_layer = per_head.groupby("layer").mean()
    assert table.loc["layer", "gap"].tolist() == pytest.approx((by_layer["write"] - by_layer["read"]).tolist())
