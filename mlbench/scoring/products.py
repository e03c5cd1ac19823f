"""Scores by the block: dense vectors through a float32 product, sparse ones exactly.

Both kinds of product cut the work into tiles, know the exact score of a pair, and count a tile.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from mlbench.errors import EnvironmentFault, Fault

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts32 = npt.NDArray[np.int32]

DEFAULT_MEMORY = 256 * 2**20
QUERY_TILE, PASSAGE_TILE = 1024, 2048
SPARSE_QUERY_TILE, SPARSE_PASSAGE_TILE = 4096, 2**16
SMALLEST_TILE = 64
UNIT_ROUNDOFF_32, UNIT_ROUNDOFF_64 = 2.0**-24, 2.0**-53


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


@dataclass(frozen=True)
class Rows:
    """The table's rows: query i owns ``starts[i]:starts[i + 1]``, each a relevant passage and
    its exact score, the threshold that other passages are counted against."""

    starts: Ints
    passage: Ints
    threshold: npt.NDArray[np.float64]

    def of(self, queries: slice) -> slice:
        """Return the rows of some queries."""
        return slice(int(self.starts[queries.start]), int(self.starts[queries.stop]))


@dataclass(frozen=True)
class Tile:
    """A block of work: some queries against some passages."""

    queries: slice
    passages: slice

    @property
    def size(self) -> int:
        """Number of scores in the tile."""
        height = self.queries.stop - self.queries.start
        return int(height * (self.passages.stop - self.passages.start))


def tile_languages(passage_starts: Ints, tile: Tile) -> slice:
    """Return which languages a tile's passages belong to."""
    first = np.searchsorted(passage_starts, tile.passages.start, "right") - 1
    last = np.searchsorted(passage_starts, tile.passages.stop, "left")
    return slice(int(first), int(last))


def tile_edges(passage_starts: Ints, tile: Tile) -> Ints:
    """Return where each of the tile's languages begins and ends within its passages."""
    languages = tile_languages(passage_starts, tile)
    first, last = tile.passages.start, tile.passages.stop
    edges: Ints = np.clip(passage_starts[languages.start : languages.stop + 1], first, last) - first
    return edges


