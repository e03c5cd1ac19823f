"""Lines of run files matched with a task: its queries and passages that they name.

Ids are unique within a role and a language only. An id means the entry that has it in a language it
can be of, or, written ``<language>:<id>``, the one that has the rest of it there. One meaning is
taken; none, or several, is a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.data.collection import Collection, Questions
from mlbench.data.corpus import StreamedCollection
from mlbench.data.input_files import Faults
from mlbench.data.task import Kind, PairSizes, Setting, spellings
from mlbench.runs.patterns import Given
from mlbench.runs.reading import Ints, Name, RunFile, duplicates

ANY = -1
"""No language is said: it can be each of the task's."""
UNKNOWN = -1
UNJUDGED = -2
"""A query of the task that was left out, since nothing judges it."""
EXAMPLES = 3


@dataclass(frozen=True)
class Texts:
    """The ids of one role: ``tables`` maps an id to its entry, a table a language; ``language``
    (entries,) is the language of each entry.

    ``whole`` is False where only the judged ones are known, so that another id is none of these.
    """

    role: str
    tables: tuple[dict[str, int], ...]
    language: npt.NDArray[np.int16]
    whole: bool = True

    @classmethod
    def of(cls, role: str, ids: Sequence[str], starts: Ints, *, whole: bool = True) -> Texts:
        """Lay out ids contiguous by language: language l holds ``starts[l]:starts[l + 1]``."""
        edges = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
        tables = tuple(dict(zip(ids[a:b], range(a, b), strict=True)) for a, b in edges)
        language = np.repeat(np.arange(len(edges), dtype=np.int16), np.diff(starts))
        return cls(role, tables, language, whole)


@dataclass(frozen=True)
class Targets:
    """What runs are held against: the ids of a task and its relevant pairs.

    ``judged`` (queries,) says which queries have a judgement; ``query``, ``passage`` (entries) and
    ``relevance`` (at least 1) are arrays of one length, sorted by query and passage. ``pool_sizes``
    (languages,) counts passages, None where they were not read; ``pairs`` are those of languages
    that share no pool.
    """

    languages: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: Texts
    passages: Texts
    judged: npt.NDArray[np.bool_]
    query: Ints
    passage: Ints
    relevance: npt.NDArray[np.int32]
    pool_sizes: Ints | None
    pairs: tuple[PairSizes, ...] = ()

    @classmethod
    def of(cls, collection: Collection) -> Targets:
        """Return what runs on a collection are held against."""
        qrels = collection.qrels
        relevant = qrels.relevance > 0
        queries, passages = collection.queries, collection.passages
        return cls(
            languages=collection.languages,
            query_ids=queries.ids,
            queries=_queries(collection),
            passages=Texts.of("passage", passages.ids, passages.starts),
            judged=collection.judged,
            query=qrels.query[relevant],
            passage=qrels.passage[relevant],
            relevance=qrels.relevance[relevant],
            pool_sizes=passages.counts,
            pairs=collection.sizes(),
        )

    @classmethod
    def of_judgements(cls, streamed: StreamedCollection) -> Targets:
        """Return what runs on a task are held against whose passages are not read."""
        queries = streamed.queries
        entries = sorted({(code, id_) for judged in streamed.judged_parts()
                          for _, code, id_, _ in judged.rows()})  # fmt: skip
        entry = {name: i for i, name in enumerate(entries)}
        languages = [language for language, _ in entries]
        starts = np.searchsorted(languages, np.arange(len(streamed.languages) + 1))
        qrels = streamed.relevant(entry)
        ids = [id_ for _, id_ in entries]
        return cls(
            languages=streamed.languages,
            query_ids=queries.ids,
            queries=_queries(streamed),
            passages=Texts.of("passage", ids, starts.astype(np.int64), whole=False),
            judged=streamed.judged,
            query=qrels.query,
            passage=qrels.passage,
            relevance=qrels.relevance,
            pool_sizes=None,
        )

    def sizes(self, setting: Setting) -> tuple[int, int | None]:
        """Return the judged queries and the passages of a setting, None where not read."""
        languages = {setting.query_language, *setting.passage_languages}
        for pair in self.pairs:
            if {*pair.languages} == languages:
                side = pair.languages.index(setting.query_language)
                return pair.queries[side], pair.passages[1 - side]
        own = self.queries.language == self.languages.index(setting.query_language)
        pool = [self.languages.index(code) for code in setting.passage_languages]
        size = None if self.pool_sizes is None else int(self.pool_sizes[pool].sum())
        return int((self.judged & own).sum()), size

    def pairs_in(self, asked: npt.NDArray[np.bool_], pool: npt.NDArray[np.bool_]) -> Ints:
        """Return the relevant pairs of queries in some languages and passages in some; both say
        for each language whether it is one."""
        languages = self.queries.language[self.query], self.passages.language[self.passage]
        inside: Ints = np.flatnonzero(asked[languages[0]] & pool[languages[1]])
        return inside


