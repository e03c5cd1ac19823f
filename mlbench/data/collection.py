"""Collection: the queries, passages and qrels of a task, by language, checked and digested.

A reader yields records; ``building.build_collection`` checks them and puts them into flat arrays,
contiguous by language.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.data.absent import Absent
from mlbench.data.digests import collection_digest, cut_digest, sum_of_judged, sum_of_records
from mlbench.data.task import PairSizes, Roles, Setting

if TYPE_CHECKING:
    from mlbench.data.images import Images


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A query or a passage as a reader found it.

    ``id`` is unique within the role and language. ``where`` is "file:line" or the like, for
    messages. ``group`` names the paragraph or article the text comes from ("" where unknown), and
    ``pair`` the pair of languages that it belongs to, where the task has pairs.
    """

    id: str
    language: str
    text: str
    where: str
    group: str = ""
    pair: tuple[str, str] | None = None


class Judgement(NamedTuple):
    """The relevance of a passage to a query; 0 and below is judged not relevant.

    The language is "" where a record of that id was found in no language.
    """

    query_id: str
    query_language: str
    passage_id: str
    passage_language: str
    relevance: int
    where: str


@dataclass
class Records:
    """What a reader returns; ``unjudged`` are queries that it left out, as nothing judges them,
    and ``images`` hold what the texts of the language of images stand for."""

    queries: list[TextRecord] = field(default_factory=list)
    passages: list[TextRecord] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    unjudged: list[TextRecord] = field(default_factory=list)
    images: Images | None = None


@dataclass(frozen=True)
class Entries:
    """The texts of one role, contiguous by language in the order of ``Collection.languages``.

    ``starts`` is int64 of shape (languages + 1,): language l holds ``starts[l]:starts[l + 1]``.
    ``pair`` (entries,) is the index of each one's pair, ascending within a language; None where
    the task has no pairs.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    groups: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of_pair(self, language: int, pair: int) -> slice:
        """Return the slice of the entries of the language that belong to the pair; all without."""
        own = self.slice(language)
        if self.pair is None:
            return own
        begin, end = np.searchsorted(self.pair[own], [pair, pair + 1]).tolist()
        return slice(own.start + begin, own.start + end)

    def slice(self, language: int) -> slice:
        """Return the slice of the entries of the language with that index."""
        return slice(int(self.starts[language]), int(self.starts[language + 1]))

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of entries of each language, int64 of shape (languages,)."""
        return np.diff(self.starts)

    @cached_property
    def language(self) -> npt.NDArray[np.int16]:
        """Language index of each entry, int16 of shape (entries,)."""
        return np.repeat(np.arange(len(self.counts), dtype=np.int16), self.counts)

    @cached_property
    def index(self) -> dict[tuple[int, str], int]:
        """Where each entry stands, by the index of its language and its id."""
        names = zip(self.language.tolist(), self.ids, strict=True)
        return {name: index for index, name in enumerate(names)}

    def take(self, chosen: npt.NDArray[np.int64]) -> Entries:
        """Return the entries of these indices, in their order, which keeps languages together."""
        counts = np.bincount(self.language[chosen], minlength=len(self.counts))
        return Entries(
            ids=tuple(self.ids[i] for i in chosen),
            texts=tuple(self.texts[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            pair=None if self.pair is None else self.pair[chosen],
        )


@dataclass(frozen=True)
class Qrels:
    """Judgements as arrays of one length: query and passage index (int64), relevance (int32)."""

    query: npt.NDArray[np.int64]
    passage: npt.NDArray[np.int64]
    relevance: npt.NDArray[np.int32]


JudgedPairs = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int32]]


