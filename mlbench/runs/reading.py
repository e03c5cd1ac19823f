"""Run files: what they hold, read strictly into arrays.

A TREC line has six columns separated by blanks, ``query Q0 passage rank score tag``, or eight: the
query's language and the passage's language follow. Ranks are ignored, as trec_eval ignores them:
the scores say the order. ``.gz`` files are unpacked; ``.json``, ``.lz4`` (ranx) and ``.parquet``
(ranx: columns ``q_id``, ``doc_id``, ``score``) are told by their names, and so are JSON lines
(``.jsonl``, ``.ndjson``), which are known by their first line, too; all else is read as TREC.
"""

from __future__ import annotations

import contextlib
import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault
from mlbench.data.input_files import (
    Faults,
    describe,
    opened,
    read_json,
    read_lines,
    unpacked_lz4,
)
from mlbench.runs.json_lines import EXPECTED as JSON_LINES
from mlbench.runs.json_lines import FIELDS, are_json_lines, entries_of, field_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

COLUMNS, WITH_LANGUAGES = 6, 8
EXPECTED_LINE = "query Q0 passage rank score tag, with or without two languages after them"
RANX_COLUMNS = ("q_id", "doc_id", "score")
COLUMN = re.compile(r"[^ \t\r\f\v]+")


class Name(NamedTuple):
    """An id as a run file has it, and the language that the file gives beside it, or ""."""

    id: str
    language: str = ""


@dataclass(frozen=True)
class RunFile:
    """The lines of a run file, as arrays of one length (n,).

    ``query`` and ``passage`` (int64) index ``queries`` and ``passages``, the distinct names in the
    order in which they appear; ``score`` is float64 and finite; ``line`` counts from 1, or is None
    where the file has no lines. ``tag`` is the last column of the first line, "" without one.
    """

    path: Path
    queries: tuple[Name, ...]
    passages: tuple[Name, ...]
    query: Ints
    passage: Ints
    score: Floats
    line: Ints | None = None
    tag: str = ""

    def __len__(self) -> int:
        return len(self.query)

    def where(self, index: int) -> str:
        """Return where an entry stands, for messages."""
        if self.line is not None:
            return f"{self.path}:{self.line[index]}"
        query, passage = self.query[index], self.passage[index]
        return f"{self.path}, {self.queries[query].id!r}, {self.passages[passage].id!r}"


@dataclass
class _Table:
    """Collects the entries of a file."""

    queries: dict[Any, int] = field(default_factory=dict)
    passages: dict[Any, int] = field(default_factory=dict)
    query: array[int] = field(default_factory=lambda: array("q"))
    passage: array[int] = field(default_factory=lambda: array("q"))
    score: array[float] = field(default_factory=lambda: array("d"))
    line: array[int] = field(default_factory=lambda: array("q"))

    def add(self, query: Any, passage: Any, score: float) -> None:
        self.query.append(self.queries.setdefault(query, len(self.queries)))
        self.passage.append(self.passages.setdefault(passage, len(self.passages)))
        self.score.append(score)

    def run(self, path: Path, tag: str = "") -> RunFile:
        return RunFile(
            path=path,
            queries=tuple(_name(key) for key in self.queries),
            passages=tuple(_name(key) for key in self.passages),
            query=np.array(self.query, np.int64),
            passage=np.array(self.passage, np.int64),
            score=np.array(self.score, np.float64),
            line=np.array(self.line, np.int64) if self.line else None,
            tag=tag,
        )


def _name(key: Any) -> Name:
    return Name(key) if isinstance(key, str) else Name(*key)


def read_run(path: Path) -> RunFile:
    """Read a run file.

    Raises DataError with all faults of the file (20 of many): no entry at all, lines that are not
    those of a run, scores that are no finite numbers, a passage given twice for a query.
    """
    if not path.is_file():
        raise DataError(Fault(str(path), "no such file", "a run file"))
    faults = Faults()
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    read, expected = READERS.get(kind, (_read_trec, EXPECTED_LINE))
    if read in {_read_json, _read_trec} and are_json_lines(path):
        read = _read_json_lines
    run = read(path, faults)
    faults.check()
    if not len(run):
        raise DataError(Fault(str(path), "holds no ranking", expected))
    for index in np.flatnonzero(~np.isfinite(run.score)).tolist():
        faults.add(run.where(index), f"score {run.score[index]}", "a finite number")
    _note_duplicates(run, faults)
    faults.check()
    return run


