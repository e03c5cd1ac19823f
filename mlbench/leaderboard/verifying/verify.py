"""Encode a sample of a task's texts again, or all of them, and hold an entry's table against it.

The embedding cache is left alone: what is compared was encoded now.
"""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, IntegrityError, first_faults
from mlbench.common.files import sha256_of
from mlbench.data.collection import Collection
from mlbench.data.task import Task
from mlbench.evaluation.describing import model_facts
from mlbench.evaluation.evaluate import encode_held, rank_held
from mlbench.evaluation.options import Options
from mlbench.leaderboard.entries.board import find_entry
from mlbench.leaderboard.entries.entry import ENTRY_FILE, Entry, Level, faults_at
from mlbench.leaderboard.entries.tables import (
    entry_table,
    refuse_made_vectors,
    refuse_part_of_a_task,
    score_faults,
    table_faults,
)
from mlbench.leaderboard.verifying.agreement import FALSE_ALARM, Agreement, Resolution, compare
from mlbench.leaderboard.verifying.checks import (
    Names,
    certain_checks,
    evidence_checks,
    evidence_example,
    macro_difference,
    population_names,
    table_checks,
)
from mlbench.leaderboard.verifying.claims import COARSE, TOLERANCES, Tolerance
from mlbench.leaderboard.verifying.samples import (
    Part,
    draw,
    find_places,
    part_of,
    parts_of,
    populations_of,
    share_seen,
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
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, Report, read_report, rescored

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
        raise IntegrityError(*first_faults(faults))
    return subject


def _read_entry(folder: Path) -> Subject:
    found = find_entry(folder)
    entry, ranks = found.entry, entry_table(found)
    if entry.ranks_sha256 is None or ranks is None:
        what = "figures as published, without a table"
        raise DataError(Fault(str(folder), what, "an entry with evidence"))
    wrong = score_faults(entry, ranks, found.task.kinds)
    if faults := faults_at(str(folder / ENTRY_FILE), wrong):
        raise IntegrityError(*first_faults(faults))
    return _subject("entry", (found.sha256, entry.ranks_sha256), entry, ranks)


def _read_report(folder: Path) -> Subject:
    report = read_report(folder)
    ranks = report.table
    refuse_part_of_a_task(report)
    refuse_made_vectors(report)
    rescored(report, ranks, folder)
    digests = sha256_of(folder / REPORT_FILE), sha256_of(folder / RANKS_FILE)
    return _subject("report", digests, report, ranks)


def _subject(kind: str, digests: tuple[str, str], of: Entry | Report, ranks: Ranks) -> Subject:
    model, task = of.model, of.task
    return Subject(
        VerifiedEntry(kind, *digests, model.name, model.identity),
        VerifiedTask(task.name, task.version, task.digest),
        model.dimension,
        model.dtype,
        of.measures,
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


USUAL_QUERIES, USUAL_QUERIES_OF_SETTING = 200, 10
ENOUGH_QUERIES, ENOUGH_PASSAGES = 50, 20
"""From fewer, unless there are no more, nothing is concluded."""
LARGEST_EXCESS = 0.05
"""Nothing is concluded from a sample that would not see so many of all passages too few counted."""
MOST_UNDECIDED = 0.05
"""Nothing is concluded where more comparisons are too close to call, in any language."""
UNKNOWN = Resolution(None, None)


def usual_queries(ranks: Ranks) -> int:
    """Return how many queries a sample has unless somebody says otherwise: 200, and of a task of
    pairs 10 for each direction of each pair if that is more."""
    return max(USUAL_QUERIES, USUAL_QUERIES_OF_SETTING * 2 * len(ranks.pairs))


@dataclass(frozen=True)
class Request:
    """What is to be encoded again: ``queries``, and ``passages`` of each language (of a task of
    pairs, of each pair in each language) beside the relevant ones, drawn by ``seed`` (from 0); or
    everything (``full``). ``options`` are those of an evaluation, without a cache."""

    queries: int
    passages: int
    seed: int
    full: bool = False
    options: Options = field(default_factory=lambda: Options(cache=None, progress=False))


@dataclass(frozen=True)
class _Compared:
    """What came of comparing."""

    checks: tuple[Check, ...]
    undecided: float
    resolution: Resolution = UNKNOWN
    score_difference: float | None = None
    blurred: str = ""
    """Why rounding may hide that a sample disagrees, "" if it cannot."""


def verify(
    subject: Subject, task: Task, collection: Collection, model: LoadedModel, request: Request
) -> Verification:
    """Verify an entry with a model that was loaded anew.

    Raises IntegrityError where its table is not of this collection, ModelError where the model
    fails, EnvironmentFault where memory does not suffice.
    """
    start = time.perf_counter()
    refuse_other_task(subject, task, collection)
    part = _part(subject.ranks, collection, request)
    encoded = part.collection if part else collection
    embedded, _ = encode_held(task, encoded, model, request.options, whole=collection)
    facts = model_facts(model)
    dtype, same = str(facts.get("dtype", "float32")), model.identity == subject.entry.identity
    tolerance = _tolerance(dtype, dtype if same else subject.dtype or "float32")
    if part:
        found = _compare_part(part, embedded, subject.ranks, tolerance)
    else:
        found = _compare_tables(subject, task, collection, embedded, request.options, tolerance)
    recomputed = _recomputed(subject.ranks, collection, part, embedded, request.seed)
    doubts = list(_doubts(found, _enough(subject.ranks, part)))
    verdict = Verdict.INCONCLUSIVE if doubts else Verdict.AGREES
    if not all(check.agrees for check in found.checks):
        verdict, doubts = Verdict.DISAGREES, []
    level = None
    if verdict is Verdict.AGREES and same and not isinstance(model.adapter, Bound):
        level = Level.SAMPLED if part else Level.REPRODUCED
    dimension = int(embedded.passages.shape[1])
    own = {"mlbench": __version__, "python": platform.python_version()}
    return Verification(
        verdict=verdict,
        level=level,
        entry=subject.entry,
        task=subject.task,
        model=UsedModel(
            model.spec, model.name, model.identity, same, model.similarity, dimension, dtype
        ),
        recomputed=recomputed,
        limits=Limits(tolerance.share, tolerance.ties, FALSE_ALARM, found.undecided),
        checks=found.checks,
        understated=found.resolution.understated,
        excess=found.resolution.excess,
        score_difference=found.score_difference,
        notes=(*_notes(subject, model, dimension), *doubts),
        command=request.options.command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - start, 3),
        versions=own | {"numpy": metadata.version("numpy")} | dict(facts.get("versions", {})),
        platform=platform.platform(),
    )


def _part(ranks: Ranks, collection: Collection, request: Request) -> Part | None:
    """Return what is sampled, None where everything is encoded again."""
    if request.full:
        find_places(ranks, collection)  # a table of other texts is refused before any is encoded
        return None
    sample = draw(ranks, collection, request.queries, request.passages, request.seed)
    return part_of(ranks, collection, sample)


def _tolerance(used: str, named: str) -> Tolerance:
    """Return the larger tolerance of two types of weights: the model's, and the entry's where that
    names another model. What an entry says of a model by which it can be verified does not widen
    it."""
    both = [TOLERANCES.get(dtype, COARSE) for dtype in (used, named)]
    return max(both, key=lambda each: (each.share, not each.ties))


def _compare_part(part: Part, embedded: Embedded, ranks: Ranks, tolerance: Tolerance) -> _Compared:
    found = compare(part.claims, part.vectors(embedded), tolerance)
    names = Names(ranks, part.sample.queries, part.rows)
    checks = (*certain_checks(found, part.claims, names), *evidence_checks(found, names))
    blurred = _blurred(found, names, tolerance)
    return _Compared(checks, found.undecided, found.resolution, blurred=blurred)


def _blurred(found: Agreement, names: Names, tolerance: Tolerance) -> str:
    """Say why rounding may hide that a sample disagrees, "" if it cannot."""
    blur = found.blur
    if blur.largest > MOST_UNDECIDED:
        part = names.group(blur.part, blur.group)
        most = "" if blur.largest < blur.share + 0.005 else f" ({blur.largest:.0%} of {part})"
        return (
            f"{blur.share:.0%} of the comparisons{most} are too close to call, because scores may "
            f"be off by {tolerance.share:g}. Any table would agree with these, so nothing is "
            f"concluded from a sample with more than {MOST_UNDECIDED:.0%} of them."
        )
    against = [name for name, worst in found.plain.items() if not worst.agrees]
    if against:
        said = evidence_example(found.plain[against[0]], against[0], names)
        return (
            "The table agrees only if rounding has always favoured it: as the texts were encoded "
            f"now, there are {said}."
        )
    return ""


def _compare_tables(
    subject: Subject,
    task: Task,
    collection: Collection,
    embedded: Embedded,
    options: Options,
    tolerance: Tolerance,
) -> _Compared:
    """Rank the whole task again, and compare the tables and the macro scores."""
    theirs = subject.ranks
    ours, _, _ = rank_held(task, collection, embedded, options)
    checks, undecided = table_checks(theirs, ours, collection, embedded, tolerance)
    difference = 0.0
    if checks[0].differing:
        difference = macro_difference(theirs, ours, task.settings(), subject.measures)
    return _Compared(checks, undecided, score_difference=difference)


def _recomputed(
    ranks: Ranks, collection: Collection, part: Part | None, embedded: Embedded, seed: int
) -> Recomputed:
    names, sizes = population_names(ranks), populations_of(ranks).size
    passages = np.diff(part.sample.edges) if part else sizes
    altered = None
    if part:
        of, size = parts_of(ranks)
        each = (np.bincount(which, minlength=size) for which in (of, of[part.sample.queries]))
        altered = share_seen(*(counts.tolist() for counts in each))
    return Recomputed(
        seed=seed if part else None,
        queries=len(part.sample.queries) if part else len(ranks.query_ids),
        all_queries=len(ranks.query_ids),
        passages={
            name: count
            for name, count, there in zip(names, passages.tolist(), sizes.tolist(), strict=True)
            if there
        },
        distinct={role: sum(count) for role, count in embedded.counts.items()},
        texts=len(collection.queries) + len(collection.passages),
        altered=altered,
    )


def _enough(ranks: Ranks, part: Part | None) -> bool:
    """Return whether a sample is so large that something can be concluded: in all, and of a task
    of pairs in each direction of each pair."""
    if part is None:
        return True
    sample = part.sample
    enough = len(sample.queries) >= min(ENOUGH_QUERIES, len(ranks.query_ids))
    least = np.minimum(ENOUGH_PASSAGES, populations_of(ranks).size)
    of, _ = parts_of(ranks)
    everywhere = not ranks.pairs or np.isin(of, of[sample.queries]).all()
    return bool(enough and everywhere and np.all(np.diff(sample.edges) >= least))


def _doubts(found: _Compared, enough: bool) -> Iterator[str]:
    """Yield why nothing can be concluded where no check disagrees."""
    if found.score_difference is not None:
        if found.score_difference > TIE_TOLERANCE:
            yield (
                "Rounding explains all rows that differ, but a macro score differs by more than "
                f"{TIE_TOLERANCE}."
            )
        return
    resolution = found.resolution
    sees = resolution.excess is not None and resolution.excess <= LARGEST_EXCESS
    if found.blurred:
        yield f"{found.blurred} Repeat the whole run (--full)."
    if not (enough and (resolution.understated is not None or sees)):
        yield "The sample is too small for a conclusion: give a larger --sample or --passages."


def _notes(subject: Subject, model: LoadedModel, dimension: int) -> Iterator[str]:
    kind = subject.entry.kind
    if model.identity != subject.entry.identity:
        yield (
            f"The {kind} names a model of another identity ({subject.entry.identity}; here "
            f"{model.identity}), so its weights, prompts or settings may be different."
        )
    if subject.dimension not in (None, dimension):
        yield f"The {kind}'s vectors have {plural(subject.dimension, 'dimension')}, and these have "
        f"{dimension}."
    if isinstance(model.adapter, Bound):
        yield "The model only looked up its vectors, so no text was encoded."
