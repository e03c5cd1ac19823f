"""Task, Setting and Source: what is evaluated; no input or output.

``task_file`` reads them from a file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Protocol

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
SPELLING = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
"""A language code as data sets spell it, FLORES-200's ``deu_Latn`` and ``zh_CN``, too."""
SHA256 = re.compile(r"[0-9a-f]{64}")
IMAGE = "zxx"
"""The language code of images: BCP 47's for what has no linguistic content."""
INTO_IMAGE, FROM_IMAGE = "text-to-image", "image-to-text"
"""Directions of a task whose texts search images and whose images search texts."""


def language_code(spelling: str) -> str:
    """Return a language's code as BCP 47 spells it: "zh-Hans" for "zh_hans", "zh-CN" for "zh_cn".

    Source: RFC 5646, section 2.1.1. Raises ValueError for what is no code.

    >>> language_code("deu_Latn")
    'deu-Latn'
    """
    if not SPELLING.fullmatch(spelling):
        raise ValueError(f"{spelling!r} is no language code")
    first, *parts = spelling.lower().replace("_", "-").split("-")
    tag, plain = [first], len(first) > 1
    for part in parts:
        plain = plain and len(part) > 1  # what follows a singleton is in lower case
        letters = plain and part.isalpha()
        styled = {2: part.upper(), 4: part.title()}.get(len(part), part) if letters else part
        tag.append(styled)
    return "-".join(tag)


def language_among(spelling: str, known: Iterable[str]) -> str:
    """Return the language of ``known`` that has this code, in any spelling; else ``spelling``."""
    return _among(spelling, tuple(known))


@lru_cache(1024)
def _among(spelling: str, known: tuple[str, ...]) -> str:
    if spelling in known:
        return spelling
    return next((k for k in known if code_of(k) == code_of(spelling)), spelling)


def code_of(spelling: str) -> str:
    """Return the ``language_code`` of a spelling, or what is none as it is."""
    return language_code(spelling) if SPELLING.fullmatch(spelling) else spelling


def spellings(language: str, first: str = "") -> list[str]:
    """Return how names of files may spell a language, ``first`` first: with "-", then with "_"."""
    return list(dict.fromkeys([first or language, language, language.replace("-", "_")]))


class Kind(StrEnum):
    """The three kinds of retrieval a setting can belong to."""

    MONOLINGUAL = "monolingual"
    CROSSLINGUAL = "crosslingual"
    MULTILINGUAL = "multilingual"


class Group(StrEnum):
    """What a task is listed under."""

    QUESTIONS = "questions"
    PARAGRAPHS = "paragraphs"
    BITEXT = "bitext"
    LARGE = "large"
    IMAGES = "images"
    TRAINING = "training"


@dataclass(frozen=True)
class Setting:
    """Queries of one language searched in the pool of the passages of some languages."""

    kind: Kind
    query_language: str
    passage_languages: tuple[str, ...]


class HasLanguages(Protocol):
    """A setting, or the scores of one."""

    @property
    def query_language(self) -> str:
        """The language of the queries."""

    @property
    def passage_languages(self) -> tuple[str, ...]:
        """The languages of the pool."""


@dataclass(frozen=True)
class PairSizes:
    """A pair of ``languages`` and how many judged queries and passages it has in each of them."""

    languages: tuple[str, str]
    queries: tuple[int, int]
    passages: tuple[int, int]


