"""A collection whose passages are streamed, shard by shard, and never held.

A shard is one file, or another unit that can be read alone, of the passages of one language. The
order of shards, and of passages in a shard, is fixed; everything that is computed over them adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault
from mlbench.data.absent import Absent, Lost, add_pair, check_relevant, dangling
from mlbench.data.collection import (
    Entries,
    Judgement,
    Questions,
    Records,
    Spoken,
    TextRecord,
    build_entries,
    names_of,
    none_of,
    raise_faults,
)
from mlbench.data.task import IMAGE, Roles

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


@dataclass(frozen=True)
class StreamedCollection(Questions):
    """A task's data with its passages left where they are.

    ``languages`` fixes the order of everything that is by language; ``shards`` are ordered by
    it, then by number. A judged passage may turn out to be in no shard (see ``without_absent``).
    If ``parallel``, records of one id are translations, which need not exist in every language.
    """

    languages: tuple[str, ...]
    queries: Entries
    judgements: Judged
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

    @property
    def judged_pairs(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int32]]:
        """See ``Questions``."""
        judged = self.judgements
        return judged.query, judged.passage_language, judged.relevance


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


def build_streamed(
    languages: Sequence[str], records: StreamedRecords, roles: Roles | None = None
) -> StreamedCollection:
    """Check what can be checked without a passage, and lay it out by language.

    ``roles`` say which languages queries and passages have, where it is not all.

    Raises DataError with every fault found (the first 20 of many).
    """
    faults: list[Fault] = []
    if IMAGE in languages:
        found = "images cannot be read shard by shard"
        faults.append(Fault(f"language {IMAGE!r}", found, "a reader that holds all texts"))
    roles = roles or Roles(tuple(languages), tuple(languages))
    queries, index = build_entries(
        Spoken("query", languages, roles.queries), records.queries, faults
    )
    for language in roles.passages:
        if not any(shard.language == language for shard in records.shards):
            faults.append(none_of("passage", language, "shard of passages"))
    judged = _judged(languages, index, records.judgements, faults)
    raise_faults(faults)
    number = {language: i for i, language in enumerate(languages)}
    shards = sorted(records.shards, key=lambda shard: number[shard.language])
    left_out = names_of(records.unjudged)
    return StreamedCollection(
        tuple(languages),
        queries,
        judged,
        tuple(shards),
        unjudged=left_out,
        parallel=records.parallel,
    )


def _judged(
    languages: Sequence[str],
    index: dict[tuple[str, str], int],
    judgements: Iterable[Judgement],
    faults: list[Fault],
) -> Judged:
    number = {language: i for i, language in enumerate(languages)}
    seen: dict[tuple[int, int, str], Judgement] = {}
    for judgement in judgements:
        query = index.get((judgement.query_language, judgement.query_id))
        language = number.get(judgement.passage_language)
        if query is None:
            faults.append(dangling(judgement, "query"))
        if language is None:
            found = f"a judgement names a passage of language {judgement.passage_language!r}"
            faults.append(Fault(judgement.where, found, "one of " + ", ".join(languages)))
        if query is None or language is None:
            continue
        add_pair(seen, (query, language, judgement.passage_id), judgement, faults)
    check_relevant(seen.values(), faults)
    rows = sorted(seen)
    return Judged(
        query=np.array([query for query, _, _ in rows], np.int64),
        passage_language=np.array([language for _, language, _ in rows], np.int16),
        passage_ids=tuple(id_ for _, _, id_ in rows),
        relevance=np.array([seen[row].relevance for row in rows], np.int32),
    )


def without_absent(
    collection: StreamedCollection, present: Mapping[str, Container[str]]
) -> StreamedCollection:
    """Leave out the judgements that name passages which no shard holds, and keep count of them.

    ``present`` maps each language to ids that were found, all judged ones among them. What is
    there in another language of a parallel collection is left out without a count. Raises
    DataError, as ``Absent.refuse``, if no relevant passage is left.
    """
    judged, languages = collection.judgements, collection.languages
    ids, query = judged.passage_ids, judged.query.tolist()
    codes = [languages[number] for number in judged.passage_language.tolist()]
    here = np.array([id_ in present[code] for code, id_ in zip(codes, ids, strict=True)], bool)
    if here.all():
        return collection
    parallel = collection.parallel
    lost = [
        Lost(query[i], "" if parallel else codes[i], ids[i], int(judged.relevance[i]))
        for i in np.flatnonzero(~here).tolist()
        if not (parallel and any(ids[i] in found for found in present.values()))
    ]
    absent = Absent.of([*dict.fromkeys(lost)])
    if absent is not None and not (judged.relevance[here] > 0).any():
        absent.refuse()
    kept = Judged(
        judged.query[here],
        judged.passage_language[here],
        tuple(ids[i] for i in np.flatnonzero(here).tolist()),
        judged.relevance[here],
    )
    return replace(collection, judgements=kept, absent=absent)
