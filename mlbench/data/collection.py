"""Collection: the queries, passages and qrels of a task, by language, checked and digested.

A reader yields records; ``build_collection`` puts them into flat arrays, contiguous by language,
and refuses what is inconsistent: ids given twice, judgements without a query or a passage,
languages without queries or passages, empty texts, no relevant passage at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import DataError, Fault, first_faults
from mlbench.data.absent import Absent, Lost, present_and_lost, qrels_of
from mlbench.data.digests import collection_digest, cut_digest, sum_of_judged, sum_of_records
from mlbench.data.task import IMAGE, PairSizes, Roles, Setting

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
    ``images`` are those that entries of the language ``images.IMAGE`` refer to, None without any.
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


def build_collection(
    languages: Sequence[str], records: Records, roles: Roles | None = None, *, lenient: bool = False
) -> Collection:
    """Check ``records`` and lay them out by language.

    ``roles`` say which languages queries and passages have, where it is not all.

    If ``lenient``, judgements that name passages which were not read are left out (see ``absent``)
    as long as something relevant is left. Raises DataError with every fault found (the first 20 of
    many).
    """
    faults: list[Fault] = []
    roles = roles or Roles(tuple(languages), tuple(languages))
    spoken = Spoken("query", languages, roles.queries, roles.pairs)
    queries, query_index = build_entries(spoken, records.queries, faults)
    spoken = Spoken("passage", languages, roles.passages, roles.pairs)
    passages, passage_index = build_entries(spoken, records.passages, faults)
    judgements: Sequence[Judgement] = records.judgements
    lost: list[Lost] = []
    if lenient:
        present, lost = present_and_lost(languages, judgements, query_index, passage_index, faults)
        judgements = judgements if not lost else present
    rows = qrels_of(judgements, query_index, passage_index, faults)
    if IMAGE in languages:
        faults += wrong_images(records)
        faults += within_a_modality(judgements) if roles.between_modalities else []
    raise_faults(faults)
    return Collection(
        languages=tuple(languages),
        queries=queries,
        passages=passages,
        qrels=Qrels(*rows),
        absent=Absent.of(lost),
        unjudged=names_of(records.unjudged),
        pairs=roles.pairs,
        images=records.images,
    )


def wrong_images(records: Records) -> Iterator[Fault]:
    """Find entries of the language of images that refer to no image that was read."""
    known = records.images or ()
    for role, entries in (("query", records.queries), ("passage", records.passages)):
        for record in entries:
            if record.language == IMAGE and record.text not in known:
                found = f"{role} {record.id!r} has language {IMAGE!r} and is no image"
                expected = "an image, or another language for texts"
                yield Fault(record.where, found, expected)


def within_a_modality(judgements: Iterable[Judgement]) -> Iterator[Fault]:
    """Find judgements of a text by a text, or an image by an image, where each searches the
    other."""
    for row in judgements:
        if (row.query_language == IMAGE) is (row.passage_language == IMAGE):
            both = "images" if row.query_language == IMAGE else "texts"
            found = (
                f"query {row.query_id!r} ({row.query_language}) and passage {row.passage_id!r} "
                f"({row.passage_language}) are both {both}"
            )
            expected = "an image and a text: where each searches the other, no pool has both"
            yield Fault(row.where, found, expected)


def names_of(records: Iterable[TextRecord]) -> frozenset[tuple[str, str]]:
    """Return the language and id of each record."""
    return frozenset((record.language, record.id) for record in records)


def raise_faults(faults: Sequence[Fault]) -> None:
    """Raise DataError with the first faults, if there is any, and the number of the rest.

    What is wrong with one line in several languages is said once.
    """
    if faults:
        raise DataError(*first_faults([*dict.fromkeys(faults)]))


class Spoken(NamedTuple):
    """The languages of a task, and those ``own`` to the texts of a role, "query" or "passage"."""

    role: str
    languages: Sequence[str]
    own: Sequence[str]
    pairs: Sequence[tuple[str, str]] = ()


def build_entries(
    spoken: Spoken, records: Iterable[TextRecord], faults: list[Fault]
) -> tuple[Entries, dict[tuple[str, str], int]]:
    """Lay the records of a role out by language and check them; what is wrong joins ``faults``.

    Also returns (language, id) -> index. Faulty records are there, too, so that what names them is
    no further fault.
    """
    role, own = spoken.role, spoken.own
    by_language: dict[str, list[TextRecord]] = {language: [] for language in spoken.languages}
    known = frozenset(own)
    numbers: dict[tuple[str, str] | None, int] = {p: i for i, p in enumerate(spoken.pairs)}
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        first = seen.get((record.language, record.id))
        seen.setdefault((record.language, record.id), record.where)
        if record.language not in known:
            found = f"{role} {record.id!r} has language {record.language!r}"
            faults.append(Fault(record.where, found, "one of " + ", ".join(own)))
        elif first is not None:
            found = f"{role} {record.id!r} ({record.language}) given again; first at {first}"
            faults.append(Fault(record.where, found, f"each {role} id once in a language"))
        elif wrong := wrong_text(role, record.id, record.text):
            faults.append(Fault(record.where, *wrong))
        if first is None:
            by_language.setdefault(record.language, []).append(record)
    for language, group in by_language.items():
        if not group and language in known:
            faults.append(none_of(role, language))
    if numbers:
        for group in by_language.values():
            group.sort(key=lambda record: numbers[record.pair])
    ordered = [record for group in by_language.values() for record in group]
    sizes = [len(group) for group in by_language.values()]
    entries = Entries(
        ids=tuple(r.id for r in ordered),
        texts=tuple(r.text for r in ordered),
        groups=tuple(r.group for r in ordered),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        pair=np.array([numbers[r.pair] for r in ordered], np.int16) if numbers else None,
    )
    return entries, {(r.language, r.id): i for i, r in enumerate(ordered)}


def none_of(role: str, language: str, kind: str = "") -> Fault:
    """Say that a language of a role has no text, or nothing of that ``kind``."""
    expected = f"at least one {kind or role} in every language of the task"
    mend = f"if no {role} is in {language!r}, name the languages of the others in {role}-languages"
    return Fault(f"language {language!r}", f"no {kind or role} at all", expected, mend)


def wrong_text(role: str, id_: str, text: str) -> tuple[str, str] | None:
    """Return what is wrong with a text and what was expected, None where nothing is."""
    if not text.strip():
        return f"{role} {id_!r} has no text", "some text"
    if not is_unicode(id_ + text):
        return f"{role} {id_!r} holds half of a surrogate pair", "Unicode text"
    return None


def is_unicode(text: str) -> bool:
    """Whether a string can be encoded; JSON can escape surrogates that are no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
