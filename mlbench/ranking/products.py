"""Scores by the tile: dense vectors through a float32 product, sparse ones exactly.

Both kinds of product cut the work into tiles of queries and passages, know the exact score of a
pair, and count a tile.
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.ranking.error_bounds import (
    Floats,
    error_bound,
    exponent_of,
    largest_norm,
    largest_whole,
    rounded_up,
    scaled,
    underflow_bound,
)
from mlbench.ranking.tiles import Bands, Ints, Rows, Tile, cut_tiles, slices, slices_by_language

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


Counts32 = npt.NDArray[np.int32]

DEFAULT_MEMORY = 256 * 2**20
QUERY_TILE, PASSAGE_TILE = 1024, 2560
SPARSE_QUERY_TILE, SPARSE_PASSAGE_TILE = 4096, 2**16
SMALLEST_TILE = 64
MOST_COUNTED = 2**15
"""Passages of a tile, at most, whose counts are kept in 16 bits."""


@dataclass(frozen=True)
class Pairs:
    """The relevant (query, passage) pairs, sorted by query: int64 arrays of one length."""

    query: Ints
    passage: Ints


@dataclass(frozen=True)
class Limits:
    """What the scorer may use: threads, bytes beside the vectors, and where dense vectors are
    multiplied: "cpu", "cuda" or another torch device, or "auto" (a GPU if torch sees one)."""

    threads: int = 1
    memory: int = DEFAULT_MEMORY
    device: str = "cpu"


class Bounded(ABC):
    """Scores of which a fast float32 product decides what its error bound allows.

    ``queries`` and ``passages`` have a ``shape`` (n, d) and are cut by slices. ``norms`` (queries,)
    times the largest norm among passages bounds the magnitude of a query's scores; ``fast`` are the
    queries' vectors over 2 to the ``exponent``.
    """

    queries: Any
    passages: Any
    norms: npt.NDArray[np.float64]

    def __init__(self, vectors: Floats, passage_starts: Ints) -> None:
        from mlbench.ranking import kernels

        self.norms = kernels.norms(vectors)
        self.exponent = exponent_of(float(self.norms.max(initial=0.0)))
        self.fast = scaled(vectors, self.exponent)
        self.starts = passage_starts
        self.largest: dict[tuple[int, int], float] = {}
        self.local = threading.local()

    @abstractmethod
    def over(self, passages: Any, passage_starts: Ints) -> Self:
        """Return the same queries over other passages."""

    @abstractmethod
    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work so that all threads' blocks stay within the memory allowed.

        Raises EnvironmentFault where even the smallest do not.
        """

    @abstractmethod
    def sides(self, queries: slice, passages: slice) -> tuple[Any, Any]:
        """Return some queries and passages as ``kernels.score`` takes them."""

    @abstractmethod
    def longest(self, passages: slice) -> float:
        """Return an upper bound of the norms of some passages' vectors."""

    @abstractmethod
    def errors(self, queries: slice, bound: float) -> tuple[float, float]:
        """Return how far a fast score may be off: so many times the bound of a query's scores,
        and so much more, where the norms of scaled passages are at most ``bound``."""

    @abstractmethod
    def product(self, queries: slice, passages: slice, exponent: int) -> Floats:
        """Return the fast scores of some queries and passages, these scaled by ``exponent``: a
        block of this thread's, good until the next."""

    def exact(self, query: Ints, passage: Ints) -> npt.NDArray[np.float64]:
        """Return the exact score of each query with the passage beside it."""
        from mlbench.ranking import kernels

        everything = self.sides(slice(0, self.queries.shape[0]), slice(0, self.passages.shape[0]))
        scores: npt.NDArray[np.float64] = kernels.pair_scores(*everything, query, passage)
        return scores

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """Add a tile's counts to ``above`` and ``tied`` (the tile's rows, its languages), int32;
        return how many scores were recomputed."""
        from mlbench.ranking import tile_kernels

        bands = self.bands(tile, rows)
        recomputed = tile_kernels.count_tile(
            self.product(tile.queries, tile.passages, bands.exponent), bands.edges, bands.grid,
            rows.within(tile.queries), rows.passage[rows.of(tile.queries)], tile.passages.start,
            tile.edges, *self.sides(tile.queries, tile.passages), above, tied,
        )  # fmt: skip
        return int(recomputed)

    def bands(self, tile: Tile, rows: Rows) -> Bands:
        """Return the error bands of a tile's thresholds, those of an earlier tile if they serve."""
        from mlbench.ranking import tile_kernels

        largest = self.largest_of(tile.passages)
        key = (tile.queries.start, tile.queries.stop)
        bands = rows.bands.get(key)
        if bands is not None and bands.largest == largest:
            return bands
        own, exponent = rows.of(tile.queries), exponent_of(largest)
        bound = float(np.ldexp(largest, -exponent))
        edges = np.empty(own.stop - own.start, tile_kernels.EDGE)
        grid = np.empty(tile.queries.stop - tile.queries.start, tile_kernels.GRID)
        tile_kernels.set_edges(
            rows.threshold[own], rows.within(tile.queries),
            np.ldexp(self.norms[tile.queries], -self.exponent) * bound,
            *self.errors(tile.queries, bound),
            float(np.ldexp(1.0, -self.exponent - exponent)), edges, grid,
        )  # fmt: skip
        bands = rows.bands[key] = Bands(largest, exponent, edges, grid)
        return bands

    def largest_of(self, passages: slice) -> float:
        """Return ``longest``, found once and rounded up."""
        key = (passages.start, passages.stop)
        if key not in self.largest:
            self.largest[key] = rounded_up(self.longest(passages))
        return self.largest[key]

    def block(self, size: int) -> Floats:
        """Return this thread's scratch block, made once and grown when a tile needs more."""
        block: Floats | None = getattr(self.local, "block", None)
        if block is None or block.size < size:
            block = self.local.block = np.empty(size, np.float32)
        return block[:size]

    def count_bytes(self, rows: Rows, parts: Sequence[slice]) -> int:
        """Most bytes of the counts, above and tied, of some parts of the queries."""
        most = max((own.stop - own.start for own in map(rows.of, parts)), default=0)
        return int(most * (len(self.starts) - 1) * 8)


