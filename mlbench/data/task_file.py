"""Read and check a task file.

A task file (TOML) says what is evaluated: languages, where the data lies and how to read it,
which text a model is given, licence, citation, the kinds of setting and the headline measures.
``tasks/TEMPLATE.toml`` explains every field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
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
from mlbench.data.sources import LANGUAGE
from mlbench.data.task import (
    IMAGE,
    NAME,
    SHA256,
    Group,
    Kind,
    Roles,
    Source,
    Task,
    code_of,
    language_code,
)


def _matching(pattern: re.Pattern[str], expected: str) -> Takes:
    return if_only(lambda v: isinstance(v, str) and pattern.fullmatch(v), expected)


def _distinct(entry: Takes) -> Takes:
    """Return what takes a list of at least one entry, all of them different."""

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError
        if not value:
            raise Wrong("an empty list", "at least one entry")
        meant: dict[str, list[str]] = {}
        wrong: list[Wrong] = []
        for each in value:
            try:
                means = entry(each)
            except Wrong as fault:
                wrong.append(fault)
                means = repr(each)
            meant.setdefault(means, []).append(repr(each))
        twice = [" and ".join(dict.fromkeys(same)) for same in meant.values() if len(same) > 1]
        wrong[:0] = [Wrong(f"{same} given more than once", "distinct entries") for same in twice]
        if wrong:
            raise ExceptionGroup("", wrong)
        return list(meant)

    return Takes("a list of strings", read)


def _code(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return language_code(value)


def _pair(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    one, other = map(_code, value)
    if one == other:
        raise Wrong(f"{one!r} twice", "two languages")
    return one, other


def _by_code(value: Any) -> Any:
    """Return a table by language with each language in its one spelling."""
    if not isinstance(value, dict):
        raise ValueError
    table = {code_of(spelling): entry for spelling, entry in value.items()}
    if len(table) < len(value):
        raise Wrong(f"a language given twice: {', '.join(value)}", "each language once")
    return table


def _meant(spelling: Any) -> Any:
    return code_of(spelling) if isinstance(spelling, str) else spelling


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, list) and value else [value]


def _by_role(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError
    return {"": value} if isinstance(value, str) else value


Text = Annotated[str, WORD]
Texts = tuple[str, ...]
_NAME = _matching(NAME, "lower-case letters, digits, '.', '_' and '-'")
_CODE = Takes("language codes such as 'ar', 'zh-Hans' or 'deu_Latn'", _code)
_PAIR = Takes("two language codes such as ['de', 'en']", _pair)
_BY_CODE = Takes("a table by language", _by_code)
_FILLED = if_only(lambda v: isinstance(v, str) and v, "a string that is not empty")
_COUNT = if_only(lambda v: type(v) is int and v > 0, "a whole number from 1")


Check = Callable[[Task], Iterable[Fault]]
"""Finds faults in a task beyond those of its form."""
STAND_INS: dict[str, Any] = {
    "version": "1",
    "title": "a task",
    "languages": ["en"],
    "licence": "none",
    "citation": "nobody",
    "source": {},
}
"""Required fields of a task file, for what is missing or faulty in it; its reader is ""."""
BY_LANGUAGE = ("shards", "ids", "sha256")
"""Tables of ``[source]`` whose keys must be those of the task's languages."""


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
    shards: Annotated[dict[str, Annotated[int, _COUNT]], _BY_CODE] = field(default_factory=dict)
    ids: Annotated[dict[str, Text], _BY_CODE] = field(default_factory=dict)
    obtain: Text = ""


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
    group: Group | None = None
    query_languages: Annotated[Texts, _distinct(_CODE)] = ()
    passage_languages: Annotated[Texts, _distinct(_CODE)] = ()
    pairs: tuple[Annotated[tuple[str, str], _PAIR], ...] = ()


def parse_task(path: Path, check: Check = lambda task: ()) -> Task:
    """Read the task file at ``path``; ``check`` finds further faults in the task that it says.

    Raises DataError with every fault of the file at once: broken TOML (with its line), unknown
    fields (with the nearest known one), missing fields, wrong types, bad values, and what ``check``
    finds, in a faulty file as far as that can be told.
    """
    table = read_toml(path, "a task file (TOML)", DataError)
    try:
        task = _filled(path, table)
    except DataError as error:
        raise DataError(*error.faults, *_further(path, table, error.faults, check)) from None
    if faults := [*check(task)]:
        raise DataError(*faults)
    return task


