"""Rows of corpus and queries files: JSON lines or Parquet, on this machine or on the hub."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from mlbench.common.errors import EnvironmentFault, Fault, did_you_mean
from mlbench.common.files import reading
from mlbench.data.corpus import Passage
from mlbench.data.input_files import (
    LONGEST_LINE,
    Faults,
    Line,
    describe,
    opened,
    parse_object,
    read_lines,
)
from mlbench.data.locations import DataFile

HUB_BATCH = 1024
PARQUET = b"PAR1"
"""What a Parquet file begins with."""
MEND_CSV = (
    "get the whole file; text with commas, quotation marks or line breaks stands in quotation "
    "marks, and a quotation mark in it is doubled"
)


class Row(NamedTuple):
    """A row of a file as it stands; ``place`` is its number from 1, after ":" or ", row "."""

    file: str
    place: str
    number: int
    fields: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The place in words."""
        return f"{self.file}{self.place}{self.number}"


def read_rows(file: DataFile, faults: Faults) -> Iterator[Row]:
    """Yield the rows of a ``.parquet`` or ``.csv`` file, or of JSON lines; empty lines are skipped.

    A ``.csv`` file may be packed, too (``.csv.gz``). What is on the hub is streamed with
    ``datasets``. Notes what is malformed; raises EnvironmentFault where the file cannot be read, or
    the hub does not answer for long.
    """
    if PurePosixPath(file.path or file.name).suffix.lower() == ".parquet":
        yield from _parquet(file.path, faults) if file.path else _hub_parquet(file, faults)
        return
    if file.path and re.search(r"\.csv(\.gz)?$", file.path.name, re.IGNORECASE):
        yield from _csv(file.path, faults)
        return
    lines = read_lines(file.path, faults) if file.path else _hub_lines(file, faults)
    yield from parse_rows(lines, faults)


def parse_rows(lines: Iterable[Line], faults: Faults) -> Iterator[Row]:
    """Yield the rows that JSON lines hold; empty lines are skipped."""
    for line in lines:
        if line.text and not line.text.isspace():
            fields = parse_object(line, faults)
            if fields is not None:
                yield Row(line.file, ":", line.number, fields)


@dataclass(frozen=True)
class Texts:
    """Makes texts of rows and notes what is wrong with them.

    An id is the value of the first of ``id_keys`` that a row has, a text that of ``text_key``.
    ``with_title`` puts a title that is not empty, and a line feed, before the text.
    """

    faults: Faults
    id_keys: tuple[str, ...]
    with_title: bool = False
    text_key: str = "text"

    def passage(self, row: Row) -> Passage | None:
        """Return the id and the text, or None after noting what is wrong with either."""
        key = self.id_keys[0]
        if key not in row.fields:
            key = next((other for other in self.id_keys if other in row.fields), key)
        id_, text = self.string(row, key), self.string(row, self.text_key)
        if self.with_title and row.fields.get("title") is not None:
            title = self.string(row, "title")
            text = f"{title}\n{text}" if title and text else title or text
        if id_ is None or text is None:
            return None
        if not id_:
            self.faults.add(row.where, f"{key!r} is empty", "a string that names the record")
        return Passage(id_, text)

    def string(self, row: Row, key: str, mend: str = "") -> str | None:
        """Return a field that must be a string, or None after noting that it is not.

        An id may be an integer, which stands for its digits.
        """
        value = row.fields.get(key)
        if isinstance(value, str):
            return value
        if key in self.id_keys and type(value) is int:
            return str(value)
        if key not in row.fields:
            found, mend = f"no {key!r}", mend or did_you_mean(key, row.fields)
        else:
            found = f"{key!r} is {describe(value)}"
        if key in self.id_keys and type(value) is float:
            mend = "write ids as strings or as integers: digits may be lost in other numbers"
        self.faults.add(row.where, found, f"{key!r} as a string", mend)
        return None


