"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

LINE_EVERY_SECONDS = 5.0


class Step:
    """One step of work with a known total; use it as a context manager and call ``advance``."""

    def __init__(self, title: str, total: int, unit: str, *, quiet: bool = False) -> None:
        self.title, self.total, self.unit, self.quiet = title, total, unit, quiet
        self.done = 0
        self.seconds = 0.0
        self.note = ""
        self._bar: Any = None

    def __enter__(self) -> Self:
        self._start = self._last = time.perf_counter()
        if not self.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            scale = self.total >= 10**6
            self._bar = tqdm(
                total=self.total,
                desc=self.title,
                unit=" " + self.unit,
                unit_scale=scale,
                leave=False,
            )
        return self

    def advance(self, amount: int) -> None:
        """Say that ``amount`` more of the total is done."""
        self.done += amount
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(amount)
        elif not self.quiet and now - self._last > LINE_EVERY_SECONDS:
            self._last = now
            left = (now - self._start) * (self.total - self.done) / max(self.done, 1)
            share = f"{self.done / max(self.total, 1):.0%}"
            print(f"{self.title}: {share}, about {duration(left)} left{self.note}", file=sys.stderr)

    def say(self, note: str) -> None:
        """Show a note beside the progress from now on, such as which part is done."""
        self.note = f" ({note})"
        if self._bar is not None:
            self._bar.set_postfix_str(note)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        if self._bar is not None:
            self._bar.close()
        if kind is None and not self.quiet:
            print(f"{self.title}: done in {self.seconds:.1f} s", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(90), duration(5400), duration(200000)
    ('90 s', '90 min', '55.6 h')
    """
    if seconds < 300:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.1f} h"
