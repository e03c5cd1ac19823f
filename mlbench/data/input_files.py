"""Files from outside, read strictly: lines, JSON, packed files; faults gathered over files."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import MOST_FAULTS, DataError, Fault
from mlbench.common.files import reading

BOM = b"\xef\xbb\xbf"
CHUNK = 1 << 20
LONGEST_LINE = 64 << 20
"""Bytes that a line may have."""
MOST_BLANK = 8 << 20
"""Bytes of empty lines that may follow each other."""
SMALL, MOST_TIMES_PACKED = 64 << 20, 200
"""What a packed file may unpack to: bytes or, if that is more, times its size."""

KINDS = {
    rb"\x1f\x8b": ("packed with gzip", "let its name end in .gz"),
    rb"PAR1\x15": ("a Parquet file", "let its name end in .parquet"),
    rb"\x28\xb5\x2f\xfd": ("packed with zstd", "unpack it"),
    rb"BZh[1-9]1AY&SY": ("packed with bzip2", "unpack it"),
    rb"\xfd7zXZ": ("packed with xz", "unpack it"),
    rb"PK\x03\x04": ("a zip archive", "unpack it"),
}
"""What a file is that begins with certain bytes (no text does), and how to have it read."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
TOO_LARGE = 10**9
INTEGER = "a whole number, at most nine digits"

Members = Callable[[list[tuple[str, Any]]], Any]


class Faults:
    """Gathers the faults of files while they are read, to raise them together.

    The first 20 are kept word for word, the rest are counted.
    """

    def __init__(self) -> None:
        self._first: list[Fault] = []
        self._count = 0

    def add(self, where: str, found: str, expected: str = "", mend: str = "") -> None:
        """Note one fault."""
        self._count += 1
        if len(self._first) < MOST_FAULTS:
            self._first.append(Fault(where, found, expected, mend))

    def include(self, others: Faults) -> None:
        """Note the faults that others gathered."""
        self._count += others._count
        self._first += others._first[: MOST_FAULTS - len(self._first)]

    def __bool__(self) -> bool:
        """Whether there was a fault."""
        return self._count > 0

    def check(self) -> None:
        """Raise DataError if there was a fault."""
        more = self._count - len(self._first)
        tail = [Fault("and", f"{plural(more, 'more fault')}")] if more else []
        if self._first:
            raise DataError(*self._first, *tail)


class Line(NamedTuple):
    """A line without its end, its number from 1, and at which byte of its file it starts."""

    file: str
    number: int
    text: str
    start: int = 0

    @property
    def where(self) -> str:
        """The place as "file:line"."""
        return f"{self.file}:{self.number}"


