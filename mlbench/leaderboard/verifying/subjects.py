"""What is verified: an entry of the leaderboard or a report, read and checked by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.common.files import sha256_of
from mlbench.data.collection import Collection
from mlbench.data.task import Task
from mlbench.leaderboard.entries import consistency
from mlbench.leaderboard.entries.entry import ENTRY_FILE
from mlbench.leaderboard.entries.reading import find_entry
from mlbench.leaderboard.entries.recomputed import score_faults
from mlbench.leaderboard.entries.tasks_known import refuse_part_of_a_task
from mlbench.leaderboard.verifying.verification import VerifiedEntry, VerifiedTask
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import RANKS_FILE, REPORT_FILE, read_report, rescored


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
    faults = [
        Fault(f"{folder / RANKS_FILE}, {where}", found, expected)
        for where, found, expected in consistency.table_faults(subject.ranks)
    ]
    if faults:
        raise IntegrityError(*faults[:20])
    return subject


def _read_entry(folder: Path) -> Subject:
    found = find_entry(folder)
    entry, ranks = found.entry, found.ranks
    if entry.ranks_sha256 is None or ranks is None:
        what = "figures as published, without a table"
        raise DataError(Fault(str(folder), what, "an entry with evidence"))
    faults = [
        Fault(f"{folder / ENTRY_FILE}, {key}", said, expected)
        for key, said, expected in score_faults(entry, ranks, found.task.kinds)
    ]
    if faults:
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
    report, ranks = read_report(folder)
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
