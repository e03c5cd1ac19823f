"""Runs as event files of TensorBoard, which are written without torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlbench.common.files import without_empty_folders
from mlbench.integrations.tracking.runs import TrackedRun, figures_of, named, text_of
from mlbench.integrations.tracking.tools import Logged

FOLDER = "runs"
FOREIGN = r"[^\w.@:() -]"


def log(runs: Sequence[TrackedRun], at: str | None, project: str) -> Iterator[Logged]:
    """Write each run into a folder of its own in ``at``; TensorBoard keeps float32."""
    for run in runs:
        folder = Path(at or FOLDER) / run.folder
        figures = [named(figures_of(step), FOREIGN) for step in run.steps]
        new = not folder.exists()
        if new:
            with without_empty_folders([folder.parent]):
                folder.parent.mkdir(parents=True, exist_ok=True)
                _write(run, figures, folder)
        yield Logged(run, sum(map(len, figures)), str(folder), new)


def _write(run: TrackedRun, figures: Sequence[dict[str, float]], folder: Path) -> None:
    """Write the events of a run; its folder has its name only when it is whole."""
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as made:
        whole = Path(made) / folder.name
        writer = EventFileWriter(str(whole))
        for step, values in zip(run.steps, figures, strict=True):
            summaries = [scalar_pb(name, value) for name, value in values.items()]
            summaries.append(text_pb(f"{step.task}/report", text_of(step)))
            for summary in summaries:
                writer.add_event(_event(summary, step.step))
        writer.close()
        os.replace(whole, folder)  # noqa: PTH105


def _event(summary: object, step: int) -> object:
    import time

    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), step=step, summary=summary)
