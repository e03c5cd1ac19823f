"""From vectors to the table of outranking counts, in blocks, exactly.

A dense block is multiplied in float32 and counted on at once, while it is in cache; whatever
lies within the proven error bound of a float32 product is decided again by the exact score
(``kernels.score``). Sparse rows are scored exactly column by column. Both give the same integers
whatever the block shape, the number of threads and the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.threads import one_blas_thread
from mlbench.data.collection import Collection, Entries
from mlbench.data.task import IMAGE, Kind
from mlbench.ranking.maxsim import MaxSim
from mlbench.ranking.products import Bounded, Counts32, Dense, Limits, Pairs, Sparse
from mlbench.ranking.ranks import Ranks, first_of_runs
from mlbench.ranking.tiles import Bands, Ints, Rows, Tile
from mlbench.ranking.vectors import TokenVectors, Vectors

Progress = Callable[[int], None]
Scorer = Bounded | Sparse
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

    ``queries`` (nq, d) and ``relevant`` (m, d) are of one kind of Vectors;
    ``pairs.passage`` names rows of ``relevant``. Blocks may come in any order and any
    size: their counts add up to those of all passages at once.
    """

    def __init__(
        self,
        queries: Vectors,
        relevant: Vectors,
        pairs: Pairs,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        from mlbench.ranking import kernels

        begin = np.flatnonzero(np.diff(pairs.query, prepend=-1))
        if len(begin) < queries.shape[0]:
            queries = queries[pairs.query[begin]]
        self.limits = limits
        self.recomputed = 0
        self._scorer = scorer_of(queries, relevant, np.zeros(1, np.int64), limits)
        self._starts = np.append(begin, len(pairs.query)).astype(np.int64)
        self._threshold = exact_scores(self._scorer, self._starts, pairs.passage, limits.threads)
        self._bands: dict[tuple[int, int], Bands] = {}
        self.place: Counts32 = np.empty(len(pairs.query), np.int32)
        kernels.places(self._starts, self._threshold, self.place)

    def count(
        self,
        passages: Vectors,
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
        with one_blas_thread():
            self.recomputed += _count_tiles(scorer, rows, table, limits, progress)


def count_outranking(
    queries: Vectors,
    passages: Vectors,
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


def scorer_of(
    queries: Vectors, passages: Vectors, starts: Ints, limits: Limits = DEFAULT_LIMITS
) -> Scorer:
    """Return what scores these vectors, of one kind on both sides; ``starts`` cuts the passages by
    language."""
    tokens = isinstance(queries, TokenVectors)
    if not tokens and not isinstance(queries, np.ndarray):
        return Sparse(queries, passages, starts)
    here: type[Dense] | type[MaxSim] = MaxSim if tokens else Dense
    if limits.device == "cpu":
        return here(queries, passages, starts)
    from mlbench.ranking.products_torch import TorchDense, TorchMaxSim, gpu_at_hand

    there = TorchMaxSim if tokens else TorchDense
    if limits.device != "auto":
        return there(queries, passages, starts, limits.device)
    return (there if gpu_at_hand() else here)(queries, passages, starts)


def exact_scores(
    scorer: Scorer, starts: Ints, passage: Ints, threads: int
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
    scorer: Scorer,
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


def relevant_pairs(
    collection: Collection,
) -> tuple[Pairs, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Return the pairs judged relevant, sorted by query and passage, and their relevance."""
    qrels = collection.qrels
    relevant = qrels.relevance > 0
    if relevant.all():
        return Pairs(qrels.query, qrels.passage), qrels.relevance
    return Pairs(qrels.query[relevant], qrels.passage[relevant]), qrels.relevance[relevant]


def rank_collection(
    collection: Collection,
    queries: Vectors,
    passages: Vectors,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = lambda done: None,
) -> tuple[Ranks, int]:
    """Score a collection: its table of ranks, and how many scores were recomputed exactly.

    ``queries`` and ``passages`` hold one vector an entry of the collection, in its order.
    """
    pairs, relevance = relevant_pairs(collection)
    counts = count_collection(collection, (queries, passages), pairs, limits, progress)
    return sorted_table(collection, pairs, relevance, counts), counts.recomputed


def count_collection(
    collection: Collection,
    vectors: tuple[Vectors, Vectors],
    pairs: Pairs,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = lambda done: None,
) -> Counts:
    """Return the counts of a collection's relevant ``pairs``, from query and passage vectors."""
    if collection.pairs or collection.roles.between_modalities:
        return _count_parts(collection, vectors, pairs, limits, progress)
    return count_outranking(*vectors, pairs, collection.passages.starts, limits, progress)


class Part(NamedTuple):
    """Queries and passages that search and are searched among themselves alone: ``queries`` and
    ``passages`` int64, ascending, by language."""

    queries: Ints
    passages: Ints


def parts_of(collection: Collection) -> Iterator[Part]:
    """Yield the parts of a collection that share no score: of pairs one a side, of images and texts
    that search each other one a direction, else everything."""
    asked, searched = (np.arange(len(e)) for e in (collection.queries, collection.passages))
    if collection.pairs:
        for setting in collection.roles.settings([Kind.CROSSLINGUAL]):
            yield Part(asked[collection.asked(setting)], searched[collection.searched(setting)])
    elif collection.roles.between_modalities:
        image = np.array([code == IMAGE for code in collection.languages])
        of_query, of_passage = (
            image[entries.language] for entries in (collection.queries, collection.passages)
        )
        yield Part(asked[~of_query], searched[of_passage])
        yield Part(asked[of_query], searched[~of_passage])
    else:
        yield Part(asked, searched)


def chosen(entries: Ints) -> slice | Ints:
    """Return entries, ascending, as a slice if nothing is between them: vectors are not copied."""
    if len(entries) and entries[-1] - entries[0] + 1 == len(entries):
        return slice(int(entries[0]), int(entries[-1]) + 1)
    return entries


def _count_parts(
    collection: Collection,
    vectors: tuple[Vectors, Vectors],
    pairs: Pairs,
    limits: Limits,
    progress: Progress,
) -> Counts:
    """Count the queries of each part against its passages alone."""
    shape = (len(pairs.query), len(collection.languages))
    above, tied = (np.zeros(shape, np.int32, order="F") for _ in range(2))
    place, recomputed = np.empty(len(pairs.query), np.int32), 0
    for part in parts_of(collection):
        rows = np.flatnonzero(np.isin(pairs.query, part.queries))
        if not len(rows):
            continue
        own = Pairs(
            np.searchsorted(part.queries, pairs.query[rows]),
            np.searchsorted(part.passages, pairs.passage[rows]),
        )
        columns, begin = np.unique(collection.passages.language[part.passages], return_index=True)
        counts = count_outranking(
            vectors[0][chosen(part.queries)],
            vectors[1][chosen(part.passages)],
            own,
            np.append(begin, len(part.passages)).astype(np.int64),
            limits,
            progress,
        )
        place[rows] = counts.place
        for number, column in enumerate(columns.tolist()):
            above[rows, column] = counts.above[:, number]
            tied[rows, column] = counts.tied[:, number]
        recomputed += counts.recomputed
    return Counts(place, above, tied, recomputed)


def comparisons(collection: Collection) -> int:
    """Return how many scores (query x passage) a table of a collection takes."""
    return sum(len(part.queries) * len(part.passages) for part in parts_of(collection))


def sorted_table(
    collection: Collection,
    pairs: Pairs,
    relevance: np.ndarray[tuple[int], np.dtype[np.int32]],
    counts: Counts,
) -> Ranks:
    """Return the table of counted pairs, its rows sorted by query language, query id, place,
    relevance, passage language and passage id."""
    from mlbench.ranking import kernels

    queries, passages = collection.queries, collection.passages
    begin = first_of_runs(pairs.query)
    asked = pairs.query[begin]
    by_name = np.argsort(_places(queries)[asked])
    starts = np.append(begin, len(pairs.query))
    order = kernels.row_order(
        starts, by_name, counts.place, relevance, _places(passages)[pairs.passage]
    )
    asked, passage = asked[by_name], pairs.passage[order]
    judged = np.flatnonzero(collection.judged)
    return Ranks(
        languages=collection.languages,
        pool_sizes=passages.counts,
        judged=np.bincount(queries.language[judged], minlength=len(collection.languages)),
        query_ids=_chosen(queries.ids, asked),
        query_groups=_chosen(queries.groups, asked),
        query_language=queries.language[asked],
        starts=np.append(0, np.cumsum(np.diff(starts)[by_name])),
        passage_ids=_chosen(passages.ids, passage),
        passage_language=passages.language[passage],
        relevance=relevance[order],
        place=counts.place[order],
        above=_rows(counts.above, order),
        tied=_rows(counts.tied, order),
        pairs=collection.sizes(),
    )


def _chosen(names: tuple[str, ...], index: Ints) -> tuple[str, ...]:
    return tuple(np.array(names, object)[index].tolist())


def _rows(counts: Counts32, order: Ints) -> Counts32:
    """Return the rows of a table in that order; memory that nothing is in is left untouched."""
    from mlbench.ranking import kernels

    chosen = np.zeros(counts.shape, np.int32)
    if counts.any():
        kernels.choose_rows(counts, order, chosen)
    return chosen


def _places(entries: Entries) -> Ints:
    """Return the place of each entry when sorted by language and id (by code point)."""
    places = np.empty(len(entries), np.int64)
    for first, last in pairwise(entries.starts.tolist()):
        by_id = sorted(range(first, last), key=entries.ids.__getitem__)
        places[by_id] = np.arange(first, last)
    return places
