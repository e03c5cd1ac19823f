"""Reranking: the first passages of each query in each language, put in another order.

The *candidates* of a query are, in each language that it searches, the first ``depth`` passages of
a first stage; of those that score alike, the ones that are not relevant go first, so that a tie at
the edge counts against the model. A reranker scores them again. In every pool, its candidates
stand above all other passages, in the order of the second scores, and the others keep the order of
the first. So a pool is a choice of columns of the table, as ever, and the first ``depth`` ranks of
every pool are the reranker's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench.data.collection import Collection, Qrels
from mlbench.ranking.counting import (
    Counts,
    Part,
    Progress,
    chosen,
    count_collection,
    exact_scores,
    parts_of,
    relevant_pairs,
    scorer_of,
    sorted_table,
)
from mlbench.ranking.products import Limits
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.tiles import Ints
from mlbench.ranking.topk import Best, Doubles, Searched, Top, best_of, query_rows, top_passages
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


class Ranked:
    """A collection ranked by a first stage, of which some passages were scored again.

    ``counts`` are those of its relevant pairs, as ``relevant_pairs`` gives them. ``vectors`` are
    those of its queries and passages; only the relevant ones are looked at.
    """

    def __init__(
        self,
        collection: Collection,
        vectors: tuple[Vectors, Vectors],
        counts: Counts,
        limits: Limits,
    ) -> None:
        self._collection, self._vectors, self._limits = collection, vectors, limits
        self._pairs, self._relevance = relevant_pairs(collection)
        self._counts = counts
        begin = np.flatnonzero(np.diff(self._pairs.query, prepend=-1))
        self.asked = self._pairs.query[begin]
        """The queries that have a relevant passage."""
        self._rows = np.append(begin, len(self._pairs.query)).astype(np.int64)

    def reranked(
        self, candidates: Candidates, scores: Floats, language: Ints | None = None
    ) -> Ranks:
        """Return the table after reranking; ``scores`` float32 (n,) are the candidates' second.

        ``language`` (n,) is needed where candidates are not all in the collection; those that are
        not may have any negative number.
        """
        from mlbench.ranking import rerank_kernels

        pairs = self._pairs
        cuts = np.searchsorted(candidates.query, np.append(self.asked, self.asked[-1] + 1))
        above, tied = (each.copy(order="F") for each in (self._counts.above, self._counts.tied))
        place = np.empty(len(pairs.query), np.int32)
        if language is None:
            language = self._collection.passages.language[candidates.passage].astype(np.int64)
        rerank_kernels.rerank(
            self._rows, pairs.passage, self._thresholds(), cuts, candidates.passage, language,
            candidates.scores, scores, place, above, tied,
        )  # fmt: skip
        counts = Counts(place, above, tied, self._counts.recomputed)
        return sorted_table(self._collection, pairs, self._relevance, counts)

    def _thresholds(self) -> Doubles:
        """Return the exact score of each relevant pair by the first stage."""
        queries, passages = self._vectors[0][self.asked], self._vectors[1]
        scorer = scorer_of(queries, passages, np.zeros(1, np.int64), self._limits)
        return exact_scores(scorer, self._rows, self._pairs.passage, self._limits.threads)


class FirstStage(Ranked):
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
        pairs, _ = relevant_pairs(collection)
        counts = count_collection(collection, vectors, pairs, limits, progress)
        super().__init__(collection, vectors, counts, limits)
        self.recomputed = counts.recomputed

    @cached_property
    def ranks(self) -> Ranks:
        """The table of the first stage."""
        return sorted_table(self._collection, self._pairs, self._relevance, self._counts)

    def candidates(self, depth: int, progress: Progress = lambda done: None) -> Candidates:
        """Return the candidates of every query that has a relevant passage; ``progress`` as for
        the first stage."""
        parts = [
            found
            for part in parts_of(self._collection)
            for found in _candidates(
                of_part(self._collection, part),
                (self._vectors[0][chosen(part.queries)], self._vectors[1][chosen(part.passages)]),
                part,
                depth,
                self._limits,
                progress,
            )
        ]
        query, passage, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(query, kind="stable")
        order = order[np.isin(query[order], self.asked)]
        return Candidates(query[order], passage[order], scores[order])


@dataclass(frozen=True)
class Rescored:
    """Candidates, ``depth`` of each query in each language, and their second scores ``again``
    float32 (n,)."""

    candidates: Candidates
    again: Floats
    depth: int

    def of_part(self, part: Part) -> Rescored:
        """Return those of some queries and passages, numbered as ``of_part`` numbers these."""
        query, passage = self.candidates.query, self.candidates.passage
        mine = np.isin(query, part.queries) & np.isin(passage, part.passages)
        found = Candidates(
            np.searchsorted(part.queries, query[mine]),
            np.searchsorted(part.passages, passage[mine]),
            self.candidates.scores[mine],
        )
        return Rescored(found, self.again[mine], self.depth)

    def top(self, searched: Searched, top: Top, pools: Sequence[int], length: int) -> Top:
        """Return the best ``length`` passages of pools after reranking.

        ``top`` has those of each language in the pools before it, ``depth`` and ``length`` at
        least. Candidates have their second scores, the others those of the first stage, lowered by
        one number for a query so that they stand below. Of equal ones ``Searched.keys`` decide. A
        query without candidates has no passages.
        """
        lists = {
            language: self._lists(searched, top.queries, passages, scores)
            for language, (passages, scores) in top.pools.items()
        }
        found = {}
        for pool in pools:
            mine = lists.values() if pool == searched.languages else [lists[pool]]
            chosen, rest = (best_of(each, length) for each in zip(*mine, strict=True))
            found[pool] = _one_below_the_other(searched, chosen, rest, length)
        return Top(top.queries, found)

    def _lists(
        self, searched: Searched, queries: slice, passages: Ints, scores: Doubles
    ) -> tuple[Best, Best]:
        """Return the candidates of a language by their second scores, and the others."""
        size = len(searched.place)
        rows = np.arange(queries.start, queries.stop)[:, None]
        code = rows * size + passages
        keys = searched.place[passages] + size * _values_at(
            code, searched.query * size + searched.passage, searched.relevance, 0
        ).astype(np.int64)
        known = self.candidates.query * size + self.candidates.passage
        order = np.argsort(known)
        again = _values_at(code, known[order], self.again[order].astype(np.float64), -np.inf)
        rest = np.where(passages >= 0, scores, -np.inf)
        cut = slice(None, self.depth), slice(self.depth, None)
        again[passages < 0] = -np.inf
        return (
            Best(again[:, cut[0]], keys[:, cut[0]]),
            Best(rest[:, cut[1]], keys[:, cut[1]]),
        )


def _values_at(codes: Ints, known: Ints, values: npt.NDArray[Any], other: float) -> Any:
    """Return the value of each code among ``known`` ones, which ascend, ``other`` where it is
    none of them."""
    if not len(known):
        return np.full(codes.shape, other, values.dtype)
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[place] == codes, values[place], values.dtype.type(other))


def _one_below_the_other(
    searched: Searched, chosen: Best, rest: Best, length: int
) -> tuple[Ints, Doubles]:
    """Return passages and scores (q, length), -1 and 0 where there are no more."""
    there = chosen.scores > -np.inf
    lowest = np.where(there, chosen.scores, np.inf).min(axis=1, initial=np.inf)
    highest = rest.scores[:, :1].max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        lower = np.where(there.any(axis=1) & (highest > -np.inf), lowest - highest - 1, -np.inf)
        scores = np.concatenate([chosen.scores, rest.scores + lower[:, None]], axis=1)
    keys = np.concatenate([chosen.keys, rest.keys], axis=1)
    order = np.argsort(~(scores > -np.inf), axis=1, kind="stable")[:, :length]
    scores, keys = (np.take_along_axis(each, order, 1) for each in (scores, keys))
    filled = scores > -np.inf
    width = ((0, 0), (0, length - scores.shape[1]))
    passages = np.where(filled, searched.by_place[keys % len(searched.place)], -1)
    return (
        np.pad(passages, width, constant_values=-1),
        np.pad(np.where(filled, scores, 0.0), width),
    )


def most_candidates(collection: Collection, depth: int) -> int:
    """Return how many candidates all queries have, of equal texts each one."""
    asked = collection.relevant_by_language.sum(axis=1) > 0
    return sum(
        int(asked[part.queries].sum()) * int(np.minimum(_sizes(collection, part), depth).sum())
        for part in parts_of(collection)
    )


def _sizes(collection: Collection, part: Part) -> Ints:
    """Return how many passages of a part each language has."""
    languages = collection.passages.language[part.passages]
    return np.bincount(languages, minlength=len(collection.languages))


def of_part(collection: Collection, part: Part) -> Collection:
    """Return the queries and passages of a part as a collection; all of it as it is."""
    everything = len(collection.queries), len(collection.passages)
    if (len(part.queries), len(part.passages)) == everything:
        return collection
    qrels = collection.qrels
    mine = np.isin(qrels.query, part.queries)
    return Collection(
        collection.languages,
        collection.queries.take(part.queries),
        collection.passages.take(part.passages),
        Qrels(
            np.searchsorted(part.queries, qrels.query[mine]),
            np.searchsorted(part.passages, qrels.passage[mine]),
            qrels.relevance[mine],
        ),
    )


def _candidates(
    collection: Collection,
    vectors: tuple[Vectors, Vectors],
    part: Part,
    depth: int,
    limits: Limits,
    progress: Progress,
) -> Iterator[tuple[Ints, Ints, Doubles]]:
    """Yield query, passage and exact score of candidates, numbered from ``starts`` on."""
    searched = Searched.of(collection, *vectors)
    pools = np.flatnonzero(collection.passages.counts).tolist()
    rows, size = query_rows(searched, depth, limits), len(collection.queries)
    blocks = ((slice(at, min(at + rows, size)), pools) for at in range(0, size, rows))
    for top in top_passages(searched, blocks, depth, limits, progress):
        for passages, scores in top.pools.values():
            there = passages >= 0
            query = np.nonzero(there)[0] + top.queries.start
            yield part.queries[query], part.passages[passages[there]], scores[there]
