"""Draws of questions that are kept for many columns, packed: half a byte a count, a bit a sign.

Drawing takes longer than a mean on the draws, so they are drawn once; of 36,692 questions all take
230 MB. They are unpacked some at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mlbench.comparing.places import Ints
from mlbench.measures.randomisation import sign_bits
from mlbench.measures.significance import Values, drawn_weights, draws_at_a_time

Bytes = npt.NDArray[np.uint8]
MOST = 15
"""The largest count that half a byte holds; hardly any draw takes a question more than 8 times."""


def times_drawn(questions: int, draws: int) -> Iterator[Values]:
    """Yield how often each draw takes each question, as ``drawn_weights`` does."""
    half = (questions + 1) // 2
    for packed in _times_drawn(questions, draws):
        counts = np.empty((len(packed), questions))
        if packed.dtype == np.uint16:
            counts[:] = packed
        else:
            counts[:, :half] = packed & MOST
            counts[:, half:] = packed[:, : questions - half] >> 4
        yield counts


def signs(questions: int, draws: int, asked: Ints | None = None) -> Iterator[Values]:
    """Yield the sign of each question, or of those ``asked`` (q,), in each draw, as ``drawn_signs``
    does."""
    wanted = questions if asked is None else len(asked)
    step = draws_at_a_time(wanted)
    for packed in _signs(questions, draws):
        for start in range(0, len(packed), step):
            some = packed[start : start + step]
            found = _bits(some, questions, asked).astype(np.float64)
            found *= 2
            found -= 1
            yield found


def _bits(packed: Bytes, questions: int, asked: Ints | None) -> Bytes:
    if asked is None:
        return np.unpackbits(packed, axis=1, count=questions)
    place = (7 - (asked & 7)).astype(np.uint8)
    return np.right_shift(packed[:, asked >> 3], place) & np.uint8(1)


@lru_cache(maxsize=1)
def _times_drawn(questions: int, draws: int) -> list[Bytes | npt.NDArray[np.uint16]]:
    return [_packed(each) for each in drawn_weights(questions, draws=draws)]


def _packed(counts: Values) -> Bytes | npt.NDArray[np.uint16]:
    """Return counts (draws, questions) with those of the first half of the questions in the lower
    bits and of the others in the higher ones; as they are where one is too large for that."""
    if counts.max(initial=0) > MOST:
        return counts.astype(np.uint16)
    half = (counts.shape[1] + 1) // 2
    packed = counts[:, :half].astype(np.uint8)
    packed[:, : counts.shape[1] - half] |= counts[:, half:].astype(np.uint8) << 4
    return packed


@lru_cache(maxsize=1)
def _signs(questions: int, draws: int) -> list[Bytes]:
    return [np.packbits(each, axis=1) for each in sign_bits(questions, draws=draws)]
