"""Parquet from strangers, tried in a child process with limits on memory and time.

A reader trusts each page's header when it makes room for the page, whatever the file's footer
says, so a file of a kilobyte can ask for gigabytes; and a footer that contradicts itself ends
pyarrow with an abort. So a file is unpacked in a child first, which may die of it: what got
through there is unpacked here. One child serves all files, and is started anew when it has died.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.ranking.ranks_file import TEXTS, table_schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ID = 512
MAX_GROUPS = 64
MAX_FOOTER = 64 * 2**10
MAX_STRUCTURES = 2**16
ROOM_FOR_TEXTS = 16 * 2**20
MOST_SECONDS = 60
MAGIC = b"PAR1"
COLUMNS = (*TEXTS, "relevance", "place", "above.list.element", "tied.list.element")
ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BYTE_STREAM_SPLIT"}
"""Those that take no more room unpacked than their page says."""
DATA_PAGE = b"\x15\x00"
"""How the header of a data page of the first version begins; pyarrow does not tell versions."""
REQUEST = struct.Struct(">QQQ")
"""What goes before a file: its bytes, the rows and the languages of its task."""


class Malformed(ValueError):
    """The file is no Parquet, or not such as mlbench writes."""


def unpacked(raw: bytes, rows: int, languages: int) -> pa.Table:
    """Unpack a table of so many rows and languages; texts are strings of at most 512 characters.

    Raises Malformed where the file is not such a table or takes more memory or time than one
    needs, EnvironmentFault where no child can be started.
    """
    if fault := _child.fault(REQUEST.pack(len(raw), rows, languages) + raw):
        raise Malformed(fault)
    return _unpack(raw, rows, languages)


class _Child:
    """The process that tries files, once there is one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Leave the process, if there is one, to whom it belongs."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def fault(self, request: bytes) -> str:
        """Say why a file cannot be unpacked, "" if it can."""
        with self._lock:
            process = self._process = self._process or _started()
            begun, overdue = time.monotonic(), threading.Timer(MOST_SECONDS, process.kill)
            overdue.start()
            reply = b""
            try:
                reply = _asked(process, request)
            finally:
                overdue.cancel()
                overdue.join()
                late = time.monotonic() - begun >= MOST_SECONDS
                if late or not reply:  # one killed as it answered must not be asked again
                    self.end()
            if late:
                return f"takes more than {MOST_SECONDS} s to unpack"
            if reply:
                return str(json.loads(reply))
            return f"broken: unpacking it ended the reader (exit status {process.returncode})"

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # what it did not take is not wanted any more
                    if pipe is not None:
                        pipe.close()
            self._process.wait()
            self._process = None


_child = _Child()
atexit.register(_child.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_child.forget)


def _started() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    quiet = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | quiet | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
    )
    if _asked(process, b"") != b"ready\n":
        process.kill()
        process.communicate()
        found = "cannot be started; there may be too little memory"
        raise EnvironmentFault(Fault("the process that reads tables", found))
    return process


def _asked(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Return the child's answer, a line; nothing where it died."""
    if process.stdin is None or process.stdout is None:
        return b""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request)
        process.stdin.flush()
        return process.stdout.readline()
    return b""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more: why a file cannot be unpacked, as JSON, a line."""
    import pyarrow.parquet  # noqa: F401  (what is imported later would count against the limit)

    answers.write(b"ready\n")
    answers.flush()
    while head := requests.read(REQUEST.size):
        size, rows, languages = REQUEST.unpack(head)
        raw = requests.read(size)
        fault = ""
        try:
            with _limited(4 * _room(rows, languages) + 2**26):
                _unpack(raw, rows, languages)
        except MemoryError:
            fault = "too large when unpacked"
        except Malformed as error:
            fault = str(error)
        answers.write(json.dumps(fault).encode() + b"\n")
        answers.flush()


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """Let this process have so many bytes more; where there is no such limit, time alone is."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    with Path("/proc/self/statm").open(encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = now + size if hard == resource.RLIM_INFINITY else min(now + size, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _room(rows: int, languages: int) -> int:
    """Return how many bytes the pages of a table may have unpacked."""
    return 4 * rows * (len(TEXTS) * 3 + 2 + 2 * languages) + ROOM_FOR_TEXTS


