"""Scores with their intervals, by a cluster bootstrap over question ids.

Parallel questions are not independent, so a question is drawn with all its language versions;
the languages are fixed. Each draw recomputes the mean of every setting, then the macro mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

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
MOST_HELD = 2**22
"""Numbers of drawn questions that are held at a time, unless one draw has more: 32 MiB."""
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
    if all(each.ask_the_same(means[0]) for each in means[1:]):
        means = [MacroMeans.beside(means)]
    macro = np.empty((len(models), draws, len(models[0])))
    start = 0
    with one_blas_thread():  # more wait for each other longer than they work
        for weights in drawn_weights(clusters, draws=draws, seed=seed):
            drawn = np.concatenate([each.drawn(weights) for each in means], axis=1)
            macro[:, start : start + len(weights)] = drawn.swapaxes(0, 1)
            start += len(weights)
    return macro


def drawn_weights(clusters: int, *, draws: int = DRAWS, seed: int = SEED) -> Iterator[Values]:
    """Yield how often each draw takes each cluster: float64 (draws, clusters), some at a time."""
    generator = np.random.default_rng(seed)
    step = draws_at_a_time(clusters)
    for start in range(0, draws, step):
        size = min(step, draws - start), clusters
        counts = np.empty(size)
        for count, drawn in zip(counts, generator.integers(0, clusters, size), strict=True):
            count[:] = np.bincount(drawn, minlength=clusters)
        yield counts


def draws_at_a_time(clusters: int) -> int:
    """Return how many draws of so many clusters are held at a time."""
    return max(1, min(CHUNK, MOST_HELD // max(clusters, 1)))


def percentiles(draws: Values) -> tuple[Values, Values]:
    """Return the ends of the 95% percentile interval along the first axis, NaN left out."""
    tail = (1 - LEVEL) / 2
    quantile = np.nanquantile if np.isnan(draws).any() else np.quantile
    low, high = quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


class Block(NamedTuple):
    """Settings that ask the same clusters, or many: ``asked`` are those (n,), all where it is None.

    ``counts`` (n, memberships) are the queries of each, ``sums`` (n, models, parts) what each part
    adds up to; ``memberships`` and ``parts`` say which these are. All numbers float64.
    """

    asked: Ints | None
    counts: Values
    sums: Values
    memberships: Ints
    parts: Ints


@dataclass(frozen=True, eq=False)
class MacroMeans:
    """Macro means of one or several models on the same queries, ready to be drawn.

    Settings of one group with the same membership (the same queries of each cluster) share a
    denominator, so their sums are one part: ``membership`` and ``group`` (parts,) are its own,
    ``settings`` (parts,) how many settings it holds; a group's parts stand together. Each block of
    ``blocks`` needs a draw of its own clusters alone. ``asked`` are the queries of each membership
    as bytes, to be compared.
    """

    blocks: tuple[Block, ...]
    asked: tuple[bytes, ...]
    settings: Values
    membership: Ints
    group: Ints
    groups: int

    @classmethod
    def of(cls, groups: Groups, clusters: int) -> MacroMeans:
        """Add up the samples of one model."""
        memberships: dict[bytes, int] = {}
        counts: list[tuple[Ints, Values]] = []
        parts: dict[tuple[int, int], tuple[Values, int]] = {}
        for group, samples in enumerate(groups):
            for sample in samples:
                count = np.bincount(sample.cluster, minlength=clusters)
                asked = np.flatnonzero(count)
                key = asked.tobytes() + count[asked].tobytes()
                membership = memberships.setdefault(key, len(counts))
                if membership == len(counts):
                    counts.append((asked, count[asked].astype(np.float64)))
                total, settings = parts.get((group, membership), (np.zeros(len(asked)), 0))
                added = np.bincount(sample.cluster, sample.values, clusters)[asked]
                parts[group, membership] = (total + added, settings + 1)
        of = np.array(list(parts), np.int64).reshape(-1, 2)
        sums = [total for total, _ in parts.values()]
        return cls(
            tuple(_blocks(counts, sums, of[:, 1], clusters)),
            tuple(memberships),
            np.array([settings for _, settings in parts.values()], np.float64),
            membership=of[:, 1],
            group=of[:, 0],
            groups=len(groups),
        )

    @classmethod
    def beside(cls, models: Sequence[MacroMeans]) -> MacroMeans:
        """Return the means of several models, which ``ask_the_same``."""
        blocks = zip(*(each.blocks for each in models), strict=True)
        joined = (
            same[0]._replace(sums=np.concatenate([each.sums for each in same], axis=1))
            for same in blocks
        )
        return replace(models[0], blocks=tuple(joined))

    @property
    def models(self) -> int:
        """How many models there are."""
        return int(self.blocks[0].sums.shape[1])

    def ask_the_same(self, other: MacroMeans) -> bool:
        """Whether two models' settings ask the same queries."""
        same = all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("settings", "membership", "group")
        )
        return same and self.asked == other.asked

    def drawn(self, weights: Values) -> Values:
        """Return each macro mean in each draw: (draws, models, groups). NaN is of no query.

        ``weights`` (draws, clusters) is how often a draw takes each cluster.
        """
        draws, models, parts = len(weights), self.models, len(self.settings)
        counted = np.empty((draws, sum(len(block.memberships) for block in self.blocks)))
        means = np.empty((draws, models, parts))
        for block in self.blocks:
            taken = weights if block.asked is None else weights[:, block.asked]
            counted[:, block.memberships] = taken @ block.counts
            sums = taken @ block.sums.reshape(len(block.sums), models * len(block.parts))
            means[:, :, block.parts] = sums.reshape(draws, models, len(block.parts))
        size = counted[:, self.membership]
        present = size > 0
        asked = present[:, np.newaxis]
        means = np.divide(means, size[:, np.newaxis], out=np.zeros_like(means), where=asked)
        group, begin = np.unique(self.group, return_index=True)
        settings = np.add.reduceat(present * self.settings, begin, axis=1)
        macro = np.full((draws, models, self.groups), np.nan)
        with np.errstate(invalid="ignore"):
            of_group = np.add.reduceat(means, begin, axis=2)
            macro[:, :, group] = of_group / settings[:, np.newaxis]
        return macro