def _note_duplicates(run: RunFile, faults: Faults) -> None:
    for first, again in duplicates(run.query, run.passage):
        passage, query = (
            names[of[again]].id
            for names, of in ((run.passages, run.passage), (run.queries, run.query))
        )
        found = f"passage {passage!r} given again for query {query!r}; first at {run.where(first)}"
        faults.add(run.where(again), found, "each passage of a query once")


def duplicates(query: Ints, passage: Ints) -> Iterator[tuple[int, int]]:
    """Yield (first, again) of each entry whose query and passage were given before."""
    order = np.lexsort((passage, query))
    same = (np.diff(query[order]) == 0) & (np.diff(passage[order]) == 0)
    first = -1
    for at in np.flatnonzero(same).tolist():
        if at == 0 or not same[at - 1]:
            first = int(order[at])
        yield first, int(order[at + 1])


def _read_trec(path: Path, faults: Faults) -> RunFile:
    """Read lines; those that are well formed all together, any others one by one."""
    run = _read_plain(path, faults)
    return _read_lines(path, faults) if run is None else run


def _read_plain(path: Path, faults: Faults) -> RunFile | None:
    """Read a file of six columns with one space between them, None if it is anything else."""
    import pyarrow as pa
    from pyarrow import csv

    name = pa.dictionary(pa.int32(), pa.string())
    names = ("query", "second", "passage", "rank", "tag")
    types = dict.fromkeys(names, name) | {"score": pa.float64()}
    table = None
    with opened(path, faults) as file, contextlib.suppress(pa.ArrowException):
        table = csv.read_csv(
            file,
            csv.ReadOptions(column_names=[*names[:4], "score", "tag"]),
            csv.ParseOptions(
                delimiter=" ", quote_char=False, escape_char=False, ignore_empty_lines=False
            ),
            csv.ConvertOptions(
                column_types=types, null_values=[], strings_can_be_null=False
            ),
        ).unify_dictionaries().combine_chunks()  # fmt: skip
    if faults:
        return _Table().run(path)
    if table is None or not len(table):
        return None
    columns = {column: table.column(column).chunk(0) for column in types}
    texts = {column: columns[column].dictionary.to_pylist() for column in names}
    if any(COLUMN.fullmatch(text) is None for of in texts.values() for text in of):
        return None
    return RunFile(
        path=path,
        queries=tuple(map(Name, texts["query"])),
        passages=tuple(map(Name, texts["passage"])),
        query=columns["query"].indices.to_numpy().astype(np.int64),
        passage=columns["passage"].indices.to_numpy().astype(np.int64),
        score=columns["score"].to_numpy(),
        line=np.arange(1, len(table) + 1),
        tag=columns["tag"][0].as_py(),
    )


def _read_lines(path: Path, faults: Faults) -> RunFile:
    table, tag = _Table(), ""
    for number, line in enumerate(read_lines(path, faults), 1):
        parts = line.text.split() if line.text.isascii() else COLUMN.findall(line.text)
        if len(parts) == COLUMNS:
            query, passage = parts[0], parts[2]
        elif len(parts) == WITH_LANGUAGES:
            query, passage = (parts[0], parts[6]), (parts[2], parts[7])
        elif parts:
            columns = plural(len(parts), "column")
            faults.add(line.where, columns, EXPECTED_LINE, _hint(line.text))
            continue
        else:
            continue
        try:
            score = float(parts[4])
        except ValueError:
            faults.add(line.where, f"score {parts[4]!r}", "a number", _hint(line.text))
            continue
        if "_" in parts[4] or not parts[4].isascii():
            faults.add(line.where, f"score {parts[4]!r}", "a number")
        tag = tag or parts[5]
        table.add(query, passage, score)
        table.line.append(number)
    return table.run(path, tag)


