"""Hashed character n-grams: a baseline for every script that needs no training and no weights.

Each text is folded and cut into words with a mark at both ends; all n-grams of 1 to 5
characters within a word are hashed to one of 1,024 dimensions and to a sign (feature hashing,
Weinberger et al. 2009, arXiv 0902.2206); a dimension's sum s becomes sign(s) * sqrt(|s|), so
that a frequent n-gram does not drown the others. No statistics of any collection are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench.models.tokens import runs

DIMENSIONS = 1024
LONGEST = 5
_ROWS_AT_ONCE = 512
_SPACE = ord(" ")

_Hashes = npt.NDArray[np.uint64]
_Indices = npt.NDArray[np.int64]


class CharNgram:
    """Dense float32 (n, 1024), the same for queries and passages; no letter, zero vector."""

    name = "char-ngram"
    similarity = "cosine"
    identity = f"char-ngram/1, n-grams of 1 to {LONGEST}, {DIMENSIONS} dimensions"

    def encode_queries(self, texts: list[str], language: str) -> npt.NDArray[np.float32]:
        """Return one vector a query."""
        return encode(texts)

    def encode_passages(self, texts: list[str], language: str) -> npt.NDArray[np.float32]:
        """Return one vector a passage."""
        return encode(texts)

    def describe(self) -> dict[str, Any]:
        """Return facts for the report: nothing in it was trained."""
        return {"parameters": 0}


def encode(texts: list[str]) -> npt.NDArray[np.float32]:
    """Return the vectors of ``texts``, float32 of shape (len(texts), 1024)."""
    result = np.empty((len(texts), DIMENSIONS), np.float32)
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        part = texts[start : start + _ROWS_AT_ONCE]
        sums = np.zeros(len(part) * DIMENSIONS)
        for row, hashes in _ngrams(part):
            cell = row * DIMENSIONS + (hashes % np.uint64(DIMENSIONS)).astype(np.int64)
            sign = 1.0 - 2.0 * (hashes >> np.uint64(63))
            sums += np.bincount(cell, sign, minlength=len(sums))
        damped = np.copysign(np.sqrt(np.abs(sums)), sums)
        result[start : start + len(part)] = damped.reshape(-1, DIMENSIONS)
    return result


def _ngrams(texts: list[str]) -> Iterator[tuple[_Indices, _Hashes]]:
    """Yield, for n = 1, 2, ..., the row and the hash of every n-gram within a word.

    An n-gram may begin or end with the space that marks a word's end, but holds none inside.
    """
    marked = [f" {' '.join(runs(text))} " for text in texts]
    codes = np.frombuffer("".join(marked).encode("utf-32-le", "surrogatepass"), "<u4")
    row = np.repeat(np.arange(len(texts)), [len(text) for text in marked])
    letter = codes != _SPACE
    inside = np.ones(len(codes), bool)
    state = np.zeros(len(codes), np.uint64)
    for n in range(1, LONGEST + 1):
        count = max(len(codes) - n + 1, 0)
        state = _mix((state[:count] ^ codes[n - 1 :]) + np.uint64(n))
        if n == 1:
            keep = np.flatnonzero(letter)
        elif n == 2:
            keep = np.flatnonzero(letter[:-1] | letter[1:])
        else:
            inside = inside[:count] & letter[n - 2 : n - 2 + count]
            keep = np.flatnonzero(inside)
        yield row[keep], state[keep]


def _mix(state: _Hashes) -> _Hashes:
    """Scramble 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
