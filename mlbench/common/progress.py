"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

LINE_EVERY_SECONDS = 5.0
LINES_A_DOUBLING = 40
"""Plain lines come less often the longer a step lasts: after an hour every 90 s."""
REDRAW_EVERY_SECONDS = 1.0
SHORT_SECONDS = 1.0
"""A brief step says that it is done only if it lasted so long."""
SHARE_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"


class Step:
    """One step of work with a known total; use it as a context manager and call ``advance``.

    A thread shows that the work goes on where nothing is done for a while. ``unit`` "" shows the
    share of the total alone, for a total that tells a reader nothing; a ``brief`` step that is
    soon over is not mentioned.
    """

    def __init__(
        self, title: str, total: int, unit: str, *, quiet: bool = False, brief: bool = False
    ) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.quiet = quiet or sys.stderr is None
        self.brief = brief
        self.done = 0
        self.seconds = 0.0
        self.note = ""
        self._bar: Any = None
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        if self.quiet:
            return self
        if not self.brief and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total,
                desc=self.title,
                unit=" " + self.unit,
                unit_scale=self.total >= 10**6,
                bar_format=None if self.unit else SHARE_BAR,
                leave=False,
            )
        self._watch = threading.Thread(target=self._beat, daemon=True)
        self._watch.start()
        return self

    def advance(self, amount: int) -> None:
        """Say that ``amount`` more of the total is done."""
        self.done += amount
        if self._bar is not None:
            self._bar.update(amount)

    def say(self, note: str) -> None:
        """Show a note beside the progress from now on, such as which part is done."""
        self.note = f" ({note})"
        if self._bar is not None:
            self._bar.set_postfix_str(note)

    def _beat(self) -> None:
        """Show how far the work is, until it is over."""
        every = LINE_EVERY_SECONDS if self._bar is None else REDRAW_EVERY_SECONDS
        while not self._over.wait(every):
            if self._bar is not None:
                self._bar.refresh()
                continue
            passed = time.perf_counter() - self._start
            print(self._line(passed), file=sys.stderr)
            every = max(LINE_EVERY_SECONDS, passed / LINES_A_DOUBLING)

    def _line(self, passed: float) -> str:
        if not self.done:
            return f"{self.title}: {duration(passed)} so far{self.note}"
        left = passed * (self.total - self.done) / self.done
        share = f"{self.done / max(self.total, 1):.0%}"
        return f"{self.title}: {share}, about {duration(left)} left{self.note}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        if self._bar is not None:
            self._bar.close()
        if kind is None and not self.quiet and not (self.brief and self.seconds < SHORT_SECONDS):
            print(f"{self.title}: done in {self.seconds:.1f} s", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(90), duration(5400), duration(200000)
    ('90 s', '90 min', '55.6 h')
    """
    if seconds < 300:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.1f} h"
