"""The best passages of each query by exact score, found in blocks: never a matrix of all scores.

A float32 product tells what certainly is not among the best so far; all else is scored exactly
(``scoring.kernels.dot``). Sparse rows are scored exactly column by column. So the lists are the
same whatever the blocks, the number of threads and the machine.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mlbench.common.threads import one_blas_thread
from mlbench.ranking.products import Floats, Ints, Limits, error_bound

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Progress = Callable[[int], None]
Doubles = npt.NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")

QUERY_ROWS, PASSAGE_TILE, SPARSE_PASSAGE_TILE = 512, 2048, 2**16
LARGEST_NORM = 2.0**60
"""Beyond it a float32 product may overflow, and every score is computed exactly."""


@dataclass(frozen=True)
class Searched:
    """Vectors and the order of equal scores.

    ``queries`` (nq, d) and ``passages`` (np, d) are float32 arrays or CSR matrices with sorted
    columns. ``starts`` (languages + 1,) cuts the passages by language. ``place`` (np,) is a
    permutation: of passages that score alike, the one of lower place goes first. The pairs
    (``query``, ``passage``), sorted by query, are relevant with ``relevance``, at least 1: a
    relevant passage goes after all of its score that are not, or that are less so.
    """

    queries: Floats | csr_matrix
    passages: Floats | csr_matrix
    starts: Ints
    place: Ints
    query: Ints
    passage: Ints
    relevance: npt.NDArray[np.int32]

    @property
    def languages(self) -> int:
        """Number of languages of passages."""
        return len(self.starts) - 1

    @cached_property
    def by_place(self) -> Ints:
        """(np,) the passages in order of place."""
        return np.argsort(self.place)

    @cached_property
    def norms(self) -> tuple[Doubles, Doubles]:
        """The norms of dense queries and passages."""
        from mlbench.ranking import kernels

        return kernels.norms(self.queries), kernels.norms(self.passages)


@dataclass(frozen=True)
class Top:
    """The best passages of some queries (q,) in some pools, at most k of each.

    ``pools`` maps a language, or the number of languages for the pool of all, to passages int64
    (q, k), the best first and -1 where there are no more, and to their exact scores float64 (q, k).
    """

    queries: slice
    pools: dict[int, tuple[Ints, Doubles]]


def top_passages(
    searched: Searched,
    blocks: Iterable[tuple[slice, Sequence[int]]],
    depth: int,
    limits: Limits,
    progress: Progress = lambda done: None,
) -> Iterator[Top]:
    """Yield the best ``depth`` passages for each block: its queries, and the pools they search.

    A pool is a language, or the number of languages for all together. ``limits`` gives the threads;
    each works on one block, see ``query_rows``. ``progress`` is told of query x passage pairs done.
    """

    def work(block: tuple[slice, Sequence[int]]) -> Top:
        return _top(searched, *block, depth)

    with one_blas_thread(), ThreadPoolExecutor(limits.threads) as pool:
        for top in _in_order(pool, work, blocks, limits.threads):
            progress((top.queries.stop - top.queries.start) * len(searched.place))
            yield top


def query_rows(searched: Searched, depth: int, limits: Limits) -> int:
    """Return how many queries a block may have so that all threads' lists and tiles fit."""
    lists = (searched.languages + 1) * depth * 32
    room = limits.memory // (2 * limits.threads)
    return int(min(max(room // (lists + 4 * PASSAGE_TILE), 1), QUERY_ROWS))


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
) -> Iterator[Result]:
    """Yield the results in the order of the items, working on a few at a time."""
    waiting: deque[Future[Result]] = deque()
    left = iter(items)
    try:
        waiting.extend(pool.submit(work, item) for item in itertools.islice(left, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in itertools.islice(left, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()


class _Relevant:
    """The relevant passages of a block of queries, and what is added to their places."""

    def __init__(self, searched: Searched, queries: slice) -> None:
        edges = np.arange(queries.start, queries.stop + 1)
        self.starts = np.searchsorted(searched.query, edges).astype(np.int64)
        own = slice(int(self.starts[0]), int(self.starts[-1]))
        self.starts = self.starts - self.starts[0]
        self.passage = searched.passage[own]
        self.raised = searched.relevance[own].astype(np.int64) * len(searched.place)


class _Heaps:
    """The best so far of each query of a block in one pool."""

    def __init__(self, rows: int, depth: int) -> None:
        self.scores = np.zeros((rows, depth))
        self.keys = np.full((rows, depth), -1, np.int64)
        self.sizes = np.zeros(rows, np.int64)


def _top(searched: Searched, queries: slice, pools: Sequence[int], depth: int) -> Top:
    from mlbench.runs import topk_kernels as kernels

    relevant = _Relevant(searched, queries)
    heaps = {pool: _Heaps(queries.stop - queries.start, depth) for pool in pools}
    offer = _offer_dense if isinstance(searched.queries, np.ndarray) else _offer_sparse
    for language in range(searched.languages):
        of = [heaps[pool] for pool in (language, searched.languages) if pool in heaps]
        if of:
            first, last = searched.starts[language : language + 2].tolist()
            offer(searched, queries, slice(first, last), relevant, of)
    found = {}
    for pool, heap in heaps.items():
        kernels.settle(heap.scores, heap.keys, heap.sizes)
        passages = searched.by_place[heap.keys % len(searched.place)]
        found[pool] = np.where(heap.keys >= 0, passages, -1), heap.scores
    return Top(queries, found)


def _slices(part: slice, step: int) -> Iterator[slice]:
    return (slice(i, min(i + step, part.stop)) for i in range(part.start, part.stop, step))


def _offer_dense(
    searched: Searched, queries: slice, pool: slice, relevant: _Relevant, heaps: Sequence[_Heaps]
) -> None:
    """Offer the passages of a language to each of ``heaps``."""
    from mlbench.runs import topk_kernels as kernels

    asked, passages = searched.queries[queries], searched.passages
    of_queries, of_passages = searched.norms
    product = np.empty((asked.shape[0], PASSAGE_TILE), np.float32)
    for tile in _slices(pool, PASSAGE_TILE):
        part = passages[tile]
        fast = product[:, : part.shape[0]]
        with np.errstate(over="ignore", invalid="ignore"):
            fast = np.matmul(asked, part.T, out=fast)
        bound = _bound(of_queries[queries], of_passages[tile], asked.shape[1])
        for heap in heaps:
            kernels.offer_dense(
                fast, bound, asked, part, tile.start, searched.place[tile],
                relevant.starts, relevant.passage, relevant.raised,
                heap.scores, heap.keys, heap.sizes,
            )  # fmt: skip


def _bound(queries: Doubles, passages: Doubles, dimension: int) -> Doubles:
    """Return how far a float32 product may be from the exact score, for each query."""
    largest = float(passages.max(initial=0.0))
    bound = error_bound(dimension) * queries * largest + dimension * 2.0**-125
    safe = np.maximum(queries, largest) <= LARGEST_NORM
    return np.where(safe, bound, np.inf)


def _offer_sparse(
    searched: Searched, queries: slice, pool: slice, relevant: _Relevant, heaps: Sequence[_Heaps]
) -> None:
    """Offer the passages of a language to each of ``heaps``."""
    from mlbench.runs import topk_kernels as kernels

    asked: Any = searched.queries[queries]
    passages: Any = searched.passages
    for tile in _slices(pool, SPARSE_PASSAGE_TILE):
        columns = passages[tile].tocsc()
        place = searched.place[tile]
        for heap in heaps:
            kernels.offer_sparse(
                asked.indptr, asked.indices, asked.data,
                columns.indptr, columns.indices, columns.data,
                tile.start, place, np.argsort(place),
                relevant.starts, relevant.passage, relevant.raised,
                heap.scores, heap.keys, heap.sizes,
            )  # fmt: skip
