"""Vectors saved by an earlier pass over a large collection, found again by the ids of texts.

A folder with ``index.json``: which file (Parquet, columns id and vector) holds the vectors of which
shard. Files are read a piece at a time, from where the last ids were found, so that a corpus is
read through once if it is asked for in its own order.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import Fault, ModelError

INDEX = "index.json"
SCHEMA = "mlbench/kept/1"


class SavedFile(NamedTuple):
    """One file of vectors: role ("queries" or "passages"), language, shard ("" for queries).

    ``content`` is the digest of the shard's passages, as the scan gives it ("" for queries).
    """

    file: str
    role: str
    language: str
    shard: str
    rows: int
    content: str = ""


class _Piece(NamedTuple):
    path: Path
    group: int


def read_index(folder: Path) -> tuple[str, list[SavedFile]]:
    """Return the identity of the model and the files of a folder. Raises ModelError."""
    path = folder / INDEX
    try:
        table = json.loads(path.read_bytes())
        if table["schema"] != SCHEMA:
            raise ModelError(Fault(str(path), f"schema {table['schema']!r}", SCHEMA))
        return str(table["identity"]), [SavedFile(**row) for row in table["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(Fault(str(path), f"damaged: {error}", "the index of a folder")) from None


class SavedVectors:
    """The vectors of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _, self._files = read_index(folder)
        self._pieces: dict[tuple[str, str], list[_Piece]] = {}
        self._at: dict[tuple[str, str], int] = {}

    def find(
        self, role: str, language: str, ids: Sequence[str]
    ) -> tuple[list[str], npt.NDArray[Any]]:
        """Return those of ``ids`` that have a vector, and the vectors, float16 (found, d).

        Raises ModelError where a file is missing or damaged.
        """
        wanted = set(ids)
        found: list[str] = []
        parts: list[npt.NDArray[Any]] = []
        for names, vectors in self._from_last(role, language):
            places = [place for place, name in enumerate(names) if name in wanted]
            if places:
                found += [names[place] for place in places]
                parts.append(vectors[places])
            if len(found) >= len(wanted):
                break
        return found, np.concatenate(parts) if parts else np.empty((0, 0), np.float16)

    def _from_last(self, role: str, language: str) -> Iterator[tuple[list[str], npt.NDArray[Any]]]:
        """Yield all pieces, the last one that was asked for first."""
        key = (role, language)
        if key not in self._pieces:
            self._pieces[key] = [*self._find_pieces(role, language)]
        pieces, first = self._pieces[key], self._at.get(key, 0)
        for place in (*range(first, len(pieces)), *range(first)):
            self._at[key] = place
            yield self._read(pieces[place])

    def _find_pieces(self, role: str, language: str) -> Iterator[_Piece]:
        import pyarrow.parquet as pq

        for file in self._files:
            if (file.role, file.language) == (role, language):
                path = self.folder / file.file
                with _readable(path), pq.ParquetFile(path) as parquet:
                    yield from (_Piece(path, n) for n in range(parquet.num_row_groups))

    def _read(self, piece: _Piece) -> tuple[list[str], npt.NDArray[Any]]:
        import pyarrow.parquet as pq

        with _readable(piece.path), pq.ParquetFile(piece.path) as parquet:
            table = parquet.read_row_group(piece.group, columns=["id", "vector"])
            names = table["id"].to_pylist()
            column = table["vector"].combine_chunks()
            vectors = column.flatten().to_numpy(zero_copy_only=False)
            return names, vectors.reshape(len(names), -1)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ModelError(Fault(str(path), f"cannot be read: {error}", "saved vectors")) from None
