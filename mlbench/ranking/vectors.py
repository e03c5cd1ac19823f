"""What vectors are: a row a text, dense or sparse, or several a text, one for each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Vectors = Any
"""A row a text: float32 (n, d), a float32 CSR matrix with sorted columns, or TokenVectors."""


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """The vectors of n texts: text i has ``vectors[starts[i]:starts[i + 1]]``, at least one.

    ``vectors`` (tokens, d) float32, ``starts`` (n + 1,) int64. Like an array of n rows it has a
    ``shape``, and ``[rows]`` gives some of the texts: those of a slice without a copy.

    >>> two = TokenVectors.of([np.ones((2, 3)), np.zeros((1, 3))])
    >>> two.shape, two.counts.tolist(), two[[1]].vectors.tolist()
    ((2, 3), [2, 1], [[0.0, 0.0, 0.0]])
    """

    vectors: Floats
    starts: Ints

    @classmethod
    def of(cls, texts: Sequence[npt.NDArray[Any]]) -> TokenVectors:
        """Join the arrays (tokens, d) of some texts, which may be no text at all."""
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(each) for each in texts], out=starts[1:])
        vectors = np.concatenate(texts) if len(texts) else np.empty((0, 0))
        return cls(np.ascontiguousarray(vectors, np.float32), starts)

    @classmethod
    def joined(cls, parts: Sequence[TokenVectors]) -> TokenVectors:
        """Join several into one, in their order."""
        size = sum(map(len, parts))
        return cls.gathered([*parts], np.arange(size))

    @classmethod
    def gathered(cls, parts: list[TokenVectors], rows: Ints) -> TokenVectors:
        """Return the texts ``rows`` of several parts, counted from the first part on.

        ``parts`` is emptied, so that memory is given back as it is taken.
        """
        order = np.argsort(rows, kind="stable")
        first = np.append(0, np.cumsum([*map(len, parts)]))
        cuts = np.searchsorted(rows[order], first)
        counts = np.concatenate([part.counts for part in parts])[rows]
        starts = np.append(0, np.cumsum(counts)).astype(np.int64)
        vectors = np.empty((int(starts[-1]), parts[0].shape[1]), np.float32)
        for number in reversed(range(len(parts))):
            part = parts.pop()
            here = order[cuts[number] : cuts[number + 1]]
            chosen = rows[here] - first[number]
            target = _ranges(starts[here], counts[here])
            vectors[target] = part.vectors[_ranges(part.starts[chosen], counts[here])]
        return cls(vectors, starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of texts, and of dimensions."""
        return len(self.starts) - 1, self.vectors.shape[1]

    @property
    def counts(self) -> Ints:
        """(n,) the number of tokens of each text."""
        counts: Ints = np.diff(self.starts)
        return counts

    def __len__(self) -> int:
        return self.shape[0]

    def tokens(self, texts: slice) -> slice:
        """Return which rows of ``vectors`` are those of contiguous texts."""
        first, last, _ = texts.indices(len(self))
        return slice(int(self.starts[first]), int(self.starts[max(first, last)]))

    def within(self, texts: slice) -> Ints:
        """Return where each of contiguous texts begins and ends among their tokens."""
        part = self.starts[texts.start : texts.stop + 1]
        starts: Ints = part - part[0]
        return starts

    def __getitem__(self, rows: slice | Ints | Sequence[int]) -> TokenVectors:
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, last, _ = rows.indices(len(self))
            part = self.starts[first : max(first, last) + 1]
            return TokenVectors(self.vectors[self.tokens(rows)], part - part[0])
        chosen = np.arange(len(self))[rows]
        counts = self.counts[chosen]
        starts = np.append(0, np.cumsum(counts)).astype(np.int64)
        return TokenVectors(self.vectors[_ranges(self.starts[chosen], counts)], starts)

    def sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum over each text's tokens of ``values`` (tokens, ...), in their order."""
        sums = np.zeros((len(self), *values.shape[1:]))
        np.add.at(sums, np.repeat(np.arange(len(self)), self.counts), values)
        return sums


def _ranges(firsts: Ints, counts: Ints) -> Ints:
    """Return ``counts[i]`` numbers from ``firsts[i]`` on, for each i."""
    ends = np.cumsum(counts)
    ranges: Ints = np.arange(ends[-1] if len(ends) else 0)
    return ranges + np.repeat(firsts - ends + counts, counts)


def joined(parts: Sequence[Vectors]) -> Vectors:
    """Return several parts of vectors, of one kind and not none, as one."""
    if isinstance(parts[0], TokenVectors):
        return TokenVectors.joined(parts)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    from scipy import sparse

    return sparse.vstack(parts, format="csr")


def arrays(vectors: Vectors) -> list[npt.NDArray[Any]]:
    """Return what vectors are made of: one array, the two of TokenVectors, the three of a CSR
    matrix."""
    if isinstance(vectors, np.ndarray):
        return [vectors]
    if isinstance(vectors, TokenVectors):
        return [vectors.vectors, vectors.starts]
    return [vectors.indptr, vectors.indices, vectors.data]


def of_arrays(parts: Sequence[npt.NDArray[Any]], shape: Sequence[int]) -> Vectors:
    """Return the vectors of a ``shape`` that are made of what ``arrays`` gave."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return TokenVectors(*parts)
    from scipy import sparse

    indptr, indices, data = parts
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))


@dataclass(frozen=True)
class TextSize:
    """What a model gives for a text of a role, the mean over texts: ``vectors`` (one, or one for
    each token), ``coordinates`` of them all (of sparse ones those that are not 0), and the
    ``bytes`` that they take in float32 (sparse: with the number of each)."""

    vectors: float
    coordinates: float
    bytes: float


def text_size(vectors: Vectors) -> TextSize:
    """Return what the vectors of a text take, the mean over all of them."""
    size, parts = max(vectors.shape[0], 1), arrays(vectors)
    if isinstance(vectors, TokenVectors):
        tokens, coordinates, taken = len(vectors.vectors), vectors.vectors.size, parts[0].nbytes
    elif isinstance(vectors, np.ndarray):
        tokens, coordinates, taken = size, vectors.size, vectors.nbytes
    else:
        _, columns, values = parts
        coordinates = int(np.count_nonzero(values))
        tokens, taken = size, coordinates * (columns.itemsize + values.itemsize)
    return TextSize(*(round(number / size, 2) for number in (tokens, coordinates, taken)))
