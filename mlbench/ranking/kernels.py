"""The compiled inner loops: exact scores, norms, places, counting sparse rows, ranks by pool.

Everything here is numba ``nogil`` code over plain arrays, cached on disk after its first
compilation. The score of a query and a passage is defined by ``dot`` (dense) and
``sparse_dot``: the products of the float32 coordinates, which are exact in float64, added in
one fixed order. Both are used wherever a comparison is decided, so equal vectors tie exactly
and the counts do not depend on the machine.
"""

from __future__ import annotations

import errno
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

LANES = 32
CACHE_LINE = 16
AHEAD = 4
"""So many vectors are on their way from memory; they lie far apart, and to wait for each would
take longer than to multiply it."""


def check_cache() -> None:
    """Raise OSError where compiled code can be kept nowhere; see ``common.user_folders``."""
    try:
        numba.njit(cache=True)(check_cache)
    except RuntimeError:
        found = "no folder for compiled code can be written; name one in TMPDIR or NUMBA_CACHE_DIR"
        raise OSError(errno.EROFS, found) from None


check_cache()
jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_jit_fused = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_jit_any_order = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})


def _sum_lanes(a: Any, b: Any, whole: Any, lanes: Any) -> None:
    """Set lane j to the sum of a[i] b[i] over i = j, j + 32, ... below ``whole``."""
    lanes[:] = 0.0
    for i in range(whole):
        lanes[i % LANES] += np.float64(a[i]) * np.float64(b[i])


def _in_registers(context: Any, a: Any, b: Any, whole: Any, lanes: Any) -> Any:
    """Do so with a vector of 32 doubles; the sums of a loop the compiler keeps in memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floats, doubles = (ir.VectorType(kind, LANES) for kind in (ir.FloatType(), ir.DoubleType()))
        data = {
            k: context.make_array(signature.args[k])(context, builder, args[k]).data
            for k in (0, 1, 3)
        }

        def load(vector: Any, i: Any) -> Any:
            at = builder.bitcast(builder.gep(data[vector], [i]), floats.as_pointer())
            return builder.fpext(builder.load(at, align=4), doubles)

        nothing = ir.Constant(doubles, [0.0] * LANES)
        total = cgutils.alloca_once_value(builder, nothing)  # type: ignore[no-untyped-call]
        begin, step = (ir.Constant(args[2].type, value) for value in (0, LANES))
        with cgutils.for_range_slice(builder, begin, args[2], step) as (i, _):
            product = builder.fmul(load(0, i), load(1, i), flags=["contract"])
            added = builder.fadd(builder.load(total), product, flags=["contract"])
            builder.store(added, total)
        at = builder.bitcast(data[3], doubles.as_pointer())
        builder.store(builder.load(total), at, align=8)
        return context.get_dummy_value()

    return numba.types.void(a, b, whole, lanes), generate


_sum_in_registers: Any = intrinsic(_in_registers)


@overload(_sum_lanes, strict=False)
def _way_to_sum(a: Any, b: Any, whole: Any, lanes: Any) -> Any:
    if all(vector.layout == "C" and vector.dtype == numba.float32 for vector in (a, b)):
        return lambda a, b, whole, lanes: _sum_in_registers(a, b, whole, lanes)  # noqa: PLW0108
    return _sum_lanes


@_jit_fused
def dot(a: Any, b: Any, lanes: Any) -> Any:
    """Return the score of two float32 vectors: their float64 dot product in a fixed order.

    Lane j of 32 adds, from the left, the products of the coordinates j, j + 32, j + 64, ...;
    then the upper half of the lanes is added to the lower, and again, until one is left. A
    product of two float32 numbers is exact in float64, so a fused multiply-add gives the same.
    ``lanes`` is float64 scratch of shape (32,).
    """
    size = a.shape[0]
    whole = size - size % LANES
    _sum_lanes(a, b, whole, lanes)
    for i in range(whole, size):
        lanes[i - whole] += np.float64(a[i]) * np.float64(b[i])
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return lanes[0]


def _prefetch(context: Any, vector: Any, i: Any) -> Any:
    """Ask for the memory of ``vector[i]``, which is then there sooner; changes no value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [place], kind)
        to_read_and_keep = [ir.Constant(number, value) for value in (0, 3, 1)]
        builder.call(ask, [builder.bitcast(builder.gep(data, [args[1]]), place), *to_read_and_keep])
        return context.get_dummy_value()

    return numba.types.void(vector, i), generate


