"""What a query finds first, as a report keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from mlbench.data.texts import Name


@dataclass(frozen=True)
class Example:
    """A query that fares badly, what it finds first, and what it should: the highest of its
    relevant passages, at ``rank`` of a pool of ``pool_size``."""

    query_language: str
    query_id: str
    found_language: str
    found_id: str
    relevant_language: str
    relevant_id: str
    rank: int
    pool_size: int

    @property
    def names(self) -> tuple[Name, Name, Name]:
        """Language and id of the query, of what it finds first and of what it should."""
        return (
            (self.query_language, self.query_id),
            (self.found_language, self.found_id),
            (self.relevant_language, self.relevant_id),
        )
