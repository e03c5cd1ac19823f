"""Find, download and check the data files of a task.

A relative path is looked for in the data folder (``--data-dir``, else ``MLBENCH_DATA``), beside
the task file, and in the cache (``MLBENCH_CACHE``, else the user's cache folder); failing that,
it is downloaded from the task's ``url`` into the cache, or read there piece by piece if it is
streamed. Wherever a file is found, the SHA-256 that the task file pins must hold; for a file of
the hub that has none, the one it had when it was first read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mlbench.common.counts import plural
from mlbench.common.errors import (
    DataError,
    EnvironmentFault,
    Fault,
    IntegrityError,
    MlbenchError,
    UsageError,
)
from mlbench.common.files import cache_folder, reading, shipped_folder
from mlbench.common.progress import Step
from mlbench.data.checksums import RecordedChecksums, Stamp
from mlbench.data.download import Download, NoConnection, download
from mlbench.data.hub import HubFile, at_commit, look_up, place_of
from mlbench.data.locations import SHARD, DataFile, Origin, wanted_files
from mlbench.data.sources import READERS
from mlbench.data.task import Task

MOST_NAMES = 20


class MissingData(DataError):
    """Data files are not on this machine and may not, or cannot, be downloaded."""


@dataclass(frozen=True)
class Files:
    """The files of a task: ``whole`` ones were checked, of ``streamed`` ones nothing was read.

    Called with a role, gives language ("" for all) -> path. ``folders`` are those that a relative
    path is looked for in.
    """

    whole: tuple[DataFile, ...]
    streamed: tuple[DataFile, ...]
    folders: tuple[Path, ...] = ()

    def __call__(self, role: str) -> dict[str, Path]:
        """Return the files of a role, each whole on this machine."""
        return {file.language: file.path for file in self.whole if file.role == role and file.path}

    def pairs(self, role: str) -> dict[tuple[str, str], dict[str, Path]]:
        """Return the files of a role by pair and language, each whole on this machine."""
        found: dict[tuple[str, str], dict[str, Path]] = {}
        for file in self.whole:
            if file.role == role and file.path and file.pair:
                found.setdefault(file.pair, {})[file.language] = file.path
        return found

    def corpus(self, role: str) -> tuple[DataFile, ...]:
        """Return the files of a role, by language, then shard."""
        return tuple(file for file in (*self.streamed, *self.whole) if file.role == role)


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

    def of(self, task: Task, streamed: Collection[str] = (), *, absent: bool = False) -> Files:
        """Find all files of ``task``.

        Those of the roles ``streamed``, and all shards but those of roles that are ``joined``, are
        neither downloaded nor checked here; they may also lie on the hub or, if ``absent``, be
        nowhere. Raises as ``fetch`` does.
        """
        files = task.source.files
        joined = READERS[task.source.reader].joined
        apart = [r for r in files if r in streamed or (SHARD.search(files[r]) and r not in joined)]
        whole = [role for role in files if role not in apart]
        found = self.fetch(task, whole)
        folders = (*([self.data_dir] if self.data_dir else []), task.path.parent)
        return Files(tuple(found), tuple(self._streamed(task, apart, absent)), folders)

    def look(self, task: Task) -> list[DataFile | None]:
        """Return every file of ``task`` that is on this machine, None for one that is not.

        Nothing is downloaded or read, so that no digest is checked.
        """
        return [self._place(task, file) for file in wanted_files(task)]

    def fetch(
        self, task: Task, roles: Collection[str] | None = None, *, quiet: bool = True
    ) -> list[DataFile]:
        """Find or download every file of ``task``, or of some roles, and check the digests.

        Raises, with all files concerned in one message: IntegrityError if a digest differs;
        EnvironmentFault if a file cannot be read, stored or downloaded; MissingData if files are
        missing and cannot be downloaded.
        """
        problems: list[MlbenchError] = []
        here: dict[DataFile, DataFile | None] = {}
        for file in wanted_files(task):
            if roles is not None and file.role not in roles:
                continue
            try:
                here[file] = self._find(task, file)
            except MlbenchError as error:
                problems.append(error)
        missing = [file for file, found in here.items() if found is None]
        self._refuse_stuck(task, missing, problems)
        here.update(self._download_all(task, missing, quiet))
        return [found for found in here.values() if found is not None]

    def _refuse_stuck(
        self, task: Task, missing: list[DataFile], problems: list[MlbenchError]
    ) -> None:
        stuck = [file for file in missing if self.offline or file.url is None]
        if stuck:
            problems.append(MissingData(self._missing(task, stuck)))
        _raise_gravest(problems)

    def _streamed(self, task: Task, roles: list[str], absent: bool) -> Iterable[DataFile]:
        """Return the files to be streamed; nothing of them is read."""
        wanted = (file for file in wanted_files(task) if file.role in roles)
        here = {file: self._place(task, file) for file in wanted}
        missing = [file for file, found in here.items() if found is None]
        if missing and not absent:
            self._refuse_stuck(task, missing, [])
            for file, at in self._look_up(task, [file for file in missing if file.on_hub]).items():
                digest = file.sha256 or at.sha256
                here[file] = replace(file, url=at.pinned, size=at.size, sha256=digest)
            here.update(self._download_all(task, [file for file in missing if not file.on_hub]))
        for file, found in here.items():
            known = found or replace(file, url=None)
            yield replace(known, path=known.path and known.path.absolute())

    def _recorded(self, task: Task) -> RecordedChecksums:
        return RecordedChecksums(self.cache / f"{task.name}.lock.json")

    def _look_up(self, task: Task, files: list[DataFile]) -> dict[DataFile, HubFile]:
        """Ask the hub about files; check them, and their commits, against what was recorded."""
        recorded = self._recorded(task)
        urls = [
            at_commit(url, recorded.commit(place_of(url))) for url in (str(f.url) for f in files)
        ]
        answers = dict(zip(files, look_up(urls), strict=True))
        recorded.record_all(
            {at.pinned: Stamp(at.sha256, at.size) for at in answers.values() if at.sha256}
        )
        for file, at in answers.items():
            recorded.record_commit(place_of(str(file.url)), at.commit)
        return answers

    def _places(self, task: Task, file: DataFile) -> list[tuple[Origin, Path]]:
        names = (file.name, *file.others)
        if Path(file.name).is_absolute():
            return [(Origin.GIVEN, Path(name)) for name in names if Path(name).is_absolute()]
        places = [(Origin.DATA, self.data_dir / name) for name in names if self.data_dir]
        places += [(Origin.TASK, task.path.parent / name) for name in names]
        if file.url is not None:
            places.append((Origin.CACHE, self.cache / _cache_name(file)))
        return places

    def _place(self, task: Task, file: DataFile) -> DataFile | None:
        """Return the file with the first place where it lies; None if it is nowhere."""
        recorded = self._recorded(task).path if file.on_hub else None
        for origin, path in self._places(task, file):
            with reading(path):
                if path.is_file():
                    size = path.stat().st_size
                    return replace(file, path=path, size=size, checksums=recorded, origin=origin)
        return None

    def _find(self, task: Task, file: DataFile) -> DataFile | None:
        """Return the file where it lies, its digest checked if one is known."""
        found = self._place(task, file)
        if found is None or (found.sha256 is None and found.checksums is None):
            return found
        try:
            found.digest()
        except IntegrityError as error:
            if found.origin is not Origin.CACHE:
                raise
            mend = "delete the file; it is then looked for elsewhere or downloaded again"
            raise IntegrityError(*(replace(f, mend=mend) for f in error.faults)) from None
        return found

    def _missing(self, task: Task, files: list[DataFile]) -> Fault:
        folders = [self.data_dir, task.path.parent] if self.data_dir else [task.path.parent]
        expected = f"them in {' or '.join(map(str, folders))}"
        mend = "put them there, or name the folder that holds them with --data-dir or MLBENCH_DATA"
        if any(file.url is not None for file in files):
            expected += f", or downloaded into {self.cache}"
            built_in = task.path == shipped_folder("tasks") / f"{task.name}.toml"
            mend = (
                f"run `mlbench tasks fetch {task.name if built_in else task.path}` with a network, "
                "or name the folder that holds them with --data-dir or MLBENCH_DATA"
            )
        if task.source.obtain and any(file.url is None for file in files):
            mend = f"{task.source.obtain}; then {mend}"
        names = "".join(f"\n    {file.name}" for file in files[:MOST_NAMES])
        if len(files) > MOST_NAMES:
            names += f"\n    and {len(files) - MOST_NAMES:,} more"
        count = plural(len(files), "data file")
        found = f"{count} not found{' (offline)' * self.offline}:{names}"
        return Fault(f"task {task.name!r}", found, expected, mend)

    def _download_all(
        self, task: Task, files: list[DataFile], quiet: bool = True
    ) -> dict[DataFile, DataFile]:
        """Download files; the errors of all are raised together."""
        unknown = [f for f in files if f.sha256 is None and f.on_hub]
        hub = self._look_up(task, unknown) if unknown else {}
        total = sum(at.size for at in hub.values())
        here: dict[DataFile, DataFile] = {}
        problems: list[MlbenchError] = []
        with Step(f"{task.name}: downloading", total, "bytes", quiet=quiet or not total) as step:
            for file in files:
                try:
                    here[file] = self._download(task, file, hub.get(file), step)
                except MlbenchError as error:
                    problems.append(error)
                    if isinstance(error, NoConnection):
                        break
        _raise_gravest(problems)
        return here

    def _download(self, task: Task, file: DataFile, at: HubFile | None, step: Step) -> DataFile:
        url = at.pinned if at else str(file.url)
        path = self.cache / _cache_name(file)
        digest = file.sha256 or (at.sha256 if at else None)
        stamp = download(Download(url, path, digest), step.advance if at else lambda count: None)
        if at is not None:
            self._recorded(task).record(str(path.absolute()), stamp)
        return replace(file, path=path, size=stamp.size, origin=Origin.DOWNLOAD)


def _cache_name(file: DataFile) -> str:
    """Return a path that says what the file holds, so that tasks and versions can share it."""
    if file.sha256 is None:
        return f"hub/{place_of(str(file.url))}/{file.name}"
    return f"{file.sha256}/{PurePosixPath(file.name).name}"


def _raise_gravest(problems: list[MlbenchError]) -> None:
    """Raise one error with all faults, of the class that matters most."""
    faults = [fault for problem in problems for fault in problem.faults]
    for kind in (IntegrityError, EnvironmentFault, MissingData):
        if any(isinstance(problem, kind) for problem in problems):
            raise kind(*faults)
