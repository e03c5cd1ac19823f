"""An entry of the leaderboard: its documented schema (``mlbench/entry/2``), read and written.

An entry is a folder with ``entry.json`` and, where it brings evidence, ``ranks.parquet``. Beside
it stand withdrawals; records of what a maintainer verified are kept apart (``records.py``).
``docs/leaderboard.md`` explains every key.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from mlbench.common.errors import DataError, Fault
from mlbench.leaderboard.entries.strict import (
    MAX_JSON,
    parse_json,
    read_bounded,
    shown,
    text_faults,
    visible,
)
from mlbench.measures.significance import Score
from mlbench.ranking.ranks_file import TaskKey
from mlbench.reports.report import ModelInfo, RunInfo, finite

if TYPE_CHECKING:
    from cattrs import Converter


SCHEMA = "mlbench/entry/2"
TASK_SCHEMA = "mlbench/leaderboard-task/1"
RECORD_SCHEMA = "mlbench/record/1"
WITHDRAWAL_SCHEMA = "mlbench/withdrawal/1"
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
class Declared:
    """What only the submitter knows. ``date`` is the day of submission, YYYY-MM-DD.

    An entry of evidence names the SHA-256 (hex) of the report.json that was submitted, a reported
    one its source. Unknown contamination is not clean.
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


@dataclass(frozen=True)
class Entry:
    """One model on one task: what its report says, under the keys of report.json, and what its
    submitter declares.

    ``ranks_sha256`` is the digest of the entry's table. ``macro`` maps kind -> measure -> score.
    ``truncated`` maps a role to the share of its distinct texts that the model cut, None where
    unknown. A reported entry has the figures that its source gives, with NaN for what else a score
    has, "" for what is not known of the model and the collection, and neither table nor run.
    """

    ranks_sha256: str | None
    task: TaskKey
    model: ModelInfo
    measures: tuple[str, ...]
    macro: dict[str, dict[str, Score]]
    bias: BiasSummary
    run: RunInfo | None
    truncated: dict[str, float] | None
    declared: Declared

    @property
    def kind(self) -> EntryKind:
        """What the entry brings."""
        return self.declared.kind


@dataclass(frozen=True)
class LeaderboardTask:
    """A task of the leaderboard, as its maintainers keep it in ``task.json``.

    ``digests`` are those of the collection that are taken (one, or those of several versions of
    mlbench). ``queries`` and ``passages`` count by language, ``rows`` the relevant pairs;
    ``rows_sha256`` is the digest of all of a table that does not depend on the model
    (``tables.rows_digest``). ``headline`` are measures that every entry must have.
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


RUN_LEFT_OUT = ("recomputed", "truncated")
"""What is in a report's ``run`` and not in an entry's, which has ``truncated`` of its own."""
Document = Entry | LeaderboardTask | Record | Withdrawal
SCHEMAS: dict[type, str] = {
    Entry: SCHEMA,
    LeaderboardTask: TASK_SCHEMA,
    Record: RECORD_SCHEMA,
    Withdrawal: WITHDRAWAL_SCHEMA,
}


def table_of(document: Document) -> dict[str, Any]:
    """Return a document's keys and values as they stand in JSON, without the schema."""
    table: dict[str, Any] = finite(asdict(document))
    if isinstance(document, Entry) and document.run is not None:
        for key in RUN_LEFT_OUT:
            del table["run"][key]
    return table


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
        raise DataError(Fault(what, f"{len(raw):,} bytes", f"at most {MAX_JSON:,}"))
    parse_document(raw, type(document), what)
    return raw


def parse_document(raw: bytes, kind: type[AnyDocument], where: str) -> AnyDocument:
    """Read a document of the leaderboard from its bytes. Raises DataError with every fault."""
    import cattrs

    table = parse_json(raw, where)
    schema = SCHEMAS[kind]
    if not isinstance(table, dict) or table.get("schema") != schema:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        mend = AGAIN if found == OLD_SCHEMA else ""
        raise DataError(Fault(f"{where}, schema", shown(found), schema, mend))
    faults = [Fault(f"{where}, {key}", found) for key, found in text_faults(table, "")]
    del table["schema"]
    try:
        document: AnyDocument = _converter().structure(table, kind)
    except cattrs.BaseValidationError as error:
        faults += [Fault(f"{where}, {key}", found) for key, found in _structure_faults(error)]
        raise DataError(*faults[:20]) from None
    missing = _missing(table, table_of(document), "")
    faults += [Fault(f"{where}, {key}", "missing") for key in missing]
    if faults:
        raise DataError(*faults[:20])
    return document


def _missing(given: Any, full: Any, key: str) -> Iterator[str]:
    """Yield the keys that a document was given a default for."""
    if isinstance(given, dict) and isinstance(full, dict):
        for name, below in full.items():
            path = f"{key}.{name}".lstrip(".")
            if name in given:
                yield from _missing(given[name], below, path)
            else:
                yield path
    elif isinstance(given, list) and isinstance(full, list):
        for number, (one, other) in enumerate(zip(given, full, strict=True)):
            yield from _missing(one, other, f"{key}[{number}]")


@cache
def _converter() -> Converter:
    """Return a converter that takes every type as it is: no "5" for 5, no text for a list.

    Of a score null is taken too, for all but its value.
    """
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type, *json_types: type) -> None:
        def structure(value: Any, wanted: type) -> Any:  # ``kind``, or an enumeration of it
            if type(value) not in json_types:
                raise TypeError(f"not of type {kind.__name__}")
            return wanted(value)

        converter.register_structure_hook(kind, structure)

    exactly(str, str)
    exactly(int, int)
    exactly(float, int, float)

    def is_tuple(kind: Any) -> bool:
        return get_origin(kind) is tuple

    @converter.register_structure_hook_factory(is_tuple)
    def of_tuple(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
        as_list: Any = types.GenericAlias(list, get_args(kind)[:1])

        def structure(value: Any, _: Any) -> tuple[Any, ...]:
            if type(value) is not list:
                raise TypeError("not a list")
            return tuple(converter.structure(value, as_list))

        return structure

    number = converter.get_structure_hook(float)

    def or_unknown(value: Any, kind: type) -> float:
        return math.nan if value is None else number(value, kind)

    left_out, unknown = override(omit=True), override(struct_hook=or_unknown)
    fields_of: dict[type, dict[str, Any]] = {
        RunInfo: dict.fromkeys(RUN_LEFT_OUT, left_out),
        Score: dict.fromkeys(("low", "high", "optimistic"), unknown),
    }
    for kind, of_fields in fields_of.items():
        hook: Any = make_dict_structure_fn(kind, converter, **of_fields)
        converter.register_structure_hook(kind, hook)
    return converter


def _structure_faults(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield key and fault of all that does not fit a document's schema."""
    import cattrs

    def told(fault: BaseException, kind: type | None) -> str:
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return f"none of {', '.join(kind)}"
        return cattrs.v.format_exception(fault, kind)

    for text in cattrs.transform_error(error, format_exception=told):
        found, _, path = text.rpartition(" @ $")
        key = re.sub(r"\['([^']*)'\]", r".\1", path).lstrip(".")
        yield visible(key) or "top level", visible(found)[:200]
