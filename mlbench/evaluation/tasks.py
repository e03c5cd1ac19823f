"""Find a task and check all of it, its measures too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlbench.common.errors import Fault, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.task import Task
from mlbench.measures.rank_measures import parse_measures


def load_task(name_or_path: str | Path) -> Task:
    """Return a built-in task by its name, or the task in a file; see ``catalog.find_task``.

    Raises UsageError if there is no such task, DataError with all faults of its file.
    """
    return find_task(name_or_path, _measure_faults)


def _measure_faults(task: Task) -> Iterator[Fault]:
    try:
        parse_measures(task.measures)
    except UsageError as error:
        where = f"{task.path}, field measures"
        for fault in error.faults:
            yield Fault(where, f"{fault.where}: {fault.found}", fault.expected, fault.mend)
