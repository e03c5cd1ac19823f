"""The compiled inner loops of dense scoring: counting a tile of fast scores, exactly, and making
those of texts of several vectors from products of their tokens.

A query's fast scores are put into bins, the same 16-bit grid for its scores and for the edges of
its thresholds' error bands, so that a vector instruction compares twice as many. The grid is
monotone: a score in a bin below that of a band's lower edge is below the edge, one in a bin above
that of the upper edge is above it. So the bins decide nearly all, the fast scores some of the
rest, and ``kernels.score`` what lies within the band.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from mlbench.ranking.kernels import AHEAD, LANES, expect, expect_passage, jit, score

EDGE = np.dtype(
    [("score", "f8"), ("low", "f4"), ("high", "f4"), ("bottom", "u2"), ("reach", "u2")], align=True
)
"""A threshold: its exact score, its band in fast scores, the band's lowest bin, and how many bins
more the band reaches over."""
GRID = np.dtype([("middle", "f4"), ("scale", "f4")])
"""How the fast scores of a query are put into bins."""
DOUBT = np.dtype([("query", "i4"), ("row", "i4"), ("passage", "i4"), ("language", "i4")])
"""A passage within a threshold's band."""

BINS, BAND_BINS = np.float32(16383), np.float32(15000)
PADDING = np.uint16(2**16 - 16384)
STEP = 128
MOST_WHOLE = 2.0**15 - 2
"""What int16 holds, but for the number that stands for a relevant passage."""
MOST_SCALE = np.float32(2.0**100)
MOST_DOUBTS = 512
_inline = numba.njit(nogil=True, inline="always")


@_inline
def _bin(score: Any, middle: Any, scale: Any) -> Any:
    """Return the bin of a fast score: -16383 to 16383, in two's complement, monotone."""
    return np.uint16(np.int16(min(max((score - middle) * scale, -BINS), BINS)))


@jit
def set_edges(
    threshold: Any, rows: Any, largest: Any, error: Any, least: Any, factor: Any,
    edges: Any, grid: Any,
) -> None:  # fmt: skip
    """Fill ``edges`` (thresholds,) and ``grid`` (queries,) for tiles of some queries.

    Query i owns the exact scores ``threshold[rows[i]:rows[i + 1]]``; times ``factor``, a power of
    two, they are on the scale of the fast scores. ``largest[i]`` bounds the query's scores on that
    scale; a fast score is off by at most ``error`` times that plus ``least``. A threshold beyond
    all scores is moved to where it still is.
    """
    for i in range(rows.shape[0] - 1):
        band = error * largest[i] + least
        first, last = np.float32(np.inf), np.float32(-np.inf)
        for r in range(rows[i], rows[i + 1]):
            score = min(max(threshold[r] * factor, -2 * largest[i]), 2 * largest[i])
            low = np.nextafter(np.float32(score - band), np.float32(-np.inf))
            high = np.nextafter(np.float32(score + band), np.float32(np.inf))
            edges[r].score, edges[r].low, edges[r].high = threshold[r], low, high
            first, last = min(first, low), max(last, high)
        middle = (first + last) * np.float32(0.5)
        scale = min(BAND_BINS / ((last - first) * np.float32(0.5)), MOST_SCALE)
        grid[i].middle, grid[i].scale = middle, scale
        for r in range(rows[i], rows[i + 1]):
            edges[r].bottom = _bin(edges[r].low, middle, scale)
            edges[r].reach = _bin(edges[r].high, middle, scale) - edges[r].bottom


