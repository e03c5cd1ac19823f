"""How much a model is given at once: about as much as it encodes in a second or two.

So progress shows, and stopping or losing a run costs no more than that. A batch's size follows from
the batches before it and from one number, the pace at which a model settled, and not from what is
cached; the pace is kept with the model's vectors. So a run that goes on has the batches it would
have had, and a model whose rounding varies with the batch gives the same bytes. A model that cuts
batches itself is given some of these, whole, so that its pace makes no difference to any vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

FIRST_BYTES = 256
"""What the first batch may hold, a few texts; each further one twice as much until it settles."""
MOST_DOUBLINGS = 14
MOST_TEXTS = 2048
LONG_SECONDS = 1.0
TOO_LONG_SECONDS = 10.0
TOO_SHORT_SECONDS = 0.1
"""A batch of the settled size that lasts so long, or so short, shows another machine or device."""


class Pace:
    """The sizes of batches: they double from FIRST_BYTES until two in a row take long.

    From then on they have the size of the first of these two. ``settled`` is the number of
    doublings of that size, None as long as it is not known; ``settle`` is told when it is. The last
    batch of some texts, which may be smaller, teaches nothing.
    """

    def __init__(
        self, settled: int | None = None, settle: Callable[[int], None] = lambda doublings: None
    ) -> None:
        self.settled = settled
        self._settle = settle
        self._before = 0
        """The number of full batches so far."""
        self._full = self._long = False

    @property
    def _doublings(self) -> int:
        """Those of the next batch; the one after the settled size is first reached has twice that,
        as it had when the pace was found."""
        rising = self.settled is None or self._before <= self.settled + 1
        return min(self._before if rising else self.settled or 0, MOST_DOUBLINGS)

    def cut(self, sizes: Ints, ends: Ints) -> Iterator[slice]:
        """Yield batches of texts that have these ``sizes`` in bytes.

        ``ends`` are where a batch may end, ascending, the last of them ``len(sizes)``. Tell
        ``took`` how long each batch lasted before asking for the next, if it was encoded.
        """
        total = np.concatenate([[0], np.cumsum(sizes)])
        start = 0
        while start < len(sizes):
            limit = total[start] + (FIRST_BYTES << self._doublings)
            fitting = int(np.searchsorted(total, limit, "right")) - 1
            possible = np.searchsorted(ends, (start, min(fitting, start + MOST_TEXTS)), "right")
            stop = int(ends[max(possible[0], possible[1] - 1)])
            self._full = stop < len(sizes)
            yield slice(start, stop)
            self._before += self._full
            start = stop

    def took(self, seconds: float) -> None:
        """Learn how many seconds the batch that was last cut lasted.

        The first is not counted: many models do more than encode when they are first called.
        """
        if not self._full or not self._before:
            return
        if self.settled is None:
            long = seconds >= LONG_SECONDS
            if long and self._long:
                self._found(self._before - 1)
            self._long = long
        elif self._before > self.settled + 1:
            if seconds > TOO_LONG_SECONDS:
                self._found(self.settled - 1)
            elif seconds < TOO_SHORT_SECONDS:
                self._found(self.settled + 1)

    def _found(self, doublings: int) -> None:
        found = max(0, min(doublings, MOST_DOUBLINGS))
        if found != self.settled:
            self.settled = found
            self._settle(found)
