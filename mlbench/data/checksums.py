"""Checksums recorded on first use, for published files whose digest no task file can pin.

They stand in one JSON file a task, ``<cache>/data/<task>.lock.json``. It maps what was read (the
path of a file, or its address) to the SHA-256 and size it had when it was first read; whatever
else is found there later is refused. It also keeps which commit a branch of a data set stood for,
so that it stands for it ever after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError
from mlbench.common.files import write_atomically

FORMAT = "mlbench/lock/1"
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Stamp:
    """What a file was: its SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class _Content:
    files: dict[str, Stamp]
    commits: dict[str, str]


@dataclass(frozen=True)
class RecordedChecksums:
    """The file of a task; made when something is first recorded."""

    path: Path

    def record(self, name: str, stamp: Stamp) -> None:
        """Record what ``name`` is, or check that it is what was recorded.

        Raises IntegrityError if it is not, or if the file of checksums is damaged; EnvironmentFault
        if it cannot be written.
        """
        self.record_all({name: stamp})

    def record_all(self, stamps: Mapping[str, Stamp]) -> None:
        """As ``record``, for several at once; the error names every one that differs."""
        known = self._read().files
        faults = [
            self._changed(name, known[name], stamp)
            for name, stamp in stamps.items()
            if known.get(name, stamp) != stamp
        ]
        if faults:
            raise IntegrityError(*faults)
        if stamps.keys() - known.keys():
            self._add(_Content(dict(stamps), {}))

    def commit(self, place: str) -> str | None:
        """Return the commit recorded for a data set's revision, None if there is none."""
        return self._read().commits.get(place)

    def record_commit(self, place: str, commit: str) -> None:
        """Record which commit a data set's revision stands for, unless one is recorded."""
        if place not in self._read().commits:
            self._add(_Content({}, {place: commit}))

    def _add(self, new: _Content) -> None:
        from filelock import FileLock

        with self._using("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            busy = FileLock(self.path.with_name(f".{self.path.name}.busy"), WAIT_SECONDS)
        with self._using("written"), busy:
            old = self._read()
            files, commits = {**new.files, **old.files}, {**new.commits, **old.commits}
            table = {
                "format": FORMAT,
                "commits": dict(sorted(commits.items())),
                "files": {name: asdict(files[name]) for name in sorted(files)},
            }
            write_atomically(self.path, (json.dumps(table, indent=1) + "\n").encode())

    @contextmanager
    def _using(self, verb: str) -> Iterator[None]:
        """Turn what the disk refuses into EnvironmentFault."""
        try:
            yield
        except OSError as error:
            found = f"cannot be {verb}: {error.strerror or error}"
            mend = "name another folder with MLBENCH_CACHE"
            fault = Fault(str(self.path), found, "a file to record checksums in", mend)
            raise EnvironmentFault(fault) from None

    def _read(self) -> _Content:
        try:
            with self._using("read"):
                raw = self.path.read_bytes() if self.path.exists() else None
            if raw is None:
                return _Content({}, {})
            table: Any = json.loads(raw)
            if table["format"] != FORMAT:
                raise ValueError(f"format {table['format']!r}")
            files = {name: Stamp(**stamp) for name, stamp in table["files"].items()}
            return _Content(files, dict(table["commits"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            found = f"damaged: {error}"
            mend = "delete it; checksums will then be recorded again"
            raise IntegrityError(Fault(str(self.path), found, FORMAT, mend)) from None

    def _changed(self, name: str, before: Stamp, now: Stamp) -> Fault:
        return Fault(
            name,
            f"has changed since it was first read: SHA-256 {now.sha256}, "
            f"{plural(now.size, 'byte')}",
            f"SHA-256 {before.sha256}, {plural(before.size, 'byte')}, as recorded in {self.path}",
            f"get the original file back; if the change is intended, delete {self.path}",
        )
