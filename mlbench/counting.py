"""Fill the table of outranking counts from vectors, in blocks, exactly.

A dense block is multiplied in float32 and counted on at once, while it is in cache; whatever
lies within the proven error bound of a float32 product is decided again by the exact score
(``kernels.dot``). Sparse rows are scored exactly column by column. Both give the same integers
whatever the block shape, the number of threads and the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.errors import EnvironmentFault, Fault

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts32 = npt.NDArray[np.int32]
Progress = Callable[[int], None]

DEFAULT_MEMORY = 256 * 2**20
QUERY_TILE, PASSAGE_TILE = 512, 1024
SMALLEST_TILE = 64
UNIT_ROUNDOFF_32, UNIT_ROUNDOFF_64 = 2.0**-24, 2.0**-53


@dataclass(frozen=True)
class Pairs:
    """The relevant (query, passage) pairs, sorted by query: int64 arrays of one length."""

    query: Ints
    passage: Ints


@dataclass(frozen=True)
class Counts:
    """The table's numbers, in the order of the pairs: place (rows,), above and tied
    (rows, languages), all int32; and how many scores were decided by the exact product."""

    place: Counts32
    above: Counts32
    tied: Counts32
    recomputed: int


@dataclass(frozen=True)
class Limits:
    """How much the scorer may use: threads, and bytes beside the vectors."""

    threads: int = 1
    memory: int = DEFAULT_MEMORY


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class _Rows:
    """The pairs' thresholds and how they are cut by query: rows[i]:rows[i+1] are query i's."""

    threshold: npt.NDArray[np.float64]
    starts: Ints


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
    EnvironmentFault where the table itself does not fit into ``limits.memory``.
    """
    from mlbench import kernels

    used, query = np.unique(pairs.query, return_inverse=True)
    if len(used) < queries.shape[0]:
        queries = queries[used]
    pairs = Pairs(query.astype(np.int64), pairs.passage)
    starts = np.searchsorted(pairs.query, np.arange(len(used) + 1)).astype(np.int64)
    product = _Dense if isinstance(queries, np.ndarray) else _Sparse
    scorer = product(queries, passages, passage_starts)
    rows = _Rows(scorer.pair_scores(pairs), starts)
    languages = len(passage_starts) - 1
    table = 2 * len(pairs.query) * languages * 4
    above = np.zeros((len(pairs.query), languages), np.int32)
    tied = np.zeros_like(above)
    recomputed = _run(
        scorer, rows, (above, tied), Limits(limits.threads, limits.memory - table), progress
    )
    place = np.empty(len(pairs.query), np.int32)
    language = np.searchsorted(passage_starts, pairs.passage, "right") - 1
    kernels.settle(rows.starts, rows.threshold, language, place, above, tied)
    return Counts(place, above, tied, recomputed)


def _run(
    scorer: _Dense | _Sparse,
    rows: _Rows,
    table: tuple[Counts32, Counts32],
    limits: Limits,
    progress: Progress,
) -> int:
    """Work through all tiles with ``limits.threads`` threads and add their counts to the table."""
    from threadpoolctl import threadpool_limits

    above, tied = table
    tiles = scorer.tiles(rows, limits)
    lock = threading.Lock()
    recomputed = 0

    def work(tile: _Tile) -> None:
        nonlocal recomputed
        first, last = rows.starts[tile.queries.start], rows.starts[tile.queries.stop]
        part = np.zeros((2, int(last - first), above.shape[1]), np.int32)
        decided = scorer.count(tile, rows, part[0], part[1])
        with lock:
            above[first:last] += part[0]
            tied[first:last] += part[1]
            recomputed += decided
            progress(tile.size)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(limits.threads) as pool:
        try:
            for _ in pool.map(work, tiles):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return recomputed


@dataclass(frozen=True)
class _Tile:
    """A block of work: some queries against some passages."""

    queries: slice
    passages: slice

    @property
    def size(self) -> int:
        height = self.queries.stop - self.queries.start
        return int(height * (self.passages.stop - self.passages.start))


