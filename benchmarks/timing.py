"""Timing side by side: the things compared take turns, each beside a run of the baseline."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Median seconds of one thing, and its median ratio to the baseline, turn by turn."""

    name: str
    seconds: float
    ratio: float
    turns: int


def side_by_side(
    things: Mapping[str, Callable[[], object]], baseline: str, turns: int
) -> dict[str, Timing]:
    """Run all things once unmeasured, then ``turns`` times in turn, the baseline before each.

    A ratio is that of two runs that follow each other, as a machine is seldom as fast for long.
    """
    for thing in things.values():
        thing()
    seconds: dict[str, list[float]] = {name: [] for name in things}
    ratios: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(turns):
        for name, thing in things.items():
            if name == baseline:
                continue
            before, taken = _seconds(things[baseline]), _seconds(thing)
            seconds[baseline].append(before)
            seconds[name].append(taken)
            ratios[name].append(taken / before)
    ratios[baseline] = [1.0]
    return {
        name: Timing(name, statistics.median(taken), statistics.median(ratios[name]), turns)
        for name, taken in seconds.items()
    }


def _seconds(thing: Callable[[], object]) -> float:
    start = time.perf_counter()
    thing()
    return time.perf_counter() - start


def processor_seconds(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Run a process, and return the processor time that it took, in itself and in the kernel.

    Raises RuntimeError if it fails.
    """
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime
