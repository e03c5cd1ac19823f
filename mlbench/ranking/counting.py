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
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.ranking.products import (
    Counts32,
    Dense,
    Floats,
    Ints,
    Limits,
    Pairs,
    Sparse,
)
from mlbench.ranking.tiles import Bands, Rows, Tile

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from threadpoolctl import ThreadpoolController

Progress = Callable[[int], None]
DEFAULT_LIMITS = Limits()
PAIRS_AT_ONCE = 2**13


@dataclass(frozen=True)
class Counts:
    """The table's numbers, in the order of the pairs: place (rows,), above and tied
    (rows, languages), all int32; and how many scores were decided by the exact product."""

    place: Counts32
    above: Counts32
    tied: Counts32
    recomputed: int


class Counter:
    """Counts passages against the thresholds of fixed queries, block by block.

    ``queries`` (nq, d) and ``relevant`` (m, d) are float32 arrays or CSR matrices with sorted
    columns; ``pairs.passage`` names rows of ``relevant``. Blocks may come in any order and any
    size: their counts add up to those of all passages at once.
    """

    def __init__(
        self,
        queries: Floats | csr_matrix,
        relevant: Floats | csr_matrix,
        pairs: Pairs,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        from mlbench.ranking import kernels

        begin = np.flatnonzero(np.diff(pairs.query, prepend=-1))
        if len(begin) < queries.shape[0]:
            queries = queries[pairs.query[begin]]
        self.limits = limits
        self.recomputed = 0
        self._libraries = _libraries()
        self._scorer = _scorer(queries, relevant, np.zeros(1, np.int64), limits)
        self._starts = np.append(begin, len(pairs.query)).astype(np.int64)
        self._threshold = _exact_scores(self._scorer, self._starts, pairs.passage, limits.threads)
        self._bands: dict[tuple[int, int], Bands] = {}
        self.place: Counts32 = np.empty(len(pairs.query), np.int32)
        kernels.places(self._starts, self._threshold, self.place)

    def count(
        self,
        passages: Floats | csr_matrix,
        passage_starts: Ints,
        own: Ints,
        table: tuple[Counts32, Counts32],
        progress: Progress = lambda done: None,
    ) -> None:
        """Add the counts of a block of passages to ``table``: above and tied, int32 of shape
        (pairs, languages), best in column order.

        The block is contiguous by language; ``passage_starts`` (languages + 1,) cuts it. ``own``
        (pairs,) says where in the block each pair's passage stands, -1 where it does not: a
        query's relevant passages are not counted. ``progress`` is told how many score comparisons
        (query x passage) each step did. Raises EnvironmentFault where the table and one tile a
        thread do not fit into ``limits.memory``.
        """
        room = self.limits.memory - sum(counts.nbytes for counts in table)
        scorer = self._scorer.over(passages, passage_starts)
        rows = Rows(self._starts, own, self._threshold, self._bands)
        limits = replace(self.limits, memory=room)
        with self._libraries.limit(limits=1, user_api="blas"):
            self.recomputed += _count_tiles(scorer, rows, table, limits, progress)


def count_outranking(
    queries: Floats | csr_matrix,
    passages: Floats | csr_matrix,
    pairs: Pairs,
    passage_starts: Ints,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = lambda done: None,
) -> Counts:
    """Count, for every relevant pair and language, the non-relevant passages above and level.

    All passages at once; see ``Counter``.
    """
    counter = Counter(queries, passages, pairs, limits)
    shape = (len(pairs.query), len(passage_starts) - 1)
    above, tied = (np.zeros(shape, np.int32, order="F") for _ in range(2))
    counter.count(passages, passage_starts, pairs.passage, (above, tied), progress)
    return Counts(counter.place, above, tied, counter.recomputed)


@cache
def _libraries() -> ThreadpoolController:
    """Return a hold on numpy's BLAS, which is looked for among all that the process has loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _scorer(
    queries: Floats | csr_matrix, passages: Floats | csr_matrix, starts: Ints, limits: Limits
) -> Dense | Sparse:
    if not isinstance(queries, np.ndarray):
        return Sparse(queries, passages, starts)
    if limits.device == "cpu":
        return Dense(queries, passages, starts)
    from mlbench.ranking.products_torch import TorchDense, gpu_at_hand

    if limits.device != "auto":
        return TorchDense(queries, passages, starts, limits.device)
    return (TorchDense if gpu_at_hand() else Dense)(queries, passages, starts)


def _exact_scores(
    scorer: Dense | Sparse, starts: Ints, passage: Ints, threads: int
) -> npt.NDArray[np.float64]:
    """Return the exact score of each query with its passages ``passage[starts[i]:starts[i + 1]]``.

    Queries with the same first passage follow each other: in a parallel collection they share all
    of them, and the vectors are still in cache.
    """
    order = np.argsort(passage[starts[:-1]], kind="stable")
    sizes = np.diff(starts)[order]
    rows = np.arange(len(passage)) + np.repeat(starts[order] - np.cumsum(sizes) + sizes, sizes)
    query = np.repeat(order, sizes)
    scores = np.empty(len(passage))

    def work(first: int) -> None:
        part = slice(first, first + PAIRS_AT_ONCE)
        scores[rows[part]] = scorer.exact(query[part], passage[rows[part]])

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(0, len(passage), PAIRS_AT_ONCE)):
            pass
    return scores


def _count_tiles(
    scorer: Dense | Sparse,
    rows: Rows,
    table: tuple[Counts32, Counts32],
    limits: Limits,
    progress: Progress,
) -> int:
    """Work through all tiles with ``limits.threads`` threads and add their counts to the table."""
    above, tied = table
    lock = threading.Lock()
    recomputed = 0

    def work(tile: Tile) -> None:
        nonlocal recomputed
        own = rows.of(tile.queries)
        part = np.zeros((2, own.stop - own.start, len(tile.edges) - 1), np.int32)
        decided = scorer.count(tile, rows, part[0], part[1])
        with lock:
            above[own, tile.languages] += part[0]
            if part[1].any():  # else memory that nothing is in is left untouched
                tied[own, tile.languages] += part[1]
            recomputed += decided
            progress(tile.size)

    tiles = scorer.tiles(rows, limits)
    with ThreadPoolExecutor(limits.threads) as pool:
        try:
            for _ in pool.map(work, tiles):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return recomputed
