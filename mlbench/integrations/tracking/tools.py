"""``track``: finished reports logged to MLflow, Weights & Biases or TensorBoard.

Each tool is a module with a function ``log(runs, at, project)``, which yields what became of each
run. Nothing is logged twice: a run is known by a digest of its reports.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mlbench.common.errors import EnvironmentFault, Fault, UsageError, did_you_mean, install_extra
from mlbench.common.terminal import printable
from mlbench.integrations.tracking.runs import TrackedRun, read_runs

PROJECT = "mlbench"
SECRETS = ("WANDB_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN")
MOST_TOLD = 500
"""Characters of a tool's own words that a message has."""


@dataclass(frozen=True)
class Tool:
    """A tool: its name, the package that it needs, and what installs that."""

    name: str
    package: str
    install: str
    projects: bool = True


TOOLS = {
    "mlflow": Tool("MLflow", "mlflow", install_extra("track")),
    "wandb": Tool("Weights & Biases", "wandb", "pip install wandb"),
    "tensorboard": Tool("TensorBoard", "tensorboard", install_extra("track"), projects=False),
}


@dataclass(frozen=True)
class Logged:
    """What became of a run: ``figures`` is how many there are, ``place`` where they are and
    ``new`` false where they were there already."""

    run: TrackedRun
    figures: int
    place: str
    new: bool


def track(
    reports: str | Path | Sequence[str | Path],
    to: str,
    *,
    at: str | Path | None = None,
    project: str | None = None,
    steps: Sequence[int] | None = None,
    name: str | None = None,
) -> list[Logged]:
    """Log saved reports to ``to``, which is "mlflow", "wandb" or "tensorboard".

    ``reports`` are folders, which may hold several. Each report is a run or, with ``steps`` (one a
    report), those on one task are the steps of one run. ``at`` is MLflow's tracking URI, or the
    folder of the other two; ``project`` the experiment of MLflow and the project of W&B. A run that
    is there already is not logged again. Raises UsageError for what does not fit, EnvironmentFault
    where a package is missing or the tool fails, and as ``read_report`` does.

    >>> import mlbench, pathlib, tempfile
    >>> report = mlbench.evaluate("char-ngram", "sample", progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     track(report.save(folder), "tensorboard", at=folder)[0].figures
    122
    """
    tool = TOOLS.get(to)
    if tool is None:
        expected = "mlflow, wandb or tensorboard"
        raise UsageError(Fault("--to", repr(to), expected, did_you_mean(to, TOOLS)))
    if project is not None and not tool.projects:
        fault = Fault("--project", f"{tool.name} has no projects", "--at FOLDER, or nothing")
        raise UsageError(fault)
    if not find_spec(tool.package):
        found = f"needs the package {tool.package}, which is not installed"
        raise EnvironmentFault(Fault(f"--to {to}", found, mend=tool.install))
    folders = [reports] if isinstance(reports, str | Path) else list(reports)
    runs = read_runs(folders, steps, name)
    module = importlib.import_module(f"mlbench.integrations.tracking.{to}")
    with _failing(tool):
        return list(module.log(runs, None if at is None else str(at), project or PROJECT))


@contextmanager
def _failing(tool: Tool) -> Iterator[None]:
    """Turn an error of a tool into ours, without a secret."""
    try:
        yield
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if not (package in (tool.package, "requests", "sqlalchemy") or isinstance(error, OSError)):
            raise
        found = f"{type(error).__name__}: {without_secrets(str(error))}"
        mend = f"check --at and the settings of {tool.name}"
        raise EnvironmentFault(Fault(tool.name, found, mend=mend)) from None


def without_secrets(text: str) -> str:
    """Return text on one line of at most 500 characters, without passwords in addresses and
    without the values of variables that hold keys.

    >>> without_secrets("at https://ada:secret@example.org/x")
    'at https://***@example.org/x'
    """
    for name in SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]+@", "://***@", text)
    return " ".join(printable(text).split())[:MOST_TOLD]