def read_lines(path: Path, faults: Faults) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file, unpacked first if its name ends in ``.gz``.

    Only "\\n" and "\\r\\n" end a line: U+2028, U+0085 and the like are text. A byte order mark at
    the start is skipped. Lines that are not UTF-8 are left out and noted with their byte offset.
    Reading ends, noted too, where a line or what is unpacked is beyond all measure.
    """
    offset, name = 0, str(path)
    for number, raw in enumerate(_raw_lines(path, faults), 1):
        line = raw.removesuffix(b"\r")
        mark = len(BOM) if number == 1 and line.startswith(BOM) else 0
        try:
            yield Line(name, number, line[mark:].decode("utf-8"), offset + mark)
        except UnicodeDecodeError as error:
            at = offset + mark + error.start
            found = f"byte {at} of the file (0x{line[mark + error.start]:02x}) is not UTF-8"
            faults.add(f"{path}:{number}", found, "text in UTF-8")
        offset += len(raw) + 1


def _raw_lines(path: Path, faults: Faults) -> Iterator[bytes]:
    """Yield what lies between line feeds."""
    with opened(path, faults) as file:
        rest, blank = b"", 0
        first = True
        while chunk := file.read(CHUNK):
            mark = next((mark for mark in KINDS if first and re.match(mark, chunk)), None)
            if mark is not None:
                kind, mend = KINDS[mark]
                again = " twice" if path.suffix.lower() == ".gz" and "gzip" in kind else ""
                mend = "unpack it" if again else mend
                faults.add(str(path), f"is {kind}{again}", "lines of text, or .gz of them", mend)
                return
            first = False
            if len(chunk) == CHUNK and b"\n" in chunk and not chunk.strip():
                blank += CHUNK
                rest += chunk  # it is cut into lines when there is something to read
                if blank > MOST_BLANK:
                    found = f"more than {MOST_BLANK >> 20} MiB of empty lines at a stretch"
                    faults.add(str(path), found, "lines of text")
                    return
                continue
            blank = 0
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > LONGEST_LINE:
                expected = f"a line feed at least every {LONGEST_LINE >> 20} MiB"
                faults.add(str(path), "a line without end", expected)
                return
        yield from rest.removesuffix(b"\n").split(b"\n") if rest else ()


def read_json(path: Path, faults: Faults, members: Members | None = None) -> Any:
    """Return the value of a JSON file in UTF-8, or None after noting what is wrong with it.

    ``members`` turns the (key, value) pairs of an object into what stands for it.
    """
    with opened(path, faults) as file:
        raw = file.read().removeprefix(BOM)
        try:
            return json.loads(raw.decode("utf-8"), object_pairs_hook=members)
        except UnicodeDecodeError as error:
            faults.add(str(path), f"byte {error.start} is not UTF-8", "JSON in UTF-8")
        except (ValueError, RecursionError) as error:
            faults.add(str(path), f"broken JSON: {error}", "one JSON object")
    return None


def integer_of(value: Any) -> int | None:
    """Return the integer that a file gives, whether as an integer, a float, a decimal or a text.

    None for what is no number or not whole (0.5, NaN, true), and for more than nine digits.
    """
    if isinstance(value, str):
        text = value.strip()
        value = Decimal(text) if NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    number: Any = value
    if not -TOO_LARGE < number < TOO_LARGE or number != int(number):
        return None
    return int(number)


def mend_integer(value: Any) -> str:
    """Say how to mend a grade that ``integer_of`` does not take, "" where that is plain."""
    if isinstance(value, bool):
        return "write 1 for true and 0 for false"
    try:
        fraction = float(value) % 1
    except (TypeError, ValueError, OverflowError):
        return ""
    if 0 < fraction < 1:
        return "multiply all grades by one number that makes them whole, or round them"
    return ""


def parse_object(line: Line, faults: Faults) -> dict[str, Any] | None:
    """Return the JSON object that a line holds, or None after noting what is wrong with it."""
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        faults.add(line.where, f"broken JSON: {error}", "one JSON object on each line")
        return None
    if not isinstance(value, dict):
        faults.add(line.where, f"JSON, but {describe(value)}", "one JSON object on each line")
        return None
    return value


def describe(value: Any) -> str:
    """Say in a few words what a JSON value is, for messages."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, Decimal):
        return f"the number {value}"
    kind = {bool: "boolean", int: "number", float: "number", str: "string"}.get(type(value))
    text = repr(value)
    return f"the {kind or type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


class _Bomb(ValueError):
    """A packed file that unpacks to more than it may."""


class _Unpacked(io.RawIOBase):
    """What a packed file holds, up to ``most`` bytes; _Bomb is raised beyond."""

    def __init__(self, file: io.BufferedIOBase, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise _Bomb(f"unpacks to more than {plural(self._most, 'byte')}")
        return count


class _Gzip(gzip.GzipFile):
    """A gzip file; one without a byte is none, though ``gzip`` takes it for one."""

    def readinto(self, buffer: Any) -> int:
        if not self.tell() and not os.fstat(self.fileno()).st_size:
            raise EOFError("it is empty")
        return super().readinto(buffer)


def _most_unpacked(path: Path) -> int:
    """Return how many bytes a packed file may hold."""
    return max(SMALL, MOST_TIMES_PACKED * path.stat().st_size)


def unpacked_lz4(path: Path) -> bytes:
    """Return what a file holds that was packed by LZ4 twice, as ranx packs runs.

    Raises RuntimeError or EOFError for another, ValueError for one that holds more than it may.
    """
    import lz4.frame

    most = _most_unpacked(path)
    raw = path.read_bytes()
    for _ in range(2):
        with lz4.frame.open(io.BytesIO(raw)) as packed:
            raw = io.BufferedReader(_Unpacked(packed, most), CHUNK).read()
    return raw


@contextmanager
def opened(path: Path, faults: Faults) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, unpacked if its name ends in ``.gz``.

    Notes what is no gzip file, breaks off, or unpacks to more than it may; the block ends there.
    Raises EnvironmentFault where it cannot be read.
    """
    with reading(path):
        try:
            if path.suffix.lower() != ".gz":
                with path.open("rb") as file:
                    yield file
                return
            with _Gzip(path) as packed:
                yield io.BufferedReader(_Unpacked(packed, _most_unpacked(path)), CHUNK)
        except _Bomb as error:
            expected = f"at most {SMALL >> 20} MiB, or {MOST_TIMES_PACKED} times its size"
            faults.add(str(path), str(error), expected, "unpack it, if it is what it should be")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            bad = isinstance(error, gzip.BadGzipFile)
            mend = "leave .gz out of its name, if it is not packed" if bad else ""
            faults.add(str(path), f"damaged gzip file: {error}", "a whole gzip file", mend)
