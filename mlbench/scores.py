"""Scores: every measure of every setting, macro scores with intervals, and language bias.

Computed from the table of ranks and nothing else, so a saved table gives them again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.bias import RankDistance, outranking_matrix, rank_distance
from mlbench.measures import Measure
from mlbench.ranks import Ranking, Ranks
from mlbench.significance import DRAWS, LEVEL, SEED, Sample, macro_intervals
from mlbench.task import Setting

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
class LanguageDistance:
    """Rank distance of one language's queries, with its floor and its random expectation.

    The value is None where no query has two relevant passages.
    """

    value: float | None
    optimistic: float | None
    floor: float | None
    random: float | None
    queries: int
    excluded: int


@dataclass(frozen=True)
class BiasScores:
    """Language bias over the multilingual pool; None for a task of one language.

    ``outranking[q][l]`` is None where nothing outranks.
    """

    rank_distance: Score | None
    floor: float | None
    random: float | None
    by_language: dict[str, LanguageDistance]
    outranking: dict[str, dict[str, float | None]]


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
    """All scores of a report. ``macro`` maps kind -> measure -> score."""

    macro: dict[str, dict[str, Score]]
    settings: tuple[SettingScores, ...]
    bias: BiasScores
    statistics: Statistics


def compute_scores(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure]
) -> Scores:
    """Score every setting that has a query; settings without one are left out of the means."""
    clusters = _Clusters(ranks)
    groups: dict[tuple[str, str], list[Sample]] = {}
    rows: list[SettingScores] = []
    for scored, row in _score_settings(ranks, settings, measures):
        rows.append(row)
        for name, values in scored.values.items():
            sample = Sample(clusters.of[scored.query], values)
            groups.setdefault((row.kind, name), []).append(sample)
    distances = {
        language: (rank_distance(ranks, language), rank_distance(ranks, language, optimistic=True))
        for language in ranks.languages
        if len(ranks.languages) > 1
    }
    spread = [
        Sample(clusters.of[pessimistic.query], pessimistic.distance.astype(np.float64))
        for pessimistic, _ in distances.values()
        if len(pessimistic.query)
    ]
    every = [*groups.values(), *([spread] if spread else [])]
    intervals = macro_intervals(every, clusters.count)
    macro: dict[str, dict[str, Score]] = {}
    for (kind, name), interval in zip(groups, intervals, strict=False):
        of_kind = [row for row in rows if row.kind == kind and row.queries]
        macro.setdefault(kind, {})[name] = Score(
            value=_mean([row.measures[name] for row in of_kind]),
            low=interval.low,
            high=interval.high,
            optimistic=_mean([row.optimistic[name] for row in of_kind]),
        )
    last = intervals[-1] if spread else None
    bias = _bias(ranks, distances, (last.low, last.high) if last else (math.nan, math.nan))
    statistics = Statistics("cluster bootstrap", LEVEL, DRAWS, SEED, clusters.count)
    return Scores(macro, tuple(rows), bias, statistics)


class _Clusters:
    """The questions that the bootstrap draws: queries of one id, whatever their language."""

    def __init__(self, ranks: Ranks) -> None:
        numbers: dict[str, int] = {}
        for id_ in sorted(set(ranks.query_ids)):
            numbers[id_] = len(numbers)
        self.of = np.array([numbers[id_] for id_ in ranks.query_ids], np.int64)
        self.count = len(numbers)


@dataclass(frozen=True)
class _Scored:
    """The queries of a setting, and measure name -> each one's value."""

    query: npt.NDArray[np.int64]
    values: dict[str, npt.NDArray[np.float64]]


def _score_settings(
    ranks: Ranks, settings: Sequence[Setting], measures: Sequence[Measure]
) -> Iterator[tuple[_Scored, SettingScores]]:
    """Take every measure once over the queries of all settings together, and cut by setting."""
    pools = [(s.query_language, s.passage_languages) for s in settings]
    rankings = [ranks.ranking(*pool) for pool in pools]
    scored = _take(rankings, measures)
    lucky = scored
    if ranks.tied.any():
        lucky = _take([ranks.ranking(*pool, optimistic=True) for pool in pools], measures)
    for setting, ranking, values, optimistic in zip(settings, rankings, scored, lucky, strict=True):
        yield (
            values,
            SettingScores(
                kind=setting.kind.value,
                query_language=setting.query_language,
                passage_languages=setting.passage_languages,
                queries=len(ranking.query),
                excluded=ranking.excluded,
                measures={name: _mean(each) for name, each in values.values.items()},
                optimistic={name: _mean(each) for name, each in optimistic.values.items()},
            ),
        )


def _take(rankings: Sequence[Ranking], measures: Sequence[Measure]) -> list[_Scored]:
    whole = Ranking.joined(rankings)
    cuts = np.cumsum([len(ranking.query) for ranking in rankings])[:-1]
    values = {measure.name: np.split(measure.per_query(whole), cuts) for measure in measures}
    return [
        _Scored(
            ranking.query,
            {name: parts[i] for name, parts in values.items()} if len(ranking.query) else {},
        )
        for i, ranking in enumerate(rankings)
    ]


def _bias(
    ranks: Ranks,
    distances: dict[str, tuple[RankDistance, RankDistance]],
    interval: tuple[float, float],
) -> BiasScores:
    by_language = {
        language: LanguageDistance(
            value=_mean(pessimistic.distance) if len(pessimistic.query) else None,
            optimistic=_mean(optimistic.distance) if len(pessimistic.query) else None,
            floor=_mean(pessimistic.floor) if len(pessimistic.query) else None,
            random=_mean(pessimistic.expected) if len(pessimistic.query) else None,
            queries=len(pessimistic.query),
            excluded=pessimistic.excluded,
        )
        for language, (pessimistic, optimistic) in distances.items()
    }
    present = [d for d in by_language.values() if d.value is not None]
    macro = None
    if present:
        macro = Score(
            value=_mean([d.value for d in present]),
            low=interval[0],
            high=interval[1],
            optimistic=_mean([d.optimistic for d in present]),
        )
    matrix = outranking_matrix(ranks)
    return BiasScores(
        rank_distance=macro,
        floor=_mean([d.floor for d in present]) if present else None,
        random=_mean([d.random for d in present]) if present else None,
        by_language=by_language,
        outranking={
            query: {
                passage: None if math.isnan(matrix[i, j]) else float(matrix[i, j])
                for j, passage in enumerate(ranks.languages)
            }
            for i, query in enumerate(ranks.languages)
            if len(ranks.languages) > 1
        },
    )


def _mean(
    values: Sequence[float | None] | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> float:
    """Return the mean, correctly rounded, so that it does not depend on the order; NaN of none."""
    return math.fsum(values) / len(values) if len(values) else math.nan  # type: ignore[arg-type]
