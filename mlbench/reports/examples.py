"""Examples of a report on images: queries that fare worst, with what they find first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mlbench.data.task import IMAGE
from mlbench.data.texts import Name, Texts
from mlbench.ranking.ranks import Ranks
from mlbench.reports.drawing import shortened
from mlbench.reports.explain import Explanation, worst
from mlbench.reports.found_first import Example
from mlbench.reports.thumbnails import thumbnail

MOST_LANGUAGES = 12
"""Languages of texts of which the worst query is an example."""
MOST_IMAGES = 6
"""Images that are examples."""
LONGEST_TEXT = 200


def worst_queries(ranks: Ranks) -> Iterator[tuple[Explanation, tuple[str, ...]]]:
    """Yield the queries that are to be examples, each with its pool: the worst one of each
    language of texts that search images, and the worst images in all texts. Those whose relevant
    passage is first are left out; nothing is yielded for a task without images."""
    roles = ranks.roles
    asked = [code for code in roles.queries if code != IMAGE and IMAGE in roles.pool_of(code)]
    wanted: list[tuple[str, tuple[str, ...], int]]
    wanted = [(code, (IMAGE,), 1) for code in asked[:MOST_LANGUAGES]]
    if IMAGE in roles.queries and IMAGE not in roles.pool_of(IMAGE):
        wanted.append((IMAGE, roles.pool_of(IMAGE), MOST_IMAGES))
    for code, pool, count in wanted:
        for each in worst(ranks, code, pool, count):
            if each.passages[0].rank > 1:
                yield each, pool


class Shown(NamedTuple):
    """A query or a passage as a page shows it: a thumbnail's address, or a text."""

    language: str
    name: str
    text: str
    uri: str


class ShownExample(NamedTuple):
    """An example as a page shows it."""

    line: str
    query: Shown
    found: Shown
    relevant: Shown


def shown_examples(examples: tuple[Example, ...], texts: Texts) -> list[ShownExample]:
    """Return the examples with their texts and thumbnails, as far as these are at hand."""
    shown = []
    for each in examples:
        query, found, relevant = (_shown(name, texts) for name in each.names)
        what = "The right image" if each.relevant_language == IMAGE else "The best right text"
        line = f"{what} is at rank {each.rank:,} of {each.pool_size:,}."
        shown.append(ShownExample(line, query, found, relevant))
    return shown


def _shown(name: Name, texts: Texts) -> Shown:
    language, id_ = name
    text = texts.passages.get(name) or texts.queries.get(name, "")
    return Shown(language, id_, shortened(text, LONGEST_TEXT), thumbnail(texts, name))
