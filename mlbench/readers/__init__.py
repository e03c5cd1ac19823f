"""Readers: one file a source format; they turn files into records and know nothing of models.

A reader is a module of this package with one function, ``read(task, locate) -> Records``, and a
row in ``READERS``. Modules are imported when first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.errors import DataError, Fault, did_you_mean
from mlbench.locations import check_locations

if TYPE_CHECKING:
    from mlbench.collection import Collection, Records
    from mlbench.task import Task

Locate = Callable[[str], Mapping[str, Path]]
"""Role -> local path of each language's file; the key is "" for one file of all languages."""


@dataclass(frozen=True)
class Reader:
    """What a reader asks of a task file.

    ``roles`` must be given in ``[source.files]`` and ``optional_roles`` may be; the patterns of
    the roles in ``per_language`` must hold ``{language}``. ``options`` maps each key of
    ``[source.options]`` to its allowed values, none for any string. ``texts`` are the values of
    ``text``, the default first.
    """

    name: str
    module: str
    roles: tuple[str, ...]
    texts: tuple[str, ...]
    optional_roles: tuple[str, ...] = ()
    per_language: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader(
            name="lareqa",
            module="mlbench.readers.lareqa",
            roles=("documents",),
            texts=("sentence", "sentence-context"),
            per_language=("documents",),
        ),
        Reader(
            name="beir",
            module="mlbench.readers.beir",
            roles=("corpus", "queries", "qrels"),
            texts=("text", "title-text"),
            options={"relevance": ("same-language", "parallel"), "language-field": ()},
        ),
        Reader(
            name="lines",
            module="mlbench.readers.lines",
            roles=("text",),
            texts=("line",),
            per_language=("text",),
        ),
    )
}


def text_choice(task: Task) -> str:
    """Return which text of a passage the model is given: the task's ``text`` or the default."""
    return task.text or READERS[task.source.reader].texts[0]


def check_source(task: Task) -> list[Fault]:
    """Return what is wrong with the task's ``[source]`` and ``text``; opens no data file.

    Finds an unknown reader, roles that are missing or unknown, options and texts the reader does
    not know, and locations that cannot work (see ``locations.check_locations``).
    """
    source = task.source
    reader = READERS.get(source.reader)
    if reader is None:
        hint = did_you_mean(source.reader, READERS)
        return [
            Fault(
                f"{task.path}, field source.reader",
                f"unknown reader {source.reader!r}",
                ", ".join(READERS),
                hint,
            )
        ]
    return [
        *_check_roles(task, reader),
        *_check_options(task, reader),
        *_check_text(task, reader),
        *check_locations(task),
    ]


def read(task: Task, locate: Locate) -> Records:
    """Read a task's records with the reader it names.

    Raises DataError with all faults of the task's source, or else of its files.
    """
    faults = check_source(task)
    if faults:
        raise DataError(*faults)
    module = importlib.import_module(READERS[task.source.reader].module)
    records: Records = module.read(task, locate)
    return records


def load_collection(task: Task, locate: Locate) -> Collection:
    """Read a task's data from the files that ``locate`` names and check it.

    ``locate`` is usually ``Locator(...).of(task)``. Raises DataError.
    """
    from mlbench.collection import build_collection

    return build_collection(task.languages, read(task, locate))


def _check_roles(task: Task, reader: Reader) -> list[Fault]:
    files = task.source.files
    known = reader.roles + reader.optional_roles
    faults = [
        Fault(
            f"{task.path}, field source.files.{role}",
            f"reader {reader.name!r} has no role {role!r}",
            ", ".join(known),
            did_you_mean(role, known),
        )
        for role in sorted(files.keys() - set(known))
    ]
    faults += [
        Fault(
            f"{task.path}, field source.files.{role}",
            "missing",
            f"the path of the file, which reader {reader.name!r} needs",
        )
        for role in reader.roles
        if role not in files
    ]
    faults += [
        Fault(
            f"{task.path}, field source.files.{role}",
            f"{files[role]!r} holds no {{language}}",
            "one file a language, as 'folder/{language}.ext'",
        )
        for role in reader.per_language
        if role in files and "{language}" not in files[role]
    ]
    return faults


def _check_options(task: Task, reader: Reader) -> list[Fault]:
    faults = []
    for name, value in sorted(task.source.options.items()):
        where = f"{task.path}, field source.options.{name}"
        if name not in reader.options:
            found = f"reader {reader.name!r} has no option {name!r}"
            known = ", ".join(reader.options) or "no options"
            faults.append(Fault(where, found, known, did_you_mean(name, reader.options)))
        elif reader.options[name] and value not in reader.options[name]:
            allowed = reader.options[name]
            faults.append(
                Fault(where, f"{value!r}", ", ".join(allowed), did_you_mean(value, allowed))
            )
    return faults


def _check_text(task: Task, reader: Reader) -> list[Fault]:
    if not task.text or task.text in reader.texts:
        return []
    hint = did_you_mean(task.text, reader.texts)
    return [Fault(f"{task.path}, field text", f"{task.text!r}", ", ".join(reader.texts), hint)]
