"""Pools of any size: how scores change as languages are added, from the table of ranks alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.measures.significance import SEED, mean, present_mean

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ranks

MOST_SUBSETS = 500
"""Subsets of one size that are all taken; of more, this many are drawn. 11 languages have 462."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """The mean of a score over the subsets of a size, and its least and most among them."""

    value: float
    least: float
    most: float


@dataclass(frozen=True)
class LanguageCount:
    """Scores of tasks of ``languages`` languages: queries and pool both cut down to them.

    Means over ``subsets`` of the ``all_subsets`` choices of that many. ``average_precision`` is
    multilingual mAP, with one language monolingual mAP; ``floor`` and ``random`` are the least
    rank distance and that of a random order. None where no subset has the score.
    """

    languages: int
    subsets: int
    all_subsets: int
    average_precision: Spread | None
    rank_distance: Spread | None
    floor: float | None
    random: float | None


def language_counts(
    ranks: Ranks, *, most: int = MOST_SUBSETS, seed: int = SEED
) -> tuple[LanguageCount, ...]:
    """Return the scores expected of k of the languages, k = 1, 2, ..., all of them.

    Within a subset a score is the mean over a language's queries, then over languages, as
    everywhere; then the mean over the subsets of a size. Nothing where queries and passages do not
    have the same languages, or where images search texts. Sizes with more than ``most`` subsets
    are sampled, without replacement, by ``seed``.
    """
    roles = ranks.roles
    if roles.queries != roles.passages or roles.between_modalities:
        return ()
    size = len(ranks.languages)
    sizes = range(1, size + 1)
    pools = [language_subsets(size, k, most, seed) for k in sizes]
    stacked = np.concatenate(pools)
    sums = _sum_over_pools(ranks, stacked)
    passages = stacked @ ranks.pool_sizes
    precision = _over_languages(sums[..., 0], sums[..., 1])
    distance, floor, share = (_over_languages(sums[..., i], sums[..., 5]) for i in (2, 3, 4))
    cuts = np.cumsum([len(pool) for pool in pools])[:-1]
    parts = zip(
        *(
            np.split(scores, cuts)
            for scores in (precision, distance, floor, share * (passages + 1))
        ),
        strict=True,
    )
    return tuple(
        LanguageCount(
            languages=k,
            subsets=len(pool),
            all_subsets=math.comb(size, k),
            average_precision=_spread(scores[0]),
            rank_distance=_spread(scores[1]),
            floor=present_mean(scores[2]),
            random=present_mean(scores[3]),
        )
        for k, pool, scores in zip(sizes, pools, parts, strict=True)
    )


def _sum_over_pools(ranks: Ranks, pools: npt.NDArray[np.int32]) -> Values:
    """Return the sums of ``kernels.sum_over_pools`` by pool and query language, float64
    (pools, languages, 6); a query counts in the pools that hold its own language."""
    from mlbench.ranking.kernels import sum_over_pools

    size = len(ranks.languages)
    sums = np.zeros((len(pools), size, 6))
    passages, counts = ranks.passage_language.astype(np.int64), ranks.above + ranks.tied
    begin = np.searchsorted(ranks.query_language, np.arange(size + 1))
    for own in range(size):
        holding = np.flatnonzero(pools[:, own])
        members = np.ascontiguousarray(pools[holding].T)
        starts = ranks.starts[begin[own] : begin[own + 1] + 1]
        sums[holding, own] = sum_over_pools(starts, passages, counts, members).T
    return sums


def language_subsets(size: int, count: int, most: int, seed: int) -> npt.NDArray[np.int32]:
    """Return subsets of ``count`` of ``size`` languages, int32 (subsets, size), 1 where it is in.

    All of them in lexicographic order, or if there are more than ``most``, that many distinct
    ones drawn by ``seed``.
    """
    if math.comb(size, count) <= most:
        chosen = list(itertools.combinations(range(size), count))
    else:
        generator = np.random.default_rng([seed, count])
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < most:
            drawn.add(tuple(sorted(generator.choice(size, count, replace=False).tolist())))
        chosen = sorted(drawn)
    pools = np.zeros((len(chosen), size), np.int32)
    np.put_along_axis(pools, np.array(chosen, np.int64), 1, axis=1)
    return pools


def _over_languages(sums: Values, queries: Values) -> Values:
    """Return the mean over languages of the mean over queries: (pools,), NaN where none is."""
    counted = queries > 0
    means = np.divide(sums, queries, out=np.zeros_like(sums), where=counted)
    with np.errstate(invalid="ignore"):
        macro: Values = means.sum(1) / counted.sum(1)
    return macro


def _spread(scores: Values) -> Spread | None:
    present = scores[~np.isnan(scores)]
    if not len(present):
        return None
    return Spread(mean(present), float(present.min()), float(present.max()))
