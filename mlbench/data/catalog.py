"""Find tasks by name or path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlbench.common.errors import Fault, UsageError, did_you_mean
from mlbench.common.files import shipped_folder
from mlbench.data.sources import check_source
from mlbench.data.task import NAME, Task
from mlbench.data.task_file import Check, parse_task

DEFAULT_TASKS = ("xquad-r", "mlqa-r")
"""The tasks that are run when none is named."""


def tasks_folder() -> Path:
    """Return the folder of the built-in tasks."""
    return shipped_folder("tasks")


def list_tasks() -> list[str]:
    """Return the names of the built-in tasks, sorted."""
    stems = (path.stem for path in tasks_folder().glob("*.toml"))
    return sorted(stem for stem in stems if NAME.fullmatch(stem))


def find_task(
    name_or_path: str | Path,
    check: Check = lambda task: (),
    languages: Sequence[str] | None = None,
) -> Task:
    """Return the built-in task of that name, or the task in the file of that path.

    ``ir_datasets:ID``, or several ids with commas, is the task of these data sets; ``{language}``
    in an id stands for each of ``languages``, which nothing else needs. What ends in
    ``.toml`` or holds a separator is a path. The task file is checked as far as that goes without
    data (``task_file.parse_task``, ``sources.check_source``, and ``check``), and must be called as
    the task it holds. Raises UsageError if there is no such task, DataError if it is faulty.
    """
    if str(name_or_path).startswith("ir_datasets:"):
        from mlbench.data.readers.irds import make_task

        return make_task(str(name_or_path), languages)
    path = Path(name_or_path)
    if path.suffix != ".toml" and len(path.parts) == 1:
        return _load(_built_in(str(name_or_path)), check)
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.toml")))
        if path.stem in list_tasks():
            near = f"for the built-in task write {path.stem!r}"
        raise UsageError(Fault(f"task {str(path)!r}", "no such file", "a task file (TOML)", near))
    return _load(path, check)


def _built_in(name: str) -> Path:
    names = list_tasks()
    if name not in names:
        raise UsageError(
            Fault(
                f"task {name!r}",
                "no built-in task has this name",
                "a built-in task's name, or the path of a task file (ending in .toml)",
                did_you_mean(name, names),
            )
        )
    return tasks_folder() / f"{name}.toml"


def _load(path: Path, check: Check) -> Task:
    def faults(task: Task) -> Iterator[Fault]:
        if path.stem != task.name:
            mend = f"call the file {task.name}.toml, or the task {path.stem!r}"
            where = f"{path}, field name"
            yield Fault(where, f"{task.name!r}", f"{path.stem!r}", mend)
        yield from check_source(task)
        yield from check(task)

    return parse_task(path, faults)
