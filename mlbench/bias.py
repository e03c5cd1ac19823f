"""Language bias, from the table of ranks alone.

Rank distance and the outranking matrix over the full multilingual pool, untruncated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.ranks import Ints, Ranks

Matrix = npt.NDArray[np.float64]


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
    def floor(self) -> npt.NDArray[np.int64]:
        """Least possible distance of each query: k - 1."""
        return self.relevant - 1

    @property
    def expected(self) -> npt.NDArray[np.float64]:
        """Mean distance of k passages in a random order of N: (N + 1)(k - 1) / (k + 1)."""
        return (self.pool_size + 1) * (self.relevant - 1) / (self.relevant + 1)


def rank_distance(ranks: Ranks, query_language: str, *, optimistic: bool = False) -> RankDistance:
    """Return the rank distance of each query of a language (arXiv 2408.10536).

    Over the pool of all languages; lower is less biased, but a weak model scatters all passages
    and a strong one gathers them, so it says nothing without mAP, its floor and its expectation.
    """
    ranking = ranks.ranking(query_language, ranks.languages, optimistic=optimistic)
    several = ranking.relevant >= 2
    first, last = ranking.starts[:-1][several], ranking.starts[1:][several] - 1
    return RankDistance(
        query=ranking.query[several],
        distance=ranking.rank[last] - ranking.rank[first],
        relevant=ranking.relevant[several],
        pool_size=ranking.pool_size,
        excluded=int((~several).sum()),
    )


def outranking_matrix(ranks: Ranks) -> Matrix:
    """Return who outranks: float64 (query languages, passage languages), NaN where nobody does.

    Entry (q, l): of all non-relevant passages that rank above a relevant one for the queries of
    q (ties count), the share that is in l, divided by l's share of the pool's non-relevant
    passages. 1 is unbiased, 2 is twice as often as the language's size explains.
    """
    size = len(ranks.languages)
    row_language = ranks.query_language[ranks.query]
    own = np.bincount(
        ranks.query * size + ranks.passage_language, minlength=len(ranks.query_ids) * size
    ).reshape(-1, size)
    outranking, at_hand = np.zeros((2, size, size), np.int64)
    for language in range(size):
        rows = slice(*np.searchsorted(row_language, [language, language + 1]))
        outranking[language] = ranks.above[rows].sum(0, dtype=np.int64)
        outranking[language] += ranks.tied[rows].sum(0, dtype=np.int64)
        at_hand[language] = (ranks.pool_sizes - own[ranks.query[rows]]).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = outranking / outranking.sum(1, keepdims=True)
        pool_share = at_hand / at_hand.sum(1, keepdims=True)
        matrix: Matrix = share / pool_share
    return matrix