_prefetch_one: Any = intrinsic(_prefetch)


@jit
def expect(vector: Any) -> None:
    """Have a float32 vector on its way from memory while others are worked on."""
    for i in range(0, vector.shape[0], CACHE_LINE):
        _prefetch_one(vector, i)


@jit
def maxsim(queries: Any, i: Any, passages: Any, j: Any, lanes: Any) -> Any:
    """Return the score of two texts of several vectors each: ``dot`` of every token of query i with
    its best one of passage j, added in the order of the query's tokens.

    ``queries`` and ``passages`` are pairs of what ``TokenVectors`` holds, vectors and starts.
    """
    (asked, asked_starts), (vectors, starts) = queries, passages
    total = 0.0
    for a in range(asked_starts[i], asked_starts[i + 1]):
        best = -np.inf
        for b in range(starts[j], starts[j + 1]):
            best = max(best, dot(asked[a], vectors[b], lanes))
        total += best
    return total


def score(queries: Any, i: Any, passages: Any, j: Any, lanes: Any) -> Any:
    """Return the exact score of query i and passage j: ``maxsim`` of pairs, ``dot`` of rows."""
    raise NotImplementedError("compiled code only")


@overload(score, strict=False)
def _way_to_score(queries: Any, i: Any, passages: Any, j: Any, lanes: Any) -> Any:
    if isinstance(queries, numba.types.BaseTuple):
        return lambda queries, i, passages, j, lanes: maxsim(  # noqa: PLW0108
            queries, i, passages, j, lanes
        )
    return lambda queries, i, passages, j, lanes: dot(queries[i], passages[j], lanes)


def expect_passage(passages: Any, j: Any) -> None:
    """Have the vectors of passage j on their way from memory; of pairs the first."""
    raise NotImplementedError("compiled code only")


@overload(expect_passage, strict=False)
def _way_to_expect(passages: Any, j: Any) -> Any:
    if isinstance(passages, numba.types.BaseTuple):
        return lambda passages, j: expect(passages[0][passages[1][j]])
    return lambda passages, j: expect(passages[j])


@jit
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


@jit
def pair_scores(queries: Any, passages: Any, query: Any, passage: Any) -> Any:
    """Return the ``score`` of query ``query[k]`` and passage ``passage[k]``, every k, float64."""
    out = np.empty(query.shape[0])
    lanes = np.empty(LANES)
    for k in range(query.shape[0]):
        if k + AHEAD < query.shape[0]:
            expect_passage(passages, passage[k + AHEAD])
        out[k] = score(queries, query[k], passages, passage[k], lanes)
    return out


@jit
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


@jit
def norms(vectors: Any) -> Any:
    """Return the Euclidean norm of each float32 row, float64, in the order of ``dot``."""
    out = np.empty(vectors.shape[0])
    lanes = np.empty(LANES)
    for i in range(vectors.shape[0]):
        out[i] = np.sqrt(dot(vectors[i], vectors[i], lanes))
    return out


@_jit_any_order
def largest_square(vectors: Any) -> Any:
    """Return the largest sum of squares of a row, float32, added in any order."""
    largest = np.float32(0)
    for i in range(vectors.shape[0]):
        total = np.float32(0)
        for j in range(vectors.shape[1]):
            total += vectors[i, j] * vectors[i, j]
        largest = max(largest, total)
    return largest


@jit
def largest_whole(vectors: Any) -> Any:
    """Return the largest magnitude of the coordinates, infinity where one is no whole number."""
    largest = np.float32(0)
    for i in range(vectors.shape[0]):
        for k in range(vectors.shape[1]):
            if vectors[i, k] != np.rint(vectors[i, k]):
                return np.inf
            largest = max(largest, abs(vectors[i, k]))
    return np.float64(largest)


