"""What a collection's digest is made of: sums of record digests, so that shards' digests add.

A record (a query, a passage, a judgement) is hashed to 2,048 bits with SHAKE-256; the digest of a
set of records is their sum modulo 2**2048 (AdHash; Bellare and Micciancio, "A New Paradigm for
Collision-Free Hashing", EUROCRYPT 1997). It depends on no order, and the digest of a collection
read in shards, on any machines, is that of the collection read at once.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

WIDTH = 256
"""Bytes of a record's digest and of a sum."""
MODULUS = 1 << (8 * WIDTH)
VERSION = b"mlbench/collection/2"
CUT = "mlbench/languages/1"


def sum_of_records(role: str, records: Iterable[Sequence[str]]) -> int:
    """Return the sum of the digests of some records of a role, 0 <= sum < MODULUS.

    ``role`` is "query" or "passage" (fields: language, id, text) or "qrels" (one record a query,
    see ``judged_records``). Add sums of disjoint parts with ``add``.
    """
    total = 0
    head = _framed([role])
    for record in records:
        hashed = hashlib.shake_256(head + _framed(record)).digest(WIDTH)
        total += int.from_bytes(hashed, "little")
    return total % MODULUS


def judged_records(
    judgements: Iterable[tuple[str, str, str, str, str]],
) -> Iterator[list[str]]:
    """Gather judgements (query language, query id, passage language, passage id, relevance) to
    one record a query: its language and id, then all that was judged, sorted."""
    by_query: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for query_language, query, language, passage, relevance in judgements:
        by_query.setdefault((query_language, query), []).append((language, passage, relevance))
    for name, judged in by_query.items():
        yield [*name, *(part for row in sorted(judged) for part in row)]


def sum_of_judged(
    queries: Sequence[tuple[str, str]],
    passages: Sequence[tuple[str, str]],
    query: npt.NDArray[np.int64],
    passage: npt.NDArray[np.int64],
    relevance: npt.NDArray[np.int32],
) -> int:
    """Return ``sum_of_records`` of the ``judged_records`` of judgements given as arrays, faster.

    ``queries`` and ``passages`` are (language, id); ``query`` ascends, and judges a passage once.
    """
    place = np.empty(len(passages), np.int64)
    place[sorted(range(len(passages)), key=passages.__getitem__)] = np.arange(len(passages))
    order = np.lexsort((place[passage], query))
    begin = np.flatnonzero(np.diff(query, prepend=-1))
    fields = [(language.encode(), id_.encode()) for language, id_ in passages]
    grade, of_grade = np.unique(relevance, return_inverse=True)
    grades = [str(value).encode() for value in grade.tolist()]
    sizes = np.empty((len(order), 3), "<u8")
    sizes[:, :2] = np.array([*map(_lengths, fields)], np.int64).reshape(-1, 2)[passage[order]]
    sizes[:, 2] = np.array([*map(len, grades)], np.int64)[of_grade[order]]
    names = [b"".join(pair) for pair in fields]
    judged = [
        names[which] + grades[how]
        for which, how in zip(passage[order].tolist(), of_grade[order].tolist(), strict=True)
    ]
    total, head = 0, _framed(["qrels"])
    for first, last in pairwise([*begin.tolist(), len(order)]):
        asked = [field.encode() for field in queries[query[first]]]
        count = struct.pack("<3Q", 2 + 3 * (last - first), *_lengths(asked))
        parts = [head, count, sizes[first:last].tobytes(), *asked, *judged[first:last]]
        hashed = hashlib.shake_256(b"".join(parts)).digest(WIDTH)
        total += int.from_bytes(hashed, "little")
    return total % MODULUS


def add(*sums: int) -> int:
    """Return the digest of all records together, from the sums of disjoint parts."""
    return sum(sums) % MODULUS


def collection_digest(
    languages: Sequence[str], counts: Mapping[str, Sequence[int]], sums: Mapping[str, int]
) -> str:
    """Return the SHA-256 (hex) of a collection.

    ``counts`` holds role -> number of records by language, ``sums`` role -> sum of all its
    records' digests.
    """
    hasher = hashlib.sha256(VERSION + _framed(languages))
    for role in sorted(counts):
        hasher.update(_framed([role, *map(str, counts[role])]))
    for role in sorted(sums):
        hasher.update(_framed([role]) + sums[role].to_bytes(WIDTH, "little"))
    return hasher.hexdigest()


def cut_digest(whole: str, languages: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of a collection cut to some languages, from that of the whole one,
    so that the two can never be taken for each other."""
    return hashlib.sha256("\n".join([CUT, whole, *languages]).encode()).hexdigest()


def _lengths(fields: Sequence[bytes]) -> list[int]:
    return [*map(len, fields)]


def _framed(values: Sequence[str]) -> bytes:
    """Return bytes that no other sequence of strings gives."""
    raw = [value.encode() for value in values]
    sizes = struct.pack(f"<{len(raw) + 1}Q", len(raw), *map(len, raw))
    return b"".join([sizes, *raw])
