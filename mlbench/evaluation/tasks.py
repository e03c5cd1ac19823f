"""Find a task and check all of it, its measures too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.sources import check_source
from mlbench.data.task import Task, with_codes
from mlbench.measures.rank_measures import parse_measures


def load_task(task: str | Path | Task, languages: Sequence[str] | None = None) -> Task:
    """Return a built-in task by its name, the task in a file (see ``catalog.find_task``), or a task
    that was made by hand, checked like these.

    ``languages`` are those that ``{language}`` stands for in an id, as in
    ``ir_datasets:mmarco/v2/{language}/train``; a task by other names has its own.
    Raises UsageError if there is no such task, DataError with all its faults.
    """
    if isinstance(task, Task):
        try:
            task = with_codes(task)
        except ValueError as error:
            where = f"task {task.name!r}, languages"
            raise DataError(Fault(where, str(error), "each language once")) from None
        if faults := [*check_source(task), *_measure_faults(task)]:
            raise DataError(*faults)
        return task
    if not isinstance(task, str | os.PathLike):
        found = f"an object of type {type(task).__name__}"
        expected = "a built-in task's name, the path of a task file, or a Task"
        raise UsageError(Fault("task", found, expected))
    return find_task(task, _measure_faults, languages)


def _measure_faults(task: Task) -> Iterator[Fault]:
    try:
        parse_measures(task.measures)
    except UsageError as error:
        where = f"{task.path}, field measures"
        for fault in error.faults:
            yield Fault(where, f"{fault.where}: {fault.found}", fault.expected, fault.mend)
