"""What commands do with a report they have made: say it, and replace no other one."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.data.task import Task

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel
    from mlbench.reports.report import ModelInfo, Report, TaskInfo

ROOM_FOR_A_REPORT = 64 * 2**20


def shown(folder: Path, args: Namespace) -> Path:
    """Return a report's folder as the user named it."""
    return Path(args.output, *folder.parts[-2:])


def print_report(report: Report, folder: Path, args: Namespace) -> None:
    """Print what a report says and where it is, unless JSON was asked for."""
    from mlbench.reports.tables import terminal_text

    if not args.json:
        print(terminal_text(report))
        print(f"\nreport: {folder / 'report.html'}\n")


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
    from mlbench.reports.report import REPORT_FILE, parse_report

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
    from mlbench.reports.report import REPORT_FILE, parse_report

    if args.overwrite or not (folder / REPORT_FILE).exists():
        return
    digest = parse_report(folder / REPORT_FILE)[0].task.digest
    if digest != info.digest:
        found = f"holds a report of other data: digest {digest[:12]}, now {info.digest[:12]}"
        raise UsageError(_occupied(folder, found))


def _occupied(folder: Path, found: str) -> Fault:
    return Fault(
        str(folder), found, "no report, or one of the same run", "--overwrite, or another --output"
    )
