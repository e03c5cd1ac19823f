"""Scores: every measure of every setting, macro scores with intervals, and language bias.

Computed from the table of ranks and nothing else, so a saved table gives them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.bias import Values, bias_values, mixed_pools
from mlbench.measures.bias_scores import BiasScores, bias_scores
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
    question_clusters,
)
from mlbench.ranking.ranks import Ints, Ranks
from mlbench.ranking.shared_pools import SharedPool, shared_pools

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
