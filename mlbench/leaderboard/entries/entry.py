"""An entry of the leaderboard: its documented schema (``mlbench/entry/2``), read and written.

An entry is a folder with ``entry.json`` and, where it brings evidence, ``ranks.parquet``. Beside
it stand withdrawals; records of what a maintainer verified are kept apart (``records.py``).
``docs/leaderboard.md`` explains every key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, first_faults
from mlbench.common.forms import fill_form
from mlbench.data.task import Kind, PairSizes, Roles
from mlbench.leaderboard.entries.strict import (
    MAX_JSON,
    parse_json,
    read_bounded,
    seen,
    shown,
    text_faults,
)
from mlbench.measures.significance import Score
from mlbench.ranking.ranks_file import TaskKey
from mlbench.reports.provenance import ModelInfo, RunInfo
from mlbench.reports.values import NOTHING, differences, finite

SCHEMA = "mlbench/entry/2"
TASK_SCHEMA = "mlbench/leaderboard-task/1"
RECORD_SCHEMA = "mlbench/record/1"
WITHDRAWAL_SCHEMA = "mlbench/withdrawal/1"
LIFTING_SCHEMA = "mlbench/lifting/1"
VERIFICATION_SCHEMA = "mlbench/verification/1"
Found = tuple[str, str, str]
"""Where, what was found, what was expected."""

RECORDS = "records"
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
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
class BiasSummary:
    """What an entry says of language bias over the multilingual pool; None or empty without any.

    ``floor`` and ``random`` are the least rank distance and that of a random order,
    ``same_language`` is the mean same-language preference, ``measures`` the other figures.
    """

    rank_distance: Score | None = None
    floor: float | None = None
    random: float | None = None
    same_language: float | None = None
    measures: dict[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where the figures of a reported entry are published."""

    citation: str
    link: str


@dataclass(frozen=True)
class InTraining:
    """How many of the ``texts`` that a task evaluates stand in a ``training`` set, ``exact`` ones
    and, at a similarity of ``threshold`` or more, ``near`` ones; ``digest`` is the set's."""

    training: str
    digest: str
    texts: int
    exact: int
    near: int
    threshold: float

    def __str__(self) -> str:
        share = (self.exact + self.near) / max(self.texts, 1)
        return (
            f"{self.exact:,} of the {self.texts:,} questions and passages stand in {self.training},"
            f" and {self.near:,} more nearly ({share:.2%})"
        )