def _hint(text: str) -> str:
    if not text.lstrip().startswith(("{", "[")):
        return ""
    return "JSON is read from files called .json, JSON lines from files called .jsonl"


class _Repeated(list[tuple[str, Any]]):
    """The members of a JSON object that has a key twice."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Repeated(pairs)


def _read_json(path: Path, faults: Faults) -> RunFile:
    return _from_mapping(path, read_json(path, faults, _members), faults)


def _read_lz4(path: Path, faults: Faults) -> RunFile:
    from cbor2 import CBORError, loads

    try:
        value = loads(unpacked_lz4(path))
    except (RuntimeError, EOFError, ValueError, CBORError) as error:
        faults.add(str(path), f"damaged: {error}", "a run that ranx wrote as .lz4")
        value = None
    return _from_mapping(path, value, faults)


def _from_mapping(path: Path, value: Any, faults: Faults) -> RunFile:
    """Read {query: {passage: score}}."""
    table = _Table()
    if value is None:  # noted already
        return table.run(path)
    for query, ranking in _checked(str(path), value, faults):
        where = f"{path}, query {query!r}"
        for passage, score in _checked(where, ranking, faults):
            if isinstance(score, bool) or not isinstance(score, int | float):
                faults.add(f"{where}, passage {passage!r}", describe(score), "a number")
            else:
                table.add(query, passage, _as_float(score))
    return table.run(path)


def _as_float(number: float) -> float:
    """Return a number as float64; a whole one that is too large becomes infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _checked(where: str, value: Any, faults: Faults) -> list[tuple[str, Any]]:
    """Return the members of an object; note where it is none, or has a key twice."""
    if isinstance(value, Mapping):
        return list(value.items())
    if not isinstance(value, _Repeated):
        faults.add(where, describe(value), "{query: {passage: score}}")
        return []
    seen: set[str] = set()
    for key, _ in value:
        if key in seen:
            faults.add(where, f"{key!r} given again", "each query and passage once")
        seen.add(key)
    return value


def _read_parquet(path: Path, faults: Faults) -> RunFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = COLUMNS_OF_A_TABLE
    try:
        known = pq.read_schema(path).names
        names = [
            field_of(role, known) or default
            for role, default in zip(FIELDS, RANX_COLUMNS, strict=True)
        ]
        columns = pq.read_table(path, columns=names)
        query, passage = (columns.column(name).cast(pa.string()) for name in names[:2])
        score = columns.column(names[2]).cast(pa.float64())
    except (pa.ArrowException, KeyError, OSError) as error:
        faults.add(str(path), f"not readable: {error}", expected)
        return _Table().run(path)
    if any(column.null_count for column in (query, passage, score)):
        faults.add(str(path), "a value is missing", expected)
    table = _Table()
    for entry in zip(*(column.to_pylist() for column in (query, passage, score)), strict=True):
        table.add(*entry)
    return table.run(path)


def _read_json_lines(path: Path, faults: Faults) -> RunFile:
    table = _Table()
    for entry in entries_of(path, faults):
        table.add(entry.query, entry.passage, _as_float(entry.score))
        table.line.append(entry.number)
    return table.run(path)


MAPPING = "{query: {passage: score}}"
COLUMNS_OF_A_TABLE = "the columns " + ", ".join(RANX_COLUMNS) + ", as ranx writes them"
READERS = {
    ".json": (_read_json, MAPPING),
    ".jsonl": (_read_json_lines, JSON_LINES),
    ".ndjson": (_read_json_lines, JSON_LINES),
    ".lz4": (_read_lz4, MAPPING),
    ".parquet": (_read_parquet, COLUMNS_OF_A_TABLE),
    ".parq": (_read_parquet, COLUMNS_OF_A_TABLE),
}
"""Ending of a name -> what reads such files, and what they should hold."""
