"""The embedding cache: no text is encoded twice by the same model, in this run or a later one.

    <cache folder>/embeddings/<digest of a Source>/<digest of the file>.vectors
    <cache folder>/embeddings/answers/<digest of a question>.answer

Files are sealed (see ``common.sealed``). Vectors are named after their content, written under
another name, and never changed, so that runs may share a cache without locks: each sees whole files
or none. So it is with answers: what a model said before, such as how it reads some texts, that one
need not load it for. What is damaged is said, removed and made again. The cache never fails a run:
where it cannot read or write, it says so and the run goes on without it. Files that were used least
recently make room.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError, UsageError
from mlbench.common.files import ABANDONED_SECONDS, cache_folder, write_atomically
from mlbench.common.sealed import Sealed, digest_of, open_sealed, seal
from mlbench.common.sizes import parse_size
from mlbench.models.cache_files import (
    ANSWER,
    ANSWER_SCHEMA,
    COLUMNS,
    KEY_BYTES,
    SCHEMA,
    VECTORS,
    Head,
    Source,
    answer_of,
    checked_head,
    head_of,
    parts_of,
    vectors_of,
)
from mlbench.ranking.vectors import Vectors, joined

DEFAULT_LIMIT = 20 * 2**30
LIMIT_VARIABLE = "MLBENCH_CACHE_SIZE"
JOINED_TEXTS = 2048

_NAMES = tuple(f"[0-9a-f]*{suffix}" for suffix in (VECTORS, ANSWER, ".note"))
"""Files of the cache; an answer was called a note before."""
_UNFINISHED = tuple(f".{name}.*.tmp" for name in _NAMES)

T = TypeVar("T")


class Hit(NamedTuple):
    """Vectors found: row i of ``vectors`` is that of text ``places[i]``."""

    places: npt.NDArray[np.int64]
    vectors: Vectors


class Entry(NamedTuple):
    """A file of the cache: the head of vectors (None for an answer, and if it is unusable, see
    ``fault``), size in bytes, and when it was last used, in seconds since 1970."""

    path: Path
    head: Head | None
    size: int
    used: float
    fault: str = ""


class _Part(NamedTuple):
    """A file of vectors of this run, and what it holds."""

    path: Path
    keys: list[bytes]
    vectors: Vectors


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
        self._small: dict[Source, list[_Part]] = {}
        self._storing = True
        self._held = limit  # the bytes held as far as is known; the first store finds out

    def find(self, source: Source, keys: list[bytes]) -> Iterator[Hit]:
        """Yield what is stored for ``keys``, each at most once, a file at a time.

        ``keys`` are distinct, made by ``source.keys``; the places of a Hit count in them.
        """
        wanted = {key: place for place, key in enumerate(keys)}
        for path in sorted(self.folder.glob(f"{source.digest}/{_NAMES[0]}")):
            if not wanted:
                return
            hit = self._read(path, wanted)
            if hit is not None:
                yield hit

    def _read(self, path: Path, wanted: dict[bytes, int]) -> Hit | None:
        """Take from ``wanted`` what a file of vectors holds."""

        def read(sealed: Sealed) -> Hit | None:
            checked_head(sealed)
            keys = sealed.read("keys").tobytes()
            starts = range(0, len(keys), KEY_BYTES)
            rows = {
                key: row
                for row, at in enumerate(starts)
                if (key := keys[at : at + KEY_BYTES]) in wanted
            }
            if not rows:
                return None
            vectors = vectors_of(sealed)[list(rows.values())]
            places = [wanted.pop(key) for key in rows]
            return Hit(np.array(places, np.int64), vectors)

        return self._open(path, SCHEMA, read)

    def _open(self, path: Path, schema: str, read: Callable[[Sealed], T | None]) -> T | None:
        """Return what ``read`` takes from a file, which counts as used then; None without it."""
        try:
            with open_sealed(path, schema) as sealed:
                result = read(sealed)
        except (FileNotFoundError, NotADirectoryError):
            return None  # another run has just evicted it, or there was none
        except OSError as error:
            self.warn(f"embedding cache: {path} cannot be read: {error.strerror or error}")
            return None
        except IntegrityError as error:
            self._drop(path, error.faults[0].found)
            return None
        if result is not None:
            self._touch(path)
        return result

    def _drop(self, path: Path, fault: str) -> None:
        try:
            path.unlink(missing_ok=True)
            done = "removed; what it held is computed again"
        except OSError as error:
            done = f"passed over, as it cannot be removed: {error.strerror or error}"
        self.warn(f"embedding cache: {path} is {fault} ({done})")

    def _touch(self, path: Path) -> None:
        """Mark a file as used, unless the cache may only be read."""
        self._mine.add(path)
        if os.access(path, os.W_OK):
            try:
                os.utime(path)
            except OSError as error:
                self.warn(f"embedding cache: {path} cannot be marked as used: {error}")

    def store(self, source: Source, keys: list[bytes], vectors: Vectors, model: str = "") -> int:
        """Keep row i of ``vectors`` for key i, as one file.

        Small files of a run are joined when they hold JOINED_TEXTS. ``model`` is the name that
        ``mlbench cache info`` shows. Where storing fails, as on a full disk, says so once and
        stores no more in this run. Returns how many were kept: all or none.
        """
        path = self._store(source, keys, vectors, model)
        if path is None:
            return 0
        small = self._small.setdefault(source, [])
        small.append(_Part(path, keys, vectors))
        if sum(len(part.keys) for part in small) >= JOINED_TEXTS:
            self._join(source, small, model)
            small.clear()
        return len(keys)

    def _store(
        self, source: Source, keys: list[bytes], vectors: Vectors, model: str
    ) -> Path | None:
        if not self._storing:
            return None
        table = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        parts = parts_of(vectors)
        head = {"model": model, "source": asdict(source)}
        if COLUMNS in parts:
            head["dimension"] = vectors.shape[1]
        content = seal(SCHEMA, head, keys=table, **parts)
        path = self.folder / source.digest / f"{digest_of(content)}{VECTORS}"
        return path if self._put(path, content) else None

    def _join(self, source: Source, parts: list[_Part], model: str) -> None:
        """Make one file of several, which go once it is in place."""
        if len(parts) == 1:
            return
        keys = [key for part in parts for key in part.keys]
        vectors = joined([part.vectors for part in parts])
        if self._store(source, keys, vectors, model) is None:
            return
        for part in parts:
            self._mine.discard(part.path)
            with contextlib.suppress(OSError):
                self._held -= part.path.stat().st_size
                part.path.unlink()

    def recall(self, about: str) -> bytes | None:
        """Return the answer to a question (see ``question_digest``), if it is kept."""

        def read(sealed: Sealed) -> bytes:
            return answer_of(sealed, about)

        return self._open(self._answer(about), ANSWER_SCHEMA, read)

    def remember(self, about: str, answer: bytes) -> None:
        """Keep the answer to a question; where that fails, it is as with ``store``."""
        if self._storing:
            content = seal(ANSWER_SCHEMA, {"about": about}, answer=answer)
            self._put(self._answer(about), content)

    def _answer(self, about: str) -> Path:
        return self.folder / "answers" / f"{about}{ANSWER}"

    def _put(self, path: Path, content: bytes) -> bool:
        """Write a file, and say whether it is there now."""
        try:
            if not self._make_room(len(content)):
                self._stop(
                    f"it is full with what this run uses ({plural(self.limit, 'byte')}); "
                    f"allow more with {LIMIT_VARIABLE}, such as {LIMIT_VARIABLE}=50G"
                )
                return False
            write_atomically(path, content)
        except EnvironmentFault as error:
            self._stop(error.faults[0].found)
        except OSError as error:
            self._stop(str(error))
        else:
            self._mine.add(path)
            return True
        return False

    def _stop(self, why: str) -> None:
        self._storing = False
        self.warn(f"embedding cache {self.folder}: {why}. The run goes on without storing vectors")

    def _make_room(self, need: int) -> bool:
        """Remove the least recently used files until ``need`` bytes fit; False if they cannot."""
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
        """Yield all files of vectors, answers and unfinished files."""
        for pattern in (*_NAMES, *_UNFINISHED):
            for path in self.folder.glob(f"*/{pattern}"):
                try:
                    info = path.stat()
                except FileNotFoundError:
                    continue
                yield _File(info.st_mtime_ns, path, info.st_size)

    def entries(self, *, check: bool = False) -> Iterator[Entry]:
        """Yield every file; with ``check``, all of it is read and compared with its digests."""
        for file in sorted(self._files(), key=lambda file: file.path):
            if _is_unfinished(file):
                continue
            head, fault = None, ""
            try:
                head = head_of(file.path, check=check)
            except FileNotFoundError:
                continue
            except OSError as error:
                fault = str(error)
            except IntegrityError as error:
                fault = error.faults[0].found
            yield Entry(file.path, head, file.size, file.used / 1e9, fault)

    def clear(self) -> int:
        """Remove all files of the cache, and nothing else; return the bytes freed.

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


def _is_unfinished(file: _File) -> bool:
    return file.path.suffix == ".tmp"


def _in_progress(file: _File) -> bool:
    return _is_unfinished(file) and file.used / 1e9 > time.time() - ABANDONED_SECONDS
