"""The best passages of each query by exact score, found in blocks: never a matrix of all scores.

A fast product, whose distance from the exact score is bounded, tells which passages cannot be
among the best; the others are scored exactly. Sparse rows are scored exactly in any case. So the
lists are the same whatever the blocks, the number of threads and the machine.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mlbench.data.collection import Collection
from mlbench.ranking.counting import Scorer, relevant_pairs, scorer_of
from mlbench.ranking.nearest import Nearest, named
from mlbench.ranking.products import Bounded, Limits, Pairs
from mlbench.ranking.tiles import Ints
from mlbench.ranking.vectors import Vectors

Progress = Callable[[int], None]
Doubles = npt.NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")

QUERY_ROWS, PASSAGE_TILE, DEPTHS_A_TILE = 512, 2048, 8
"""Queries in a block, and passages in a tile: as many, or as many times the length of a list."""
BYTES_A_PAIR = 48
"""What a tile takes for each query and passage: scores, keys, and copies of both."""
FIRST_LOOK = 1024
"""Passages, at least, by which the first tile's float32 scores are cut off."""
LARGEST_NORM = 2.0**60
"""Beyond it a fast product may overflow, and every score is computed exactly."""
LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Searched:
    """Vectors and the order of equal scores.

    ``queries`` (nq, d) and ``passages`` (np, d) are Vectors of one kind. ``starts``
    (languages + 1,) cuts the passages by language. ``place`` (np,) is a
    permutation: of passages that score alike, the one of lower place goes first. The pairs
    (``query``, ``passage``), sorted by query, are relevant with ``relevance``, at least 1: a
    relevant passage goes after all of its score that are not, or that are less so.
    """

    queries: Vectors
    passages: Vectors
    starts: Ints
    place: Ints
    query: Ints
    passage: Ints
    relevance: npt.NDArray[np.int32]

    @classmethod
    def of(cls, collection: Collection, queries: Vectors, passages: Vectors) -> Searched:
        """Return what is searched, with equal scores by language and id, descending."""
        codes = [collection.languages[i] for i in collection.passages.language.tolist()]
        names = list(zip(codes, collection.passages.ids, strict=True))
        order = sorted(range(len(names)), key=names.__getitem__, reverse=True)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        pairs, relevance = relevant_pairs(collection)
        return cls(
            queries=queries,
            passages=passages,
            starts=collection.passages.starts,
            place=place,
            query=pairs.query,
            passage=pairs.passage,
            relevance=relevance,
        )

    @property
    def languages(self) -> int:
        """Number of languages of passages."""
        return len(self.starts) - 1

    @cached_property
    def by_place(self) -> Ints:
        """(np,) the passages in order of place."""
        return np.argsort(self.place)

    @cached_property
    def scorer(self) -> Scorer:
        """What scores them."""
        return scorer_of(self.queries, self.passages, self.starts)

    def keys(self, queries: slice, tile: slice) -> Ints:
        """Return what orders equal scores, ascending and distinct, for queries x passages: the
        place, raised by its relevance to the query."""
        shape = (queries.stop - queries.start, tile.stop - tile.start)
        keys = np.broadcast_to(self.place[tile], shape)
        own = slice(*np.searchsorted(self.query, [queries.start, queries.stop]).tolist())
        passage = self.passage[own]
        inside = (passage >= tile.start) & (passage < tile.stop)
        if inside.any():
            keys = keys.copy()
            cells = (self.query[own][inside] - queries.start, passage[inside] - tile.start)
            keys[cells] += self.relevance[own][inside].astype(np.int64) * len(self.place)
        return keys


@dataclass(frozen=True)
class Top:
    """The best passages of some queries (q,) in some pools, at most k of each.

    ``pools`` maps a language, or the number of languages for the pool of all, to passages int64
    (q, k), the best first and -1 where there are no more, and to their exact scores float64 (q, k).
    """

    queries: slice
    pools: dict[int, tuple[Ints, Doubles]]


class Best(NamedTuple):
    """Lists of passages (q, m): their exact scores float64, -inf where there is none, and their
    ``Searched.keys`` int64."""

    scores: Doubles
    keys: Ints


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
    from threadpoolctl import threadpool_limits

    def work(block: tuple[slice, Sequence[int]]) -> Top:
        return _top(searched, *block, depth)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(limits.threads) as pool:
        for top in _in_order(pool, work, blocks, limits.threads):
            progress((top.queries.stop - top.queries.start) * len(searched.place))
            yield top


