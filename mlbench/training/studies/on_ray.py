"""The models of a study trained on a Ray cluster, one a GPU or processor slot at a time.

All machines must reach the study's folder, and what it trains on, under the same names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault, MlbenchError
from mlbench.common.progress import Step
from mlbench.evaluation.ray_engine import cluster, import_ray, slots
from mlbench.training.studies.run import Job, carry_out_one

MOST_LOSSES = 2
"""Times that a model is begun again because its worker was lost."""


def carry_out_on_ray(
    todo: Sequence[Job], name: str, *, address: str | None, workers: int | None, quiet: bool
) -> None:
    """Do what is not done yet on the cluster at ``address``, or on one of this machine's own.

    Raises what a job raises once the others that run have ended; EnvironmentFault where Ray is
    missing or cannot be reached, or a job loses its worker again and again.
    """
    left = [job for job in todo if not job.done]
    if not left:
        return
    ray = import_ray()
    with cluster(ray, address), Step(f"{name}: models", len(left), "model", quiet=quiet) as step:
        count, needs = slots(ray, workers, len(left))
        do = ray.remote(**needs, max_retries=MOST_LOSSES)(_do)
        waiting, failed = [*reversed(left)], None
        running: dict[Any, Job] = {}
        while running or (waiting and failed is None):
            while waiting and failed is None and len(running) < count:
                job = waiting.pop()
                running[do.remote(job, Path.cwd())] = job
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                ray.get(done)
                step.advance(1)
            except ray.exceptions.RayTaskError as error:
                failed = failed or (error.cause if isinstance(error.cause, MlbenchError) else error)
            except ray.exceptions.RayError as error:
                failed = failed or EnvironmentFault(Fault(job.name, f"lost its worker: {error}"))
    if failed is not None:
        failed.add_note("what is done is kept, and the same command goes on from there")
        raise failed


def _do(job: Job, folder: Path) -> None:
    """Do a job where the command was typed, if this machine has that folder."""
    if folder.is_dir():
        os.chdir(folder)
        sys.path.insert(0, str(folder))
    carry_out_one(job)
