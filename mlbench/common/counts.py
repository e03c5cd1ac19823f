"""Counts in sentences: one line, two lines."""

from __future__ import annotations


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
