"""What a sweep found, in sentences."""

import re
from typing import Any

import pandas as pd
import pytest

from svdlens.evaluation.findings import findings

PLACE = {"setting": "raw", "matrix": "ov", "side": "write", "readout": "W_U", "labeller": "mine", "criterion": "B"}


def row(model: str, layer: int | None, fraction: float, **changed: Any) -> dict[str, Any]:
    excess = fraction - 0.2
    numbers = {"fraction": fraction, "control_fraction": 0.2, "excess": excess}
    interval = {"excess_low": excess - 0.05, "excess_high": excess + 0.05}
    group = {"group": "all" if layer is None else "layer", "layer": layer, "unit": "row", "kind": "all"}
    return {"model": model, **PLACE, **group, **numbers, **interval, **changed}


def test_each_model_has_a_sentence_and_the_largest_excess_comes_first() -> None:
    rows = [row("small", None, 0.3), row("small", 0, 0.31), row("small", 1, 0.29)]
    rows += [row("large", None, 0.4), *(row("large", layer, 0.3 + layer / 10) for layer in range(4))]
    # Others than these are chosen among: another labeller, both sides together, kinds of labels, directions of a pair.
    others = ({"labeller": "other"}, {"side": "all"}, {"kind": "semantic"}, {"unit": "either"})
    rows += [row("small", 1, 0.95, **changed) for changed in others]
    first, second = findings(pd.DataFrame(rows), "mine", "B", 3)
    assert first.startswith(
        "large: in layer 3 60.0% of the lists are interpretable (attention OV, write side, setting raw,"
    )
    assert "against 20.0% of random directions: 40.0 points [35.0, 45.0] more" in first
    assert "the best of 4 layers" in first and first.endswith("all layers together have 20.0 points [15.0, 25.0] more.")
    assert second.startswith("small: in layer 0 31.0% of the lists") and "the best of 2 layers" in second
    assert findings(pd.DataFrame(rows), "mine", "B", 1) == [first]


def test_the_difference_is_that_of_the_shares_that_are_shown() -> None:
    for fraction, control in ((0.8449, 0.6351), (0.5005, 0.2994), (0.33349, 0.11151)):
        layer = row("m", 0, fraction, control_fraction=control, excess=fraction - control)
        (said,) = findings(pd.DataFrame([row("m", None, 0.3), layer]), "mine", "B", 3)
        share, of_random, excess = (float(part) for part in re.findall(r"(\d+\.\d)(?:%| points)", said)[:3])
        assert excess == pytest.approx(share - of_random, abs=1e-9)


def test_what_exceeds_nothing_is_said_too() -> None:
    rows = [row("flat", None, 0.2), row("flat", 0, 0.22), row("flat", 1, 0.18)]
    (only,) = findings(pd.DataFrame(rows), "mine", "B", 3)
    assert only.startswith("flat: no matrix's lists exceed those of random directions. The nearest to it: attention OV")


def test_without_controls_or_labels_there_is_nothing_to_say() -> None:
    rows = [row("bare", None, 0.2), row("bare", 0, 0.22)]
    frame = pd.DataFrame(rows).assign(excess=float("nan"), excess_low=float("nan"), excess_high=float("nan"))
    assert findings(frame, "mine", "B", 3) == []
    assert findings(frame.iloc[:0], "mine", "B", 3) == []


@pytest.mark.parametrize(("n_layers", "said"), [(1, "best of 1 layer, of all"), (3, "best of 3 layers, of all")])
def test_a_matrix_of_no_layer_is_not_the_best_of_layers(n_layers: int, said: str) -> None:
    layers = [row("m", None, 0.3), *(row("m", layer, 0.3) for layer in range(n_layers))]
    assert said in findings(pd.DataFrame(layers), "mine", "B", 1)[0]
    unembed = row("m", None, 0.9) | {"matrix": "unembed", "side": "read"}
    (sentence,) = findings(pd.DataFrame([*layers, unembed]), "mine", "B", 1)
    assert "(unembedding, read side" in sentence and sentence.endswith("It is the best of all settings and matrices.")
