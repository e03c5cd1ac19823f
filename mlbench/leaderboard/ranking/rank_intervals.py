"""Rank intervals of many models on one macro mean, paired: what ``mlbench compare`` would find.

Two models are told apart where the 95% interval of their difference excludes 0 (bootstrap over
questions) and the p value, corrected for all pairs, is at most 0.05 (randomisation over
questions), as in ``comparing.comparison``; done here for a thousand models at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mlbench.leaderboard.ranking.columns import Layout
from mlbench.measures.randomisation import FEWEST, ROUNDING
from mlbench.measures.significance import ALPHA, CHUNK, DRAWS, LEVEL, SEED, Values, drawn_weights

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Part:
    """One column of n tables of a task: ``scale`` times it, plus ``offset``, is added up.

    ``question`` (q,) is where the task's questions stand among those drawn from, ``sums``
    (q, n, m) what they add up to in each membership of ``layout``.
    """

    question: Ints
    layout: Layout
    sums: Values
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Places:
    """Rank intervals of n models: ``best`` to ``worst`` (n,), 1 is first.

    ``near_first`` (n,) is true of those that cannot be told from the one with the best value,
    and of that one.
    """

    best: Ints
    worst: Ints
    near_first: Bools


def drawn_means(parts: Sequence[Part], questions: int, draws: int = DRAWS) -> Values:
    """Return each model's mean in each draw, float64 (draws, n), on the same draws for all.

    NaN where a draw holds no query. The draws are those of ``significance.macro_draws``.
    """
    size = parts[0].sums.shape[1]
    means = np.zeros((draws, size))
    times = _times_drawn(questions, draws)
    for part in parts:
        for start in range(0, draws, CHUNK):
            weights = times[start : start + CHUNK, part.question].astype(np.float64)
            means[start : start + CHUNK] += part.scale * _macro(weights, part) + part.offset
    return means


@lru_cache(maxsize=1)
def _times_drawn(questions: int, draws: int) -> npt.NDArray[np.uint16]:
    """Return how often each draw takes each question: (draws, questions)."""
    parts = [part.astype(np.uint16) for part in drawn_weights(questions, draws=draws)]
    return np.concatenate(parts)


@lru_cache(maxsize=1)
def _signs(questions: int, draws: int) -> npt.NDArray[np.int8]:
    """Return 1 or -1 for each draw and question: those of ``randomisation_test``."""
    generator = np.random.default_rng(SEED)
    parts = []
    for start in range(0, draws, CHUNK):
        size = (min(CHUNK, draws - start), questions)
        parts.append((2 * generator.integers(0, 2, size, np.int8) - 1).astype(np.int8))
    return np.concatenate(parts)


def _macro(weights: Values, part: Part) -> Values:
    questions, size, memberships = part.sums.shape
    counts = weights @ part.layout.counts
    sums = (weights @ part.sums.reshape(questions, -1)).reshape(-1, size, memberships)
    share = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    settings = (counts > 0) @ part.layout.settings
    with np.errstate(invalid="ignore", divide="ignore"):
        macro: Values = np.einsum("dnm,dm->dn", sums, share) / settings[:, None]
    return macro


def added_shares(parts: Sequence[Part], questions: int) -> Values:
    """Return what each question adds to each model's mean, float64 (n, questions)."""
    shares = np.zeros((parts[0].sums.shape[1], questions))
    for part in parts:
        counts = part.layout.counts.sum(0) * part.layout.settings.sum()
        shares[:, part.question] += part.scale * (part.sums / counts).sum(2).T
    return shares


def rank_intervals(
    shares: Values, drawn: Values, *, lower_is_better: bool = False, draws: int = DRAWS
) -> Places:
    """Return where n models can stand, from ``shares`` (n, questions) and ``drawn`` (draws, n).

    At its best a model is behind those shown to be better only, at its worst before those shown
    to be worse only (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91, 2024).
    """
    better = told_apart(shares, drawn, draws)
    if lower_is_better:
        better = better.T
    size = len(shares)
    if not size:
        return Places(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    values = shares.sum(1)
    first = int(np.argmin(values) if lower_is_better else np.argmax(values))
    return Places(1 + better.sum(0), size - better.sum(1), ~better[first])


def told_apart(shares: Values, drawn: Values, draws: int = DRAWS) -> Bools:
    """Return whether the mean of a is shown to be greater than that of b: bool (n, n)."""
    from mlbench.leaderboard.ranking import pair_kernels

    size, questions = shares.shape
    if size < 2 or questions < FEWEST:
        return np.zeros((size, size), bool)
    inverse = pair_kernels.inverse_spreads(shares)
    values = shares.sum(1)
    difference = values[:, None] - values[None]
    largest = np.sort(_largest_by_chance(shares, inverse, draws))
    reached = np.abs(difference) * inverse * (1 - ROUNDING)
    as_large = draws - np.searchsorted(largest, reached.ravel(), "left").reshape(reached.shape)
    shown: Bools = ((as_large + 1) / (draws + 1) <= ALPHA) & (difference > 0)
    return _excludes_zero(drawn, shown)


def _largest_by_chance(shares: Values, inverse: Values, draws: int) -> Values:
    """Return the largest studentised difference of all pairs under each draw of signs."""
    from mlbench.leaderboard.ranking import pair_kernels

    signs = _signs(shares.shape[1], draws)
    found = []
    for start in range(0, draws, CHUNK):
        flipped = shares @ signs[start : start + CHUNK].T.astype(np.float64)
        found.append(pair_kernels.largest(flipped, inverse))
    return np.concatenate(found)


def _excludes_zero(drawn: Values, wanted: Bools) -> Bools:
    """Return of the wanted pairs whether the percentile interval of a - b lies above 0.

    It does where the draws below 0 are fewer than its lower end's place among the sorted draws;
    where they end at that very place, the end is interpolated.
    """
    from mlbench.leaderboard.ranking import pair_kernels

    drawn = drawn[~np.isnan(drawn).any(1)]
    below = pair_kernels.count_below(np.ascontiguousarray(drawn.T), wanted, ROUNDING)
    tail = (1 - LEVEL) / 2
    place = math.floor((len(drawn) - 1) * tail)
    above: Bools = wanted & (below <= place)
    for a, b in zip(*np.nonzero(wanted & (below == place + 1)), strict=True):
        above[a, b] = np.quantile(drawn[:, a] - drawn[:, b], tail) >= ROUNDING
    return above