def _csv(path: Path, faults: Faults) -> Iterator[Row]:
    """Yield the rows of a table split by commas, whose first row names its fields.

    A field in quotation marks may hold commas and line breaks; RFC 4180. A row's number is that
    of its first line.
    """
    csv.field_size_limit(LONGEST_LINE)
    with opened(path, faults) as raw:
        lines = io.TextIOWrapper(cast(BinaryIO, raw), encoding="utf-8-sig", newline="")
        rows = csv.reader(lines, strict=True)
        start = 1
        try:
            header = next(rows, [])
            if not header or len(set(header)) < len(header):
                found = "a name given twice" if header else "no row at all"
                faults.add(f"{path}:1", found, "a first row that names each field once")
                return
            while True:
                start = rows.line_num + 1
                row = next(rows, None)
                if row is None:
                    return
                if row and len(row) != len(header):
                    faults.add(f"{path}:{start}", *_of_width(len(row), len(header)))
                elif row:
                    yield Row(str(path), ":", start, dict(zip(header, row, strict=True)))
        except csv.Error as error:
            cut = "unexpected end" in str(error)
            found = (
                "the file ends within a quotation that begins in this row" if cut else str(error)
            )
            faults.add(f"{path}:{start}", f"broken CSV: {found}", "a whole row", MEND_CSV)
        except UnicodeDecodeError as error:
            faults.add(
                f"{path}:{start}", f"{error.reason} in this row or soon after", "text in UTF-8"
            )


def _of_width(count: int, columns: int) -> tuple[str, str, str]:
    """Say what is wrong with a row of so many fields, in a table of so many columns."""
    meaning = "so the row is cut" if count < columns else "too many"
    found = f"{count} field{'s' * (count > 1)}, {meaning}"
    return found, f"{columns}, as the first row has", MEND_CSV


def _parquet(path: Path, faults: Faults) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    mend = ""
    try:
        with reading(path), path.open("rb") as raw:
            if not raw.read(len(PARQUET)).startswith(PARQUET):
                mend = "give it the ending of what it is, such as .jsonl or .jsonl.gz"
        with parquet.ParquetFile(path) as file:
            start = 1
            for batch in file.iter_batches():
                for number, fields in enumerate(batch.to_pylist(), start):
                    yield Row(str(path), ", row ", number, fields)
                start += batch.num_rows
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        faults.add(str(path), f"damaged Parquet file: {error}", "a whole Parquet file", mend)


def _hub_parquet(file: DataFile, faults: Faults) -> Iterator[Row]:
    for number, fields in enumerate(_hub_examples(file, "parquet", faults), 1):
        yield Row(file.where, ", row ", number, fields)


def _hub_lines(file: DataFile, faults: Faults) -> Iterator[Line]:
    """Yield lines; parsed here, because ``datasets`` guesses types: "2020-01-01" as an id would
    come back from its JSON reader as a time."""
    for number, example in enumerate(_hub_examples(file, "text", faults), 1):
        text = example["text"].removeprefix("\ufeff") if number == 1 else example["text"]
        yield Line(file.where, number, text)


def _hub_examples(file: DataFile, builder: str, faults: Faults) -> Iterator[dict[str, Any]]:
    import pyarrow
    from datasets import load_dataset

    if file.url is None:
        raise EnvironmentFault(Fault(file.name, "not at hand", "a file here or on the hub"))
    try:
        with _streaming(file):
            rows = load_dataset(builder, data_files=[file.url], split="train", streaming=True)
            for table in rows.with_format("arrow").iter(HUB_BATCH):
                yield from table.to_pylist()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        faults.add(file.where, f"damaged gzip file: {error}", "a whole gzip file")
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x} that is not UTF-8 ({error.reason})"
        mend = "run `mlbench tasks fetch`: for local files the message names the place"
        faults.add(file.where, found, "text in UTF-8", mend)
    except pyarrow.ArrowException as error:
        faults.add(file.where, f"damaged Parquet file: {error}", "a whole Parquet file")


@contextmanager
def _streaming(file: DataFile) -> Iterator[None]:
    """Turn what goes wrong on the way, after all attempts, into EnvironmentFault."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except gzip.BadGzipFile:
        raise
    except (*HfHubHTTPError.__bases__, OSError) as error:
        raise EnvironmentFault(
            Fault(
                file.where,
                f"cannot be read over the network ({type(error).__name__})",
                "a connection to the hub",
                "try again: what is done is kept; or download the data first with "
                "`mlbench tasks fetch`",
            )
        ) from None
