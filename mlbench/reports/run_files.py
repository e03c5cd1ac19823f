"""What a report on run files says where one of a model's run says more."""

from __future__ import annotations

from mlbench.reports.reading import KIND_NAMES, kind_name, mean_name
from mlbench.reports.report import Report

STAR = "*"


def marked_name(report: Report, measure: str, *kinds: str) -> str:
    """Return what the mean of a measure is called, with a star where it is a lower bound.

    That is where the runs of one of ``kinds``, all if none is given, are not as deep as it reaches.
    """
    if report.retrieved is None:
        return mean_name(measure)
    depths = report.retrieved.kinds
    bound = any(measure in depths[kind].lower_bounds for kind in kinds or depths if kind in depths)
    return mean_name(measure) + (STAR if bound else "")


def star_line(report: Report) -> str:
    """Return what the star says; "" where there is none."""
    retrieved = report.retrieved
    if retrieved is None or not any(depth.lower_bounds for depth in retrieved.kinds.values()):
        return ""
    return "* A lower bound: the measure reaches beyond the passages that the runs hold."


def truncation_reading(report: Report) -> list[str]:
    """Return a first sentence for the reading of a report on run files; none for others."""
    if report.retrieved is None:
        return []
    depths = report.retrieved.kinds
    kinds = [kind for kind in KIND_NAMES if kind in depths]
    if len({depths[kind].truncated_at for kind in kinds}) == 1:
        return [f"From run files, truncated at {depths[kinds[0]].truncated_at:,} passages a query."]
    parts = [f"{depths[kind].truncated_at:,} ({kind_name(kind)})" for kind in kinds]
    return [f"From run files, truncated at {', '.join(parts)} passages a query."]
