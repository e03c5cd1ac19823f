"""A baseline: a saved result that others are held against, in one small file or a report's folder.

The file is a table as ``ranks.parquet`` holds it, with the task, the model, the measures and the
file's own digest in its metadata, too (key ``mlbench-baseline``).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.errors import DataError, Fault, IntegrityError, UsageError
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import ranks_from_table, ranks_to_bytes
from mlbench.reports.report import (
    RANKS_FILE,
    REPORT_FILE,
    ModelInfo,
    Report,
    TaskInfo,
    read_report,
    rescored,
)

SCHEMA = "mlbench/baseline/2"
KEY = b"mlbench-baseline"
WRITE = "write one with `mlbench baseline REPORT`"
ZEROS = b"0" * 64
DIGEST = re.compile(rb'"sha256": "([0-9a-f]{64})"')
COMPARED = ("name", "version", "sample", "languages", "kinds", "subset_of", "digest")
"""Fields of TaskInfo that must be equal for results to be comparable."""


@dataclass(frozen=True)
class Saved:
    """A saved result: which task and model, the table, and where it was read from."""

    where: str
    task: TaskInfo
    model: ModelInfo
    measures: tuple[str, ...]
    ranks: Ranks


Result = Saved | Report | Path | str
"""A saved result, a report, the path of a report's folder or of a baseline file."""


def saved_report(report: Report, ranks: Ranks, where: str) -> Saved:
    """Return what is compared of a report."""
    return Saved(where, report.task, report.model, report.measures, ranks)


def read_saved(path: Path) -> Saved:
    """Read a report's folder or a baseline file, checked.

    Raises DataError where there is none, IntegrityError where it is damaged, or where a report's
    scores do not follow from its table.
    """
    if path.is_dir():
        report = read_report(path)
        return saved_report(rescored(report, report.table, path), report.table, str(path))
    if path.name in {REPORT_FILE, RANKS_FILE}:
        found = "one file of a report"
        raise DataError(
            Fault(str(path), found, "the report's folder, or a file that `mlbench baseline` wrote")
        )
    return read_baseline(path)


def saved_result(given: Result) -> Saved:
    """Return a result as it is compared, whatever holds it; see ``read_saved`` for what is raised.

    A Report without its table raises DataError, and what is none of these UsageError.
    """
    if isinstance(given, Saved):
        return given
    if isinstance(given, Report):
        return saved_report(given, given.table, f"report of {given.model.name}")
    if isinstance(given, str | os.PathLike):
        return read_saved(Path(given))
    found = f"an object of type {type(given).__name__}"
    raise UsageError(Fault("report", found, "a Report, the folder of one, or a baseline file"))


def refuse_other_task(saved: Sequence[Saved]) -> None:
    """Raise DataError, naming what differs, unless all results are of the very same task.

    Raises IntegrityError where they say so, yet their tables have other rows.
    """
    first = saved[0]
    refuse_other_infos([(each.where, each.task) for each in saved])
    for other in saved[1:]:
        if not _same_rows(first.ranks, other.ranks):
            found = f"its queries and relevant passages are not those of {first.where}"
            expected = "the same rows, because both name the same digest of the task"
            raise IntegrityError(Fault(other.where, found, expected, "run the evaluation again"))


def refuse_other_infos(tasks: Sequence[tuple[str, TaskInfo]]) -> None:
    """Raise DataError unless all (where, task) have the same task, version, languages, sample."""
    where, first = tasks[0]
    faults = [
        Fault(
            other_where,
            f"task {field} is {_shown(getattr(other, field))}",
            f"{_shown(getattr(first, field))}, as in {where}",
            "compare results of one task, version, choice of languages and sample",
        )
        for other_where, other in tasks[1:]
        for field in COMPARED
        if getattr(other, field) != getattr(first, field)
    ]
    if faults:
        raise DataError(*faults)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "the whole task" if value is None else str(value)


def _same_rows(a: Ranks, b: Ranks) -> bool:
    return (
        a.query_ids == b.query_ids
        and np.array_equal(a.query_language, b.query_language)
        and np.array_equal(a.starts, b.starts)
        and np.array_equal(a.pool_sizes, b.pool_sizes)
        and _passages(a) == _passages(b)
    )


def _passages(ranks: Ranks) -> list[tuple[int, int, str, int]]:
    columns = (ranks.query, ranks.passage_language, ranks.passage_ids, ranks.relevance)
    return sorted(zip(*(c if isinstance(c, tuple) else c.tolist() for c in columns), strict=True))


def baseline_bytes(saved: Saved) -> bytes:
    """Return the file that ``read_baseline`` reads: the same bytes for the same result.

    Its digest is that of the whole file with zeros in the digest's own place.
    """
    task = saved.task
    said = {
        "schema": SCHEMA,
        "task": asdict(task),
        "model": asdict(saved.model),
        "measures": saved.measures,
        "sha256": ZEROS.decode(),
    }
    raw = ranks_to_bytes(saved.ranks, task.key, {KEY.decode(): json.dumps(said)})
    head, _, tail = raw.rpartition(ZEROS)
    return head + hashlib.sha256(raw).hexdigest().encode() + tail


def read_baseline(path: Path) -> Saved:
    """Read a baseline file.

    Raises DataError where there is no such file, IntegrityError where it is no baseline or not
    the very bytes that were written.
    """
    import cattrs
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(Fault(str(path), "no such file", "a baseline", WRITE)) from None
    except OSError as error:
        raise DataError(Fault(str(path), f"not readable: {error.strerror}", "a baseline")) from None
    marks = list(DIGEST.finditer(raw))
    if not marks:
        raise _damaged(path, "not a baseline: it names no digest")
    at = marks[-1].start(1)
    blank = raw[:at] + ZEROS + raw[at + len(ZEROS) :]
    if hashlib.sha256(blank).hexdigest().encode() != marks[-1][1]:
        raise _damaged(path, "damaged: it does not have the digest it names")
    try:
        table = pq.read_table(io.BytesIO(raw))
        said = json.loads(
            table.schema.metadata[KEY if KEY in table.schema.metadata else b"mlbench"]
        )
        if said["schema"] != SCHEMA:
            raise _damaged(path, f"schema {said['schema']!r}, of another version of mlbench")
        task = cattrs.structure(said["task"], TaskInfo)
        model = cattrs.structure(said["model"], ModelInfo)
        measures = tuple(said["measures"])
    except (pa.ArrowException, cattrs.BaseValidationError, TypeError, LookupError, ValueError) as e:
        raise _damaged(path, f"not a baseline: {e}") from None
    return Saved(str(path), task, model, measures, ranks_from_table(table, path)[0])


def _damaged(path: Path, found: str) -> IntegrityError:
    return IntegrityError(
        Fault(str(path), found, "a baseline as `mlbench baseline` writes it", WRITE)
    )
