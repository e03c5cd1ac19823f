"""Late interaction by the tile: the sum over a query's tokens of the best of a passage's tokens.

The products of all tokens of a tile are made in strips of passage tokens, which stay in cache while
their maxima are taken, so memory does not grow with the length of texts.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from mlbench.common.errors import EnvironmentFault
from mlbench.ranking.error_bounds import (
    UNIT_ROUNDOFF_32,
    UNIT_ROUNDOFF_64,
    Floats,
    error_bound,
    largest_norm,
    scaled,
    underflow_bound,
)
from mlbench.ranking.products import PASSAGE_TILE, SMALLEST_TILE, Bounded, Limits, memory_fault
from mlbench.ranking.tiles import Ints, Rows, Tile, cut_tiles, slices_by_language
from mlbench.ranking.vectors import TokenVectors

QUERY_TOKENS = 1024
"""Tokens of the queries of a tile, unless one query has more."""
STRIP = 512
"""Passage tokens that are multiplied at once."""


class MaxSim(Bounded):
    """Scores of texts of several vectors each; see ``kernels.maxsim``.

    A query's norm is here the sum of those of its tokens.
    """

    queries: TokenVectors
    passages: TokenVectors

    def __init__(self, queries: TokenVectors, passages: TokenVectors, passage_starts: Ints) -> None:
        self.queries, self.passages = queries, passages
        super().__init__(queries.vectors, passage_starts)
        self.norms = queries.sums(self.norms)

    def over(self, passages: TokenVectors, passage_starts: Ints) -> Self:
        """Return the same queries over other passages."""
        other = copy.copy(self)
        other.passages, other.starts, other.largest = passages, passage_starts, {}
        return other

    def tiles(self, rows: Rows, limits: Limits) -> list[Tile]:
        """Cut the work so that all threads' blocks stay within the memory allowed.

        Raises EnvironmentFault where even the smallest do not.
        """
        tokens, width = QUERY_TOKENS, PASSAGE_TILE
        while True:
            queries = slices_by_tokens(self.queries.starts, tokens)
            need = self._tile_bytes(queries, width) + self.count_bytes(rows, queries)
            if need * limits.threads <= limits.memory:
                break
            if max(tokens, width) <= SMALLEST_TILE:
                raise EnvironmentFault(memory_fault(need * limits.threads, limits.memory))
            tokens, width = max(tokens // 2, 1), max(width // 2, SMALLEST_TILE)
        return cut_tiles(queries, slices_by_language(self.starts, width), self.starts)

    def _tile_bytes(self, queries: list[slice], width: int) -> int:
        """Most bytes of a tile's scores, and of a strip of products with its maxima."""
        height = max((part.stop - part.start for part in queries), default=0)
        tokens = max((_size(self.queries.tokens(part)) for part in queries), default=0)
        return 4 * (height * width + (STRIP + 1) * tokens)

    def sides(self, queries: slice, passages: slice) -> tuple[Any, Any]:
        """Return some queries and passages as ``kernels.score`` takes them."""
        asked, others = self.queries[queries], self.passages[passages]
        return (asked.vectors, asked.starts), (others.vectors, others.starts)

    def longest(self, passages: slice) -> float:
        """Return an upper bound of the norms of some passages' tokens."""
        return largest_norm(self.passages[passages].vectors)

    def errors(self, queries: slice, bound: float) -> tuple[float, float]:
        """Return ``sum_error_bound`` for the longest of the queries, and its underflow."""
        dimension = self.queries.shape[1]
        tokens = int(self.queries.counts[queries].max(initial=0))
        return sum_error_bound(dimension, tokens), tokens * underflow_bound(dimension, bound)

    def product(self, queries: slice, passages: slice, exponent: int) -> Floats:
        """Return the sums of maxima of some queries and passages, float32."""
        height, width = queries.stop - queries.start, passages.stop - passages.start
        parts = slices_by_tokens(self.queries.starts, QUERY_TOKENS, queries)
        tokens = max((_size(self.queries.tokens(part)) for part in parts), default=0)
        block = self.block(height * width + (STRIP + 1) * tokens)
        scores, scratch = np.split(block, [height * width])
        scores = scores.reshape(height, width)
        for part in parts:
            rows = slice(part.start - queries.start, part.stop - queries.start)
            self._fill(scores[rows], scratch, part, passages, exponent)
        return scores

    def _fill(
        self, scores: Floats, scratch: Floats, queries: slice, passages: slice, exponent: int
    ) -> None:
        """Set the scores of some queries, strip by strip."""
        from mlbench.ranking import tile_kernels

        fast = self.fast[self.queries.tokens(queries)].T
        starts, asked_starts = self.passages.within(passages), self.queries.within(queries)
        others, tokens = self.passages.vectors[self.passages.tokens(passages)], fast.shape[1]
        best, strip = scratch[:tokens], scratch[tokens:]
        best[:] = -np.inf
        passage = 0
        for begin in range(0, len(others), STRIP):
            part = others[begin : begin + STRIP]
            block = strip[: len(part) * tokens].reshape(len(part), tokens)
            np.matmul(scaled(part, exponent), fast, out=block)
            passage = tile_kernels.add_maxima(
                block, begin, starts, asked_starts, best, passage, scores
            )


def sum_error_bound(dimension: int, tokens: int) -> float:
    """Return c such that a fast score differs from the exact one by at most c Q P, where Q is the
    sum of the norms of the query's ``tokens``, and P the largest norm of a passage's token.

    A maximum moves by no more than the largest of its arguments does. So that over a passage's
    tokens is off by at most ``error_bound`` |q| P for a query's token q, and the sum of m such
    maxima by ``error_bound`` Q P. Adding them in float64, in any order, on either side errs by
    gamma_m = m v / (1 - m v), v = 2**-53, times the sum of their magnitudes, at most
    (1 + ``error_bound``) Q P, and rounding the fast sum to float32 by 2**-24 of it. The last
    term covers these, as ``error_bound`` is below 1/2, and the sum of the norms themselves.
    """
    return error_bound(dimension) + 2 * UNIT_ROUNDOFF_32 + 8 * tokens * UNIT_ROUNDOFF_64


def slices_by_tokens(starts: Ints, most: int, texts: slice | None = None) -> list[slice]:
    """Cut texts, all or some contiguous ones, into parts of at most ``most`` tokens; a text that
    has more is a part of its own.

    >>> slices_by_tokens(np.array([0, 2, 4, 9, 10]), 4)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    first, last = (0, len(starts) - 1) if texts is None else (texts.start, texts.stop)
    parts = []
    while first < last:
        end = int(np.searchsorted(starts, starts[first] + most, "right")) - 1
        end = min(max(end, first + 1), last)
        parts.append(slice(first, end))
        first = end
    return parts


def _size(part: slice) -> int:
    return int(part.stop - part.start)