def _slices(size: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


class Dense:
    """Scores of float32 arrays: a fast product decides what its error bound allows."""

    def __init__(self, queries: Floats, passages: Floats, passage_starts: Ints) -> None:
        from mlbench.scoring import kernels

        self.queries = np.ascontiguousarray(queries, np.float32)
        self.passages = passages
        self.starts = passage_starts
        self.norms = kernels.norms(self.queries)
        self.exponent = _exponent(float(self.norms.max(initial=0.0)))
        self.fast = _scaled(self.queries, self.exponent)
        self.largest: dict[int, float] = {}
        self.local = threading.local()

    def over(self, passages: Floats, passage_starts: Ints) -> Self:
        """Return the same queries over other passages."""
        other = copy.copy(self)
        other.passages, other.starts, other.largest = passages, passage_starts, {}
        return other

    def exact(self, query: Ints, passage: Ints) -> npt.NDArray[np.float64]:
        """Return the exact score of each query with the passage beside it."""
        from mlbench.scoring import kernels

        scores: npt.NDArray[np.float64] = kernels.pair_scores(
            self.queries, self.passages, query, passage
        )
        return scores

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work so that all threads' blocks stay within the memory allowed.

        Raises EnvironmentFault where even the smallest do not.
        """
        height, width = QUERY_TILE, PASSAGE_TILE
        while (need := self._tile_bytes(rows, height, width) * limits.threads) > limits.memory:
            if max(height, width) == SMALLEST_TILE:
                raise EnvironmentFault(memory_fault(need, limits.memory))
            height, width = max(height // 2, SMALLEST_TILE), max(width // 2, SMALLEST_TILE)
        return [
            Tile(queries, passages)
            for passages in _slices(self.passages.shape[0], width)
            for queries in _slices(self.queries.shape[0], height)
        ]

    def _tile_bytes(self, rows: Rows, height: int, width: int) -> int:
        """Most bytes of a tile's scores and its counts, above and tied."""
        most = max(np.diff(rows.starts[np.arange(0, len(rows.starts) + height, height).clip(
            max=len(rows.starts) - 1
        )]))  # fmt: skip
        return int(height * width * 4 + most * (len(self.starts) - 1) * 8)

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """Add a tile's counts to ``above`` and ``tied`` (the tile's rows, its languages), int32;
        return how many scores were recomputed."""
        from mlbench.scoring import kernels

        queries, passages = self.queries[tile.queries], self.passages[tile.passages]
        own = rows.of(tile.queries)
        starts = rows.starts[tile.queries.start : tile.queries.stop + 1] - own.start
        low, high, exponent = self._band(tile, rows)
        scores = self._block(tile.size).reshape(len(queries), len(passages))
        np.matmul(self.fast[tile.queries], self._scaled_passages(tile, exponent).T, out=scores)
        recomputed = kernels.count_tile(
            scores, low, high, rows.threshold[own], starts,
            rows.passage[own] - tile.passages.start, tile_edges(self.starts, tile),
            queries, passages, above, tied,
        )  # fmt: skip
        return int(recomputed)

    def _band(self, tile: Tile, rows: Rows) -> tuple[Floats, Floats, int]:
        """Return, for each row of a tile, the fast scores below which and above which a passage
        is certainly under and over the threshold; and the exponent that scales the passages."""
        own = rows.of(tile.queries)
        counts = np.diff(rows.starts[tile.queries.start : tile.queries.stop + 1])
        dimension = self.queries.shape[1]
        largest = self.largest.get(tile.passages.start)
        if largest is None:
            largest = _largest_norm(self.passages[tile.passages])
            self.largest[tile.passages.start] = largest
        exponent = _exponent(largest)
        norms = np.ldexp(self.norms[tile.queries], -self.exponent)
        bound = error_bound(dimension) * norms * np.ldexp(largest, -exponent)
        band = np.repeat(bound, counts) + dimension * 2.0**-125
        fast = np.ldexp(rows.threshold[own], -self.exponent - exponent)
        low = np.nextafter((fast - band).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((fast + band).astype(np.float32), np.float32(np.inf))
        return low, high, exponent

    def _scaled_passages(self, tile: Tile, exponent: int) -> Floats:
        return _scaled(self.passages[tile.passages], exponent)

    def _block(self, size: int) -> Floats:
        """Return this thread's scratch block, made once and grown when a tile needs more."""
        block: Floats | None = getattr(self.local, "block", None)
        if block is None or block.size < size:
            block = self.local.block = np.empty(size, np.float32)
        return block[:size]


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
        from mlbench.scoring import kernels

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
        return [
            Tile(queries, slice(int(first) + part.start, int(first) + part.stop))
            for first, last in zip(self.starts[:-1], self.starts[1:], strict=True)
            for part in _slices(int(last - first), int(width))
            for queries in _slices(self.queries.shape[0], SPARSE_QUERY_TILE)
        ]

    def count(self, tile: Tile, rows: Rows, above: Counts32, tied: Counts32) -> int:
        """Add a tile's counts to ``above`` and ``tied`` (the tile's rows, one language), int32;
        nothing is ever recomputed."""
        from mlbench.scoring import kernels

        queries = self.queries[tile.queries]
        by_column = self.passages[tile.passages].tocsc()
        own = rows.of(tile.queries)
        starts = rows.starts[tile.queries.start : tile.queries.stop + 1] - own.start
        kernels.count_sparse(
            queries.indptr, queries.indices, queries.data,
            rows.threshold[own], starts, rows.passage[own] - tile.passages.start,
            by_column.indptr, by_column.indices, by_column.data,
            by_column.shape[0], above, tied,
        )  # fmt: skip
        return 0


def error_bound(dimension: int) -> float:
    """Return c such that a float32 product differs from the exact score by at most c |q| |p|.

    A sum of d float32 products, added in any order and with or without fused multiply-adds,
    differs from its true value by at most gamma_d times the sum of the products' magnitudes,
    gamma_d = d u / (1 - d u), u = 2**-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.1), and that sum is at most |q| |p| (Cauchy-Schwarz). The second
    term covers the float64 score, norms and thresholds.
    """
    single, double = dimension * UNIT_ROUNDOFF_32, (dimension + 8) * UNIT_ROUNDOFF_64
    return single / (1 - single) + 4 * double / (1 - double)


def _largest_norm(vectors: Floats) -> float:
    """Return an upper bound of the rows' norms, within a part in a thousand of the largest.

    From float32 sums of squares where these neither overflow nor vanish, else from float64.
    """
    from mlbench.scoring import kernels

    square = float(kernels.largest_square(vectors))
    if 1e-30 < square < 1e30:
        return float(np.sqrt(square * (1 + 2 * vectors.shape[1] * UNIT_ROUNDOFF_32)))
    return float(kernels.norms(vectors).max(initial=0.0))


def _exponent(largest: float) -> int:
    """Return 0, or the power of two that brings an extreme norm near 1 (no float32 overflow)."""
    return int(np.frexp(largest)[1]) if largest and not 2.0**-40 < largest < 2.0**40 else 0


def _scaled(vectors: Floats, exponent: int) -> Floats:
    return np.ldexp(vectors, -exponent) if exponent else vectors


def memory_fault(need: int, allowed: int) -> Fault:
    """Say that scoring needs more memory than it is allowed."""
    return Fault(
        "memory",
        f"scoring needs {need / 2**20:.0f} MiB beside the vectors; {max(0, allowed) / 2**20:.0f} "
        "MiB are allowed",
        "room for the table and one small block a thread",
        "raise --memory or lower --threads",
    )
