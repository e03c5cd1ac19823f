"""The scores of language bias, assembled from its measures, with intervals and by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.measures.bias import (
    BIAS_MEASURES,
    CUTOFFS,
    OTHER_TARGET,
    OWN_TARGET,
    RANK_DISTANCE,
    BiasValues,
    Pools,
    distances,
    recall_by_language,
)
from mlbench.measures.language_counts import LanguageCount, language_counts
from mlbench.measures.outranking import outranking_matrix
from mlbench.measures.significance import Interval, Score, macro_score, mean, present_mean
from mlbench.ranking.ranks import Ranks


@dataclass(frozen=True)
class LanguageDistance:
    """Rank distance of one language's queries, its interval, floor and random expectation.

    The value is None where no query has two relevant passages.
    """

    value: float | None
    low: float | None
    high: float | None
    optimistic: float | None
    floor: float | None
    random: float | None
    queries: int
    excluded: int


@dataclass(frozen=True)
class BiasScore:
    """A measure of language bias: macro over query languages, and each one's (None without any).

    ``better`` is "higher" or "lower"; ``queries`` counts those that it says something about.
    """

    better: str
    score: Score
    by_language: dict[str, float | None]
    queries: int
    excluded: int


@dataclass(frozen=True)
class TargetRemoved:
    """Change in multilingual AP when a query's target in one language is removed.

    ``own`` is without the target in the query's language, ``other`` without another's, both over
    the same ``queries``; ``by_language`` maps query language -> language removed -> mean change.
    """

    own: Score | None
    other: Score | None
    by_language: dict[str, dict[str, float | None]]
    queries: int
    excluded: int


@dataclass(frozen=True)
class Extremes:
    """The best and the worst language by a score, and the gap between them."""

    best: float
    best_language: str
    worst: float
    worst_language: str
    gap: float


@dataclass(frozen=True)
class PassageRecall:
    """Recall in the mixed pool by the language of the passages, and its extremes."""

    by_language: dict[str, float | None]
    extremes: Extremes


@dataclass(frozen=True)
class BiasScores:
    """Language bias over the multilingual pool; None or empty for a task of one language.

    ``outranking[q][l]`` is None where nothing outranks; ``same_language`` is the mean of its
    diagonal. ``measures`` has the measures that can vary in the task; ``by_query_language`` maps
    kind -> measure -> best and worst query language, nothing of pairs; ``recall`` R@k -> by passage
    language.
    """

    rank_distance: Score | None
    floor: float | None
    random: float | None
    by_language: dict[str, LanguageDistance]
    outranking: dict[str, dict[str, float | None]]
    same_language: float | None
    measures: dict[str, BiasScore]
    target_removed: TargetRemoved
    by_query_language: dict[str, dict[str, Extremes]]
    recall: dict[str, PassageRecall]
    language_counts: tuple[LanguageCount, ...]


class Assembly:
    """What the parts of ``bias_scores`` share."""

    def __init__(
        self,
        ranks: Ranks,
        pools: Pools,
        values: BiasValues,
        intervals: Mapping[tuple[str, str], Interval],
    ) -> None:
        self.ranks = ranks
        self.pools = pools
        self.values = values
        self.intervals = intervals

    def score(self, name: str) -> Score | None:
        """Return a measure's macro mean over the query languages that have it."""
        present = [each for each in self.values.get(name, {}).values() if len(each.query)]
        if not present:
            return None
        return macro_score(
            [mean(each.values) for each in present],
            [mean(each.optimistic) for each in present],
            self.intervals[name, ""],
        )

    def counts(self, name: str) -> tuple[int, int]:
        """Return how many queries a measure says something about, and how many it leaves out."""
        of = self.values.get(name, {}).values()
        return sum(len(each.query) for each in of), sum(each.excluded for each in of)

    def distance(self, language: str) -> LanguageDistance:
        """Return the rank distance of one query language."""
        spread = distances(self.pools[language])
        if not len(spread.query):
            return LanguageDistance(None, None, None, None, None, None, 0, spread.excluded)
        own = self.values[RANK_DISTANCE][language]
        interval = self.intervals[RANK_DISTANCE, language]
        return LanguageDistance(
            value=mean(own.values),
            low=interval.low,
            high=interval.high,
            optimistic=mean(own.optimistic),
            floor=mean(spread.floor),
            random=mean(spread.expected),
            queries=len(own.query),
            excluded=own.excluded,
        )

    def measures(self) -> dict[str, BiasScore]:
        """Return the measures of ``BIAS_MEASURES`` that this task has."""
        scores = {name: self.score(name) for name in BIAS_MEASURES}
        return {
            name: BiasScore(
                BIAS_MEASURES[name].better,
                score,
                {
                    code: mean(each.values) if len(each.query) else None
                    for code, each in self.values[name].items()
                },
                *self.counts(name),
            )
            for name, score in scores.items()
            if score is not None
        }

    def target_removed(self) -> TargetRemoved:
        """Return the change in AP without a target, by query language and language removed."""
        return TargetRemoved(
            self.score(OWN_TARGET),
            self.score(OTHER_TARGET),
            {
                code: _by_passages(self.ranks, [*map(present_mean, pool.changes.T)])
                for code, pool in self.pools.items()
            },
            *self.counts(OWN_TARGET),
        )


