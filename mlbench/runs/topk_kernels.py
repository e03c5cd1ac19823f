"""The compiled inner loops of top-k: the best passages of each query, kept in heaps.

A heap holds the best so far of a query in one pool, the worst at its root. Passages are ordered by
exact score, descending, then by ``key``, ascending; keys are distinct, so the order is total.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from mlbench.ranking.kernels import LANES, dot

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def _goes_before(score: Any, key: Any, other_score: Any, other_key: Any) -> Any:
    return score > other_score or (score == other_score and key < other_key)


@_jit
def _sift_down(scores: Any, keys: Any, size: Any, at: Any) -> None:
    """Let the entry at ``at`` sink until no worse one is below it."""
    while True:
        worst = at
        for child in (2 * at + 1, 2 * at + 2):
            if child < size and _goes_before(
                scores[worst], keys[worst], scores[child], keys[child]
            ):
                worst = child
        if worst == at:
            return
        scores[at], scores[worst] = scores[worst], scores[at]
        keys[at], keys[worst] = keys[worst], keys[at]
        at = worst


@_jit
def offer(scores: Any, keys: Any, size: Any, score: Any, key: Any) -> Any:
    """Put a passage into a heap of ``size`` entries where it belongs; return the new size."""
    if size < scores.shape[0]:
        at = size
        scores[at] = score
        keys[at] = key
        while at > 0:
            parent = (at - 1) // 2
            if not _goes_before(scores[parent], keys[parent], scores[at], keys[at]):
                break
            scores[at], scores[parent] = scores[parent], scores[at]
            keys[at], keys[parent] = keys[parent], keys[at]
            at = parent
        return size + 1
    if _goes_before(score, key, scores[0], keys[0]):
        scores[0] = score
        keys[0] = key
        _sift_down(scores, keys, size, 0)
    return size


@_jit
def _key(place: Any, passage: Any, relevant: Any, raised: Any) -> Any:
    """Return a passage's key: its place, raised where it is relevant to the query."""
    for r in range(relevant.shape[0]):
        if relevant[r] == passage:
            return place + raised[r]
    return place


@_jit
def offer_dense(
    fast: Any, bound: Any, queries: Any, passages: Any, first: Any, place: Any,
    starts: Any, relevant: Any, raised: Any, scores: Any, keys: Any, sizes: Any,
) -> None:  # fmt: skip
    """Offer the passages of a tile to the heaps of its queries, (queries, k) each.

    ``fast`` (queries, passages) is the float32 product, no further from the exact score than
    ``bound`` (queries,). Passage j of the tile has number ``first + j`` and place ``place[j]``.
    Query i's relevant passages are ``relevant[starts[i]:starts[i + 1]]``, ascending, and
    ``raised`` is what is added to their places.
    """
    lanes = np.empty(LANES)
    for i in range(fast.shape[0]):
        own = relevant[starts[i] : starts[i + 1]]
        more = raised[starts[i] : starts[i + 1]]
        for j in range(fast.shape[1]):
            if sizes[i] == scores.shape[1] and fast[i, j] < scores[i, 0] - bound[i]:
                continue
            exact = dot(queries[i], passages[j], lanes)
            key = _key(place[j], first + j, own, more)
            sizes[i] = offer(scores[i], keys[i], sizes[i], exact, key)


@_jit
def offer_sparse(
    q_starts: Any, q_columns: Any, q_values: Any, t_starts: Any, t_passages: Any, t_values: Any,
    first: Any, place: Any, by_place: Any, starts: Any, relevant: Any, raised: Any,
    scores: Any, keys: Any, sizes: Any,
) -> None:  # fmt: skip
    """Offer as ``offer_dense`` does, for sparse rows; the passages come transposed.

    ``by_place`` lists the tile's passages in order of place: of those that share no column with
    the query, and score 0, the first are offered until one is refused, then the relevant ones.
    """
    size = place.shape[0]
    score = np.zeros(size)
    seen = np.zeros(size, np.bool_)
    touched = np.empty(size, np.int64)
    for i in range(q_starts.shape[0] - 1):
        own = relevant[starts[i] : starts[i + 1]]
        more = raised[starts[i] : starts[i + 1]]
        count = 0
        for c in range(q_starts[i], q_starts[i + 1]):
            weight = np.float64(q_values[c])
            column = q_columns[c]
            for e in range(t_starts[column], t_starts[column + 1]):
                passage = t_passages[e]
                if not seen[passage]:
                    seen[passage] = True
                    touched[count] = passage
                    count += 1
                score[passage] += weight * np.float64(t_values[e])
        for t in range(count):
            j = touched[t]
            key = _key(place[j], first + j, own, more)
            sizes[i] = offer(scores[i], keys[i], sizes[i], score[j], key)
        for j in by_place:
            if seen[j]:
                continue
            if sizes[i] == scores.shape[1] and not _goes_before(
                0.0, place[j], scores[i, 0], keys[i, 0]
            ):
                break  # whatever follows, relevant ones included, goes after this one
            key = _key(place[j], first + j, own, more)
            sizes[i] = offer(scores[i], keys[i], sizes[i], 0.0, key)
        for t in range(count):
            score[touched[t]] = 0.0
            seen[touched[t]] = False


@_jit
def settle(scores: Any, keys: Any, sizes: Any) -> None:
    """Sort each heap, the best first; entries beyond its size get key -1."""
    for i in range(scores.shape[0]):
        for size in range(sizes[i] - 1, 0, -1):
            scores[i, 0], scores[i, size] = scores[i, size], scores[i, 0]
            keys[i, 0], keys[i, size] = keys[i, size], keys[i, 0]
            _sift_down(scores[i], keys[i], size, 0)
        keys[i, sizes[i] :] = -1


@_jit
def falling(scores: Any, keys: Any, out: Any) -> None:
    """Fill ``out`` float32 with the scores of sorted lists, made to fall strictly.

    A score that as float32 is not below the one before becomes the next smaller number.
    """
    for i in range(scores.shape[0]):
        before = np.float32(np.inf)
        for rank in range(scores.shape[1]):
            if keys[i, rank] < 0:
                break
            score = np.float32(scores[i, rank])
            if not score < before:
                score = np.nextafter(before, np.float32(-np.inf))
            out[i, rank] = score
            before = score
