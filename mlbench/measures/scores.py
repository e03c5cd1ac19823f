"""Scores: every measure of every setting, macro scores with intervals, and language bias.

Computed from the table of ranks and nothing else, so a saved table gives them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.bias import (
    BIAS_MEASURES,
    CUTOFFS,
    OTHER_TARGET,
    OWN_TARGET,
    RANK_DISTANCE,
    BiasValues,
    Pools,
    Values,
    bias_values,
    distances,
    mixed_pools,
    outranking_matrix,
    recall_by_language,
)
from mlbench.measures.language_counts import LanguageCount, language_counts
from mlbench.measures.rank_measures import Measure
from mlbench.measures.significance import (
    DRAWS,
    LEVEL,
    SEED,
    Interval,
    Sample,
    Score,
    macro_intervals,
    macro_score,
    mean,
    present_mean,
    question_clusters,
)
from mlbench.ranking.ranks import Ints, Ranks, SharedPool, shared_pools


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


Key = tuple[str, str, str]
"""Kind of setting or ``BIAS``, measure, and query language or "" for all of them."""
BIAS = "bias"


@dataclass(frozen=True)
class SettingScores:
    """One setting's scores: measure name -> mean over its queries; empty where there are none.

    ``optimistic`` holds the same with ties counted for the model.
    """

    kind: str
    query_language: str
    passage_languages: tuple[str, ...]
    queries: int
    excluded: int
    measures: dict[str, float]
    optimistic: dict[str, float]


@dataclass(frozen=True)
class Statistics:
    """How the intervals were made: bootstrap draws over ``clusters`` question ids."""

    method: str
    level: float
    draws: int
    seed: int
    clusters: int


@dataclass(frozen=True)
class Scores:
    """All scores of a report. ``macro`` maps kind -> measure -> score.

    ``per_language`` maps kind -> measure -> query language -> mean over its settings of the kind.
    ``directions`` maps "from-en" and "into-en" -> measure -> mean over the settings of pairs whose
    queries are in English, and whose passages are, where all pairs have English; or "text-to-image"
    and "image-to-text", over the settings of one language of texts, where both are searched.
    """

    macro: dict[str, dict[str, Score]]
    per_language: dict[str, dict[str, dict[str, Score]]]
    settings: tuple[SettingScores, ...]
    bias: BiasScores
    statistics: Statistics
    directions: dict[str, dict[str, Score]] = field(default_factory=dict)


def compute_scores(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure]
) -> Scores:
    """Score every setting that has a query; settings without one are left out of the means."""
    clusters = question_clusters(ranks)
    groups: dict[Key, list[Sample]] = {}

    def gather(kind: str, name: str, language: str, query: Ints, values: Values) -> None:
        for key in ((kind, name, ""), (kind, name, language)):
            groups.setdefault(key, []).append(Sample(clusters.of[query], values))

    rows: list[SettingScores] = []
    for scored, row in score_settings(ranks, settings, measures):
        rows.append(row)
        for name, values in scored.values.items():
            gather(row.kind, name, row.query_language, scored.query, values)
            if direction := ranks.roles.direction(row):
                gather(direction, name, "", scored.query, values)
    mixed = any(setting.kind is Kind.MULTILINGUAL for setting in settings)
    pools = mixed_pools(ranks) if mixed else {}
    of_bias = bias_values(ranks, pools)
    for name, by_language in of_bias.items():
        for language, each in by_language.items():
            if len(each.query):
                gather(BIAS, name, language, each.query, each.values)
    drawn = macro_intervals(list(groups.values()), clusters.count) if groups else []
    intervals = dict(zip(groups, drawn, strict=True))
    macro, per_language = mean_scores(rows, intervals)
    bias_intervals = {key[1:]: each for key, each in intervals.items() if key[0] == BIAS}
    return Scores(
        macro=macro,
        per_language=per_language,
        settings=tuple(rows),
        bias=bias_scores(ranks, pools, of_bias, bias_intervals, per_language),
        statistics=Statistics("cluster bootstrap", LEVEL, DRAWS, SEED, clusters.count),
        directions=direction_scores(rows, ranks.roles, intervals),
    )


def direction_scores(
    rows: Sequence[SettingScores], roles: Roles, intervals: Mapping[Key, Interval]
) -> dict[str, dict[str, Score]]:
    """Return the macro scores of each direction of pairs; nothing of other tasks."""
    directions: dict[str, list[SettingScores]] = {}
    for row in rows:
        if direction := roles.direction(row):
            directions.setdefault(direction, []).append(row)
    return {name: _means(name, of, intervals) for name, of in directions.items()}


def _means(
    kind: str, rows: Sequence[SettingScores], intervals: Mapping[Key, Interval]
) -> dict[str, Score]:
    """Return the mean of each measure over some settings, with the intervals of that kind."""
    names = dict.fromkeys(name for row in rows for name in row.measures)
    means = {}
    for name in names:
        of = [row for row in rows if name in row.measures]
        values, optimistic = [r.measures[name] for r in of], [r.optimistic[name] for r in of]
        means[name] = macro_score(values, optimistic, intervals[kind, name, ""])
    return means


def mean_scores(
    rows: Sequence[SettingScores], intervals: Mapping[Key, Interval]
) -> tuple[dict[str, dict[str, Score]], dict[str, dict[str, dict[str, Score]]]]:
    """Return the macro scores, and the means over the settings of each query language."""
    macro: dict[str, dict[str, Score]] = {}
    per_language: dict[str, dict[str, dict[str, Score]]] = {}
    parts: dict[Key, list[SettingScores]] = {}
    for row in rows:
        for name in row.measures:
            for language in ("", row.query_language):
                parts.setdefault((row.kind, name, language), []).append(row)
    for (kind, name, language), of in parts.items():
        score = macro_score(
            [row.measures[name] for row in of],
            [row.optimistic[name] for row in of],
            intervals[kind, name, language],
        )
        if language:
            per_language.setdefault(kind, {}).setdefault(name, {})[language] = score
        else:
            macro.setdefault(kind, {})[name] = score
    return macro, per_language


@dataclass(frozen=True)
class Scored:
    """What the queries of a setting score: measure name -> mean; empty where there are none.

    ``measured`` maps a measure's name to the values of all queries of the pool; those of the
    setting are its slice ``own``.
    """

    pool: SharedPool
    measured: dict[str, Values]
    own: slice
    means: dict[str, float]

    @property
    def query(self) -> Ints:
        """The queries of the setting."""
        return self.pool.ranking.query[self.own]

    @property
    def values(self) -> dict[str, Values]:
        """Measure name -> each query's value."""
        return {name: self.measured[name][self.own] for name in self.means}


