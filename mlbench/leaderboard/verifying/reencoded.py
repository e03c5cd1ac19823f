"""What vectors of some texts show of a table of ranks: which passages certainly rank where.

A score computed again differs a little from the first one: on another machine, in another batch,
a model rounds otherwise. A passage counts as above another only where no rounding can have
turned the two round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.leaderboard.verifying.betting import Floats, Ints
from mlbench.ranking.products import Dense, Sparse

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tolerance:
    """How far a score computed again may be off: ``share`` of |query| |passage|.

    ``ties`` says whether equal scores are taken to be equal wherever they are computed.
    """

    share: float
    ties: bool = True


TOLERANCES = {
    "float32": Tolerance(1e-5),
    "float16": Tolerance(2e-3),
    "bfloat16": Tolerance(1.5e-2),
}
"""By type of the model's weights; of any other type, COARSE. Measured with all-MiniLM-L6-v2 in
batches of 7 against one of 400: cosines 4e-7, 5e-4 and 3e-3 apart at most."""
COARSE = Tolerance(1.5e-2, ties=False)


@dataclass(frozen=True)
class Claims:
    """What a table says of some queries; int64 arrays, rows grouped by query.

    ``starts`` (queries + 1,) cuts the rows; ``place`` (rows,), ``above`` and ``tied`` (rows,
    languages) are the table's; ``pool`` (languages,) counts all passages.
    """

    starts: Ints
    query_language: Ints
    passage_language: Ints
    place: Ints
    above: Ints
    tied: Ints
    pool: Ints

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.starts) - 1

    def rows(self, query: int) -> slice:
        """Return the rows of a query."""
        return slice(int(self.starts[query]), int(self.starts[query + 1]))

    def others(self) -> Ints:
        """Return how many passages of each language are not relevant to a row's query."""
        query = np.repeat(np.arange(self.queries), np.diff(self.starts))
        own = np.zeros((self.queries, len(self.pool)), np.int64)
        np.add.at(own, (query, self.passage_language), 1)
        others: Ints = (self.pool - own)[query]
        return others


@dataclass(frozen=True)
class Vectors:
    """What was encoded again: float32 (n, d) or CSR, ready for scoring.

    ``passages`` are contiguous by language, cut by ``starts``, at least one of each;
    ``relevant`` (rows,) is the passage of each of the claims' rows, ``drawn`` the drawn passages
    in the order drawn, language after language, cut by ``edges`` (languages + 1,).
    """

    queries: npt.NDArray[np.float32] | csr_matrix
    passages: npt.NDArray[np.float32] | csr_matrix
    starts: Ints
    relevant: Ints
    drawn: Ints
    edges: Ints


class Seen(NamedTuple):
    """What was seen of some rows, (rows, languages) each: passages encoded that are not relevant
    to the query, and those of them certainly above, above or level, and certainly below."""

    encoded: Ints
    above: Ints
    level: Ints
    below: Ints


class QuerySeen(NamedTuple):
    """What was seen of one query.

    ``disorder`` (rows,) marks passages that certainly stand in another order than claimed;
    ``hits`` (2, rows, draws) says whether a drawn passage is above or level, and below.
    """

    disorder: Bools
    seen: Seen
    hits: Bools


def see(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Iterator[QuerySeen]:
    """Score the passages for each query and yield what is certain of them, query by query."""
    dense = isinstance(vectors.queries, np.ndarray)
    scorer = (Dense if dense else Sparse)(vectors.queries, vectors.passages, vectors.starts)
    lengths = [_norms(side) for side in (vectors.queries, vectors.passages)]
    size = vectors.passages.shape[0]
    for query in range(claims.queries):
        rows = claims.rows(query)
        own = vectors.relevant[rows]
        score = scorer.exact(np.full(size, query), np.arange(size))
        reach = tolerance.share * lengths[0][query] * lengths[1]
        others = np.ones(size, bool)
        others[own] = False
        above = (score - reach > (score + reach)[own, None]) & others
        below = (score + reach < (score - reach)[own, None]) & others
        level = above
        if tolerance.ties:
            level = above | ((score == score[own, None]) & others)
        parts = np.broadcast_to(others, above.shape), above, level, below
        yield QuerySeen(
            _disorder(claims.place[rows], score[own], reach[own]),
            Seen(*(np.add.reduceat(part, vectors.starts[:-1], 1, np.int64) for part in parts)),
            np.stack([level, below])[..., vectors.drawn],
        )


def _disorder(place: Ints, score: Floats, reach: Floats) -> Bools:
    """Mark the passages of a query that certainly score higher or lower than claimed beside one
    another; those in equal places must be level."""
    higher = place[:, None] < place
    certainly = (score - reach)[:, None] > score + reach
    wrong = certainly & ~higher
    return np.asarray(wrong.any(0) | wrong.any(1))


def _norms(vectors: npt.NDArray[np.float32] | csr_matrix) -> Floats:
    exact = vectors.astype(np.float64)
    squares = exact**2 if isinstance(exact, np.ndarray) else exact.multiply(exact)
    norms: Floats = np.sqrt(np.asarray(squares.sum(1)).ravel())
    return norms
