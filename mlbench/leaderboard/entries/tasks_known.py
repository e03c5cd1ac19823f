"""The tasks of the leaderboard: ``task.json``, and whether a table is of the task it says.

A validator has no data at hand. ``task.json`` therefore names a digest over all of a table that
does not depend on the model: its queries, their relevant passages, their relevance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import slug, write_atomically
from mlbench.data.task import LANGUAGE, SHA256, Kind
from mlbench.leaderboard.entries.entry import TASK_FILE, LeaderboardTask
from mlbench.leaderboard.entries.field_checks import measures_fault
from mlbench.leaderboard.entries.layout import RECORDS
from mlbench.leaderboard.entries.names import shown
from mlbench.leaderboard.entries.strict import read_document, readable_json
from mlbench.ranking.ranks import Ranks
from mlbench.ranking.ranks_file import SCHEMA, TaskKey
from mlbench.reports.report import Report

HEADLINE = ("AP", "R@10")
"""Measures that every entry must have, beside rank distance."""
MOST_ROWS = 2**22


def rows_digest(ranks: Ranks) -> str:
    """Return the SHA-256 (hex) of the rows of a table, in canonical order, without their counts.

    A row is query language, query id, group, passage language, passage id, relevance; languages,
    pool sizes and judged queries go before them.
    """
    codes = ranks.languages
    query = ranks.query.tolist()
    rows = sorted(
        (
            codes[ranks.query_language[q]],
            ranks.query_ids[q],
            ranks.query_groups[q],
            code,
            id_,
            grade,
        )
        for q, code, id_, grade in zip(
            query,
            map(codes.__getitem__, ranks.passage_language.tolist()),
            ranks.passage_ids,
            ranks.relevance.tolist(),
            strict=True,
        )
    )
    head = [list(codes), ranks.pool_sizes.tolist(), ranks.judged.tolist()]
    text = json.dumps([head, rows], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def described(report: Report, ranks: Ranks) -> LeaderboardTask:
    """Return the task of a report, as the leaderboard keeps it."""
    info = report.task
    return LeaderboardTask(
        name=info.name,
        version=info.version,
        title=info.title,
        digests=(info.digest,),
        languages=info.languages,
        kinds=info.kinds,
        headline=HEADLINE,
        queries=info.queries,
        passages=info.passages,
        rows=len(ranks.passage_ids),
        rows_sha256=rows_digest(ranks),
        licence=info.licence,
        citation=info.citation,
    )


def task_metadata(task: LeaderboardTask) -> dict[str, Any]:
    """Return what the metadata of a table of this task says, but for the collection's digest."""
    return {
        "schema": SCHEMA,
        "task": {"name": task.name, "version": task.version},
        "kinds": list(task.kinds),
        "languages": list(task.languages),
        "pool_sizes": [task.passages[code] for code in task.languages],
        "judged": [task.queries[code] for code in task.languages],
    }


def task_key(task: LeaderboardTask, digest: str) -> TaskKey:
    """Return which task a table made from the collection of that digest belongs to."""
    return TaskKey(task.name, task.version, digest, task.kinds)


def add_task(report: Report, ranks: Ranks, root: Path) -> Path:
    """Write the task.json of a report's task; a known one only gains the collection's digest.

    Raises UsageError for a report on part of a task, or a name that will not do for a folder;
    DataError where the folder holds another task of that name.
    """
    refuse_part_of_a_task(report)
    task = described(report, ranks)
    if slug(task.name) != task.name or task.name == RECORDS:
        raise UsageError(Fault(f"task {task.name!r}", "cannot be the name of a folder"))
    path = root / task.name / TASK_FILE
    if path.exists():
        old = read_document(path, LeaderboardTask)
        task = replace(task, digests=tuple(dict.fromkeys((*old.digests, *task.digests))))
        different = [
            Fault(
                f"{path}, {name}", f"{getattr(old, name)!r}"[:200], f"{getattr(task, name)!r}"[:200]
            )
            for name in ("version", "languages", "kinds", "queries", "passages", "rows_sha256")
            if getattr(old, name) != getattr(task, name)
        ]
        if different:
            raise DataError(*different)
    write_atomically(path, readable_json(task, str(path)))
    return path


def refuse_part_of_a_task(report: Report) -> None:
    """Raise UsageError for a report on a sample of a task, or on some of its languages."""
    info = report.task
    cut = "a sample of its questions" if info.sample is not None else "some of its languages"
    if info.sample is not None or info.subset_of is not None:
        mend = "run the whole task"
        raise UsageError(Fault(f"report on {info.name}", f"of {cut} only", "the whole task", mend))


def task_faults(task: LeaderboardTask, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, found and expected where a task.json contradicts itself or its folder."""
    codes = set(task.languages)
    if task.name != name:
        yield "name", shown(task.name), f"{name!r}, as its folder is called"
    if not all(map(SHA256.fullmatch, (*task.digests, task.rows_sha256))) or not task.digests:
        yield "digests", shown(task.digests), "64 hex digits each"
    if not 0 < len(codes) == len(task.languages) or not all(map(LANGUAGE.fullmatch, codes)):
        yield "languages", shown(task.languages), "language codes, each once"
    if not task.kinds or not set(task.kinds) <= set(Kind):
        yield "kinds", shown(task.kinds), "of " + ", ".join(Kind)
    if found := measures_fault(task.headline):
        yield "headline", found, "measures as mlbench names them, each once"
    for key, counts in (("queries", task.queries), ("passages", task.passages)):
        if set(counts) != codes:
            yield key, shown(sorted(counts)), "the task's languages"
        elif not all(0 <= count < 2**31 for count in counts.values()):
            yield key, "a count out of range", "0 to 2^31"
    if not 0 < task.rows <= MOST_ROWS:
        yield "rows", f"{task.rows:,}", f"1 to {MOST_ROWS:,}"
