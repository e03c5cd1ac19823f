"""Runs in MLflow: a server, or a database or a folder of this machine."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.integrations.tracking.runs import TrackedRun, contents, figures_of, named
from mlbench.integrations.tracking.tools import Logged, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "mlbench.run"
"""The tag that a run is known by."""
FOREIGN = r"[^\w.: -]"
AT_ONCE = 100
"""Parameters that MLflow takes in one request; of metrics it takes more."""


def log(runs: Sequence[TrackedRun], at: str | None, project: str) -> Iterator[Logged]:
    """Log each run into the experiment ``project`` of the tracking server ``at``, else of
    MLFLOW_TRACKING_URI, else of the database or folder that MLflow chooses."""
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    client = mlflow.MlflowClient(tracking_uri=at)
    experiment = _experiment(client, project)
    shown = without_secrets(str(client.tracking_uri))
    for run in runs:
        figures = [named(figures_of(step), FOREIGN) for step in run.steps]
        found = client.search_runs(
            [experiment], f"tags.`{KEY}` = '{run.key}' AND attributes.status = 'FINISHED'"
        )
        new = not found
        made = _write(client, experiment, run, figures) if new else found[0].info.run_id
        place = f"experiment {project}, run {made}, at {shown}"
        yield Logged(run, sum(map(len, figures)), place, new)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    made: str = client.create_experiment(name) if found is None else found.experiment_id
    return made


def _write(
    client: MlflowClient, experiment: str, run: TrackedRun, figures: Sequence[dict[str, float]]
) -> str:
    from mlflow.entities import Metric, Param

    facts = named(dict.fromkeys(((name,) for name in run.facts), 0.0), FOREIGN)
    params = [Param(key, said) for key, said in zip(facts, run.facts.values(), strict=True)]
    tags = {KEY: run.key, "mlbench.version": run.facts.get("version_mlbench", "")}
    made: Any = client.create_run(experiment, run_name=run.name, tags=tags)
    identity: str = made.info.run_id
    when = int(made.info.start_time)
    ended = "FAILED"
    try:
        _in_parts(client, identity, params=params)
        for step, values in zip(run.steps, figures, strict=True):
            metrics = [Metric(name, value, when, step.step) for name, value in values.items()]
            _in_parts(client, identity, metrics=metrics)
            with tempfile.TemporaryDirectory() as folder:
                place = str(step.step) if len(run.steps) > 1 else None
                for name, content in contents(step):
                    path = Path(folder) / name
                    path.write_bytes(content)
                    client.log_artifact(identity, os.fspath(path), place)
        ended = "FINISHED"
    finally:
        client.set_terminated(identity, ended)
    return identity


def _in_parts(client: MlflowClient, identity: str, **lists: list[Any]) -> None:
    for kind, values in lists.items():
        for start in range(0, len(values), AT_ONCE):
            client.log_batch(identity, **{kind: values[start : start + AT_ONCE]})