@dataclass(frozen=True)
class Declared:
    """What only the submitter knows. ``date`` is the day of submission, YYYY-MM-DD.

    An entry of evidence names the SHA-256 (hex) of the report.json that was submitted, a reported
    one its source. Unknown contamination is not clean. ``in_training`` is what ``mlbench overlap``
    counted, for each training set.
    """

    submitter: str
    date: str
    kind: EntryKind = EntryKind.EVIDENCE
    licence: str | None = None
    link: str | None = None
    training_data: tuple[str, ...] = ()
    training_languages: tuple[str, ...] = ()
    contamination: Contamination = Contamination.UNKNOWN
    note: str = ""
    source: Source | None = None
    report_sha256: str | None = None
    in_training: tuple[InTraining, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One model on one task: what its report says, under the keys of report.json, and what its
    submitter declares.

    ``ranks_sha256`` is the digest of the entry's table. ``macro`` maps kind -> measure -> score,
    ``directions`` direction -> measure -> score, empty in old entries and where a task has none.
    ``truncated`` maps a role to the share of its distinct texts that the model cut, None where
    unknown. A reported entry has the figures that its source gives, with NaN for what else a score
    has, "" for what is not known of the model and the collection, and neither table nor run.
    """

    ranks_sha256: str | None
    task: TaskKey
    model: ModelInfo
    measures: tuple[str, ...]
    macro: dict[str, dict[str, Score]]
    directions: dict[str, dict[str, Score]] = field(default_factory=dict, kw_only=True)
    bias: BiasSummary
    run: RunInfo | None
    truncated: dict[str, float] | None
    declared: Declared

    @property
    def kind(self) -> EntryKind:
        """What the entry brings."""
        return self.declared.kind

    @property
    def figures(self) -> dict[str, dict[str, Score]]:
        """What it states by kind of setting and by direction: that -> measure -> score."""
        return self.macro | self.directions


@dataclass(frozen=True)
class LeaderboardTask:
    """A task of the leaderboard, as its maintainers keep it in ``task.json``.

    ``digests`` are those of the collection that are taken (one, or those of several versions of
    mlbench). ``queries`` and ``passages`` count by language, ``rows`` the relevant pairs;
    ``rows_sha256`` is the digest of all of a table that does not depend on the model
    (``tables.rows_digest``). ``headline`` are measures that every entry must have; ``pairs`` are
    those of languages that share no pool.
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
    pairs: tuple[PairSizes, ...] = ()

    @property
    def roles(self) -> Roles:
        """Which languages the queries and the passages have."""
        pairs = tuple(pair.languages for pair in self.pairs)
        return Roles.counted(self.languages, self.queries, self.passages, pairs)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions that its scores are given by, sorted; none where it has none."""
        return self.roles.directions if Kind.CROSSLINGUAL in self.kinds else ()


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


@dataclass(frozen=True)
class Lifting:
    """A maintainer's word that disputes of an entry are settled: which, by their days, and why."""

    task: str
    slug: str
    entry_sha256: str
    disputes: tuple[str, ...]
    reason: str
    by: str
    date: str


RUN_LEFT_OUT = ("recomputed", "truncated")
"""What is in a report's ``run`` and not in an entry's, which has ``truncated`` of its own."""
ADDED_TO_MODEL = ("routes", "sizes", "languages")
ADDED_TO_RUN = ("cores", "gpus", "peak_gpu_memory")
ADDED_TO_DECLARED = ("in_training",)
ADDED_TO_ENTRY = ("directions",)
"""What the first entries do not have: it is left out where it is empty."""
LEFT_OUT = (*ADDED_TO_ENTRY, *ADDED_TO_MODEL, *ADDED_TO_RUN, *ADDED_TO_DECLARED, "seconds", "pairs")
MODEL_LEFT_OUT = ("variant",)
"""What is in a report's ``model`` and not in an entry's, whose vectors are the model's own."""
Document = Entry | LeaderboardTask | Record | Withdrawal | Lifting
SCHEMAS: dict[type, str] = {
    Entry: SCHEMA,
    LeaderboardTask: TASK_SCHEMA,
    Record: RECORD_SCHEMA,
    Withdrawal: WITHDRAWAL_SCHEMA,
    Lifting: LIFTING_SCHEMA,
}


def table_of(document: Document) -> dict[str, Any]:
    """Return a document's keys and values as they stand in JSON, without the schema."""
    table: dict[str, Any] = finite(asdict(document))
    if isinstance(document, LeaderboardTask) and not document.pairs:
        del table["pairs"]  # as in files from before there were any
    if isinstance(document, Entry) and document.run is not None:
        for key in RUN_LEFT_OUT:
            del table["run"][key]
        _drop_empty(table["run"], ADDED_TO_RUN)
        for of_role in table["run"]["encoded"].values():
            _drop_empty(of_role, ("seconds",))
    if isinstance(document, Entry):
        _drop_empty(table, ADDED_TO_ENTRY)
        for key in MODEL_LEFT_OUT:
            del table["model"][key]
        _drop_empty(table["model"], ADDED_TO_MODEL)
        _drop_empty(table["declared"], ADDED_TO_DECLARED)
    return table


def _drop_empty(table: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        if table[key] in (None, [], (), {}):
            del table[key]


def to_json(document: Document) -> bytes:
    """Return the file of a document: strict JSON in UTF-8, the same bytes for the same values.

    What UTF-8 cannot hold is written as JSON's escape, for a reader to refuse by its field.
    """
    table = {"schema": SCHEMAS[type(document)]} | table_of(document)
    text = json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")


OLD_SCHEMA = "mlbench/entry/1"
AGAIN = (
    "an entry of an earlier form: write it again from its report with `mlbench submit`, figures "
    "from a publication with `mlbench leaderboard report`"
)
AnyDocument = TypeVar("AnyDocument", bound=Document)


def faults_at(where: str, found: Iterable[Found]) -> list[Fault]:
    """Return what was found in a document, or of it, as faults."""
    return [Fault(f"{where}, {key}", *rest) for key, *rest in found]


def read_document(path: Path, kind: type[AnyDocument], where: str = "") -> AnyDocument:
    """Read a file of the leaderboard. Raises DataError with every fault of it (20 at most)."""
    where = where or str(path)
    return parse_document(read_bounded(path, MAX_JSON, where), kind, where)


def readable_json(document: Document, what: str) -> bytes:
    """Return the file of a document. Raises DataError where it could not be read again."""
    raw = to_json(document)
    if len(raw) > MAX_JSON:
        raise DataError(Fault(what, f"{plural(len(raw), 'byte')}", f"at most {MAX_JSON:,}"))
    parse_document(raw, type(document), what)
    return raw


def parse_document(raw: bytes, kind: type[AnyDocument], where: str) -> AnyDocument:
    """Read a document of the leaderboard from its bytes. Raises DataError with every fault.

    Written again it must have the very same keys: none is left out, whatever its default.
    """
    table = parse_json(raw, where)
    schema = SCHEMAS[kind]
    if not isinstance(table, dict) or table.get("schema") != schema:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        mend = AGAIN if found == OLD_SCHEMA else ""
        raise DataError(Fault(f"{where}, schema", shown(found), schema, mend))
    faults = [Fault(f"{where}, {key}", found) for key, found in text_faults(table, "")]
    del table["schema"]
    try:
        document = fill_form(kind, table, lambda key: f"{where}, {key}", DataError)
        faults += [
            Fault(f"{where}, {key}", *_strange(key, said))
            for key, said, _ in differences(table, table_of(document), "")
        ]
    except DataError as error:
        faults += error.faults
    if faults:
        raise DataError(*map(seen, first_faults(faults)))
    return document


def _strange(key: str, said: object) -> tuple[str, ...]:
    """Return what is found, and what is expected, of a key that a document has or lacks."""
    if said is NOTHING:
        return ("missing",)
    if key.rpartition(".")[2] in LEFT_OUT and said in (None, [], {}):
        return "empty", "a value, or no such key"
    return ("unknown field",)
