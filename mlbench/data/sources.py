"""What the ``[source]`` of a task file may say: a row a reader, and the checks of a task by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbench.common.errors import Fault, did_you_mean
from mlbench.data.locations import (
    PLACEHOLDER,
    SHARD,
    by_language,
    check_by_language,
    check_locations,
    source_fault,
)
from mlbench.data.task import Kind, Task


@dataclass(frozen=True)
class Reader:
    """What a reader asks of a task file.

    ``roles`` must be given in ``[source.files]``, ``optional`` ones may; the patterns of those in
    ``per_language`` must hold ``{language}``, those in ``per_pair`` ``{first}`` and ``{second}``.
    ``options`` maps each key of ``[source.options]`` to its allowed values, none for any string;
    those in ``required`` must be given. ``texts`` are the values of ``text``, the default first.
    Roles in ``streamed`` may come in shards and be read piece by piece, those in ``joined`` in
    shards of each language or of all, which are read one after the other.
    ``by_lines`` says that passages are lines of one file, which can be left there, ``by_id`` that
    ``[source.ids]`` must name the data of each language, ``asked_in_one`` that judgements of
    passages of a language are of queries in one language (``asked_in``).
    """

    name: str
    module: str
    roles: tuple[str, ...]
    texts: tuple[str, ...]
    per_language: tuple[str, ...] = ()
    per_pair: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    streamed: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    by_lines: bool = False
    by_id: bool = False
    asked_in_one: bool = False

    @property
    def streams(self) -> bool:
        """Whether passages can be left where they are, and be read shard by shard."""
        return bool(self.streamed) or self.by_lines or self.by_id


LANGUAGE = "{language}"
"""What stands for the language of passages in an id, and for each language that is not named as a
key of ``[source.ids]``."""
QUERY_LANGUAGE = "{query-language}"
"""What stands for the language of queries in an id."""


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader(
            name="lareqa",
            module="mlbench.data.readers.lareqa",
            roles=("documents",),
            texts=("sentence", "sentence-context", "sentence-context-joined", "paragraph"),
            per_language=("documents",),
            options={"records": ("all", "distinct")},
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
            options={"fields": ("docid text", "id contents")},
            streamed=("corpus",),
            asked_in_one=True,
        ),
        Reader(
            name="ir_datasets",
            module="mlbench.data.readers.irds",
            roles=(),
            texts=("default", "title-text", "text"),
            options={
                "relevance": ("same-language", "parallel"),
                "query-field": (),
                "queries": (),
            },
            by_id=True,
        ),
        Reader(
            name="rows",
            module="mlbench.data.readers.rows",
            roles=("rows",),
            texts=("passage",),
            options={
                "query": (),
                "passage": (),
                "query-id": (),
                "passage-id": (),
                "negatives": (),
                "query-language": (),
                "passage-language": (),
                "relevance": ("same-language", "parallel"),
                "repeated": ("refuse", "first"),
                "incomplete": ("refuse", "skip"),
            },
            required=("query", "passage"),
        ),
        Reader(
            name="lines",
            module="mlbench.data.readers.lines",
            roles=("text",),
            texts=("line",),
            per_language=("text",),
        ),
        Reader(
            name="bucc",
            module="mlbench.data.readers.bucc",
            roles=("text", "gold"),
            texts=("sentence",),
            per_language=("text",),
            per_pair=("text", "gold"),
        ),
        Reader(
            name="captions",
            module="mlbench.data.readers.captions",
            roles=("captions",),
            optional=("more-captions", "names", "images"),
            texts=("caption",),
            options={
                "caption": (),
                "caption-language": (),
                "image": (),
                "image-bytes": (),
                "image-files": (),
                "incomplete": ("refuse", "skip"),
                "leave-out": (),
            },
            joined=("captions", "more-captions", "images"),
        ),
        Reader(
            name="mewsli-x",
            module="mlbench.data.readers.mewsli_x",
            roles=("candidates", "mentions"),
            texts=("description",),
            by_lines=True,
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
        found = f"unknown reader {source.reader!r}"
        fault = source_fault(task, "reader", found, ", ".join(READERS), hint)
        return [fault, *check_locations(task)]
    return [
        *_check_languages(task, reader),
        *_check_roles(task, reader),
        *_check_ids(task, reader),
        *_check_options(task, reader),
        *_check_text(task, reader),
        *check_locations(task, reader.joined),
    ]


def ids_of(task: Task, language: str) -> list[tuple[str, str]]:
    """Return the ids of the data of a passage language, each with the language of its queries.

    ``{query-language}`` in an id stands for every query language, but for the passages' own only
    where that has settings. Queries without it are in the passages' language, or in the task's
    only query language; none are returned where neither is so.
    """
    id_, asked = task.source.ids[language], asked_in(task, language)
    if QUERY_LANGUAGE in id_:
        own = Kind.MONOLINGUAL in task.kinds
        others = [code for code in task.roles.queries if own or code != language]
        spelled = task.source.spelled
        return [(id_.replace(QUERY_LANGUAGE, spelled.get(c, c)), c) for c in others]
    return [(id_, asked)] if asked else []


def asked_in(task: Task, language: str) -> str:
    """Return the language of the queries that go with passages of a language: the same, or the
    task's only query language; "" where neither is so."""
    asked = task.roles.queries
    if language in asked:
        return language
    return asked[0] if len(asked) == 1 else ""


