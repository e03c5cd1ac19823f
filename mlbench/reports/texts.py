"""The texts of a report's task, where its data is at hand and still the same; and lines of text
as wide as a terminal shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mlbench.common.errors import Fault, IntegrityError, MlbenchError, UsageError
from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection
from mlbench.data.sampling import Draw
from mlbench.data.sources import in_shards
from mlbench.data.task import Task
from mlbench.data.texts import Texts
from mlbench.ranking.ranks import Ranks
from mlbench.reports.explain import MOST_BIASED, most_biased
from mlbench.reports.found_first import Example
from mlbench.reports.provenance import TaskInfo

JOINERS = "\u200c\u200d"
"""Characters without a width that Persian and the scripts of India are spelt with."""


def task_of(info: TaskInfo, file: str | None = None) -> Task:
    """Return the task that a report is on: a built-in one by its name, or the one in ``file``.

    Raises UsageError where there is none, or it is called otherwise.
    """
    task = find_task(file or info.name)
    if task.name != info.name:
        expected = f"{info.name!r}, which the report is on"
        raise UsageError(Fault("--task", f"the task is called {task.name!r}", expected))
    return task


def is_streamed(info: TaskInfo, file: str | None = None) -> bool:
    """Whether a report's task is known here and comes in shards, too large to be searched."""
    try:
        return in_shards(task_of(info, file))
    except MlbenchError:
        return False


def read_data(info: TaskInfo, task: Task, locator: Locator) -> Collection:
    """Read what a report is on. Raises IntegrityError where it has changed since, UsageError for a
    task that is streamed, and as reading does."""
    if in_shards(task):
        found = "is streamed, and its passages are too many to search"
        raise UsageError(Fault(f"the data of {task.name}", found, "a task that is held in memory"))
    whole = read_collection(task, locator.of(task))
    collection = Draw(info.sample, info.sample_passages).of(whole)
    if collection.digest != (info.subset_of or info.digest):
        found = "has changed since the evaluation"
        expected = f"the data of digest {info.subset_of or info.digest}"
        raise IntegrityError(Fault(f"the data of {task.name}", found, expected))
    return collection


def shown_texts(ranks: Ranks, collection: Collection, examples: Iterable[Example] = ()) -> Texts:
    """Return the texts of the most biased queries and of their relevant passages, and those of
    examples."""
    found = most_biased(ranks, MOST_BIASED)
    queries = [(each.language, each.query_id) for each in found]
    passages = [(p.language, p.passage_id) for each in found for p in each.passages]
    for each in examples:
        queries.append(each.names[0])
        passages += each.names[1:]
    return Texts.some(collection, queries, passages)


def find_texts(info: TaskInfo, data_dir: Path | None = None, file: str | None = None) -> Texts:
    """Return the texts of a report's task, if its data is on this machine and the same.

    Never raises: a report is shown without texts where they cannot be had, and says why.
    """
    try:
        return Texts.of(read_data(info, task_of(info, file), Locator(data_dir, offline=True)))
    except MissingData:
        return Texts(
            {}, {}, f"the data of {info.name} was not found; name its folder with --data-dir"
        )
    except MlbenchError as error:
        fault = error.faults[0]
        if fault.where == f"task {info.name!r}":
            found = "is no built-in task; name its file with --task"
            return Texts({}, {}, f"{info.name} {found}")
        return Texts({}, {}, f"{fault.where} {fault.found}")


def cleaned(text: str) -> str:
    """Return a text on one line, without what could steer a terminal or turn its direction."""
    flat = " ".join(text.split())
    return "".join(c for c in flat if c.isprintable() or c in JOINERS)


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters take two each,
    accents none."""
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Return a text in at most ``most`` lines of ``width`` columns, cut with "…" where it has more.

    Words stay whole where there is a space within the line, which Chinese and Thai do without.
    """
    lines = [""]
    for word in re.findall(r"\S+\s*", cleaned(text)):
        if columns(word.rstrip()) <= width < columns((lines[-1] + word).rstrip()):
            lines.append("")
        rest = word
        while columns((lines[-1] + rest).rstrip()) > width:
            head = _fitting(rest, width - columns(lines[-1]))
            lines[-1] += head
            rest = rest[len(head) :]
            lines.append("")
        lines[-1] += rest
    lines = [line.rstrip() for line in lines if line.strip()]
    if len(lines) > most:
        lines = [*lines[: most - 1], _fitting(lines[most - 1], width - 1).rstrip() + "…"]
    return lines


def _fitting(text: str, width: int) -> str:
    """Return the beginning of a text that takes at most ``width`` columns."""
    end = min(len(text), max(width, 0))
    while end < len(text) and columns(text[: end + 1]) <= width:
        end += 1
    while end > 0 and columns(text[:end]) > width:
        end -= 1
    return text[:end]
