"""Read and check a task file.

A task file (TOML) says what is evaluated: languages, where the data lies and how to read it,
which text a model is given, licence, citation, the kinds of setting and the headline measures.
``tasks/TEMPLATE.toml`` explains every field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import DataError, Fault
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fields_of,
    fill_form,
    if_only,
    one_of,
    read_toml,
)
from mlbench.data.task import LANGUAGE, NAME, SHA256, Kind, Source, Task


def _matching(pattern: re.Pattern[str], expected: str) -> Takes:
    return if_only(lambda v: isinstance(v, str) and pattern.fullmatch(v), expected)


def _distinct(entry: Takes) -> Takes:
    """Return what takes a list of at least one entry, all of them different."""

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError
        if not value:
            raise Wrong("an empty list", "at least one entry")
        twice = sorted({repr(e) for e in value if value.count(e) > 1})
        wrong = [Wrong(f"{text} given more than once", "distinct entries") for text in twice]
        for each in value:
            try:
                entry(each)
            except Wrong as fault:
                wrong.append(fault)
        if wrong:
            raise ExceptionGroup("", wrong)
        return value

    return Takes("a list of strings", read)


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, list) and value else [value]


def _by_role(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError
    return {"": value} if isinstance(value, str) else value


Text = Annotated[str, WORD]
Texts = tuple[str, ...]
_NAME = _matching(NAME, "lower-case letters, digits, '.', '_' and '-'")
_CODE = _matching(LANGUAGE, "language codes such as 'ar' or 'zh-Hans'")
_FILLED = if_only(lambda v: isinstance(v, str) and v, "a string that is not empty")
_COUNT = if_only(lambda v: type(v) is int and v > 0, "a whole number from 1")


@dataclass(frozen=True)
class _SourceForm:
    """The table ``[source]`` of a task file."""

    reader: str
    files: dict[str, Annotated[tuple[Text, ...], Takes("a path, or several", _one_or_more)]] = (
        field(default_factory=dict)
    )
    url: Annotated[dict[str, Text], Takes("a string, or a table of strings", _by_role)] = field(
        default_factory=dict
    )
    sha256: dict[str, Annotated[str, _matching(SHA256, "64 lower-case hex digits")]] = field(
        default_factory=dict
    )
    options: dict[str, Annotated[str, _FILLED]] = field(default_factory=dict)
    shards: dict[str, Annotated[int, _COUNT]] = field(default_factory=dict)
    ids: dict[str, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class _TaskForm:
    """A task file."""

    name: Annotated[str, _NAME]
    version: Text
    title: Text
    languages: Annotated[Texts, _distinct(_CODE)]
    licence: Text
    citation: Text
    source: _SourceForm
    settings: Annotated[Texts, _distinct(one_of(*map(str, Kind)))] = tuple(Kind)
    measures: Annotated[Texts, _distinct(WORD)] = ("AP", "RR", "nDCG@10", "R@1", "R@10")
    text: str = ""
    language_sets: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Text, ...] = ()


def parse_task(path: Path) -> Task:
    """Read the task file at ``path``.

    Raises DataError with every fault of the file at once: broken TOML (with its line), unknown
    fields (with the nearest known one), missing fields, wrong types, bad values.
    """
    table = read_toml(path, "a task file (TOML)", DataError)
    form = fill_form(_TaskForm, table, fields_of(path), DataError, _across(path, table))
    source = form.source
    return Task(
        name=form.name,
        version=form.version,
        title=form.title,
        languages=form.languages,
        kinds=tuple(map(Kind, form.settings)),
        measures=form.measures,
        text=form.text,
        licence=form.licence,
        citation=form.citation.strip(),
        source=Source(
            reader=source.reader,
            files={role: paths[0] for role, paths in source.files.items()},
            urls=source.url,
            sha256=source.sha256,
            options=source.options,
            shards=source.shards,
            places={role: paths[1:] for role, paths in source.files.items() if paths[1:]},
            ids=source.ids,
        ),
        path=path,
        language_sets={name: tuple(codes) for name, codes in form.language_sets.items()},
        notes=tuple(" ".join(note.split()) for note in form.notes),
    )


def _across(path: Path, table: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong between fields, as far as they are what they should be."""
    place = fields_of(path)
    languages, kinds = (table.get(key, [*Kind]) for key in ("languages", "settings"))
    languages = languages if isinstance(languages, list) else []
    if len(languages) == 1 and isinstance(kinds, list) and Kind.MONOLINGUAL not in kinds:
        found = "no setting, because the task has one language"
        yield Fault(place("settings"), found, "the monolingual setting, or more languages")
    sets = table.get("language-sets", table.get("language_sets"))
    for name, codes in sets.items() if isinstance(sets, dict) else ():
        where = place(f"language-sets.{name}")
        if not NAME.fullmatch(name) or name in languages:
            yield Fault(where, repr(name), f"a name of {_NAME.expected}, and not a language")
        if not isinstance(codes, list):
            yield Fault(where, repr(codes), "a list of the task's languages")
        elif codes != [code for code in languages if code in codes]:
            expected = "some of the task's languages, in its order: "
            expected += ", ".join(map(str, languages))
            yield Fault(where, ", ".join(map(str, codes)), expected)
