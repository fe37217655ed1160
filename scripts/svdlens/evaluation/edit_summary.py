"""What an edit does on the whole, beside its controls, with intervals over prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float

from svdlens.artefacts import table_schemas as schemas
from svdlens.evaluation.intervals import CONFIDENCE
from svdlens.spec.edits import DIRECTION, MATCHED, OTHER, RANDOM

RESAMPLES = 1000


def edit_tables(
    effect: Sequence[Mapping[str, Any]],
    doses: Mapping[float, Mapping[str, Any]],
    spectrum: Sequence[Mapping[str, Any]],
    seed: int,
) -> dict[str, tuple[dict[str, Any], pa.Schema]]:
    """Columns and schema of each table of an edit by name, from what was measured (edit/experiment.py)."""
    tables = {
        "effect": (effect, schemas.EDIT_EFFECT),
        "summary": (summarize(pd.DataFrame(effect), seed), schemas.EDIT_SUMMARY),
        "dose": (dose_rows(doses, seed), schemas.EDIT_DOSE),
        "spectrum": (spectrum, schemas.EDIT_SPECTRUM),
    }
    columns = {}
    for name, (rows, schema) in tables.items():
        frame = pd.DataFrame(rows, columns=schema.names)
        columns[name] = ({column: frame[column] for column in schema.names}, schema)
    return columns


def summarize(effect: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """A row for each set of targets and control of a table of effects (EDIT_SUMMARY in artefacts/table_schemas.py).

    Changes of log-probability are means over targets, then over prompts. Intervals: percentile bootstrap over prompts
    (Efron 1979), of the same draws for all rows of a set; the edits of a control are taken as given.
    """
    rows = []
    for targets, of_set in effect.groupby("targets", sort=False, observed=True):
        means = of_set.groupby(["edited", "matched", "number", "prompt"], observed=True)["change"].mean()
        direction = means[DIRECTION][False][0].to_numpy()
        weights = resampling_weights(len(direction), seed)
        for control in (OTHER, RANDOM, MATCHED):
            if control == MATCHED:
                others = means[DIRECTION][True].unstack().to_numpy()
            elif control in of_set["edited"].to_numpy():
                others = means[control][False].unstack().to_numpy()
            else:
                continue
            row = {"targets": targets, "control": control, "n_prompts": len(direction), "n_controls": len(others)}
            rows.append(row | compared(direction, others, weights))
    return rows


def compared(
    direction: Float[np.ndarray, " n_prompts"],
    others: Float[np.ndarray, "n_controls n_prompts"],
    weights: Float[np.ndarray, "resamples n_prompts"],
) -> dict[str, float | None]:
    """The change of the direction, that of its controls, the excess, and the excess in standard deviations of the
    controls; of one control there is no deviation. p_value: the share of controls that change as much, either way."""
    found: dict[str, float | None] = {"control_change": float(others.mean()), "change": float(direction.mean())}
    drawn, drawn_others = weights @ direction, weights @ others.T
    excess = drawn - drawn_others.mean(axis=1)
    found["low"], found["high"] = interval(drawn)
    found["excess"] = float(direction.mean() - others.mean())
    found["excess_low"], found["excess_high"] = interval(excess)
    names = ("standardized", "standardized_low", "standardized_high", "p_value")
    if len(others) == 1:
        return found | dict.fromkeys(names)
    deviation, deviations = others.mean(axis=1).std(ddof=1), drawn_others.std(axis=1, ddof=1)
    if deviation == 0:
        return found | dict.fromkeys(names)
    as_large = np.sum(np.abs(others.mean(axis=1)) >= np.abs(direction.mean()))
    low, high = interval(np.divide(excess, deviations, out=np.zeros_like(excess), where=deviations != 0))
    values = (found["excess"] / deviation, low, high, (1 + as_large) / (1 + len(others)))
    return found | {name: float(value) for name, value in zip(names, values, strict=True)}


def resampling_weights(n: int, seed: int) -> Float[np.ndarray, "resamples n"]:
    """How much each of n prompts weighs in each resample, which is drawn by drawing its counts; NaN for a single
    prompt, which tells nothing of others."""
    if n < 2:
        return np.full((RESAMPLES, n), np.nan)
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n


def interval(drawn: Float[np.ndarray, " resamples"]) -> tuple[float, float]:
    """The percentile interval at the level CONFIDENCE."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def dose_rows(doses: Mapping[float, Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """A row for each eps and set of targets of measure_doses (edit/effect.py): EDIT_DOSE."""
    rows = []
    for eps, found in doses.items():
        for targets in (name for name in found if name != "perplexity"):
            row: dict[str, Any] = {"eps": eps, "targets": targets, "perplexity": found["perplexity"]}
            for prefix, change in zip(("", "matched_"), found[targets], strict=True):
                values = change.numpy()
                low, high = interval(resampling_weights(len(values), seed) @ values)
                row |= {f"{prefix}change": float(values.mean()), f"{prefix}low": low, f"{prefix}high": high}
            rows.append(row)
    return rows
