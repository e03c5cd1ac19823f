"""Standard output for results alone, whatever a model's code writes, and by whatever way."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast

STDOUT, STDERR = 1, 2


class _Results(io.TextIOWrapper):
    """A text stream for the thread that opened it; what others write is no result."""

    def __init__(self, file: io.BufferedWriter, **options: Any) -> None:
        super().__init__(file, **options)
        self._owner = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._owner:
            return super().write(text)
        return sys.stderr.write(text) if sys.stderr else len(text)


class _StdoutToStderr:
    """While a thread is in it, what is printed goes to standard error; the last thread that leaves
    puts ``sys.stdout`` back. Threads in ``redirect_stdout`` could leave it redirected for good."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside = 0
        self._given: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._given, sys.stdout = sys.stdout, sys.stderr
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._given, sys.stdout = None, cast("TextIO", self._given)


stdout_to_stderr = _StdoutToStderr()


@contextlib.contextmanager
def stdout_guard(*, final: bool) -> Iterator[None]:
    """Let only ``sys.stdout``, in this thread, reach standard output; flush it at the end.

    All else that is written to file descriptor 1 (by native code, child processes, other
    threads, ``sys.__stdout__``) goes to standard error; if ``final``, also what is written
    afterwards, such as by ``atexit`` functions. Where ``sys.stdout`` is closed, or is not file
    descriptor 1 (a notebook, a captured test), it stays as it is.
    """
    given = sys.stdout
    if _descriptor(given) != STDOUT:
        yield
        return
    given.flush()
    saved = os.dup(STDOUT)
    results = _Results(
        os.fdopen(os.dup(saved), "wb"),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=given.isatty(),
    )
    _stderr_as_stdout()
    sys.stdout = results
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            results.close()
        raise
    else:
        results.close()
    finally:
        sys.stdout = given
        given.flush()
        if not final:
            os.dup2(saved, STDOUT)
        os.close(saved)


def _descriptor(stream: Any) -> int | None:
    try:
        number: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number


def _stderr_as_stdout() -> None:
    """Make file descriptor 1 a copy of 2, or of nothing if that is closed."""
    try:
        os.dup2(STDERR, STDOUT)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, STDOUT)
        os.close(nothing)
