"""A collection whose passages are streamed, shard by shard, and never held.

A shard is one file, or another unit that can be read alone, of the passages of one language. The
order of shards, and of passages in a shard, is fixed; everything that is computed over them adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.data.absent import Absent, Lost
from mlbench.data.collection import (
    Entries,
    JudgedPairs,
    Judgement,
    Qrels,
    Questions,
    Records,
    TextRecord,
)
from mlbench.data.task import Roles

BATCH = 4096
"""Passages in a batch of ``ShardSource.passages``; the last one of a shard has fewer."""


class Passage(NamedTuple):
    """A passage as the model will see it; ``id`` is unique in its language."""

    id: str
    text: str


@dataclass(frozen=True)
class ShardSource(ABC):
    """One shard of the passages of one language, read on demand and as often as wanted.

    ``name`` is unique in the task, such as "miracl-corpus-v1.0-ar/docs-0.jsonl.gz". ``size`` is
    in bytes as stored, for estimates, None where unknown. Can be pickled, so that another process
    can read it.
    """

    language: str
    name: str
    size: int | None

    @abstractmethod
    def passages(self) -> Iterator[list[Passage]]:
        """Yield the passages in the order of the file, in batches; none is empty.

        Raises DataError that names the file and line of what is malformed (no batch of a shard
        may be trusted before its last was read), IntegrityError if the file is not the one that
        was read before, EnvironmentFault if it cannot be read.
        """

    @abstractmethod
    def digest(self) -> str | None:
        """Return what tells this shard's content from any other's, None where nothing does.

        It is the SHA-256 of the file where there is one; takes as long as reading it takes.
        Raises IntegrityError if it is not the one that was recorded before.
        """

    @property
    def choice(self) -> str:
        """What a task chose to read of the content, "" where there is no choice."""
        return ""

    def where(self, index: int) -> str:
        """Return where the passage of that index (from 0) stands, for messages; may be slow."""
        return f"{self.name}, passage {index + 1}"

    def records(self) -> Iterator[TextRecord]:
        """Yield the passages with where they stand; for collections that fit in memory."""
        for number, passage in enumerate((p for batch in self.passages() for p in batch), 1):
            where = f"{self.name}, passage {number}"
            yield TextRecord(passage.id, self.language, passage.text, where)


@dataclass(frozen=True)
class Judged:
    """Judgements as arrays of one length, sorted by query, passage language and passage id.

    ``query`` indexes the queries (int64), ``passage_language`` the languages (int16);
    ``relevance`` is int32, 0 and below is judged not relevant.
    """

    query: npt.NDArray[np.int64]
    passage_language: npt.NDArray[np.int16]
    passage_ids: tuple[str, ...]
    relevance: npt.NDArray[np.int32]

    def of(self, queries: slice) -> Judged:
        """Return the judgements of some queries."""
        start, stop = np.searchsorted(self.query, (queries.start, queries.stop)).tolist()
        part = slice(start, stop)
        return Judged(
            self.query[part],
            self.passage_language[part],
            self.passage_ids[part],
            self.relevance[part],
        )

    def rows(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield query, passage language, passage id and relevance of each."""
        columns = self.query.tolist(), self.passage_language.tolist(), self.passage_ids
        return zip(*columns, self.relevance.tolist(), strict=True)

    def only(self, kept: npt.NDArray[np.bool_]) -> Judged:
        """Return those that are ``kept``."""
        ids = tuple(self.passage_ids[i] for i in np.flatnonzero(kept).tolist())
        return Judged(self.query[kept], self.passage_language[kept], ids, self.relevance[kept])