class Dense(Bounded):
    """Scores of float32 arrays, a row a text."""

    def __init__(self, queries: Floats, passages: Floats, passage_starts: Ints) -> None:
        self.queries = np.ascontiguousarray(queries, np.float32)
        self.passages = np.ascontiguousarray(passages, np.float32)
        super().__init__(self.queries, passage_starts)
        self._whole = largest_whole(self.queries)
        self.largest_whole: dict[tuple[int, int], float] = {}

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """As ``Bounded.count``. Products of small whole numbers, such as the signs of binary
        vectors, are exact in float32, in whatever order they are added: nothing is recomputed."""
        from mlbench.ranking import tile_kernels

        if not self._of_whole_numbers(tile.passages):
            return super().count(tile, rows, above, tied)
        own = rows.of(tile.queries)
        tile_kernels.count_whole(
            self.product(tile.queries, tile.passages, 0), rows.threshold[own],
            rows.within(tile.queries), rows.passage[own], tile.passages.start, tile.edges,
            above, tied,
        )  # fmt: skip
        return 0

    def _of_whole_numbers(self, passages: slice) -> bool:
        """Say whether all scores with some passages are small whole numbers."""
        from mlbench.ranking import tile_kernels

        most = tile_kernels.MOST_WHOLE / max(self.queries.shape[1], 1)
        if self._whole > most or passages.stop - passages.start >= MOST_COUNTED:
            return False
        key = (passages.start, passages.stop)
        if key not in self.largest_whole:
            self.largest_whole[key] = largest_whole(self.passages[passages])
        return bool(self._whole * self.largest_whole[key] <= most)

    def over(self, passages: Floats, passage_starts: Ints) -> Self:
        """Return the same queries over other passages."""
        other = copy.copy(self)
        other.passages = np.ascontiguousarray(passages, np.float32)
        other.starts, other.largest, other.largest_whole = passage_starts, {}, {}
        return other

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work so that all threads' blocks stay within the memory allowed.

        Raises EnvironmentFault where even the smallest do not.
        """
        height, width = QUERY_TILE, PASSAGE_TILE
        while (need := self._tile_bytes(rows, height, width) * limits.threads) > limits.memory:
            if max(height, width) == SMALLEST_TILE:
                raise EnvironmentFault(memory_fault(need, limits.memory))
            height, width = max(height // 2, SMALLEST_TILE), max(width // 2, SMALLEST_TILE)
        parts = slices_by_language(self.starts, width)
        return cut_tiles(slices(self.queries.shape[0], height), parts, self.starts)

    def _tile_bytes(self, rows: Rows, height: int, width: int) -> int:
        """Most bytes of a tile's scores and its counts."""
        parts = slices(self.queries.shape[0], height)
        return height * width * 4 + self.count_bytes(rows, parts)

    def sides(self, queries: slice, passages: slice) -> tuple[Floats, Floats]:
        """Return some queries and passages as ``kernels.score`` takes them."""
        return self.queries[queries], self.passages[passages]

    def longest(self, passages: slice) -> float:
        """Return an upper bound of the norms of some passages."""
        return largest_norm(self.passages[passages])

    def errors(self, queries: slice, bound: float) -> tuple[float, float]:
        """Return ``error_bound`` and ``underflow_bound``."""
        dimension = self.queries.shape[1]
        return error_bound(dimension), underflow_bound(dimension, bound)

    def product(self, queries: slice, passages: slice, exponent: int) -> Floats:
        """Return the float32 product of some queries and passages."""
        fast, others = self.fast[queries], self.passages[passages]
        scores = self.block(len(fast) * len(others)).reshape(len(fast), len(others))
        np.matmul(fast, scaled(others, exponent).T, out=scores)
        return scores


