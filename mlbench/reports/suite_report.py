"""The reports of one model on the tasks of a suite, read together: each task's figures, and the
mean of their headlines where the suite has one.

``suite.json`` (``mlbench/suite/1``) says it; ``docs/suites.md`` explains every key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault
from mlbench.common.files import slug, write_atomically
from mlbench.common.names import both_shortened
from mlbench.data.suite import Figure, Suite, SuiteTask
from mlbench.measures.rank_measures import RANK_DISTANCE, parse_measure
from mlbench.measures.scores import Statistics, score_settings
from mlbench.measures.significance import (
    DRAWS,
    LEVEL,
    SEED,
    Sample,
    Score,
    macro_draws,
    mean,
    percentiles,
    question_names,
)
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.report import REPORT_FILE, Report, parse_report, read_report
from mlbench.reports.values import finite

SCHEMA = "mlbench/suite/1"
SUITE_FILE = "suite.json"


@dataclass(frozen=True)
class TaskFigures:
    """What a suite shows of one task: figure -> score; or why that is ``missing``."""

    task: str
    version: str
    title: str
    headline: str
    figures: dict[str, Score]
    digest: str = ""
    questions: int = 0
    missing: str = ""


@dataclass(frozen=True)
class SuiteReport:
    """One model on a suite. ``mean`` is that of the headlines, None where the suite has none or
    where a task is missing; ``statistics`` tell how its interval was made.

    ``model`` is None where no task has a report. ``reports`` are by task.
    """

    suite: Suite
    model: ModelInfo | None
    tasks: tuple[TaskFigures, ...]
    mean: Score | None
    statistics: Statistics | None
    reports: Mapping[str, Report] = field(default_factory=dict, compare=False, repr=False)

    @property
    def missing(self) -> dict[str, str]:
        """Task -> why it is missing, for those that are."""
        return {each.task: each.missing for each in self.tasks if each.missing}

    def values(self) -> dict[str, Any]:
        """Return what ``suite.json`` says."""
        suite = self.suite
        said = {
            "schema": SCHEMA,
            "suite": suite.name,
            "title": suite.title,
            "citation": suite.citation,
            "notes": list(suite.notes),
            "model": self.model and {n: getattr(self.model, n) for n in ("name", "identity")},
            "tasks": [asdict(each) for each in self.tasks],
            "mean": self.mean and asdict(self.mean),
            "statistics": self.statistics and asdict(self.statistics),
        }
        values: dict[str, Any] = finite(said)
        return values

    def save(self, folder: str | Path) -> Path:
        """Write ``suite.json``, ``suite.html`` and ``suite.md``; return the folder.

        Raises EnvironmentFault where it cannot be written.
        """
        from mlbench.reports.suite_page import suite_pages

        path = Path(folder)
        for name, content in suite_pages(self).items():
            write_atomically(path / name, content)
        raw = json.dumps(self.values(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        write_atomically(path / SUITE_FILE, raw.encode())
        return path

    def __str__(self) -> str:
        """The suite as a terminal shows it."""
        from mlbench.reports.suite_page import suite_text

        return suite_text(self)


def suite_folder(of_model: Path, suite: Suite) -> Path:
    """Return where the page of a suite goes, beside the model's reports."""
    return of_model / "suites" / slug(suite.name)


def reports_on(suite: Suite, folder: Path) -> list[Report]:
    """Read the reports on a suite's tasks that lie anywhere in a folder; raises as ``read_report``.

    The table of one that cannot count, such as one on a sample, is not read. Reports on variants of
    vectors, which lie in the folder of the whole vectors' report, are left.
    """
    tasks = {each.task.name: each for each in suite.tasks}
    found = []
    for path in sorted(folder.glob(f"**/{REPORT_FILE}")):
        report, _ = parse_report(path)
        info = report.task
        if info.name in tasks and (not report.model.variant or path.parent == folder):
            whole = report.retrieved is None and not info.sampled and info.subset_of is None
            found.append(read_report(path.parent) if whole else report)
    return found


def suite_report(
    suite: Suite, reports: Iterable[Report], absent: Mapping[str, str] | None = None
) -> SuiteReport:
    """Read the reports of one model on a suite's tasks together; those on other tasks are left.

    ``absent`` says of tasks why there is no report. A report on a sample of its task, on some of
    its languages, or of another version, counts as none. Raises DataError where the reports are of
    different models, or two are on one task.
    """
    named = {each.task.name for each in suite.tasks}
    chosen = [report for report in reports if report.task.name in named]
    model = _one_model(suite, chosen)
    by_task = _by_task(suite, chosen)
    rows = tuple(_row(each, by_task.get(each.task.name, []), absent or {}) for each in suite.tasks)
    kept = {row.task: by_task[row.task][0] for row in rows if not row.missing}
    whole = len(kept) == len(rows)
    found, statistics = _mean(suite.tasks, kept) if suite.mean and whole else (None, None)
    return SuiteReport(suite, model, rows, found, statistics, kept)


