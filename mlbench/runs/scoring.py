"""Run files in, a report out: each setting scored by ir-measures, in the form of a report.

Every judged query of a setting counts; one that the run does not have counts as 0. A run knows a
query's first passages only, so what lies beyond them counts as not found: measures that reach
deeper are lower bounds, and what needs all ranks is not given.
"""

from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import numpy.typing as npt

from mlbench import __version__
from mlbench.common.errors import DataError, Fault, UsageError, first_faults
from mlbench.common.files import sha256_of
from mlbench.common.hardware import processor_name
from mlbench.data.task import Kind, Roles, Setting
from mlbench.measures.rank_measures import Measure
from mlbench.measures.scores import (
    BiasScores,
    Scores,
    SettingScores,
    Statistics,
    TargetRemoved,
    direction_scores,
    extremes,
    mean_scores,
)
from mlbench.measures.significance import DRAWS, LEVEL, SEED, Sample, macro_intervals, mean
from mlbench.reports.per_query import PerQuery, SettingValues
from mlbench.reports.report import ModelInfo, Report, RunInfo, TaskInfo
from mlbench.reports.retrieved import Depth, Retrieved
from mlbench.reports.words import kind_name, plural
from mlbench.runs.matching import Matching, Targets, Unjudged, Unknown
from mlbench.runs.rankings import Hits, Rankings, Takes
from mlbench.runs.reading import Given, Ints, pool_number, read_run

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


RECORDED_VERSIONS = ("numpy", "ir-measures", "pytrec-eval-terrier")
ADAPTER = "run files"
RULES = (
    "ranked as trec_eval ranks: by score, read in single precision, then by passage id, both "
    "descending"
)


@dataclass(frozen=True)
class Read:
    """What was read of run files: rankings, unknown ids, queries without a judgement, and the tags
    of the files."""

    rankings: Rankings
    unknown: Unknown
    unjudged: Unjudged
    tags: tuple[str, ...]


def read_runs(
    given: Sequence[Given],
    targets: Targets,
    languages: Sequence[str],
    *,
    allow_unknown: bool = False,
    advance: Callable[[int], None] = lambda done: None,
    shown: Takes | None = None,
) -> Read:
    """Read and match run files; ``languages`` are those of the task that count, and ``shown`` is
    shown every ranking.

    Raises DataError with the faults of all files (20 of many).
    """
    chosen = np.array([code in languages for code in targets.languages])
    rankings = Rankings(targets, chosen, shown=shown)
    matching = Matching(targets, allow_unknown=allow_unknown)
    faults: list[Fault] = []
    tags: dict[str, None] = {}
    for each in given:
        try:
            run = read_run(each.path)
        except DataError as error:
            faults += error.faults
        else:
            tags.setdefault(run.tag)
            placed = matching.place(run, each)
            rankings.add(placed, each, matching.faults)
        advance(1)
    if faults:
        raise DataError(*first_faults(faults))
    matching.faults.check()
    return Read(rankings, matching.unknown, matching.unjudged, tuple(tags))


def score_read(
    read: Read, roles: Roles, kinds: Sequence[Kind], measures: Sequence[Measure]
) -> Scored:
    """Score what was read in all settings of the languages that the files are about.

    Raises UsageError where that is none.
    """
    scored = score_runs(read.rankings, roles.settings(kinds), measures, roles)
    if not any(row.queries for row in scored.scores.settings):
        raise UsageError(
            Fault(
                "--run",
                "no setting of the task that has a query",
                "runs of its kinds of setting: "
                + ", ".join(kind_name(kind.value) for kind in kinds),
                "choose another --pool, or other --languages",
            )
        )
    return scored


@dataclass(frozen=True)
class About:
    """What a report says beside its scores: the model's name, the runs as given, the measures, the
    command, and seconds by step."""

    name: str
    runs: tuple[str, ...]
    measures: tuple[Measure, ...]
    command: str
    seconds: dict[str, float]


def runs_report(
    read: Read, scored: Scored, given: Sequence[Given], task: TaskInfo, about: About
) -> Report:
    """Return the report on run files."""
    files = {str(each.path): sha256_of(each.path) for each in given}
    identity = hashlib.sha256("\n".join(sorted(files.values())).encode()).hexdigest()
    kinds = tuple(kind for kind in task.kinds if kind in scored.depths)
    return Report(
        task=task,
        model=ModelInfo(
            name=about.name,
            spec=", ".join(about.runs),
            adapter=ADAPTER,
            identity=identity,
            similarity=None,
            dimension=None,
            dtype=None,
            notes=(RULES,),
        ),
        measures=tuple(measure.name for measure in about.measures),
        scores=scored.scores,
        run=RunInfo(
            command=about.command,
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            versions={"mlbench": __version__, "python": platform.python_version()}
            | {name: metadata.version(name) for name in RECORDED_VERSIONS},
            platform=f"{platform.system()} {platform.machine()}",
            processor=processor_name(),
            threads=1,
            seconds=about.seconds,
            peak_memory=None,
            encoded={},
            recomputed=0,
        ),
        warnings=tuple(_warnings(read, scored, kinds)),
        retrieved=Retrieved(files, scored.depths, scored.rank_distance_at_least),
        values=scored.values,
    )


def _warnings(read: Read, scored: Scored, kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        depth = scored.depths[kind]
        queries = sum(row.queries for row in scored.scores.settings if row.kind == kind)
        yield f"{kind_name(kind)}: {'; '.join(_of_kind(depth, queries))}"
    if scored.rank_distance_at_least is not None:
        yield (
            "rank distance and outranking need the ranks of all passages; the runs only show that "
            f"rank distance is at least {scored.rank_distance_at_least:.1f}"
        )
    if read.rankings.tied:
        yield (
            "the passage id decides, as in trec_eval, between relevant and other passages of equal "
            f"score (in single precision) in {plural(read.rankings.tied, 'ranking')}"
        )
    if read.unjudged.queries:
        yield read.unjudged.words()
    unknown = read.unknown
    if unknown.queries or unknown.passages:
        yield (
            f"{plural(unknown.queries, 'line')} of unknown queries left out, and "
            f"{plural(unknown.passages, 'line')} with unknown passages, which count as not "
            "relevant: " + ", ".join(unknown.examples)
        )


def _of_kind(depth: Depth, queries: int) -> Iterator[str]:
    bounds = ", ".join(depth.lower_bounds)
    verb = "is a lower bound" if len(depth.lower_bounds) == 1 else "are lower bounds"
    if depth.passages_beyond:
        yield (
            f"truncated at {depth.truncated_at}: passages beyond this depth count as not found"
            + (f", so {bounds} {verb}" if bounds else "")
        )
        yield (
            f"{depth.passages_beyond:,} of {depth.passages_relevant:,} relevant passages are not "
            "in the runs"
        )
    else:
        yield f"truncated at {depth.truncated_at}, above which all relevant passages were found"
    if depth.queries_missing:
        yield f"{depth.queries_missing:,} of {queries:,} queries have no passage and count as 0"
    if depth.queries_short:
        yield f"{depth.queries_short:,} queries have some, but fewer than {depth.truncated_at}"
    if depth.settings_missing:
        every = depth.settings + depth.settings_missing
        yield (
            f"{depth.settings} of {every} settings are in the runs, and the macro scores are means "
            "over these"
        )
