"""Vectors computed elsewhere, looked up by the ids of the task's queries and passages.

A folder holds, for each role (``queries``, ``passages``), either one Parquet file or a pair of
files a language:

    passages.parquet       columns id, language (strings) and vector (lists of one length)
    passages.th.npy        float16, float32 or float64, shape (n, d)
    passages.th.ids.txt    n lines: the id of each row, UTF-8

and may hold ``model.toml`` with ``name``, ``similarity`` ("cosine", the default, or "dot") and
``identity``. Rows in any order; ids that the task does not have are left alone. Or it was made by
`mlbench run --keep-embeddings`, and is read a piece at a time (see ``saved_vectors``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError, UsageError
from mlbench.common.files import sha256_of_all
from mlbench.common.forms import WORD, fields_of, fill_form, one_of, read_toml
from mlbench.data.task import spellings
from mlbench.models.boundary import difference
from mlbench.models.protocol import SIMILARITIES
from mlbench.models.saved_vectors import INDEX, SavedVectors

ROLES = {"query": "queries", "passage": "passages"}
LAYOUT = "passages.parquet, or passages.LANGUAGE.npy with passages.LANGUAGE.ids.txt; queries too"
SAME = 1e-5
"""Greatest relative difference of two vectors of one text: room for rounding alone, ..."""
SAME_HALF = 2e-3
"""... and for rounding to float16."""

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Table:
    """The ids and the vectors (n, d) of one role and language, and the file they come from."""

    path: Path
    ids: list[str]
    vectors: _Array

    @cached_property
    def rows(self) -> dict[str, int]:
        """Id -> row."""
        return {id_: row for row, id_ in enumerate(self.ids)}


class Precomputed:
    """A folder of vectors; ``bind`` must be called for a role and language before it encodes."""

    def __init__(self, folder: Path) -> None:
        files = sorted(
            path
            for pattern in ("model.toml", "queries.*", "passages.*")
            for path in folder.glob(pattern)
        )
        for stem in ROLES.values():
            if not any(path.name.startswith(f"{stem}.") for path in files):
                raise ModelError(Fault(str(folder), f"no {stem} in it", LAYOUT))
        settings = _settings(folder / "model.toml")
        indexed = (folder / INDEX).is_file()
        _refuse_two_forms(folder, files)
        self._saved = SavedVectors(folder) if indexed else None
        if self._saved is not None:  # it names the others by their digests
            files = [folder / "model.toml", folder / INDEX]
        self.folder = folder
        self.name = settings.name or folder.resolve().name
        self.similarity = settings.similarity
        declared = f"{settings.identity}, " if settings.identity else ""
        sha256 = sha256_of_all(folder, [path.name for path in files])
        self.identity = f"{declared}precomputed/1, sha256 {sha256}"
        self._tables: dict[tuple[str, str], _Table] = {}
        self._vectors: dict[tuple[str, str], _Array] = {}
        self._rows: dict[tuple[str, str], dict[str, int]] = {}

    def bind(self, role: str, language: str, ids: list[str], texts: list[str]) -> None:
        """Learn the ids of texts, and find the vector of each; those bound before are forgotten.

        Raises ModelError if ids have no vector, or if one text has ids of different vectors.
        """
        table = self._table(role, language, ids)
        row_of = table.rows
        missing = [id_ for id_ in ids if id_ not in row_of]
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            every = plural(len(ids), role, ROLES[role])
            _refuse(
                table.path,
                f"no vector for {len(missing)} of {every} ({language}): "
                + ", ".join(map(repr, missing[:5]))
                + more,
                "a vector for every id of the task",
            )
        rows: dict[str, int] = {}
        for id_, text in zip(ids, texts, strict=True):
            row, first = row_of[id_], rows.setdefault(text, row_of[id_])
            pair = table.vectors[first : first + 1], table.vectors[row : row + 1]
            if row != first and difference(*pair) > (SAME_HALF if self._saved else SAME):
                _refuse(
                    table.path,
                    f"{role} ids {table.ids[first]!r} and {id_!r} ({language}) have the same text "
                    "and different vectors",
                    "one vector for each text",
                    "encode each distinct text once",
                )
        self._vectors[role, language] = table.vectors
        self._rows[role, language] = rows

    def _table(self, role: str, language: str, ids: list[str]) -> _Table:
        """Return a table that holds ``ids``, as far as there are vectors of them."""
        if self._saved is not None:
            return _Table(self.folder, *self._saved.find(ROLES[role], language, ids))
        if (role, language) not in self._tables:
            self._tables[role, language] = _read(self.folder, ROLES[role], language)
        return self._tables[role, language]

    def encode_queries(self, texts: list[str], language: str) -> _Array:
        """Return the vectors of bound queries."""
        return self._look_up("query", language, texts)

    def encode_passages(self, texts: list[str], language: str) -> _Array:
        """Return the vectors of bound passages."""
        return self._look_up("passage", language, texts)

    def _look_up(self, role: str, language: str, texts: list[str]) -> _Array:
        rows = self._rows.get((role, language), {})
        unbound = [text for text in texts if text not in rows]
        if unbound:
            _refuse(
                self.folder,
                f"asked for a {role} ({language}) whose id it was not told: {unbound[0]!r}",
                "bind() before encoding: precomputed vectors serve the texts of a task only",
            )
        return self._vectors[role, language][[rows[text] for text in texts]]


def _refuse_two_forms(folder: Path, files: list[Path]) -> None:
    """Raise ModelError where the vectors of a role stand in more than one form."""
    faults = []
    for stem in ROLES.values():
        arrays = [path.name for path in files if path.match(f"{stem}.*.npy")]
        named = [name for name in (INDEX, f"{stem}.parquet") if (folder / name).is_file()]
        forms = [*named, *arrays[:1]]
        if len(forms) > 1:
            found = f"both {' and '.join(forms)}"
            mend = "move the vectors that are out of date elsewhere"
            faults.append(Fault(str(folder), found, f"{stem} in one form", mend))
    if faults:
        raise ModelError(*faults)


def _refuse(where: Path, found: str, expected: str = "", mend: str = "") -> NoReturn:
    raise ModelError(Fault(str(where), found, expected, mend))


@dataclass(frozen=True)
class _Settings:
    """What ``model.toml`` may say."""

    name: Annotated[str, WORD] | None = None
    identity: Annotated[str, WORD] | None = None
    similarity: Annotated[str, one_of(*SIMILARITIES)] = SIMILARITIES[0]


def _settings(path: Path) -> _Settings:
    table = read_toml(path, "a TOML file", ModelError) if path.exists() else {}
    return fill_form(_Settings, table, fields_of(path), ModelError)


def _read(folder: Path, stem: str, language: str) -> _Table:
    """Return the table of a role and language, from Parquet if there is such a file."""
    parquet = folder / f"{stem}.parquet"
    table = _parquet(parquet, language) if parquet.exists() else _npy(folder, stem, language)
    if len(table.ids) != len(table.vectors):
        rows = f"{plural(len(table.ids), 'id')} for {plural(len(table.vectors), 'vector')}"
        _refuse(table.path, rows, "one a row")
    twice = [id_ for id_, count in Counter(table.ids).items() if count > 1]
    if twice:
        _refuse(table.path, f"ids given twice ({language}): {twice[:5]}", "each id once")
    return table


def _spelled(folder: Path, stem: str, language: str, ending: str) -> Path:
    """Return the file of a language, whichever spelling of its code the name has."""
    paths = [folder / f"{stem}.{spelling}.{ending}" for spelling in spellings(language)]
    found = [path for path in paths if path.is_file()]
    if len(found) > 1:
        _refuse(folder, f"both {found[0].name} and {found[1].name}", "one file a language")
    return found[0] if found else paths[0]


def _npy(folder: Path, stem: str, language: str) -> _Table:
    path = _spelled(folder, stem, language, "npy")
    names = _spelled(folder, stem, language, "ids.txt")
    for needed in (path, names):
        if not needed.is_file():
            _refuse(needed, "no such file", LAYOUT)
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        _refuse(path, f"not a readable .npy file of numbers: {error}")
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        _refuse(path, f"an array of shape {np.shape(vectors)}", "shape (n, d)")
    try:
        ids = names.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        _refuse(names, f"not UTF-8 at byte {error.start}", "one id a line, in UTF-8")
    return _Table(path, ids, vectors)


def _parquet(path: Path, language: str) -> _Table:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        lacking = [name for name in ("id", "language", "vector") if name not in schema.names]
        if lacking:
            _refuse(path, f"no column {', '.join(lacking)}", "columns id, language and vector")
        wanted = pc.field("language").isin(spellings(language))
        table = pq.read_table(path, columns=["id", "vector"], filters=wanted).combine_chunks()
        ids = table["id"].cast(pa.string()).to_pylist()
        column = table["vector"].cast(pa.large_list(pa.float32()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        _refuse(path, f"not readable as vectors: {error}", "columns id, language and vector")
    values = pc.list_flatten(column).to_numpy()
    lengths = set(pc.unique(pc.list_value_length(column)).to_pylist())
    if len(lengths) > 1 or None in lengths or None in ids or pc.list_flatten(column).null_count:
        _refuse(path, f"missing ids, or vectors of lengths {lengths} ({language})", "one length")
    return _Table(path, ids, values.reshape(len(ids), -1 if ids else 0))


def make(value: str) -> Precomputed:
    """Return the model of the folder ``value``."""
    folder = Path(value)
    if not folder.is_dir():
        raise UsageError(Fault(f"model precomputed:{value}", "no such folder", LAYOUT))
    return Precomputed(folder)
