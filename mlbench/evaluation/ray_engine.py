"""Counting shards on a Ray cluster: one actor a GPU or processor slot, each with the model loaded.

The driver hands an actor one shard at a time, adds up what comes back, and gives the shard of an
actor that was lost to another. A shard is counted alike wherever it is counted, so the sum is
that of the local engine. (Ray Core actors and ``ray.wait``; a lost worker costs one shard.)
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.common.errors import (
    EnvironmentFault,
    Fault,
    IntegrityError,
    MlbenchError,
    UsageError,
    install_extra,
)
from mlbench.common.threads import usable_processors
from mlbench.common.user_folders import temporary_folder
from mlbench.data.corpus import ShardSource
from mlbench.evaluation.core import Prepared, ShardCounts
from mlbench.evaluation.pipeline import Progress, count_shard

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel

MOST_LOSSES = 3
"""Times that a shard may lose its worker before it is taken for the cause."""
CONNECT_SECONDS = 10
INSTALL = install_extra("ray")


class Worker:
    """What an actor does: it loads the model once, then counts one shard after the other.

    It works in the ``folder`` where the command was typed, if its machine has that.
    """

    def __init__(self, prepared: Prepared, folder: Path | None = None) -> None:
        from mlbench.models.registry import load_adapter

        if folder is not None and folder.is_dir():
            os.chdir(folder)
        self._prepared = prepared
        self._model = load_adapter(prepared.spec, prepared.options)

    def identity(self) -> tuple[str, str]:
        """Return the version of mlbench and the identity of the model that this worker has."""
        return __version__, self._model.identity

    def count(self, shard: ShardSource) -> ShardCounts:
        """Count one shard."""
        return count_shard(self._prepared, self._model, shard)


@dataclass
class RayEngine:
    """An engine over the cluster at ``address``, or over one of its own that ends with it.

    ``workers`` is the number of actors, by default one a GPU, or one a processor where there is
    no GPU. All machines of a cluster must reach the model and the shards under the same names.
    """

    model: LoadedModel
    address: str | None = None
    workers: int | None = None
    losses: Counter[str] = field(default_factory=Counter)

    def __call__(
        self, prepared: Prepared, shards: Sequence[ShardSource], progress: Progress
    ) -> Iterator[ShardCounts]:
        """Yield the counts of every shard once, as they are done.

        Raises what counting raises, EnvironmentFault where Ray is missing or cannot be reached or
        a shard loses its worker again and again, IntegrityError where a worker has another model.
        """
        if not shards:
            return
        ray = import_ray()
        with cluster(ray, self.address):
            count, needs = slots(ray, self.workers, len(shards))
            limits = replace(prepared.limits, threads=needs.get("num_cpus", 1))
            held = ray.put(replace(prepared, limits=limits))
            actor = ray.remote(**needs)(Worker)
            yield from self._count(
                ray, lambda: actor.remote(held, Path.cwd()), count, shards, progress
            )

    def _count(
        self, ray: Any, start: Any, slots: int, shards: Sequence[ShardSource], progress: Progress
    ) -> Iterator[ShardCounts]:
        waiting = deque(shards)
        starting: dict[Any, Any] = {}
        working: dict[Any, tuple[Any, ShardSource]] = {}
        idle: list[Any] = []
        try:
            for _ in range(slots):
                _start(start, starting)
            while waiting or working:
                while waiting and idle:
                    actor, shard = idle.pop(), waiting.popleft()
                    working[actor.count.remote(shard)] = (actor, shard)
                (done, *_), _ = ray.wait([*working, *starting], num_returns=1)
                if done in starting:
                    self._check(ray, done)
                    idle.append(starting.pop(done))
                    continue
                actor, shard = working.pop(done)
                counts = self._result(ray, done, shard)
                if counts is None:
                    waiting.appendleft(shard)
                    ray.kill(actor)  # if it is out of reach only, another needs its place
                    _start(start, starting)
                    continue
                idle.append(actor)
                progress(counts.passages)
                yield counts
        finally:
            for actor in [*idle, *starting.values(), *(actor for actor, _ in working.values())]:
                ray.kill(actor)

    def _check(self, ray: Any, reference: Any) -> None:
        """Make sure that an actor which has started has this very model."""
        try:
            found = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except ray.exceptions.RayError as error:
            raise EnvironmentFault(Fault("Ray worker", f"did not start: {error}")) from None
        expected = (__version__, self.model.identity)
        if found != expected:
            raise IntegrityError(
                Fault(
                    f"Ray worker, model {self.model.spec}",
                    f"mlbench {found[0]}, identity {found[1]}",
                    f"mlbench {expected[0]}, identity {expected[1]}, as here",
                    "install the same version and put the same model on all machines",
                )
            )

    def _result(self, ray: Any, reference: Any, shard: ShardSource) -> ShardCounts | None:
        """Return the counts of a shard, None if its worker was lost."""
        try:
            counts: ShardCounts = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            self.losses[shard.name] += 1
            if self.losses[shard.name] < MOST_LOSSES:
                print(
                    f"{shard.name}: its worker was lost, so the shard is counted again",
                    file=sys.stderr,
                )
                return None
            found = f"lost its worker {MOST_LOSSES} times; the last time: {error}"
            mend = (
                "there may be too little memory: use fewer --workers, or machines with more memory"
            )
            raise EnvironmentFault(Fault(shard.name, found, mend=mend)) from None
        return counts


def _start(start: Any, starting: dict[Any, Any]) -> None:
    """Start an actor. It may never come, where its machine is gone: others go on meanwhile."""
    actor = start()
    starting[actor.identity.remote()] = actor


def import_ray() -> Any:
    """Return the library. Raises EnvironmentFault where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise EnvironmentFault(Fault("--engine ray", "Ray is not installed", INSTALL)) from None
    return ray