class Questions(ABC):
    """What can be said of a task's queries and judgements, wherever its passages are."""

    languages: tuple[str, ...]
    queries: Entries
    absent: Absent | None
    unjudged: frozenset[tuple[str, str]]
    """Language and id of queries that were left out because they have no judgement."""

    @abstractmethod
    def judged_pairs(self) -> Iterable[JudgedPairs]:
        """Return the judgements, in parts: query index, passage language and relevance of each, of
        one length."""

    @property
    @abstractmethod
    def roles(self) -> Roles:
        """Which languages the queries and the passages have."""

    @cached_property
    def relevant_by_language(self) -> npt.NDArray[np.int64]:
        """Number of relevant passages of each query in each language, (queries, languages)."""
        counts = np.zeros((len(self.queries), len(self.languages)), np.int64)
        for query, language, relevance in self.judged_pairs():
            np.add.at(counts, (query[relevance > 0], language[relevance > 0]), 1)
        return counts

    @cached_property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Whether each query has a judgement, whatever it says, of shape (queries,)."""
        judged = np.zeros(len(self.queries), bool)
        for query, _, _ in self.judged_pairs():
            judged[query] = True
        if self.absent is not None:
            judged[self.absent.query] = True
        return judged

    def asked(self, setting: Setting) -> slice:
        """Return the queries of a setting."""
        language = self.languages.index(setting.query_language)
        return self.queries.of_pair(language, self.roles.number(setting))

    def query_counts(self, setting: Setting) -> tuple[int, int]:
        """Return how many judged queries a setting has, and how many of its language it excludes.

        A judged query with no relevant passage in the setting's pool is excluded.
        """
        of_language = self.asked(setting)
        pool = [self.languages.index(language) for language in setting.passage_languages]
        judged = self.judged[of_language]
        has_relevant = self.relevant_by_language[of_language][:, pool].any(axis=1)
        return int((judged & has_relevant).sum()), int((judged & ~has_relevant).sum())


class Cut(NamedTuple):
    """What a collection that is cut to some languages must know of the whole one: its digest and
    ``languages``, and whether each query that is left is judged there, bool (queries,)."""

    digest: str
    languages: tuple[str, ...]
    judged: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Collection(Questions):
    """A task's data. ``languages`` fixes the order of everything that is by language.

    ``sample`` is the number of questions drawn from the whole task, and ``sample_passages`` that of
    passages of each language beside the judged ones; None for all. ``cut`` says what the collection
    was before some languages were left out; ``absent`` are judgements that were left out.
    ``images`` are those that entries of the language ``IMAGE`` refer to, None without any.
    """

    languages: tuple[str, ...]
    queries: Entries
    passages: Entries
    qrels: Qrels
    sample: int | None = None
    absent: Absent | None = None
    unjudged: frozenset[tuple[str, str]] = frozenset()
    sample_passages: int | None = None
    cut: Cut | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    images: Images | None = None

    def searched(self, setting: Setting) -> slice:
        """Return the passages of a setting that has one language of them."""
        (code,) = setting.passage_languages
        return self.passages.of_pair(self.languages.index(code), self.roles.number(setting))

    def sizes(self) -> tuple[PairSizes, ...]:
        """Return how many judged queries and passages each pair has in each of its languages."""
        counts = np.zeros((2, len(self.pairs), len(self.languages)), np.int64)
        for table, entries in zip(counts, (self.queries, self.passages), strict=True):
            counted = self.judged if entries is self.queries else True
            if entries.pair is not None:
                np.add.at(table, (entries.pair, entries.language), counted)
        sides = [(pair, [*map(self.languages.index, pair)]) for pair in self.pairs]
        return tuple(
            PairSizes(pair, (asked[one], asked[other]), (searched[one], searched[other]))
            for (pair, (one, other)), asked, searched in zip(sides, *counts.tolist(), strict=True)
        )

    @cached_property
    def judged(self) -> npt.NDArray[np.bool_]:
        """See ``Questions``; what was judged before the collection was cut still is."""
        return super().judged if self.cut is None else super().judged | self.cut.judged

    @property
    def roles(self) -> Roles:
        """See ``Questions``."""
        counts = (self.queries.counts.tolist(), self.passages.counts.tolist())
        queries, passages = (dict(zip(self.languages, each, strict=True)) for each in counts)
        return Roles.counted(self.languages, queries, passages, self.pairs)

    def judged_pairs(self) -> list[JudgedPairs]:
        """See ``Questions``."""
        qrels = self.qrels
        return [(qrels.query, self.passages.language[qrels.passage], qrels.relevance)]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over every language, id, text and judgement; see ``digests``."""
        if self.cut is not None:
            return cut_digest(self.cut.digest, self.languages)
        return collection_digest(
            self.languages,
            {"query": self.queries.counts.tolist(), "passage": self.passages.counts.tolist()},
            {
                "query": self._sum("query", self.queries),
                "passage": self._sum("passage", self.passages),
                "qrels": self._sum_of_judged(),
            },
        )

    def _sum_of_judged(self) -> int:
        names = [
            [*zip(self._tongues(e), e.ids, strict=True)] for e in (self.queries, self.passages)
        ]
        qrels = self.qrels
        return sum_of_judged(names[0], names[1], qrels.query, qrels.passage, qrels.relevance)

    def _sum(self, role: str, entries: Entries) -> int:
        tongues = self._tongues(entries)
        return sum_of_records(role, zip(tongues, entries.ids, entries.texts, strict=True))

    def _tongues(self, entries: Entries) -> list[str]:
        """Return the language of each entry, and its pair where the task has pairs."""
        codes = [self.languages[code] for code in entries.language.tolist()]
        if entries.pair is None:
            return codes
        names = [" ".join(pair) for pair in self.pairs]
        of = zip(codes, entries.pair.tolist(), strict=True)
        return [f"{code} of {names[pair]}" for code, pair in of]
