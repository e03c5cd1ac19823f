"""Files that say what they are and prove that they are whole: partial results, cached vectors, ...

    mlbench/SOMETHING/1 SHA-256 of the next line
    {"head": any JSON, "parts": [[name, dtype or null, shape, SHA-256], ...]}
    the bytes of the parts, one after the other

The first digest vouches for all: the same for the same values, it can serve as a name. Whoever
reads a part gets what was written, or hears that the file is damaged; parts that are not needed
need not be read. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError
from mlbench.common.files import reading

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Part = bytes | npt.NDArray[Any]

LONGEST_LINE = 200


def seal(schema: str, head: dict[str, Any], **parts: Part) -> bytes:
    """Return the content of a file: the same bytes for the same values.

    ``head`` is what JSON can hold; ``parts`` are bytes, or arrays of numbers.
    """
    rows: list[Any] = []
    raws: list[bytes | memoryview] = []
    for name, part in parts.items():
        raw: bytes | memoryview
        if isinstance(part, bytes):
            raw, dtype, shape = part, None, [len(part)]
        else:
            raw, dtype, shape = raw_bytes(part), part.dtype.str, list(part.shape)
        rows.append([name, dtype, shape, hashlib.sha256(raw).hexdigest()])
        raws.append(raw)
    table = {"head": head, "parts": rows}
    line = json.dumps(table, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    return b"".join([f"{schema} {hashlib.sha256(line).hexdigest()}\n".encode(), line, *raws])


def raw_bytes(array: npt.NDArray[Any]) -> memoryview:
    """Return the bytes of an array, not copied if it is contiguous."""
    import numpy as np

    array = np.ascontiguousarray(array)
    return array.data.cast("B") if array.size else memoryview(b"")


def digest_of(content: bytes) -> str:
    """Return the digest (hex) that a sealed file's first line names."""
    return content[: content.index(b"\n")].decode().rpartition(" ")[2]


class _Row(NamedTuple):
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    start: int
    size: int
    sha256: str


class Sealed:
    """An open file; its ``head`` has been checked, and each part is when it is read."""

    def __init__(self, path: Path, file: BinaryIO, schema: str, mend: str) -> None:
        self.path, self._file, self._schema, self._mend = path, file, schema, mend
        first = file.readline(LONGEST_LINE)
        name, _, digest = first.decode("utf-8", "replace").removesuffix("\n").partition(" ")
        if not first:
            raise self.fault("damaged: it is empty")
        if name != schema:
            ours = name.startswith("mlbench/")
            raise self.fault(f"of schema {name[:40]!r}" if ours else "another kind of file", schema)
        line = file.readline()
        if hashlib.sha256(line).hexdigest() != digest or not first.endswith(b"\n"):
            raise self.fault("damaged: its head has another SHA-256 than its first line says")
        try:
            table = json.loads(line)
            self.head: dict[str, Any] = table["head"]
            self._rows = dict(_rows(table["parts"], len(first) + len(line)))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise self.fault("not as mlbench writes it") from None
        end = max((row.start + row.size for row in self._rows.values()), default=file.tell())
        size = os.fstat(file.fileno()).st_size
        if size != end:
            raise self.fault(f"damaged: it has {plural(size, 'byte')}, expected {end:,}")

    def fault(self, found: str, expected: str = "the file as it was written") -> IntegrityError:
        """Return the error that says what is wrong with the file."""
        return IntegrityError(Fault(str(self.path), found, expected, self._mend))

    def has(self, name: str) -> bool:
        """Say whether the file has a part of that name."""
        return name in self._rows

    def form(self, name: str) -> tuple[str, tuple[int, ...]]:
        """Return dtype ("" for bytes) and shape of a part that is not read yet; KeyError."""
        row = self._rows[name]
        return row.dtype.str if row.dtype else "", row.shape

    def read(self, name: str) -> Any:
        """Return a part: a bytearray, or an array as it was given, which may be written to.

        Raises IntegrityError if it is not as it was written, or not there.
        """
        import numpy as np

        if name not in self._rows:
            raise self.fault(f"not as mlbench writes it: it has no part {name!r}")
        row = self._rows[name]
        raw = bytearray(row.size)
        self._file.seek(row.start)
        length = self._file.readinto(raw)  # type: ignore[attr-defined]
        if length != row.size or hashlib.sha256(raw).hexdigest() != row.sha256:
            raise self.fault(f"damaged: its {name} have another SHA-256 than its head says")
        return raw if row.dtype is None else np.frombuffer(raw, row.dtype).reshape(row.shape)

    def read_all(self) -> dict[str, Any]:
        """Return all parts by their names."""
        return {name: self.read(name) for name in self._rows}


def _rows(parts: Any, start: int) -> Iterator[tuple[str, _Row]]:
    """Yield what a head says of the parts. Raises ValueError where it is no part."""
    import numpy as np

    for name, dtype, shape, sha256 in parts:
        kind = None if dtype is None else np.dtype(dtype)
        if kind is not None and kind.hasobject:
            raise ValueError
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError
        size = math.prod(shape) * (kind.itemsize if kind else 1)
        yield name, _Row(kind, tuple(shape), start, size, sha256)
        start += size


@contextlib.contextmanager
def open_sealed(path: Path, schema: str, mend: str = "") -> Iterator[Sealed]:
    """Open the file at ``path`` to read some of its parts.

    Raises OSError if it cannot be read, IntegrityError if it is of another schema or not as it was
    written (``mend`` says what to do then).
    """
    with path.open("rb") as file:
        yield Sealed(path, file, schema, mend)


def unseal(path: Path, schema: str, mend: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the head of a file and all its parts; see ``open_sealed``.

    Raises EnvironmentFault if it cannot be read, IntegrityError as ``open_sealed`` does.
    """
    with reading(path, f"a file of schema {schema}"), open_sealed(path, schema, mend) as sealed:
        return sealed.head, sealed.read_all()