def in_shards(task: Task) -> bool:
    """Whether a task's passages come in shards, so that it had better be streamed."""
    reader = READERS[task.source.reader]
    files = task.source.files
    return reader.by_id or any(SHARD.search(files.get(role, "")) for role in reader.streamed)


def _check_languages(task: Task, reader: Reader) -> list[Fault]:
    """Find passages whose queries are in no certain language, where judgements do not say it."""
    unclear = [code for code in task.roles.passages if not asked_in(task, code)]
    if not (reader.asked_in_one and unclear):
        return []
    several, over = ", ".join(task.roles.queries), ", ".join(unclear)
    found = f"{several}, so it is not clear in which the queries over passages in {over} are"
    expected = "one query language, or those of all passages"
    return [Fault(f"{task.path}, field query-languages", found, expected)]


def _check_roles(task: Task, reader: Reader) -> list[Fault]:
    files, name = task.source.files, repr(reader.name)
    known = (*reader.roles, *reader.optional)
    faults = []
    for role in sorted(files.keys() - set(known)):
        found, hint = f"reader {name} has no role {role!r}", did_you_mean(role, known)
        faults.append(source_fault(task, f"files.{role}", found, ", ".join(known), hint))
    for role in reader.roles:
        if role not in files:
            expected = f"the path of the file, which reader {name} needs"
            faults.append(source_fault(task, f"files.{role}", "missing", expected))
    for role in reader.per_language:
        if not by_language(files.get(role, "{language}")):
            found = f"{files[role]!r} holds no {{language}}"
            expected = "one file for each language, such as 'folder/{language}.ext'"
            faults.append(source_fault(task, f"files.{role}", found, expected))
    for role in reader.per_pair:
        pattern = files.get(role, "{first} {second}")
        if not {"{first}", "{second}"} <= set(PLACEHOLDER.findall(pattern)):
            found = f"{pattern!r} does not hold {{first}} and {{second}}"
            expected = "files of each pair, such as 'folder/{first}-{second}.ext'"
            faults.append(source_fault(task, f"files.{role}", found, expected))
    sharded = (*reader.streamed, *reader.joined)
    able = f"; shards of {', '.join(sharded)}" if sharded else ""
    for role in sorted(files.keys() & set(known) - set(sharded)):
        if SHARD.search(files[role]):
            found = f"reader {name} reads no {role!r} in shards"
            faults.append(source_fault(task, f"files.{role}", found, f"one file{able}"))
    return faults


def _check_ids(task: Task, reader: Reader) -> list[Fault]:
    if reader.by_id:
        faults = check_by_language(task, "ids", "the id of the data set of this language")
        several = ", ".join(task.roles.queries)
        for language in task.roles.passages:
            if language in task.source.ids and not ids_of(task, language):
                found = (
                    f"{task.source.ids[language]!r} does not say in which language its queries are"
                )
                expected = f"an id with {QUERY_LANGUAGE}, which stands for each of {several}"
                faults.append(source_fault(task, f"ids.{language}", found, expected))
        return faults
    if any("{id}" in pattern for pattern in task.source.files.values()):
        return check_by_language(task, "ids", "what {id} stands for in the paths of this language")
    found = f"reader {reader.name!r} finds its data by files, and no path holds {{id}}"
    return [source_fault(task, "ids", found, "no ids")] if task.source.ids else []


def _check_options(task: Task, reader: Reader) -> list[Fault]:
    faults = [
        source_fault(
            task, f"options.{name}", "missing", f"the name of a field of {reader.roles[0]}"
        )
        for name in reader.required
        if name not in task.source.options
    ]
    for name, value in sorted(task.source.options.items()):
        if name not in reader.options:
            found = f"reader {reader.name!r} has no option {name!r}"
            known, hint = ", ".join(reader.options), did_you_mean(name, reader.options)
            known = known or "no options"
        elif reader.options[name] and value not in reader.options[name]:
            allowed = reader.options[name]
            found, known, hint = repr(value), ", ".join(allowed), did_you_mean(value, allowed)
        else:
            continue
        faults.append(source_fault(task, f"options.{name}", found, known, hint))
    return faults


def _check_text(task: Task, reader: Reader) -> list[Fault]:
    if not task.text or task.text in reader.texts:
        return []
    hint = did_you_mean(task.text, reader.texts)
    return [Fault(f"{task.path}, field text", f"{task.text!r}", ", ".join(reader.texts), hint)]
