"""A function over many jobs in processes of their own, which end with the caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.common.trust import safe_path

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each job and what ``function`` gives for it, as they are done.

    With one worker or one job all is done here. Function, jobs and results must be picklable.
    Raises what the function raises, and EnvironmentFault if a process ends before its time.
    """
    if min(workers, len(jobs)) < 2:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    context = multiprocessing.get_context("spawn")
    others = {child.pid for child in multiprocessing.active_children()}
    with safe_path():
        pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _depend_on_the_parent)
    try:
        with safe_path():
            number = {pool.submit(function, job): place for place, job in enumerate(jobs)}
        for done in as_completed(number):
            yield number[done], done.result()
    except BrokenProcessPool:
        mend = (
            "memory may not have sufficed, or a script of your own lacks "
            "`if __name__ == '__main__':`; the lines above may say why"
        )
        raise EnvironmentFault(Fault("worker process", "ended too early", mend=mend)) from None
    finally:
        for child in multiprocessing.active_children():
            if child.pid not in others:
                child.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _depend_on_the_parent() -> None:
    """Leave interrupts to the parent, and end when it does, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
