"""Judgements that name passages which the corpus does not have: one rule, held or streamed.

They are left out, counted and reported; a query that has no other relevant passage is excluded, as
any judged query without one is. Where nothing relevant is left, they are faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import DataError, Fault, first_faults

if TYPE_CHECKING:
    from mlbench.data.collection import Questions

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
            (f"{len(self.passages):,} judgements name" if several else "1 judgement names")
            + (" passages that are" if len(names) > 1 else " a passage that is")
            + f" not in the corpus, and {'are' if several else 'is'} left out: "
            + ", ".join(names[:SHOWN])
            + more
        )
        if not unanswered:
            return said
        one = unanswered == 1
        queries = "1 query has" if one else f"{unanswered:,} queries have"
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
