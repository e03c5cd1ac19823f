"""Several processes that train one model together, as torchrun starts them."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PULSE = 20.0
"""Seconds after which the first process tells the others that it is still at work. They wait for
minutes at most for a process that says nothing."""


@dataclass(frozen=True)
class Processes:
    """How many processes train together, and which of them this one is, from 0."""

    count: int = 1
    rank: int = 0

    @classmethod
    def here(cls) -> Processes:
        """Return what torchrun, or another launcher, says of this process."""
        return cls(int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0")))

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def join(self) -> None:
        """Find the others, and the device of this process."""
        if self.count > 1:
            import torch
            from accelerate import PartialState

            PartialState(cpu=not torch.cuda.is_available())

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            import torch

            torch.distributed.barrier()

    def of_first(self, value: T) -> T:
        """Return the value that the first process has; all must ask."""
        if self.count == 1:
            return value
        import torch

        said = [value]
        torch.distributed.broadcast_object_list(said, src=0)
        return said[0]

    def first_does(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in the first process, which alone does it, or raise what it
        raises there; all must ask, and the others wait for as long as it takes."""
        if self.count == 1:
            return work()
        job = _Job(work)
        if self.first:
            job.start()
        while not self.of_first(self.first and job.done(PULSE)):
            pass
        value, error = self.of_first((job.value, _portable(job.error)))
        if error is not None:
            raise job.error or error
        return value  # type: ignore[return-value]


class _Job(threading.Thread):
    """Work in a thread, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.value: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self._work()
        except BaseException as error:
            self.error = error

    def done(self, seconds: float) -> bool:
        """Wait so long at most; say whether the work is done."""
        self.join(seconds)
        return not self.is_alive()


def _portable(error: BaseException | None) -> BaseException | None:
    """Return an error as another process can read it."""
    try:
        read: BaseException | None = pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"in the first process: {type(error).__name__}: {error}")
    return read