def _queries(of: Questions) -> Texts:
    """Lay out a task's queries; those that were left out mean that there is nothing to score."""
    texts = Texts.of("query", of.queries.ids, of.queries.starts)
    number = {code: i for i, code in enumerate(of.languages)}
    for language, id_ in of.unjudged:
        texts.tables[number[language]].setdefault(id_, UNJUDGED)
    return texts


@dataclass
class Unjudged:
    """Queries of the task that runs answer and nothing judges, as ``<language>:<id>``, and the
    number of their lines."""

    lines: int = 0
    queries: set[str] = field(default_factory=set)

    def words(self) -> str:
        """Say what was left out."""
        count = len(self.queries)
        more = f" and {count - EXAMPLES:,} more" if count > EXAMPLES else ""
        return (
            f"{plural(count, 'query', 'queries')} of the task without a judgement "
            f"left out, with {plural(self.lines, 'line')}, as in "
            "trec_eval: " + ", ".join(sorted(self.queries)[:EXAMPLES]) + more
        )


@dataclass
class Unknown:
    """Lines whose query or passage the task does not have, and the first few of their ids."""

    queries: int = 0
    passages: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Placed:
    """The lines of a run file that count, as arrays of one length.

    ``line`` indexes the file's entries; ``query`` and ``passage`` are entries of the task, with
    numbers beyond them for passages that it does not have; ``language`` is the passage's,
    ``UNKNOWN`` where it cannot be told; ``pool`` is a language, or the number of languages for the
    pool of all.
    """

    run: RunFile
    line: Ints
    query: Ints
    passage: Ints
    language: Ints
    pool: Ints

    def kept(self, which: Ints) -> Placed:
        """Return some of the lines."""
        columns = (self.line, self.query, self.passage, self.language, self.pool)
        return Placed(self.run, *(column[which] for column in columns))


class _Meaning(NamedTuple):
    entry: int
    language: int


