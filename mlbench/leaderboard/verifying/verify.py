"""Encode a sample of a task's texts again, or all of them, and hold an entry's table against it.

The embedding cache is left alone: what is compared was encoded now.
"""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench import __version__
from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.common.files import sha256_of
from mlbench.data.collection import Collection
from mlbench.data.task import Task
from mlbench.evaluation.describing import model_facts
from mlbench.evaluation.evaluate import encode_held, rank_held
from mlbench.evaluation.options import Options
from mlbench.leaderboard.entries.board import find_entry
from mlbench.leaderboard.entries.entry import ENTRY_FILE, Level, faults_at
from mlbench.leaderboard.entries.tables import (
    entry_table,
    refuse_part_of_a_task,
    score_faults,
    table_faults,
)
from mlbench.leaderboard.verifying.agreement import (
    COARSE,
    FALSE_ALARM,
    TOLERANCES,
    Resolution,
    Tolerance,
    compare,
)
from mlbench.leaderboard.verifying.samples import (
    Names,
    certain_checks,
    claims_of,
    draw,
    evidence_checks,
    find_places,
    macro_difference,
    part_of,
    table_checks,
    vectors_of,
)
from mlbench.leaderboard.verifying.verification import (
    Check,
    Limits,
    Recomputed,
    UsedModel,
    Verdict,
    Verification,
    VerifiedEntry,
    VerifiedTask,
)
from mlbench.measures.significance import TIE_TOLERANCE
from mlbench.models.encoding import Embedded
from mlbench.models.protocol import Bound
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, read_report, rescored

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel


@dataclass(frozen=True)
class Subject:
    """What is verified: an entry of the leaderboard, or a report.

    ``dimension`` and ``dtype`` are the model's as it says, None where it does not.
    """

    entry: VerifiedEntry
    task: VerifiedTask
    dimension: int | None
    dtype: str | None
    measures: tuple[str, ...]
    ranks: Ranks


def read_subject(path: Path) -> Subject:
    """Read an entry's or a report's folder, and check it by itself.

    Raises DataError where there is none, or it brings no table; IntegrityError where its files
    contradict each other or themselves.
    """
    folder = path.parent if path.name in (ENTRY_FILE, RANKS_FILE, REPORT_FILE) else path
    if (folder / ENTRY_FILE).exists():
        subject = _read_entry(folder)
    elif (folder / REPORT_FILE).exists():
        subject = _read_report(folder)
    else:
        found = "neither an entry nor a report" if folder.exists() else "no such folder"
        raise DataError(Fault(str(path), found, f"a folder with {ENTRY_FILE} or {REPORT_FILE}"))
    if faults := faults_at(str(folder / RANKS_FILE), table_faults(subject.ranks)):
        raise IntegrityError(*faults[:20])
    return subject


def _read_entry(folder: Path) -> Subject:
    found = find_entry(folder)
    entry, ranks = found.entry, entry_table(found)
    if entry.ranks_sha256 is None or ranks is None:
        what = "figures as published, without a table"
        raise DataError(Fault(str(folder), what, "an entry with evidence"))
    wrong = score_faults(entry, ranks, found.task.kinds)
    if faults := faults_at(str(folder / ENTRY_FILE), wrong):
        raise IntegrityError(*faults[:20])
    model = entry.model
    digest = entry.ranks_sha256
    return Subject(
        VerifiedEntry("entry", found.sha256, digest, model.name, model.identity),
        VerifiedTask(entry.task.name, entry.task.version, entry.task.digest),
        model.dimension,
        model.dtype,
        entry.measures,
        ranks,
    )


def _read_report(folder: Path) -> Subject:
    report = read_report(folder)
    ranks = report.table
    refuse_part_of_a_task(report)
    rescored(report, ranks, folder)
    digests = sha256_of(folder / REPORT_FILE), sha256_of(folder / RANKS_FILE)
    model = report.model
    return Subject(
        VerifiedEntry("report", *digests, model.name, model.identity),
        VerifiedTask(report.task.name, report.task.version, report.task.digest),
        model.dimension,
        model.dtype,
        report.measures,
        ranks,
    )


def refuse_other_task(subject: Subject, task: Task, collection: Collection) -> None:
    """Raise IntegrityError unless the entry is of this version of the task, and of these texts."""
    said, here = subject.task, VerifiedTask(task.name, task.version, collection.digest)
    if said != here:
        raise IntegrityError(
            Fault(
                f"task of the {subject.entry.kind}",
                f"{said.name} {said.version}, collection {said.digest}",
                f"{here.name} {here.version}, collection {here.digest}",
                "verify with the version of mlbench and the data that it was made with",
            )
        )


