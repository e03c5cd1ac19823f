"""Files written so that nothing half-written looks complete; folders named safely, and found."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.common.user_folders import CACHE, can_be_written, temporary_folder

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|(entry|task)\.json|ranks\.parquet")
"""Devices of Windows, and what stands beside the folders of models in a leaderboard."""


def write_atomically(path: Path, content: bytes, option: str = "--output") -> None:
    """Write ``content`` beside ``path`` under a temporary name, then rename it into place.

    Raises EnvironmentFault where the disk is full or the folder cannot be written; ``option`` is
    what chooses another.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        _discard(temporary)
        raise EnvironmentFault(_fault(path, error, option)) from error
    except BaseException:
        _discard(temporary)
        raise


ABANDONED_SECONDS = 3600
"""An unfinished file of this age belongs to a run that was killed."""


def discard_abandoned(folder: Path, pattern: str) -> None:
    """Remove unfinished files of killed runs from ``folder``, those whose names fit ``pattern``."""
    for path in folder.glob(f".{pattern}.*.tmp"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let no other process be in a block with the same ``path`` meanwhile; on a disk that knows no
    locks, none waits. Raises EnvironmentFault where the folder cannot be written.
    """
    from filelock import FileLock

    lock = FileLock(path.with_name(f".{path.name}.busy"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NotImplementedError):
            lock.acquire()
    except OSError as error:
        raise EnvironmentFault(_fault(path, error)) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def without_empty_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Remove what is made meanwhile of ``folders`` and of those above, and stays empty."""
    made = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        yield
    finally:
        for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # it is not there, or not empty
                path.rmdir()


def check_writable(folder: Path, need: int) -> None:
    """Make ``folder`` and prove that ``need`` bytes can be written there.

    Raises EnvironmentFault before any work is wasted.
    """
    import shutil

    probe = folder / f".probe.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"mlbench")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise EnvironmentFault(_fault(folder, error)) from error
    if free < need:
        raise EnvironmentFault(
            Fault(
                str(folder),
                f"{free / 2**20:.0f} MiB free on the disk",
                f"about {need / 2**20:.0f} MiB for the report",
                "make room, or write elsewhere with --output",
            )
        )


def _fault(path: Path, error: OSError, option: str = "--output") -> Fault:
    return Fault(
        str(path),
        f"cannot be written: {error.strerror or error}",
        "a folder on a disk with room, writable by you",
        f"make room, or choose another place with {option}",
    )


@contextlib.contextmanager
def reading(path: Path, expected: str = "a readable file") -> Iterator[None]:
    """Turn what the system refuses while a file is read into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        found = f"cannot be read: {error.strerror or error}"
        raise EnvironmentFault(Fault(str(path), found, expected)) from None


def slug(name: str) -> str:
    """Return a folder name for ``name`` that is safe on every file system and its alone.

    A name of lower-case letters, digits, '.', '_' and '-' stays as it is; any other keeps what
    it can and gets a digest of the whole name.

    >>> slug("bm25")
    'bm25'
    >>> slug("a/b") != slug("a__b")
    True
    """
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")[:60].rstrip("-.")
    marked = re.search(r"-[0-9a-f]{10}$", safe)
    if safe == name and safe and not marked and not RESERVED.fullmatch(safe):
        return safe
    if RESERVED.fullmatch(safe):  # con.txt-<digest> would be the device still
        safe = safe.replace(".", "-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{safe or 'model'}-{digest}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(folder: Path, names: Iterable[str]) -> str:
    """Return the SHA-256 (hex) over the contents and names of files, in the order given."""
    total = hashlib.sha256()
    for name in names:
        total.update(f"{sha256_of(folder / name)}  {name}\n".encode())
    return total.hexdigest()


def cache_folder() -> Path:
    """Return mlbench's cache folder: ``MLBENCH_CACHE``, else one in the user's cache folder.

    Where that is not there and the user's home cannot be written, it is a temporary folder.
    """
    if given := os.environ.get("MLBENCH_CACHE"):
        return Path(given)
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("mlbench", appauthor=False))
    if not folder.is_absolute():  # "~" of a user without a home; any folder may hold one
        return temporary_folder() / "cache"
    if folder.is_dir() or can_be_written(CACHE, "mlbench"):
        return folder
    return temporary_folder() / "cache"


def shipped_folder(name: str) -> Path:
    """Return a folder that comes with mlbench, such as "tasks".

    It stands at the top of the repository, and inside the package when installed from a wheel.
    Raises EnvironmentFault where it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    folders = (package / f"_{name}", package.parent / name)
    for folder in folders:
        if folder.is_dir():
            return folder
    expected = " or ".join(map(str, folders))
    raise EnvironmentFault(
        Fault("mlbench", f"its folder {name}/ is missing", expected, "install mlbench again")
    )
