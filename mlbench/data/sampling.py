"""A deterministic sample of a collection's questions, for a quick gate."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from mlbench.common.errors import Fault, UsageError
from mlbench.data.collection import Collection, Qrels


def sample_questions(collection: Collection, count: int | None) -> Collection:
    """Return the collection with ``count`` of its judged question ids, in every language they have.

    The ids with the least SHA-256, so the same for every model and a part of every larger sample.
    All passages stay. None, or as many as there are, is the whole collection. Raises UsageError
    where a language would be left without a question.
    """
    ids = collection.queries.ids
    judged = sorted({ids[query] for query in np.flatnonzero(collection.judged)}, key=_place)
    if count is None or count >= len(judged):
        return collection
    chosen = set(judged[:count])
    kept = np.array([i for i, id_ in enumerate(ids) if id_ in chosen], np.int64)
    queries = collection.queries.take(kept)
    empty = [c for c, size in zip(collection.languages, queries.counts, strict=True) if not size]
    if empty:
        raise UsageError(
            Fault(
                f"--sample-questions {count}",
                f"no question left in {', '.join(empty)}",
                "at least one in every language",
                "ask for more questions",
            )
        )
    number = np.full(len(ids), -1, np.int64)
    number[kept] = np.arange(len(kept))
    qrels = collection.qrels
    inside = number[qrels.query] >= 0
    qrels = Qrels(number[qrels.query[inside]], qrels.passage[inside], qrels.relevance[inside])
    absent = collection.absent
    if absent is not None:
        absent = absent.of_queries(number)
    return replace(collection, queries=queries, qrels=qrels, sample=count, absent=absent)


def sample_warnings(collection: Collection) -> tuple[str, ...]:
    """Return what a reader of a sample's scores must know; nothing for a whole collection."""
    if collection.sample is None:
        return ()
    return (
        f"scores of a sample of {collection.sample:,} questions, for a quick check: they cannot be "
        "compared with scores of the whole task, and cannot enter a leaderboard",
    )


def _place(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()
