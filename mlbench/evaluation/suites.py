"""Find a suite and check all of it: its tasks, and that they have the figures it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.forms import fields_of
from mlbench.data.suite import (
    Figure,
    Suite,
    SuiteTask,
    SuiteTaskForm,
    faults_of_settings,
    parse_suite,
    suite_path,
)
from mlbench.data.task import Kind, Task
from mlbench.evaluation.tasks import load_task
from mlbench.measures.rank_measures import RANK_DISTANCE, parse_measure


def load_suite(suite: str | Path | Suite) -> Suite:
    """Return a built-in suite by its name, or the suite in a file.

    Raises UsageError if there is no such suite, DataError with all its faults: tasks that there
    are not or that come twice, measures that there are not, kinds of setting that a task does not
    have.
    """
    if isinstance(suite, Suite):
        return suite
    if not isinstance(suite, str | os.PathLike):
        found = f"an object of type {type(suite).__name__}"
        expected = "a built-in suite's name, or the path of a suite file"
        raise UsageError(Fault("suite", found, expected))
    path = suite_path(suite)
    form, place = parse_suite(path), fields_of(path)
    faults: list[Fault] = []
    tasks = [
        found
        for name, of in form.tasks.items()
        if (found := _suite_task(name, of, path, faults)) is not None
    ]
    seen: dict[str, Task] = {}
    for name, each in zip(form.tasks, tasks, strict=False) if not faults else ():
        if each.task.name in seen:
            again = f"the task {each.task.name!r} a second time"
            faults.append(Fault(place(f"tasks.{name}"), again, "each task once"))
        seen[each.task.name] = each.task
    if faults:
        raise DataError(*faults)
    return Suite(
        name=form.name,
        title=form.title,
        citation=form.citation.strip(),
        tasks=tuple(tasks),
        path=path,
        mean=form.mean,
        notes=tuple(" ".join(note.split()) for note in form.notes),
    )


def _suite_task(
    name: str, form: SuiteTaskForm, path: Path, faults: list[Fault]
) -> SuiteTask | None:
    """Return a task with its figures, None where it is faulty; tells the faults."""
    field = f"{path}, field tasks.{name}"
    task: Task | None = None
    try:
        task = load_task(_task_place(name, path))
    except (DataError, UsageError) as error:
        faults += [Fault(f"{field}: {f.where}", f.found, f.expected, f.mend) for f in error.faults]
    read = _reader(task, faults)
    headline = read(f"{field}.headline", form.headline)
    if headline is not None and headline.measure == RANK_DISTANCE:
        expected = "a measure of which more is better; rank-distance may stand among the figures"
        faults.append(Fault(f"{field}.headline", str(headline), expected))
    figures = [read(f"{field}.figures", text) for text in form.figures]
    if task is None or headline is None or None in figures:
        return None
    present = [figure for figure in figures if figure is not None]
    first = [] if headline in present else [headline]
    return SuiteTask(task, headline, tuple(dict.fromkeys([*first, *present])))


def _task_place(name: str, path: Path) -> str | Path:
    """Return what a suite calls a task: a name, or a file beside the suite's."""
    return path.parent / name if name.endswith(".toml") else name


def _reader(task: Task | None, faults: list[Fault]) -> Callable[[str, str], Figure | None]:
    """Return what reads a figure of a task, and tells what is wrong with it."""

    def read(where: str, text: str) -> Figure | None:
        figure = Figure.read(text)
        told = [*_faults_of(where, figure, task)]
        faults.extend(told)
        if told:
            return None
        measure = figure.measure
        named = measure if measure == RANK_DISTANCE else parse_measure(measure).name
        return replace(figure, measure=named)

    return read


def _faults_of(where: str, figure: Figure, task: Task | None) -> Iterator[Fault]:
    measure = figure.measure
    if measure == RANK_DISTANCE:
        if figure.kind is not Kind.MULTILINGUAL:
            mend = f"write {Kind.MULTILINGUAL}:{RANK_DISTANCE}"
            yield Fault(where, str(figure), "the multilingual setting", mend)
    else:
        try:
            parse_measure(measure)
        except UsageError as error:
            for fault in error.faults:
                yield Fault(where, f"{fault.where}: {fault.found}", fault.expected, fault.mend)
    wrong = [*faults_of_settings(where, figure)]
    yield from wrong
    if task is None or wrong:
        return
    has = dict.fromkeys(str(setting.kind) for setting in task.settings())
    has |= dict.fromkeys(d for s in task.settings() if (d := task.roles.direction(s)))
    if figure.over not in has:
        found = f"{figure.over} settings, which task {task.name!r} does not have"
        yield Fault(where, found, ", ".join(has))
