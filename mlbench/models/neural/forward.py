"""Rows of token ids to vectors: batches under a token budget, on one device or several."""

from __future__ import annotations

import itertools
import queue
import signal
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, MlbenchError, ModelError
from mlbench.common.trust import safe_path
from mlbench.models.boundary import calling
from mlbench.models.neural.forms import Form
from mlbench.models.neural.outputs import WHOLE, Output, Tensors
from mlbench.ranking.vectors import Vectors

BUDGETS = {"cpu": 2048, "mps": 8192}
"""Tokens of a batch, padding included: on a CPU what its caches hold, ..."""
GPU_BUDGET = 32768
"""... on a GPU what keeps it busy."""
AHEAD = 2
"""Items: one that is ready, and one in the making."""

Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")


def default_budget(device: str) -> int:
    """Return the token budget for a device such as "cpu" or "cuda:1"."""
    return BUDGETS.get(device.partition(":")[0], GPU_BUDGET)


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield ``items``, making the next AHEAD in a thread while the caller works on the last."""
    iterator, done = iter(items), object()
    thread = ThreadPoolExecutor(1)
    coming = deque(thread.submit(next, iterator, done) for _ in range(AHEAD))
    try:
        while (item := coming.popleft().result()) is not done:
            coming.append(thread.submit(next, iterator, done))
            yield cast("Item", item)
    finally:
        thread.shutdown(cancel_futures=True)


@dataclass
class Forward:
    """A model on one device. Where memory does not suffice, it goes on with half as much.

    ``forms`` are by role. It can be sent to another process.
    """

    model: Any
    forms: dict[str, Form]
    output: Output = WHOLE
    limit: float = float("inf")
    """Tokens that are known to fit into memory at once."""

    def vectors(self, role: str, rows: Sequence[bytes]) -> Vectors:
        """Return the vectors of a batch, one row a text."""
        return self.output.vectors(self.tensors(role, rows))

    def tensors(self, role: str, rows: Sequence[bytes]) -> Tensors:
        """Return the vectors of a batch on the device, perhaps not computed yet.

        Raises ModelError if the memory does not suffice for one text.
        """
        import torch

        tokens = len(rows) * max(map(self.forms[role].size, rows))
        if tokens <= self.limit or len(rows) == 1:
            result = self._try(role, rows)
            if result is not None:
                return result
            free_memory()
            if len(rows) == 1:
                raise ModelError(
                    Fault(
                        f"device {self.model.device}",
                        f"out of memory on a text of {plural(tokens, 'token')}",
                        mend="give a smaller --max-length, or --dtype float16, or another --device",
                    )
                )
            self.limit = tokens // 2
        half = len(rows) // 2
        halves = self.tensors(role, rows[:half]), self.tensors(role, rows[half:])
        return tuple(map(torch.cat, zip(*halves, strict=True)))

    def _try(self, role: str, rows: Sequence[bytes]) -> Tensors | None:
        """Return the vectors; None if the memory does not suffice."""
        import torch

        form = self.forms[role]
        features = form.inputs(self.model, rows)
        device = self.model.device
        try:
            with torch.inference_mode():
                features = {
                    key: value.to(device) if torch.is_tensor(value) else value
                    for key, value in features.items()
                }
                found = self.model(features, **form.asked.arguments)
                return self.output.taken(self.model, found)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Say whether torch, on any device, ran out of memory."""
    import torch

    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or (
        "out of memory" in text or "can't allocate memory" in text
    )


def free_memory() -> None:
    """Give back what torch keeps of a device's memory for itself."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


Run = Callable[[str, Sequence[Sequence[bytes]]], Iterator[Vectors]]
"""Encodes batches of a role, and yields their vectors in the same order."""


def run_here(forward: Forward, role: str, batches: Sequence[Sequence[bytes]]) -> Iterator[Vectors]:
    """Encode batches in this process.

    No vector is fetched from the device before the next batch is on its way there, so that a
    GPU has work while the CPU puts batches together.
    """
    last: Tensors | None = None
    for rows in batches:
        tensors = forward.tensors(role, rows)
        if last is not None:
            yield forward.output.vectors(last)
        last = tensors
    if last is not None:
        yield forward.output.vectors(last)


PATIENCE = 1.0
"""Seconds between two looks at whether the other processes still live."""


class Workers:
    """Processes with one model each, alive until ``close`` or the end of this object."""

    def __init__(self, spec: str, forward: Forward, devices: tuple[str, ...]) -> None:
        import torch
        import torch.multiprocessing

        context = torch.multiprocessing.get_context("spawn")
        forward.model.to("cpu")
        with safe_path():
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
        with safe_path():
            for process in self._processes:
                process.start()

    def run(self, role: str, batches: Sequence[Sequence[bytes]]) -> Iterator[Vectors]:
        """Encode batches, and yield their vectors in the same order.

        Raises what the model raises, and ModelError if a process ends before its time.
        """
        numbers = [next(self._numbers) for _ in batches]
        for number, rows in zip(numbers, batches, strict=True):
            self._inbox.put((number, role, list(rows)))
        waiting: dict[int, Vectors] = {}
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
