"""What figures of fractions say of layers: those that are not swept lack nothing, those without labels do."""

import itertools

import pandas as pd
import pytest
from matplotlib.figure import Figure

from svdlens.figures.files import figure_options
from svdlens.figures.fraction_rows import fraction_rows, partly_labelled
from svdlens.figures.panels import draw_rotated
from svdlens.figures.readouts import SHOWN_KINDS, readouts_data
from svdlens.figures.style import wrapped_evenly
from sweep_configs import sweep_with

CRITERION = "q_value < 0.05"


def of_layers(layers, matrices=("ov", "mlp_out"), readouts=("W_U",)):
    """Rows of the table of fractions of layers, 20 labels in each."""
    rows = itertools.product(readouts, matrices, layers)
    table = pd.DataFrame(rows, columns=["readout", "matrix", "layer"])
    place = {"model": "own", "setting": "raw", "side": "all", "labeller": "coherence", "criterion": CRITERION}
    shares = {"n": 20, "k": 5, "n_matrices": 1, "design_effect": 1.0, "fraction": 0.25, "low": 0.1, "high": 0.5}
    beside = dict.fromkeys(["control_n", "control_k"], 0) | {"unit": "row", "kind": "all", "group": "layer"}
    excess = dict.fromkeys(
        ["control_fraction", "excess", "excess_low", "excess_high", "rotated_fraction"], float("nan")
    )
    return table.assign(**place, **shares, **beside, **excess)


@pytest.mark.parametrize("layers", [[4, 5], [1, 3], [2], [0, 5]])
def test_layers_that_are_not_swept_lack_no_labels(layers):
    rows = of_layers(layers)
    assert partly_labelled(rows, {"own": layers}) == set()
    swept = [("own", "raw", "ov"), ("own", "raw", "mlp_out")]
    choice = {"swept": swept, "labeller": "coherence", "criterion": CRITERION}
    data = fraction_rows(rows, group="layer", layers={"own": layers}, **choice)
    assert len(data) == 2 * len(layers) and not data["partly_labelled"].any()


@pytest.mark.parametrize("lacking", [1, 3, 5])
def test_a_swept_layer_without_labels_is_known(lacking):
    rows = of_layers([1, 3, 5])
    gap = rows[(rows["matrix"] != "ov") | (rows["layer"] != lacking)]
    assert partly_labelled(gap, {"own": [1, 3, 5]}) == {("own", "raw", "ov")}
    # Of all layers, one in the middle that no matrix has.
    whole = of_layers(range(4))
    assert partly_labelled(whole, {}) == set()
    assert len(partly_labelled(whole[whole["layer"] != 2], {})) == 2


def test_a_layer_without_labels_through_one_of_several_readouts_is_known():
    rows = of_layers(range(3), readouts=["W_U", "W_U_cosine"])
    gap = rows[(rows["matrix"] != "ov") | (rows["readout"] != "W_U_cosine") | (rows["layer"] != 2)]
    table = pd.concat([gap, gap.assign(group="all", side="write").drop_duplicates(["readout", "matrix"])])
    choice = {"labeller": "coherence", "criterion": CRITERION, "layers": {}}
    data = readouts_data(table, swept=[("own", "raw", "ov"), ("own", "raw", "mlp_out")], **choice)
    assert len(data) == 2 * 2 * len(SHOWN_KINDS)
    assert data.groupby("matrix")["partly_labelled"].agg(set).to_dict() == {"ov": {True}, "mlp_out": {False}}


def test_figures_know_which_layers_are_swept():
    models = {"own": {"path": "own", "layers": [5, 4]}}
    options = figure_options(sweep_with(models=models), "fraction_by_layer")
    assert options["layers"] == {"own": [4, 5]}
    everywhere = figure_options(sweep_with(sweep={"layers": [1]}), "readouts")
    assert everywhere["layers"] == {"own": [1], "encoder": [1]}
    assert figure_options(sweep_with(), "fraction_by_layer")["layers"] == {}


@pytest.mark.parametrize("layers", [[3], [1, 2, 5]])
def test_rotations_are_seen_even_where_there_is_one_layer(layers):
    axes = Figure().subplots()
    rows = pd.DataFrame({"layer": layers, "rotated_fraction": [0.25] * len(layers)})
    draw_rotated(axes, rows, "layer", "black")
    [line] = axes.lines
    assert max(line.get_xdata()) > min(line.get_xdata()) and set(line.get_ydata()) == {0.25}
    assert sum(line.get_xdata()) / len(line.get_xdata()) == pytest.approx(sum(layers) / len(layers))


def test_a_title_of_several_lines_has_no_word_left_over():
    title = "all-minilm-l6-v2, setting raw: singular vectors of a Gaussian matrix"
    for most in (30, 40, 60, len(title) - 1, len(title)):
        lines = wrapped_evenly(title, most)
        assert " ".join(lines) == title and max(map(len, lines)) <= most
        assert len(lines) == -(-len(title) // most) or len(lines) <= 1 + len(title) // (most - 10)
        assert max(map(len, lines)) - min(map(len, lines)) <= 16
    assert wrapped_evenly("", 10) == []