ENOUGH_QUERIES, ENOUGH_PASSAGES = 50, 20
"""From fewer, unless there are no more, nothing is concluded."""
LARGEST_EXCESS = 0.05
"""Nothing is concluded from a sample that would not see so many of all passages too few counted."""
BLURRED = 0.05
NOTHING_SEEN = Resolution(None, None)


@dataclass(frozen=True)
class Request:
    """What is to be encoded again: ``queries``, and ``passages`` of each language beside the
    relevant ones, drawn by ``seed`` (from 0); or everything (``full``). ``options`` are those of an
    evaluation, without a cache."""

    queries: int
    passages: int
    seed: int
    full: bool = False
    options: Options = field(default_factory=lambda: Options(cache=None, progress=False))


@dataclass(frozen=True)
class _Found:
    """What was encoded, and what came of comparing it."""

    recomputed: Recomputed
    dimension: int
    checks: tuple[Check, ...]
    undecided: float
    resolution: Resolution | None = None
    score_difference: float | None = None


def verify(
    subject: Subject, task: Task, collection: Collection, model: LoadedModel, request: Request
) -> Verification:
    """Verify an entry with a model that was loaded anew.

    Raises IntegrityError where its table is not of this collection, ModelError where the model
    fails, EnvironmentFault where memory does not suffice.
    """
    start = time.perf_counter()
    refuse_other_task(subject, task, collection)
    work = _Work(subject, task, collection, model, request)
    found = work.full() if request.full else work.sampled()
    verdict = _verdict(found, len(subject.ranks.query_ids), collection)
    resolution = found.resolution or NOTHING_SEEN
    level = None
    if verdict is Verdict.AGREES and work.same and not isinstance(model.adapter, Bound):
        level = Level.REPRODUCED if request.full else Level.SAMPLED
    return Verification(
        verdict=verdict,
        level=level,
        entry=subject.entry,
        task=subject.task,
        model=UsedModel(
            spec=model.spec,
            name=model.name,
            identity=model.identity,
            same=work.same,
            similarity=model.similarity,
            dimension=found.dimension,
            dtype=work.dtype,
        ),
        recomputed=found.recomputed,
        limits=Limits(work.tolerance.share, work.tolerance.ties, FALSE_ALARM, found.undecided),
        checks=found.checks,
        understated=resolution.understated,
        excess=resolution.excess,
        score_difference=found.score_difference,
        notes=tuple(_notes(subject, model, found, work.tolerance, verdict)),
        command=request.options.command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - start, 3),
        versions=work.versions(),
        platform=platform.platform(),
    )


