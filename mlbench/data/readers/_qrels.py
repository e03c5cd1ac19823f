"""Relevance judgements in files: BEIR's columns as TSV, JSON lines or Parquet; TREC's qrels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import did_you_mean
from mlbench.data.collection import Judgement, TextRecord
from mlbench.data.corpus import BetweenAll
from mlbench.data.input_files import (
    INTEGER,
    Faults,
    Line,
    describe,
    integer_of,
    mend_integer,
    read_lines,
)
from mlbench.data.locations import DataFile
from mlbench.data.readers._rows import Row as TextRow
from mlbench.data.readers._rows import Texts, parse_rows, read_rows

OBJECT = re.compile(r'\s*\{\s*["}]')
FORMS = (
    "the header query-id, corpus-id, score (split by tabs), JSON lines with these fields, or "
    "TREC's four columns"
)

MARKS = {"commas": ",", "semicolons": ";", "quotation marks": '"'}
"""What tables split by tabs, as BEIR has them, are not written with."""


@dataclass(frozen=True)
class _Format:
    """A file of columns; ``separator`` None is any white space; the rest are column numbers."""

    name: str
    columns: tuple[str, ...]
    separator: str | None
    query: int
    passage: int
    relevance: int


BEIR = _Format("BEIR's", ("query-id", "corpus-id", "score"), "\t", 0, 1, 2)
TREC = _Format("TREC's", ("query", "iteration", "passage", "relevance"), None, 0, 2, 3)


class Row(NamedTuple):
    """A judgement as it stands; ``language`` is that of the file, "" where it has none."""

    query_id: str
    passage_id: str
    relevance: int
    language: str
    where: str

    def judgement(self, query: str, passage: str) -> Judgement:
        """Return the judgement of a query and a passage of these languages."""
        return Judgement(self.query_id, query, self.passage_id, passage, self.relevance, self.where)


def add_query(
    queries: dict[tuple[str, str], TextRecord], query: TextRecord, faults: Faults
) -> None:
    """Keep the first of a query that several files ask; note another with another text."""
    first = queries.setdefault((query.language, query.id), query)
    if first.text != query.text:
        found = f"query {query.id!r} has another text than at {first.where}"
        faults.add(query.where, found, "one text for each id of a query")


def languages_of(records: Iterable[TextRecord]) -> dict[str, list[str]]:
    """Return id -> the languages it exists in, in the order of the records."""
    languages: dict[str, dict[str, None]] = {}
    for record in records:
        languages.setdefault(record.id, {})[record.language] = None
    return {id_: [*found] for id_, found in languages.items()}


def across_languages(
    rows: Iterable[Row],
    queries: Mapping[str, Sequence[str]],
    passages: Mapping[str, Sequence[str]],
) -> Iterator[Judgement]:
    """Relate every language version of a query with every language version of a passage.

    ``queries`` and ``passages`` map an id to the languages it exists in; that of an id which no
    record has is "". What the files of several languages say alike is said once.
    """
    distinct: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        distinct.setdefault((row.query_id, row.passage_id, row.relevance), row)
    for row in distinct.values():
        for query_language in queries.get(row.query_id, ("",)):
            for passage_language in passages.get(row.passage_id, ("",)):
                yield row.judgement(query_language, passage_language)


def across_unread(
    rows: Iterable[Row], queries: Iterable[TextRecord], languages: Sequence[str]
) -> BetweenAll:
    """Relate as ``across_languages`` does, where passages may exist in any of the languages."""
    distinct: dict[tuple[str, str, int], Judgement] = {}
    for row in rows:
        name = (row.query_id, row.passage_id, row.relevance)
        if name not in distinct:
            distinct[name] = row.judgement("", "")
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    asked = {id_: tuple(found) for id_, found in languages_of(queries).items()}
    asked = {id_: alike.setdefault(found, found) for id_, found in asked.items()}
    return BetweenAll(tuple(distinct.values()), asked, languages)


def read_qrels(paths: Mapping[str, Path], faults: Faults) -> Iterator[Row]:
    """Yield the judgements of the files of each language, by it."""
    for language, path in paths.items():
        yield from _read_file(path, language, faults)


def _read_file(path: Path, language: str, faults: Faults) -> Iterator[Row]:
    """Yield the judgements of a file.

    A ``.parquet`` file has BEIR's three columns. Of another, unpacked if it ends in ``.gz``, the
    first line decides what it is: JSON lines with these three fields; with the header "query-id
    corpus-id score" a table split by tabs; with four columns TREC's (query, iteration, passage,
    relevance), split by white space. Empty lines are skipped.
    """
    if path.suffix.lower() == ".parquet":
        yield from _records(
            read_rows(DataFile(language, path.name, path), faults), path, language, faults
        )
        return
    lines: Iterator[Line] = (line for line in read_lines(path, faults) if line.text.strip())
    first = next(lines, None)
    if first is None:
        if not faults:
            faults.add(str(path), "no judgement at all", FORMS)
        return
    if OBJECT.match(first.text):
        yield from _records(parse_rows(chain([first], lines), faults), path, language, faults)
        return
    if [name.strip() for name in first.text.split(BEIR.separator)] == list(BEIR.columns):
        format_ = BEIR
    elif len(first.text.split()) == len(TREC.columns):
        format_, lines = TREC, chain([first], lines)
    else:
        faults.add(first.where, _formless(first.text), FORMS)
        return
    for line in lines:
        row = _row(line, format_, language, faults)
        if row is not None:
            yield row


def _formless(first: str) -> str:
    """Say what a file is whose first line is in none of the forms."""
    if first.lstrip().startswith(("[", "{")):
        return "JSON, but not an object on each line"
    names = [name.strip(' \t"') for name in re.split(r"[\t,;]", first)]
    if names == list(BEIR.columns):
        marks = [name for name, mark in MARKS.items() if mark in first]
        return f"this header, but with {' and '.join(marks)}"
    width = len(first.split())
    return f"no header, and a first line of {width} column{'s' * (width > 1)}"


def _row(line: Line, format_: _Format, language: str, faults: Faults) -> Row | None:
    fields = line.text.split(format_.separator)
    if len(fields) != len(format_.columns):
        expected = f"{format_.name} {len(format_.columns)}: {', '.join(format_.columns)}"
        faults.add(line.where, f"{plural(len(fields), 'column')}", expected)
        return None
    query, passage, score = (fields[i] for i in (format_.query, format_.passage, format_.relevance))
    for role, id_ in (("query", query), ("passage", passage)):
        if not id_:
            faults.add(line.where, f"the {role} id is empty", f"the id of a {role}")
    grade = integer_of(score)
    if grade is None:
        faults.add(line.where, f"relevance {score!r}", INTEGER, mend_integer(score))
        return None
    return Row(query, passage, grade, language, line.where)


def _records(rows: Iterable[TextRow], path: Path, language: str, faults: Faults) -> Iterator[Row]:
    """Yield the judgements of rows that name their fields."""
    texts = Texts(faults, BEIR.columns[:2])
    empty = True
    for row in rows:
        empty = False
        query, passage = (texts.string(row, key) for key in texts.id_keys)
        score = row.fields.get("score")
        for key, id_ in zip(texts.id_keys, (query, passage), strict=True):
            if id_ == "":
                faults.add(row.where, f"{key!r} is empty", "an id")
        grade = integer_of(score)
        if "score" not in row.fields:
            mend = did_you_mean("score", row.fields)
            faults.add(row.where, "no 'score'", INTEGER, mend)
        elif grade is None:
            faults.add(row.where, f"'score' is {describe(score)}", INTEGER, mend_integer(score))
        elif query is not None and passage is not None:
            yield Row(query, passage, grade, language, row.where)
    if empty and not faults:
        faults.add(str(path), "no judgement at all", f"columns {', '.join(BEIR.columns)}")
