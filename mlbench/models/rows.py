"""The vectors of a role, put together from batches; their norms and what they have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.common.collector import uncollected
from mlbench.models.boundary import Vectors
from mlbench.ranking.vectors import Floats, TokenVectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COMPARED_AT_ONCE = 1024

Ints = npt.NDArray[np.int64]


class Rows:
    """The vectors of one role, a row an entry, filled in any order and copied once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.dense: Floats | None = None
        self.parts: list[csr_matrix | TokenVectors] = []
        self.places: list[Ints] = []

    def put(self, places: Ints, vectors: Vectors) -> None:
        """Fill the rows ``places``."""
        if isinstance(vectors, np.ndarray):
            if self.dense is None:
                self.dense = np.empty((self.size, vectors.shape[1]), np.float32)
            self.dense[places] = vectors
        else:
            self.parts.append(vectors)
            self.places.append(places)

    def spread(self, same: Ints) -> Vectors:
        """Return all rows; row i is the one that was put at ``same[i]``."""
        if self.dense is not None:
            others = np.flatnonzero(same != np.arange(self.size))
            self.dense[others] = self.dense[same[others]]
            return self.dense
        row = np.empty(self.size, np.int64)
        places = np.concatenate(self.places)
        row[places] = np.arange(len(places))
        if isinstance(self.parts[0], TokenVectors):
            return TokenVectors.gathered(self.parts, row[same])
        from scipy import sparse

        return sparse.vstack(self.parts, format="csr", dtype=np.float32)[row[same]]


@uncollected()
def normalise(vectors: Vectors) -> Vectors:
    """Divide each row, or each token's vector, by its Euclidean norm, in float64, and round to
    float32; zero rows stay.

    The norm is added in the fixed order of ``kernels.dot`` (sparse: of the columns), so that the
    result is the same on every machine. The first call imports numba, which makes many objects.
    """
    from mlbench.ranking import kernels

    if isinstance(vectors, TokenVectors):
        return replace(vectors, vectors=normalise(vectors.vectors))
    if isinstance(vectors, np.ndarray):
        norms = kernels.norms(vectors)[:, None]
        divided = np.divide(vectors, norms, where=norms > 0, out=vectors.astype(np.float64))
        return divided.astype(np.float32)
    rows = np.arange(vectors.shape[0])
    csr = (vectors.indptr, vectors.indices, vectors.data)
    norms = np.repeat(np.sqrt(kernels.sparse_pair_scores(*csr, *csr, rows, rows)), np.diff(csr[0]))
    result = vectors.copy()
    result.data = np.divide(
        vectors.data, norms, where=norms > 0, out=vectors.data.astype(np.float64)
    ).astype(np.float32)
    return result


def mean_cosine(vectors: Vectors, rows: Ints) -> float:
    """Return the mean cosine of two different ones of ``rows``; 0 for fewer than two. What stands
    for a text of several vectors is their sum.

    Two zero rows count as alike (1), a zero row and another as unlike (0). From the length of
    the sum of the n unit vectors, |sum|^2 = n + the cosines of all ordered pairs, with one more
    dimension in which all zero rows, and they alone, are 1.
    """
    size, zeros = len(rows), 0
    if size < 2:
        return 0.0
    total = np.zeros(vectors.shape[1])
    for start in range(0, size, COMPARED_AT_ONCE):
        part = vectors[rows[start : start + COMPARED_AT_ONCE]]
        if isinstance(part, TokenVectors):
            part = part.sums(part.vectors.astype(np.float64)).astype(np.float32)
        part = normalise(part)
        total += np.asarray(part.sum(0, dtype=np.float64)).ravel()
        zeros += int((np.asarray(abs(part).sum(1)) == 0).sum())
    return float((total @ total + zeros**2 - size) / (size * (size - 1)))
