"""Every figure of language bias for each query, as intervals need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlbench.measures.bias import (
    BIAS_MEASURES,
    MixedPool,
    Values,
    distances,
    other_target_removed,
    own_target_removed,
)
from mlbench.ranking.ranks import Ints, Ranks


@dataclass(frozen=True)
class PerQuery:
    """A figure for those of one language's queries that it says something about, (n,) each."""

    query: Ints
    values: Values
    optimistic: Values
    excluded: int


Pools = Mapping[str, MixedPool]
Figures = dict[str, dict[str, PerQuery]]
"""Name of a figure -> query language -> its values."""


def mixed_pools(ranks: Ranks) -> dict[str, MixedPool]:
    """Return the mixed pool of each query language; none where a task has one language only."""
    languages = ranks.languages if len(ranks.languages) > 1 else ()
    return {language: MixedPool.of(ranks, language) for language in languages}


def bias_figures(ranks: Ranks, pools: Pools) -> Figures:
    """Return every figure that can vary in this task, for each query: what intervals need."""
    if not pools:
        return {}
    lucky = pools
    if ranks.ambiguous:
        lucky = {code: MixedPool.of(ranks, code, optimistic=True) for code in pools}
    figures = {
        name: {code: _per_query(pool, lucky[code], function) for code, pool in pools.items()}
        for name, function in FIGURES.items()
        if not _constant(name, pools)
    }
    return {
        name: of for name, of in figures.items() if any(len(each.query) for each in of.values())
    }


def _distance(pool: MixedPool) -> Values:
    values = np.full(len(pool.several), np.nan)
    values[pool.several] = distances(pool).distance
    return values


RANK_DISTANCE, OWN_TARGET, OTHER_TARGET = "rank distance", "own target", "other target"
FIGURES: dict[str, Callable[[MixedPool], Values]] = {
    RANK_DISTANCE: _distance,
    OWN_TARGET: own_target_removed,
    OTHER_TARGET: other_target_removed,
    **{name: measure.function for name, measure in BIAS_MEASURES.items()},
}


def _constant(name: str, pools: Pools) -> bool:
    """Whether a Complete@k is 0 or 1 whatever the model: k below all R, or the whole pool."""
    if not name.startswith("Complete@"):
        return False
    cutoff = int(name.partition("@")[2])
    relevant = np.concatenate([pool.ranking.relevant[pool.several] for pool in pools.values()])
    size = max(pool.ranking.pool_size for pool in pools.values())
    return not len(relevant) or not relevant.min() <= cutoff < size


def _per_query(
    pool: MixedPool, lucky: MixedPool, function: Callable[[MixedPool], Values]
) -> PerQuery:
    values = function(pool)
    told = ~np.isnan(values)
    optimistic = values if lucky is pool else function(lucky)
    return PerQuery(pool.ranking.query[told], values[told], optimistic[told], int((~told).sum()))