class Sparse:
    """Scores of CSR matrices, exact column by column."""

    def __init__(self, queries: csr_matrix, passages: csr_matrix, passage_starts: Ints) -> None:
        self.queries = queries
        self.passages = passages
        self.starts = passage_starts

    def over(self, passages: csr_matrix, passage_starts: Ints) -> Self:
        """Return the same queries over other passages."""
        return type(self)(self.queries, passages, passage_starts)

    def exact(self, query: Ints, passage: Ints) -> npt.NDArray[np.float64]:
        """Return the exact score of each query with the passage beside it."""
        from mlbench.ranking import kernels

        q, p = self.queries, self.passages
        scores: npt.NDArray[np.float64] = kernels.sparse_pair_scores(
            q.indptr, q.indices, q.data, p.indptr, p.indices, p.data, query, passage
        )
        return scores

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut by language, and by as few passages as the memory allowed asks for.

        Raises EnvironmentFault where even the smallest tile does not fit.
        """
        columns = (self.passages.shape[1] + 1) * 8
        per_passage = 25 + 24 * max(1, self.passages.nnz // max(1, self.passages.shape[0]))
        room = limits.memory // limits.threads - columns
        width = min(room // per_passage, SPARSE_PASSAGE_TILE)
        if width < SMALLEST_TILE:
            need = (columns + per_passage * SMALLEST_TILE) * limits.threads
            raise EnvironmentFault(memory_fault(need, limits.memory))
        parts = [
            slice(int(first) + part.start, int(first) + part.stop)
            for first, last in pairwise(self.starts)
            for part in slices(int(last - first), int(width))
        ]
        return cut_tiles(slices(self.queries.shape[0], SPARSE_QUERY_TILE), parts, self.starts)

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """Add a tile's counts to ``above`` and ``tied`` (the tile's rows, one language), int32;
        nothing is ever recomputed."""
        from mlbench.ranking import kernels

        queries = self.queries[tile.queries]
        by_column = self.passages[tile.passages].tocsc()
        own = rows.of(tile.queries)
        kernels.count_sparse(
            queries.indptr, queries.indices, queries.data,
            rows.threshold[own], rows.within(tile.queries), rows.passage[own] - tile.passages.start,
            by_column.indptr, by_column.indices, by_column.data,
            by_column.shape[0], above, tied,
        )  # fmt: skip
        return 0


def memory_fault(need: int, allowed: int) -> Fault:
    """Say that scoring needs more memory than it is allowed."""
    return Fault(
        "memory",
        f"scoring needs {need / 2**20:,.1f} MiB in addition to the vectors; "
        f"{max(0, allowed) / 2**20:,.1f} MiB are left for it",
        "room for the table and one small block for each thread",
        "raise --memory or lower --threads",
    )
