"""Counts in sentences: one line, two lines."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5
"""Things that are named one by one; of more, the number is told."""


def plural(count: int, noun: str, several: str = "") -> str:
    """Return ``count`` and ``noun``, with an s, or as ``several``, unless there is one.

    >>> plural(11, "setting")
    '11 settings'
    >>> plural(1, "shard is", "shards are")
    '1 shard is'
    """
    return f"{count:,} {agreeing(count, noun, several or noun + 's')}"


def agreeing(count: int, one: str, several: str) -> str:
    """Return the word that goes with ``count``.

    >>> f"2 of 3 shards {agreeing(2, 'is', 'are')} counted"
    '2 of 3 shards are counted'
    """
    return one if count == 1 else several


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    >>> listed(["de", "en", "fr"]), listed(["de"])
    ('de, en and fr', 'de')
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def named(words: Sequence[str], noun: str) -> str:
    """Return words as a sentence lists them, or how many of a ``noun`` there are of many.

    >>> named(["de", "en"], "language"), named(list("abcdef"), "language")
    ('de and en', '6 languages')
    """
    return listed(words) if len(words) <= NAMED else plural(len(words), noun)
