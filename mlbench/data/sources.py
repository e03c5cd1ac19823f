"""What the ``[source]`` of a task file may say: a row a reader, and the checks of a task by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbench.common.errors import Fault, did_you_mean
from mlbench.data.locations import SHARD, check_locations
from mlbench.data.task import Task


@dataclass(frozen=True)
class Reader:
    """What a reader asks of a task file.

    ``roles`` must be given in ``[source.files]`` and ``optional_roles`` may be; the patterns of
    the roles in ``per_language`` must hold ``{language}``. ``options`` maps each key of
    ``[source.options]`` to its allowed values, none for any string. ``texts`` are the values of
    ``text``, the default first. Roles in ``streamed`` may come in shards and be read piece by
    piece. ``by_id`` says that ``[source.ids]`` must name the data of each language.
    """

    name: str
    module: str
    roles: tuple[str, ...]
    texts: tuple[str, ...]
    optional_roles: tuple[str, ...] = ()
    per_language: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streamed: tuple[str, ...] = ()
    by_id: bool = False


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader(
            name="lareqa",
            module="mlbench.data.readers.lareqa",
            roles=("documents",),
            texts=("sentence", "sentence-context"),
            per_language=("documents",),
        ),
        Reader(
            name="beir",
            module="mlbench.data.readers.beir",
            roles=("corpus", "queries", "qrels"),
            texts=("text", "title-text"),
            options={"relevance": ("same-language", "parallel"), "language-field": ()},
            streamed=("corpus",),
        ),
        Reader(
            name="miracl",
            module="mlbench.data.readers.miracl",
            roles=("corpus", "topics", "qrels"),
            texts=("title-text", "text"),
            per_language=("corpus", "topics", "qrels"),
            streamed=("corpus",),
        ),
        Reader(
            name="ir_datasets",
            module="mlbench.data.readers.irds",
            roles=(),
            texts=("default", "title-text", "text"),
            options={"query-field": ()},
            by_id=True,
        ),
        Reader(
            name="lines",
            module="mlbench.data.readers.lines",
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
        *_check_ids(task, reader),
        *_check_options(task, reader),
        *_check_text(task, reader),
        *check_locations(task),
    ]


def in_shards(task: Task) -> bool:
    """Whether a task's passages come in shards, so that it had better be streamed."""
    reader = READERS[task.source.reader]
    return reader.by_id or any(SHARD.search(path) for path in task.source.files.values())


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
            "one file for each language, such as 'folder/{language}.ext'",
        )
        for role in reader.per_language
        if role in files and "{language}" not in files[role]
    ]
    faults += [
        Fault(
            f"{task.path}, field source.files.{role}",
            f"reader {reader.name!r} reads no {role!r} in shards",
            "one file" + (f"; shards of {', '.join(reader.streamed)}" if reader.streamed else ""),
        )
        for role in sorted(files.keys() & set(known) - set(reader.streamed))
        if SHARD.search(files[role])
    ]
    return faults


def _check_ids(task: Task, reader: Reader) -> list[Fault]:
    where = f"{task.path}, field source.ids"
    if not reader.by_id:
        found = f"reader {reader.name!r} finds its data by files"
        return [Fault(where, found, "no ids")] if task.source.ids else []
    faults = [
        Fault(f"{where}.{language}", "missing", "the id of the data set of this language")
        for language in task.languages
        if language not in task.source.ids
    ]
    for language in sorted(task.source.ids.keys() - set(task.languages)):
        hint = did_you_mean(language, task.languages)
        faults.append(Fault(f"{where}.{language}", "not a language of the task", mend=hint))
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