@jit
def count_tile(
    scores: Any, edges: Any, grid: Any, rows: Any, relevant: Any, begin: Any, segments: Any,
    queries: Any, passages: Any, above: Any, tied: Any,
) -> Any:  # fmt: skip
    """Count, for each threshold of each query of a tile, the passages above it and level with it.

    ``scores`` is the fast float32 product (queries x passages of the tile), finite, contiguous,
    and is altered. Query i owns the thresholds ``rows[i]:rows[i + 1]`` of ``edges``, the scores
    of its relevant passages, which ``relevant`` names; those in the tile, whose first passage is
    ``begin``, are left out. ``segments`` (k + 1,) cuts the tile's passages, at most 2**15, by
    language. ``queries`` and ``passages`` are the tile's, as ``kernels.score`` takes them.
    ``above`` and ``tied`` (thresholds, k) int32 are added to. Returns how many scores were
    recomputed.

    With each threshold a share of the next scores (as many as these, padded) is asked for, so that
    they are there when the last threshold is done: all at once they would wait for each other.
    """
    room = (scores.shape[1] + STEP - 1) // STEP * STEP
    bins, near = np.empty(room, np.uint16), np.zeros(room, np.bool_)
    words, found = near.view(np.uint64), np.empty(room, np.int64)
    flat = scores.reshape(scores.size)
    chunks = np.zeros(room // STEP, np.bool_)
    doubts = np.empty(max(MOST_DOUBTS, np.max(rows[1:] - rows[:-1])), DOUBT)
    doubted = recomputed = 0
    for i in range(scores.shape[0]):
        own = range(rows[i], rows[i + 1])
        for r in own:
            if begin <= relevant[r] < begin + scores.shape[1]:
                scores[i, relevant[r] - begin] = -np.inf
        for language in range(segments.shape[0] - 1):
            first = segments[language]
            block = scores[i, first : segments[language + 1]]
            size = _fill(bins, block, grid[i].middle, grid[i].scale)
            next_ = i * scores.shape[1] + segments[language + 1]
            share = (size + len(own) - 1) // max(len(own), 1)
            for r in own:
                expect(flat[next_ : next_ + share])
                next_ += share
                reached, nearest = _count(bins[:size], edges[r].bottom)
                above[r, language] += reached
                if nearest <= edges[r].reach:
                    _mark(bins[:size], edges[r].bottom, edges[r].reach, near, chunks)
            for p in found[: _collect(chunks, near, words, found)]:
                if doubted + len(own) > doubts.shape[0]:
                    decided = doubts[:doubted]
                    recomputed += _decide(decided, edges, queries, passages, above, tied)
                    doubted = 0
                for r in own:
                    if _over(bins[p], edges[r].bottom) > edges[r].reach:
                        continue
                    if block[p] > edges[r].high:
                        continue
                    above[r, language] -= 1
                    if block[p] >= edges[r].low:
                        doubt = doubts[doubted]
                        doubt.query, doubt.row = i, r
                        doubt.passage, doubt.language = first + p, language
                        doubted += 1
    return recomputed + _decide(doubts[:doubted], edges, queries, passages, above, tied)


@jit
def count_whole(
    scores: Any, threshold: Any, rows: Any, relevant: Any, begin: Any, segments: Any, above: Any,
    tied: Any,
) -> None:  # fmt: skip
    """As ``count_tile``, where fast scores are exact: whole numbers of at most MOST_WHOLE.

    Query i owns the exact scores ``threshold[rows[i]:rows[i + 1]]``. Scores level with one need no
    second look then, however many there are.
    """
    whole = np.empty(scores.shape[1], np.int16)
    for i in range(scores.shape[0]):
        for p in range(scores.shape[1]):
            whole[p] = np.int16(scores[i, p])
        for r in range(rows[i], rows[i + 1]):
            if begin <= relevant[r] < begin + scores.shape[1]:
                whole[relevant[r] - begin] = np.int16(-(2**15))
        for language in range(segments.shape[0] - 1):
            block = whole[segments[language] : segments[language + 1]]
            for r in range(rows[i], rows[i + 1]):
                over, level = _count_whole(block, np.int16(threshold[r]))
                above[r, language] += over
                tied[r, language] += level


@_inline
def _count_whole(block: Any, threshold: Any) -> Any:
    """Return how many numbers, of at most 2**15, are above a threshold and how many equal it."""
    over, level = np.uint16(0), np.uint16(0)
    for p in range(block.shape[0]):
        over = np.uint16(over + np.uint16(block[p] > threshold))
        level = np.uint16(level + np.uint16(block[p] == threshold))
    return np.int32(over), np.int32(level)


@_inline
def _over(bin_: Any, bottom: Any) -> Any:
    """Return how far a bin is over ``bottom``, 2**15 and more where it is under it."""
    return np.uint16(bin_ - bottom)


@_inline
def _fill(bins: Any, block: Any, middle: Any, scale: Any) -> Any:
    """Put scores into bins, then padding that is below every band; return how many in all."""
    size = (block.shape[0] + STEP - 1) // STEP * STEP
    bins[max(size - STEP, 0) : size] = PADDING
    for p in range(block.shape[0]):
        bins[p] = _bin(block[p], middle, scale)
    return size


@_inline
def _count(bins: Any, bottom: Any) -> Any:
    """Return how many bins reach ``bottom``, and how little they are over it at least."""
    under, nearest = np.uint16(0), np.uint16(2**16 - 1)
    for p in range(bins.shape[0]):
        over = _over(bins[p], bottom)
        under = np.uint16(under + np.uint16(over >> np.uint16(15)))
        nearest = min(nearest, over)
    return np.int32(bins.shape[0]) - np.int32(under), nearest


@_inline
def _mark(bins: Any, bottom: Any, reach: Any, near: Any, chunks: Any) -> None:
    """Mark also the bins over ``bottom`` by no more than ``reach``, and the chunks with any."""
    for chunk in range(bins.shape[0] // STEP):
        nearest = np.uint16(2**16 - 1)
        for p in range(chunk * STEP, chunk * STEP + STEP):
            nearest = min(nearest, _over(bins[p], bottom))
        if nearest <= reach:
            chunks[chunk] = True
            for p in range(chunk * STEP, chunk * STEP + STEP):
                near[p] |= _over(bins[p], bottom) <= reach


@_inline
def _collect(chunks: Any, near: Any, words: Any, found: Any) -> Any:
    """Move the places of what is marked to ``found``, unmark it, and return how many there are.

    ``words`` are the eights of ``near``.
    """
    count = 0
    for chunk in range(chunks.shape[0]):
        if chunks[chunk]:
            chunks[chunk] = False
            for word in range(chunk * STEP // 8, (chunk + 1) * STEP // 8):
                if words[word]:
                    for p in range(8 * word, 8 * word + 8):
                        found[count] = p
                        count += near[p]
                    words[word] = 0
    return count


@jit
def _decide(doubts: Any, edges: Any, queries: Any, passages: Any, above: Any, tied: Any) -> Any:
    """Count passages in doubt by their exact scores; return how many scores that took."""
    recomputed = 0
    exact = 0.0
    lanes = np.empty(LANES)
    for k in range(doubts.shape[0]):
        doubt = doubts[k]
        if k + AHEAD < doubts.shape[0]:
            expect_passage(passages, doubts[k + AHEAD].passage)
        last = doubts[max(k - 1, 0)]
        if k == 0 or doubt.passage != last.passage or doubt.query != last.query:
            exact = score(queries, doubt.query, passages, doubt.passage, lanes)
            recomputed += 1
        threshold = edges[doubt.row].score
        above[doubt.row, doubt.language] += np.int32(exact > threshold)
        tied[doubt.row, doubt.language] += np.int32(exact == threshold)
    return recomputed


@jit
def add_maxima(
    block: Any, begin: Any, starts: Any, query_starts: Any, best: Any, passage: Any, scores: Any
) -> Any:
    """Take in products of some passage tokens with all query tokens of a tile, and set the fast
    scores of those passages that end among them. Returns the passage that the next token is of.

    ``block`` (k, query tokens) float32 are the rows from ``begin`` on of the tile's passage tokens,
    which ``starts`` (passages + 1,) cuts into passages; the first is of ``passage``.
    ``query_starts`` (queries + 1,) cuts the columns by query. ``best`` (query tokens,) float32 is
    the maximum over the tokens of ``passage`` so far, -inf for none. A query's maxima are added in
    float64, and the sum rounded into ``scores`` (queries, passages) float32.
    """
    row = 0
    while row < block.shape[0]:
        end = min(starts[passage + 1] - begin, block.shape[0])
        while row + 4 <= end:
            a, b, c, d = block[row], block[row + 1], block[row + 2], block[row + 3]
            for k in range(best.shape[0]):
                best[k] = max(best[k], a[k], b[k], c[k], d[k])
            row += 4
        while row < end:
            a = block[row]
            for k in range(best.shape[0]):
                best[k] = max(best[k], a[k])
            row += 1
        if begin + row == starts[passage + 1]:
            for i in range(query_starts.shape[0] - 1):
                total = 0.0
                for k in range(query_starts[i], query_starts[i + 1]):
                    total += np.float64(best[k])
                scores[i, passage] = total
            best[:] = -np.inf
            passage += 1
    return passage
