"""Vectors that a pass leaves behind, for those who want them: float16, one file a shard.

    <folder>/model.toml        name, similarity and identity of the model
    <folder>/index.json        the files, by role, language and shard
    <folder>/<role>.<language>.<SHA-256 of the file>.parquet    columns id and vector

The folder is a model of its own (``precomputed:FOLDER``). Its vectors are rounded, so its counts
are not those of the model: two passages that differ may now tie.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError, UsageError
from mlbench.common.files import alone, sha256_of, write_atomically
from mlbench.evaluation.scan import Block
from mlbench.models.boundary import Layout
from mlbench.models.saved_vectors import INDEX, SCHEMA, SavedFile, read_index

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from mlbench.data.collection import Collection
    from mlbench.data.corpus import ShardSource
    from mlbench.evaluation.partial import Partial
    from mlbench.models.registry import LoadedModel


KEEP = "--keep-embeddings"


class VectorWriter:
    """Writes the vectors of one shard after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0

    def add(self, block: Block, vectors: Any) -> None:
        """Add the vectors of a block. Raises EnvironmentFault where they cannot be written."""
        self.write(block.ids, vectors)

    def write(self, ids: Sequence[str], vectors: Any) -> None:
        """Add vectors, float32 (ids, dimension), to the file at hand."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with np.errstate(over="ignore"):
            half = vectors.astype(np.float16)
        if not np.isfinite(half).all():
            found = "a vector has a value that float16 cannot hold"
            raise ModelError(Fault(KEEP, found, "values up to 65,504"))
        kind = pa.list_(pa.float16(), half.shape[1])
        column = pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), type=kind)
        table = pa.table({"id": pa.array(ids, pa.string()), "vector": column})
        try:
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._path = self._folder / f".{secrets.token_hex(8)}.tmp"
                self._writer = pq.ParquetWriter(
                    self._path, table.schema, compression="none", use_dictionary=False
                )
            self._writer.write_table(table, row_group_size=len(ids))
        except OSError as error:
            raise EnvironmentFault(_unwritable(self._folder, error)) from error
        self._rows += len(ids)

    def finish(self, shard: ShardSource, content: str) -> SavedFile | None:
        """Put the shard's file in its place; None if the shard was empty."""
        return self.close_as("passages", shard.language, shard.name, content)

    def close_as(
        self, role: str, language: str, shard: str = "", content: str = ""
    ) -> SavedFile | None:
        """Put the file in its place, under its own digest."""
        if self._writer is None or self._path is None:
            return None
        try:
            self._writer.close()
            digest = sha256_of(self._path)
            name = f"{role}.{language}.{digest}.parquet"
            self._path.replace(self._folder / name)
        except OSError as error:
            raise EnvironmentFault(_unwritable(self._folder, error)) from error
        rows, self._rows, self._writer, self._path = self._rows, 0, None, None
        return SavedFile(name, role, language, shard, rows, content)

    def close(self) -> None:
        """Leave nothing unfinished behind."""
        if self._writer is not None and self._path is not None:
            self._writer.close()
            self._path.unlink(missing_ok=True)
        self._writer = self._path = None


def _unwritable(folder: Path, error: OSError) -> Fault:
    return Fault(
        str(folder),
        f"cannot be written: {error.strerror or error}",
        "room for the vectors, 2 bytes for each dimension of each passage",
        "choose another folder, or leave --keep-embeddings out",
    )


class SavedFiles(NamedTuple):
    """The files that this run has kept so far; other parts of it may write to the same folder.

    ``contents`` maps shards to digests: what the folder has of a shard that was another is dropped.
    """

    folder: Path
    model: LoadedModel
    contents: Mapping[str, str]
    files: dict[tuple[str, str, str], SavedFile]

    def add(self, file: SavedFile | None) -> None:
        """Take a file up in the index."""
        if file is not None:
            self.files[file.role, file.language, file.shard] = file

    def known(self) -> dict[tuple[str, str, str], SavedFile]:
        """Return what the index has of this model and these shards."""
        identity, files = _indexed(self.folder)
        if identity != self.model.identity:
            return {}
        return {
            (file.role, file.language, file.shard): file
            for file in files
            if self.contents.get(file.shard, "") == file.content
        }

    def write(self) -> None:
        """Add to the index, atomically; a file that it does not name is not part of the folder."""
        with alone(self.folder / INDEX):
            files = self.known() | self.files
            rows = [files[key]._asdict() for key in sorted(files)]
            table = {"schema": SCHEMA, "identity": self.model.identity, "files": rows}
            write_atomically(
                self.folder / INDEX, (json.dumps(table, indent=1) + "\n").encode(), KEEP
            )
        settings = {
            "name": f"{self.model.name}-float16",
            "similarity": self.model.similarity,
            "identity": f"{self.model.identity}, float16",
        }
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
        write_atomically(self.folder / "model.toml", "".join(lines).encode(), KEEP)


def open_saved(folder: Path, model: LoadedModel, partial: Partial, *, anew: bool) -> SavedFiles:
    """Return what is kept in ``folder`` of the shards that ``partial`` has counted, or others.

    Raises UsageError where it holds another model's vectors, or lacks those of a counted shard.
    """
    identity, files = _indexed(folder)
    if identity != model.identity and files and not anew:
        found = f"holds vectors of another model: {identity!r}, now {model.identity!r}"
        raise UsageError(Fault(str(folder), found, "a separate folder for each model and task"))
    saved = SavedFiles(folder, model, {shard.name: shard.content for shard in partial.shards}, {})
    here = {shard for _, _, shard in saved.known()}
    counted = [s.name for s in partial.shards if s.name in partial.done and s.passages]
    lacking = [name for name in counted if name not in here]
    if lacking:
        raise UsageError(
            Fault(
                KEEP,
                f"{plural(len(lacking), 'shard was', 'shards were')} counted without "
                "keeping their vectors: " + ", ".join(lacking[:5]),
                "--keep-embeddings given or left out as when the run began",
                "leave it out, or remove the partial results of the run and begin again",
            )
        )
    return saved


def _indexed(folder: Path) -> tuple[str, list[SavedFile]]:
    """Return the identity of the model and the files of a folder; none where it has no index."""
    return read_index(folder) if (folder / INDEX).exists() else ("", [])


def save_queries(saved: SavedFiles, core: Collection, vectors: Any) -> None:
    """Keep the vectors of a collection's queries, float32 (queries, dimension).

    Raises ModelError for vectors that are sparse, or several a text.
    """
    if not isinstance(vectors, np.ndarray):
        found = f"the model gives {Layout.of(vectors, '')}"
        raise ModelError(Fault(KEEP, found, "one dense vector for each text"))
    writer = VectorWriter(saved.folder)
    for language in core.roles.queries:
        part = core.queries.slice(core.languages.index(language))
        writer.write(core.queries.ids[part], vectors[part])
        saved.add(writer.close_as("queries", language))
    saved.write()
