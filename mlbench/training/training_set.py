"""Training sets: the judged pairs of a task and their translations, by the languages of both.

A task that says which passages answer which questions also says what a retriever can be trained on.
So every reader serves, and training text can be compared with what is evaluated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlbench
from mlbench.data.task import Task
from mlbench.evaluation.choices import chosen_languages, locator_of, streams
from mlbench.evaluation.options import Options, chosen_options
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.streamed_set import read_streamed


def training_set(
    task: str | Path | Task, options: Options | None = None, **changes: Any
) -> TrainingSet:
    """Read the training set that a task describes; the task is given as ``mlbench.evaluate`` takes
    it.

    ``options`` and ``changes`` are those of ``evaluate``: ``languages``, ``data_dir``, ``offline``
    and so on. ``{language}`` in an id, as in ``ir_datasets:mmarco/v2/{language}/train``, stands for
    each of the languages. Of a task in shards only what is judged is held (see ``streamed_set``).
    Raises UsageError for a task that there is not, DataError for faulty data.
    """
    chosen = chosen_options(options, changes)
    task = mlbench.load_task(task, chosen.languages)
    if streams(task, replace(chosen, languages=None)):
        languages = chosen_languages(task, chosen)
        return read_streamed(task, languages, locator_of(chosen), quiet=not chosen.progress)
    return TrainingSet.of(task.name, mlbench.load_collection(task, options, **changes))
