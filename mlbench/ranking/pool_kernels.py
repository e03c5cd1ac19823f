"""The compiled loops over the table of ranks: one pool's counts, means, and many pools at once."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

jit = numba.njit(nogil=True, cache=True, error_model="numpy")


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