def _blocks(
    counts: Sequence[tuple[Ints, Values]], sums: Sequence[Values], membership: Ints, clusters: int
) -> Iterator[Block]:
    """Yield a block of each membership where they have few clusters each, else one of all.

    ``counts`` are the clusters of each membership and how often it asks them, ``sums`` what each
    part adds up to on the clusters of its ``membership``.
    """
    parts = np.arange(len(sums))
    if sum(len(asked) for asked, _ in counts) <= MOST_FILLED * clusters * len(counts) and counts:
        for number, (asked, count) in enumerate(counts):
            own = np.flatnonzero(membership == number)
            added = np.column_stack([sums[part] for part in own.tolist()])
            yield Block(asked, count[:, None], added[:, None], np.array([number]), own)
        return
    whole, total = np.zeros((clusters, len(counts))), np.zeros((clusters, 1, len(sums)))
    for number, (asked, count) in enumerate(counts):
        whole[asked, number] = count
    for part, number in enumerate(membership.tolist()):
        total[counts[number][0], 0, part] = sums[part]
    yield Block(None, whole, total, np.arange(len(counts)), parts)


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


def question_names(ranks: Ranks) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Return the question of each query: its id, whatever its language.

    Where pairs of languages ask the same, such as one sentence in English and each other language,
    queries are of one group, which is then the question; so are an image and all its captions where
    they search each other.
    """
    names = np.array(ranks.query_ids, np.str_)
    if not ranks.roles.two_ways:
        return names
    groups = np.array(ranks.query_groups, np.str_)
    return np.where(groups == "", names, groups)


def question_clusters(ranks: Ranks) -> Clusters:
    """Return the questions as clusters, in the order of their names."""
    _, of = np.unique(question_names(ranks), return_inverse=True)
    return Clusters("question", of.astype(np.int64), int(of.max(initial=-1)) + 1)


def paragraph_clusters(ranks: Ranks) -> Clusters | None:
    """Return the questions joined by the paragraph or article they come from, None if unknown.

    Questions on one paragraph share passages. A paragraph is known by its language and name, and
    two questions that share one in any language belong together, so a cluster is a connected
    component; a question of unknown paragraph is one by itself.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if ranks.roles.two_ways or not any(ranks.query_groups):
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