@contextlib.contextmanager
def cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Join the cluster at ``address``, or start one on this machine; leave it at the end."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        options |= {"include_dashboard": False, "num_cpus": usable_processors()}
    try:
        _reach(address)
        # Ray lets workers import from the folder where it is joined, before all else.
        with contextlib.chdir(temporary_folder()):
            ray.init(address=address or "local", **options)
    except (OSError, ray.exceptions.RayError, ValueError, RuntimeError) as error:
        mend = "start one with `ray start --head`, or leave --address out to use this machine"
        found = f"cannot be reached: {error}"
        where = f"Ray cluster {address or 'on this machine'}"
        raise EnvironmentFault(Fault(where, found, "a running cluster", mend)) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raise OSError where nobody listens at host:port: Ray would end this process."""
    if address and (at := re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d+)", address)):
        with socket.create_connection((at[1], int(at[2])), timeout=CONNECT_SECONDS):
            pass


def slots(ray: Any, workers: int | None, shards: int) -> tuple[int, Mapping[str, int]]:
    """Return how many actors to start, and what each needs of the cluster.

    Raises UsageError where more are asked for than the cluster has room for.
    """
    has = ray.cluster_resources()
    gpus, processors = int(has.get("GPU", 0)), int(has.get("CPU", 1))
    room = gpus or processors
    if workers is not None and workers > room:
        found = (
            f"{workers}, where the cluster has {plural(gpus, 'GPU')} and "
            f"{plural(processors, 'processor')}"
        )
        raise UsageError(
            Fault(
                "--workers",
                found,
                f"at most {room}: one for each GPU, or for each processor if there is no GPU",
            )
        )
    count = min(workers or room, shards)
    return count, {"num_gpus": 1} if gpus else {"num_cpus": max(1, processors // (workers or room))}


def _cause(error: Any) -> BaseException:
    """Return the error that a worker raised, as if it had been raised here."""
    cause = error.cause
    return cause if isinstance(cause, MlbenchError) else error
