"""A saved result that others are held against: a baseline in one small file, the folder of a report
or of an entry of the leaderboard.

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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.errors import DataError, Fault, IntegrityError, UsageError, first_faults
from mlbench.common.files import sha256_of
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import score_settings
from mlbench.measures.significance import mean
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import ranks_from_table, ranks_to_bytes, read_ranks
from mlbench.reports.cost import Cost, cost_of
from mlbench.reports.per_query import PerQuery, read_values
from mlbench.reports.provenance import ModelInfo, RunInfo, TaskInfo
from mlbench.reports.report import (
    RANKS_FILE,
    REPORT_FILE,
    VALUES_FILE,
    Report,
    parse_report,
    read_report,
    rescored,
)
from mlbench.reports.retrieved import Retrieved
from mlbench.reports.values import differences

SCHEMA = "mlbench/baseline/2"
KEY = b"mlbench-baseline"
WRITE = "write one with `mlbench baseline REPORT`"
ZEROS = b"0" * 64
ENTRY_FILE = "entry.json"
MOST_NAMED = 5
"""Folders that an error names."""
NO_TABLE = "made by `mlbench score` from run files, which are truncated: it has no table of ranks"
DIGEST = re.compile(rb'"sha256": "([0-9a-f]{64})"')
COMPARED = (
    "name",
    "version",
    "sample",
    "sample_passages",
    "languages",
    "kinds",
    "subset_of",
    "digest",
)
"""Fields of TaskInfo that must be equal for results to be comparable."""


@dataclass(frozen=True)
class Saved:
    """A saved result: which task and model, and where it was read from.

    It has the table of ``ranks`` or, of run files, the ``values`` of each query and how deep the
    files are. ``clip`` is CLIPScore of each query, ``cost`` what it took: None where that is not
    known.
    """

    where: str
    task: TaskInfo
    model: ModelInfo
    measures: tuple[str, ...]
    ranks: Ranks | None = None
    values: PerQuery | None = None
    retrieved: Retrieved | None = None
    cost: Cost | None = None
    clip: PerQuery | None = None

    @property
    def table(self) -> Ranks:
        """The table of ranks. Raises DataError where the result has none."""
        if self.ranks is None:
            raise DataError(Fault(self.where, NO_TABLE, "a report of `mlbench run`"))
        return self.ranks


Result = Saved | Report | Path | str
"""A saved result, a report, the path of a folder (of a report or an entry) or of a baseline."""


def saved_report(report: Report, where: str) -> Saved:
    """Return what is compared of a report. Raises DataError where it has nothing of each query."""
    ranks = None if report.values is not None else report.table
    values, retrieved = report.values, report.retrieved
    cost = cost_of(report.model, report.run)
    return Saved(
        where, report.task, report.model, report.measures, ranks, values, retrieved, cost,
        report.clip_values,
    )  # fmt: skip


def read_saved(path: Path) -> Saved:
    """Read the folder of a report or of a leaderboard's entry, or a baseline file, checked.

    Raises DataError where there is none, IntegrityError where it is damaged, or where its scores
    do not follow from its table or from the values of its queries.
    """
    if (path / ENTRY_FILE).is_file():
        return _read_entry(path)
    if path.is_dir():
        _refuse_empty(path)
        report, _ = parse_report(path / REPORT_FILE)
        if report.retrieved is not None:
            return saved_report(_with_values(report, path), str(path))
        report = read_report(path)
        return saved_report(rescored(report, report.table, path), str(path))
    if path.name in {REPORT_FILE, RANKS_FILE, ENTRY_FILE}:
        found = "one file of a report or of an entry"
        raise DataError(Fault(str(path), found, f"its folder, {path.parent}"))
    return read_baseline(path)


def _refuse_empty(folder: Path) -> None:
    """Raise DataError for a folder that holds no report, naming some folders in it that do."""
    if (folder / REPORT_FILE).exists():
        return
    inside = [
        each.parent.name for name in (REPORT_FILE, ENTRY_FILE) for each in folder.glob(f"*/{name}")
    ]
    mend = f"name a folder in it: {', '.join(sorted(inside)[:MOST_NAMED])}" if inside else ""
    found = f"neither {REPORT_FILE} nor {ENTRY_FILE} is in it"
    raise DataError(Fault(str(folder), found, "the folder of a report or of an entry", mend))


def _with_values(report: Report, folder: Path) -> Report:
    """Return a report on run files with the values of its queries, from which its scores follow."""
    path = folder / VALUES_FILE
    if not path.exists():
        mend = "score the run files again with `mlbench score`"
        raise DataError(Fault(str(path), "no such file", "the values of each query", mend))
    values = read_values(path)
    said = {
        f"{s.query_language} to {' '.join(s.passage_languages)}": s.measures
        for s in report.settings
        if s.queries
    }
    found = {
        f"{s.setting.query_language} to {' '.join(s.setting.passage_languages)}": {
            name: mean(column) for name, column in s.values.items()
        }
        for s in values.settings
    }
    _refuse_other_scores(path, said, found)
    return replace(report, values=values)


def _refuse_other_scores(path: Path, said: Any, found: Any) -> None:
    differing = list(differences(said, found, ""))
    if differing:
        faults = [
            Fault(f"{path}, {key}", f"{now!r}", f"{then!r}, as the scores beside it say")
            for key, then, now in differing
        ]
        raise IntegrityError(*first_faults(faults))


@dataclass(frozen=True)
class _EntryFile:
    """What is read of ``entry.json``."""

    model: ModelInfo
    measures: tuple[str, ...]
    macro: dict[str, dict[str, Any]]
    ranks_sha256: str | None
    run: RunInfo | None = None


def _read_entry(folder: Path) -> Saved:
    """Read the folder of a leaderboard's entry with its table."""
    import cattrs

    path, table = folder / ENTRY_FILE, folder / RANKS_FILE
    try:
        entry = cattrs.structure(json.loads(path.read_bytes()), _EntryFile)
        measures = parse_measures(entry.measures)
        said = {
            kind: {name: float(score["value"]) for name, score in scores.items()}
            for kind, scores in entry.macro.items()
        }
    except (cattrs.BaseValidationError, UsageError, TypeError, LookupError, ValueError):
        found = "not an entry of a leaderboard"
        raise DataError(
            Fault(str(path), found, "entry.json as `mlbench submit` writes it")
        ) from None
    if entry.ranks_sha256 is None:
        found = "figures from a publication, without a table of ranks"
        raise DataError(Fault(str(path), found, f"an entry with its table, {RANKS_FILE}"))
    ranks, key = read_ranks(table)
    if (found := sha256_of(table)) != entry.ranks_sha256:
        expected = f"{entry.ranks_sha256}, as {ENTRY_FILE} says"
        raise IntegrityError(Fault(str(table), f"SHA-256 {found}", expected))
    settings = ranks.roles.settings([Kind(kind) for kind in key.kinds])
    means: dict[str, dict[str, list[float]]] = {}
    for _, row in score_settings(ranks, settings, measures):
        for name, value in row.measures.items():
            means.setdefault(row.kind, {}).setdefault(name, []).append(value)
    scores = {kind: {n: mean(v) for n, v in of.items()} for kind, of in means.items()}
    _refuse_other_scores(table, said, scores)
    counts = (ranks.judged.tolist(), ranks.pool_sizes.tolist())
    queries, passages = (dict(zip(ranks.languages, each, strict=True)) for each in counts)
    task = TaskInfo(
        name=key.name, version=key.version, title="", digest=key.digest,
        languages=ranks.languages, kinds=key.kinds, text="", licence="", citation="",
        queries=queries, passages=passages, relevant_pairs=len(ranks.passage_ids),
        pairs=ranks.pairs,
    )  # fmt: skip
    cost = cost_of(entry.model, entry.run)
    return Saved(str(folder), task, entry.model, entry.measures, ranks, cost=cost)


