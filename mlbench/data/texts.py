"""The texts of a collection by language and id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlbench.data.collection import Collection, Entries

Name = tuple[str, str]
"""Language and id of a query or a passage."""


@dataclass(frozen=True)
class Texts:
    """Texts by name; or ``why`` there are none."""

    queries: dict[Name, str]
    passages: dict[Name, str]
    why: str = ""

    @classmethod
    def of(cls, collection: Collection) -> Texts:
        """Return the texts of a collection."""
        return cls(
            _by_name(collection, collection.queries), _by_name(collection, collection.passages)
        )

    @classmethod
    def some(
        cls, collection: Collection, queries: Iterable[Name], passages: Iterable[Name]
    ) -> Texts:
        """Return the texts of these queries and passages of a collection."""
        code = {language: number for number, language in enumerate(collection.languages)}

        def chosen(entries: Entries, names: Iterable[Name]) -> dict[Name, str]:
            return {name: entries.texts[entries.index[code[name[0]], name[1]]] for name in names}

        return cls(chosen(collection.queries, queries), chosen(collection.passages, passages))


def _by_name(collection: Collection, entries: Entries) -> dict[Name, str]:
    codes = [collection.languages[language] for language in entries.language]
    return dict(zip(zip(codes, entries.ids, strict=True), entries.texts, strict=True))