@dataclass(frozen=True)
class Roles:
    """Which languages a task's queries have and which its passages, each in the task's order.

    ``pairs`` are the pairs of languages that are evaluated, each with queries and passages of its
    own that no other pair's are searched among; none where all passages are one collection.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def counted(
        cls,
        languages: tuple[str, ...],
        queries: Mapping[str, int],
        passages: Mapping[str, int],
        pairs: tuple[tuple[str, str], ...] = (),
    ) -> Roles:
        """Return the roles of languages by how many queries and passages each of them has.

        Numbers that are not known, in an empty mapping, count for all languages.
        """
        of_queries, of_passages = (
            tuple(code for code in languages if counts.get(code)) if counts else languages
            for counts in (queries, passages)
        )
        return cls(of_queries, of_passages, pairs)

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages: those of queries, then those of passages alone."""
        return tuple(dict.fromkeys((*self.queries, *self.passages)))

    @property
    def shared(self) -> tuple[str, ...]:
        """The languages that queries and passages both have, where queries may find passages in
        their own."""
        return tuple(code for code in self.queries if code in self.pool_of(code))

    def only(self, languages: Collection[str]) -> Roles:
        """Return the roles of some of the languages; a pair needs both of its, and a language of
        no pair that is left has none, nor has one of texts without images that they search and
        are searched by, nor images without texts."""
        pairs = tuple(pair for pair in self.pairs if set(pair) <= set(languages))
        kept = {code for pair in pairs for code in pair} if self.pairs else languages
        left = Roles(
            tuple(code for code in self.queries if code in kept),
            tuple(code for code in self.passages if code in kept),
            pairs,
        )
        lonely = self.between_modalities and not left.between_modalities
        return Roles((), ()) if lonely else left

    @property
    def between_modalities(self) -> bool:
        """Whether queries and passages both have images and texts: then texts search images and
        images search texts, and nothing searches its own kind."""
        roles = (self.queries, self.passages)
        return not self.pairs and all(IMAGE in of and len(of) > 1 for of in roles)

    @property
    def two_ways(self) -> bool:
        """Whether all settings are read by direction: of pairs, or of images and texts."""
        return bool(self.pairs) or self.between_modalities

    @property
    def pivot(self) -> str | None:
        """The language that all pairs have, None where they have none or are fewer than two; or
        that of images, where texts search them and they search texts."""
        if self.between_modalities:
            return IMAGE
        if len(self.pairs) < 2:
            return None
        common = set.intersection(*map(set, self.pairs))
        return next(iter(common), None)

    def number(self, setting: Setting) -> int:
        """Return the index of the pair that a setting belongs to, 0 where there are no pairs."""
        asked = {setting.query_language, *setting.passage_languages}
        return next((i for i, pair in enumerate(self.pairs) if set(pair) == asked), 0)

    def direction(self, setting: HasLanguages) -> str | None:
        """Return "from-en" or "into-en" for a setting of pairs that all have English,
        "text-to-image" or "image-to-text" where both are searched and the texts are in one
        language, else None."""
        if self.pivot is None or len(setting.passage_languages) > 1:
            return None
        if self.between_modalities:
            return FROM_IMAGE if setting.query_language == IMAGE else INTO_IMAGE
        return f"{'from' if setting.query_language == self.pivot else 'into'}-{self.pivot}"

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions that settings across languages have, sorted; none where they have none."""
        found = map(self.direction, self.settings([Kind.CROSSLINGUAL]))
        return tuple(sorted({direction for direction in found if direction}))

    @property
    def one_asked(self) -> bool:
        """Whether all queries are in one language, and the passages in several, not of pairs."""
        return len(self.queries) == 1 and len(self.passages) > 1 and not self.pairs

    def pool_of(self, query_language: str) -> tuple[str, ...]:
        """Return the languages of all passages that queries of a language may be searched in: all
        of them, or only images or only texts where ``between_modalities``."""
        if not self.between_modalities:
            return self.passages
        asked = query_language == IMAGE
        return tuple(code for code in self.passages if (code == IMAGE) is not asked)

    @property
    def mixing(self) -> tuple[str, ...]:
        """The languages of queries that passages of several languages can be searched for
        together."""
        if self.pairs:
            return ()
        return tuple(code for code in self.queries if len(self.pool_of(code)) > 1)

    @property
    def mixed_pool(self) -> tuple[str, ...]:
        """The languages of all passages that are searched together with those of others."""
        found = {code for asked in self.mixing for code in self.pool_of(asked)}
        return tuple(code for code in self.passages if code in found)

    @property
    def mixed(self) -> bool:
        """Whether the passages of several languages can be searched together."""
        return bool(self.mixing)

    def settings(self, kinds: Iterable[Kind]) -> tuple[Setting, ...]:
        """Return the settings of the kinds: by kind, then query language, then pool language.

        Where queries and passages have the same L languages, there are L monolingual, L(L-1)
        cross-lingual and L multilingual settings. A monolingual setting needs a language of both,
        and a multilingual pool two languages of passages. Pairs have cross-lingual settings alone,
        one of each direction. Images and texts that search each other have L cross-lingual settings
        of each direction, and a multilingual one: images in the texts of all languages.
        """

        def pools(kind: Kind, query_language: str) -> list[tuple[str, ...]]:
            if kind is Kind.MONOLINGUAL:
                own = (query_language,)
                return [own] if query_language in self.passages and not self.two_ways else []
            if kind is Kind.CROSSLINGUAL:
                return [(language,) for language in self._others(query_language)]
            return [self.pool_of(query_language)] if query_language in self.mixing else []

        return tuple(
            Setting(kind, query_language, pool)
            for kind in kinds
            for query_language in self.queries
            for pool in pools(kind, query_language)
        )

    def kinds(self, asked: Iterable[str]) -> tuple[Kind, ...]:
        """Return those of the kinds that there are settings of, in the order of all kinds."""
        wanted = {*asked}
        return tuple(kind for kind in Kind if kind.value in wanted and self.settings([kind]))

    def _others(self, query_language: str) -> list[str]:
        """Return the languages of passages that queries of a language are searched in alone."""
        others = [code for code in self.pool_of(query_language) if code != query_language]
        if not self.pairs:
            return others
        known = {frozenset(pair) for pair in self.pairs}
        return [other for other in others if frozenset((query_language, other)) in known]


@dataclass(frozen=True)
class Source:
    """Where a task's data lies and how it is read.

    ``files`` maps a role that the reader names (``documents``, ``corpus``, ...) to a path
    pattern; ``{language}`` in it stands for each language, ``{first}`` and ``{second}`` for those
    of each pair, ``{shard}`` for each shard of it, of which ``shards`` tells the number.
    ``spelled`` maps a language to its spelling in the task file, or in names of files, which the
    placeholders stand for, where that is another than its code. ``places`` are further
    patterns where a role's files may lie. ``urls`` maps a role, or "" for all others, to an
    address. ``sha256`` maps a resolved path to its digest. ``ids`` maps a language to the name its
    data has elsewhere. ``options`` are the reader's own. ``obtain`` says in words how a user gets
    files that have no address.
    """

    reader: str
    files: Mapping[str, str]
    urls: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    shards: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    obtain: str = ""

    def url(self, role: str) -> str | None:
        """Return the address of the files of a role, None where it has none."""
        return self.urls.get(role, self.urls.get(""))


@dataclass(frozen=True)
class Task:
    """What is evaluated, as a task file says it.

    ``query_languages`` and ``passage_languages`` are those of ``languages`` that queries and
    passages have, empty where they have all; ``pairs`` are as in ``Roles``. ``language_sets`` names
    subsets of the languages that scores are averaged over elsewhere; ``notes`` are what a reader of
    any score of this task must know. ``group`` is what lists show it under, None for other tasks.
    """

    name: str
    version: str
    title: str
    languages: tuple[str, ...]
    kinds: tuple[Kind, ...]
    measures: tuple[str, ...]
    text: str
    licence: str
    citation: str
    source: Source
    path: Path
    language_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    group: Group | None = None
    query_languages: tuple[str, ...] = ()
    passage_languages: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def roles(self) -> Roles:
        """Which languages the queries and the passages have."""
        return Roles(
            self.query_languages or self.languages,
            self.passage_languages or self.languages,
            self.pairs,
        )

    def settings(self) -> tuple[Setting, ...]:
        """Return every setting of the task; see ``Roles.settings``."""
        return self.roles.settings(self.kinds)


def with_codes(task: Task) -> Task:
    """Return a task that was made by hand with its languages by their codes, as a task file's are.

    Paths keep the spelling. Raises ValueError where two are one language.
    """
    codes = tuple(map(code_of, task.languages))
    if codes == task.languages:
        return task
    if len(set(codes)) < len(codes):
        raise ValueError(f"one language twice: {', '.join(task.languages)}")
    source = replace(
        task.source,
        spelled={c: s for c, s in zip(codes, task.languages, strict=True) if c != s},
        shards={code_of(s): count for s, count in task.source.shards.items()},
        ids={code_of(s): id_ for s, id_ in task.source.ids.items()},
    )
    sets = {name: tuple(map(code_of, each)) for name, each in task.language_sets.items()}
    queries, passages = (
        tuple(map(code_of, each)) for each in (task.query_languages, task.passage_languages)
    )
    return replace(
        task,
        languages=codes,
        source=source,
        language_sets=sets,
        query_languages=queries,
        passage_languages=passages,
        pairs=tuple((code_of(one), code_of(other)) for one, other in task.pairs),
    )
