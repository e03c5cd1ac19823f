"""Relevance judgements in files: BEIR's TSV and TREC's qrels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mlbench.data.collection import Judgement
from mlbench.data.input_files import Faults, Line, describe, read_lines
from mlbench.data.locations import DataFile
from mlbench.data.readers._rows import Texts, read_rows

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")


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


def read_qrels(paths: Mapping[str, Path], faults: Faults) -> Iterator[Row]:
    """Yield the judgements of the files of each language, by it."""
    for language, path in paths.items():
        yield from _read_file(path, language, faults)


def _read_file(path: Path, language: str, faults: Faults) -> Iterator[Row]:
    """Yield the judgements of a file.

    A ``.parquet`` file has BEIR's three columns. Of another, the first line decides what it is:
    with the header "query-id corpus-id score" it has BEIR's columns, split by tabs; with four
    columns it is TREC's (query, iteration, passage, relevance), split by white space. Empty lines
    are skipped.
    """
    if path.suffix == ".parquet":
        yield from _read_parquet(path, language, faults)
        return
    lines: Iterator[Line] = (line for line in read_lines(path, faults) if line.text.strip())
    first = next(lines, None)
    if first is None:
        faults.add(str(path), "no judgement at all", "BEIR's TSV or TREC's qrels")
        return
    width = len(first.text.split())
    if first.text.split(BEIR.separator) == list(BEIR.columns):
        format_ = BEIR
    elif width == len(TREC.columns):
        format_, lines = TREC, chain([first], lines)
    else:
        faults.add(
            first.where,
            f"no header, and a first line of {width} columns",
            "the header query-id, corpus-id, score (split by tabs), or TREC's four columns",
        )
        return
    for line in lines:
        row = _row(line, format_, language, faults)
        if row is not None:
            yield row


def _row(line: Line, format_: _Format, language: str, faults: Faults) -> Row | None:
    fields = line.text.split(format_.separator)
    if len(fields) != len(format_.columns):
        expected = f"{format_.name} {len(format_.columns)}: {', '.join(format_.columns)}"
        faults.add(line.where, f"{len(fields)} columns", expected)
        return None
    query, passage, score = (fields[i] for i in (format_.query, format_.passage, format_.relevance))
    for role, id_ in (("query", query), ("passage", passage)):
        if not id_:
            faults.add(line.where, f"the {role} id is empty", f"the id of a {role}")
    if not WHOLE_NUMBER.fullmatch(score):
        faults.add(line.where, f"relevance {score!r}", "a whole number, at most nine digits")
        return None
    return Row(query, passage, int(score), language, line.where)


def _read_parquet(path: Path, language: str, faults: Faults) -> Iterator[Row]:
    texts = Texts(faults, BEIR.columns[:2])
    empty = True
    for row in read_rows(DataFile(language, path.name, path), faults):
        empty = False
        query, passage = (texts.string(row, key) for key in BEIR.columns[:2])
        score = row.fields.get("score")
        if type(score) is not int:
            faults.add(row.where, f"'score' is {describe(score)}", "a whole number")
        elif query is not None and passage is not None:
            yield Row(query, passage, score, language, row.where)
    if empty and not faults:
        faults.add(str(path), "no judgement at all", f"columns {', '.join(BEIR.columns)}")
