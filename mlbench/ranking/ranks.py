"""Ranks: the table of outranking counts from which every score is derived.

For a query q, a passage r relevant to it and a passage language l the table holds

    above[q, r, l] = number of non-relevant passages in l that score strictly higher than r
    tied [q, r, l] = number of non-relevant passages in l that score exactly as r does

and ``place``, where r stands among q's own relevant passages. A pool is a choice of columns:
its ranks are the position among the pool's relevant passages plus the summed counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.data.task import PairSizes, Roles

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """The ranks of the relevant passages of queries, of one language or of several, in one pool.

    Rows are grouped by query and ascend in rank. n queries have a relevant passage in the pool,
    with m rows in all.
    """

    query: Ints
    """(n,) index of each query in ``Ranks.query_ids``."""
    starts: Ints
    """(n + 1,) query i owns the rows ``starts[i]:starts[i + 1]``, at least one."""
    rank: Ints
    """(m,) rank of each relevant passage in the pool, from 1."""
    grade: npt.NDArray[np.int32]
    """(m,) its relevance, at least 1."""
    row: Ints
    """(m,) its row in the table."""
    pool_size: int
    """Number of passages in the pool."""
    excluded: int
    """Judged queries of these languages without a relevant passage in the pool."""

    @cached_property
    def owner(self) -> Ints:
        """(m,) which of the n queries a row belongs to."""
        return np.repeat(np.arange(len(self.query)), np.diff(self.starts))

    @cached_property
    def position(self) -> Ints:
        """(m,) 1 for a query's highest relevant passage, 2 for its next, ..."""
        return np.arange(len(self.rank)) - self.starts[self.owner] + 1

    @cached_property
    def relevant(self) -> Ints:
        """(n,) number of relevant passages of each query in the pool."""
        return np.diff(self.starts)

    def sum(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Sum ``values`` (m,) over the rows of each query, in rank order: float64 (n,).

        Where each query has one row, these are ``values`` themselves.
        """
        if len(self.rank) == len(self.query):
            return np.asarray(values, np.float64)
        sums: npt.NDArray[np.float64] = np.bincount(
            self.owner, np.asarray(values, np.float64), len(self.query)
        ).astype(np.float64)
        return sums

    def part(self, first: int, last: int) -> Ranking:
        """Return the queries whose index in ``Ranks.query_ids`` is from ``first``, below ``last``.

        ``excluded`` stays as it is.
        """
        begin, end = np.searchsorted(self.query, [first, last]).tolist()
        starts = self.starts[begin : end + 1]
        rows = slice(int(starts[0]), int(starts[-1]))
        return replace(
            self,
            query=self.query[begin:end],
            starts=starts - rows.start,
            rank=self.rank[rows],
            grade=self.grade[rows],
            row=self.row[rows],
        )

    @classmethod
    def joined(cls, rankings: Sequence[Ranking]) -> Ranking:
        """Return the queries of several rankings in the same pool as one ranking."""
        offsets = np.cumsum([0, *(len(ranking.rank) for ranking in rankings)])
        starts = [
            ranking.starts[:-1] + offset
            for ranking, offset in zip(rankings, offsets[:-1], strict=True)
        ]
        return cls(
            query=np.concatenate([ranking.query for ranking in rankings]),
            starts=np.append(np.concatenate(starts), offsets[-1]),
            rank=np.concatenate([ranking.rank for ranking in rankings]),
            grade=np.concatenate([ranking.grade for ranking in rankings]),
            row=np.concatenate([ranking.row for ranking in rankings]),
            pool_size=rankings[0].pool_size,
            excluded=sum(ranking.excluded for ranking in rankings),
        )


def first_of_runs(values: Ints) -> Ints:
    """Return where each run of equal values begins."""
    first = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return np.flatnonzero(first)


@dataclass(frozen=True, repr=False)
class Ranks:
    """The table, with what is needed to name its rows.

    Queries are sorted by language and id; rows by query, place, relevance, passage language and
    passage id. Only queries with a relevant passage have rows; ``judged`` counts the others too.
    """

    languages: tuple[str, ...]
    pool_sizes: Ints
    """(languages,) passages of each language."""
    judged: Ints
    """(languages,) queries of each language with at least one judgement."""
    query_ids: tuple[str, ...]
    query_groups: tuple[str, ...]
    """Paragraph or article each query comes from, "" where unknown."""
    query_language: npt.NDArray[np.int16]
    starts: Ints
    """(queries + 1,) query i owns the rows ``starts[i]:starts[i + 1]``."""
    passage_ids: tuple[str, ...]
    passage_language: npt.NDArray[np.int16]
    relevance: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    """(rows,) 1 + the number of the query's relevant passages that score strictly higher."""
    above: npt.NDArray[np.int32]
    """(rows, languages)"""
    tied: npt.NDArray[np.int32]
    """(rows, languages)"""
    pairs: tuple[PairSizes, ...] = ()
    """The pairs of languages, where a query's pool is its own pair's passages: all other counts
    are 0."""

    def __repr__(self) -> str:
        sizes = (
            f"{plural(len(self.passage_ids), 'row')} of "
            f"{plural(len(self.query_ids), 'query', 'queries')}"
        )
        return f"<Ranks: {sizes} in {plural(len(self.languages), 'language')}>"

    @cached_property
    def roles(self) -> Roles:
        """Which languages the judged queries and the passages have."""
        queries, passages = (
            dict(zip(self.languages, counts.tolist(), strict=True))
            for counts in (self.judged, self.pool_sizes)
        )
        pairs = tuple(pair.languages for pair in self.pairs)
        return Roles.counted(self.languages, queries, passages, pairs)

    def judged_in(self, query_language: str, pool: Sequence[str]) -> int:
        """Return how many judged queries of a language are asked in a pool."""
        if not self.pairs:
            return int(self.judged[self.languages.index(query_language)])
        pair = self._pair(query_language, pool)
        return 0 if pair is None else pair.queries[pair.languages.index(query_language)]

    def pool_size(self, query_language: str, pool: Sequence[str]) -> int:
        """Return how many passages a pool has for queries of a language."""
        if not self.pairs:
            return int(self.pool_sizes[np.unique(self.columns(pool))].sum())
        pair = self._pair(query_language, pool)
        return 0 if pair is None else pair.passages[pair.languages.index(pool[0])]

    @cached_property
    def searched(self) -> Ints:
        """How many passages of each language queries of each language are searched in: (query
        languages, languages), of images those of texts alone where each searches the other."""
        sizes = np.zeros((len(self.languages), len(self.languages)), np.int64)
        for number, language in enumerate(self.languages):
            columns = self.columns(self.roles.pool_of(language))
            sizes[number, columns] = self.pool_sizes[columns]
        return sizes

    def sizes(self) -> Ints:
        """Return how many passages of each language each query is searched in: (queries,
        languages), of pairs those of its own alone."""
        if not self.pairs:
            return self.searched[self.query_language]
        sizes = np.zeros((len(self.query_ids), len(self.languages)), np.int64)
        query, column = self.query[self.starts[:-1]], self.passage_language[self.starts[:-1]]
        for pair in self.pairs:
            for side, searched in enumerate(self.columns(pair.languages).tolist()):
                asked = self.languages.index(pair.languages[1 - side])
                own = (self.query_language[query] == asked) & (column == searched)
                sizes[query[own], searched] = pair.passages[side]
        return sizes

    def _pair(self, query_language: str, pool: Sequence[str]) -> PairSizes | None:
        asked = {query_language, *pool}
        return next((pair for pair in self.pairs if set(pair.languages) == asked), None)

    @cached_property
    def query(self) -> Ints:
        """(rows,) index of the query of each row."""
        return np.repeat(np.arange(len(self.query_ids)), np.diff(self.starts))

    def columns(self, languages: Sequence[str]) -> npt.NDArray[np.intp]:
        """Return the column of each language code."""
        return np.array([self.languages.index(language) for language in languages], np.intp)

    def ranking(
        self, query_language: str, pool: Sequence[str], *, optimistic: bool = False
    ) -> Ranking:
        """Return the ranks in the pool of the passages of the languages ``pool``.

        Ties count against the model: a passage ranks below all that score as it does, and of a
        query's own tied relevant passages the lower grade comes first. ``optimistic`` turns
        both round.
        """
        language = self.languages.index(query_language)
        queries = slice(*np.searchsorted(self.query_language, [language, language + 1]).tolist())
        judged, size = (of(query_language, pool) for of in (self.judged_in, self.pool_size))
        ranking = self._ranking(queries, judged, pool, optimistic=optimistic)
        return replace(ranking, pool_size=size)

    def ranking_of_all(self, pool: Sequence[str], *, optimistic: bool = False) -> Ranking:
        """Return the ranks in the pool, as ``ranking`` does, of the queries of all languages."""
        queries = slice(0, len(self.query_ids))
        return self._ranking(queries, int(self.judged.sum()), pool, optimistic=optimistic)

    def _ranking(
        self, queries: slice, judged: int, pool: Sequence[str], *, optimistic: bool
    ) -> Ranking:
        columns = np.unique(self.columns(pool))
        if len(columns) == 1:
            alone = self._alone_optimistic if optimistic else self._alone
            ranking: Ranking = alone[columns[0]].part(queries.start, queries.stop)
        elif len(columns) == len(self.languages):
            together = self._together_optimistic if optimistic else self._together
            ranking = together.part(queries.start, queries.stop)
        else:
            ranking = self._rank_pool(queries, columns, optimistic=optimistic)
        return replace(ranking, excluded=judged - len(ranking.query))

    def _rank_pool(
        self, queries: slice, columns: npt.NDArray[np.intp], *, optimistic: bool
    ) -> Ranking:
        from mlbench.ranking.kernels import add_counts

        order = self._optimistic if optimistic else self._pessimistic
        rows = order[self.starts[queries.start] : self.starts[queries.stop]]
        if len(columns) < len(self.languages):
            rows = rows[np.isin(self.passage_language[rows], columns)]
        ahead = np.zeros(len(rows), np.int64)
        add_counts(self.above, rows, columns, ahead)
        if not optimistic and self._any_tied:
            add_counts(self.tied, rows, columns, ahead)
        return self._rank(rows, ahead, int(self.pool_sizes[columns].sum()))

    def _rank(self, rows: Ints, ahead: Ints, pool_size: int) -> Ranking:
        """Rank ``rows`` of any query language in a pool; of the non-relevant passages in it,
        ``ahead`` come before each."""
        query = self.query[rows]
        begin = first_of_runs(query)
        starts = np.append(begin, len(rows))
        position = np.arange(1, len(rows) + 1) - np.repeat(begin, np.diff(starts))
        return Ranking(
            query=query[begin],
            starts=starts,
            rank=position + ahead,
            grade=self.relevance[rows],
            row=rows,
            pool_size=pool_size,
            excluded=0,
        )

    @cached_property
    def _any_tied(self) -> bool:
        """Whether any non-relevant passage scores as a relevant one does."""
        return bool(self.tied.any())

    @cached_property
    def _grades_tied(self) -> bool:
        """Whether relevant passages of different grades score the same."""
        alike = (np.diff(self.query) == 0) & (np.diff(self.place) == 0)
        return bool((alike & (np.diff(self.relevance) != 0)).any())

    @property
    def ambiguous(self) -> bool:
        """Whether a ranking depends on how ties are counted."""
        return self._any_tied or self._grades_tied

    @cached_property
    def _pessimistic(self) -> Ints:
        return np.arange(len(self.place))

    @cached_property
    def _optimistic(self) -> Ints:
        """The rows, higher grades first where place ties."""
        if not self._grades_tied:
            return self._pessimistic
        return np.lexsort((-self.relevance, self.place, self.query))

    @cached_property
    def _alone(self) -> list[Ranking]:
        return self._rank_alone(self._pessimistic, optimistic=False)

    @cached_property
    def _alone_optimistic(self) -> list[Ranking]:
        if not self.ambiguous:
            return self._alone
        return self._rank_alone(self._optimistic, optimistic=True)

    @cached_property
    def _together(self) -> Ranking:
        return self._rank_together(optimistic=False)

    @cached_property
    def _together_optimistic(self) -> Ranking:
        return self._rank_together(optimistic=True) if self.ambiguous else self._together

    def _rank_together(self, *, optimistic: bool) -> Ranking:
        """Rank all queries in the pool of all languages, which language bias is read off too."""
        everyone, columns = slice(0, len(self.query_ids)), np.arange(len(self.languages))
        return self._rank_pool(everyone, columns, optimistic=optimistic)

    def _rank_alone(self, order: Ints, *, optimistic: bool) -> list[Ranking]:
        """Rank all queries in the pool of each language alone; most settings are a part of it."""
        own = np.arange(len(self.place)), self.passage_language
        ahead = self.above[own].astype(np.int64)
        if not optimistic and self._any_tied:
            ahead += self.tied[own]
        language = self.passage_language[order]
        counts = np.bincount(language, minlength=len(self.languages))
        by_language = order[np.argsort(language, kind="stable")]
        parts = np.split(by_language, np.cumsum(counts)[:-1])
        return [
            self._rank(rows, ahead[rows], int(size))
            for rows, size in zip(parts, self.pool_sizes, strict=True)
        ]

    def subset(self, languages: Sequence[str]) -> Ranks:
        """Return the table of the collection cut down to some of its languages (queries too)."""
        columns = self.columns(languages)
        inside = set(languages)
        pairs = tuple(pair for pair in self.pairs if inside.issuperset(pair.languages))
        judged, pool_sizes = self.judged[columns], self.pool_sizes[columns]
        if self.pairs:
            judged, pool_sizes = pair_totals(languages, pairs)
        renumber = np.full(len(self.languages), -1, np.int16)
        renumber[columns] = np.arange(len(columns), dtype=np.int16)
        keep = (renumber[self.passage_language] >= 0) & (
            renumber[self.query_language[self.query]] >= 0
        )
        rows = np.flatnonzero(keep)
        rows = rows[np.argsort(renumber[self.query_language[self.query[rows]]], kind="stable")]
        queries, begin = np.unique(self.query[rows], return_index=True)
        order = np.argsort(begin)
        queries = queries[order]
        return Ranks(
            languages=tuple(languages),
            pool_sizes=pool_sizes,
            judged=judged,
            query_ids=tuple(self.query_ids[i] for i in queries),
            query_groups=tuple(self.query_groups[i] for i in queries),
            query_language=renumber[self.query_language[queries]],
            starts=np.append(begin[order], len(rows)).astype(np.int64),
            passage_ids=tuple(self.passage_ids[i] for i in rows),
            passage_language=renumber[self.passage_language[rows]],
            relevance=self.relevance[rows],
            place=_places_among(self.query[rows], self.place[rows]),
            above=self.above[rows][:, columns],
            tied=self.tied[rows][:, columns],
            pairs=pairs,
        )


def pair_totals(languages: Sequence[str], pairs: Iterable[PairSizes]) -> tuple[Ints, Ints]:
    """Return how many judged queries and passages each language has in all pairs, int64
    (languages,) each."""
    totals = np.zeros((2, len(languages)), np.int64)
    for pair in pairs:
        for side, language in enumerate(pair.languages):
            totals[:, languages.index(language)] += pair.queries[side], pair.passages[side]
    return totals[0], totals[1]


def _places_among(query: Ints, place: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the places of some of each query's relevant passages among these alone.

    Rows of one query stand together and by place; those of equal place tie, and still do.
    """
    row = np.arange(len(place))
    of_query = np.diff(query, prepend=-1) != 0
    group = of_query | (np.diff(place, prepend=0) != 0)
    first, begin = (np.maximum.accumulate(np.where(new, row, 0)) for new in (group, of_query))
    return (first - begin + 1).astype(np.int32)
