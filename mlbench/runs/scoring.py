"""Runs scored: each setting by ir-measures, in the form of a report's scores.

Every judged query of a setting counts; one that the run does not have counts as 0. A run knows a
query's first passages only, so what lies beyond them counts as not found: measures that reach
deeper are lower bounds, and what needs all ranks is not given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.bias_scores import BiasScores, TargetRemoved, extremes
from mlbench.measures.rank_measures import Measure
from mlbench.measures.scores import Scores, SettingScores, Statistics, direction_scores, mean_scores
from mlbench.measures.significance import DRAWS, LEVEL, SEED, Sample, macro_intervals, mean
from mlbench.reports.per_query import PerQuery, SettingValues
from mlbench.reports.retrieved import Depth
from mlbench.runs.rankings import Hits, Rankings, pool_number
from mlbench.runs.reading import Ints

Values = npt.NDArray[np.float64]
NO_PAIRS = Roles((), ())


@dataclass(frozen=True)
class Scored:
    """What scoring runs gives: the scores, the depth of each kind's rankings, and a lower bound of
    rank distance, None where no multilingual setting was scored or none has one; and what each
    query scores."""

    scores: Scores
    depths: dict[str, Depth]
    rank_distance_at_least: float | None
    values: PerQuery


@dataclass(frozen=True)
class _Asked:
    """The queries of a setting: judged, with a relevant passage in the pool.

    ``pairs`` (m,) are their relevant pairs, in the order of the queries; query i owns
    ``starts[i]:starts[i + 1]``. ``rank`` (m,) is 0 where the run does not have the passage.
    """

    setting: Setting
    query: Ints
    starts: Ints
    pairs: Ints
    rank: Ints
    depth: Ints
    pool_size: int | None
    excluded: int


def score_runs(
    rankings: Rankings,
    settings: Sequence[Setting],
    measures: Sequence[Measure],
    roles: Roles = NO_PAIRS,
) -> Scored:
    """Score the settings that the runs are about; ``settings`` are all of the task's, and ``roles``
    say which directions its pairs have."""
    clusters, count = _clusters(rankings)
    rows: list[SettingScores] = []
    asked: list[_Asked] = []
    by_query: list[SettingValues] = []
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for setting in settings:
        if not _is_claimed(rankings, setting):
            continue
        of = _asked(rankings, setting)
        values = per_query(of, rankings.targets.relevance, measures)
        asked.append(of)
        rows.append(_row(of, values))
        ids = tuple(rankings.targets.query_ids[q] for q in of.query.tolist())
        by_query.append(SettingValues(setting, ids, ("",) * len(ids), of.excluded, values))
        for name, each in values.items():
            for language in ("", setting.query_language):
                key = (setting.kind.value, name, language)
                groups.setdefault(key, []).append(Sample(clusters[of.query], each))
            if direction := roles.direction(setting):
                sample = Sample(clusters[of.query], each)
                groups.setdefault((direction, name, ""), []).append(sample)
    found = macro_intervals(list(groups.values()), count) if groups else []
    intervals = dict(zip(groups, found, strict=True))
    macro, per_language = mean_scores(rows, intervals)
    by_query_language = {
        kind: {
            name: extremes({code: score.value for code, score in scores.items()})
            for name, scores in of_kind.items()
        }
        for kind, of_kind in per_language.items()
        if len({setting.query_language for setting in settings}) > 1 and not roles.pairs
    }
    bias = BiasScores(
        None, None, None, {}, {}, None, {},
        TargetRemoved(None, None, {}, 0, 0), by_query_language, {}, (),
    )  # fmt: skip
    statistics = Statistics("cluster bootstrap", LEVEL, DRAWS, SEED, count)
    directions = direction_scores(rows, roles, intervals)
    scores = Scores(macro, per_language, tuple(rows), bias, statistics, directions)
    every = PerQuery(tuple(by_query), tuple(measure.name for measure in measures))
    depths = _depths(asked, settings, measures)
    return Scored(scores, depths, _distance_at_least(asked), every)


def _clusters(rankings: Rankings) -> tuple[Ints, int]:
    """Return the question of each query, numbered as in a table of ranks of the same task."""
    targets = rankings.targets
    pairs = targets.pairs_in(rankings.chosen, rankings.chosen)
    with_relevant = np.unique(targets.query[pairs])
    ids = np.array([targets.query_ids[i] for i in with_relevant])
    names, of = np.unique(ids, return_inverse=True)
    clusters = np.zeros(len(targets.judged), np.int64)
    clusters[with_relevant] = of
    return clusters, len(names)


def _is_claimed(rankings: Rankings, setting: Setting) -> bool:
    query, pool = _cell(rankings, setting)
    return bool(rankings.claimed[query, pool])


def _cell(rankings: Rankings, setting: Setting) -> tuple[int, int]:
    """Return a setting's query language and pool as numbers."""
    languages = rankings.targets.languages
    return languages.index(setting.query_language), pool_number(setting, languages)


def _asked(rankings: Rankings, setting: Setting) -> _Asked:
    """Gather a setting's queries, their relevant passages in the pool, and the ranks of these."""
    targets = rankings.targets
    language, pool = _cell(rankings, setting)
    inside = np.zeros(len(targets.languages), bool)
    inside[[targets.languages.index(code) for code in setting.passage_languages]] = True
    pairs = targets.pairs_in(np.arange(len(targets.languages)) == language, inside)
    query, begin = np.unique(targets.query[pairs], return_index=True)
    rank = np.zeros(len(targets.query), np.int64)
    hits = _of_pool(rankings.hits, pool)
    rank[rankings.hits.pair[hits]] = rankings.hits.rank[hits]
    judged, pool_size = targets.sizes(setting)
    return _Asked(
        setting=setting,
        query=query,
        starts=np.append(begin, len(pairs)).astype(np.int64),
        pairs=pairs,
        rank=rank[pairs],
        depth=rankings.depth[query, pool],
        pool_size=pool_size,
        excluded=judged - len(query),
    )


