"""What several commands do: print a table, JSON or a report, and replace no other report."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import MIN_PADDING, tabulate

from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.common.files import slug
from mlbench.common.names import both_shortened
from mlbench.common.terminal import fill, printable
from mlbench.data.task import Task
from mlbench.models.registry import LoadedModel
from mlbench.reports.provenance import ModelInfo, TaskInfo
from mlbench.reports.report import REPORT_FILE, Report, parse_report
from mlbench.reports.suite_report import SuiteReport
from mlbench.reports.tables import terminal_text

ROOM_FOR_A_REPORT = 64 * 2**20
WIDTH = 80


def plain_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return an aligned table; the last column wraps so that a line has 80 characters or so."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    fixed = [
        max(len(header[column]) + MIN_PADDING, *(len(line) for line in lines))
        for column in range(len(header) - 1)
        for lines in [[line for row in cells for line in row[column].splitlines()] or [""]]
    ]
    room = max(24, shutil.get_terminal_size((WIDTH, 0)).columns - sum(fixed) - 2 * len(fixed))
    for row in cells:
        row[-1] = "\n".join(
            wrapped
            for line in row[-1].splitlines()
            for wrapped in textwrap.wrap(line, room, break_long_words=False) or [""]
        )
    columns = zip(*rows, strict=True)
    numbers = ["right" if any(isinstance(c, int) for c in column) else "left" for column in columns]
    table: str = tabulate(
        cells, header, tablefmt="simple", colalign=numbers or None, disable_numparse=True
    )
    return table


def fact_lines(facts: Iterable[tuple[str, str]]) -> str:
    """Return a line or more for each (name, value) that has a value, values below each other."""
    shown = [(name, value) for name, value in facts if value]
    width = max(10, *(len(name) + 1 for name, _ in shown))
    return "\n".join(
        textwrap.fill(
            printable(value),
            WIDTH,
            initial_indent=f"{name:<{width}}",
            subsequent_indent=" " * width,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, value in shown
    )


def print_json(value: Any) -> None:
    """Print a value as JSON, as ``--json`` of every command does."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def print_report(report: Report, folder: Path, args: Namespace) -> None:
    """Print what a report says and where it is, unless JSON was asked for."""
    if not args.json:
        print(terminal_text(report, verbose=args.verbose))
        print(f"\nreport: {folder / 'report.html'}")
        name = slug(report.model.name)
        if name != report.model.name and name in folder.parts:
            print(fill(f"({name} stands for {report.model.name}: a safe folder name of its own)"))
        print()


def show_suite(
    made: SuiteReport, folder: Path | None, args: Namespace, reports: Sequence[dict[str, Any]] = ()
) -> None:
    """Print what a suite says and where its page is, if it has one; with ``--json`` also its
    reports."""
    if args.json:
        more = {"reports": [*reports]} if reports else {}
        print_json({"folder": folder and str(folder)} | made.values() | more)
        return
    where = f"suite: {folder / 'suite.html'}" if folder else "No page is written."
    print(f"{made}\n\n{where}\n")
    sys.stdout.flush()


def summary(report: Report) -> dict[str, Any]:
    """Return the macro scores of a report, as ``--json`` prints them."""
    distance = report.scores.bias.rank_distance
    return {
        "task": report.task.name,
        "languages": list(report.task.languages),
        "model": report.model.name,
        "macro": {
            kind: {name: asdict(score) for name, score in of_kind.items()}
            for kind, of_kind in report.scores.macro.items()
        },
        "rank_distance": asdict(distance) if distance else None,
        **({"variants": [asdict(each) for each in report.variants]} if report.variants else {}),
        **({"reranking": asdict(report.reranking)} if report.reranking else {}),
        "warnings": list(report.warnings),
    }


def refuse_other_configuration(
    folder: Path,
    task: Task | TaskInfo,
    model: LoadedModel | ModelInfo,
    measures: tuple[str, ...],
    args: Namespace,
) -> None:
    """Refuse to replace a report that another model, task version or choice of measures left."""
    if args.overwrite or not (folder / REPORT_FILE).exists():
        return
    try:
        old, _ = parse_report(folder / REPORT_FILE)
    except IntegrityError as error:
        raise UsageError(_occupied(folder, f"holds a damaged report ({error})")) from None
    pairs = {
        "model identity": (old.model.identity, model.identity),
        "similarity": (old.model.similarity, model.similarity),
        "choice of settings": (", ".join(old.task.kinds), ", ".join(task.kinds)),
        "task": (f"{old.task.name} {old.task.version}", f"{task.name} {task.version}"),
        "measures": (", ".join(old.measures), ", ".join(measures)),
    }
    for what, (before, now) in pairs.items():
        if before != now:
            found = f"holds a report of another {what}: {before!r}, now {now!r}"
            raise UsageError(_occupied(folder, found))


def refuse_other_data(folder: Path, info: TaskInfo, args: Namespace) -> None:
    """Refuse to replace a report on other data."""
    if args.overwrite or not (folder / REPORT_FILE).exists():
        return
    old = parse_report(folder / REPORT_FILE)[0].task
    if old.digest == info.digest:
        return
    before, now = (task.sampled or "the whole task" for task in (old, info))
    if before != now:
        found = f"holds a report on {before}, and this run is on {now}"
    else:
        old_one, new_one = both_shortened(old.digest, info.digest)
        found = f"holds a report of other data: digest {old_one}, now {new_one}"
    raise UsageError(_occupied(folder, found))


def _occupied(folder: Path, found: str) -> Fault:
    return Fault(
        str(folder),
        found,
        "an empty folder, or a report of the same run",
        "use --overwrite, or another --output",
    )
