"""From a collection and its vectors to the table of ranks, in canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlbench.collection import Collection, Entries
from mlbench.ranks import Ranks
from mlbench.scoring.counting import DEFAULT_LIMITS, Counts, Progress, count_outranking
from mlbench.scoring.products import Floats, Ints, Limits, Pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def relevant_pairs(
    collection: Collection,
) -> tuple[Pairs, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Return the pairs judged relevant, sorted by query and passage, and their relevance."""
    qrels = collection.qrels
    relevant = qrels.relevance > 0
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
    from mlbench.scoring import kernels

    query_ids, passage_ids = collection.queries.ids, collection.passages.ids
    query_language = collection.queries.language
    passage_language = collection.passages.language
    asked, begin = np.unique(pairs.query, return_index=True)
    order = kernels.row_order(
        np.append(begin, len(pairs.query)),
        np.argsort(_places(collection.queries)[asked]),
        counts.place,
        relevance,
        _places(collection.passages)[pairs.passage],
    )
    query, passage = pairs.query[order], pairs.passage[order]
    begin = np.flatnonzero(np.diff(query, prepend=-1))
    judged = np.flatnonzero(collection.judged)
    return Ranks(
        languages=collection.languages,
        pool_sizes=collection.passages.counts,
        judged=np.bincount(query_language[judged], minlength=len(collection.languages)),
        query_ids=tuple(query_ids[i] for i in query[begin]),
        query_groups=tuple(collection.queries.groups[i] for i in query[begin]),
        query_language=query_language[query[begin]],
        starts=np.append(begin, len(query)).astype(np.int64),
        passage_ids=tuple(map(passage_ids.__getitem__, passage.tolist())),
        passage_language=passage_language[passage],
        relevance=relevance[order],
        place=counts.place[order],
        above=counts.above[order],
        tied=counts.tied[order],
    )


def _places(entries: Entries) -> Ints:
    """Return the place of each entry when sorted by language and id (by code point)."""
    order = sorted(range(len(entries)), key=entries.ids.__getitem__)
    by_language = np.array(order)[np.argsort(entries.language[order], kind="stable")]
    places = np.empty(len(order), np.int64)
    places[by_language] = np.arange(len(order))
    return places
