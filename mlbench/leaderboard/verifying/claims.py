"""What a table claims of some queries, and what scores computed again say of it, query by query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.ranking.counting import scorer_of
from mlbench.ranking.vectors import TokenVectors
from mlbench.ranking.vectors import Vectors as AnyVectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
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
    "float16": Tolerance(1e-3),
    "bfloat16": Tolerance(4e-3),
}
"""By type of the model's weights; of any other type, COARSE. Measured with all-MiniLM-L6-v2 in
batches of 7 against one of 400: cosines 4e-7, 5e-4 and 3e-3 apart at most."""
COARSE = Tolerance(1.5e-2, ties=False)


@dataclass(frozen=True)
class Populations:
    """What passages are drawn from: those of each language or, of a task of pairs, those of each
    pair in each of its two languages, language after language. int64 arrays (populations,).

    ``size`` counts their passages, ``language`` is the passages' language, and ``asked`` the one
    language whose queries are searched in them, None where those of all languages are.
    """

    size: Ints
    language: Ints
    asked: Ints | None = None

    def __len__(self) -> int:
        return len(self.size)

    @classmethod
    def of_languages(cls, sizes: Ints) -> Populations:
        """Return those of languages with so many passages, in which every query is searched."""
        return cls(sizes, np.arange(len(sizes)))


@dataclass(frozen=True)
class Claims:
    """What a table says of some queries; int64 arrays, rows grouped by query.

    ``starts`` (queries + 1,) cuts the rows; ``place`` (rows,), ``above`` and ``tied`` (rows,
    languages) are the table's; ``searched`` (queries,) is the one of the ``populations`` that each
    query is searched in, and ``spans`` (queries, 2) the first of those and the one after the last,
    where texts search images and images texts; both are None where it is all of them.
    """

    starts: Ints
    query_language: Ints
    passage_language: Ints
    place: Ints
    above: Ints
    tied: Ints
    populations: Populations
    searched: Ints | None = None
    spans: Ints | None = None

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.starts) - 1

    @property
    def languages(self) -> int:
        """Number of languages."""
        return int(self.above.shape[1])

    def rows(self, query: int) -> slice:
        """Return the rows of a query."""
        return slice(int(self.starts[query]), int(self.starts[query + 1]))

    def where(self, query: int) -> slice:
        """Return the populations that a query is searched in, which follow one another."""
        if self.spans is not None:
            return slice(*self.spans[query].tolist())
        if self.searched is None:
            return slice(0, len(self.populations))
        return slice(int(self.searched[query]), int(self.searched[query]) + 1)

    def sizes(self, query: int) -> Ints:
        """Return how many passages of each language a query is searched in: (languages,)."""
        where = self.where(query)
        sizes = np.zeros(self.languages, np.int64)
        sizes[self.populations.language[where]] = self.populations.size[where]
        return sizes

    def others(self) -> Ints:
        """Return how many passages of each language are not relevant to a row's query."""
        query = np.repeat(np.arange(self.queries), np.diff(self.starts))
        left = np.array([self.sizes(number) for number in range(self.queries)])
        np.subtract.at(left, (query, self.passage_language), 1)
        others: Ints = left[query]
        return others


@dataclass(frozen=True)
class Vectors:
    """What was encoded again, ready for scoring.

    ``passages`` are contiguous by population, cut by ``starts`` (populations + 1,);
    ``relevant`` (rows,) is the passage of each of the claims' rows, ``drawn`` the drawn passages
    in the order drawn, population after population, cut by ``edges`` (populations + 1,).
    """

    queries: AnyVectors
    passages: AnyVectors
    starts: Ints
    relevant: Ints
    drawn: Ints
    edges: Ints

    def draws(self, where: slice) -> slice:
        """Return the draws of some populations."""
        return slice(int(self.edges[where.start]), int(self.edges[where.stop]))


