"""Find, download and check the data files of a task.

A relative path is looked for in the data folder (``--data-dir``, else ``MLBENCH_DATA``), beside
the task file, and in the cache (``MLBENCH_CACHE``, else the user's cache folder); failing that,
it is downloaded from the task's ``url`` into the cache. Wherever a file is found, the SHA-256
that the task file pins must hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mlbench.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    IntegrityError,
    MlbenchError,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
    from mlbench.task import Task

RETRIES = 2
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


class Origin(StrEnum):
    """Where a file was found."""

    GIVEN = "absolute path"
    DATA = "data folder"
    TASK = "task's folder"
    CACHE = "cache"
    DOWNLOAD = "downloaded"


@dataclass(frozen=True)
class Wanted:
    """A file that a task names: its role, its language ("" if for all), its path in the task."""

    role: str
    language: str
    name: str
    sha256: str | None
    url: str | None


@dataclass(frozen=True)
class Found:
    """A file of a task on this machine, its digest checked if one is pinned; size in bytes."""

    role: str
    language: str
    name: str
    path: Path
    size: int
    origin: Origin


def wanted_files(task: Task) -> Iterator[Wanted]:
    """Yield every file that a task names, by role, then language."""
    source = task.source
    for role in source.files:
        for language, name in source.paths(role, task.languages).items():
            url = source.url
            if url is not None:
                url = url.replace("{path}", name).replace("{language}", language)
            yield Wanted(role, language, name, source.sha256.get(name), url)


def check_locations(task: Task) -> list[Fault]:
    """Return what is wrong with a task's paths, ``url`` and ``sha256``; opens no file.

    A placeholder is ``{language}``, in ``url`` also ``{path}``. What is downloaded must have a
    distinct http(s) address, a pinned SHA-256, and a path without "..".
    """
    source = task.source
    files = list(wanted_files(task))
    faults = []

    def fault(name: str, found: str, expected: str, mend: str = "") -> None:
        faults.append(Fault(f"{task.path}, field source.{name}", found, expected, mend))

    patterns = {f"files.{role}": (path, {"{language}"}) for role, path in source.files.items()}
    if source.url is not None:
        patterns["url"] = (source.url, {"{language}", "{path}"})
    for name, (pattern, known) in patterns.items():
        for placeholder in sorted(set(PLACEHOLDER.findall(pattern)) - known):
            fault(name, f"unknown placeholder {placeholder}", " or ".join(sorted(known)))
    names = {file.name for file in files}
    for name in sorted(source.sha256.keys() - names):
        fault("sha256", f"{name!r} is no file of the task", "a path", did_you_mean(name, names))
    if source.url is None:
        return faults
    if not source.url.startswith(("https://", "http://")):
        fault("url", f"{source.url!r}", "an address that begins with https:// or http://")
    if len({file.url for file in files}) < len(names):
        fault("url", "the same address for several files", "{path} or {language} in the address")
    for file in files:
        if file.sha256 is None:
            mend = "run sha256sum on a copy you trust, or leave `url` out"
            fault("sha256", f"no digest for {file.name!r}", "one for each download", mend)
        if "\\" in file.name or PurePosixPath(file.name).is_absolute() or ".." in _parts(file):
            fault(f"files.{file.role}", f"{file.name!r}", "a relative path without '..'")
    return faults


def _parts(file: Wanted) -> tuple[str, ...]:
    return PurePosixPath(file.name).parts


def cache_folder() -> Path:
    """Return mlbench's cache folder: ``MLBENCH_CACHE``, else the user's cache folder."""
    if given := os.environ.get("MLBENCH_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mlbench", appauthor=False))


class Locator:
    """Finds the data files of tasks; downloads what is missing unless ``offline``."""

    def __init__(
        self, data_dir: Path | None = None, offline: bool = False, cache_dir: Path | None = None
    ) -> None:
        """Raise UsageError if ``data_dir`` is given and no folder."""
        if data_dir is not None and not data_dir.is_dir():
            raise UsageError(
                Fault(f"data folder {data_dir}", "no such folder", "the folder that holds the data")
            )
        if data_dir is None and (given := os.environ.get("MLBENCH_DATA")):
            data_dir = Path(given)
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
        EnvironmentFault if a file cannot be read, stored or downloaded; DataError if files are
        missing and cannot be downloaded, or the task's locations cannot work.
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
        problems += [DataError(self._missing(task, file)) for file in stuck]
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
            if path.is_file():
                return _checked(file, path, origin)
        return None

    def _missing(self, task: Task, file: Wanted) -> Fault:
        places = self._places(task, file).values()
        if file.url is not None:
            mend = f"run `mlbench tasks fetch {task.name}` with a network"
        else:
            mend = "put the file in one of these places"
        if not Path(file.name).is_absolute():
            mend += ", or name the folder that holds it with --data-dir or MLBENCH_DATA"
        expected = "the file in one of: " + ", ".join(map(str, places))
        return Fault(file.name, "no such file" + (" (offline)" * self.offline), expected, mend)

    def _download(self, file: Wanted) -> Found:
        import pooch
        import requests

        assert_pinned = f"sha256:{file.sha256}"
        pooch.get_logger().setLevel("WARNING")
        kennel = pooch.create(
            path=self.cache,
            base_url="",
            registry={_cache_name(file): assert_pinned},
            urls={_cache_name(file): file.url},
            retry_if_failed=RETRIES,
        )
        try:
            path = Path(kennel.fetch(_cache_name(file), downloader=pooch.HTTPDownloader()))
        except requests.HTTPError as error:
            raise EnvironmentFault(_not_downloaded(file, error)) from None
        except requests.RequestException as error:
            raise _NoConnection(_not_downloaded(file, error)) from None
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise EnvironmentFault(
                Fault(str(self.cache), found, "a folder to write to", "set MLBENCH_CACHE")
            ) from None
        except ValueError as error:
            mend = "try again later; if it stays so, the file has changed at its source"
            raise IntegrityError(Fault(str(file.url), str(error), mend=mend)) from None
        return Found(
            file.role, file.language, file.name, path, path.stat().st_size, Origin.DOWNLOAD
        )
