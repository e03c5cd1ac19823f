"""Scores with their intervals, by a cluster bootstrap over question ids.

Parallel questions are not independent, so a question is drawn with all its language versions;
the languages are fixed. Each draw recomputes the mean of every setting, then the macro mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.common.threads import one_blas_thread

if TYPE_CHECKING:
    from mlbench.ranking.ranks import Ints, Ranks

Values = npt.NDArray[np.float64]

DRAWS = 10_000
SEED = 20_408
LEVEL = 0.95
CHUNK = 500
ALPHA = 1 - LEVEL
POWER = 0.80


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


Groups = Sequence[Sequence[Sample]]
"""The settings of each of several macro means."""


def macro_intervals(
    groups: Groups, clusters: int, *, draws: int = DRAWS, seed: int = SEED
) -> list[Interval]:
    """Return the 95% percentile interval of each group's macro mean, all on the same draws.

    A group is the settings that a macro score averages over; ``clusters`` is the number of
    questions drawn from, with replacement. A setting without a query in some draw is left out
    of that draw.
    """
    low, high = percentiles(macro_draws([groups], clusters, draws=draws, seed=seed)[0])
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def macro_draws(
    models: Sequence[Groups], clusters: int, *, draws: int = DRAWS, seed: int = SEED
) -> Values:
    """Return each group's macro mean in each draw: float64 (models, draws, groups).

    All models are taken on the same draws, so a difference along the first axis is paired.
    NaN where a draw holds no query of the group.
    """
    means = [MacroMeans.of(groups, clusters) for groups in models]
    macro = np.empty((len(models), draws, len(models[0])))
    start = 0
    with one_blas_thread():  # more wait for each other longer than they work
        for weights in drawn_weights(clusters, draws=draws, seed=seed):
            for model, each in enumerate(means):
                macro[model, start : start + len(weights)] = each.drawn(weights)[:, 0]
            start += len(weights)
    return macro


def drawn_weights(clusters: int, *, draws: int = DRAWS, seed: int = SEED) -> Iterator[Values]:
    """Yield how often each draw takes each cluster: float64 (draws, clusters), some at a time."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        drawn = generator.integers(0, clusters, (size, clusters))
        drawn += np.arange(size)[:, None] * clusters
        counts = np.bincount(drawn.ravel(), minlength=size * clusters)
        yield counts.reshape(size, clusters).astype(np.float64)


