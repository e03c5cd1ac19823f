"""Run files in, a report out: read and matched with a task, scored, and put into a report."""

from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from mlbench import __version__
from mlbench.common.counts import agreeing, plural
from mlbench.common.errors import DataError, Fault, UsageError, first_faults
from mlbench.common.files import sha256_of
from mlbench.common.hardware import processor_name
from mlbench.data.task import Kind, Roles
from mlbench.measures.rank_measures import Measure
from mlbench.reports.provenance import ModelInfo, RunInfo, TaskInfo
from mlbench.reports.report import Report
from mlbench.reports.retrieved import Depth, Retrieved
from mlbench.reports.words import kind_name
from mlbench.runs.matching import Matching, Targets, Unjudged, Unknown
from mlbench.runs.patterns import Given
from mlbench.runs.rankings import Rankings, Takes
from mlbench.runs.reading import read_run
from mlbench.runs.scoring import Scored, score_runs

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
    beyond, missing = depth.passages_beyond, depth.queries_missing
    if beyond:
        yield (
            f"truncated at {depth.truncated_at}: passages beyond this depth count as not found"
            + (f", so {bounds} {verb}" if bounds else "")
        )
        yield (
            f"{beyond:,} of {plural(depth.passages_relevant, 'relevant passage')} "
            f"{agreeing(beyond, 'is', 'are')} not "
            "in the runs"
        )
    else:
        yield f"truncated at {depth.truncated_at}, above which all relevant passages were found"
    if missing:
        yield (
            f"{missing:,} of {plural(queries, 'query', 'queries')} "
            f"{agreeing(missing, 'has no passage and counts', 'have no passage and count')} as 0"
        )
    if depth.queries_short:
        short = plural(depth.queries_short, "query has", "queries have")
        yield f"{short} some, but fewer than {depth.truncated_at}"
    if depth.settings_missing:
        every = depth.settings + depth.settings_missing
        yield (
            f"{depth.settings} of {plural(every, 'setting')} "
            f"{agreeing(depth.settings, 'is', 'are')} in the runs, and the macro scores are means "
            "over these"
        )
