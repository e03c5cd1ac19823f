"""Saved reports by the folders that they are in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.common.errors import DataError, Fault
from mlbench.reports.report import REPORT_FILE, Report, parse_report


def reports_in(report: Report | str | Path) -> list[tuple[Report, Path | None]]:
    """Return a report, or those in a folder, each with its folder if it has one. Reports on vectors
    made smaller count only where they are named."""
    if isinstance(report, Report):
        return [(report, None)]
    folder = Path(report)
    if (folder / REPORT_FILE).exists():
        return [(parse_report(folder / REPORT_FILE)[0], folder)]
    paths = sorted(path.parent for path in folder.glob(f"*/**/{REPORT_FILE}"))
    found = [(parse_report(path / REPORT_FILE)[0], path) for path in paths]
    whole: list[tuple[Report, Path | None]] = [
        (report, path) for report, path in found if not report.model.variant
    ]
    if not whole:
        fault = Fault(str(folder), f"no {REPORT_FILE} in it", "the folder of a report")
        raise DataError(replace(fault, mend="make one with `mlbench run`"))
    return whole
