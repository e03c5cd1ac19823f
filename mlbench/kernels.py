"""The compiled inner loops of scoring: exact scores, norms, and counting on a tile.

Everything here is numba ``nogil`` code over plain arrays, cached on disk after its first
compilation. The score of a query and a passage is defined by ``dot`` (dense) and
``sparse_dot``: the products of the float32 coordinates, which are exact in float64, added in
one fixed order. Both are used wherever a comparison is decided, so equal vectors tie exactly
and the counts do not depend on the machine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

LANES = 8
BLOCK = 256

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def dot(a: Any, b: Any) -> Any:
    """Return the score of two float32 vectors: their float64 dot product in a fixed order.

    Lane j of eight adds, from the left, the products of the coordinates j, j + 8, j + 16, ...;
    the lanes are then added as ((0+4)+(2+6)) + ((1+5)+(3+7)). A product of two float32 numbers
    is exact in float64, so a fused multiply-add gives the same result.
    """
    size = a.shape[0]
    whole = size - size % LANES
    l0 = l1 = l2 = l3 = l4 = l5 = l6 = l7 = 0.0
    for i in range(0, whole, LANES):
        l0 += np.float64(a[i]) * np.float64(b[i])
        l1 += np.float64(a[i + 1]) * np.float64(b[i + 1])
        l2 += np.float64(a[i + 2]) * np.float64(b[i + 2])
        l3 += np.float64(a[i + 3]) * np.float64(b[i + 3])
        l4 += np.float64(a[i + 4]) * np.float64(b[i + 4])
        l5 += np.float64(a[i + 5]) * np.float64(b[i + 5])
        l6 += np.float64(a[i + 6]) * np.float64(b[i + 6])
        l7 += np.float64(a[i + 7]) * np.float64(b[i + 7])
    rest = np.zeros(LANES)
    for i in range(whole, size):
        rest[i - whole] = np.float64(a[i]) * np.float64(b[i])
    l0 += rest[0]
    l1 += rest[1]
    l2 += rest[2]
    l3 += rest[3]
    l4 += rest[4]
    l5 += rest[5]
    l6 += rest[6]
    return ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))


@_jit
def sparse_dot(a_columns: Any, a_values: Any, b_columns: Any, b_values: Any) -> float:
    """Return the score of two sparse float32 rows: shared columns added in ascending order."""
    total = 0.0
    i = j = 0
    while i < a_columns.shape[0] and j < b_columns.shape[0]:
        if a_columns[i] == b_columns[j]:
            total += np.float64(a_values[i]) * np.float64(b_values[j])
            i += 1
            j += 1
        elif a_columns[i] < b_columns[j]:
            i += 1
        else:
            j += 1
    return total


@_jit
def pair_scores(queries: Any, passages: Any, query: Any, passage: Any) -> Any:
    """Return ``dot(queries[query[k]], passages[passage[k]])`` for every k, float64."""
    out = np.empty(query.shape[0])
    for k in range(query.shape[0]):
        out[k] = dot(queries[query[k]], passages[passage[k]])
    return out


@_jit
def sparse_pair_scores(
    q_starts: Any, q_columns: Any, q_values: Any,
    p_starts: Any, p_columns: Any, p_values: Any,
    query: Any, passage: Any,
) -> Any:  # fmt: skip
    """Return ``sparse_dot`` of row ``query[k]`` and row ``passage[k]`` for every k, float64."""
    out = np.empty(query.shape[0])
    for k in range(query.shape[0]):
        a = slice(q_starts[query[k]], q_starts[query[k] + 1])
        b = slice(p_starts[passage[k]], p_starts[passage[k] + 1])
        out[k] = sparse_dot(q_columns[a], q_values[a], p_columns[b], p_values[b])
    return out


@_jit
def norms(vectors: Any) -> Any:
    """Return the Euclidean norm of each float32 row, float64, in the order of ``dot``."""
    out = np.empty(vectors.shape[0])
    for i in range(vectors.shape[0]):
        out[i] = np.sqrt(dot(vectors[i], vectors[i]))
    return out


@_jit
def count_tile(
    scores: Any, low: Any, high: Any, threshold: Any, rows: Any,
    segments: Any, languages: Any, queries: Any, passages: Any, above: Any, tied: Any,
) -> int:  # fmt: skip
    """Count, for each threshold of each query of a tile, the passages above it and level with it.

    ``scores`` is the fast float32 product (queries x passages of the tile). Query i owns the
    thresholds ``rows[i]:rows[i + 1]``; a fast score below ``low`` is certainly below the exact
    ``threshold``, one above ``high`` certainly above; what lies between is decided by ``dot``.
    ``segments`` (k + 1,) cuts the tile's passages by language, ``languages`` (k,) names them.
    ``above`` and ``tied`` (thresholds, languages) int32 are added to. Returns how many
    scores were recomputed.
    """
    recomputed = 0
    exact = np.empty(BLOCK)
    known = np.zeros(BLOCK, np.bool_)
    for i in range(scores.shape[0]):
        for k in range(languages.shape[0]):
            language = languages[k]
            for start in range(segments[k], segments[k + 1], BLOCK):
                stop = min(start + BLOCK, segments[k + 1])
                block = scores[i, start:stop]
                any_known = False
                for r in range(rows[i], rows[i + 1]):
                    lowest = low[r]
                    highest = high[r]
                    reach = np.int32(0)
                    over = np.int32(0)
                    for p in range(block.shape[0]):
                        reach += np.int32(block[p] >= lowest)
                        over += np.int32(block[p] > highest)
                    above[r, language] += over
                    if reach == over:
                        continue
                    for p in range(block.shape[0]):
                        if block[p] >= lowest and not block[p] > highest:
                            if not known[p]:
                                exact[p] = dot(queries[i], passages[start + p])
                                known[p] = any_known = True
                                recomputed += 1
                            above[r, language] += np.int32(exact[p] > threshold[r])
                            tied[r, language] += np.int32(exact[p] == threshold[r])
                if any_known:
                    known[:] = False
    return recomputed


@_jit
def count_sparse(
    q_starts: Any, q_columns: Any, q_values: Any, threshold: Any, rows: Any,
    t_starts: Any, t_passages: Any, t_values: Any, size: int, language: int,
    above: Any, tied: Any,
) -> None:  # fmt: skip
    """Count as ``count_tile`` does, for sparse rows and the passages of one language.

    The passages come transposed: column c holds the passages ``t_passages[t_starts[c]:...]``
    and their values. Scores are built exactly, column by column in ascending order; passages
    that share no column with the query score 0 and are counted together.
    """
    score = np.zeros(size)
    seen = np.zeros(size, np.bool_)
    touched = np.empty(size, np.int64)
    values = np.empty(size)
    for i in range(rows.shape[0] - 1):
        if rows[i] == rows[i + 1]:
            continue
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
        for k in range(count):
            values[k] = score[touched[k]]
            score[touched[k]] = 0.0
            seen[touched[k]] = False
        for r in range(rows[i], rows[i + 1]):
            over = np.int64(0)
            level = np.int64(0)
            for k in range(count):
                over += np.int64(values[k] > threshold[r])
                level += np.int64(values[k] == threshold[r])
            if threshold[r] < 0.0:
                over += size - count
            elif threshold[r] == 0.0:
                level += size - count
            above[r, language] += np.int32(over)
            tied[r, language] += np.int32(level)


@_jit
def settle(rows: Any, threshold: Any, language: Any, place: Any, above: Any, tied: Any) -> None:
    """Take a query's relevant passages out of its counts and find their places.

    ``rows`` (queries + 1,) cuts the pairs by query; ``threshold`` and ``language`` (pairs,) are
    each relevant passage's exact score and language. ``place`` (pairs,) int32 is filled.
    """
    for i in range(rows.shape[0] - 1):
        for r in range(rows[i], rows[i + 1]):
            place[r] = 1
            for other in range(rows[i], rows[i + 1]):
                if threshold[other] > threshold[r]:
                    above[r, language[other]] -= 1
                    place[r] += 1
                elif threshold[other] == threshold[r]:
                    tied[r, language[other]] -= 1
