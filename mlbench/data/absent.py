"""Judgements put in order and checked; and those that name passages which the corpus does not have:
one rule, held or streamed.

The latter are left out, counted and reported; a query that has no other relevant passage is
excluded, as any judged query without one is. Where nothing relevant is left, they are faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, first_faults

if TYPE_CHECKING:
    from mlbench.data.collection import Judgement, Questions

K = TypeVar("K")
Ints = npt.NDArray[np.int64]

SHOWN = 3
FOUND = "is judged, but not in the corpus"
MEND = "get the whole corpus, in the version that was judged"


class Lost(NamedTuple):
    """A judgement of the query with that index; its passage was not read.

    The language is "" where the judgement says none.
    """

    query: int
    language: str
    id: str
    relevance: int


@dataclass(frozen=True)
class Absent:
    """Judgements that are left out, as arrays of one length: no passage they name was read.

    ``query`` (int64) indexes the collection's queries and ``relevance`` (int32) is the judgement's;
    ``passages`` names the passages, as "'7#0' (yo)", or "'7#0'" where no language is said.
    """

    query: npt.NDArray[np.int64]
    passages: tuple[str, ...]
    relevance: npt.NDArray[np.int32]

    @classmethod
    def of(cls, rows: Sequence[Lost]) -> Absent | None:
        """Lay rows out as columns; None if there are none."""
        if not rows:
            return None
        return cls(
            query=np.array([row.query for row in rows], np.int64),
            passages=tuple(
                f"{row.id!r}{f' ({row.language})' * bool(row.language)}" for row in rows
            ),
            relevance=np.array([row.relevance for row in rows], np.int32),
        )

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(self.passages))

    def of_queries(self, number: npt.NDArray[np.int64]) -> Absent | None:
        """Return what concerns some of the queries; ``number`` (queries,) is the new index of
        each, -1 for one that is left out."""
        kept = np.flatnonzero(number[self.query] >= 0)
        if not len(kept):
            return None
        passages = tuple(self.passages[i] for i in kept.tolist())
        return Absent(number[self.query[kept]], passages, self.relevance[kept])

    def unanswered(self, has_relevant: npt.NDArray[np.bool_]) -> int:
        """Count the queries that lost their last relevant passage.

        ``has_relevant`` (queries,) says which have another.
        """
        lost = np.unique(self.query[self.relevance > 0])
        return int((~has_relevant[lost]).sum())

    def warning(self, unanswered: int) -> str:
        """Say what was left out; ``unanswered`` is what the method of that name counts."""
        names = self._names
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        several = len(self.passages) > 1
        said = (
            plural(len(self.passages), "judgement names", "judgements name")
            + (" passages that are" if len(names) > 1 else " a passage that is")
            + f" not in the corpus, and {'are' if several else 'is'} left out: "
            + ", ".join(names[:SHOWN])
            + more
        )
        if not unanswered:
            return said
        one = unanswered == 1
        queries = plural(unanswered, "query has", "queries have")
        return f"{said}; {queries} no other relevant passage and {'is' if one else 'are'} excluded"

    def refuse(self) -> NoReturn:
        """Raise DataError that lists the passages, the first 20 of many."""
        expected = "every judged passage in the corpus"
        faults = [Fault(f"passage {name}", FOUND, expected, MEND) for name in self._names]
        raise DataError(*first_faults(faults, "passages"))


def absent_warnings(collection: Questions) -> tuple[str, ...]:
    """Return what a reader of the scores must know of judgements that were left out."""
    absent = collection.absent
    if absent is None:
        return ()
    has_relevant = np.asarray(collection.relevant_by_language.any(axis=1))
    return (absent.warning(absent.unanswered(has_relevant)),)


def present_and_lost(
    languages: Sequence[str],
    judgements: Iterable[Judgement],
    query_index: Mapping[tuple[str, str], int],
    passage_index: Mapping[tuple[str, str], int],
    faults: list[Fault],
) -> tuple[list[Judgement], list[Lost]]:
    """Part judgements into those to keep and those whose passage was not read, sorted.

    Nothing is lost where nothing relevant would be left: then all of them are faults.
    """
    present: list[Judgement] = []
    lost: dict[tuple[int, int, str], Judgement] = {}
    codes = (*languages, "")
    possible = frozenset(codes)
    for row in judgements:
        query = query_index.get((row.query_language, row.query_id))
        known = query is not None and row.passage_language in possible
        if query is None or not known or (row.passage_language, row.passage_id) in passage_index:
            present.append(row)
            continue
        key = (query, codes.index(row.passage_language), row.passage_id)
        add_pair(lost, key, row, faults)
    if not any(row.relevance > 0 for row in present):
        return present, []
    rows = sorted((*key, row.relevance) for key, row in lost.items())
    return present, [Lost(q, codes[n], id_, relevance) for q, n, id_, relevance in rows]


def qrels_of(
    judgements: Iterable[Judgement],
    query_index: dict[tuple[str, str], int],
    passage_index: dict[tuple[str, str], int],
    faults: list[Fault],
) -> tuple[Ints, Ints, npt.NDArray[np.int32]]:
    """Return query and passage index and relevance of judgements, sorted; what is wrong with them
    joins ``faults``."""
    seen: dict[int, Judgement] = {}
    width = len(passage_index)
    for judgement in judgements:
        query_id, query_language, passage_id, passage_language, *_ = judgement
        query = query_index.get((query_language, query_id))
        passage = passage_index.get((passage_language, passage_id))
        if query is None:
            faults.append(dangling(judgement, "query"))
        if passage is None:
            faults.append(dangling(judgement, "passage"))
        if query is None or passage is None:
            continue
        add_pair(seen, query * width + passage, judgement, faults)
    check_relevant(seen.values(), faults)
    pairs = np.fromiter(seen, np.int64, len(seen))
    grades = np.fromiter((judgement.relevance for judgement in seen.values()), np.int32, len(seen))
    order = np.argsort(pairs)
    query_of, passage_of = np.divmod(pairs[order], max(width, 1))
    return query_of, passage_of, grades[order]


def dangling(judgement: Judgement, role: str) -> Fault:
    """Say that a judgement's "query" or "passage" does not exist."""
    ids = {"query": judgement.query_id, "passage": judgement.passage_id}
    languages = {"query": judgement.query_language, "passage": judgement.passage_language}
    language = f" ({languages[role]})" if languages[role] else ""
    return Fault(
        judgement.where,
        f"a judgement names {role} {ids[role]!r}{language}, which is not in the collection",
        f"the id of a {role} that was read",
        MEND if role == "passage" else "",
    )


def add_pair(seen: dict[K, Judgement], pair: K, judgement: Judgement, faults: list[Fault]) -> None:
    """Keep the first judgement of a pair; another that contradicts it joins ``faults``."""
    first = seen.setdefault(pair, judgement)
    if first.relevance != judgement.relevance:
        found = (
            f"query {judgement.query_id!r} and passage {judgement.passage_id!r} judged "
            f"{judgement.relevance}; judged {first.relevance} at {first.where}"
        )
        faults.append(Fault(judgement.where, found, "one judgement for each pair"))


def check_relevant(judgements: Iterable[Judgement], faults: list[Fault]) -> None:
    """Note that the judgements call nothing relevant, where nothing else is wrong."""
    if not faults and not any(judgement.relevance > 0 for judgement in judgements):
        found = "no query has a relevant passage"
        faults.append(Fault("qrels", found, "a judgement of 1 or more"))