def query_rows(searched: Searched, depth: int, limits: Limits) -> int:
    """Return how many queries a block may have so that all threads' lists and tiles fit."""
    lists = (searched.languages + 1) * depth * 32
    room = limits.memory // (2 * limits.threads)
    return int(min(max(room // (lists + BYTES_A_PAIR * _tile_size(depth)), 1), QUERY_ROWS))


def _tile_size(depth: int) -> int:
    return max(PASSAGE_TILE, DEPTHS_A_TILE * depth)


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


def _top(searched: Searched, queries: slice, pools: Sequence[int], depth: int) -> Top:
    """Search each pool; that of all languages by their lists, if these are there."""
    everything = searched.languages
    by_language = any(pool != everything for pool in pools)
    parts = range(everything) if by_language and everything in pools else pools
    lists = {part: search(searched, queries, part, depth) for part in parts}
    if everything in pools and by_language:
        lists[everything] = best_of(list(lists.values()), depth)
    found = {}
    for pool in pools:
        size, length = lists[pool].scores.shape
        there = lists[pool].scores > -np.inf
        passages = np.full((size, depth), -1, np.int64)
        scores = np.zeros((size, depth))
        known = searched.by_place[lists[pool].keys % len(searched.place)]
        passages[:, :length] = np.where(there, known, -1)
        scores[:, :length] = np.where(there, lists[pool].scores, 0.0)
        found[pool] = passages, scores
    return Top(queries, found)


def nearest_of(
    queries: Vectors,
    passages: Vectors,
    ids: Sequence[str],
    relevant: tuple[Pairs, npt.NDArray[np.int32]],
    best: Nearest,
    limits: Limits,
) -> Nearest:
    """Return the best passages of a piece that may be among the best of all.

    Those that score below the last one of ``best``, the lists so far, may be left out. ``relevant``
    are the pairs (query, row of ``passages``) that are judged relevant, sorted by query, and their
    relevance.
    """
    from threadpoolctl import threadpool_limits

    depth, size = best.scores.shape[1], len(ids)
    order = sorted(range(size), key=ids.__getitem__, reverse=True)
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    starts = np.array([0, size], np.int64)
    (pairs, relevance) = relevant
    searched = Searched(queries, passages, starts, place, pairs.query, pairs.passage, relevance)
    step, count = query_rows(searched, depth, limits), queries.shape[0]
    blocks = [slice(at, min(at + step, count)) for at in range(0, count, step)]

    def work(rows: slice) -> Best:
        return search(searched, rows, 0, depth, best.scores[rows, -1:])

    scores = np.full((count, depth), -np.inf)
    keys = np.zeros((count, depth), np.int64)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(limits.threads) as pool:
        for rows, found in zip(blocks, pool.map(work, blocks), strict=True):
            width = found.scores.shape[1]
            scores[rows, :width], keys[rows, :width] = found
    grades, number = np.divmod(keys, max(size, 1))
    return named(scores, grades.astype(np.int32), searched.by_place[number], ids)


def search(
    searched: Searched, queries: slice, pool: int, depth: int, floor: Doubles | None = None
) -> Best:
    """Return the best passages of a pool, tile by tile; what scores below ``floor`` (queries, 1)
    may be left out."""
    edges = searched.starts[[pool, pool + 1] if pool < searched.languages else [0, -1]].tolist()
    rows = queries.stop - queries.start
    best = Best(np.empty((rows, 0)), np.empty((rows, 0), np.int64))
    step = _tile_size(depth)
    for start in range(edges[0], edges[1], step):
        tile = slice(start, min(start + step, edges[1]))
        if isinstance(searched.scorer, Bounded):
            more = _bounded(searched, searched.scorer, queries, tile, best, depth, floor)
        else:
            more = _sparse(searched, queries, tile)
        best = best_of([best, more], depth)
    return best


def best_of(lists: Sequence[Best], depth: int) -> Best:
    """Return the best ``depth`` of several lists (q, m): by score, descending, then by key."""
    scores, keys = (np.concatenate(part, axis=1) for part in zip(*lists, strict=True))
    if scores.shape[1] > depth:
        chosen = _chosen(scores, keys, depth)
        scores, keys = (part[chosen].reshape(-1, depth) for part in (scores, keys))
    order = np.argsort(-scores, axis=1)
    falling = np.take_along_axis(scores, order, 1)
    tied = (falling[:, 1:] == falling[:, :-1]) & (falling[:, 1:] > -np.inf)
    rows = np.flatnonzero(tied.any(axis=1))
    order[rows] = np.lexsort((keys[rows], -scores[rows]), axis=-1)
    return Best(np.take_along_axis(scores, order, 1), np.take_along_axis(keys, order, 1))


def _chosen(scores: Doubles, keys: Ints, depth: int) -> npt.NDArray[np.bool_]:
    """Say which ``depth`` of more are the best of each row."""
    floor = _nth_largest(scores, depth)
    chosen: npt.NDArray[np.bool_] = scores >= floor
    rows = np.flatnonzero(chosen.sum(axis=1) > depth)
    if len(rows):  # of those that score as the last one does, the lowest keys are taken
        above, level = scores[rows] > floor[rows], scores[rows] == floor[rows]
        distinct = np.where(floor[rows] > -np.inf, keys[rows], np.arange(scores.shape[1]))
        named = np.where(level, distinct, LAST)
        lowest = np.sort(np.partition(named, depth - 1, axis=1)[:, :depth], axis=1)
        room = depth - above.sum(axis=1, keepdims=True)
        chosen[rows] = above | (level & (named <= np.take_along_axis(lowest, room - 1, 1)))
    return chosen


def _nth_largest(values: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return (rows, 1) the nth largest value of each row, from 1."""
    at = values.shape[1] - n
    return np.partition(values, at, axis=1)[:, at : at + 1]


def _bounded(
    searched: Searched,
    scorer: Bounded,
    queries: slice,
    tile: slice,
    best: Best,
    depth: int,
    least: Doubles | None = None,
) -> Best:
    """Return all passages of a tile that may be among the best ``depth``, scored exactly."""
    with np.errstate(over="ignore", invalid="ignore"):
        fast = scorer.product(queries, tile, 0)
        bound = _bound(scorer, queries, tile)
        first = fast[:, : max(FIRST_LOOK, 4 * depth)]
        floor = np.full((len(fast), 1), -np.inf)
        if best.scores.shape[1] == depth:
            floor = best.scores[:, -1:] - bound
        elif first.shape[1] > depth:
            floor = _nth_largest(first, depth) - 2 * bound
        if least is not None:
            floor = np.maximum(floor, least - bound)
        floor = np.where(np.isfinite(bound), floor, -np.inf).astype(np.float32)
        out = fast < np.nextafter(floor, np.float32(-np.inf))
    row, column = np.divmod(np.flatnonzero(~out), fast.shape[1])
    exact = scorer.exact(queries.start + row, tile.start + column)
    count = np.bincount(row, minlength=len(fast))
    at = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    scores = np.full((len(fast), int(count.max(initial=0))), -np.inf)
    keys = np.zeros(scores.shape, np.int64)
    scores[row, at], keys[row, at] = exact, searched.keys(queries, tile)[row, column]
    return Best(scores, keys)


def _bound(scorer: Bounded, queries: slice, tile: slice) -> Doubles:
    """Return (queries, 1) how far a fast score may be from the exact one."""
    norms, largest = scorer.norms[queries], scorer.largest_of(tile)
    share, more = scorer.errors(queries, largest)
    safe = (np.maximum(norms, largest) <= LARGEST_NORM) & (scorer.exponent == 0)
    return np.where(safe, share * norms * largest + more, np.inf)[:, None]


def _sparse(searched: Searched, queries: slice, tile: slice) -> Best:
    """Return all passages of a tile; the product adds in float64, by ascending column."""
    asked: Any = searched.queries[queries]
    passages: Any = searched.passages[tile]
    columns = passages.astype(np.float64).T.tocsr()
    exact: Doubles = (asked.astype(np.float64) @ columns).toarray()
    return Best(exact, searched.keys(queries, tile))
