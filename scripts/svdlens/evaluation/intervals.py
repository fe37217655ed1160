"""Confidence intervals of fractions."""

from statistics import NormalDist

import numpy as np
import pandas as pd

CONFIDENCE = 0.95


def wilson_interval(k: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Interval of k / n at the level CONFIDENCE (Wilson 1927).

    As statsmodels' proportion_confint, which is the oracle in the tests and takes a second to import.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    # Rounding must not lead out of what a fraction can be.
    return (centre - half).clip(lower=0.0), (centre + half).clip(upper=1.0)
