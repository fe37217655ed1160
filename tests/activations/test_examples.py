"""The table of examples, against what stands in the text and scores computed one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from svdlens.activations.examples import find_examples
from svdlens.activations.passages import passages_of
from svdlens.models.load import load_model
from svdlens.readout.readout_matrix import reading_gains, readout_matrix
from svdlens.spec.settings import setting_from_names
from svdlens.svd.layer_by_layer import Task
from svdlens.svd.model_svd import decompose_layers
from svdlens.weights.extraction import GROUPS, extract_weights
from svdlens.weights.weight_files import WeightFile
from tiny import make_tiny

TEXT = "the\nfire\nburns\nand\nice\nmelts\nwater, water everywhere é\nnor any drop to drink\n" + "x" * 70
AROUND, WINDOWS = 3, 4


@pytest.mark.parametrize("readout", ["W_U", "W_E"])
def test_rows_are_of_the_text_and_scores_of_the_lists(readout: str, tmp_path: Path) -> None:
    """Of some layers and heads, with a direction of null space."""
    directory = make_tiny("llama", tmp_path / "tiny", 3)
    model = load_model(directory, "tiny")
    files = {group: tmp_path / f"{group}.safetensors" for group in GROUPS}
    extract_weights(directory, files)
    weights, setting = {group: WeightFile(path) for group, path in files.items()}, setting_from_names("raw", [])
    svds = {
        "ov": decompose_layers(weights["attention"], Task("ov", setting, None, heads=(0, 2)), [1, 2]),
        "mlp_out": decompose_layers(weights["mlp"], Task("mlp_out", setting, 6), range(3)),
    }
    svds["ov"] |= {"layers": torch.tensor([1, 2]), "heads": torch.tensor([0, 2])}
    svds["ov"]["values"][1, 1, -1] = 0.0
    passages = passages_of(TEXT, model, directory, 32, 10**6)
    matrix, texts = readout_matrix(weights["unembed"], setting, readout), [f"<{token}>" for token in range(320)]
    gains = {name: reading_gains(weights["gains"], name) for name in svds}
    columns = find_examples(
        model, passages, svds, setting, readout, matrix, gains, texts, windows=WINDOWS, around=AROUND, threads=2
    )
    keys = ("matrix", "side", "layer", "head", "index", "sign")
    rows = dict(zip(zip(*(columns[key] for key in keys), strict=True), range(10**6), strict=False))
    k = svds["ov"]["right"].shape[-2]
    assert len(rows) == 2 * (2 * (4 * k - 1) + 3 * 6)
    assert ("ov", "write", 2, 2, k - 1, 1) not in rows and ("ov", "write", 1, 2, k - 1, 1) in rows

    for row in rows.values():
        assert sorted(columns["projections"][row], reverse=True) == columns["projections"][row]
        for i, position in enumerate(columns["positions"][row]):
            start, end = (int(bound[0]) for bound in passages.bounds(np.array([position])))
            assert columns["tokens"][row][i] == texts[passages.ids[position]]
            begins = passages.begins[
                [max(start, position - AROUND), position, position + 1, min(end, position + 1 + AROUND)]
            ]
            assert columns["before"][row][i] == TEXT[begins[0] : begins[1]]
            assert columns["after"][row][i] == TEXT[begins[2] : begins[3]]

    def scores_at(side: str, index: int, sign: int, name: tuple) -> list[float]:
        vector = svds["ov"]["left" if side == "read" else "right"][0, 1, index].double()
        if readout == "W_E" and side == "read":  # an embedding meets the gain of the norm first
            vector = vector * gains["ov"][1]
        return [float(sign * vector @ matrix[:, passages.ids[p]]) for p in columns["positions"][rows[name]]]

    for side in ("read", "write"):
        own = ("ov", side, 1, 2, 1, -1)
        others = [name for name in rows if name[:4] == own[:4] and name[4] != 1]
        mine = scores_at(side, 1, -1, own)
        pool = [score for name in others for score in scores_at(side, 1, -1, name)]
        auc = np.mean([(score > other) + 0.5 * (score == other) for score in mine for other in pool])
        assert columns["auc_at"][rows[own]] == pytest.approx(auc, abs=1e-3)
        higher = sum(np.mean(scores_at(side, 1, -1, name)) >= np.mean(mine) for name in others)
        assert columns["p_at"][rows[own]] == pytest.approx((1 + higher) / (1 + len(others)))
