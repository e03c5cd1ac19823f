"""Whether a model was trained on what it is evaluated on, as its own record says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError
from mlbench.data.overlap_record import TRAINING_FILE, overlaps_of, training_record
from mlbench.data.task import Task

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel


def training_warnings(model: LoadedModel, task: Task, languages: Sequence[str]) -> tuple[str, ...]:
    """Say which training sets of a model hold how many texts of a task in some ``languages``, as
    the record in the model's folder tells; nothing where there is no record or it tells of none.

    Nothing is measured here: ``mlbench train`` measures the overlap with the task that it
    evaluates. Raises EnvironmentFault where there is a record that may not be read.
    """
    folder = getattr(model.adapter, "folder", None)
    if not isinstance(folder, Path):
        folder = Path(model.spec)
    path = folder / TRAINING_FILE
    try:
        record = training_record(folder) if model.spec else None
        said = _said(record, task, languages, path) if record else ()
        return tuple(
            f"This model was trained on what is evaluated: as its {TRAINING_FILE} says, {each}."
            for each in dict.fromkeys(said)
        )
    except (DataError, ValueError, TypeError, KeyError, AttributeError):
        return (f"{path} is damaged, so it is not known what this model was trained on.",)


def _said(
    record: Mapping[str, Any], task: Task, languages: Sequence[str], path: Path
) -> Iterator[str]:
    """Yield what a record says of a task, a sentence for each training set."""
    rows = [{name: row[name] for name in row if name != "schema"} for row in record["overlap"]]
    measured = set()
    for each in overlaps_of(rows, str(path)):
        if (each.task, each.version) == (task.name, task.version):
            measured.add(each.training)
            fault = each.within(languages).fault
            if fault is not None:
                yield f"the {fault.where} {fault.found}"
    for data in filter(None, (record["data"], record["text_data"])):
        if data["name"] == task.name and task.name not in measured:
            took = plural(record["steps"], "step")
            size = plural(record["plan"]["size"], "row")
            yield f"the training set is {task.name} itself, in {took} of {size}"
