"""The embedding cache: no text is encoded twice by the same model, in this run or a later one.

    <cache folder>/embeddings/<digest of a Source>/<digest of a head>.vectors
    <cache folder>/embeddings/notes/<digest of a subject>.note

Shards (see ``models.shards``) are named after their content, written under another name, and
never changed, so that runs may share a cache without locks: each sees whole shards or none. So
are notes (see ``models.notes``), what a model said before that one need not load it for.
What is damaged is said, removed and made again. The cache never fails a run: where it cannot
read or write, it says so and the run goes on without it. Least recently used shards make room.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlbench.common.errors import EnvironmentFault, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.sizes import parse_size
from mlbench.data.locator import cache_folder
from mlbench.models import notes
from mlbench.models.shards import (
    SUFFIX,
    Floats,
    Head,
    Source,
    Unusable,
    read_head,
    read_keys,
    read_vectors,
    shard_to_bytes,
)

DEFAULT_LIMIT = 20 * 2**30
LIMIT_VARIABLE = "MLBENCH_CACHE_SIZE"
ABANDONED_SECONDS = 3600
"""An unfinished file of this age belongs to a run that was killed."""

_SHARDS = f"[0-9a-f]*{SUFFIX}"
_NOTES = f"[0-9a-f]*{notes.SUFFIX}"
_UNFINISHED = (f".{_SHARDS}.*.tmp", f".{_NOTES}.*.tmp")


class Hit(NamedTuple):
    """Vectors found: row i of float32 ``vectors`` (n, d) is that of text ``places[i]``."""

    places: npt.NDArray[np.int64]
    vectors: Floats


class Entry(NamedTuple):
    """A shard or a note on disk: a shard's head (None for a note, and if it is unusable, see
    ``fault``), size in bytes, and when it was last used, in seconds since 1970."""

    path: Path
    head: Head | None
    size: int
    used: float
    fault: str = ""


class _File(NamedTuple):
    used: int
    path: Path
    size: int


def warn(message: str) -> None:
    """Print a warning to standard error."""
    print(f"mlbench: warning: {message}", file=sys.stderr)


def open_cache() -> EmbeddingCache | None:
    """Return the user's embedding cache; None if MLBENCH_CACHE_SIZE is 0.

    Raises UsageError if MLBENCH_CACHE_SIZE is no size.
    """
    limit = size_limit()
    return EmbeddingCache(embeddings_folder(), limit) if limit else None


def embeddings_folder() -> Path:
    """Return where embeddings are cached."""
    return cache_folder() / "embeddings"


def size_limit() -> int:
    """Return the greatest size of the cache in bytes: MLBENCH_CACHE_SIZE, else 20 GiB."""
    given = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not given:
        return DEFAULT_LIMIT
    try:
        return parse_size(given)
    except ValueError as error:
        raise UsageError(Fault(LIMIT_VARIABLE, str(error), "a size, or 0 for no cache")) from None


class EmbeddingCache:
    """The files below ``folder``, kept within ``limit`` bytes; ``warn`` is told what is amiss.

    One object serves one run: what it has found or stored is never evicted by it.
    """

    def __init__(
        self, folder: Path, limit: int = DEFAULT_LIMIT, warn: Callable[[str], None] = warn
    ) -> None:
        self.folder = folder
        self.limit = limit
        self.warn = warn
        self._mine: set[Path] = set()
        self._storing = True
        self._held = limit  # the bytes held as far as is known; the first store finds out

    def find(self, source: Source, keys: list[bytes]) -> Iterator[Hit]:
        """Yield what is stored for ``keys``, each at most once, a shard at a time.

        ``keys`` are distinct, made by ``source.keys``; the places of a Hit count in them.
        """
        wanted = {key: place for place, key in enumerate(keys)}
        for path in sorted(self.folder.glob(f"{source.digest}/{_SHARDS}")):
            if not wanted:
                return
            hit = self._read(path, wanted)
            if hit is not None:
                yield hit

    def _read(self, path: Path, wanted: dict[bytes, int]) -> Hit | None:
        """Take from ``wanted`` what the shard holds."""
        try:
            with path.open("rb") as file:
                head = read_head(file, path.name)
                rows = {key: row for row, key in enumerate(read_keys(file, head)) if key in wanted}
                if not rows:
                    return None
                vectors = read_vectors(file, head)
        except FileNotFoundError:
            return None  # another run has just evicted it
        except OSError as error:
            self.warn(f"embedding cache: {path} cannot be read: {error.strerror or error}")
            return None
        except Unusable as fault:
            self._drop(path, fault)
            return None
        self._touch(path)
        places = [wanted.pop(key) for key in rows]
        return Hit(np.array(places, np.int64), vectors[list(rows.values())])

    def _drop(self, path: Path, fault: Unusable) -> None:
        try:
            path.unlink(missing_ok=True)
            done = "removed; what it held is computed again"
        except OSError as error:
            done = f"passed over, as it cannot be removed: {error.strerror or error}"
        self.warn(f"embedding cache: {path} is {fault} ({done})")

    def _touch(self, path: Path) -> None:
        """Note that a shard was used; a cache that may only be read has no such notes."""
        self._mine.add(path)
        if os.access(path, os.W_OK):
            try:
                os.utime(path)
            except OSError as error:
                self.warn(f"embedding cache: {path} cannot be marked as used: {error}")

    def store(self, source: Source, keys: list[bytes], vectors: Floats, model: str = "") -> None:
        """Keep row i of ``vectors``, float32 (len(keys), dimension), for key i, as one shard.

        ``model`` is the name that ``mlbench cache info`` shows. Where storing fails, as on a full
        disk, says so once and stores no more in this run.
        """
        if self._storing:
            name, content = shard_to_bytes(source, keys, vectors, model)
            self._put(self.folder / source.digest / name, content)

    def recall(self, about: str) -> bytes | None:
        """Return the answer that was noted on a subject (see ``notes.subject``), if one was."""
        path = self._note(about)
        try:
            answer = notes.read_note(about, path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.warn(f"embedding cache: {path} cannot be read: {error.strerror or error}")
            return None
        except Unusable as fault:
            self._drop(path, fault)
            return None
        self._touch(path)
        return answer

    def note(self, about: str, answer: bytes) -> None:
        """Keep an answer; where that fails, it is as with ``store``."""
        path = self._note(about)
        if self._storing and path not in self._mine:
            self._put(path, notes.note_to_bytes(about, answer))

    def _note(self, about: str) -> Path:
        return self.folder / "notes" / f"{about}{notes.SUFFIX}"

    def _put(self, path: Path, content: bytes) -> None:
        try:
            if not self._make_room(len(content)):
                self._stop(
                    f"it is full with what this run uses ({self.limit:,} bytes); "
                    f"allow more with {LIMIT_VARIABLE}, such as {LIMIT_VARIABLE}=50G"
                )
                return
            write_atomically(path, content)
        except EnvironmentFault as error:
            self._stop(error.faults[0].found)
        except OSError as error:
            self._stop(str(error))
        else:
            self._mine.add(path)

    def _stop(self, why: str) -> None:
        self._storing = False
        self.warn(f"embedding cache {self.folder}: {why}. The run goes on without storing vectors")

    def _make_room(self, need: int) -> bool:
        """Remove the least recently used shards until ``need`` bytes fit; False if they cannot."""
        self._held += need
        if self._held <= self.limit:
            return True
        files = sorted(self._files())
        self._held = sum(file.size for file in files) + need
        for file in files:
            if self._held <= self.limit:
                break
            if file.path not in self._mine and not _in_progress(file):
                file.path.unlink(missing_ok=True)
                self._held -= file.size
        return self._held <= self.limit

    def _files(self) -> Iterator[_File]:
        """Yield all shards, notes and unfinished files."""
        for pattern in (_SHARDS, _NOTES, *_UNFINISHED):
            for path in self.folder.glob(f"*/{pattern}"):
                try:
                    info = path.stat()
                except FileNotFoundError:
                    continue
                yield _File(info.st_mtime_ns, path, info.st_size)

    def entries(self, *, check: bool = False) -> Iterator[Entry]:
        """Yield every shard and note; with ``check``, all of it is read and compared with its
        digests."""
        for file in sorted(self._files(), key=lambda file: file.path):
            if _is_unfinished(file):
                continue
            head, fault = None, ""
            try:
                head = _look(file.path, check=check)
            except FileNotFoundError:
                continue
            except (OSError, Unusable) as error:
                head, fault = None, str(error)
            yield Entry(file.path, head, file.size, file.used / 1e9, fault)

    def clear(self) -> int:
        """Remove all shards, notes and unfinished files, and nothing else; return the bytes freed.

        Raises EnvironmentFault if one cannot be removed.
        """
        files = [*self._files()]
        try:
            for file in files:
                file.path.unlink(missing_ok=True)
            for folder in {file.path.parent for file in files}:
                if not any(folder.iterdir()):
                    folder.rmdir()
        except OSError as error:
            raise EnvironmentFault(
                Fault(str(self.folder), f"cannot be cleared: {error}", "a folder you may write to")
            ) from error
        return sum(file.size for file in files)


def _look(path: Path, *, check: bool) -> Head | None:
    """Return the head of a shard, None for a note; with ``check``, read all. Raises Unusable."""
    with path.open("rb") as file:
        if path.suffix == notes.SUFFIX:
            if check:
                notes.read_note(path.stem, file.read())
            return None
        head = read_head(file, path.name)
        if check:
            read_keys(file, head)
            read_vectors(file, head)
        return head


def _is_unfinished(file: _File) -> bool:
    return file.path.suffix == ".tmp"


def _in_progress(file: _File) -> bool:
    return _is_unfinished(file) and file.used / 1e9 > time.time() - ABANDONED_SECONDS
