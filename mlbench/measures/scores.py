"""Scores: every measure of every setting, macro scores with intervals, and language bias.

Computed from the table of ranks and nothing else, so a saved table gives them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.data.task import Setting
from mlbench.measures.bias_figures import bias_figures, mixed_pools
from mlbench.measures.bias_scores import BiasScores, bias_scores
from mlbench.measures.clusters import question_clusters
from mlbench.measures.macro import TIE_TOLERANCE, Score, macro_score
from mlbench.measures.rank_measures import Measure, Values
from mlbench.measures.significance import DRAWS, LEVEL, SEED, Interval, Sample, macro_intervals
from mlbench.ranking.ranks import Ints, Ranks
from mlbench.ranking.shared_pools import SharedPool, shared_pools

__all__ = [
    "TIE_TOLERANCE",
    "BiasScores",
    "Score",
    "Scores",
    "SettingScores",
    "Statistics",
    "compute_scores",
    "mean_scores",
]

Key = tuple[str, str, str]
"""Kind of setting or ``BIAS``, measure or figure, and query language or "" for all of them."""
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
    """

    macro: dict[str, dict[str, Score]]
    per_language: dict[str, dict[str, dict[str, Score]]]
    settings: tuple[SettingScores, ...]
    bias: BiasScores
    statistics: Statistics


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
    pools = mixed_pools(ranks)
    figures = bias_figures(ranks, pools)
    for name, by_language in figures.items():
        for language, each in by_language.items():
            if len(each.query):
                gather(BIAS, name, language, each.query, each.values)
    found = macro_intervals(list(groups.values()), clusters.count) if groups else []
    intervals = dict(zip(groups, found, strict=True))
    macro, per_language = mean_scores(rows, intervals)
    of_bias = {key[1:]: interval for key, interval in intervals.items() if key[0] == BIAS}
    return Scores(
        macro=macro,
        per_language=per_language,
        settings=tuple(rows),
        bias=bias_scores(ranks, pools, figures, of_bias, per_language),
        statistics=Statistics("cluster bootstrap", LEVEL, DRAWS, SEED, clusters.count),
    )


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
    scored = lucky = _take(ranks, settings, measures, optimistic=False)
    if ranks.ambiguous:
        lucky = _take(ranks, settings, measures, optimistic=True)
    judged = dict(zip(ranks.languages, ranks.judged.tolist(), strict=True))
    for setting, pessimistic, optimistic in zip(settings, scored, lucky, strict=True):
        row = SettingScores(
            kind=setting.kind.value,
            query_language=setting.query_language,
            passage_languages=setting.passage_languages,
            queries=len(pessimistic.query),
            excluded=judged[setting.query_language] - len(pessimistic.query),
            measures=pessimistic.means,
            optimistic=optimistic.means,
        )
        yield pessimistic, row


def _take(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure], *, optimistic: bool
) -> list[Scored]:
    from mlbench.ranking.pool_kernels import sum_runs

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
