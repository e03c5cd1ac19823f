"""The best passages of each query among all that were seen so far, in whatever pieces they come.

They are those that ``topk`` finds among all at once: by exact score, descending; of equal scores
those that are not relevant first, then the less relevant, then by id, descending. So the pieces,
their order, the number of threads and the machine make no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.ranking.products import Ints, Limits, Pairs
from mlbench.ranking.topk import Best, Doubles, Searched, query_rows, search
from mlbench.ranking.vectors import Vectors

Grades = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Nearest:
    """Lists (queries, k) of passages of one language, the best first.

    ``scores`` are float64, -inf where there are no more; ``relevance`` int32 is 0 for those that
    are not judged relevant; ``number`` int64 is the place of each among ``ids``.
    """

    scores: Doubles
    relevance: Grades
    number: Ints
    ids: tuple[str, ...]

    @classmethod
    def nothing(cls, queries: int, depth: int) -> Nearest:
        """Return lists of ``depth`` places with no passage in them."""
        shape = (queries, depth)
        empty = np.zeros(shape, np.int32), np.zeros(shape, np.int64)
        return cls(np.full(shape, -np.inf), *empty, ())

    def and_also(self, other: Nearest) -> Nearest:
        """Return the best of both, in lists as long as these; no passage may be in both."""
        if not len(other.ids):
            return self
        depth, ids = self.scores.shape[1], (*self.ids, *other.ids)
        scores: Doubles = np.concatenate([self.scores, other.scores], axis=1)
        relevance: Grades = np.concatenate([self.relevance, other.relevance], axis=1)
        later = other.number + len(self.ids)
        number: Ints = np.concatenate([self.number, later], axis=1)
        order = np.lexsort((relevance, -scores), axis=-1)
        falling, grades = (
            np.take_along_axis(scores, order, 1),
            np.take_along_axis(relevance, order, 1),
        )
        tied = (falling[:, 1:] == falling[:, :-1]) & (grades[:, 1:] == grades[:, :-1])
        tied &= falling[:, 1:] > -np.inf
        for row in np.flatnonzero(tied.any(axis=1)).tolist():
            order[row] = _in_order(scores[row], relevance[row], number[row].tolist(), ids)
        best = order[:, :depth]
        return _named(
            np.take_along_axis(scores, best, 1),
            np.take_along_axis(relevance, best, 1),
            np.take_along_axis(number, best, 1),
            ids,
        )


def _in_order(
    scores: Doubles, relevance: Grades, number: Sequence[int], ids: Sequence[str]
) -> Ints:
    """Return the order of a list in which ids decide."""
    by_id = sorted(range(len(scores)), key=lambda i: ids[number[i]], reverse=True)
    return np.array(sorted(by_id, key=lambda i: (-scores[i], relevance[i])), np.int64)


def _named(scores: Doubles, relevance: Grades, number: Ints, ids: Sequence[str]) -> Nearest:
    """Return lists with those of the ids alone that are in them."""
    there = scores > -np.inf
    used, place = np.unique(number[there], return_inverse=True)
    kept = np.zeros(number.shape, np.int64)
    kept[there] = place
    relevance = np.where(there, relevance, np.int32(0))
    return Nearest(scores, relevance, kept, tuple(ids[i] for i in used.tolist()))


def nearest_of(
    queries: Vectors,
    passages: Vectors,
    ids: Sequence[str],
    relevant: tuple[Pairs, Grades],
    best: Nearest,
    limits: Limits,
) -> Nearest:
    """Return the best passages of a piece that may be among the best of all.

    Those that score below the last one of ``best``, the lists so far, may be left out. ``relevant``
    are the pairs (query, row of ``passages``) that are judged relevant, sorted by query, and their
    relevance.
    """
    from threadpoolctl import threadpool_limits

    depth, size = best.scores.shape[1], len(ids)
    order = sorted(range(size), key=ids.__getitem__, reverse=True)
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    starts = np.array([0, size], np.int64)
    (pairs, relevance) = relevant
    searched = Searched(queries, passages, starts, place, pairs.query, pairs.passage, relevance)
    step, count = query_rows(searched, depth, limits), queries.shape[0]
    blocks = [slice(at, min(at + step, count)) for at in range(0, count, step)]

    def work(rows: slice) -> Best:
        return search(searched, rows, 0, depth, best.scores[rows, -1:])

    scores = np.full((count, depth), -np.inf)
    keys = np.zeros((count, depth), np.int64)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(limits.threads) as pool:
        for rows, found in zip(blocks, pool.map(work, blocks), strict=True):
            width = found.scores.shape[1]
            scores[rows, :width], keys[rows, :width] = found
    grades, number = np.divmod(keys, max(size, 1))
    return _named(scores, grades.astype(np.int32), searched.by_place[number], ids)