class Seen(NamedTuple):
    """What was seen of some rows, (rows, languages) each: passages encoded that are not relevant
    to the query, and those of them certainly above, above or level, and certainly below."""

    encoded: Ints
    above: Ints
    level: Ints
    below: Ints


class QuerySeen(NamedTuple):
    """What was seen of one query, and of the draws of the populations that it is searched in.

    ``disorder`` (rows,) marks passages that certainly stand in another order than claimed;
    ``hits`` (2, rows, draws) says whether a drawn passage is certainly above or level, and below;
    ``plain`` the same as it was encoded now, without room for rounding; ``close`` (rows, draws)
    which are too close to call.
    """

    disorder: Bools
    seen: Seen
    hits: Bools
    plain: Bools
    close: Bools


def see(claims: Claims, vectors: Vectors, tolerance: Tolerance) -> Iterator[QuerySeen]:
    """Score the passages for each query and yield what is certain of them, query by query."""
    scorer = scorer_of(vectors.queries, vectors.passages, vectors.starts)
    lengths = _norms(vectors.queries, np.add), _norms(vectors.passages, np.maximum)
    for query in range(claims.queries):
        rows, where = claims.rows(query), claims.where(query)
        starts = vectors.starts[where.start : where.stop + 1]
        searched = np.arange(starts[0], starts[-1])
        own = vectors.relevant[rows] - starts[0]
        score = scorer.exact(np.full(len(searched), query), searched)
        reach = tolerance.share * lengths[0][query] * lengths[1][searched]
        others = np.ones(len(searched), bool)
        others[own] = False
        above = (score - reach > (score + reach)[own, None]) & others
        below = (score + reach < (score - reach)[own, None]) & others
        higher, lower = (score > score[own, None]) & others, (score < score[own, None]) & others
        equal = others & ~higher & ~lower & tolerance.ties
        level = above | equal
        parts = np.broadcast_to(others, above.shape), above, level, below
        drawn = vectors.drawn[vectors.draws(where)] - starts[0]
        columns = claims.populations.language[where]
        counts = (_by_population(part, starts - starts[0]) for part in parts)
        yield QuerySeen(
            _disorder(claims.place[rows], score[own], reach[own]),
            Seen(*(_in_columns(count, columns, claims.languages) for count in counts)),
            np.stack([level, below])[..., drawn],
            np.stack([higher | equal, lower])[..., drawn],
            (others & ~level & ~below)[..., drawn],
        )


def _by_population(found: Bools, starts: Ints) -> Ints:
    """Count what is marked of the passages of each population: (rows, passages) -> (rows,
    populations). One without passages has none.
    """
    counts = np.zeros((len(found), len(starts) - 1), np.int64)
    there = np.flatnonzero(np.diff(starts))
    counts[:, there] = np.add.reduceat(found, starts[there], 1, np.int64)
    return counts


def _in_columns(counts: Ints, columns: Ints, size: int) -> Ints:
    """Put the counts of populations (rows, populations) into the columns of their languages."""
    table = np.zeros((len(counts), size), np.int64)
    table[:, columns] = counts
    return table


def _disorder(place: Ints, score: Floats, reach: Floats) -> Bools:
    """Mark the passages of a query that certainly score higher or lower than claimed beside one
    another; those in equal places must be level."""
    higher = place[:, None] < place
    certainly = (score - reach)[:, None] > score + reach
    wrong = certainly & ~higher
    return np.asarray(wrong.any(0) | wrong.any(1))


def _norms(vectors: AnyVectors, over_tokens: np.ufunc) -> Floats:
    """Return what times the other side's bounds a score: norms, of tokens added or the largest."""
    if isinstance(vectors, TokenVectors):
        norms = _norms(vectors.vectors, over_tokens)
        return np.asarray(over_tokens.reduceat(norms, vectors.starts[:-1]))
    exact = vectors.astype(np.float64)
    squares = exact**2 if isinstance(exact, np.ndarray) else exact.multiply(exact)
    return np.asarray(np.sqrt(np.asarray(squares.sum(1)).ravel()))
