"""One score as a report gives it: its value, its interval, and what ties could make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.measures.significance import Interval

TIE_TOLERANCE = 0.0005


@dataclass(frozen=True)
class Score:
    """A macro score: ties against the model, its 95% interval, and ties for the model."""

    value: float
    low: float
    high: float
    optimistic: float

    @property
    def ties_matter(self) -> bool:
        """Whether ties move the score by more than 0.0005 of its size (1 at the least)."""
        return abs(self.optimistic - self.value) > TIE_TOLERANCE * max(1.0, abs(self.value))


def macro_score(values: Sequence[float], optimistic: Sequence[float], interval: Interval) -> Score:
    """Return the unweighted mean of the scores of settings or languages, with its interval."""
    return Score(mean(values), interval.low, interval.high, mean(optimistic))


def mean(
    values: Sequence[float | None] | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> float:
    """Return the mean, correctly rounded, so that it does not depend on the order; NaN of none."""
    return math.fsum(values) / len(values) if len(values) else math.nan  # type: ignore[arg-type]
