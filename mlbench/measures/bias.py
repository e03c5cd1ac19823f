"""Language bias, from the table of ranks alone, over the full multilingual pool, untruncated.

A measure of bias takes a ``MixedPool`` (n queries of one language) and returns one float64 value a
query, shape (n,), NaN for a query that it says nothing about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ints, Ranking, Ranks


Values = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

CUTOFFS = (10, 20, 100, 1000)
"""The k of Complete@k and of recall by passage language."""


@dataclass(frozen=True)
class MixedPool:
    """The ranks of the relevant passages of one query language in the pool of all languages, for
    images of all texts."""

    ranking: Ranking
    asked: int
    """The query language, as a column of the table."""
    language: Ints
    """(m,) the language of each row's passage, as a column."""
    languages: int

    @classmethod
    def of(cls, ranks: Ranks, query_language: str, *, optimistic: bool = False) -> MixedPool:
        """Return the mixed pool of a query language; ``optimistic`` counts ties for the model."""
        pool = ranks.roles.pool_of(query_language) if ranks.roles.between_modalities else None
        ranking = ranks.ranking(query_language, pool or ranks.languages, optimistic=optimistic)
        return cls(
            ranking=ranking,
            asked=ranks.languages.index(query_language),
            language=ranks.passage_language[ranking.row].astype(np.int64),
            languages=len(ranks.languages),
        )

    @cached_property
    def last(self) -> Ints:
        """(n,) the rank of each query's lowest relevant passage."""
        return self.ranking.rank[self.ranking.starts[1:] - 1]

    @cached_property
    def changes(self) -> Matrix:
        """(n, languages) what each query loses with its target in a language: target_removed."""
        return target_removed(self)

    @cached_property
    def several(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a query has two relevant passages or more."""
        return self.ranking.relevant >= 2


@dataclass(frozen=True)
class RankDistance:
    """The spread of the relevant passages of each query of one language.

    ``query`` (n,) indexes ``Ranks.query_ids``; ``distance`` (n,) is the highest minus the lowest
    rank; ``relevant`` (n,) the number of relevant passages k; ``excluded`` the queries that have
    fewer than two.
    """

    query: Ints
    distance: Ints
    relevant: Ints
    pool_size: int
    excluded: int

    @property
    def floor(self) -> Ints:
        """Least possible distance of each query: k - 1."""
        return self.relevant - 1

    @property
    def expected(self) -> Values:
        """Mean distance of k passages in a random order of N: (N + 1)(k - 1) / (k + 1)."""
        return (self.pool_size + 1) * (self.relevant - 1) / (self.relevant + 1)


def rank_distance(ranks: Ranks, query_language: str, *, optimistic: bool = False) -> RankDistance:
    """Return the rank distance of each query of a language (arXiv 2408.10536).

    Lower is less biased, but a weak model scatters all passages and a strong one gathers them,
    so it says nothing without mAP, its floor and its expectation.
    """
    return distances(MixedPool.of(ranks, query_language, optimistic=optimistic))


def distances(pool: MixedPool) -> RankDistance:
    """Return the rank distance of each query of a mixed pool that has two relevant passages."""
    ranking, several = pool.ranking, pool.several
    first = ranking.rank[ranking.starts[:-1]]
    return RankDistance(
        query=ranking.query[several],
        distance=(pool.last - first)[several],
        relevant=ranking.relevant[several],
        pool_size=ranking.pool_size,
        excluded=int((~several).sum()),
    )


def max_rank(pool: MixedPool) -> Values:
    """How near the lowest relevant passage is to the top: 100 at rank k, 0 at rank N, in logs.

    100 (log2 N - log2 rank) / (log2 N - log2 k) for k >= 2 relevant of N passages: the
    normalised Max@R of arXiv 2604.05684. Higher is better.
    """
    size, relevant = pool.ranking.pool_size, pool.ranking.relevant
    values = np.full(len(relevant), np.nan)
    counts = pool.several & (relevant < size)
    top = math.log2(size)
    values[counts] = 100 * (top - _log2(pool.last[counts])) / (top - _log2(relevant[counts]))
    return values


def _log2(numbers: Ints) -> Values:
    """Return log2 as the C library gives it, the same on every machine."""
    distinct, which = np.unique(numbers, return_inverse=True)
    return np.array([math.log2(number) for number in distinct.tolist()])[which]


def complete(pool: MixedPool, cutoff: int) -> Values:
    """1 where all of a query's two or more relevant passages are within the cutoff, else 0."""
    return np.where(pool.several, pool.last <= cutoff, np.nan)


def equal_expected_rank(pool: MixedPool) -> Values:
    """PEER: how probable the ranks are if relevant passages rank alike in every language.

    For each query and grade, the p value of the Kruskal-Wallis statistic over the ranks in the
    pool, grouped by passage language; the mean over the query's grades, whose weights are equal.
    Says nothing where no language has two passages of a grade that several languages have: p is
    constant there. From 0 to 1, higher is fairer (Yang et al., SIGIR 2024, arXiv 2405.00978, as
    in the authors' peer_measure 0.0.1, without a cutoff and with no weight on grade 0).
    """
    ranking = pool.ranking
    rank, size = ranking.rank.astype(np.float64), len(ranking.query)
    pair = ranking.owner * (1 + int(ranking.grade.max(initial=0))) + ranking.grade
    _, first, unit = np.unique(pair, return_index=True, return_inverse=True)
    owner, units = ranking.owner[first], len(first)
    cell = unit * pool.languages + pool.language
    members = np.bincount(cell, minlength=units * pool.languages)
    present = np.flatnonzero(members)
    of = present // pool.languages
    counts, groups = np.bincount(unit), np.bincount(of, minlength=units)
    compared = groups >= 2
    varies = np.bincount(owner, compared & (counts > groups), size) > 0
    if not varies.any():
        return np.full(size, np.nan)
    from scipy.special import chdtrc

    centre = np.bincount(unit, rank) / counts
    spread = np.bincount(unit, (rank - centre[unit]) ** 2)
    totals = np.bincount(cell, rank, len(members))
    between = members[present] * (totals[present] / members[present] - centre[of]) ** 2
    statistic = np.divide(
        (counts - 1) * np.bincount(of, between, units), spread,
        out=np.zeros(units), where=spread > 0,
    )  # fmt: skip
    p = np.where(compared, chdtrc(np.maximum(groups - 1, 1), statistic), 1.0)
    mean = np.bincount(owner, p, size) / np.bincount(owner, minlength=size)
    return np.where(varies, mean, np.nan)


def target_removed(pool: MixedPool) -> Matrix:
    """What a query loses with its target in each language: float64 (n, languages).

    Entry (q, l) is AP without the passages in l that are relevant to q minus AP with them. They
    leave the pool and the judgements of q; all other passages stay, so a rank falls by one for
    each of them above it. NaN where q has no relevant passage in l, or in no other language.
    After the experiments of LAReQA (arXiv 2004.05484). 0 is no loss.
    """
    ranking = pool.ranking
    change = np.full((len(ranking.query), pool.languages), np.nan)
    before = ranking.sum(ranking.position / ranking.rank) / ranking.relevant
    for language in range(pool.languages):
        gone = pool.language == language
        running = np.cumsum(gone)
        above = running - (running - gone)[ranking.starts[:-1]][ranking.owner]
        removed = ranking.sum(gone).astype(np.int64)
        left = ranking.relevant - removed
        hits = np.where(gone, 0, ranking.position - above) / np.where(gone, 1, ranking.rank - above)
        told = (removed > 0) & (left > 0)
        change[told, language] = ranking.sum(hits)[told] / left[told] - before[told]
    return change


def own_target_removed(pool: MixedPool) -> Values:
    """Change in AP without the target in the query's language, where there is another's too."""
    others = np.delete(pool.changes, pool.asked, axis=1)
    return np.where(np.isnan(others).all(1), np.nan, pool.changes[:, pool.asked])


def other_target_removed(pool: MixedPool) -> Values:
    """Change in AP without another language's target, the mean over those of a query.

    NaN where ``own_target_removed`` is, so that the two are over the same queries.
    """
    others = np.delete(pool.changes, pool.asked, axis=1)
    present = ~np.isnan(others)
    told = present.any(1) & ~np.isnan(pool.changes[:, pool.asked])
    total = np.where(present, others, 0).sum(1)
    mean: Values = np.divide(total, present.sum(1), out=np.full(len(told), np.nan), where=told)
    return mean


def recall_by_language(pool: MixedPool, cutoff: int) -> Values:
    """Share of the relevant passages in each language within the cutoff; NaN where none is.

    Shape (languages,), over all queries of the pool's query language.
    """
    found = np.bincount(pool.language, pool.ranking.rank <= cutoff, pool.languages)
    count = np.bincount(pool.language, minlength=pool.languages)
    share: Values = np.divide(found, count, out=np.full(pool.languages, np.nan), where=count > 0)
    return share


@dataclass(frozen=True)
class BiasMeasure:
    """A measure of bias, which direction is ``better``, "higher" or "lower", and its source."""

    function: Callable[[MixedPool], Values]
    better: str
    citation: str = ""


BIAS_MEASURES = {
    "Max@R": BiasMeasure(max_rank, "higher", "arXiv 2604.05684"),
    **{f"Complete@{k}": BiasMeasure(partial(complete, cutoff=k), "higher") for k in CUTOFFS},
    "PEER": BiasMeasure(equal_expected_rank, "higher", "Yang et al., 2024, arXiv 2405.00978"),
}


@dataclass(frozen=True)
class PerQuery:
    """A measure of those of one language's queries that it says something about, (n,) each.

    ``optimistic`` has ties counted for the model; ``excluded`` counts the other queries.
    """

    query: Ints
    values: Values
    optimistic: Values
    excluded: int


Pools = Mapping[str, MixedPool]
BiasValues = dict[str, dict[str, PerQuery]]
"""Name of a measure -> query language -> its values."""


def mixed_pools(ranks: Ranks) -> dict[str, MixedPool]:
    """Return the mixed pool of each query language; none where no passages are mixed."""
    return {language: MixedPool.of(ranks, language) for language in ranks.roles.mixing}


def bias_values(ranks: Ranks, pools: Pools) -> BiasValues:
    """Return every measure that can vary in this task, for each query: what intervals need."""
    if not pools:
        return {}
    optimistic = pools
    if ranks.ambiguous:
        optimistic = {code: MixedPool.of(ranks, code, optimistic=True) for code in pools}
    values = {
        name: {code: _per_query(pool, optimistic[code], function) for code, pool in pools.items()}
        for name, function in FUNCTIONS.items()
        if not _constant(name, pools)
    }
    return {name: of for name, of in values.items() if any(len(each.query) for each in of.values())}


def _distance(pool: MixedPool) -> Values:
    values = np.full(len(pool.several), np.nan)
    values[pool.several] = distances(pool).distance
    return values


RANK_DISTANCE, OWN_TARGET, OTHER_TARGET = "rank distance", "own target", "other target"
FUNCTIONS: dict[str, Callable[[MixedPool], Values]] = {
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
    pool: MixedPool, optimistic: MixedPool, function: Callable[[MixedPool], Values]
) -> PerQuery:
    values = function(pool)
    told = ~np.isnan(values)
    for_the_model = values if optimistic is pool else function(optimistic)
    return PerQuery(pool.ranking.query[told], values[told], for_the_model[told], int((~told).sum()))
