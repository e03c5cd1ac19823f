"""An entry of the leaderboard: its documented schema (``mlbench/entry/1``), read and written.

An entry is a folder with ``entry.json`` and, where it brings evidence, ``ranks.parquet``. Beside
it stand withdrawals; records of what a maintainer verified are kept apart (``records.py``).
``docs/leaderboard.md`` explains every key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from mlbench.reports.report import Encoded

SCHEMA = "mlbench/entry/1"
TASK_SCHEMA = "mlbench/leaderboard-task/1"
RECORD_SCHEMA = "mlbench/record/1"
WITHDRAWAL_SCHEMA = "mlbench/withdrawal/1"
ENTRY_FILE, RANKS_FILE, TASK_FILE = "entry.json", "ranks.parquet", "task.json"


class EntryKind(StrEnum):
    """What an entry brings: the table of a run, or figures from a paper."""

    EVIDENCE = "evidence"
    REPORTED = "reported"


class Level(StrEnum):
    """How far an entry can be trusted, from the least; ``DISPUTED`` stands above all others."""

    REPORTED = "reported"
    RECOMPUTED = "recomputed"
    SAMPLED = "sampled"
    REPRODUCED = "reproduced"
    DISPUTED = "disputed"


class Contamination(StrEnum):
    """Whether a model has seen the task's data, as its submitter declares."""

    CLEAN = "clean"
    TRAINED_ON = "trained-on"
    TRAIN_SPLIT_ONLY = "train-split-only"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class EntryModel:
    """Which model; what is not known, or the model does not have, is None.

    ``prompts`` and the literal ``first_input`` of each role are as the run sent them.
    """

    name: str
    spec: str | None = None
    adapter: str | None = None
    identity: str | None = None
    similarity: str | None = None
    dimension: int | None = None
    dtype: str | None = None
    parameters: int | None = None
    max_length: int | None = None
    pooling: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    first_input: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EntryTask:
    """Which task; ``digest`` is that of the collection, None where only reported."""

    name: str
    version: str
    digest: str | None = None


@dataclass(frozen=True)
class EntryScore:
    """A score with its 95% interval; ``optimistic`` counts ties for the model.

    A reported score has a value only.
    """

    value: float
    low: float | None = None
    high: float | None = None
    optimistic: float | None = None


@dataclass(frozen=True)
class EntryBias:
    """Language bias over the multilingual pool; None or empty where there is none.

    ``floor`` and ``random`` are the least rank distance and that of a random order,
    ``same_language`` is the mean same-language preference, ``measures`` the other figures.
    """

    rank_distance: EntryScore | None = None
    floor: float | None = None
    random: float | None = None
    same_language: float | None = None
    measures: dict[str, EntryScore] = field(default_factory=dict)


@dataclass(frozen=True)
class EntryScores:
    """``macro`` maps kind -> measure -> score; a reported entry has what its source gives."""

    macro: dict[str, dict[str, EntryScore]]
    bias: EntryBias = EntryBias()


@dataclass(frozen=True)
class Evidence:
    """SHA-256 (hex) of the entry's table, and of the report.json it was submitted from."""

    ranks_sha256: str
    report_sha256: str


@dataclass(frozen=True)
class EntryRun:
    """How the run was made. ``seconds`` is wall time by step, ``peak_memory`` bytes.

    ``encoded`` counts the texts by role; those that were cached took no time.
    """

    command: str
    date: str
    versions: dict[str, str]
    platform: str
    processor: str
    threads: int
    device: str | None
    seconds: dict[str, float]
    peak_memory: int | None
    encoded: dict[str, Encoded]


@dataclass(frozen=True)
class Declared:
    """What only the submitter knows. Unknown contamination is not clean."""

    licence: str | None = None
    link: str | None = None
    training_data: tuple[str, ...] = ()
    training_languages: tuple[str, ...] = ()
    contamination: Contamination = Contamination.UNKNOWN


@dataclass(frozen=True)
class Source:
    """Where the figures of a reported entry are published."""

    citation: str
    link: str


@dataclass(frozen=True)
class Entry:
    """One model on one task, as submitted. ``date`` is the day of submission, YYYY-MM-DD.

    An entry of evidence has ``evidence`` and ``run``, a reported one has ``source``.
    ``truncated`` maps a role to the share of its distinct texts that the model cut, None where
    unknown.
    """

    kind: EntryKind
    model: EntryModel
    task: EntryTask
    measures: tuple[str, ...]
    scores: EntryScores
    submitter: str
    date: str
    declared: Declared = Declared()
    evidence: Evidence | None = None
    run: EntryRun | None = None
    source: Source | None = None
    truncated: dict[str, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class LeaderboardTask:
    """A task of the leaderboard, as its maintainers keep it in ``task.json``.

    ``digests`` are those of the collection that are taken (one, or those of several versions of
    mlbench). ``queries`` and ``passages`` count by language, ``rows`` the relevant pairs;
    ``rows_sha256`` is the digest of all of a table that does not depend on the model
    (``tasks_known.rows_digest``). ``headline`` are measures that every entry must have.
    """

    name: str
    version: str
    title: str
    digests: tuple[str, ...]
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    headline: tuple[str, ...]
    queries: dict[str, int]
    passages: dict[str, int]
    rows: int
    rows_sha256: str
    licence: str
    citation: str


@dataclass(frozen=True)
class Record:
    """What a maintainer found of an entry, which is named by the digest of its entry.json.

    ``evidence`` is what they have to show for it, such as the result of ``mlbench verify``.
    """

    level: Level
    task: str
    slug: str
    entry_sha256: str
    by: str
    date: str
    evidence: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Withdrawal:
    """An entry taken back: it stays, and is no longer ranked."""

    entry_sha256: str
    reason: str
    by: str
    date: str


Document = Entry | LeaderboardTask | Record | Withdrawal
SCHEMAS: dict[type, str] = {
    Entry: SCHEMA,
    LeaderboardTask: TASK_SCHEMA,
    Record: RECORD_SCHEMA,
    Withdrawal: WITHDRAWAL_SCHEMA,
}


def to_json(document: Document) -> bytes:
    """Return the file of a document: strict JSON in UTF-8, the same bytes for the same values.

    What UTF-8 cannot hold is written as JSON's escape, for a reader to refuse by its field.
    """
    table = {"schema": SCHEMAS[type(document)]} | asdict(document)
    text = json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")
