"""Whether a direction's list says where it projects: the tokens of its windows by the scores of its own list."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

NO_TOKEN = -1


class Agreement(NamedTuple):
    """For each direction and sign. auc [k, 2]: the chance that a token of its own windows has a higher score in its
    list than one of the windows of other directions, 0.5 where the list says nothing. p_value [k, 2]: the share of
    windows of other directions, either sign, whose tokens have as high a mean, as (1 + these) / (1 + all). NaN where
    there are no tokens to compare."""

    auc: Float[np.ndarray, "k 2"]
    p_value: Float[np.ndarray, "k 2"]


def agreement(scores: Float[np.ndarray, "k tokens"], windows: Int[np.ndarray, "k 2 n"]) -> Agreement:
    """How well the lists of the directions of one matrix tell their own windows from those of the others.

    scores: of tokens by each direction, read without its windows; its opposite has them with the other sign. windows:
    one token of each of n windows of each direction and sign, as a column of `scores`, or NO_TOKEN. Others are all
    directions but the one itself and its opposite.
    """
    k = len(windows)
    auc, p_value = np.full((2, k, 2), np.nan)
    known = windows != NO_TOKEN
    for i in range(k):
        of_all = np.where(known, scores[i][windows], np.nan)
        others = np.delete(of_all, i, axis=0)
        for number, sign in enumerate((1, -1)):
            own, values = sign * of_all[i, number], sign * others
            own, pool = own[~np.isnan(own)], np.sort(values[~np.isnan(values)])
            if not len(own) or not len(pool):
                continue
            below, up_to = (np.searchsorted(pool, own, side) for side in ("left", "right"))
            auc[i, number] = (below + up_to).mean() / (2 * len(pool))
            has_some = ~np.isnan(values).all(axis=-1)
            means = np.nanmean(values[has_some], axis=-1)
            p_value[i, number] = (1 + (means >= own.mean()).sum()) / (1 + len(means))
    return Agreement(auc, p_value)
