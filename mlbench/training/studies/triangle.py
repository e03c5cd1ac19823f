"""The triangle of a study: scores over the proportions of mono, pair and mixed batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlbench.reports.drawing import FAINT, INK, OTHER
from mlbench.training.studies.figures import Figure, macro_figures
from mlbench.training.studies.findings import TaskFindings
from mlbench.training.studies.look import panels_of
from mlbench.training.studies.plan import PROPORTIONS, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import StudyReport


CORNERS = {"mono": (0.5, math.sqrt(3) / 2), "pair": (0.0, 0.0), "mixed": (1.0, 0.0)}
"""Where each kind of batches has its corner."""
TRIANGLES = (
    "A corner is batches of one kind alone, an edge is a mixture of two kinds, and the inside one "
    "of all three. Darker is better."
)


def triangles(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Every macro figure over the triangle of mono, pair and mixed batches."""
    shares = proportions_of(report.study)
    if len(shares) < 3:
        return None
    figures = macro_figures(task.figures)
    figure, panels = panels_of(
        len(figures), f"Proportions of batches: {task.task.name}",
        "Each point is an arm, its value beside it.", 2.6, 0.1,
    )  # fmt: skip
    for axes, of in zip(panels, figures, strict=True):
        _triangle(axes, of, {
            label: (_place(each), value.value)
            for label, each in shares.items()
            if (value := task.value(label, of)) is not None
        })  # fmt: skip
    return figure


def proportions_of(study: Study) -> dict[str, Mapping[str, float]]:
    """Return the proportions of the arms that are mixtures of mono, pair and mixed batches."""
    found = {arm.label: arm.point[PROPORTIONS] for arm in study.arms if PROPORTIONS in arm.point}
    return {label: of for label, of in found.items() if not of.keys() - CORNERS.keys()}


def _place(shares: Mapping[str, float]) -> tuple[float, float]:
    x, y = (sum(share * CORNERS[kind][i] for kind, share in shares.items()) for i in (0, 1))
    return x, y


def _triangle(
    axes: Axes, of: Figure, points: Mapping[str, tuple[tuple[float, float], float]]
) -> None:
    outline = [CORNERS[kind] for kind in ("mono", "pair", "mixed", "mono")]
    axes.plot([x for x, _ in outline], [y for _, y in outline], color=FAINT, linewidth=0.9)
    values = [value for _, value in points.values()]
    low, span = min(values), max(values) - min(values) or 1.0
    for (x, y), value in points.values():
        level = (value - low) / span
        level = 1 - level if of.lower_is_better else level
        axes.scatter([x], [y], s=70, color=OTHER, alpha=0.15 + 0.85 * level, zorder=3,
                     linewidth=0)  # fmt: skip
        axes.annotate(f"{value:.{of.digits}f}", (x, y), (0, -14), textcoords="offset points",
                      size=7.5, ha="center", zorder=2,
                      bbox={"facecolor": "white", "linewidth": 0, "pad": 1})  # fmt: skip
    for kind, (x, y) in CORNERS.items():
        away = 9 if y else -27  # beyond the value of what stands in the corner
        axes.annotate(kind, (x, y), (0, away), textcoords="offset points", size=8.5, ha="center",
                      color=INK)  # fmt: skip
    axes.set_title(of.title, size=9.5, loc="left", pad=16)
    axes.set(xlim=(-0.22, 1.22), ylim=(-0.2, 1.05), xticks=[], yticks=[], aspect="equal")
