"""Reports as tools that track experiments keep them: runs with figures, facts and files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.files import reading, sha256_of, slug
from mlbench.integrations.cards.figures import Evidence, Stated, groups
from mlbench.integrations.report_folders import reports_in
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.pairs import directions
from mlbench.reports.report import REPORT_FILE, Report, read_report
from mlbench.reports.tables import paper_table
from mlbench.reports.words import headline, mean, settings_of, told_kinds

PAGE_FILE = "report.html"
BIAS, OUTRANKING, DISTANCE = "bias", "same_language_outranking", "rank_distance"
INTERVALS, BY_LANGUAGE = "intervals", "by_language"
MOST_SAID = 400
"""Characters of a fact; MLflow takes no parameter of more than 500 in some of its versions."""

Name = tuple[str, ...]
"""The name of a figure by its parts, such as ("xquad-r", "multilingual", "nDCG@10")."""


@dataclass(frozen=True)
class Step:
    """A saved report, and the step of the run that it is logged at."""

    report: Report
    folder: Path
    step: int

    @property
    def task(self) -> str:
        """What its figures are named by: the task and, of a part of it, which part."""
        key = Stated(self.report, Evidence()).key
        return key if key == self.report.task.name else slug(key)

    @property
    def files(self) -> list[Path]:
        """The report's files that are kept with it."""
        return [path for name in (REPORT_FILE, PAGE_FILE) if (path := self.folder / name).exists()]


