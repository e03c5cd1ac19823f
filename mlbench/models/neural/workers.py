"""Several devices: one process each, which takes batches from a common queue."""

from __future__ import annotations

import itertools
import queue
import signal
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mlbench.common.errors import Fault, MlbenchError, ModelError
from mlbench.models.boundary import calling
from mlbench.models.neural.forward import Floats, Forward

PATIENCE = 1.0
"""Seconds between two looks at whether the other processes still live."""


class Workers:
    """Processes with one model each, alive until ``close`` or the end of this object."""

    def __init__(self, spec: str, forward: Forward, devices: tuple[str, ...]) -> None:
        import torch
        import torch.multiprocessing

        context = torch.multiprocessing.get_context("spawn")
        forward.model.to("cpu")
        forward.model.share_memory()
        self._inbox, self._outbox = context.Queue(), context.Queue()
        self._inbox.cancel_join_thread()
        self._numbers = itertools.count()
        threads = max(1, torch.get_num_threads() // max(1, devices.count("cpu")))
        self._processes = [
            context.Process(
                target=work,
                args=(spec, forward, device, threads, self._inbox, self._outbox),
                daemon=True,
            )
            for device in devices
        ]
        self._close = weakref.finalize(self, _stop, self._processes)
        for process in self._processes:
            process.start()

    def run(self, role: str, batches: Sequence[Sequence[bytes]]) -> Iterator[Floats]:
        """Encode batches, and yield their vectors in the same order.

        Raises what the model raises, and ModelError if a process ends before its time.
        """
        numbers = [next(self._numbers) for _ in batches]
        for number, rows in zip(numbers, batches, strict=True):
            self._inbox.put((number, role, list(rows)))
        waiting: dict[int, Floats] = {}
        for number in numbers:
            while number not in waiting:
                done, result = self._next()
                if isinstance(result, MlbenchError):
                    self.close()
                    raise result
                waiting[done] = result
            yield waiting.pop(number)

    def _next(self) -> Any:
        while True:
            try:
                return self._outbox.get(timeout=PATIENCE)
            except queue.Empty:
                ended = [process for process in self._processes if not process.is_alive()]
                if ended:
                    self.close()
                    raise ModelError(
                        Fault(
                            "worker processes",
                            f"{len(ended)} ended with code {ended[0].exitcode}",
                            mend="the lines above may say why; memory may not have sufficed",
                        )
                    ) from None

    def close(self) -> None:
        """End the processes."""
        self._close()


def _stop(processes: list[Any]) -> None:
    for process in processes:
        if process.pid is not None:
            process.terminate()
    for process in processes:
        if process.pid is not None:
            process.join()


def work(spec: str, forward: Forward, device: str, threads: int, inbox: Any, outbox: Any) -> None:
    """Be one of the processes: encode what comes in, until the parent ends."""
    import multiprocessing

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if device == "cpu":
        torch.set_num_threads(threads)
    try:
        with calling(spec, f"load on {device}"):
            forward = replace(forward, model=forward.model.to(device))
    except MlbenchError as error:
        outbox.put((-1, error))
        return
    while parent is None or parent.is_alive():
        try:
            number, role, rows = inbox.get(timeout=PATIENCE)
        except queue.Empty:
            continue
        try:
            with calling(spec, f"encode on {device}"):
                outbox.put((number, forward.vectors(role, rows)))
        except MlbenchError as error:
            outbox.put((number, error))