@jit
def count_sparse(
    q_starts: Any, q_columns: Any, q_values: Any, threshold: Any, rows: Any, relevant: Any,
    t_starts: Any, t_passages: Any, t_values: Any, size: int,
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
        own = 0
        for r in range(rows[i], rows[i + 1]):
            if 0 <= relevant[r] < size:
                own += 1
                if seen[relevant[r]]:
                    score[relevant[r]] = np.nan
                    own -= 1
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
                over += size - count - own
            elif threshold[r] == 0.0:
                level += size - count - own
            above[r, 0] += np.int32(over)
            tied[r, 0] += np.int32(level)


@jit
def places(rows: Any, threshold: Any, place: Any) -> None:
    """Fill ``place`` int32: 1 + the number of the query's relevant passages that score higher.

    ``rows`` (queries + 1,) cuts the pairs by query; ``threshold`` holds their exact scores.
    """
    for i in range(rows.shape[0] - 1):
        for r in range(rows[i], rows[i + 1]):
            place[r] = 1
            for other in range(rows[i], rows[i + 1]):
                place[r] += np.int32(threshold[other] > threshold[r])


@jit
def row_order(starts: Any, queries: Any, place: Any, relevance: Any, passage: Any) -> Any:
    """Return the rows of ``queries``, one query after the other, int64.

    A query's rows ``starts[q]:starts[q + 1]`` ascend by place, then relevance, then passage; a
    query has few relevant passages, so they are inserted one by one.
    """
    order = np.empty(place.shape[0], np.int64)
    end = 0
    for q in queries:
        first = end
        for row in range(starts[q], starts[q + 1]):
            k = end
            while k > first:
                other = order[k - 1]
                later = place[other] - place[row]
                if later == 0:
                    later = relevance[other] - relevance[row]
                if later == 0:
                    later = passage[other] - passage[row]
                if later <= 0:
                    break
                order[k] = other
                k -= 1
            order[k] = row
            end += 1
    return order


@jit
def choose_rows(table: Any, rows: Any, chosen: Any) -> None:
    """Set ``chosen`` to some rows of ``table``, which may be in column order."""
    for i in range(rows.shape[0]):
        for column in range(table.shape[1]):
            chosen[i, column] = table[rows[i], column]


@jit
def add_counts(counts: Any, rows: Any, columns: Any, sums: Any) -> None:
    """Add to ``sums`` (m,) int64 the chosen columns of ``counts`` in each of ``rows`` (m,)."""
    for i in range(rows.shape[0]):
        for column in columns:
            sums[i] += counts[rows[i], column]


@jit
def sum_runs(values: Any, cuts: Any) -> Any:
    """Return the sum of ``values[cuts[k]:cuts[k + 1]]`` for each k, float64.

    One number after the other, so that the sums are the same on every machine.
    """
    sums = np.zeros(cuts.shape[0] - 1)
    for k in range(sums.shape[0]):
        for i in range(cuts[k], cuts[k + 1]):
            sums[k] += values[i]
    return sums


@jit
def sum_over_pools(starts: Any, language: Any, counts: Any, members: Any) -> Any:
    """Return AP, rank distance, floor, share and the queries of each, summed: (6, pools).

    ``starts`` (n + 1,) int64 rows of each query in order of rank; ``language`` (rows,) int64 of
    the passages; ``counts`` (rows, L) int32 passages that rank above, by language; ``members``
    (L, pools) int32, 1 where a language is in. Sums over the queries: 0 AP, 1 queries with a
    relevant passage, 2 rank distance, 3 its floor k - 1, 4 (k - 1) / (k + 1), 5 queries with two
    relevant passages. All pools are taken at once, without branches, which the processor does
    several at a time.
    """
    width, size = members.shape
    sums = np.zeros((6, size))
    rank, found = np.empty(size, np.int32), np.empty(size, np.int32)
    first, last = np.empty(size, np.int32), np.empty(size, np.int32)
    precision = np.empty(size)
    for query in range(len(starts) - 1):
        found[:] = first[:] = last[:] = 0
        precision[:] = 0
        for row in range(starts[query], starts[query + 1]):
            inside = members[language[row]]
            for pool in range(size):
                found[pool] += inside[pool]
                rank[pool] = found[pool]
            for column in range(width):
                count = counts[row, column]
                if count:
                    member = members[column]
                    for pool in range(size):
                        rank[pool] += count * member[pool]
            for pool in range(size):
                share = np.float64(inside[pool] * found[pool]) / np.float64(max(rank[pool], 1))
                precision[pool] += share
            for pool in range(size):
                first[pool] += inside[pool] * np.int32(found[pool] == 1) * rank[pool]
            for pool in range(size):
                last[pool] += inside[pool] * (rank[pool] - last[pool])
        for pool in range(size):
            k, several = np.float64(found[pool]), np.float64(found[pool] > 1)
            sums[0, pool] += precision[pool] / max(k, 1.0)
            sums[1, pool] += np.float64(found[pool] > 0)
            sums[2, pool] += several * (last[pool] - first[pool])
            sums[3, pool] += several * (k - 1)
            sums[4, pool] += several * ((k - 1) / (k + 1))
            sums[5, pool] += several
    return sums
