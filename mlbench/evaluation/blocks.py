"""Shards cut into blocks: where one ends depends on its shard alone, never on a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mlbench.data.corpus import ShardSource

BLOCK = 8192
"""Passages in a block; the last one of a shard has fewer."""


class Block(NamedTuple):
    """Some passages of a shard, in its order. ``content`` comes with the last block of a shard
    (an empty shard has one empty block), None before: it tells all that the shard holds."""

    shard: ShardSource
    start: int
    ids: list[str]
    texts: list[str]
    content: str | None


class Content:
    """SHA-256 over the ids and texts of a shard in their order, however they are cut.

    Cheaper by far than the digests that add (see ``digests``): it shows in passing that a shard
    holds what it held when it was scanned.
    """

    def __init__(self) -> None:
        self._ids = hashlib.sha256(), hashlib.sha256()
        self._texts = hashlib.sha256(), hashlib.sha256()

    def update(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Take in the next passages."""
        for strings, (lengths, joined) in ((ids, self._ids), (texts, self._texts)):
            lengths.update(np.fromiter(map(len, strings), "<i8", len(strings)).tobytes())
            joined.update("".join(strings).encode())

    def hexdigest(self) -> str:
        """Return the digest of all that was taken in."""
        parts = (*self._ids, *self._texts)
        return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def blocks_of(shard: ShardSource, size: int) -> Iterator[Block]:
    """Read a shard in blocks of ``size`` passages; at least one block, the last with ``content``.

    Raises what reading it raises.
    """
    content, start = Content(), 0
    ids: list[str] = []
    texts: list[str] = []
    for batch in shard.passages():
        more, texts_of_more = map(list, zip(*batch, strict=True))
        content.update(more, texts_of_more)
        ids += more
        texts += texts_of_more
        while len(ids) > size:
            yield Block(shard, start, ids[:size], texts[:size], None)
            ids, texts, start = ids[size:], texts[size:], start + size
    yield Block(shard, start, ids, texts, content.hexdigest())