def _of_pool(hits: Hits, pool: int) -> slice:
    return slice(*np.searchsorted(hits.pool, [pool, pool + 1]).tolist())


def per_query(
    asked: _Asked, relevance: npt.NDArray[np.int32], measures: Sequence[Measure]
) -> dict[str, Values]:
    """Return measure name -> its value for each query, by ir-measures; 0 where nothing was found.

    It is given the order that ``ranking`` has found, as scores without ties, so that every measure
    sees the same one whatever rule it has for ties. Passages are renamed: relevant ones are
    "+1", "+2", ..., the others "1", "2", ..., by rank. Those below the last relevant one say
    nothing to any measure and are left out.
    """
    import ir_measures

    deepest = int(asked.rank.max(initial=0))
    names = [str(i) for i in range(1, deepest + 1)]
    falling = [float(i) for i in range(deepest, 0, -1)]
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    rows = zip(asked.starts[:-1].tolist(), asked.starts[1:].tolist(), strict=True)
    grades, ranks = relevance[asked.pairs].tolist(), asked.rank.tolist()
    for i, (begin, end) in enumerate(rows):
        labels = [f"+{j}" for j in range(1, end - begin + 1)]
        listed = names[: max(ranks[begin:end])]
        for label, rank in zip(labels, ranks[begin:end], strict=True):
            if rank:
                listed[rank - 1] = label
        if listed:
            qrels[str(i)] = dict(zip(labels, grades[begin:end], strict=True))
            run[str(i)] = dict(zip(listed, falling, strict=False))
    parsed = {ir_measures.parse_measure(measure.name): measure.name for measure in measures}
    values = {measure.name: np.zeros(len(asked.query)) for measure in measures}
    for metric in ir_measures.iter_calc(list(parsed), qrels, run) if qrels else ():
        values[parsed[metric.measure]][int(metric.query_id)] = metric.value
    return values if len(asked.query) else {}


def _row(asked: _Asked, values: dict[str, Values]) -> SettingScores:
    means = {name: float(each.sum() / len(each)) for name, each in values.items()}
    setting = asked.setting
    return SettingScores(
        kind=setting.kind.value,
        query_language=setting.query_language,
        passage_languages=setting.passage_languages,
        queries=len(asked.query),
        excluded=asked.excluded,
        measures=means,
        optimistic=means,
    )


def _depths(
    asked: Sequence[_Asked], settings: Sequence[Setting], measures: Sequence[Measure]
) -> dict[str, Depth]:
    """Say for each kind of setting how deep its rankings are and what they lack."""
    depths = {}
    for kind in dict.fromkeys(of.setting.kind for of in asked):
        parts = [of for of in asked if of.setting.kind is kind]
        deepest = max((int(of.depth.max(initial=0)) for of in parts), default=0)
        depths[kind.value] = Depth(
            truncated_at=deepest,
            settings=len(parts),
            settings_missing=sum(s.kind is kind for s in settings) - len(parts),
            queries_missing=sum(int((of.depth == 0).sum()) for of in parts),
            queries_short=sum(int(_is_short(of, deepest).sum()) for of in parts),
            passages_relevant=sum(len(of.rank) for of in parts),
            passages_beyond=sum(int((of.rank == 0).sum()) for of in parts),
            lower_bounds=tuple(
                m.name for m in measures if any(_reaches_beyond(m, of, deepest) for of in parts)
            ),
        )
    return depths


def _is_short(of: _Asked, deepest: int) -> npt.NDArray[np.bool_]:
    """Say which queries have some passages, but fewer than others and than the pool has."""
    most = deepest if of.pool_size is None else min(deepest, of.pool_size)
    short: npt.NDArray[np.bool_] = (of.depth > 0) & (of.depth < most)
    return short


def _reaches_beyond(measure: Measure, of: _Asked, deepest: int) -> bool:
    """Whether a measure needs ranks below the deepest one, and relevant passages are there."""
    if of.rank.all():
        return False
    if measure.cutoff is not None:
        return measure.cutoff > deepest
    if measure.name.startswith("Rprec"):
        return int(np.diff(of.starts).max(initial=0)) > deepest
    return True


def _distance_at_least(asked: Sequence[_Asked]) -> float | None:
    """Return a lower bound of rank distance: the mean over queries, then over languages.

    A query's passages that the run lacks rank below all it has, the lowest of m at depth + m at
    best. Where it has none, the bound is the least that k passages can span, k - 1.
    """
    bounds = [
        mean(values)
        for of in asked
        if of.setting.kind is Kind.MULTILINGUAL
        for values in [[bound for bound in _spans(of) if bound is not None]]
        if values
    ]
    return mean(bounds) if bounds else None


def _spans(of: _Asked) -> Iterator[int | None]:
    """Yield the least that each query's relevant passages span, None for fewer than two."""
    rows = zip(of.starts[:-1].tolist(), of.starts[1:].tolist(), of.depth.tolist(), strict=True)
    for begin, end, depth in rows:
        found = [rank for rank in of.rank[begin:end].tolist() if rank]
        lacking = end - begin - len(found)
        if end - begin < 2:
            yield None
        elif not found:
            yield end - begin - 1
        else:
            yield (depth + lacking if lacking else max(found)) - min(found)
