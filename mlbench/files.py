"""Find, download and check the data files of a task.

A relative path is looked for in the data folder (``--data-dir``, else ``MLBENCH_DATA``), beside
the task file, and in the cache (``MLBENCH_CACHE``, else the user's cache folder); failing that,
it is downloaded from the task's ``url`` into the cache. Wherever a file is found, the SHA-256
that the task file pins must hold.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from mlbench.catalog import tasks_folder
from mlbench.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    IntegrityError,
    MlbenchError,
    UsageError,
)
from mlbench.locations import Wanted, check_locations, wanted_files
from mlbench.task import Task

RETRIES = 2


class Origin(StrEnum):
    """Where a file was found."""

    GIVEN = "absolute path"
    DATA = "data folder"
    TASK = "task's folder"
    CACHE = "cache"
    DOWNLOAD = "downloaded"


@dataclass(frozen=True)
class Found:
    """A file of a task on this machine, its digest checked if one is pinned; size in bytes."""

    role: str
    language: str
    name: str
    path: Path
    size: int
    origin: Origin


def cache_folder() -> Path:
    """Return mlbench's cache folder: ``MLBENCH_CACHE``, else the user's cache folder."""
    if given := os.environ.get("MLBENCH_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mlbench", appauthor=False))


class MissingData(DataError):
    """Data files are not on this machine and may not, or cannot, be downloaded."""


class Locator:
    """Finds the data files of tasks; downloads what is missing unless ``offline``."""

    def __init__(
        self, data_dir: Path | None = None, offline: bool = False, cache_dir: Path | None = None
    ) -> None:
        """Raise UsageError if ``data_dir`` is given and no folder."""
        if data_dir is None and (given := os.environ.get("MLBENCH_DATA")):
            data_dir = Path(given)
        if data_dir is not None and not data_dir.is_dir():
            raise UsageError(
                Fault(f"data folder {data_dir}", "no such folder", "the folder that holds the data")
            )
        self.data_dir = data_dir
        self.offline = offline
        self.cache = (cache_dir or cache_folder()) / "data"

    def of(self, task: Task) -> Callable[[str], dict[str, Path]]:
        """Find all files of ``task``; return a function role -> language ("" for all) -> path.

        Raises as ``fetch`` does.
        """
        found = self.fetch(task)

        def locate(role: str) -> dict[str, Path]:
            return {file.language: file.path for file in found if file.role == role}

        return locate

    def fetch(self, task: Task) -> list[Found]:
        """Find or download every file of ``task`` and check the pinned digests.

        Raises, with all files concerned in one message: IntegrityError if a digest differs;
        EnvironmentFault if a file cannot be read, stored or downloaded; MissingData if files are
        missing and cannot be downloaded. DataError if the task's locations cannot work.
        """
        faults = check_locations(task)
        if faults:
            raise DataError(*faults)
        problems: list[MlbenchError] = []
        here: dict[Wanted, Found | None] = {}
        for file in wanted_files(task):
            try:
                here[file] = self._find(task, file)
            except MlbenchError as error:
                problems.append(error)
        missing = [file for file, found in here.items() if found is None]
        stuck = [file for file in missing if self.offline or file.url is None]
        if stuck:
            problems.append(MissingData(self._missing(task, stuck)))
        _raise_gravest(problems)
        for file in missing:
            try:
                here[file] = self._download(file)
            except MlbenchError as error:
                problems.append(error)
                if isinstance(error, _NoConnection):
                    break
        _raise_gravest(problems)
        return [found for found in here.values() if found is not None]

    def _places(self, task: Task, file: Wanted) -> dict[Origin, Path]:
        if Path(file.name).is_absolute():
            return {Origin.GIVEN: Path(file.name)}
        places = {Origin.DATA: self.data_dir / file.name} if self.data_dir else {}
        places[Origin.TASK] = task.path.parent / file.name
        if file.url is not None:
            places[Origin.CACHE] = self.cache / _cache_name(file)
        return places

    def _find(self, task: Task, file: Wanted) -> Found | None:
        for origin, path in self._places(task, file).items():
            try:
                if path.is_file():
                    return _checked(file, path, origin)
            except OSError as error:
                found = f"cannot be read: {error.strerror or error}"
                raise EnvironmentFault(Fault(str(path), found, "a readable file")) from None
        return None

    def _missing(self, task: Task, files: list[Wanted]) -> Fault:
        folders = [self.data_dir, task.path.parent] if self.data_dir else [task.path.parent]
        expected = f"them in {' or '.join(map(str, folders))}"
        mend = "put them there, or name the folder that holds them with --data-dir or MLBENCH_DATA"
        if task.source.url is not None:
            expected += f", or downloaded into {self.cache}"
            built_in = task.path == tasks_folder() / f"{task.name}.toml"
            mend = (
                f"run `mlbench tasks fetch {task.name if built_in else task.path}` with a network, "
                "or name the folder that holds them with --data-dir or MLBENCH_DATA"
            )
        names = "".join(f"\n    {file.name}" for file in files)
        count = "1 data file" if len(files) == 1 else f"{len(files)} data files"
        found = f"{count} not found{' (offline)' * self.offline}:{names}"
        return Fault(f"task {task.name!r}", found, expected, mend)

    def _download(self, file: Wanted) -> Found:
        import pooch
        import requests

        name = _cache_name(file)
        pooch.get_logger().setLevel("WARNING")
        store = pooch.create(
            path=self.cache,
            base_url="",
            registry={name: f"sha256:{file.sha256}"},
            urls={name: file.url},
            retry_if_failed=RETRIES,
        )
        try:
            path = Path(store.fetch(name, downloader=pooch.HTTPDownloader()))
        except requests.HTTPError as error:
            raise EnvironmentFault(_not_downloaded(file, error)) from None
        except requests.RequestException as error:
            raise _NoConnection(_not_downloaded(file, error)) from None
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            mend = "free some space, or name another folder with MLBENCH_CACHE"
            raise EnvironmentFault(
                Fault(str(self.cache), found, "a folder to write to", mend)
            ) from None
        except ValueError as error:
            mend = "try again; if it happens again, the file has changed at its source"
            raise IntegrityError(Fault(str(file.url), str(error), mend=mend)) from None
        return _found(file, path, Origin.DOWNLOAD)


class _NoConnection(EnvironmentFault):
    """The server does not answer, so that further files need not be tried."""


def _not_downloaded(file: Wanted, error: OSError) -> Fault:
    return Fault(
        str(file.url),
        f"cannot be downloaded: {error}",
        f"{file.name} with SHA-256 {file.sha256}",
        "check the network and try again, or download the file yourself and name the folder that "
        "holds it with --data-dir or MLBENCH_DATA",
    )


def _checked(file: Wanted, path: Path, origin: Origin) -> Found:
    if file.sha256 is not None:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != file.sha256:
            mend = "delete the file; it will be looked for elsewhere or downloaded anew"
            if origin is not Origin.CACHE:
                mend = "get the original file; if the change is meant, change the task's sha256"
            found = f"has SHA-256 {digest}"
            raise IntegrityError(Fault(str(path), found, f"SHA-256 {file.sha256}", mend))
    return _found(file, path, origin)


def _found(file: Wanted, path: Path, origin: Origin) -> Found:
    return Found(file.role, file.language, file.name, path, path.stat().st_size, origin)


def _cache_name(file: Wanted) -> str:
    """Return a path that says what the file holds, so that tasks and versions can share it."""
    return f"{file.sha256}/{PurePosixPath(file.name).name}"


def _raise_gravest(problems: list[MlbenchError]) -> None:
    """Raise one error with all faults, of the class that matters most."""
    faults = [fault for problem in problems for fault in problem.faults]
    for kind in (IntegrityError, EnvironmentFault, MissingData):
        if any(isinstance(problem, kind) for problem in problems):
            raise kind(*faults)
