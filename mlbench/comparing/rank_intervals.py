"""Rank intervals of many models on one macro mean, such as a column of the leaderboard.

Models are told apart by the draws, the signs and the rules of ``comparing.comparison``, here for
a thousand models at once: of half a million pairs only the largest difference by chance and the
number of draws below 0 are kept, never a table of all pairs by all draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.common.threads import one_blas_thread
from mlbench.comparing.kept_draws import signs, times_drawn
from mlbench.comparing.places import Bools, Ints, place_intervals
from mlbench.measures.randomisation import FEWEST, ROUNDING
from mlbench.measures.significance import (
    ALPHA,
    DRAWS,
    LEVEL,
    MacroMeans,
    Values,
)


@dataclass(frozen=True, eq=False)
class Part:
    """What n models get on one of the tasks that a score averages: ``scale`` times it is added up.

    ``question`` (q,) is where the task's questions stand among those drawn from; ``means`` has
    one group, ``shares`` (n, q) is what each question adds to a model's mean.
    """

    question: Ints
    means: MacroMeans
    shares: Values
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class RankIntervals:
    """Where n models can stand: from ``best`` to ``worst`` (n,), 1 is first.

    ``near_first`` (n,) is true of those that cannot be told from one with the best value, and of
    that one; several may share the best value.
    """

    best: Ints
    worst: Ints
    near_first: Bools


def drawn_means(parts: Sequence[Part], questions: int, draws: int = DRAWS) -> Values:
    """Return each model's mean in each draw, float64 (draws, n), on the same draws for all.

    NaN where a draw holds no query.
    """
    everything = np.arange(questions)
    taken = [slice(None) if np.array_equal(p.question, everything) else p.question for p in parts]
    found = []
    with one_blas_thread():  # more wait for each other longer than they work
        for drawn in times_drawn(questions, draws):
            means = np.zeros((len(drawn), len(parts[0].shares)))
            for part, question in zip(parts, taken, strict=True):
                means += part.scale * part.means.drawn(drawn[:, question])[:, :, 0]
            found.append(means)
    return np.concatenate(found)


def drawn_groups(means: MacroMeans, questions: int, draws: int = DRAWS) -> Values:
    """Return each model's mean of each group in each draw, float64 (draws, n, groups), on the draws
    of ``drawn_means``; NaN where a draw holds no query."""
    found = np.empty((draws, means.models, means.groups))
    start = 0
    with one_blas_thread():
        for drawn in times_drawn(questions, draws):
            found[start : start + len(drawn)] = means.drawn(drawn)
            start += len(drawn)
    return found


def added_shares(parts: Sequence[Part], questions: int) -> Values:
    """Return what each question adds to each model's mean, float64 (n, questions)."""
    shares = np.zeros((len(parts[0].shares), questions))
    for part in parts:
        shares[:, part.question] += part.scale * part.shares
    return shares


def flipped_sums(
    shares: Values, draws: int = DRAWS, *, asked: Ints | None = None, questions: int = 0
) -> Values:
    """Return the sum of what questions add, each with the sign of the draw: of ``shares``
    (n, questions) float64 (n, draws).

    Where ``shares`` is of some questions alone, these are ``asked`` (q,) of all ``questions``."""
    found = np.empty((len(shares), draws))
    start = 0
    with one_blas_thread():
        for drawn in signs(questions if asked is not None else shares.shape[1], draws, asked):
            found[:, start : start + len(drawn)] = shares @ drawn.T
            start += len(drawn)
    return found


def rank_intervals(
    shares: Values,
    drawn: Values,
    *,
    lower_is_better: bool = False,
    draws: int = DRAWS,
    flipped: Values | None = None,
) -> RankIntervals:
    """Return where n models can stand, from ``shares`` (n, questions) and ``drawn`` (draws, n).

    ``flipped`` are the ``flipped_sums`` of the shares, where they are known: of many columns they
    are faster at once."""
    if not len(shares):
        return RankIntervals(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    better = told_apart(shares, drawn, draws, flipped)
    if lower_is_better:
        better = better.T
    values = shares.sum(1)
    top = values.min() if lower_is_better else values.max()
    first = np.abs(values - top) <= ROUNDING * abs(top)
    return RankIntervals(*place_intervals(better), ~better[first].all(0))


def told_apart(
    shares: Values, drawn: Values, draws: int = DRAWS, flipped: Values | None = None
) -> Bools:
    """Return whether the mean of a is shown to be greater than that of b: bool (n, n)."""
    from mlbench.comparing import pair_kernels

    size, questions = shares.shape
    if size < 2 or questions < FEWEST:
        return np.zeros((size, size), bool)
    inverse = pair_kernels.inverse_spreads(shares)
    values = shares.sum(1)
    difference = values[:, None] - values[None]
    flipped = flipped_sums(shares, draws) if flipped is None else flipped
    largest = np.sort(pair_kernels.largest(np.ascontiguousarray(flipped), inverse))
    reached = np.abs(difference) * inverse * (1 - ROUNDING)
    as_large = draws - np.searchsorted(largest, reached.ravel(), "left").reshape(reached.shape)
    shown: Bools = ((as_large + 1) / (draws + 1) <= ALPHA) & (difference > 0)
    return _excludes_zero(drawn, shown)


def _excludes_zero(drawn: Values, wanted: Bools) -> Bools:
    """Return of the wanted pairs whether the percentile interval of a - b lies above 0.

    It does where the draws below 0 are fewer than its lower end's place among the sorted draws;
    where they end at that very place, the end is interpolated.
    """
    from mlbench.comparing import pair_kernels

    drawn = drawn[~np.isnan(drawn).any(1)]
    below = pair_kernels.count_below(np.ascontiguousarray(drawn.T), wanted, ROUNDING)
    tail = (1 - LEVEL) / 2
    place = math.floor((len(drawn) - 1) * tail)
    above: Bools = wanted & (below <= place)
    for a, b in zip(*np.nonzero(wanted & (below == place + 1)), strict=True):
        above[a, b] = np.quantile(drawn[:, a] - drawn[:, b], tail) >= ROUNDING
    return above
