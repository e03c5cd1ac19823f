"""Timing side by side: the things compared take turns, each beside a run of the baseline."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Clock = Callable[[], float]
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Timing:
    """Median seconds of one thing, and its median ratio to the baseline, turn by turn."""

    name: str
    seconds: float
    ratio: float
    turns: int


def side_by_side(
    things: Mapping[str, Callable[[], object]],
    baseline: str,
    turns: int,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Run all things once unmeasured, then ``turns`` times in turn, the baseline before each.

    A ratio is that of two runs that follow each other, as a machine is seldom as fast for long.
    ``clock`` may be ``time.process_time``: what other programs do counts less in that.
    """

    def taken_by(thing: Callable[[], object]) -> float:
        start = clock()
        thing()
        return clock() - start

    for thing in things.values():
        thing()
    seconds: dict[str, list[float]] = {name: [] for name in things}
    ratios: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(turns):
        for name, thing in things.items():
            if name == baseline:
                continue
            before, taken = taken_by(things[baseline]), taken_by(thing)
            seconds[baseline].append(before)
            seconds[name].append(taken)
            ratios[name].append(taken / before)
    ratios[baseline] = [1.0]
    return {
        name: Timing(name, statistics.median(taken), statistics.median(ratios[name]), turns)
        for name, taken in seconds.items()
    }


def peak_memory(imports: str, make: str, scale: float, work: str) -> int | None:
    """Return the most bytes that ``work`` takes beside its ``problem``, in a process of its own.

    All are Python text; the problem is ``make(scale=scale)``. The work is done before on a small
    one, so that what it imports and compiles does not count. None where this system does not say.
    """
    program = (
        f"{imports}\n"
        f"problem = {make}(scale=0.003)\n"
        f"{work}\n"
        f"problem = {make}(scale={scale})\n"
        "def now(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        "before = now()\n"
        f"{work}\n"
        "peak = [l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1]\n"
        "print(int(peak) * 1024 - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 else None


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
