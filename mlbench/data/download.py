"""Downloads of one file: from the hub by huggingface_hub, from elsewhere by pooch.

A file gets its name when it is whole and its digest is right, so what lies in the cache is good.
huggingface_hub takes a broken connection up where it stopped; elsewhere the file is begun anew.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError
from mlbench.common.files import sha256_of
from mlbench.data.checksums import Stamp
from mlbench.data.hub import hub_errors, store
from mlbench.data.locations import HUB

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt, where the server asks for one or a connection breaks."""
TIMEOUT_SECONDS = 30.0
CHUNK = 1 << 16
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}

Advance = Callable[[int], None]


class NoConnection(EnvironmentFault):
    """The server does not answer, so that further files need not be tried."""


@dataclass(frozen=True)
class Download:
    """A file to be downloaded from ``url`` (``https://``, ``http://`` or ``hf://``) to ``target``;
    ``sha256`` is None if unknown."""

    url: str
    target: Path
    sha256: str | None = None


def download(file: Download, advance: Advance = lambda count: None) -> Stamp:
    """Download a file; ``advance`` is told the bytes that arrive from the hub.

    Processes that want the same file wait for the one that is first. Raises EnvironmentFault where
    the server refuses, does not answer (NoConnection) or the file cannot be written;
    IntegrityError if its digest is not the one asked for.
    """
    from filelock import FileLock

    target = file.target
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.busy")):
            if target.exists():
                return _checked(file, target)
            with tempfile.TemporaryDirectory(prefix=".arriving-", dir=target.parent) as folder:
                arrived = _arrived(file, Path(folder), advance)
                stamp = _checked(file, arrived)
                arrived.replace(target)
                return stamp


def _arrived(file: Download, folder: Path, advance: Advance) -> Path:
    """Return the whole file, somewhere in ``folder``; attempts that may help are made."""
    import pooch
    import requests

    on_hub = HUB.fullmatch(file.url) is not None
    errors = hub_errors() if on_hub else (requests.RequestException, OSError)
    waits = iter(WAITS)
    while True:
        try:
            if on_hub:
                with _silent(logging.getLogger("huggingface_hub.file_download")):
                    return store(file.url, folder, advance)
            with _silent(pooch.get_logger()):
                return _from_web(file.url, folder)
        except errors as error:
            status = _status(error)
            if _of_the_disk(error):
                raise
            if status is not None and status not in TRY_AGAIN:
                raise EnvironmentFault(_refused(file, error, status)) from None
            wait = None if on_hub and status is None else next(waits, None)
            if wait is None:
                raise NoConnection(_not_downloaded(file, _reason(file, error, status))) from None
            time.sleep(wait)


def _from_web(url: str, folder: Path) -> Path:
    import pooch

    reader = pooch.HTTPDownloader(
        timeout=TIMEOUT_SECONDS, chunk_size=CHUNK, headers={"Accept-Encoding": "identity"}
    )
    return Path(pooch.retrieve(url, None, fname="file", path=folder, downloader=reader))


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep a library from logging addresses of its own accord; what matters is in the error."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _checked(file: Download, path: Path) -> Stamp:
    stamp = Stamp(sha256_of(path), path.stat().st_size)
    if file.sha256 not in (None, stamp.sha256):
        mend = "try again; if it happens again, the file has changed at its source"
        found = f"has SHA-256 {stamp.sha256}"
        raise IntegrityError(Fault(file.url, found, f"SHA-256 {file.sha256}", mend))
    return stamp


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn what the disk refuses into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        found = f"cannot be written: {error.strerror or error}"
        mend = "free some space and try again, or name another folder with MLBENCH_CACHE"
        fault = Fault(str(target.parent), found, "a folder to write to", mend)
        raise EnvironmentFault(fault) from None


def _of_the_disk(error: Exception) -> bool:
    """Whether the system refused something; a library's own error has no number."""
    of_the_network = isinstance(error, ConnectionError | TimeoutError)
    return isinstance(error, OSError) and error.errno is not None and not of_the_network


def _status(error: Exception) -> int | None:
    """Return what a server answered, None where there was no answer."""
    answer = getattr(error, "response", None)
    return None if answer is None else int(answer.status_code)


def _reason(file: Download, error: Exception, status: int | None) -> str:
    """Say what went wrong; in the hub's library's own words a token or a signed address may be."""
    if status in TRY_AGAIN:
        return f"the server asks to wait ({status})"
    if HUB.fullmatch(file.url) is None:
        return str(error)
    return type(error).__name__ if status is None else f"{type(error).__name__} ({status})"


def _refused(file: Download, error: Exception, status: int) -> Fault:
    if status in (401, 403):
        mend = "log in with `hf auth login` or set HF_TOKEN if the data set asks for that"
        found = f"may not be downloaded: the server answers {status}"
        return Fault(file.url, found, "a file that you may read", mend)
    return _not_downloaded(file, _reason(file, error, status))


def _not_downloaded(file: Download, reason: str) -> Fault:
    expected = file.target.name + (f" with SHA-256 {file.sha256}" if file.sha256 else "")
    return Fault(
        file.url,
        f"cannot be downloaded: {reason}",
        expected,
        "check the network and try again: complete files are not downloaded again; or "
        "download the file yourself and name the folder that holds it with --data-dir or "
        "MLBENCH_DATA",
    )
