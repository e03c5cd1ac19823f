"""The figures of a report for a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlbench.reports.drawing import tenth_above
from mlbench.reports.paper import (
    Matrix,
    Series,
    dots,
    figure_bytes,
    heat_map,
    paper_style,
)
from mlbench.reports.report import Report
from mlbench.reports.tables import score_matrix
from mlbench.reports.words import (
    KIND_NAMES,
    headline,
    kind_name,
    kind_title,
    mean_name,
    told_kinds,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LOG = 3.0
"""The colours of outranking span 2**-3 to 2**3 at the most."""


def paper_figures(report: Report, formats: Sequence[str], columns: int = 1) -> dict[str, bytes]:
    """Return file name -> content of a report's figures, ``columns`` (1 or 2) wide."""
    with paper_style():
        drawn = {
            "macro": _macro(report, columns),
            "languages": _languages(report, columns),
            "heatmap": _heatmap(report, columns),
            "outranking": _outranking(report, columns),
            "distance": _distance(report, columns),
        }
        return {
            f"{name}.{form}": figure_bytes(figure, form)
            for name, figure in drawn.items()
            if figure is not None
            for form in formats
        }


def _macro(report: Report, columns: int) -> Figure | None:
    of = {kind_title(report, k): report.scores.macro.get(k, {}) for k in told_kinds(report)}
    of = {kind_name(k): scores for k, scores in report.scores.directions.items()} | of
    series = [
        Series(name, {mean_name(m): (s.value, s.low, s.high) for m, s in scores.items()})
        for name, scores in of.items()
        if scores
    ]
    names = [mean_name(measure) for measure in report.measures]
    return dots(names, series, "macro score", columns=columns) if series else None


def _languages(report: Report, columns: int) -> Figure | None:
    main, rows = headline(report), report.task.roles.queries
    series = [
        Series(kind_name(kind), {code: (s.value, s.low, s.high) for code, s in scores.items()})
        for kind in KIND_NAMES
        if (scores := report.scores.per_language.get(kind, {}).get(main))
    ]
    if len(rows) < 2 or not series or report.task.roles.two_ways:
        return None
    return dots(rows, series, mean_name(main), "queries in", columns)


def _heatmap(report: Report, columns: int) -> Figure | None:
    roles, main = report.task.roles, headline(report)
    scores = score_matrix(report, main)
    values = np.array([[scores[q, p] for p in roles.passages] for q in roles.queries], np.float64)
    if roles.two_ways or np.isfinite(values).sum() < 2:
        return None
    span = (0.0, tenth_above(float(np.nanmax(values))))
    return heat_map(Matrix(roles.queries, roles.passages, values, span), "passages in",
                    "queries in", columns)  # fmt: skip


def _outranking(report: Report, columns: int) -> Figure | None:
    matrix = report.scores.bias.outranking
    values = np.array([list(row.values()) for row in matrix.values()], np.float64)
    if not np.isfinite(values).any():
        return None
    with np.errstate(divide="ignore"):
        logs = np.log2(values)
    span = float(np.clip(np.ceil(np.nanmax(np.abs(logs))), 1, MOST_LOG))
    of = Matrix([*matrix], report.task.roles.mixed_pool, values, (-span, span), decimals=1)
    return heat_map(of, "passages in", "queries in", columns, colours="PuOr_r", levels=logs)


def _distance(report: Report, columns: int) -> Figure | None:
    values = {
        code: (d.value, d.low, d.high)
        for code, d in report.scores.bias.by_language.items()
        if d.value is not None and d.low is not None and d.high is not None
    }
    if not values or not all(math.isfinite(end) for ends in values.values() for end in ends):
        return None
    return dots([*values], [Series("", values)], "rank distance", "queries in", columns)
