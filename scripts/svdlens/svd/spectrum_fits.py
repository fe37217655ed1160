"""Laws by which singular values may fall: exponential, s = a exp(-r i), and power law, s = a (i + 1)^-p, of index i.

The post sees the first in OV circuits and the second in MLPs (Millidge & Black 2022). Least squares on logarithms says
what a curve looks like, and tests no law (Clauset, Shalizi & Newman 2009).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

FEWEST = 3  # values; through two, any law passes


class Fit(NamedTuple):
    """A law fitted to the logarithms of singular values by least squares.

    `rate` is r (per index) or p (no unit), `r2` the share of the variance of the logarithms that the law explains,
    `fitted` [n] its values, in the unit of the singular values.
    """

    rate: float
    r2: float
    fitted: Float[np.ndarray, " n"]


def fit_exponential(values: Float[np.ndarray, " n"]) -> Fit:
    """The exponential law through positive values, of which the first has index 0. See fit_line."""
    return fit_line(np.arange(len(values)), values)


def fit_power_law(values: Float[np.ndarray, " n"]) -> Fit:
    """The power law through positive values, of which the first has index 0. See fit_line."""
    return fit_line(np.log1p(np.arange(len(values))), values)


def fit_line(x: Num[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> Fit:
    """The straight line through the natural logarithms of `values` over `x`; NaN for fewer than FEWEST values.

    Where all values are equal the rate is 0, and there is no variance that a law could explain: `r2` is NaN.
    """
    if len(values) < FEWEST:
        return Fit(np.nan, np.nan, np.full(len(values), np.nan))
    logarithms = np.log(np.asarray(values, dtype=np.float64))
    centred_x, centred_y = x - x.mean(), logarithms - logarithms.mean()
    slope = (centred_x @ centred_y) / (centred_x @ centred_x)
    variance = centred_y @ centred_y
    # Equal values differ by the rounding of their mean.
    flat = variance <= len(values) * (1e-12 * max(1.0, np.abs(logarithms).max())) ** 2
    r2 = np.nan if flat else float((slope * (centred_x @ centred_y)) / variance)
    return Fit(float(-slope), r2, np.exp(logarithms.mean() + slope * centred_x))
