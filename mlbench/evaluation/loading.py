"""A task's data as it is evaluated: held, or its passages left where they are; whole, or a part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlbench.common.errors import Fault, UsageError
from mlbench.common.progress import Step
from mlbench.data.collection import Collection
from mlbench.data.corpus import StreamedCollection
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sampling import Draw, cut_to_languages
from mlbench.data.task import Task
from mlbench.evaluation.choices import chosen_languages, locator_of, streams
from mlbench.evaluation.options import Options, chosen_options
from mlbench.evaluation.rerankers import refuse_images
from mlbench.evaluation.tasks import load_task


def load_collection(
    task: str | Path | Task, options: Options | None = None, **changes: Any
) -> Collection:
    """Read and check a task's data: its queries, passages and judgements; see ``evaluate``.

    ``collection.languages`` are its languages; ``collection.queries`` and ``collection.passages``
    have ``ids`` and ``texts``, by language in that order, and ``starts``, where each begins.

    Raises UsageError for a task that is streamed, and as ``evaluate`` does.
    """
    task, chosen = load_task(task), chosen_options(options, changes)
    if streams(task, chosen):
        expected = "a task that is held in memory"
        raise UsageError(Fault(f"task {task.name!r}", "is streamed, shard by shard", expected))
    return _hold(task, chosen)


def open_collection(task: Task, options: Options) -> Collection | StreamedCollection:
    """Read a task's data: its passages are left where they are if the task is streamed.

    A part is drawn, or cut to some languages, if one is asked for. Raises as ``evaluate`` does.
    """
    if streams(task, options):
        return leave_passages(task, options)
    collection = _hold(task, options)
    if options.rerank is not None:
        refuse_images(task.name, collection)
    return collection


def leave_passages(task: Task, options: Options) -> StreamedCollection:
    """Read all of a task but its passages, which are left where they are."""
    with Step(f"{task.name}: reading", 1, "task", quiet=not options.progress, brief=True):
        return stream_collection(task, locator_of(options))


def _hold(task: Task, options: Options) -> Collection:
    places = locator_of(options).of(task)
    with Step(f"{task.name}: reading", 1, "task", quiet=not options.progress, brief=True):
        data = read_collection(task, places, strict=options.strict)
        return data if options.max_seconds else part_of(data, task, options)


def part_of(whole: Collection, task: Task, options: Options) -> Collection:
    """Return the part of a collection that is asked for."""
    drawn = Draw(options.sample_questions, options.sample_passages).of(whole)
    return cut_to_languages(drawn, chosen_languages(task, options))


def find_data(tasks: Iterable[Task], options: Options) -> None:
    """Find the data of all tasks that will be held, before any of them is evaluated.

    Raises as ``evaluate`` does where some of it cannot be had.
    """
    locator = locator_of(options)
    for task in tasks:
        if not streams(task, options):
            locator.of(task)
