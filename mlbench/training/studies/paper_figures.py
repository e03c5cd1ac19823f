"""The figures of a study for a paper: each macro figure along what is varied, or arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlbench.common.names import shortened_apart
from mlbench.reports.paper import Series, curve, dots, figure_bytes, file_name, paper_style
from mlbench.training.studies.entrants import BASELINE
from mlbench.training.studies.figures import Figure, macro_figures
from mlbench.training.studies.findings import TaskFindings

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import StudyReport

LONGEST = 22


def study_figures(
    report: StudyReport, formats: Sequence[str], columns: int = 1
) -> dict[str, bytes]:
    """Return file name -> content of a study's figures, ``columns`` (1 or 2) wide."""
    with paper_style():
        return {
            f"{file_name(task.task.name, of.title)}.{form}": figure_bytes(figure, form)
            for task in report.tasks
            for of in macro_figures(task.figures)
            for figure in [_figure(report, task, of, columns)]
            for form in formats
        }


def _figure(report: StudyReport, task: TaskFindings, of: Figure, columns: int) -> Drawing:
    """Return a curve a series where what is varied is a number, else a row an arm."""
    arms = [each for each in task.entrants if each.role != BASELINE]
    trained = [each for each in arms if each.role == "trained"]
    title = of.title + " (lower is better)" * of.lower_is_better
    found = {e.label: v for e in task.entrants if (v := task.value(e.label, of)) is not None}
    values = {label: (v.value, v.low, v.high) for label, v in found.items()}
    if len({each.x for each in trained}) > 1 and all(each.x is not None for each in trained):
        series = [
            Series(name, {e.label: values[e.label] for e in trained
                          if e.series == name and e.label in values})
            for name in dict.fromkeys(e.series for e in trained)
        ]  # fmt: skip
        places = {e.label: float(e.x or 0) for e in trained}
        return curve(places, [s for s in series if s.values], report.study.axis, title, columns)
    short = shortened_apart([e.label for e in task.entrants], LONGEST)
    rows = {short[label]: value for label, value in values.items()}
    return dots([*rows], [Series("", rows)], title, columns=columns)
