"""What maintainers record of entries, and withdrawals: written, and checked.

An entry never says itself how far it can be trusted. That a sample of it was encoded again, that
it was reproduced, or that it is disputed, is a file of its own in ``records/``, which names the
entry by the digest of its entry.json.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.leaderboard.checking.findings import Findings
from mlbench.leaderboard.entries.entry import EntryKind, Level, Record, Withdrawal
from mlbench.leaderboard.entries.field_checks import Found, record_faults, withdrawal_faults
from mlbench.leaderboard.entries.layout import place_of, record_path, root_of
from mlbench.leaderboard.entries.names import shown
from mlbench.leaderboard.entries.reading import Board, BoardEntry, find_entry
from mlbench.leaderboard.entries.strict import MAX_JSON, parse_json, read_bounded, readable_json
from mlbench.leaderboard.verifying.verification import SCHEMA as VERIFICATION


def write_record(
    path: Path, level: Level, by: str, evidence: Path | None, note: str, today: datetime.date
) -> Path:
    """Record a level of the entry at ``path``; ``evidence`` is a JSON file, as verify prints it.

    Raises UsageError where the record would not be valid, DataError where there is no entry.
    """
    entry = find_entry(path)
    record = Record(
        level=level,
        task=entry.place.task,
        slug=entry.slug,
        entry_sha256=entry.sha256,
        by=by,
        date=today.isoformat(),
        evidence=_evidence(evidence) if evidence else {},
        note=note,
    )
    wrong = [*record_faults(record, today), *_evidence_faults(record)]
    faults = [Fault(f"record, {key}", *rest) for key, *rest in wrong]
    if entry.entry.kind is EntryKind.REPORTED and level is not Level.DISPUTED:
        faults.append(Fault(str(path), "a reported entry", "one with evidence"))
    if faults:
        raise UsageError(*faults)
    at = record_path(entry.place.task, entry.slug, entry.sha256, level, record.date)
    return _write_new(root_of(path) / at, record)


def _evidence(path: Path) -> dict[str, Any]:
    table = parse_json(read_bounded(path, MAX_JSON, str(path)), str(path))
    if not isinstance(table, dict):
        raise DataError(Fault(str(path), "no JSON object", "what `mlbench verify --json` printed"))
    return table


def _evidence_faults(record: Record) -> Iterator[Found]:
    """Yield where a result of verify does not show what is recorded, or is of something else."""
    if record.level is Level.DISPUTED or not record.evidence:
        return
    shows, entry = record.evidence.get("level"), record.evidence.get("entry")
    if record.evidence.get("schema") != VERIFICATION:
        yield "evidence.schema", shown(record.evidence.get("schema")), VERIFICATION
    elif shows not in (record.level, Level.REPRODUCED):
        yield "evidence.level", shown(shows), f"{record.level}: it shows no more than that"
    elif not isinstance(entry, dict) or entry.get("sha256") != record.entry_sha256:
        found = shown(entry.get("sha256") if isinstance(entry, dict) else entry)
        yield "evidence.entry.sha256", found, f"{shown(record.entry_sha256)}, of this entry"


def withdraw(path: Path, by: str, reason: str, today: datetime.date) -> Path:
    """Withdraw the entry at ``path``: a file beside it says so.

    Raises UsageError where it is withdrawn already, DataError where there is no entry.
    """
    entry = find_entry(path)
    if entry.withdrawn is not None:
        found = f"withdrawn on {entry.withdrawn.date}"
        raise UsageError(Fault(str(path), found, "an entry that stands"))
    withdrawal = Withdrawal(entry.sha256, reason, by, today.isoformat())
    wrong = withdrawal_faults(withdrawal, today)
    faults = [Fault(f"withdrawal, {key}", *rest) for key, *rest in wrong]
    if faults:
        raise UsageError(*faults)
    return _write_new(entry.path / f"withdrawn-{withdrawal.date}.json", withdrawal)


def _write_new(path: Path, document: Record | Withdrawal) -> Path:
    if path.exists():
        raise UsageError(Fault(str(path), "there already", "one a day"))
    write_atomically(path, readable_json(document, path.name))
    return path


def record_findings(
    board: Board, path: PurePosixPath, where: str, today: datetime.date
) -> Findings:
    """Check a record by itself, against its path and against the entry it names."""
    record = board.records[path]
    found = Findings()
    found.malformed += [Fault(f"{where}, {k}", *rest) for k, *rest in record_faults(record, today)]
    wrong = _evidence_faults(record)
    found.contradictory += [Fault(f"{where}, {key}", *rest) for key, *rest in wrong]
    expected = record_path(record.task, record.slug, record.entry_sha256, record.level, record.date)
    if path != expected:
        found.contradictory.append(Fault(where, "not called as what it says", f"{expected}"))
    entry = _named(board, record)
    if entry is None:
        what = f"{shown(record.entry_sha256)} of {shown(record.slug)} is no entry"
        found.contradictory.append(Fault(f"{where}, entry_sha256", what, "that of an entry.json"))
    elif entry.entry.kind is EntryKind.REPORTED and record.level is not Level.DISPUTED:
        what = "of a reported entry, which has no evidence"
        found.contradictory.append(Fault(f"{where}, level", f"{record.level}, {what}", "disputed"))
    return found


def _named(board: Board, record: Record) -> BoardEntry | None:
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
    faults = withdrawal_faults(withdrawal, today)
    found.malformed += [Fault(f"{where}, {key}", *rest) for key, *rest in faults]
    if path.name != f"withdrawn-{withdrawal.date}.json":
        found.contradictory.append(Fault(f"{where}, date", withdrawal.date, "that of its name"))
    place = place_of(path)
    entry = next((entry for entry in board.entries() if entry.place == place), None)
    if entry is not None and withdrawal.entry_sha256 != entry.sha256:
        digest = shown(withdrawal.entry_sha256)
        found.contradictory.append(Fault(f"{where}, entry_sha256", digest, entry.sha256))
    if entry is not None and withdrawal.by != entry.entry.declared.submitter:
        by = f"by {shown(withdrawal.by)}, not by its submitter"
        found.flags.append(Fault(f"{where}, by", by, shown(entry.entry.declared.submitter)))
    return found
