"""Processors that this process may use, and threads of libraries, which get into each other's way
beside our own."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

MEMBERSHIP, CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
LIBRARIES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What torch, BLAS and pyarrow read, and what numba reads."""


def usable_processors(membership: Path = MEMBERSHIP, groups: Path = CONTROL_GROUPS) -> int:
    """Return how many processors this process may use, at least 1.

    They are those that it may run on (``taskset``, a batch system) and, where a control group
    limits its share of time (a container), no more than that share, rounded up. ``membership`` is
    the file that names the process's groups, ``groups`` the folder where they are mounted.
    """
    shares = [math.ceil(share) for share in _shares(membership, groups)]
    return max(1, min([_processors(), *shares]))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shares(membership: Path, groups: Path) -> Iterator[float]:
    """Yield the processors' worth of time that the groups of a process, and those above, may use.

    A container may see its own group mounted at the top, so that the path to it leads nowhere.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # there are no control groups on this system
        return
    for line in lines:
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        path = PurePosixPath(name.lstrip("/"))
        names = [] if ".." in path.parts else [path, *path.parents]
        mounts = [groups]
        if controllers:  # cpu, or with others in any order
            mounts = [each for each in groups.glob("*cpu*") if "cpu" in each.name.split(",")]
        for folder in {mount / name for mount in mounts for name in [*names, PurePosixPath()]}:
            with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                if controllers:  # version 1
                    quota = (folder / "cpu.cfs_quota_us").read_text()
                    period = (folder / "cpu.cfs_period_us").read_text()
                else:
                    quota, period = (folder / "cpu.max").read_text().split()
                if int(quota) > 0:
                    yield int(quota) / int(period)


def limit_libraries() -> None:
    """Have libraries that are loaded later start as many threads as processors may be used.

    They ask which processors the process may run on, not for its share of their time. What the
    environment says already holds.
    """
    usable = usable_processors()
    if usable < _processors():
        for name in LIBRARIES:
            os.environ.setdefault(name, str(usable))


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep each product of numpy to the thread that asks for it: ``with one_blas_thread(): ...``"""
    one: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return one


@cache
def _libraries() -> ThreadpoolController:
    """Return a hold on numpy's BLAS, which is looked for among all that the process has loaded."""
    import numpy as np  # noqa: F401  BLAS is there once numpy is
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
