"""The compiled loops over all pairs of many models."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlbench.ranking.kernels import jit


@jit
def inverse_spreads(shares: Any) -> Any:
    """Return 1 / sqrt(sum of (a - b)**2) of all pairs of rows, 0 where it is infinite: (n, n).

    ``shares`` (n, clusters) float64.
    """
    size = shares.shape[0]
    inverse = np.zeros((size, size))
    for a in range(size):
        for b in range(a):
            total = 0.0
            for cluster in range(shares.shape[1]):
                total += (shares[a, cluster] - shares[b, cluster]) ** 2
            if total > 0:
                inverse[a, b] = inverse[b, a] = 1 / np.sqrt(total)
    return inverse


@jit
def largest(drawn: Any, inverse: Any) -> Any:
    """Return the largest |a - b| * inverse over all pairs of models of each draw: (draws,).

    ``drawn`` (n, draws) and ``inverse`` (n, n), float64.
    """
    found = np.zeros(drawn.shape[1])
    for a in range(drawn.shape[0]):
        first = drawn[a]
        for b in range(a):
            second, factor = drawn[b], inverse[a, b]
            for draw in range(found.shape[0]):
                size = abs(first[draw] - second[draw]) * factor
                found[draw] = size if size > found[draw] else found[draw]
    return found


@jit
def count_below(drawn: Any, wanted: Any, bound: float) -> Any:
    """Return in how many draws a - b is less than ``bound``, of the ``wanted`` pairs: (n, n).

    ``drawn`` (n, draws) float64, ``wanted`` (n, n) bool, the result int64.
    """
    size = drawn.shape[0]
    counts = np.zeros((size, size), np.int64)
    for a in range(size):
        first = drawn[a]
        for b in range(size):
            if wanted[a, b]:
                second = drawn[b]
                count = 0
                for draw in range(first.shape[0]):
                    count += 1 if first[draw] - second[draw] < bound else 0
                counts[a, b] = count
    return counts
