"""What is to be encoded of a collection: each distinct text of a role and language, and each
distinct image, once.

An image is the same as a query and as a passage, so that it stands in one group for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlbench.data.collection import Collection, Entries
from mlbench.data.images import IMAGE

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of one role and language; ``language`` "" stands for all together.

    Of images, ``texts`` are the references to those of both roles, and each role has a group.
    """

    role: str
    language: str
    texts: list[str]
    first: Ints
    """(texts,) the first entry of the role that has each text; -1 where none does."""
    entry: Ints
    """(entries,) index into ``texts`` of each entry of that language."""
    entries: Ints
    """(entries,) which entries of the role these are."""

    @classmethod
    def of(
        cls, role: str, language: str, texts: Sequence[str], entries: Ints | None = None
    ) -> Distinct:
        """Find the distinct texts in the order they first appear; ``entries`` are their places
        among all of the role, 0, 1, ... if None."""
        index: dict[str, int] = {}
        size = len(texts)
        entry = np.fromiter((index.setdefault(t, len(index)) for t in texts), np.int64, size)
        entries = np.arange(size) if entries is None else entries
        first = entries[np.unique(entry, return_index=True)[1]]
        return cls(role, language, list(index), first, entry, entries)

    def merged(self, keys: list[bytes]) -> tuple[Distinct, Ints]:
        """Take texts of equal key (``keys`` has one a text) as one; return also the places of
        the texts that stand for them."""
        index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        same = np.array([index[key] for key in keys], np.int64)
        keep = np.unique(same, return_index=True)[1]
        texts = [self.texts[place] for place in keep]
        return replace(self, texts=texts, first=self.first[keep], entry=same[self.entry]), keep

    def among(self, texts: Mapping[str, int]) -> Distinct:
        """Return the group with these for its texts, which map each to its place among them."""
        places = np.fromiter((texts[text] for text in self.texts), np.int64, len(self.texts))
        first = np.full(len(texts), -1, np.int64)
        first[places] = self.first
        return replace(self, texts=list(texts), first=first, entry=places[self.entry])


def distinct_texts(
    role: str,
    entries: Entries,
    languages: tuple[str, ...],
    *,
    by_language: bool = True,
    images: bool = False,
) -> Iterator[Distinct]:
    """Yield the distinct texts of each language that has any, in the order they first appear.

    What stands for images is left out, or is a language of texts if ``images``.
    """
    parts = {
        language: np.arange(entries.starts[number], entries.starts[number + 1])
        for number, language in enumerate(languages)
        if images or language != IMAGE
    }
    if not by_language:
        parts = {"": np.concatenate([*parts.values()])} if parts else {}
    for language, places in parts.items():
        if len(places):
            texts = [entries.texts[place] for place in places.tolist()]
            yield Distinct.of(role, language, texts, places)


def distinct_images(sides: Mapping[str, Entries], languages: tuple[str, ...]) -> Iterator[Distinct]:
    """Yield the images of each role that has any; ``sides`` are the entries of each role."""
    if IMAGE not in languages:
        return
    own, number = [], languages.index(IMAGE)
    for role, entries in sides.items():
        part = entries.slice(number)
        if entries.texts[part]:
            places = np.arange(part.start, part.stop)
            own.append(Distinct.of(role, IMAGE, entries.texts[part], places))
    every = dict.fromkeys(text for group in own for text in group.texts)
    index = {text: place for place, text in enumerate(every)}
    for group in own:
        yield group.among(index)


def longest_first(forms: Sequence[bytes], places: Iterable[int]) -> Ints:
    """Return places of forms in the order of encoding: as little padding as can be, and the same
    batches whatever order the texts came in."""
    return np.array(sorted(places, key=lambda i: (-len(forms[i]), forms[i])), np.int64)


@dataclass(frozen=True)
class Plan:
    """All that is to be encoded for a collection: texts by role, and ``images``, a group for each
    role that has any, with the same images in all."""

    queries: tuple[Distinct, ...]
    passages: tuple[Distinct, ...]
    images: tuple[Distinct, ...] = ()

    @classmethod
    def of(
        cls, collection: Collection, *, by_language: bool = True, images_as_texts: bool = False
    ) -> Plan:
        """Find the distinct texts of a collection, of each language or of all together, and its
        distinct images, which are a language of texts if ``images_as_texts``."""
        sides = {"passage": collection.passages, "query": collection.queries}
        languages = collection.languages
        passages, queries = (
            tuple(
                distinct_texts(
                    role, entries, languages, by_language=by_language, images=images_as_texts
                )
            )
            for role, entries in sides.items()
        )
        images = () if images_as_texts else tuple(distinct_images(sides, languages))
        return cls(queries, passages, images)

    @property
    def texts(self) -> tuple[Distinct, ...]:
        """The groups of texts, those of passages first."""
        return (*self.passages, *self.queries)
