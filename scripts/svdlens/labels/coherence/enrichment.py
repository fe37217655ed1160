"""Enrichment of token lists in classes of tokens: is a class more often in a list than it should be by chance?

The hypergeometric test of gene-set analysis (Tavazoie et al. 1999; Subramanian et al. 2005 for its successors), with
lists of tokens for sets of genes and the lexicon's concepts for their annotations. The population is all that the lists
of a table have: a token counts as often as it is in them.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int, Num
from scipy.special import gammaln

from svdlens.readout.token_table import DistinctLists

FEWEST_SHARED = 3
"""Tokens of a list in a class, below which it is no evidence: with thousands of classes any two tokens share one."""
EXTRA = 100
"""Tokens added to the population, one of them in each class: a class is never as rare as it looks in few lists."""


class Population(NamedTuple):
    """Among `size` tokens, in_class [n_classes] that are in each class."""

    size: int
    in_class: Int[np.ndarray, " n_classes"]


def count_tokens(lists: DistinctLists, membership: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """counts [n, n_classes]: how many tokens of each list are in each class; `membership` is that of TokenClasses."""
    sizes = lists.used.sum(axis=1)
    ones = np.ones(int(sizes.sum()), np.float32)
    tokens = scipy.sparse.csr_matrix(
        (ones, lists.ids[lists.used], np.append(0, np.cumsum(sizes))), shape=(len(sizes), membership.shape[0])
    )
    return tokens @ membership


def population_of(lists: DistinctLists, membership: scipy.sparse.csr_matrix) -> Population:
    """All tokens of the lists, each as often as it is in them; `membership` is that of TokenClasses."""
    occurrences = np.bincount(lists.ids[lists.used], minlength=membership.shape[0])
    return Population(int(lists.used.sum()), np.asarray(occurrences @ membership).ravel().astype(np.int64))


class Shared(NamedTuple):
    """What lists have in classes, [n, n_classes] both, with entries at the same places.

    counts: tokens of a list in a class. strengths: -log10 of the probability that there are as many by chance, 0 for
    fewer than FEWEST_SHARED.
    """

    counts: scipy.sparse.csr_matrix
    strengths: scipy.sparse.csr_matrix


def enrichment(lists: DistinctLists, membership: scipy.sparse.csr_matrix, population: Population) -> Shared:
    """Counts and strengths (-log10 of the hypergeometric tail) of each list in each class.

    Lists that are not of the population, such as those of controls, may have more of a class than that has. Then the
    class is as large as the list shows, as it would be if the list were of the population.
    """
    counts = count_tokens(lists, membership)
    sizes = lists.used.sum(axis=1)
    size_of_entry = np.repeat(sizes, np.diff(counts.indptr))
    strengths = np.zeros(len(counts.data))
    shared = counts.data.astype(np.int64)
    # Many classes are equally large.
    possible_counts = np.arange(lists.ids.shape[1] + 1)
    totals, indices = np.unique(np.append(possible_counts, population.in_class), return_inverse=True)
    index_of_count, index_of_class = indices[: len(possible_counts)], indices[len(possible_counts) :]
    for size in np.unique(sizes):
        (chosen,) = np.nonzero((size_of_entry == size) & (shared >= FEWEST_SHARED))
        if len(chosen):
            tails = log_tails(population.size, totals, int(size))
            # Totals ascend: the larger index is that of the larger total.
            row = np.maximum(index_of_class[counts.indices[chosen]], index_of_count[shared[chosen]])
            strengths[chosen] = -tails[row, shared[chosen]]
    return Shared(counts, scipy.sparse.csr_matrix((strengths, counts.indices, counts.indptr), shape=counts.shape))


def log_tails(size: int, totals: Int[np.ndarray, " m"], drawn: int) -> Float[np.ndarray, "m {drawn+1}"]:
    """log10 of P(at least k of `drawn` tokens are in a class), hypergeometric, for k from 0 and classes with `totals`
    of the `size` tokens of a population, EXTRA tokens being added to it.

    As scipy.stats.hypergeom.logsf, which is the oracle in the tests and takes long to import.
    """
    size = size + EXTRA
    inside = np.minimum(totals + 1, size)[:, None].astype(float)
    k = np.arange(drawn + 1)[None, :]
    possible = (k <= inside) & (drawn - k <= size - inside)
    log_terms = np.where(
        possible,
        log_binomial(inside, np.minimum(k, inside))
        + log_binomial(size - inside, np.clip(drawn - k, 0, size - inside))
        - log_binomial(np.array(size), np.array(min(drawn, size))),
        -np.inf,
    )
    tails = np.logaddexp.accumulate(log_terms[:, ::-1], axis=1)[:, ::-1] / np.log(10)
    return np.minimum(tails, 0.0)


def log_binomial(n: Num[np.ndarray, "*#shape"], k: Num[np.ndarray, "*#shape"]) -> Float[np.ndarray, "*shape"]:
    """Natural logarithm of n! / (k! (n - k)!), element by element."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def strongest(strengths: scipy.sparse.csr_matrix, wanted: Bool[np.ndarray, " n_classes"]) -> Float[np.ndarray, " n"]:
    """The largest entry of each row of `strengths` [n, n_classes] among the wanted columns; 0 where there is none."""
    values = np.where(wanted[strengths.indices], strengths.data, 0.0)
    # A 0 after each row: reduceat would take an empty row's value from the next.
    padded = np.insert(values, strengths.indptr[1:], 0.0)
    starts = strengths.indptr[:-1] + np.arange(strengths.shape[0])
    return np.maximum.reduceat(padded, starts)