def _one_model(suite: Suite, reports: Sequence[Report]) -> ModelInfo | None:
    """Return the model that all reports are of, by its identity."""
    models = {(r.model.identity or r.model.name, r.model.similarity): r.model for r in reports}
    if len(models) > 1:
        (one, other) = [*models.values()][:2]
        names = [m.name for m in (one, other)]
        if one.name == other.name:
            short = both_shortened(one.identity, other.identity)
            names = [f"{one.name} of identity {i}" for i in short]
            if one.identity == other.identity:
                names = [f"{m.name} by {m.similarity} similarity" for m in (one, other)]
        found = f"reports of different models: {' and '.join(names)}"
        expected, mend = "reports of one model", "give the folder of one model's reports"
        raise DataError(Fault(f"suite {suite.name!r}", found, expected, mend))
    return next(iter(models.values()), None)


def _by_task(suite: Suite, reports: Sequence[Report]) -> dict[str, list[Report]]:
    """Return the reports on each task, what can be used first."""
    by_task: dict[str, list[Report]] = {}
    faults = []
    for each in suite.tasks:
        of = [report for report in reports if report.task.name == each.task.name]
        sound = [report for report in of if not _why_missing(each, report)]
        if len(sound) > 1:
            found = f"{plural(len(sound), 'report')} on {each.task.name}"
            faults.append(Fault(f"suite {suite.name!r}", found, "one report on each task"))
        by_task[each.task.name] = sound or of
    if faults:
        raise DataError(*faults)
    return by_task


def _row(each: SuiteTask, reports: Sequence[Report], absent: Mapping[str, str]) -> TaskFigures:
    task = each.task
    said = (task.name, task.version, task.title, str(each.headline))
    if not reports:
        return TaskFigures(*said, {}, missing=absent.get(task.name, "no report"))
    report = reports[0]
    if why := _why_missing(each, report):
        return TaskFigures(*said, {}, missing=why)
    figures = {str(f): score for f in each.figures if (score := figure_score(report, f))}
    questions = len(set(question_names(report.table).tolist()))
    return TaskFigures(*said, figures, report.task.digest, questions)


def _why_missing(each: SuiteTask, report: Report) -> str:
    """Return why a report does not count for a task of a suite, "" where it does."""
    task, info = each.task, report.task
    if info.sampled:
        return f"only a report on {info.sampled}"
    if info.subset_of is not None or {*info.languages} < {*task.languages}:
        return (
            f"only a report on {len(info.languages)} of its "
            f"{plural(len(task.languages), 'language')}"
        )
    if (info.version, info.languages) != (task.version, task.languages):
        return f"only a report on version {info.version} of it, not {task.version}"
    if report.retrieved is not None or report.ranks is None:
        return "only a report on run files, without a table of ranks"
    lacking = [f for f in each.figures if figure_score(report, f) is None]
    return f"its report has no {', '.join(map(str, lacking))}" if lacking else ""


def figure_score(report: Report, figure: Figure) -> Score | None:
    """Return a figure of a report with its interval, None where it has none."""
    if figure.measure == RANK_DISTANCE:
        return report.scores.bias.rank_distance
    scores = report.scores
    return (
        (scores.directions if figure.direction else scores.macro)
        .get(figure.over, {})
        .get(figure.measure)
    )


def _mean(
    tasks: Sequence[SuiteTask], reports: Mapping[str, Report]
) -> tuple[Score | None, Statistics | None]:
    """Return the unweighted mean of the tasks' headlines, and how its interval was made.

    Questions are drawn for all tasks at once, with replacement: one that several tasks ask, by its
    id, is drawn for all of them, and tasks that share none vary independently.
    """
    scores = [figure_score(reports[each.task.name], each.headline) for each in tasks]
    present = [score for score in scores if score is not None]
    asked = [question_names(reports[each.task.name].table) for each in tasks]
    questions = np.unique(np.concatenate(asked))
    groups = [_samples(reports[e.task.name], e.headline, questions) for e in tasks]
    draws = macro_draws([groups], len(questions))[0].mean(axis=1)
    low, high = percentiles(draws)
    values, optimistic = [s.value for s in present], [s.optimistic for s in present]
    score = Score(mean(values), float(low), float(high), mean(optimistic))
    return score, Statistics("cluster bootstrap", LEVEL, DRAWS, SEED, len(questions))


def _samples(
    report: Report, figure: Figure, questions: np.ndarray[tuple[int], np.dtype[np.str_]]
) -> list[Sample]:
    """Return the values of the settings that a figure is a mean over."""
    ranks, measure = report.table, parse_measure(figure.measure)
    cluster = np.searchsorted(questions, question_names(ranks)).astype(np.int64)
    roles = report.task.roles
    settings = [
        setting
        for setting in roles.settings([figure.kind])
        if figure.direction in ("", roles.direction(setting))
    ]
    return [
        Sample(cluster[scored.query], scored.values[measure.name])
        for scored, row in score_settings(ranks, settings, [measure])
        if row.queries
    ]
