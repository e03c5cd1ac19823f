"""Runs in Weights & Biases, on its server or, with WANDB_MODE=offline, in a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.integrations.tracking.runs import TrackedRun, contents, figures_of, named
from mlbench.integrations.tracking.tools import Logged, without_secrets

FOREIGN = r"\W"
WHOLE = "logged-by-mlbench"
"""Marks a run that has all of its report."""
MEND = "log in with `wandb login`, or set WANDB_MODE=offline, which writes a folder"


def log(runs: Sequence[TrackedRun], at: str | None, project: str) -> Iterator[Logged]:
    """Log each run into a project. The run's id is made of its reports, so that logging them again
    resumes the same run instead of making a second one."""
    import wandb

    for run in runs:
        figures = [named(figures_of(step), FOREIGN) for step in run.steps]
        folder = Path(at or ".")
        before = sorted(folder.glob(f"wandb/offline-run-*-{run.key[:16]}/{WHOLE}"))
        if before:
            yield Logged(run, sum(map(len, figures)), str(before[-1].parent), new=False)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            made = wandb.init(
                project=project, name=run.name, id=run.key[:16], resume="allow", dir=str(folder),
                job_type="evaluation", config=run.facts, force=True,
                settings=wandb.Settings(silent=True, console="off", disable_git=True,
                                        save_code=False),
            )  # fmt: skip
        except wandb.errors.Error as error:
            found = f"{type(error).__name__}: {without_secrets(str(error))}"
            fault = Fault("Weights & Biases", found, "a run that begins", MEND)
            raise EnvironmentFault(fault) from None
        new = not (made.resumed and made.summary.get(WHOLE))
        with made:  # ends the run, as failed after an error
            if new:
                _write(made, run, figures)
        if made.offline:
            place = str(Path(made.dir).parent)
            Path(place, WHOLE).touch()
        else:
            place = without_secrets(made.url or "")
        yield Logged(run, sum(map(len, figures)), place, new)


def _write(made: Any, run: TrackedRun, figures: Sequence[dict[str, float]]) -> None:
    import wandb

    files = wandb.Artifact(f"report-{run.folder}", type="report")
    with tempfile.TemporaryDirectory() as folder:
        for step, values in zip(run.steps, figures, strict=True):
            made.log(values, step=step.step)
            for name, content in contents(step):
                path = Path(folder) / f"{step.step}-{name}"
                path.write_bytes(content)
                placed = f"{step.step}/{name}" if len(run.steps) > 1 else name
                files.add_file(str(path), name=placed)
        made.log_artifact(files)
    made.summary[WHOLE] = True
