"""Records, liftings of disputes and withdrawals, each checked by itself and against its entry."""

from __future__ import annotations

import datetime
from pathlib import PurePosixPath

from mlbench.common.errors import Fault
from mlbench.leaderboard.checking.findings import Findings
from mlbench.leaderboard.entries.board import (
    LIFTED,
    Board,
    BoardEntry,
    place_of,
    record_path,
)
from mlbench.leaderboard.entries.entry import (
    EntryKind,
    Level,
    Lifting,
    Record,
    faults_at,
)
from mlbench.leaderboard.entries.fields import (
    evidence_faults,
    lifting_faults,
    record_faults,
    withdrawal_faults,
)
from mlbench.leaderboard.entries.strict import shown


def record_findings(
    board: Board, path: PurePosixPath, where: str, today: datetime.date
) -> Findings:
    """Check a record by itself, against its path and against the entry it names."""
    record = board.records[path]
    found = Findings()
    found.malformed += faults_at(where, record_faults(record, today))
    found.contradictory += faults_at(where, evidence_faults(record))
    expected = record_path(record.task, record.slug, record.entry_sha256, record.level, record.date)
    if path != expected:
        found.contradictory.append(
            Fault(where, "its name does not match its contents", f"{expected}")
        )
    entry = _named(board, record)
    if entry is None:
        what = f"{shown(record.entry_sha256)} of {shown(record.slug)} is not an entry"
        found.contradictory.append(
            Fault(f"{where}, entry_sha256", what, "the SHA-256 of an entry.json")
        )
    elif entry.entry.kind is EntryKind.REPORTED and record.level is not Level.DISPUTED:
        what = "of a reported entry, which has no evidence"
        found.contradictory.append(Fault(f"{where}, level", f"{record.level}, {what}", "disputed"))
    return found


def lifting_findings(
    board: Board, path: PurePosixPath, where: str, today: datetime.date
) -> Findings:
    """Check the lifting of disputes by itself, against its path and against what it lifts."""
    lifting = board.liftings[path]
    found = Findings()
    found.malformed += faults_at(where, lifting_faults(lifting, today))
    digest = lifting.entry_sha256
    expected = record_path(lifting.task, lifting.slug, digest, LIFTED, lifting.date)
    if path != expected:
        wrong = Fault(where, "its name does not match its contents", f"{expected}")
        found.contradictory.append(wrong)
    entry = _named(board, lifting)
    if entry is None:
        what = f"{shown(digest)} of {shown(lifting.slug)} is not an entry"
        wrong = Fault(f"{where}, entry_sha256", what, "the SHA-256 of an entry.json")
        found.contradictory.append(wrong)
        return found
    days = {each.date for each in entry.records if each.level is Level.DISPUTED}
    for number, day in enumerate(lifting.disputes):
        if day not in days or day > lifting.date:
            what = f"{shown(day)}, when the entry was not disputed"
            if day in days:
                what = f"{shown(day)}, after the day of the lifting"
            told = Fault(f"{where}, disputes[{number}]", what, "the day of a dispute before it")
            found.contradictory.append(told)
    if lifting.by == entry.entry.declared.submitter:
        what = f"by {shown(lifting.by)}, who submitted the entry"
        found.flags.append(Fault(f"{where}, by", what, "another maintainer"))
    return found


def _named(board: Board, record: Record | Lifting) -> BoardEntry | None:
    return next(
        (
            entry
            for entry in board.entries()
            if (entry.place.task, entry.slug, entry.sha256)
            == (record.task, record.slug, record.entry_sha256)
        ),
        None,
    )


def withdrawal_findings(
    board: Board, path: PurePosixPath, where: str, today: datetime.date
) -> Findings:
    """Check a withdrawal by itself, against its path and against the entry beside it."""
    withdrawal = board.withdrawals[path]
    found = Findings()
    found.malformed += faults_at(where, withdrawal_faults(withdrawal, today))
    if path.name != f"withdrawn-{withdrawal.date}.json":
        found.contradictory.append(Fault(f"{where}, date", withdrawal.date, "the date in its name"))
    place = place_of(path)
    entry = next((entry for entry in board.entries() if entry.place == place), None)
    if entry is not None and withdrawal.entry_sha256 != entry.sha256:
        digest = shown(withdrawal.entry_sha256)
        found.contradictory.append(Fault(f"{where}, entry_sha256", digest, entry.sha256))
    if entry is not None and withdrawal.by != entry.entry.declared.submitter:
        by = f"by {shown(withdrawal.by)}, not by its submitter"
        found.flags.append(Fault(f"{where}, by", by, shown(entry.entry.declared.submitter)))
    return found
