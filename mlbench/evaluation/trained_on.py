"""Whether a model was trained on what it is evaluated on, as its own record says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError
from mlbench.data.overlap_record import (
    TRAINING_FILE,
    in_languages,
    overlaps_of,
    training_record,
)
from mlbench.data.task import Task

if TYPE_CHECKING:
    from mlbench.models.registry import LoadedModel

EVALUATED = "what is evaluated"
OTHERS = "other languages of what is evaluated"


def training_warnings(model: LoadedModel, task: Task, languages: Sequence[str]) -> tuple[str, ...]:
    """Say which training sets of a model hold how many texts of a task in some ``languages``, as
    the record in the model's folder tells; nothing where there is no record or it tells of none.

    A training set that is the task itself is told with those of these languages that were trained
    on, or with the others where it was trained on none of them.

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
            f"This model was trained on {what}: as its {TRAINING_FILE} says, {each}."
            for what, each in dict.fromkeys(said)
        )
    except (DataError, ValueError, TypeError, KeyError, AttributeError):
        return (f"{path} is damaged, so it is not known what this model was trained on.",)


def _said(
    record: Mapping[str, Any], task: Task, languages: Sequence[str], path: Path
) -> Iterator[tuple[str, str]]:
    """Yield what a record says of a task, for each training set: what of the task was trained on,
    and a sentence."""
    rows = [{name: row[name] for name in row if name != "schema"} for row in record["overlap"]]
    measured = set()
    for each in overlaps_of(rows, str(path)):
        if (each.task, each.version) == (task.name, task.version):
            measured.add(each.training)
            fault = each.within(languages).fault
            if fault is not None:
                yield EVALUATED, f"the {fault.where} {fault.found}"
    took = plural(record["steps"], "step")
    took += f" of {plural(record['plan']['size'], 'row')}"
    for name, trained in _sets(record):
        if name != task.name:
            continue
        codes = trained or task.languages
        both = [code for code in languages if code in codes]
        if not both:
            said = f"the training set is {name} in {in_languages(codes)}, in {took}, and its texts "
            yield OTHERS, f"{said}may be translations of those that are evaluated"
        elif name not in measured:
            where = f" in {in_languages(both)}" if len(both) < len(languages) else ""
            yield EVALUATED, f"the training set is {name} itself{where}, in {took}"


def _sets(record: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the name of each training set of a record and the languages it was trained on; none for
    all that it has, where a record does not tell."""
    yield record["data"]["name"], record["plan"]["languages"]
    if record["text_data"]:
        told = record["text_data"]
        yield told["name"], told.get("languages") or record["config"]["languages"]