class Matching:
    """Finds the task's entries that run files name; gathers the faults of all of them."""

    def __init__(self, targets: Targets, *, allow_unknown: bool = False) -> None:
        self.targets = targets
        self.allow_unknown = allow_unknown
        self.number = {
            spelling: i for i, code in enumerate(targets.languages) for spelling in spellings(code)
        }
        self.faults = Faults()
        self.unknown = Unknown()
        self.unjudged = Unjudged()

    def place(self, run: RunFile, given: Given) -> Placed:
        """Match a file's lines; what is wrong joins ``faults``.

        Lines of queries without a judgement are left out, as trec_eval does, and join ``unjudged``.
        Unknown ids, if they are allowed, join ``unknown``: lines of unknown queries are left out.
        """
        targets, count = self.targets, len(self.targets.languages)
        line = np.arange(len(run))
        said = np.full(len(run.queries), self.number.get(given.query_language, ANY))
        found, spoken = self._meanings(targets.queries, run, run.queries, (line, run.query), said)
        line = line[self._judged(run, found, spoken)[run.query]]
        query = found[run.query[line]]
        within = np.full(len(line), self.number.get(given.pool, ANY))
        if given.pool == Kind.MONOLINGUAL.value:
            within = targets.queries.language[query].astype(np.int64)
        name = run.passage[line]
        pairs, which = np.unique(name * (count + 1) + within + 1, return_inverse=True)
        names, inside = np.divmod(pairs, count + 1)
        distinct = [run.passages[i] for i in names.tolist()]
        found, languages = self._meanings(
            targets.passages, run, distinct, (line, which), inside - 1,
            by_language=given.pool == Kind.CROSSLINGUAL.value,
        )  # fmt: skip
        passage, language = found[which], languages[which]
        passage = np.where(passage == UNKNOWN, len(targets.passages.language) + name, passage)
        pools = {
            Kind.MULTILINGUAL.value: np.full(len(line), count),
            Kind.CROSSLINGUAL.value: language,
        }.get(given.pool, within)
        placed = Placed(run, line, query, passage, language, pools)
        placed = placed.kept(np.flatnonzero(pools != UNKNOWN))
        self._note_aliases(placed)
        return placed

    def _judged(self, run: RunFile, found: Ints, spoken: Ints) -> npt.NDArray[np.bool_]:
        """Say which of a run's queries, entries ``found`` in languages ``spoken``, have a
        judgement; note those of the task that have none."""
        judged = np.array([entry >= 0 and self.targets.judged[entry] for entry in found], bool)
        lines = np.bincount(run.query, minlength=len(found))
        for i in np.flatnonzero((found != UNKNOWN) & ~judged).tolist():
            code = self.targets.languages[spoken[i]]
            self.unjudged.queries.add(f"{code}:" + run.queries[i].id.removeprefix(f"{code}:"))
            self.unjudged.lines += int(lines[i])
        return judged

    def _meanings(
        self, texts: Texts, run: RunFile, names: Sequence[Name], of: tuple[Ints, Ints],
        within: Ints, *, by_language: bool = False,
    ) -> tuple[Ints, Ints]:  # fmt: skip
        """Return the entry and the language of each of ``names``, ``UNKNOWN`` where there is none.

        ``of`` says which name each of some lines has; ``within`` which language a name must be in.
        ``by_language`` refuses a name that has no language, as it says which ranking it is in.
        """
        found = np.full((2, len(names)), UNKNOWN, np.int64)
        line, which = of
        lines = np.bincount(which, minlength=len(names)).tolist()
        first = np.zeros(len(names), np.int64)
        first[which[::-1]] = line[::-1]
        for i, (name, inside) in enumerate(zip(names, within.tolist(), strict=True)):
            where = run.where(int(first[i]))
            meaning = self._meaning(texts, name, inside, where)
            if meaning is None:
                continue
            found[:, i] = meaning
            if meaning.entry == UNKNOWN and (texts.whole or meaning.language == ANY):
                lost = by_language and meaning.language == ANY
                at = f"{where} ({plural(lines[i], 'line')})"
                self._note_unknown(texts.role, name, inside, at, lost=lost)
                if texts.role == "query":
                    self.unknown.queries += lines[i]
                else:
                    self.unknown.passages += lines[i]
        return found[0], found[1]

    def _meaning(self, texts: Texts, name: Name, within: int, where: str) -> _Meaning | None:
        """Return what a name means, the entry or both may be unknown; None after a fault."""
        codes = self.targets.languages
        if name.language:
            said = self.number.get(name.language, UNKNOWN)
            if said == UNKNOWN or within not in {ANY, said}:
                found = f"{texts.role} {name.id!r} is said to be in {name.language}"
                expected = ", ".join(codes if said == UNKNOWN else [codes[within]])
                self.faults.add(where, found, expected)
                return None
            within = said
        meanings = self._as_written(texts, name.id, within)
        prefix, _, rest = name.id.partition(":")
        marked = self.number.get(prefix, UNKNOWN)
        if marked != UNKNOWN and within in {ANY, marked}:
            within = marked
            if rest in texts.tables[marked]:
                meanings.add(_Meaning(texts.tables[marked][rest], marked))
        if len(meanings) > 1 and self._matters(texts, meanings):
            known = [codes[language] for language in sorted(each.language for each in meanings)]
            found = f"{texts.role} {name.id!r} can be one of several: {', '.join(known)}"
            mend = (
                f"name its language: write {known[0]}:{name.id}, add two columns of languages, or "
                "put it into the file's name"
            )
            self.faults.add(where, found, f"one {texts.role}", mend)
            return None
        return min(meanings, default=_Meaning(UNKNOWN, within))

    def _matters(self, texts: Texts, meanings: set[_Meaning]) -> bool:
        """Whether it matters which of several entries is meant: not if nothing judges them."""
        return texts.role != "query" or any(
            entry >= 0 and self.targets.judged[entry] for entry, _ in meanings
        )

    def _as_written(self, texts: Texts, id_: str, within: int) -> set[_Meaning]:
        """Return the entries that have an id as it is written."""
        possible = range(len(texts.tables)) if within == ANY else [within]
        if within == ANY and not texts.whole:
            return set()  # a passage that was not read may have it, too
        return {
            _Meaning(texts.tables[language][id_], language)
            for language in possible
            if id_ in texts.tables[language]
        }

    def _note_unknown(self, role: str, name: Name, within: int, where: str, *, lost: bool) -> None:
        if self.allow_unknown and not lost:
            if len(self.unknown.examples) < EXAMPLES:
                self.unknown.examples.append(f"{role} {name.id!r} at {where}")
            return
        in_which = "the task" if within == ANY else self.targets.languages[within]
        expected = f"an id of a {role} of the task, or <language>:<id>"
        found = f"{role} {name.id!r} is not in {in_which}"
        mend = "correct the file, or " + (
            f"write it <language>:{name.id}, to say which ranking it is in, and " if lost else ""
        )
        self.faults.add(where, found, expected, f"{mend}add --allow-unknown")

    def _note_aliases(self, placed: Placed) -> None:
        """Refuse one passage under two names, such as "7" and "de:7"."""
        run, size = placed.run, len(self.targets.languages) + 1
        for first, again in duplicates(placed.query * size + placed.pool, placed.passage):
            one, other = (int(placed.line[i]) for i in (first, again))
            name = run.passages[run.passage[other]].id
            found = f"passage {name!r} is the one at {run.where(one)}"
            self.faults.add(run.where(other), found, "each passage of a query once")