def score_settings(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure]
) -> Iterator[tuple[Scored, SettingScores]]:
    """Take every measure once over the queries of all settings that share a pool."""
    pessimistic = optimistic = _take(ranks, settings, measures, optimistic=False)
    if ranks.ambiguous:
        optimistic = _take(ranks, settings, measures, optimistic=True)
    for setting, scored, best in zip(settings, pessimistic, optimistic, strict=True):
        row = SettingScores(
            kind=setting.kind.value,
            query_language=setting.query_language,
            passage_languages=setting.passage_languages,
            queries=len(scored.query),
            excluded=ranks.judged_in(setting.query_language, setting.passage_languages)
            - len(scored.query),
            measures=scored.means,
            optimistic=best.means,
        )
        yield scored, row


def _take(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure], *, optimistic: bool
) -> list[Scored]:
    from mlbench.ranking.kernels import sum_runs

    scored: dict[int, Scored] = {}
    for pool in shared_pools(ranks, settings, optimistic=optimistic):
        counts = np.diff(pool.cuts)
        measured = {measure.name: measure.per_query(pool.ranking) for measure in measures}
        means = {
            name: sum_runs(each, pool.cuts) / np.maximum(counts, 1)
            for name, each in measured.items()
        }
        for i, own in pool.queries.items():
            language = pool.language[i]
            of_setting = {n: float(mean[language]) for n, mean in means.items() if counts[language]}
            scored[i] = Scored(pool, measured, own, of_setting)
    return [scored[i] for i in range(len(settings))]
