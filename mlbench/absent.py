"""Judgements that name passages which the corpus does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.errors import DataError, Fault

SHOWN = 3
MEND = "get the whole corpus, of the version that was judged"


@dataclass(frozen=True)
class Absent:
    """Judgements that are left out, as arrays of one length: no passage they name was read.

    ``query`` (int64) indexes the collection's queries and ``relevance`` (int32) is the judgement's;
    ``passages`` names the passages, as "'7#0' (yo)".
    """

    query: npt.NDArray[np.int64]
    passages: tuple[str, ...]
    relevance: npt.NDArray[np.int32]

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

    def warning(self, judgements: int, unanswered: int) -> str:
        """Say what was left out of ``judgements`` in all."""
        names = self._names
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        said = (
            f"{len(self.passages):,} of {judgements:,} judgements name passages that are not in "
            f"the corpus, and are left out: {', '.join(names[:SHOWN])}{more}"
        )
        if not unanswered:
            return said
        queries = "1 query that has" if unanswered == 1 else f"{unanswered:,} queries that have"
        return f"{said}; {queries} no other relevant passage in any language excluded"

    def refuse(self, most: int = 20) -> None:
        """Raise DataError that lists the passages, the first ``most`` of them."""
        names = self._names
        tail = [Fault("and", f"{len(names) - most:,} more passages")] if len(names) > most else []
        found = "judged, and not in the corpus"
        expected = "every judged passage in the corpus"
        faults = [Fault(f"passage {name}", found, expected, MEND) for name in names[:most]]
        raise DataError(*faults, *tail)


def absent_from(
    query: Sequence[int], passages: Sequence[tuple[str, str]], relevance: Sequence[int]
) -> Absent | None:
    """Return what is absent, from columns; ``passages`` are (language, id). None for nothing."""
    if not query:
        return None
    return Absent(
        query=np.array(query, np.int64),
        passages=tuple(f"{id_!r} ({language})" for language, id_ in passages),
        relevance=np.array(relevance, np.int32),
    )
