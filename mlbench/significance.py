"""Intervals by a cluster bootstrap over question ids.

Parallel questions are not independent, so a question is drawn with all its language versions;
the languages are fixed. Each draw recomputes the mean of every setting, then the macro mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

DRAWS = 10_000
SEED = 20_408
LEVEL = 0.95
CHUNK = 500


@dataclass(frozen=True)
class Sample:
    """The values of one setting, float64 (n,), and the cluster each belongs to, int64 (n,)."""

    cluster: npt.NDArray[np.int64]
    values: Values


@dataclass(frozen=True)
class Interval:
    """A two-sided interval, ``low`` to ``high``."""

    low: float
    high: float


def macro_intervals(
    groups: Sequence[Sequence[Sample]], clusters: int, *, draws: int = DRAWS, seed: int = SEED
) -> list[Interval]:
    """Return the 95% percentile interval of each group's macro mean, all on the same draws.

    A group is the settings that a macro score averages over; ``clusters`` is the number of
    questions drawn from, with replacement. A setting without a query in some draw is left out
    of that draw.
    """
    settings = [sample for group in groups for sample in group]
    sums = np.zeros((clusters, len(settings)))
    counts = np.zeros((clusters, len(settings)))
    for column, sample in enumerate(settings):
        np.add.at(sums[:, column], sample.cluster, sample.values)
        np.add.at(counts[:, column], sample.cluster, 1)
    edges = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
    generator = np.random.default_rng(seed)
    macro = np.empty((draws, len(groups)))
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        weights = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=size)
        weights = weights.astype(np.float64)
        with np.errstate(invalid="ignore"):
            means = (weights @ sums) / (weights @ counts)
        for column in range(len(groups)):
            part = means[:, edges[column] : edges[column + 1]]
            macro[start : start + size, column] = _mean_of_present(part)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(macro, [tail, 1 - tail], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _mean_of_present(means: Values) -> Values:
    present = ~np.isnan(means)
    total = np.where(present, means, 0).sum(1)
    with np.errstate(invalid="ignore"):
        mean: Values = total / present.sum(1)
    return mean
