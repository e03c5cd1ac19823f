"""The compiled loop over many pools: what each query scores in each subset of the languages."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_over_pools(starts: Any, asked: Any, language: Any, counts: Any, pools: Any) -> Any:
    """Return AP, rank distance, floor, share and the queries of each, summed: (pools, L, 6).

    ``starts`` (n + 1,) int64 rows of each query in order of rank; ``asked`` (n,) int64 and
    ``language`` (rows,) int64 languages of queries and passages; ``counts`` (rows, L) int32
    passages that rank above, by language; ``pools`` (pools, L) int32, 1 where a language is in.
    Sums by query language: 0 AP, 1 queries with a relevant passage, 2 rank distance, 3 its
    floor k - 1, 4 (k - 1) / (k + 1), 5 queries with two relevant passages. A query counts in
    the pools that hold its own language.
    """
    width = counts.shape[1]
    sums = np.zeros((pools.shape[0], width, 6))
    for query in range(asked.shape[0]):
        own = asked[query]
        for pool in range(pools.shape[0]):
            if pools[pool, own] == 0:
                continue
            precision = 0.0
            found = first = last = 0
            for row in range(starts[query], starts[query + 1]):
                if pools[pool, language[row]]:
                    found += 1
                    last = found
                    for column in range(width):
                        last += counts[row, column] * pools[pool, column]
                    if found == 1:
                        first = last
                    precision += found / last
            if found:
                sums[pool, own, 0] += precision / found
                sums[pool, own, 1] += 1
            if found > 1:
                sums[pool, own, 2] += last - first
                sums[pool, own, 3] += found - 1
                sums[pool, own, 4] += (found - 1) / (found + 1)
                sums[pool, own, 5] += 1
    return sums