@dataclass(frozen=True)
class JudgedOnce:
    """Judgements between all versions of a query and of a passage, each held once.

    ``query``, ``passage`` (int64) and ``relevance`` (int32) are of one length; the first two number
    ids. ``entries`` (languages, ids) says which query an id is in a language, -1 where there is
    none. Of ``passage_ids``, which are sorted, ``may_exist`` (languages, ids) says whether one can
    be in a language.
    """

    query: npt.NDArray[np.int64]
    passage: npt.NDArray[np.int64]
    relevance: npt.NDArray[np.int32]
    passage_ids: tuple[str, ...]
    entries: npt.NDArray[np.int64]
    may_exist: npt.NDArray[np.bool_]

    def of(self, queries: slice) -> Judged:
        """Return the judgements of some queries, those of one language at the most."""
        inside = (self.entries >= queries.start) & (self.entries < queries.stop)
        entry = np.where(inside, self.entries, -1).max(axis=0, initial=-1)[self.query]
        rows = np.flatnonzero(entry >= 0)
        row, language = np.nonzero(self.may_exist.T[self.passage[rows]])
        row = rows[row]
        order = np.lexsort((self.passage[row], language, entry[row]))
        row, language = row[order], language[order]
        ids = tuple(map(self.passage_ids.__getitem__, self.passage[row].tolist()))
        return Judged(entry[row], language.astype(np.int16), ids, self.relevance[row])


@dataclass(frozen=True)
class StreamedCollection(Questions):
    """A task's data with its passages left where they are.

    ``languages`` fixes the order of everything that is by language; ``shards`` are ordered by
    it, then by number. A judged passage may turn out to be in no shard (see ``without_absent``).
    If ``parallel``, records of one id are translations, which need not exist in every language.
    ``judgements`` are read by query language (``judged_in``), as those between all languages are
    too many to be held.
    """

    languages: tuple[str, ...]
    queries: Entries
    judgements: Judged | JudgedOnce
    shards: tuple[ShardSource, ...]
    absent: Absent | None = None
    unjudged: frozenset[tuple[str, str]] = frozenset()
    parallel: bool = False

    @property
    def roles(self) -> Roles:
        """See ``Questions``."""
        counts = self.queries.counts.tolist()
        queries = dict(zip(self.languages, counts, strict=True))
        return Roles.counted(self.languages, queries, Counter(s.language for s in self.shards))

    def judged_in(self, language: int) -> Judged:
        """Return the judgements of the queries in a language, by its number."""
        return self.judgements.of(self.queries.slice(language))

    def judged_parts(self) -> Iterator[Judged]:
        """Yield the judgements of the queries in each language; together they are sorted."""
        return map(self.judged_in, range(len(self.languages)))

    def relevant(self, number: Mapping[tuple[int, str], int]) -> Qrels:
        """Return the judgements of relevant passages, sorted by query and passage; ``number`` is
        that of a passage by its language and id."""
        parts = []
        for judged in self.judged_parts():
            own = judged.only(judged.relevance > 0)
            names = zip(own.passage_language.tolist(), own.passage_ids, strict=True)
            passage = np.fromiter((number[name] for name in names), np.int64, len(own.query))
            order = np.lexsort((passage, own.query))
            parts.append((own.query[order], passage[order], own.relevance[order]))
        return Qrels(*map(np.concatenate, zip(*parts, strict=True)))

    def judged_pairs(self) -> Iterator[JudgedPairs]:
        """See ``Questions``."""
        for judged in self.judged_parts():
            yield judged.query, judged.passage_language, judged.relevance


@dataclass(frozen=True)
class BetweenAll(Iterable[Judgement]):
    """Judgements between all language versions of a query and of a passage, made one by one.

    ``rows`` are the judgements by ids alone, without languages; ``asked`` are the languages in
    which each query exists, and ``languages`` those in which passages may. There are as many
    judgements as rows times pairs of languages, so they are better not held.
    """

    rows: tuple[Judgement, ...]
    asked: Mapping[str, Sequence[str]]
    languages: Sequence[str]

    def __iter__(self) -> Iterator[Judgement]:
        """Yield the judgements; the language of a query that there is not is ""."""
        for query, _, passage, _, relevance, where in self.rows:
            for query_language in self.asked.get(query, ("",)):
                for language in self.languages:
                    yield Judgement(query, query_language, passage, language, relevance, where)

    def queries(self) -> set[tuple[str, str]]:
        """Return the id and the language of each judged query."""
        ids = {row.query_id for row in self.rows}
        return {(id_, language) for id_ in ids for language in self.asked.get(id_, ("",))}


