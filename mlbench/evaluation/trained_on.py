"""Whether a model was trained on what it is evaluated on, as its own record says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.common.counts import named, plural
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


def training_warnings(model: LoadedModel, task: Task, languages: Sequence[str]) -> tuple[str, ...]:
    """Say which training sets of a model hold how many texts of a task in some ``languages``, as
    the record in the model's folder tells; nothing where there is no record or it tells of none.

    A training set that is the task itself is told with those of these languages that were trained
    on, or with the others where it was trained on none of them; one of a task of pairs with its
    pairs, since each has texts of its own.

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
    every = task.roles.only(languages).pairs == task.roles.pairs
    counted = EVALUATED if every else f"texts of {task.name}, of which not all pairs are evaluated"
    for each in overlaps_of(rows, str(path)):
        if (each.task, each.version) == (task.name, task.version):
            measured.add(each.training)
            part = each.within(languages)
            fault = part.fault if every or part.fault is None else each.fault
            if fault is not None:
                yield counted, f"the {fault.where} {fault.found}"
    size = plural(_count(record["plan"]["size"]), "row")
    took = f"{plural(_count(record['steps']), 'step')} of {size}"
    for name, trained in _sets(record):
        if name == task.name:
            kind, seen, asked = _taken(task, trained or task.languages, languages)
            both = [each for each in asked if each in seen]
            if not both:
                said = f"the training set is {name} in {_told(kind, seen)}, in {took}, and its "
                said += "texts may be translations of those that are evaluated"
                yield f"other {kind} of {EVALUATED}", said
            elif name not in measured:
                where = f" in {_told(kind, both)}" if len(both) < len(asked) else ""
                yield EVALUATED, f"the training set is {name} itself{where}, in {took}"


def _taken(
    task: Task, trained: Sequence[str], evaluated: Sequence[str]
) -> tuple[str, list[str], list[str]]:
    """Return what a task is made of, languages or pairs of them, and which of these were trained on
    and are evaluated. Raises ValueError where none can have been trained on."""
    if not task.roles.pairs:
        return "languages", [*dict.fromkeys(trained)], [*evaluated]
    seen, asked = (
        ["-".join(pair) for pair in task.roles.only(codes).pairs] for codes in (trained, evaluated)
    )
    if not seen:
        raise ValueError(trained)
    return "pairs", seen, asked


def _told(kind: str, of: Sequence[str]) -> str:
    return named(of, "pair") if kind == "pairs" else in_languages(of)


def _sets(record: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the name of each training set of a record and the languages it was trained on; none for
    all that it has, where a record does not tell."""
    yield _text(record["data"]["name"]), _texts(record["plan"]["languages"])
    told = record["text_data"]
    if told is not None:
        codes = _texts(told.get("languages")) or _texts(record["config"]["languages"])
        yield _text(told["name"]), codes


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: Any) -> list[str]:
    if value is not None and not isinstance(value, list):
        raise TypeError(value)
    return [_text(each) for each in value or ()]
