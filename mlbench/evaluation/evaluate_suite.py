"""Evaluate a model on every task of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.common.errors import MlbenchError, UsageError
from mlbench.common.files import slug
from mlbench.data.download import NoConnection
from mlbench.data.locator import MissingData
from mlbench.data.suite import Suite, SuiteTask
from mlbench.evaluation.evaluate import evaluate, reloaded
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.suites import load_suite
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.models.objects import load_model
from mlbench.reports.report import Report
from mlbench.reports.suite_report import SuiteReport, suite_report

ABSENT = (MissingData, NoConnection, UsageError)
"""Errors that leave a task out of a suite: its data is not at hand, or the model or the options do
not go with it."""


def evaluate_suite(
    model: object, suite: str | Path | Suite, options: Options | None = None, **changes: Any
) -> SuiteReport:
    """Evaluate a model on every task of a suite; see ``evaluate``.

    ``suite`` is a built-in suite's name or the path of a suite file. ``options.folder`` gets a
    folder for each task. A task whose data is not at hand, or that does not go with the model, is
    told as missing. Raises as ``evaluate`` does, and where every task is missing.
    """
    chosen, found = chosen_options(options, changes), load_suite(suite)
    loaded = load_model(model, chosen.model_options, chosen.cache)
    reports: list[Report] = []
    absent: dict[str, MlbenchError] = {}
    for number, each in enumerate(found.tasks):
        task = each.task
        loaded = reloaded(loaded, chosen) if number else loaded
        folder = chosen.folder / slug(task.name) if chosen.folder else None
        measures = suite_measures(each, chosen.measures)
        try:
            reports.append(
                evaluate(loaded, task, replace(chosen, folder=folder, measures=measures))
            )
        except ABSENT as error:
            absent[task.name] = error
    if not reports:
        raise next(iter(absent.values()))
    return suite_report(found, reports, {name: why_absent(e) for name, e in absent.items()})


def suite_measures(each: SuiteTask, names: Sequence[str]) -> tuple[str, ...]:
    """Return the measures of a run on a suite's task: those asked for, else the task's, and those
    of its figures."""
    figures = [f.measure for f in each.figures if f.measure != RANK_DISTANCE]
    return (*(names or each.task.measures), *figures)


def why_absent(error: MlbenchError) -> str:
    """Return in a few words why a task of a suite has no report."""
    if isinstance(error, MissingData | NoConnection):
        return "its data is not at hand"
    return error.faults[0].found