class _Work:
    """The encoding and comparing of one verification."""

    def __init__(
        self,
        subject: Subject,
        task: Task,
        collection: Collection,
        model: LoadedModel,
        request: Request,
    ) -> None:
        self.subject, self.task, self.collection = subject, task, collection
        self.model, self.request = model, request
        self.places = find_places(subject.ranks, collection)
        self.facts: Mapping[str, Any] = {}

    @property
    def dtype(self) -> str:
        """The type of the model's weights, known once it has encoded."""
        return str(self.facts.get("dtype", "float32"))

    @property
    def same(self) -> bool:
        """Whether the model's identity, which covers its dtype, is the entry's."""
        return self.model.identity == self.subject.entry.identity

    @property
    def tolerance(self) -> Tolerance:
        """The model's own; of two models the larger one. What an entry says of a model by which
        it can be verified does not widen it."""
        kinds = {self.dtype} | (set() if self.same else {self.subject.dtype or "float32"})
        return max((TOLERANCES.get(kind, COARSE) for kind in kinds), key=_coarseness)

    def versions(self) -> dict[str, str]:
        """Return the versions of what took part."""
        own = {"mlbench": __version__, "python": platform.python_version()}
        return own | {"numpy": metadata.version("numpy")} | dict(self.facts.get("versions", {}))

    def sampled(self) -> _Found:
        """Encode a sample, and compare."""
        ranks, request = self.subject.ranks, self.request
        sample = draw(ranks, self.collection, request.queries, request.passages, request.seed)
        claims, rows = claims_of(ranks, sample.queries)
        queries, relevant = self.places.query[sample.queries], self.places.passage[rows]
        part = part_of(self.collection, queries, np.append(relevant, sample.drawn))
        embedded, _ = encode_held(
            self.task, part.collection, self.model, request.options, whole=self.collection
        )
        self.facts = model_facts(self.model)
        vectors = vectors_of(part, embedded, queries, relevant, sample)
        found = compare(claims, vectors, self.tolerance)
        names = Names(ranks, sample.queries, rows)
        return _Found(
            recomputed=self._recomputed(embedded, len(queries), np.diff(sample.edges).tolist()),
            dimension=int(embedded.passages.shape[1]),
            checks=(*certain_checks(found, claims, names), *evidence_checks(found, names)),
            undecided=found.undecided,
            resolution=found.resolution,
        )

    def full(self) -> _Found:
        """Run the task again, and compare the tables and the macro scores."""
        collection, theirs = self.collection, self.subject.ranks
        options = self.request.options
        embedded, _ = encode_held(self.task, collection, self.model, options)
        self.facts = model_facts(self.model)
        ours, _, _ = rank_held(self.task, collection, embedded, options)
        checks, undecided = table_checks(theirs, ours, collection, embedded, self.tolerance)
        difference = 0.0
        if checks[0].differing:
            settings = self.task.settings()
            difference = macro_difference(theirs, ours, settings, self.subject.measures)
        return _Found(
            recomputed=self._recomputed(embedded, len(theirs.query_ids), None),
            dimension=int(embedded.passages.shape[1]),
            checks=checks,
            undecided=undecided,
            score_difference=difference,
        )

    def _recomputed(
        self, embedded: Embedded, queries: int, drawn: Sequence[int] | None
    ) -> Recomputed:
        collection = self.collection
        passages = collection.passages.counts.tolist() if drawn is None else drawn
        return Recomputed(
            seed=None if drawn is None else self.request.seed,
            queries=queries,
            all_queries=len(self.subject.ranks.query_ids),
            passages=dict(zip(collection.languages, passages, strict=True)),
            distinct={role: sum(count) for role, count in embedded.counts.items()},
            texts=len(collection.queries) + len(collection.passages),
        )


def _coarseness(tolerance: Tolerance) -> tuple[float, bool]:
    return tolerance.share, not tolerance.ties


def _verdict(found: _Found, queries: int, collection: Collection) -> Verdict:
    if not all(check.agrees for check in found.checks):
        return Verdict.DISAGREES
    if found.score_difference is not None:
        agrees = found.score_difference <= TIE_TOLERANCE
        return Verdict.AGREES if agrees else Verdict.INCONCLUSIVE
    pools = dict(zip(collection.languages, collection.passages.counts.tolist(), strict=True))
    enough = found.recomputed.queries >= min(ENOUGH_QUERIES, queries) and all(
        drawn >= min(ENOUGH_PASSAGES, pools[language])
        for language, drawn in found.recomputed.passages.items()
    )
    resolution = found.resolution or NOTHING_SEEN
    sees = resolution.excess is not None and resolution.excess <= LARGEST_EXCESS
    sharp = resolution.understated is not None or sees
    return Verdict.AGREES if enough and sharp else Verdict.INCONCLUSIVE


def _notes(
    subject: Subject, model: LoadedModel, found: _Found, tolerance: Tolerance, verdict: Verdict
) -> Iterator[str]:
    kind = subject.entry.kind
    if model.identity != subject.entry.identity:
        yield (
            f"The {kind} names a model of another identity ({subject.entry.identity}; here "
            f"{model.identity}), so its weights, prompts or settings may be different."
        )
    if subject.dimension not in (None, found.dimension):
        yield f"The {kind}'s vectors have {subject.dimension} dimensions, and these have "
        f"{found.dimension}."
    if isinstance(model.adapter, Bound):
        yield "The model only looked up its vectors, so no text was encoded."
    if found.undecided > BLURRED:
        share, off = f"{found.undecided:.0%} of the comparisons", f"{tolerance.share:g}"
        yield f"{share} are too close to decide, because scores may be off by {off}."
    if verdict is Verdict.INCONCLUSIVE:
        full = found.score_difference is not None
        yield (
            "Rounding explains all rows that differ, but a macro score differs by more than "
            f"{TIE_TOLERANCE}."
            if full
            else "The sample is too small for a conclusion: give a larger --sample or --passages."
        )