@dataclass(frozen=True)
class TrackedRun:
    """A run: its ``name``, and one report or several on one task, by step."""

    name: str
    steps: tuple[Step, ...]

    @property
    def key(self) -> str:
        """What the run is known by: a digest of its name, its reports and their steps."""
        made = [(each.step, sha256_of(each.folder / REPORT_FILE)) for each in self.steps]
        return hashlib.sha256(json.dumps([self.name, made]).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """A name for a folder of the run, which no other run has."""
        return f"{slug(self.name)[:60]}-{self.key[:8]}"

    @property
    def facts(self) -> dict[str, str]:
        """What was evaluated with what, in words; of several steps, that of the last report."""
        return facts_of(self.steps[-1])


def read_runs(
    folders: Sequence[str | Path], steps: Sequence[int] | None, name: str | None
) -> list[TrackedRun]:
    """Read saved reports; return a run for each or, if ``steps`` are given, one for each task.

    A folder may hold several reports; with ``steps``, each must be one report. Raises UsageError
    where steps or name do not fit, and as ``read_report`` does.
    """
    found = [_read(path) for folder in folders for _, path in reports_in(Path(folder)) if path]
    if steps is None:
        every = [Step(report, path, 0) for report, path in found]
        if name is not None and len(every) > 1:
            fault = f"one name, and {plural(len(every), 'report')}, each a run of its own"
            raise UsageError(Fault("--name", fault, "one report, or --steps"))
        return [TrackedRun(name or f"{_called(each)} on {each.task}", (each,)) for each in every]
    if len(steps) != len(found):
        given = f"{plural(len(steps), 'step')} for {plural(len(found), 'report')}"
        raise UsageError(Fault("--steps", given, "one a report"))
    by_task: dict[tuple[str, str], list[Step]] = {}
    for (report, path), step in sorted(zip(found, steps, strict=True), key=lambda each: each[1]):
        each = Step(report, path, step)
        by_task.setdefault((each.task, report.task.digest), []).append(each)
    for (task, _), made in by_task.items():
        at = [each.step for each in made]
        if twice := [step for step in at if at.count(step) > 1]:
            what = f"two reports on {task} at the step {twice[0]}"
            raise UsageError(Fault("--steps", what, "one report on a task at a step"))
    return [
        TrackedRun(name or f"{_called(made[-1])} on {task}", tuple(made))
        for (task, _), made in by_task.items()
    ]


def _read(folder: Path) -> tuple[Report, Path]:
    """Return a report and its folder; one on run files has no table that could be checked."""
    report = next(report for report, _ in reports_in(folder))
    return (report if report.retrieved is not None else read_report(folder)), folder


def _called(step: Step) -> str:
    return " ".join(step.report.model.name.split()) or "model"


def figures_of(step: Step) -> dict[Name, float]:
    """Return a report's figures by name, exactly as the report has them.

    First the macro score of each kind of setting and direction, rank distance and same-language
    outranking; then the ends of their intervals; then what each query language, or pair, scores by
    the task's first measure. Figures that the report lacks have no name.
    """
    report, task = step.report, step.task
    found: dict[Name, float] = {}
    ends: dict[Name, float] = {}
    for key, _, scores in groups(report):
        for measure, score in scores.items():
            name = (BIAS, DISTANCE) if measure == RANK_DISTANCE else (key, measure)
            found[(task, *name)] = score.value
            for end, value in (("low", score.low), ("high", score.high)):
                ends[(f"{task}_{INTERVALS}", *name, end)] = value
    if report.scores.bias.same_language is not None:
        found[(task, BIAS, OUTRANKING)] = report.scores.bias.same_language
    return found | ends | dict(_by_language(report, f"{task}_{BY_LANGUAGE}"))


def _by_language(report: Report, section: str) -> Iterator[tuple[Name, float]]:
    main, bias = headline(report), report.scores.bias
    for each in directions(report) if report.task.roles.two_ways else ():
        for row in each.rows:
            value = each.value(row, main)
            if value is not None:
                yield (section, each.name or "crosslingual", main, row), value
    for kind in () if report.task.roles.two_ways else told_kinds(report):
        for language in report.task.roles.queries:
            value = mean(
                setting.measures.get(main)
                for setting in settings_of(report, kind)
                if setting.query_language == language and setting.queries
            )
            if value is not None:
                yield (section, kind, main, language), value
    for language, distance in bias.by_language.items():
        if distance.value is not None:
            yield (section, BIAS, DISTANCE, language), distance.value
    for language, row_ in bias.outranking.items():
        own = row_.get(language)
        if own is not None:
            yield (section, BIAS, OUTRANKING, language), own


def facts_of(step: Step) -> dict[str, str]:
    """Return what was evaluated, with what and when, each in at most 400 characters."""
    task, model, run = step.report.task, step.report.model, step.report.run
    part = Stated(step.report, Evidence()).part
    said = {
        "task": task.name, "task_version": task.version, "task_digest": task.digest,
        "task_part": part, "task_languages": " ".join(task.languages), "model": model.name,
        "model_identity": model.identity, "model_variant": model.variant,
        "similarity": model.similarity, "dimension": model.dimension, "dtype": model.dtype,
        "parameters": model.parameters, "max_length": model.max_length, "date": run.date,
    }  # fmt: skip
    said |= {f"prompt_{role}": prompt for role, prompt in model.prompts.items()}
    said |= {f"version_{name}": version for name, version in run.versions.items()}
    return {name: str(value)[:MOST_SAID] for name, value in said.items() if value not in (None, "")}


def text_of(step: Step) -> str:
    """Return a report's main table and its facts as Markdown."""
    table = paper_table(step.report).markdown()
    facts = "\n".join(f"- {name}: `{value}`" for name, value in facts_of(step).items())
    return f"{table}\n\n{facts}\n"


def named(figures: dict[Name, float], foreign: str) -> dict[str, float]:
    """Return figures by names that a tool takes: parts joined by slashes, and in them "_at_" for an
    "@" and "_" for any other character that the pattern ``foreign`` matches.

    Names that would become the same are told apart by a number.

    >>> named({("a-b", "nDCG@10"): 0.5, ("a_b", "nDCG@10"): 0.25}, "[^A-Za-z0-9_]")
    {'a_b/nDCG_at_10': 0.5, 'a_b/nDCG_at_10_2': 0.25}
    """
    made: dict[str, float] = {}
    for parts, value in figures.items():
        clean = "/".join(re.sub(foreign, "_", part.replace("@", "_at_")) for part in parts)
        name, count = clean, 1
        while name in made:
            count += 1
            name = f"{clean}_{count}"
        made[name] = value
    return made


def contents(step: Step) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file that is kept with a report."""
    for path in step.files:
        with reading(path):
            yield path.name, path.read_bytes()