def _filled(path: Path, table: dict[str, Any]) -> Task:
    """Return the task that a table says. Raises DataError."""
    faults = _across(path, table)
    form = fill_form(_TaskForm, _named_ids(table), fields_of(path), DataError, faults)
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
            spelled={_meant(s): s for s in table["languages"] if s != _meant(s)},
            obtain=" ".join(source.obtain.split()),
        ),
        path=path,
        language_sets={
            name: tuple(map(_meant, codes))
            for name, codes in form.language_sets.items()
            if {*map(_meant, codes)} <= {*form.languages}
        },
        notes=tuple(" ".join(note.split()) for note in form.notes),
        group=form.group,
        query_languages=form.query_languages,
        passage_languages=form.passage_languages,
        pairs=form.pairs,
    )


def _named_ids(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a file with an id for each language of passages: ``{language}`` in
    ``[source.ids]`` says that of all which have none."""
    source, languages = table.get("source"), table.get("languages")
    ids = source.get("ids") if isinstance(source, dict) else None
    if not isinstance(ids, dict) or LANGUAGE not in ids or not isinstance(languages, list):
        return table
    searched = table.get("passage-languages", table.get("passage_languages"))
    known = [*map(_meant, searched)] if isinstance(searched, list) else [*map(_meant, languages)]
    named = {key: id_ for key, id_ in ids.items() if key != LANGUAGE}
    others = (s for s in languages if isinstance(s, str) and _meant(s) in known)
    made = {s: str(ids[LANGUAGE]).replace(LANGUAGE, s) for s in others}
    own = {*map(_meant, named)}
    named |= {s: id_ for s, id_ in made.items() if _meant(s) not in own}
    return {**table, "source": {**table["source"], "ids": named}}


def _further(
    path: Path, table: dict[str, Any], told: Sequence[Fault], check: Check
) -> Iterator[Fault]:
    """Yield what ``check`` finds in the sound fields of a file; nothing that follows from others.

    Something sound stands in for required fields that are missing or faulty.
    """
    names = [fault.where.removeprefix(fields_of(path)("")) for fault in told]
    if "languages" in names:
        names += [f"source.{key}" for key in BY_LANGUAGE]
    if f"source.ids.{LANGUAGE}" in names:
        names.append("source.ids")
    if any(name.startswith("source.files") for name in names):
        names.append("source.sha256")
    sound = deepcopy(table)
    for name in names:
        _remove(sound, name)
    sound = {**deepcopy(STAND_INS), "name": path.stem, **sound}
    if isinstance(table.get("languages"), list):
        codes = [code for code in table["languages"] if _fits(_CODE, code)]
        distinct = {_meant(code): code for code in codes}
        sound["languages"] = [*distinct.values()] or STAND_INS["languages"]
    sound["source"].setdefault("reader", "")
    try:
        task = _filled(path, sound)
    except DataError:
        return
    for fault in check(task):
        name = fault.where.removeprefix(fields_of(path)(""))
        if not any(f"{name}.".startswith(f"{n}.") or f"{n}.".startswith(f"{name}.") for n in names):
            yield fault


def _remove(table: dict[str, Any], name: str) -> None:
    """Remove the field of that dotted name, whose parts may hold dots, too."""
    for key, value in list(table.items()):
        if key == name:
            del table[key]
        elif name.startswith(f"{key}.") and isinstance(value, dict):
            _remove(value, name.removeprefix(f"{key}."))


def _fits(takes: Takes, value: Any) -> bool:
    try:
        takes(value)
    except Wrong:
        return False
    return True


def _left_out(table: dict[str, Any]) -> set[str]:
    """Return the languages that tables of ``[source]`` know, which a copy may leave out."""
    source = table.get("source")
    tables = [source.get(key) for key in ("shards", "ids")] if isinstance(source, dict) else []
    return {_meant(code) for each in tables if isinstance(each, dict) for code in each}


def _roles(table: dict[str, Any], languages: list[Any]) -> tuple[Roles, list[tuple[str, str, str]]]:
    """Return the roles that a file gives its languages, and what is wrong with them: the field,
    what was found, what was expected."""
    wrong: list[tuple[str, str, str]] = []
    of: list[list[Any]] = []
    for role in ("query", "passage"):
        name = f"{role}-languages"
        given = table.get(name, table.get(name.replace("-", "_")))
        chosen = [*map(_meant, given)] if isinstance(given, list) else languages
        if given is not None and chosen != [code for code in languages if code in chosen]:
            expected = "some of the task's languages, in its order: "
            expected += ", ".join(map(str, languages))
            wrong.append((name, ", ".join(map(str, chosen)), expected))
        of.append(chosen)
    lacking = [code for code in languages if code not in of[0] and code not in of[1]]
    if lacking and not wrong:
        found = f"{', '.join(map(str, lacking))} in neither query-languages nor passage-languages"
        wrong.append(("languages", found, "languages of queries or of passages"))
    if IMAGE in languages[:-1]:
        expected = f"{IMAGE!r}, the language of images, as the last one"
        wrong.append(("languages", ", ".join(map(str, languages)), expected))
    pairs, faults = _pairs(table, languages)
    return Roles(tuple(of[0]), tuple(of[1]), pairs), wrong + faults


def _pairs(
    table: dict[str, Any], languages: list[Any]
) -> tuple[tuple[tuple[str, str], ...], list[tuple[str, str, str]]]:
    """Return the pairs of a file that are two of its languages, and what is wrong with the others:
    the field, what was found, what was expected."""
    given = table.get("pairs")
    sound = [p for p in given if _fits(_PAIR, p)] if isinstance(given, list) else []
    pairs = [_pair(pair) for pair in sound]
    wrong: list[tuple[str, str, str]] = []
    for number, pair in enumerate(pairs):
        unknown = [code for code in pair if code not in languages]
        if unknown:
            expected = f"two of the task's languages: {', '.join(map(str, languages))}"
            wrong.append(("pairs", f"{' and '.join(pair)}, with {', '.join(unknown)}", expected))
        elif set(pair) in map(set, pairs[:number]):
            wrong.append(("pairs", f"{' and '.join(pair)} given more than once", "each pair once"))
    alone = [code for code in languages if not any(code in pair for pair in pairs)]
    if pairs and alone and not wrong:
        wrong.append(("languages", f"{', '.join(alone)} in no pair", "languages of pairs"))
    return tuple(pairs), wrong


def _across(path: Path, table: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong between fields, as far as they are what they should be."""
    place = fields_of(path)
    languages, kinds = (table.get(key, [*Kind]) for key in ("languages", "settings"))
    languages = [*map(_meant, languages)] if isinstance(languages, list) else []
    roles, wrong = _roles(table, languages)
    for name, found, expected in wrong:
        yield Fault(place(name), found, expected)
    if isinstance(kinds, list) and languages and not wrong:
        known = [kind for kind in Kind if kind in kinds]
        if known and not roles.settings(known):
            one = "the task has one language" if len(languages) == 1 else "no languages fit them"
            expected = "a kind of setting that the languages have, or more languages"
            yield Fault(place("settings"), f"no setting, because {one}", expected)
    source = table.get("source")
    ids = source.get("ids") if isinstance(source, dict) else None
    pattern = ids.get(LANGUAGE) if isinstance(ids, dict) else None
    if pattern is not None and (not isinstance(pattern, str) or LANGUAGE not in pattern):
        expected = f"an id with {LANGUAGE} in it"
        yield Fault(place(f"source.ids.{LANGUAGE}"), repr(pattern), expected)
    sets = table.get("language-sets", table.get("language_sets"))
    for name, codes in sets.items() if isinstance(sets, dict) else ():
        where = place(f"language-sets.{name}")
        if not NAME.fullmatch(name) or _meant(name) in languages:
            yield Fault(where, repr(name), f"a name of {_NAME.expected}, and not a language")
        if not isinstance(codes, list):
            yield Fault(where, repr(codes), "a list of the task's languages")
        elif set(meant := [*map(_meant, codes)]) - set(languages) & _left_out(table):
            continue  # a set of the whole task, in a copy that has some of its languages
        elif meant != [code for code in languages if code in meant]:
            expected = "some of the task's languages, in its order: "
            expected += ", ".join(map(str, languages))
            yield Fault(where, ", ".join(map(str, codes)), expected)