def bias_scores(
    ranks: Ranks,
    pools: Pools,
    values: BiasValues,
    intervals: Mapping[tuple[str, str], Interval],
    per_language: Mapping[str, Mapping[str, Mapping[str, Score]]],
) -> BiasScores:
    """Assemble language bias from the values of its measures and their intervals.

    ``intervals`` maps (measure, query language) to an interval, with "" for the macro score;
    ``per_language`` kind -> measure -> query language -> score.
    """
    parts = Assembly(ranks, pools, values, intervals)
    by_language = {code: parts.distance(code) for code in pools}
    present = [entry for entry in by_language.values() if entry.value is not None]
    matrix = outranking_matrix(ranks)
    return BiasScores(
        rank_distance=parts.score(RANK_DISTANCE),
        floor=mean([entry.floor for entry in present]) if present else None,
        random=mean([entry.random for entry in present]) if present else None,
        by_language=by_language,
        outranking={
            code: _by_passages(ranks, [None if np.isnan(x) else float(x) for x in row])
            for code, row in zip(ranks.languages, matrix, strict=True)
            if code in pools
        },
        same_language=present_mean(np.diag(matrix)) if pools else None,
        measures=parts.measures(),
        target_removed=parts.target_removed(),
        by_query_language={
            kind: {
                name: extremes({code: score.value for code, score in scores.items()})
                for name, scores in of_kind.items()
            }
            for kind, of_kind in per_language.items()
            if len(ranks.roles.queries) > 1 and not ranks.roles.two_ways
        },
        recall=_recall(ranks, pools),
        language_counts=language_counts(ranks) if pools else (),
    )


def extremes(values: Mapping[str, float]) -> Extremes:
    """Return the languages of the highest and the lowest value; of equals, the first."""
    best, worst = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    return Extremes(values[best], best, values[worst], worst, values[best] - values[worst])


def _recall(ranks: Ranks, pools: Pools) -> dict[str, PassageRecall]:
    """Return recall by passage language at each cutoff below the pool's size."""
    size = max((pool.ranking.pool_size for pool in pools.values()), default=0)
    recall = {}
    for cutoff in (k for k in CUTOFFS if k < size):
        each = np.array([recall_by_language(pool, cutoff) for pool in pools.values()])
        by_language = _by_passages(ranks, [*map(present_mean, each.T)])
        present = {code: value for code, value in by_language.items() if value is not None}
        if present:
            recall[f"R@{cutoff}"] = PassageRecall(by_language, extremes(present))
    return recall


def _by_passages(ranks: Ranks, values: Sequence[float | None]) -> dict[str, float | None]:
    """Return the values of the languages of the table, by those of them that mixed pools have."""
    of, pool = zip(ranks.languages, values, strict=True), ranks.roles.mixed_pool
    return {code: value for code, value in of if code in pool}
