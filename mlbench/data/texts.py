"""The texts of a collection by language and id, and its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbench.data.collection import Collection, Entries
from mlbench.data.task import IMAGE

if TYPE_CHECKING:
    from mlbench.data.images import Images

Name = tuple[str, str]
"""Language and id of a query or a passage."""


@dataclass(frozen=True)
class Texts:
    """Texts by name; or ``why`` there are none. What stands for an image is no text: it is among
    the ``references`` to ``images``, by name."""

    queries: dict[Name, str]
    passages: dict[Name, str]
    why: str = ""
    images: Images | None = None
    references: dict[Name, str] = field(default_factory=dict)

    @classmethod
    def of(cls, collection: Collection) -> Texts:
        """Return the texts of a collection."""
        sides = [_by_name(collection, e) for e in (collection.queries, collection.passages)]
        return cls._apart(sides[0], sides[1], collection.images)

    @classmethod
    def some(
        cls, collection: Collection, queries: Iterable[Name], passages: Iterable[Name]
    ) -> Texts:
        """Return the texts of these queries and passages of a collection."""
        code = {language: number for number, language in enumerate(collection.languages)}

        def chosen(entries: Entries, names: Iterable[Name]) -> dict[Name, str]:
            return {name: entries.texts[entries.index[code[name[0]], name[1]]] for name in names}

        asked, searched = chosen(collection.queries, queries), chosen(collection.passages, passages)
        return cls._apart(asked, searched, collection.images)

    @classmethod
    def _apart(
        cls, queries: dict[Name, str], passages: dict[Name, str], images: Images | None
    ) -> Texts:
        if images is None:
            return cls(queries, passages)
        references = {name: text for name, text in (queries | passages).items() if name[0] == IMAGE}
        sides = [
            {name: text for name, text in side.items() if name[0] != IMAGE}
            for side in (queries, passages)
        ]
        return cls(sides[0], sides[1], images=images, references=references)

    def place(self, name: Name) -> str:
        """Return where an image lies, in words; "" for a text, and where that is not known."""
        reference = self.references.get(name)
        return "" if reference is None or self.images is None else self.images.where(reference)


def _by_name(collection: Collection, entries: Entries) -> dict[Name, str]:
    codes = [collection.languages[language] for language in entries.language]
    return dict(zip(zip(codes, entries.ids, strict=True), entries.texts, strict=True))
