"""The footer and the page headers of a Parquet file: how much a reader would have to unpack.

A reader trusts each page's header when it makes room for the page, whatever the file's footer
says, so a file of a kilobyte can ask for gigabytes; and a footer that contradicts itself ends
pyarrow with an abort. Here footer and headers are read first, and nothing is unpacked. Both are
Thrift structs in the compact protocol:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
MAX_FOOTER = 64 * 2**10
MAX_PAGES = 4096
MAX_DEPTH = 8
ZSTD = 6
DATA_PAGE, DICTIONARY_PAGE = 0, 2
LEVELS_AS_RUNS = 3
ENCODINGS = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 8: "RLE_DICTIONARY", 9: "BYTE_STREAM_SPLIT"}
"""The encodings of values that take no more room unpacked than their page says."""
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
"""Types of the compact protocol; sets and maps do not occur."""

Struct = dict[int, tuple[int, Any]]
"""Number of a field -> its type and value."""


class MalformedPages(ValueError):
    """The file is no Parquet, or not such as mlbench writes."""


@dataclass(frozen=True)
class Column:
    """One column of one row group: its path, and its bytes in the file, ``start`` to ``end``."""

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class Group:
    """One row group."""

    rows: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Footer:
    """What a file says it holds, and where its footer begins.

    ``schema`` has the names of its columns, of what they are nested in too, in the order of a
    walk from the root, which is left out.
    """

    start: int
    schema: tuple[str, ...]
    rows: int
    groups: tuple[Group, ...]
    created_by: str


@dataclass(frozen=True)
class Chunk:
    """One column of one row group: what its pages hold in all. ``unpacked`` is in bytes."""

    values: int
    dictionary: int
    unpacked: int


def read_footer(raw: bytes) -> Footer:
    """Read the footer. Raises MalformedPages."""
    if len(raw) < 12 or raw[:4] != MAGIC or raw[-4:] != MAGIC:
        raise MalformedPages("not a Parquet file")
    size = int.from_bytes(raw[-8:-4], "little")
    if not 0 < size <= min(MAX_FOOTER, len(raw) - 12):
        raise MalformedPages(f"its footer has {size:,} bytes: at most {MAX_FOOTER:,}")
    start = len(raw) - 8 - size
    file = _Compact(raw, start, len(raw) - 8).read()
    groups = []
    for group in _structs(file, 4):
        columns = tuple(_column(_get(chunk, 3, STRUCT)) for chunk in _structs(group, 1))
        groups.append(Group(_count(group, 3, I64), columns))
    schema = tuple(_text(_get(element, 4, BINARY)) for element in _structs(file, 2)[1:])
    created_by = _text(_get(file, 6, BINARY))
    return Footer(start, schema, _count(file, 3, I64), tuple(groups), created_by)


def _column(metadata: Struct) -> Column:
    if _count(metadata, 4, I32) != ZSTD:
        raise MalformedPages("a column that is not compressed with zstd")
    path = _get(metadata, 3, LIST)
    if any(kind != BINARY for kind, _ in path):
        raise MalformedPages("a column's path that is no list of names")
    start = _count(metadata, 9, I64)
    if 11 in metadata:
        start = min(start, _count(metadata, 11, I64))
    names = ".".join(_text(name) for _, name in path)
    return Column(names, start, start + _count(metadata, 7, I64))


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace")


def read_chunk(raw: bytes, start: int, end: int) -> Chunk:
    """Walk the page headers of ``raw[start:end]``, which they must fill. Raises MalformedPages."""
    at, pages = start, 0
    values = dictionary = unpacked = 0
    while at < end:
        if (pages := pages + 1) > MAX_PAGES:
            raise MalformedPages(f"more than {MAX_PAGES:,} pages in a column")
        reader = _Compact(raw, at, min(end, at + MAX_FOOTER))
        header = reader.read()
        kind, size, packed = (_count(header, field, I32) for field in (1, 2, 3))
        if kind == DATA_PAGE:
            details = _get(header, 5, STRUCT)
            if any(_count(details, field, I32) != LEVELS_AS_RUNS for field in (3, 4)):
                raise MalformedPages("a page with levels that are not runs")
            values += _count(details, 1, I32)
        elif kind == DICTIONARY_PAGE and at == start:
            details = _get(header, 7, STRUCT)
            dictionary += _count(details, 1, I32)
        else:
            raise MalformedPages(f"a page of type {kind} at byte {at:,}")
        if (encoding := _count(details, 2, I32)) not in ENCODINGS:
            raise MalformedPages(f"a page of encoding {encoding} at byte {at:,}")
        unpacked += size
        at = reader.at + packed
    if at != end:
        raise MalformedPages(f"a page runs over the end of its column at byte {end:,}")
    return Chunk(values, dictionary, unpacked)


def _get(fields: Struct, number: int, kind: int) -> Any:
    """Return a field; a reader would take one of another type for missing."""
    found, value = fields.get(number, (0, None))
    if found != kind:
        raise MalformedPages(f"field {number} is missing, or of type {found}, not {kind}")
    return value


def _count(fields: Struct, number: int, kind: int) -> int:
    value: int = _get(fields, number, kind)
    if value < 0:
        raise MalformedPages(f"{value} for a count")
    return value


def _structs(fields: Struct, number: int) -> list[Struct]:
    entries = _get(fields, number, LIST)
    if any(kind != STRUCT for kind, _ in entries):
        raise MalformedPages(f"field {number} is no list of structs")
    return [value for _, value in entries]


class _Compact:
    """Reads one Thrift struct in the compact protocol."""

    def __init__(self, raw: bytes, at: int, end: int) -> None:
        self.raw = raw
        self.at = at
        self.end = end

    def read(self, depth: int = 0) -> Struct:
        if depth > MAX_DEPTH:
            raise MalformedPages("a struct that is nested too deep")
        fields: Struct = {}
        number = 0
        while head := self._bytes(1)[0]:
            step, kind = head >> 4, head & 15
            number = number + step if step else self._zigzag()
            if number in fields:
                raise MalformedPages(f"a struct that gives field {number} twice")
            value = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)
            fields[number] = kind, value
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):  # a truth value in a list is a byte
            return self._bytes(1)[0]
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind == DOUBLE:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == LIST:
            return self._list(depth)
        if kind == STRUCT:
            return self.read(depth + 1)
        raise MalformedPages(f"a field of type {kind}")

    def _list(self, depth: int) -> list[tuple[int, Any]]:
        head = self._bytes(1)[0]
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._varint()
        if size > self.end - self.at or depth > MAX_DEPTH:
            raise MalformedPages("a list that is cut short, or nested too deep")
        return [(kind, self._value(kind, depth + 1)) for _ in range(size)]

    def _bytes(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise MalformedPages("a struct that is cut short")
        self.at += count
        return self.raw[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._bytes(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise MalformedPages("a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
