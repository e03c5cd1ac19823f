"""Run files in, a report out."""

from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from mlbench import __version__
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import sha256_of
from mlbench.data.collection import MOST_FAULTS
from mlbench.data.corpus import StreamedCollection
from mlbench.data.task import Kind, Task, all_settings
from mlbench.measures.rank_measures import Measure
from mlbench.reports.report import Depth, ModelInfo, Report, Retrieved, RunInfo, TaskInfo
from mlbench.runs.matching import Matching, Targets, Unknown
from mlbench.runs.naming import Given
from mlbench.runs.ranking import Rankings
from mlbench.runs.reading import read_run
from mlbench.runs.scoring import Scored, score_runs

RECORDED_VERSIONS = ("numpy", "ir-measures", "pytrec-eval-terrier")
ADAPTER = "run files"
MARK = "mlbench/judgements/1"
RULES = (
    "ranked as trec_eval ranks: by score, read in single precision, then by passage id, both "
    "descending"
)
WORDS = {kind.value: kind.value for kind in Kind} | {Kind.CROSSLINGUAL.value: "cross-lingual"}


@dataclass(frozen=True)
class Read:
    """What was read of run files: rankings, unknown ids, and the tags of the files."""

    rankings: Rankings
    unknown: Unknown
    tags: tuple[str, ...]


def describe_judgements(task: Task, streamed: StreamedCollection) -> TaskInfo:
    """Return what a report says of a task whose passages were not read.

    Its digest is over the languages, the queries' ids and the judgements.
    """
    judged, languages, queries = streamed.judgements, streamed.languages, streamed.queries
    rows = zip(
        (languages[i] for i in queries.language[judged.query].tolist()),
        (queries.ids[i] for i in judged.query.tolist()),
        (languages[i] for i in judged.passage_language.tolist()),
        judged.passage_ids,
        map(str, judged.relevance.tolist()),
        strict=True,
    )
    hasher = hashlib.sha256("\n".join([MARK, *languages]).encode())
    for row in sorted(rows):
        hasher.update(("\n" + "\t".join(row)).encode())
    return TaskInfo(
        name=task.name,
        version=task.version,
        title=task.title,
        digest=hasher.hexdigest(),
        languages=languages,
        kinds=tuple(kind.value for kind in task.kinds),
        text=task.text,
        licence=task.licence,
        citation=task.citation,
        queries=dict(zip(languages, queries.counts.tolist(), strict=True)),
        passages={},
        relevant_pairs=int((judged.relevance > 0).sum()),
        language_sets=dict(task.language_sets),
        notes=task.notes,
    )


def read_runs(
    given: Sequence[Given],
    targets: Targets,
    languages: Sequence[str],
    *,
    allow_unknown: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Read:
    """Read and match run files; ``languages`` are those of the task that count.

    Raises DataError with the faults of all files (20 of many).
    """
    chosen = np.array([code in languages for code in targets.languages])
    rankings = Rankings(targets, chosen)
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
        raise DataError(*faults[:MOST_FAULTS])
    matching.faults.check()
    return Read(rankings, matching.unknown, tuple(tags))


def score_read(
    read: Read, languages: tuple[str, ...], kinds: Sequence[Kind], measures: Sequence[Measure]
) -> Scored:
    """Score what was read in all settings of the languages that the files are about.

    Raises UsageError where that is none.
    """
    scored = score_runs(read.rankings, all_settings(languages, kinds), measures)
    if not any(row.queries for row in scored.scores.settings):
        raise UsageError(
            Fault(
                "--run",
                "no setting of the task that has a query",
                "runs of its kinds of setting: " + ", ".join(WORDS[kind.value] for kind in kinds),
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
            processor=platform.processor() or platform.machine(),
            threads=1,
            seconds=about.seconds,
            peak_memory=None,
            encoded={},
            recomputed=0,
        ),
        warnings=tuple(_warnings(read, scored, kinds)),
        retrieved=Retrieved(files, scored.depths, scored.rank_distance_at_least),
    )


def _warnings(read: Read, scored: Scored, kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        depth = scored.depths[kind]
        queries = sum(row.queries for row in scored.scores.settings if row.kind == kind)
        yield f"{WORDS[kind]}: {'; '.join(_of_kind(depth, queries))}"
    if scored.rank_distance_at_least is not None:
        yield (
            "rank distance and who outranks need the ranks of all passages; of rank distance the "
            f"runs tell that it is at least {scored.rank_distance_at_least:.1f}"
        )
    if read.rankings.tied:
        yield (
            f"{_count(read.rankings.tied, 'ranking')} with relevant and other passages of one "
            "score, in single precision: as in trec_eval the passage id decides"
        )
    unknown = read.unknown
    if unknown.queries or unknown.passages:
        yield (
            f"{_count(unknown.queries, 'line')} of queries that the task does not have, left out, "
            f"and {unknown.passages:,} with passages that it does not have, not relevant: "
            + ", ".join(unknown.examples)
        )


def _of_kind(depth: Depth, queries: int) -> Iterator[str]:
    bounds = ", ".join(depth.lower_bounds)
    verb = "is a lower bound" if len(depth.lower_bounds) == 1 else "are lower bounds"
    yield (
        f"truncated at {depth.truncated_at}: what lies beyond counts as not found"
        + (f", so {bounds} {verb}" if bounds else "")
    )
    if depth.passages_beyond:
        yield (
            f"{depth.passages_beyond:,} of {depth.passages_relevant:,} relevant passages are not "
            "in the runs"
        )
    if depth.queries_missing:
        yield f"{depth.queries_missing:,} of {queries:,} queries have no passage and count as 0"
    if depth.queries_short:
        yield f"{depth.queries_short:,} have some, but fewer than {depth.truncated_at}"
    if depth.settings_missing:
        every = depth.settings + depth.settings_missing
        yield (
            f"{depth.settings} of {every} settings are in the runs, and the macro scores are means "
            "over these"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
