"""Downloads that go on where they stopped.

What has arrived lies in ``<file>.part`` until it is whole; then its digest is checked and it gets
its name. A later call, of this process or another, asks the server for the rest (HTTP Range) if
the file has not changed there (If-Range), or begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError
from mlbench.data.checksums import Stamp

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
"""Attempts in a row that bring nothing before a download is given up."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
TIMEOUT_SECONDS = 30.0
CHUNK = 1 << 16
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class NoConnection(EnvironmentFault):
    """The server does not answer, so that further files need not be tried."""


@dataclass(frozen=True)
class Download:
    """A file to be downloaded from ``url`` to ``target``; ``sha256`` is None if unknown."""

    url: str
    target: Path
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def part(self) -> Path:
        """What has arrived."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def mark(self) -> Path:
        """The server's name (ETag) for the version that ``part`` is the beginning of."""
        return self.target.with_name(f"{self.target.name}.etag")


def download(file: Download, advance: Callable[[int], None] = lambda count: None) -> Stamp:
    """Download a file, or the rest of it; ``advance`` is told the bytes that arrive.

    Raises EnvironmentFault where the server refuses, does not answer (NoConnection) or the file
    cannot be written; IntegrityError if its digest is not the one asked for.
    """
    from filelock import FileLock

    with _writing(file.target):
        file.target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.target.with_name(f".{file.target.name}.busy")):
            resumed = _complete(file, advance)
            stamp = _stamp(file.part)
            if file.sha256 not in (None, stamp.sha256) and resumed:
                _discard(file)
                _complete(file, advance)
                stamp = _stamp(file.part)
            if file.sha256 not in (None, stamp.sha256):
                _discard(file)
                raise IntegrityError(_forged(file, stamp))
            file.part.replace(file.target)
            file.mark.unlink(missing_ok=True)
    return stamp


def _complete(file: Download, advance: Callable[[int], None]) -> bool:
    """Bring ``file.part`` to its end; return whether a part of it was there before."""
    import requests

    if file.sha256 is None and not file.mark.exists():
        _discard(file)  # nothing would tell if the rest were of another version
    resumed = _size(file.part) > 0
    failures, wait = 0, FIRST_WAIT_SECONDS
    with requests.Session() as session:
        while True:
            before = _size(file.part)
            try:
                if _attempt(session, file, advance):
                    return resumed
                reason: object = "the server asks for patience"
            except requests.HTTPError as error:
                raise EnvironmentFault(_refused(file, error)) from None
            except requests.RequestException as error:
                reason = error
            resumed = True
            failures = 1 if _size(file.part) > before else failures + 1
            if failures == ATTEMPTS:
                raise NoConnection(_not_downloaded(file, reason))
            wait = FIRST_WAIT_SECONDS if failures == 1 else min(2 * wait, LONGEST_WAIT_SECONDS)
            time.sleep(wait)


def _attempt(session: requests.Session, file: Download, advance: Callable[[int], None]) -> bool:
    """Ask once; return whether the file is whole, False if the server wants to be asked later."""
    have = _size(file.part)
    mark = file.mark.read_text(encoding="latin-1") if have and file.mark.exists() else ""
    headers = {"Accept-Encoding": "identity", **file.headers}
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark:
            headers["If-Range"] = mark
    with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        if answer.status_code in TRY_AGAIN:
            return False
        if answer.status_code == 416 and answer.headers.get("Content-Range") == f"bytes */{have}":
            return True
        goes_on = answer.status_code == 206 and _begins_at(answer, have)
        if answer.status_code in (206, 416) and not goes_on:
            _discard(file)
            return False
        answer.raise_for_status()
        _note(file, answer.headers.get("ETag", ""))
        with file.part.open("ab" if goes_on else "wb") as part:
            for chunk in answer.iter_content(CHUNK):
                part.write(chunk)
                advance(len(chunk))
            part.flush()
            os.fsync(part.fileno())
    return True


def _begins_at(answer: requests.Response, have: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _note(file: Download, mark: str) -> None:
    """Keep a strong ETag; a weak one does not promise equal bytes."""
    if mark and not mark.startswith("W/"):
        file.mark.write_text(mark, encoding="latin-1")
    else:
        file.mark.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _stamp(path: Path) -> Stamp:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Stamp(digest, path.stat().st_size)


def _discard(file: Download) -> None:
    file.part.unlink(missing_ok=True)
    file.mark.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn what the disk refuses into EnvironmentFault; what has arrived stays."""
    try:
        yield
    except OSError as error:
        found = f"cannot be written: {error.strerror or error}"
        mend = "free some space and try again: the download goes on where it stopped; or name "
        raise EnvironmentFault(
            Fault(
                str(target.parent), found, "a folder to write to",
                mend + "another folder with MLBENCH_CACHE",
            )
        ) from None  # fmt: skip


def _refused(file: Download, error: requests.HTTPError) -> Fault:
    if error.response is not None and error.response.status_code in (401, 403):
        mend = "log in with `hf auth login` or set HF_TOKEN if the data set asks for that"
        found = f"may not be downloaded: {error.response.status_code} {error.response.reason}"
        return Fault(file.url, found, "a file that you may read", mend)
    return _not_downloaded(file, error)


def _not_downloaded(file: Download, reason: object) -> Fault:
    expected = file.target.name + (f" with SHA-256 {file.sha256}" if file.sha256 else "")
    return Fault(
        file.url,
        f"cannot be downloaded: {reason}",
        expected,
        "check the network and try again: the download goes on where it stopped; or download the "
        "file yourself and name the folder that holds it with --data-dir or MLBENCH_DATA",
    )


def _forged(file: Download, stamp: Stamp) -> Fault:
    found = f"has SHA-256 {stamp.sha256}"
    mend = "try again; if it happens again, the file has changed at its source"
    return Fault(file.url, found, f"SHA-256 {file.sha256}", mend)