@dataclass
class StreamedRecords:
    """What a reader that can stream returns; see ``Records``.

    If ``parallel``, judgements name a passage in every language that it may exist in.
    """

    queries: list[TextRecord] = field(default_factory=list)
    judgements: list[Judgement] | BetweenAll = field(default_factory=list)
    shards: list[ShardSource] = field(default_factory=list)
    unjudged: list[TextRecord] = field(default_factory=list)
    parallel: bool = False

    def read_all(self) -> Records:
        """Read every shard; for collections that fit in memory."""
        return self.with_passages([r for shard in self.shards for r in shard.records()])

    def with_passages(self, passages: list[TextRecord]) -> Records:
        """Return the records with these passages, all judged ones that there are among them."""
        if self.parallel:
            present = {(passage.language, passage.id) for passage in passages}
            judgements = _of_versions(self.judgements, present)
        else:
            judgements = [*self.judgements]
        return Records(self.queries, passages, judgements, self.unjudged)


def _of_versions(
    judgements: Iterable[Judgement], present: Collection[tuple[str, str]]
) -> list[Judgement]:
    """Return the judgements of passages in the languages where they are ``present``.

    The language of a passage that is in none is "".
    """
    ids = {id_ for _, id_ in present}
    gone = (row._replace(passage_language="") for row in judgements if row.passage_id not in ids)
    here = (row for row in judgements if (row.passage_language, row.passage_id) in present)
    return [*here, *dict.fromkeys(gone)]


def without_absent(
    collection: StreamedCollection, present: Mapping[str, Container[str]]
) -> StreamedCollection:
    """Leave out the judgements that name passages which no shard holds, and keep count of them.

    ``present`` maps each language to ids that were found, all judged ones among them. What is
    there in another language of a parallel collection is left out without a count. Raises
    DataError, as ``Absent.refuse``, if no relevant passage is left.
    """
    lost: dict[Lost, None] = {}
    complete, relevant = True, False
    for judged in collection.judged_parts():
        here = _here(collection.languages, judged, present)
        complete = complete and bool(here.all())
        relevant = relevant or bool((judged.relevance[here] > 0).any())
        lost |= dict.fromkeys(_lost(collection, judged, here, present))
    if complete:
        return collection
    absent = Absent.of([*lost])
    if absent is not None and not relevant:
        absent.refuse()
    return replace(collection, judgements=_kept(collection, present), absent=absent)


def _here(
    languages: Sequence[str], judged: Judged, present: Mapping[str, Container[str]]
) -> npt.NDArray[np.bool_]:
    """Return whether the passage of each judgement was found."""
    of = [present[language] for language in languages]
    names = zip(judged.passage_language.tolist(), judged.passage_ids, strict=True)
    return np.fromiter((id_ in of[code] for code, id_ in names), bool, len(judged.query))


def _lost(
    collection: StreamedCollection,
    judged: Judged,
    here: npt.NDArray[np.bool_],
    present: Mapping[str, Container[str]],
) -> Iterator[Lost]:
    """Yield the judgements that are not ``here``, nor in another language if it is parallel."""
    for i in np.flatnonzero(~here).tolist():
        id_, language = judged.passage_ids[i], collection.languages[judged.passage_language[i]]
        if not collection.parallel or not any(id_ in found for found in present.values()):
            said = "" if collection.parallel else language
            yield Lost(int(judged.query[i]), said, id_, int(judged.relevance[i]))


def _kept(
    collection: StreamedCollection, present: Mapping[str, Container[str]]
) -> Judged | JudgedOnce:
    """Return the judgements of passages that were found."""
    judged, languages = collection.judgements, collection.languages
    if isinstance(judged, Judged):
        return judged.only(_here(languages, judged, present))
    found = [[id_ in present[language] for id_ in judged.passage_ids] for language in languages]
    return replace(judged, may_exist=judged.may_exist & np.array(found, bool))
