"""Fill the table of outranking counts from vectors, in blocks, exactly.

A dense block is multiplied in float32 and counted on at once, while it is in cache; whatever
lies within the proven error bound of a float32 product is decided again by the exact score
(``kernels.dot``). Sparse rows are scored exactly column by column. Both give the same integers
whatever the block shape, the number of threads and the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlbench.scoring.products import (
    Counts32,
    Dense,
    Floats,
    Ints,
    Limits,
    Pairs,
    Rows,
    Sparse,
    Tile,
    tile_languages,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Progress = Callable[[int], None]
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Counts:
    """The table's numbers, in the order of the pairs: place (rows,), above and tied
    (rows, languages), all int32; and how many scores were decided by the exact product."""

    place: Counts32
    above: Counts32
    tied: Counts32
    recomputed: int


def count_outranking(
    queries: Floats | csr_matrix,
    passages: Floats | csr_matrix,
    pairs: Pairs,
    passage_starts: Ints,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = lambda done: None,
) -> Counts:
    """Count, for every relevant pair and language, the non-relevant passages above and level.

    ``queries`` (nq, d) and ``passages`` (np, d) are float32 arrays or CSR matrices with sorted
    columns; passages are contiguous by language and ``passage_starts`` (languages + 1,) cuts
    them. ``progress`` is told how many score comparisons (query x passage) each step did. Raises
    EnvironmentFault where the table and one block a thread do not fit into ``limits.memory``.
    """
    from mlbench.scoring import kernels

    used, query = np.unique(pairs.query, return_inverse=True)
    if len(used) < queries.shape[0]:
        queries = queries[used]
    pairs = Pairs(query.astype(np.int64), pairs.passage)
    scorer = _scorer(queries, passages, passage_starts, limits)
    rows = Rows(
        starts=np.searchsorted(pairs.query, np.arange(len(used) + 1)).astype(np.int64),
        passage=pairs.passage,
        threshold=scorer.exact(pairs.query, pairs.passage),
    )
    above = np.zeros((len(pairs.query), len(passage_starts) - 1), np.int32)
    tied = np.zeros_like(above)
    place = np.empty(len(pairs.query), np.int32)
    kernels.places(rows.starts, rows.threshold, place)
    left = replace(limits, memory=limits.memory - above.nbytes - tied.nbytes)
    recomputed = _count_tiles(scorer, rows, (above, tied), left, progress)
    return Counts(place, above, tied, recomputed)


def _scorer(
    queries: Floats | csr_matrix, passages: Floats | csr_matrix, starts: Ints, limits: Limits
) -> Dense | Sparse:
    if not isinstance(queries, np.ndarray):
        return Sparse(queries, passages, starts)
    if limits.device == "cpu":
        return Dense(queries, passages, starts)
    from mlbench.scoring.products_torch import TorchDense, gpu_at_hand

    if limits.device != "auto":
        return TorchDense(queries, passages, starts, limits.device)
    return (TorchDense if gpu_at_hand() else Dense)(queries, passages, starts)


def _count_tiles(
    scorer: Dense | Sparse,
    rows: Rows,
    table: tuple[Counts32, Counts32],
    limits: Limits,
    progress: Progress,
) -> int:
    """Work through all tiles with ``limits.threads`` threads and add their counts to the table."""
    from threadpoolctl import threadpool_limits

    above, tied = table
    lock = threading.Lock()
    recomputed = 0

    def work(tile: Tile) -> None:
        nonlocal recomputed
        own = rows.of(tile.queries)
        languages = tile_languages(scorer.starts, tile)
        part = np.zeros((2, own.stop - own.start, languages.stop - languages.start), np.int32)
        decided = scorer.count(tile, rows, part[0], part[1])
        with lock:
            above[own, languages] += part[0]
            tied[own, languages] += part[1]
            recomputed += decided
            progress(tile.size)

    tiles = scorer.tiles(rows, limits)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(limits.threads) as pool:
        try:
            for _ in pool.map(work, tiles):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return recomputed
