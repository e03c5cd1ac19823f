"""Readers: one file a source format; they turn files into records and know nothing of models.

A reader is a module of this package and a row of ``sources.READERS``. The module has a function
``read(task, locate) -> Records``, or ``stream(task, files) -> StreamedRecords``, or both. Modules
are imported when first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mlbench.common.collector import uncollected
from mlbench.common.errors import Fault, UsageError
from mlbench.data.sources import READERS

if TYPE_CHECKING:
    from mlbench.data.collection import Collection as Data
    from mlbench.data.collection import Records
    from mlbench.data.corpus import StreamedCollection, StreamedRecords
    from mlbench.data.locations import DataFile
    from mlbench.data.task import Task

Locate = Callable[[str], Mapping[str, Path]]
"""Role -> local path of each language's file; the key is "" for one file of all languages."""


@runtime_checkable
class Files(Protocol):
    """A ``Locate`` that also knows where the files of a streamed role are."""

    def __call__(self, role: str) -> Mapping[str, Path]:
        """Return the local path of each language's file."""

    def pairs(self, role: str) -> Mapping[tuple[str, str], Mapping[str, Path]]:
        """Return the local path of each pair's and language's file."""

    def corpus(self, role: str) -> Sequence[DataFile]:
        """Return the files of a streamed role, by language, then shard."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a relative path is looked for in, in this order."""


def paths_of(locate: Locate, role: str) -> list[tuple[str, Path]]:
    """Return the language, "" for all, and the path of each file of a role, shard by shard."""
    if isinstance(locate, Files):
        return [(file.language, file.path) for file in locate.corpus(role) if file.path]
    return [*locate(role).items()]


class Finder(Protocol):
    """What finds the files of tasks; usually a ``locator.Locator``."""

    def of(self, task: Task, streamed: Collection[str] = (), *, absent: bool = False) -> Files:
        """Find the files of ``task``; those of the roles ``streamed`` may lie on the hub."""


def read(task: Task, locate: Locate) -> Records:
    """Read a task's records with the reader it names; all shards, where it has any.

    Raises DataError with all faults of its files; the task's source was checked as the task was
    found (``sources.check_source``).
    """
    module = _module(task)
    if hasattr(module, "read"):
        records: Records = module.read(task, locate)
        return records
    streamed: Records = module.stream(task, locate).read_all()
    return streamed


@uncollected()
def read_collection(task: Task, locate: Locate, *, strict: bool = False) -> Data:
    """Read a task's data from the files that ``locate`` names and check it.

    ``locate`` is usually ``Locator(...).of(task)``. Judgements that name passages which are not
    there are left out (see ``absent``), unless ``strict``. Raises DataError.
    """
    from mlbench.data.building import build_collection

    return build_collection(task.languages, read(task, locate), task.roles, lenient=not strict)


def stream_collection(task: Task, finder: Finder, *, absent: bool = False) -> StreamedCollection:
    """Read a task's queries and judgements, and find its passages, which are left where they are.

    ``finder`` is usually a ``Locator``. With ``absent``, shards that are nowhere are no fault
    until they are read. The collection is the one that ``read_collection`` returns.

    Raises UsageError where the task cannot be streamed, DataError as ``read_collection`` does.
    """
    from mlbench.data.building_streamed import build_streamed

    return build_streamed(task.languages, stream_records(task, finder, absent=absent), task.roles)


def stream_records(task: Task, finder: Finder, *, absent: bool = False) -> StreamedRecords:
    """Read a task's records but its passages, unchecked; see ``stream_collection``."""
    module = _module(task)
    if not hasattr(module, "stream"):
        able = ", ".join(name for name, reader in READERS.items() if reader.streams)
        found = f"cannot be streamed: reader {task.source.reader!r} reads all passages at once"
        mend = ""
        if READERS[task.source.reader].joined:
            mend = "run it without --stream: images are forgotten once they are encoded"
        raise UsageError(Fault(f"task {task.name!r}", found, f"a task of reader {able}", mend))
    files = finder.of(task, READERS[task.source.reader].streamed, absent=absent)
    records: StreamedRecords = module.stream(task, files)
    return records


def _module(task: Task) -> ModuleType:
    return importlib.import_module(READERS[task.source.reader].module)
