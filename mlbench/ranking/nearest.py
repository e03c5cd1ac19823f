"""The best passages of each query among all that were seen so far, in whatever pieces they come.

They are those that ``topk`` finds among all at once: by exact score, descending; of equal scores
those that are not relevant first, then the less relevant, then by id, descending. So the pieces,
their order, the number of threads and the machine make no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
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
        return named(
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


def named(scores: Doubles, relevance: Grades, number: Ints, ids: Sequence[str]) -> Nearest:
    """Return lists with those of the ids alone that are in them."""
    there = scores > -np.inf
    used, place = np.unique(number[there], return_inverse=True)
    kept = np.zeros(number.shape, np.int64)
    kept[there] = place
    relevance = np.where(there, relevance, np.int32(0))
    return Nearest(scores, relevance, kept, tuple(ids[i] for i in used.tolist()))
