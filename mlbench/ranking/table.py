"""From a collection and its vectors to the table of ranks, in canonical order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mlbench.data.collection import Collection, Entries
from mlbench.ranking.counting import DEFAULT_LIMITS, Counts, Progress, count_outranking
from mlbench.ranking.products import Counts32, Floats, Ints, Limits, Pairs
from mlbench.ranking.ranks import Ranks, first_of_runs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


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
    queries: Floats | csr_matrix,
    passages: Floats | csr_matrix,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = lambda done: None,
) -> tuple[Ranks, int]:
    """Score a collection: its table of ranks, and how many scores were recomputed exactly.

    ``queries`` and ``passages`` hold one vector an entry of the collection, in its order.
    """
    pairs, relevance = relevant_pairs(collection)
    counts = count_outranking(
        queries, passages, pairs, collection.passages.starts, limits, progress
    )
    return sorted_table(collection, pairs, relevance, counts), counts.recomputed


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