def saved_result(given: Result) -> Saved:
    """Return a result as it is compared, whatever holds it; see ``read_saved`` for what is raised.

    A Report without its table raises DataError, and what is none of these UsageError.
    """
    if isinstance(given, Saved):
        return given
    if isinstance(given, Report):
        return saved_report(given, f"report of {given.model.name}")
    if isinstance(given, str | os.PathLike):
        return read_saved(Path(given))
    found = f"an object of type {type(given).__name__}"
    expected = "a Report, the folder of one or of an entry, or a baseline file"
    raise UsageError(Fault("report", found, expected))


def refuse_other_task(saved: Sequence[Saved]) -> None:
    """Raise DataError, naming what differs, unless all results are of the very same task.

    Raises IntegrityError where they say so, yet their tables have other rows.
    """
    first = saved[0]
    refuse_other_infos([(each.where, each.task) for each in saved])
    with_table = [each for each in saved if each.ranks is not None]
    first = next(iter(with_table), first)
    for other in with_table[1:]:
        if not _same_rows(first.table, other.table):
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
    raw = ranks_to_bytes(saved.table, task.key, {KEY.decode(): json.dumps(said)})
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
        expected = "the folder of a report or of an entry, or a baseline"
        raise DataError(Fault(str(path), "no such file or folder", expected, WRITE)) from None
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
