"""Reranking: the first passages of each query in each language, put in another order.

The *candidates* of a query are, in each language that it searches, the first ``depth`` passages of
a first stage; of those that score alike, the ones that are not relevant go first, so that a tie at
the edge counts against the model. A reranker scores them again. In every pool, its candidates
stand above all other passages, in the order of the second scores, and the others keep the order of
the first. So a pool is a choice of columns of the table, as ever, and the first ``depth`` ranks of
every pool are the reranker's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlbench.data.collection import Collection, Qrels
from mlbench.data.task import Kind
from mlbench.ranking.counting import (
    Counts,
    Progress,
    count_collection,
    exact_scores,
    relevant_pairs,
    scorer_of,
    sorted_table,
)
from mlbench.ranking.products import Ints, Limits
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.topk import Doubles, Searched, query_rows, top_passages
from mlbench.ranking.vectors import Vectors

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """What is to be scored again: ``query`` and ``passage`` int64 (n,), by query and language, the
    best first, and their exact ``scores`` of the first stage, float64 (n,)."""

    query: Ints
    passage: Ints
    scores: Doubles

    def __len__(self) -> int:
        return len(self.query)


class FirstStage:
    """A collection ranked by vectors, one an entry in its order, of which the first passages are to
    be put in another order.

    ``recomputed`` is how many scores were decided by the exact product. ``progress`` is told of the
    query x passage pairs done, of ``comparisons(collection)``.
    """

    def __init__(
        self,
        collection: Collection,
        vectors: tuple[Vectors, Vectors],
        limits: Limits,
        progress: Progress = lambda done: None,
    ) -> None:
        self._collection, self._vectors, self._limits = collection, vectors, limits
        self._pairs, self._relevance = relevant_pairs(collection)
        self._counts = count_collection(collection, vectors, self._pairs, limits, progress)
        self.recomputed = self._counts.recomputed
        begin = np.flatnonzero(np.diff(self._pairs.query, prepend=-1))
        self._asked = self._pairs.query[begin]
        self._rows = np.append(begin, len(self._pairs.query)).astype(np.int64)

    @cached_property
    def ranks(self) -> Ranks:
        """The table of the first stage."""
        return sorted_table(self._collection, self._pairs, self._relevance, self._counts)

    def candidates(self, depth: int, progress: Progress = lambda done: None) -> Candidates:
        """Return the candidates of every query that has a relevant passage; ``progress`` as for
        the first stage."""
        parts = [
            found
            for part, queries, passages in _parts(self._collection)
            for found in _candidates(
                part,
                (self._vectors[0][queries], self._vectors[1][passages]),
                (queries.start, passages.start),
                depth,
                self._limits,
                progress,
            )
        ]
        query, passage, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(query, kind="stable")
        order = order[np.isin(query[order], self._asked)]
        return Candidates(query[order], passage[order], scores[order])

    def reranked(self, candidates: Candidates, scores: Floats) -> Ranks:
        """Return the table after reranking; ``scores`` float32 (n,) are the candidates' second."""
        from mlbench.ranking import rerank_kernels

        pairs = self._pairs
        cuts = np.searchsorted(candidates.query, np.append(self._asked, self._asked[-1] + 1))
        above, tied = (each.copy(order="F") for each in (self._counts.above, self._counts.tied))
        place = np.empty(len(pairs.query), np.int32)
        language = self._collection.passages.language[candidates.passage]
        rerank_kernels.rerank(
            self._rows, pairs.passage, self._thresholds(), cuts, candidates.passage, language,
            candidates.scores, scores, place, above, tied,
        )  # fmt: skip
        counts = Counts(place, above, tied, self.recomputed)
        return sorted_table(self._collection, pairs, self._relevance, counts)

    def _thresholds(self) -> Doubles:
        """Return the exact score of each relevant pair by the first stage."""
        queries, passages = self._vectors[0][self._asked], self._vectors[1]
        scorer = scorer_of(queries, passages, np.zeros(1, np.int64), self._limits)
        return exact_scores(scorer, self._rows, self._pairs.passage, self._limits.threads)


def most_candidates(collection: Collection, depth: int) -> int:
    """Return how many candidates all queries have, of equal texts each one."""
    asked = collection.relevant_by_language.sum(axis=1) > 0
    return sum(
        int(asked[queries].sum()) * int(np.minimum(part.passages.counts, depth).sum())
        for part, queries, _ in _parts(collection)
    )


def _parts(collection: Collection) -> Iterator[tuple[Collection, slice, slice]]:
    """Yield the collections that share no pool, and where their queries and passages are."""
    if not collection.pairs:
        yield collection, slice(0, len(collection.queries)), slice(0, len(collection.passages))
        return
    for setting in collection.roles.settings([Kind.CROSSLINGUAL]):
        asked, pool = collection.asked(setting), collection.searched(setting)
        yield of_pair(collection, asked, pool), asked, pool


def of_pair(collection: Collection, asked: slice, pool: slice) -> Collection:
    """Return the queries of one side of a pair with the passages of the other."""
    qrels = collection.qrels
    mine = (qrels.query >= asked.start) & (qrels.query < asked.stop)
    return Collection(
        collection.languages,
        collection.queries.take(np.arange(asked.start, asked.stop)),
        collection.passages.take(np.arange(pool.start, pool.stop)),
        Qrels(
            qrels.query[mine] - asked.start, qrels.passage[mine] - pool.start, qrels.relevance[mine]
        ),
    )


def _candidates(
    part: Collection,
    vectors: tuple[Vectors, Vectors],
    starts: tuple[int, int],
    depth: int,
    limits: Limits,
    progress: Progress,
) -> Iterator[tuple[Ints, Ints, Doubles]]:
    """Yield query, passage and exact score of candidates, numbered from ``starts`` on."""
    searched = Searched.of(part, *vectors)
    pools = np.flatnonzero(part.passages.counts).tolist()
    rows, size = query_rows(searched, depth, limits), len(part.queries)
    blocks = ((slice(at, min(at + rows, size)), pools) for at in range(0, size, rows))
    for top in top_passages(searched, blocks, depth, limits, progress):
        for passages, scores in top.pools.values():
            there = passages >= 0
            query = np.nonzero(there)[0] + top.queries.start
            yield query + starts[0], passages[there] + starts[1], scores[there]