def _slices(size: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def _table_share(rows: _Rows, queries: slice, languages: int) -> int:
    return int(rows.starts[queries.stop] - rows.starts[queries.start]) * languages * 8


class _Dense:
    """Scores of float32 arrays."""

    def __init__(self, queries: Floats, passages: Floats, passage_starts: Ints) -> None:
        from mlbench import kernels

        self.queries = np.ascontiguousarray(queries, np.float32)
        self.passages = passages
        self.starts = passage_starts
        self.norms = kernels.norms(self.queries)
        self.exponent = _exponent(self.norms)
        self.fast = _scaled(self.queries, self.exponent)
        self.local = threading.local()

    def pair_scores(self, pairs: Pairs) -> npt.NDArray[np.float64]:
        from mlbench import kernels

        scores: npt.NDArray[np.float64] = kernels.pair_scores(
            self.queries, self.passages, pairs.query, pairs.passage
        )
        return scores

    def tiles(self, rows: _Rows, limits: Limits) -> list[_Tile]:
        """Cut the work so that all threads' blocks stay within the memory allowed."""
        height, width = QUERY_TILE, PASSAGE_TILE
        while (need := self._block_bytes(rows, height, width) * limits.threads) > limits.memory:
            if max(height, width) == SMALLEST_TILE:
                raise EnvironmentFault(_memory_fault(need, limits.memory))
            height, width = max(height // 2, SMALLEST_TILE), max(width // 2, SMALLEST_TILE)
        return [
            _Tile(queries, passages)
            for passages in _slices(self.passages.shape[0], width)
            for queries in _slices(self.queries.shape[0], height)
        ]

    def _block_bytes(self, rows: _Rows, height: int, width: int) -> int:
        share = max(
            _table_share(rows, queries, len(self.starts) - 1)
            for queries in _slices(self.queries.shape[0], height)
        )
        return height * width * 4 + 2 * share

    def count(self, tile: _Tile, rows: _Rows, above: Counts32, tied: Counts32) -> int:
        from mlbench import kernels

        queries, passages = self.queries[tile.queries], self.passages[tile.passages]
        norms = kernels.norms(passages)
        exponent = _exponent(norms)
        scores = self._block(tile.size).reshape(len(queries), len(passages))
        np.matmul(self.fast[tile.queries], _scaled(passages, exponent).T, out=scores)
        starts = rows.starts[tile.queries.start : tile.queries.stop + 1]
        threshold = rows.threshold[starts[0] : starts[-1]]
        band = (
            error_bound(queries.shape[1])
            * np.repeat(np.ldexp(self.norms[tile.queries], -self.exponent), np.diff(starts))
            * np.ldexp(norms.max(initial=0.0), -exponent)
            + queries.shape[1] * 2.0**-125
        )
        fast = np.ldexp(threshold, -self.exponent - exponent)
        low = np.nextafter((fast - band).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((fast + band).astype(np.float32), np.float32(np.inf))
        edges = np.clip(self.starts, tile.passages.start, tile.passages.stop) - tile.passages.start
        recomputed = kernels.count_tile(
            scores, low, high, threshold, starts - starts[0], edges,
            np.arange(len(self.starts) - 1), queries, passages, above, tied,
        )  # fmt: skip
        return int(recomputed)

    def _block(self, size: int) -> Floats:
        """Return this thread's scratch block, made once and grown when a tile needs more."""
        block: Floats | None = getattr(self.local, "block", None)
        if block is None or block.size < size:
            block = self.local.block = np.empty(size, np.float32)
        return block[:size]


class _Sparse:
    """Scores of CSR matrices."""

    def __init__(self, queries: csr_matrix, passages: csr_matrix, passage_starts: Ints) -> None:
        self.queries = queries
        self.passages = passages
        self.starts = passage_starts

    def pair_scores(self, pairs: Pairs) -> npt.NDArray[np.float64]:
        from mlbench import kernels

        q, p = self.queries, self.passages
        scores: npt.NDArray[np.float64] = kernels.sparse_pair_scores(
            q.indptr, q.indices, q.data, p.indptr, p.indices, p.data, pairs.query, pairs.passage
        )
        return scores

    def tiles(self, rows: _Rows, limits: Limits) -> list[_Tile]:
        """Cut by language, and by as few passages as the memory allowed asks for."""
        columns = (self.passages.shape[1] + 1) * 8
        per_passage = 25 + 12 * max(1, self.passages.nnz // max(1, self.passages.shape[0]))
        room = limits.memory // limits.threads - columns
        width = min(room // (2 * per_passage), 2**16)
        if width < SMALLEST_TILE:
            need = (columns + 2 * per_passage * SMALLEST_TILE) * limits.threads
            raise EnvironmentFault(_memory_fault(need, limits.memory))
        return [
            _Tile(queries, slice(int(first) + part.start, int(first) + part.stop))
            for first, last in zip(self.starts[:-1], self.starts[1:], strict=True)
            for part in _slices(int(last - first), int(width))
            for queries in _slices(self.queries.shape[0], 8 * QUERY_TILE)
        ]

    def count(self, tile: _Tile, rows: _Rows, above: Counts32, tied: Counts32) -> int:
        from mlbench import kernels

        queries = self.queries[tile.queries]
        by_column = self.passages[tile.passages].tocsc()
        starts = rows.starts[tile.queries.start : tile.queries.stop + 1]
        language = int(np.searchsorted(self.starts, tile.passages.start, "right")) - 1
        kernels.count_sparse(
            queries.indptr, queries.indices, queries.data,
            rows.threshold[starts[0] : starts[-1]], starts - starts[0],
            by_column.indptr, by_column.indices, by_column.data,
            by_column.shape[0], language, above, tied,
        )  # fmt: skip
        return 0


def error_bound(dimension: int) -> float:
    """Return c such that a float32 product differs from the exact score by at most c |q| |p|.

    A sum of d float32 products, added in any order and with or without fused multiply-adds,
    differs from its true value by at most gamma_d times the sum of the products' magnitudes,
    gamma_d = d u / (1 - d u), u = 2**-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.1), and that sum is at most |q| |p| (Cauchy-Schwarz). The second
    term is the same for the float64 score, and for the norms and thresholds rounded here.
    """
    single, double = dimension * UNIT_ROUNDOFF_32, (dimension + 8) * UNIT_ROUNDOFF_64
    return single / (1 - single) + 4 * double / (1 - double)


def _exponent(norms: npt.NDArray[np.float64]) -> int:
    """Return 0, or the power of two that brings extreme norms near 1 (no overflow in float32)."""
    largest = float(norms.max(initial=0.0))
    return int(np.frexp(largest)[1]) if largest and not 2.0**-40 < largest < 2.0**40 else 0


def _scaled(vectors: Floats, exponent: int) -> Floats:
    return np.ldexp(vectors, -exponent) if exponent else vectors


def _memory_fault(need: int, allowed: int) -> Fault:
    return Fault(
        "memory",
        f"scoring needs {need / 2**20:.0f} MiB beside the vectors and the table; "
        f"{max(0, allowed) / 2**20:.0f} MiB are allowed",
        "room for one small block a thread",
        "raise --memory or lower --threads",
    )
