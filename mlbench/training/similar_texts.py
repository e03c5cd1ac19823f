"""Texts that are nearly equal: all pairs of two sets whose Jaccard similarity reaches a threshold.

A text is the set of its trigrams of characters, after Unicode's NFKC, without case and with single
blanks, so that languages that are written without blanks are compared alike. Two sets that are
similar have a trigram in common among their rarest ones (the prefix filter: Chaudhuri et al., "A
Primitive Operator for Similarity Joins", ICDE 2006; Bayardo et al., "Scaling Up All Pairs
Similarity Search", WWW 2007). So few pairs are compared, and unlike with MinHash none is missed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BITS = 21
"""Of a character; three fit into an integer, so that different trigrams are different numbers."""
SLACK = 1e-9
"""What rounding may take from a bound; it lets a few more pairs be compared."""


class Similar(NamedTuple):
    """Pairs of texts: the number of the indexed one, that of the other, and their similarity; each
    of shape (pairs,)."""

    indexed: IntArray
    other: IntArray
    similarity: npt.NDArray[np.float64]


class _Sets(NamedTuple):
    """The distinct members of some sets, (n,), ordered by set, where each set begins and the last
    one ends, (sets + 1,), and the size of each, (sets,); all int64."""

    members: IntArray
    ends: IntArray
    sizes: IntArray


def plain(text: str) -> str:
    """Return a text as it is compared: NFKC, without case, and with single blanks.

    >>> plain("Ｆｉｒｓｔ  Line\\n")
    'first line'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _trigrams(texts: Sequence[str]) -> tuple[IntArray, _Sets]:
    """Return all trigrams of some texts, ascending, and of which of them each text is made.

    A text of fewer characters has one trigram, itself.
    """
    padded = [plain(text).ljust(3, "\0") for text in texts]
    lengths = np.array([len(text) for text in padded], np.int64)
    points = np.frombuffer("".join(padded).encode("utf-32-le"), "<u4").astype(np.int64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    values = (points[:-2] << 2 * BITS) | (points[1:-1] << BITS) | points[2:]
    inside = owner[:-2] == owner[2:]
    known, member = np.unique(values[inside], return_inverse=True)
    return known, _sets(owner[:-2][inside], member, len(known), len(texts))


def _sets(owner: IntArray, member: IntArray, kinds: int, count: int) -> _Sets:
    """Return the sets of members that are below ``kinds``, given with the number of their set."""
    pairs = np.sort(owner * max(kinds, 1) + member)
    pairs = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))]
    owner, member = np.divmod(pairs, max(kinds, 1))
    sizes = np.bincount(owner, minlength=count)
    return _Sets(member, np.concatenate([[0], np.cumsum(sizes)]), sizes)


class TextIndex:
    """Finds which of some texts are similar to others: to a Jaccard similarity of ``threshold``
    (above 0, at most 1) or more.

    >>> index = TextIndex(["the cat sat on the mat", "nothing alike"], 0.6)
    >>> index.similar(["The cat sits on the mat."]).indexed.tolist()
    [0]
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._threshold = threshold
        self._known, sets = _trigrams(texts)
        counts = np.bincount(sets.members, minlength=len(self._known))
        order = np.argsort(counts, kind="stable")
        self._rarity = np.empty_like(order)
        self._rarity[order] = np.arange(len(order))
        owner = np.repeat(np.arange(len(texts)), sets.sizes)
        self._sets = _sets(owner, self._rarity[sets.members], len(order), len(texts))
        place = np.arange(len(owner)) - np.repeat(self._sets.ends[:-1], sets.sizes)
        leading = place < self._leading(sets.sizes)[owner]
        order = np.argsort(self._sets.members[leading], kind="stable")
        self._holders = owner[leading][order]
        held = self._sets.members[leading][order]
        self._starts = np.searchsorted(held, np.arange(len(self._known) + 1))

    def similar(self, texts: Sequence[str]) -> Similar:
        """Return the pairs of an indexed text and one of these that are similar."""
        from mlbench.training.similar_kernels import similar_pairs

        known, sets = _trigrams(texts)
        place = np.minimum(np.searchsorted(self._known, known), max(len(self._known) - 1, 0))
        shared = self._known[place] == known if len(self._known) else np.zeros(len(known), bool)
        owner = np.repeat(np.arange(len(texts)), sets.sizes)
        both = shared[sets.members]
        members = self._rarity[place[sets.members[both]]]
        part = _sets(owner[both], members, len(self._known), len(texts))
        leading = np.maximum(self._leading(sets.sizes) - (sets.sizes - part.sizes), 0)
        pairs, count = similar_pairs(
            self._starts,
            self._holders,
            (self._sets.ends, self._sets.members),
            self._sets.sizes,
            (part.ends, part.members),
            sets.sizes,
            (leading, self._threshold),
        )
        indexed, other, common = pairs[:count].T
        union = self._sets.sizes[indexed] + sets.sizes[other] - common
        return Similar(indexed, other, common / union)

    def _leading(self, sizes: IntArray) -> IntArray:
        """Return of how many of its rarest members a set must share one with a similar set.

        Of a set of n, a similar set has t n at least, and so one of any n - t n + 1. The rarest of
        all are those that no indexed text has.
        """
        leading: IntArray = sizes + 1 - np.ceil(self._threshold * sizes - SLACK).astype(np.int64)
        return leading


def jaccard(one: str, other: str) -> float:
    """Return the similarity of two texts, 0 to 1.

    >>> jaccard("night", "Nightly")
    0.6
    """
    sets = [
        {text[i : i + 3] for i in range(max(len(text) - 2, 1))}
        for text in (plain(one), plain(other))
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])
