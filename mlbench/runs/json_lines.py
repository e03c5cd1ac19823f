"""Runs as JSON lines: an object for each passage of a query, with two ids and a score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.data.input_files import Faults, Line, describe, parse_object, read_lines

FIELDS = {
    "query": ("q_id", "query_id", "query-id", "qid", "topic_id", "query"),
    "passage": (
        *("doc_id", "passage_id", "corpus-id", "docid", "docno", "pid", "corpus_id", "passage-id"),
        *("doc-id", "document_id", "did"),
    ),
    "score": ("score",),
}
"""What ranx, ir_datasets, BEIR and other tools call the columns of a run."""
LANGUAGES = ("query_language", "passage_language")
EXPECTED = 'a line {"query_id": ..., "doc_id": ..., "score": ...} for each passage'
OF_JSON = "a file {query: {passage: score}} is read if its name ends in .json"


class Entry(NamedTuple):
    """A passage of a query. An id has its language beside it where the line gives one."""

    number: int
    query: str | tuple[str, str]
    passage: str | tuple[str, str]
    score: float


def field_of(role: str, names: Iterable[str]) -> str | None:
    """Return which of some names is the field of a role, None if none is."""
    there = set(names)
    return next((name for name in FIELDS[role] if name in there), None)


def are_json_lines(path: Path) -> bool:
    """Whether the first line that is not empty is an object with the fields of an entry."""
    first = next((line for line in read_lines(path, Faults()) if line.text.strip()), None)
    fields = parse_object(first, Faults()) if first and first.text[0] == "{" else None
    if not fields or isinstance(next(iter(fields.values())), dict):
        return False
    return all(field_of(role, fields) for role in FIELDS)


def entries_of(path: Path, faults: Faults) -> Iterator[Entry]:
    """Yield what the lines hold; empty ones are skipped, what is wrong joins ``faults``."""
    for line in read_lines(path, faults):
        if not line.text or line.text.isspace():
            continue
        fields = parse_object(line, faults)
        entry = None if fields is None else _entry(line, fields, faults)
        if entry is not None:
            yield entry


def _entry(line: Line, fields: Mapping[str, Any], faults: Faults) -> Entry | None:
    names = {role: field_of(role, fields) for role in FIELDS}
    if lacking := [role for role, name in names.items() if name is None]:
        whole = bool(fields) and all(isinstance(value, dict) for value in fields.values())
        wanted = "; ".join(f"{role}: {', '.join(FIELDS[role])}" for role in lacking)
        found = f"no field for {' and '.join(lacking)}"
        faults.add(line.where, found, f"one of these names for {wanted}", OF_JSON if whole else "")
        return None
    ids = [_id(line, names[role], fields, faults) for role in ("query", "passage")]
    score = fields[str(names["score"])]
    if isinstance(score, bool) or not isinstance(score, int | float):
        faults.add(line.where, f"'score' is {describe(score)}", "a number")
        return None
    spoken = [_language(line, name, fields, faults) for name in LANGUAGES]
    if ids[0] is None or ids[1] is None:
        return None
    query, passage = (
        (id_, code) if code else id_ for id_, code in zip((ids[0], ids[1]), spoken, strict=True)
    )
    return Entry(line.number, query, passage, score)


def _id(line: Line, name: str | None, fields: Mapping[str, Any], faults: Faults) -> str | None:
    """Return an id, which may be an integer and then stands for its digits."""
    value = fields[str(name)]
    if isinstance(value, str) and value:
        return value
    if type(value) is int:
        return str(value)
    found = f"{name!r} is {'empty' if value == '' else describe(value)}"
    faults.add(line.where, found, "an id, as a string or an integer")
    return None


def _language(line: Line, name: str, fields: Mapping[str, Any], faults: Faults) -> str:
    """Return a language, "" where the line gives none."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    faults.add(line.where, f"{name!r} is {describe(value)}", "the code of a language")
    return ""
