"""Several processes that train one model together, as torchrun starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


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