def percentiles(draws: Values) -> tuple[Values, Values]:
    """Return the ends of the 95% percentile interval along the first axis, NaN left out."""
    tail = (1 - LEVEL) / 2
    quantile = np.nanquantile if np.isnan(draws).any() else np.quantile
    low, high = quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class MacroMeans:
    """Macro means of one or several models on the same queries, ready to be drawn.

    Settings of one group with the same membership (the same queries of each cluster) share a
    denominator, so their sums are one part. ``counts`` (clusters, memberships) are those queries,
    ``sums`` (clusters, models, parts) what each part adds up to, ``settings`` (parts,) how many
    settings it holds; a group's parts stand together. All float64.
    """

    counts: Values
    sums: Values
    settings: Values
    membership: Ints
    group: Ints
    groups: int

    @classmethod
    def of(cls, groups: Groups, clusters: int) -> MacroMeans:
        """Add up the samples of one model."""
        memberships: dict[bytes, int] = {}
        counts: list[Values] = []
        parts: dict[tuple[int, int], tuple[Values, int]] = {}
        for group, samples in enumerate(groups):
            for sample in samples:
                count = np.bincount(sample.cluster, minlength=clusters).astype(np.float64)
                membership = memberships.setdefault(count.tobytes(), len(counts))
                if membership == len(counts):
                    counts.append(count)
                total, settings = parts.get((group, membership), (np.zeros(clusters), 0))
                total = total + np.bincount(sample.cluster, sample.values, clusters)
                parts[group, membership] = (total, settings + 1)
        none = [np.zeros((clusters, 0))]
        sums = np.column_stack([*none, *(total for total, _ in parts.values())])
        of = np.array(list(parts), np.int64).reshape(-1, 2)
        return cls(
            np.column_stack([*none, *counts]),
            sums[:, np.newaxis],
            np.array([settings for _, settings in parts.values()], np.float64),
            membership=of[:, 1],
            group=of[:, 0],
            groups=len(groups),
        )

    @classmethod
    def beside(cls, models: Sequence[MacroMeans]) -> MacroMeans:
        """Return the means of several models, which ``ask_the_same``."""
        return replace(models[0], sums=np.concatenate([each.sums for each in models], axis=1))

    def ask_the_same(self, other: MacroMeans) -> bool:
        """Whether two models' settings ask the same queries."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("counts", "settings", "membership", "group")
        )

    @cached_property
    def _asked(self) -> list[tuple[Ints, Ints]]:
        """The clusters of each membership and its parts, where memberships have few clusters each;
        else empty."""
        if np.count_nonzero(self.counts) > MOST_FILLED * self.counts.size:
            return []
        return [
            (np.flatnonzero(count), np.flatnonzero(self.membership == number))
            for number, count in enumerate(self.counts.T)
        ]

    def _added_up(self, weights: Values) -> tuple[Values, Values]:
        """Return how many queries of each membership a draw has, (draws, memberships), and what
        each part adds up to in it, (draws, models, parts)."""
        clusters, models, parts = self.sums.shape
        draws = len(weights)
        if not self._asked:
            sums = (weights @ self.sums.reshape(clusters, -1)).reshape(draws, models, parts)
            return weights @ self.counts, sums
        size, sums = np.empty((draws, len(self._asked))), np.empty((draws, models, parts))
        for number, (asked, own) in enumerate(self._asked):
            taken = weights[:, asked]
            size[:, number] = taken @ self.counts[asked, number]
            of_own = self.sums[asked][:, :, own].reshape(len(asked), -1)
            sums[:, :, own] = (taken @ of_own).reshape(draws, models, len(own))
        return size, sums

    def drawn(self, weights: Values) -> Values:
        """Return each macro mean in each draw: (draws, models, groups). NaN is of no query.

        ``weights`` (draws, clusters) is how often a draw takes each cluster.
        """
        models = self.sums.shape[1]
        counted, means = self._added_up(weights)
        size = counted[:, self.membership]
        present = size > 0
        asked = present[:, np.newaxis]
        means = np.divide(means, size[:, np.newaxis], out=np.zeros_like(means), where=asked)
        group, begin = np.unique(self.group, return_index=True)
        settings = np.add.reduceat(present * self.settings, begin, axis=1)
        macro = np.full((len(weights), models, self.groups), np.nan)
        with np.errstate(invalid="ignore"):
            of_group = np.add.reduceat(means, begin, axis=2)
            macro[:, :, group] = of_group / settings[:, np.newaxis]
        return macro


MOST_FILLED = 0.1
"""The share of the questions up to which each setting's are drawn alone; pairs ask few each."""
TIE_TOLERANCE = 0.0005


@dataclass(frozen=True)
class Score:
    """A macro score: ties against the model, its 95% interval, and ties for the model; NaN where
    only the value is known."""

    value: float
    low: float = math.nan
    high: float = math.nan
    optimistic: float = math.nan

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


def present_mean(values: Values) -> float | None:
    """Return the mean of the values that are not NaN, None where all are."""
    present = values[~np.isnan(values)]
    return mean(present) if len(present) else None


@dataclass(frozen=True)
class Clusters:
    """``of`` (queries,) is the cluster of each query of a table, below ``count``."""

    unit: str
    of: Ints
    count: int


def question_clusters(ranks: Ranks) -> Clusters:
    """Return the questions: queries of one id, whatever their language.

    Where pairs of languages ask the same, such as one sentence in English and each other language,
    queries are of one group, which is then the question.
    """
    names = np.array(ranks.query_ids)
    if ranks.pairs:
        groups = np.array(ranks.query_groups)
        names = np.where(groups == "", names, groups)
    _, of = np.unique(names, return_inverse=True)
    return Clusters("question", of.astype(np.int64), int(of.max(initial=-1)) + 1)


def paragraph_clusters(ranks: Ranks) -> Clusters | None:
    """Return the questions joined by the paragraph or article they come from, None if unknown.

    Questions on one paragraph share passages. A paragraph is known by its language and name, and
    two questions that share one in any language belong together, so a cluster is a connected
    component; a question of unknown paragraph is one by itself.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if ranks.pairs or not any(ranks.query_groups):
        return None
    questions = question_clusters(ranks)
    number: dict[tuple[int, str], int] = {}
    links = [
        (question, number.setdefault((language, group), questions.count + len(number)))
        for question, language, group in zip(
            questions.of.tolist(), ranks.query_language.tolist(), ranks.query_groups, strict=True
        )
        if group
    ]
    size = questions.count + len(number)
    graph = coo_array((np.ones(len(links)), np.array(links).T), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, of = np.unique(component[: questions.count], return_inverse=True)
    return Clusters("paragraph", of.astype(np.int64)[questions.of], int(of.max()) + 1)
