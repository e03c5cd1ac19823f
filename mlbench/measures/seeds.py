"""Models that were trained several times: a two-level bootstrap, over training seeds and questions.

An *arm* is a way to train; each of its seeds gave one model. Both the seeds and the questions are
samples, so each draw takes seeds and questions anew (Owen, *The pigeonhole bootstrap*, Annals of
Applied Statistics 1, 2007). All arms are taken on the same questions, and arms with the same seeds
on the same seeds, so differences are paired. Of n seeds n - 1 are drawn, which makes the variance
of their mean right (Rao and Wu, JASA 83, 1988); and because few seeds tell little of their own
spread, intervals and p are those of Student's t, with the degrees of freedom of Satterthwaite
(Biometrics Bulletin 2, 1946). Percentiles over five seeds would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlbench.common.threads import one_blas_thread
from mlbench.measures.significance import ALPHA, DRAWS, POWER, SEED, Values, drawn_weights


class Drawn(Protocol):
    """Figures of the models of an arm that any draw of questions gives, such as MacroMeans."""

    def drawn(self, weights: Values) -> Values:
        """Return float64 (draws, models, figures); ``weights`` (draws, questions)."""


@dataclass(frozen=True)
class Trained:
    """An arm: what its models score, and the seed that each was trained with.

    Each of ``parts`` gives some figures of all its models, in the order of ``seeds``.
    """

    seeds: tuple[str, ...]
    parts: tuple[Drawn, ...]

    def drawn(self, weights: Values) -> Values:
        """Return all figures of all models: float64 (draws, seeds, figures)."""
        return np.concatenate([part.drawn(weights) for part in self.parts], axis=2)


@dataclass(frozen=True)
class Spread:
    """What one bootstrap says of several figures: one float64 each, NaN where there is none.

    ``error`` is the standard error over seeds and questions, ``freedom`` its degrees of freedom;
    ``over_seeds`` the standard deviation from one training to the next, NaN of a single one.
    """

    value: Values
    error: Values
    freedom: Values
    over_seeds: Values

    @property
    def half(self) -> Values:
        """Half the width of the 95% interval."""
        return _quantile(self.freedom, 1 - ALPHA / 2) * self.error

    @property
    def low(self) -> Values:
        """Where the 95% interval begins."""
        return self.value - self.half

    @property
    def high(self) -> Values:
        """Where the 95% interval ends."""
        return self.value + self.half

    @property
    def p(self) -> Values:
        """How probable a value at least as far from 0 is where the truth is 0; 1 for 0 exactly."""
        from scipy.special import stdtr

        size = np.abs(self.value)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = 2 * stdtr(self.freedom, -np.where(size > 0, size / self.error, 0))
        return np.where(np.isnan(self.value), np.nan, found)

    def least(self, comparisons: int = 1) -> Values:
        """Return the smallest difference that would be shown in 80 of 100 such studies, at the 5%
        level over so many comparisons (Bonferroni): the t quantiles of both, times the error.

        With many seeds and one comparison it is that of ``randomisation.smallest_shown``.
        """
        level = 1 - ALPHA / 2 / comparisons
        return (_quantile(self.freedom, level) + _quantile(self.freedom, POWER)) * self.error


def _quantile(freedom: Values, level: float) -> Values:
    from scipy.special import stdtrit

    found: Values = stdtrit(freedom, level)
    return found


@dataclass(frozen=True)
class SeedDraws:
    """What each arm scores in each draw, ready to be compared.

    Of each arm ``observed`` (seeds, figures) are the figures of its models, and ``draws``
    (draws, figures) its mean over the seeds that a draw took.
    """

    arms: tuple[Trained, ...]
    observed: tuple[Values, ...]
    draws: tuple[Values, ...]
    questions: int

    def spread(self, arm: int) -> Spread:
        """Return an arm's figures."""
        return self._spread(self.observed[arm].mean(0), self.draws[arm], [self.observed[arm]])

    def difference(self, arm: int, against: int) -> Spread:
        """Return how much more an arm has than another one."""
        one, other = self.observed[arm], self.observed[against]
        paired = self.arms[arm].seeds == self.arms[against].seeds
        return self._spread(
            one.mean(0) - other.mean(0),
            self.draws[arm] - self.draws[against],
            [one - other] if paired else [one, other],
        )

    def _spread(self, value: Values, draws: Values, samples: Sequence[Values]) -> Spread:
        """``samples`` (seeds, figures) are independent of each other and vary from seed to seed."""
        variance = _variance(draws)
        many = [sample for sample in samples if len(sample) > 1]
        parts = [(sample.var(0, ddof=1) / len(sample), len(sample) - 1) for sample in many]
        rest = np.maximum(variance - sum((part for part, _ in parts), np.zeros_like(variance)), 0)
        parts.append((rest, max(self.questions - 1, 1)))
        total = sum((part for part, _ in parts), np.zeros_like(variance))
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = total**2 / sum(part**2 / of for part, of in parts)
        over = np.sqrt(sum(sample.var(0, ddof=1) for sample in many)) if many else value * math.nan
        return Spread(value, np.sqrt(total), np.where(total > 0, freedom, 1.0), over)


def _variance(draws: Values) -> Values:
    """Return the variance of each figure over the draws that have it."""
    if not np.isnan(draws).any():
        found: Values = draws.var(0)
        return found
    there = ~np.isnan(draws)
    count = there.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.where(there, draws, 0).sum(0) / count
        spread: Values = np.where(there, (draws - centre) ** 2, 0).sum(0) / count
    return spread


def draw_seeds(
    arms: Sequence[Trained], questions: int, *, draws: int = DRAWS, seed: int = SEED
) -> SeedDraws:
    """Draw seeds and questions for all arms; an arm with one seed keeps it in every draw."""
    everything = np.ones((1, questions))
    found: list[list[Values]] = [[] for _ in arms]
    taken = {seeds: _seed_weights(seeds, draws, seed) for seeds in {arm.seeds for arm in arms}}
    start = 0
    with one_blas_thread():
        for weights in drawn_weights(questions, draws=draws, seed=seed):
            chunk = slice(start, start + len(weights))
            for arm, each in zip(arms, found, strict=True):
                each.append(np.einsum("ds,dsf->df", taken[arm.seeds][chunk], arm.drawn(weights)))
            start += len(weights)
        observed = tuple(arm.drawn(everything)[0] for arm in arms)
    return SeedDraws(tuple(arms), observed, tuple(map(np.concatenate, found)), questions)


def _seed_weights(seeds: tuple[str, ...], draws: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the share that each draw gives each seed, float64 (draws, seeds).

    The same seeds are drawn alike whatever the arm, others independently.
    """
    count = len(seeds)
    if count == 1:
        return np.ones((draws, 1))
    entropy = [seed, *"\n".join(seeds).encode()]
    drawn = np.random.default_rng(entropy).multinomial(count - 1, [1 / count] * count, draws)
    return drawn / (count - 1)