def _unpack(raw: bytes, rows: int, languages: int) -> pa.Table:
    """Unpack a file, after a look at what it says of itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(raw) < 12 or raw[:4] != MAGIC or raw[-4:] != MAGIC:
        raise Malformed("not a Parquet file")
    size = int.from_bytes(raw[-8:-4], "little")
    if not 0 < size <= min(MAX_FOOTER, len(raw) - 12):
        raise Malformed(f"its footer has {plural(size, 'byte')}: at most {MAX_FOOTER:,}")
    columns = table_schema(languages)
    for name in TEXTS:  # kept as numbers: a text of a million characters may stand in every row
        at = columns.get_field_index(name)
        columns = columns.set(at, pa.field(name, pa.dictionary(pa.int32(), pa.string())))
    try:
        most = {f"thrift_{what}_size_limit": MAX_STRUCTURES for what in ("string", "container")}
        _check_footer(raw, pq.ParquetFile(io.BytesIO(raw), **most).metadata, rows, languages)
        file = pq.ParquetFile(io.BytesIO(raw), read_dictionary=list(TEXTS), **most)
        if not file.schema_arrow.equals(columns):
            raise Malformed("its columns are not those of a table of ranks of this task")
        table = file.read(use_threads=False)
        for name in TEXTS:
            table = _with_short_texts(table, name)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Malformed(str(error)[:1000]) from None
    return table


def _check_footer(raw: bytes, footer: Any, rows: int, languages: int) -> None:
    """Raise Malformed unless the file says that it holds so many rows, and nothing else."""
    if footer.num_rows != rows:
        raise Malformed(f"{plural(footer.num_rows, 'row')}, not the {rows:,} of the task")
    if footer.num_row_groups > MAX_GROUPS:
        raise Malformed(f"{plural(footer.num_row_groups, 'group')} of rows: at most {MAX_GROUPS}")
    if not footer.created_by.startswith("parquet-cpp-arrow"):
        raise Malformed(f"written by {footer.created_by!r:.80}, not by pyarrow")
    widths = [1] * (len(TEXTS) + 2) + [languages] * 2
    room, at, counted = _room(rows, languages), len(MAGIC), 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        chunks = [group.column(number) for number in range(group.num_columns)]
        if tuple(chunk.path_in_schema for chunk in chunks) != COLUMNS:
            raise Malformed(f"columns {[chunk.path_in_schema for chunk in chunks]!r:.300}")
        counted += group.num_rows
        for width, chunk in zip(widths, chunks, strict=True):
            name, first = chunk.path_in_schema, chunk.dictionary_page_offset
            start = chunk.data_page_offset if first is None else first
            room -= chunk.total_uncompressed_size
            for wrong, found in (
                (chunk.compression != "ZSTD", "not compressed with zstd"),
                (not set(chunk.encodings) <= ENCODINGS, f"encoded as {chunk.encodings}"),
                (start != at, "not where it should be"),
                (not raw.startswith(DATA_PAGE, chunk.data_page_offset), "in pages of another type"),
                (
                    chunk.num_values != group.num_rows * width,
                    f"{plural(chunk.num_values, 'value')}",
                ),
                (room < 0, "too large when unpacked"),
            ):
                if wrong:
                    raise Malformed(f"{name} is {found}")
            at += chunk.total_compressed_size
    end = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    if at != end or counted != rows:
        raise Malformed(f"{plural(end - at, 'byte')} between the last column and the footer")


def _with_short_texts(table: pa.Table, name: str) -> pa.Table:
    """Return the table with a column of numbers for texts unpacked, if no text is long."""
    import pyarrow as pa

    column = table.column(name)
    for chunk in column.chunks:
        texts = chunk.dictionary.to_pylist()
        if any(text is None or len(text) > MAX_ID for text in texts):
            raise Malformed(f"{name} holds a text of more than {MAX_ID} characters, or none")
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, column.cast(pa.string()))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
