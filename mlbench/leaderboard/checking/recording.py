"""What is recorded of entries: that they were verified or disputed, liftings and withdrawals.

An entry never says itself how far it can be trusted. That a sample of it was encoded again, that
it was reproduced, or that it is disputed, is a file of its own in ``records/``, which names the
entry by the digest of its entry.json.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.leaderboard.entries.board import LIFTED, find_entry, record_path, root_of
from mlbench.leaderboard.entries.entry import (
    EntryKind,
    Level,
    Lifting,
    Record,
    Withdrawal,
    faults_at,
    readable_json,
)
from mlbench.leaderboard.entries.fields import (
    evidence_faults,
    lifting_faults,
    record_faults,
    withdrawal_faults,
)
from mlbench.leaderboard.entries.strict import MAX_JSON, parse_json, read_bounded


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
    faults = faults_at("record", [*record_faults(record, today), *evidence_faults(record)])
    if entry.entry.kind is EntryKind.REPORTED and level is not Level.DISPUTED:
        faults.append(Fault(str(path), "a reported entry", "one with evidence"))
    if faults:
        raise UsageError(*faults)
    at = record_path(entry.place.task, entry.slug, entry.sha256, level, record.date)
    return _write_new(root_of(path) / at, record)


def _evidence(path: Path) -> dict[str, Any]:
    table = parse_json(read_bounded(path, MAX_JSON, str(path)), str(path))
    if not isinstance(table, dict):
        raise DataError(
            Fault(str(path), "not a JSON object", "what `mlbench verify --json` printed")
        )
    return table


def withdraw(path: Path, by: str, reason: str, today: datetime.date) -> Path:
    """Withdraw the entry at ``path``: a file beside it says so.

    Raises UsageError where it is withdrawn already, DataError where there is no entry.
    """
    entry = find_entry(path)
    if entry.withdrawn is not None:
        found = f"withdrawn on {entry.withdrawn.date}"
        raise UsageError(Fault(str(path), found, "an entry that is not withdrawn"))
    withdrawal = Withdrawal(entry.sha256, reason, by, today.isoformat())
    if faults := faults_at("withdrawal", withdrawal_faults(withdrawal, today)):
        raise UsageError(*faults)
    return _write_new(entry.path / f"withdrawn-{withdrawal.date}.json", withdrawal)


def lift(path: Path, by: str, reason: str, today: datetime.date) -> Path:
    """Lift the disputes that stand of the entry at ``path``: a file beside them says so.

    Raises UsageError where it is not disputed, DataError where there is no entry.
    """
    entry = find_entry(path)
    if not entry.disputes:
        raise UsageError(Fault(str(path), f"{entry.level}", "an entry that is disputed"))
    place = entry.place.task, entry.slug, entry.sha256
    lifting = Lifting(*place, entry.disputes, reason, by, today.isoformat())
    if faults := faults_at("lifting", lifting_faults(lifting, today)):
        raise UsageError(*faults)
    return _write_new(root_of(path) / record_path(*place, LIFTED, lifting.date), lifting)


def _write_new(path: Path, document: Record | Withdrawal | Lifting) -> Path:
    if path.exists():
        raise UsageError(Fault(str(path), "exists already", "one for each day"))
    write_atomically(path, readable_json(document, path.name))
    return path
