"""A shard: the vectors of some texts in one file that is never changed once it is there.

    head      one line of JSON, see ``Head``: what is held, and the SHA-256 of what follows
    keys      rows x 32 bytes, see ``Source.keys``
    vectors   rows x dimension, float32, little-endian, as the model returned them

The file is named after the SHA-256 of its head, which names those of the rest: whoever reads
head and keys, or all of it, knows that it is what was written. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

SCHEMA = "mlbench/embeddings/1"
SUFFIX = ".vectors"
KEY_BYTES = 32
LONGEST_HEAD = 2**20

Floats = npt.NDArray[np.float32]


class Unusable(Exception):
    """A shard is damaged or of another schema; the message says which."""


@dataclass(frozen=True)
class Source:
    """All that a vector depends on beside its text.

    ``language`` is "" for a model that is not told it; ``form`` says what stands for a text:
    itself ("text"), or the bytes that the model's ``canonical`` gives for it ("canonical").
    """

    identity: str
    role: str
    prompt: str = ""
    language: str = ""
    options: str = ""
    form: str = "text"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all fields."""
        return hashlib.sha256(packed(map(str.encode, astuple(self)))).hexdigest()

    def keys(self, texts: Iterable[bytes]) -> list[bytes]:
        """Return the key of each text: SHA-256 over the schema, all fields and the text.

        Every part is preceded by its length, so that no other parts give the same bytes.
        """
        prefix = hashlib.sha256(packed(map(str.encode, (SCHEMA, *astuple(self)))))
        keys = []
        for text in texts:
            hasher = prefix.copy()
            hasher.update(packed((text,)))
            keys.append(hasher.digest())
        return keys


def packed(parts: Iterable[bytes]) -> bytes:
    """Join parts, each after its length in 8 bytes, so that no other parts give the same bytes."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


@dataclass(frozen=True)
class Head:
    """What the first line of a shard says; ``model`` is a name for people, and no more."""

    model: str
    source: Source
    rows: int
    dimension: int
    keys_sha256: str
    vectors_sha256: str


def shard_to_bytes(
    source: Source, keys: list[bytes], vectors: Floats, model: str = ""
) -> tuple[str, bytes]:
    """Return the name and the content of the shard that holds row i of ``vectors`` for key i.

    ``vectors`` is float32 of shape (len(keys), dimension).
    """
    raw_keys = b"".join(keys)
    raw_vectors = vectors.astype("<f4", copy=False).tobytes()
    rows, dimension = vectors.shape
    head = Head(model, source, rows, dimension, _sha256(raw_keys), _sha256(raw_vectors))
    line = json.dumps({"schema": SCHEMA} | asdict(head)).encode() + b"\n"
    return _sha256(line) + SUFFIX, line + raw_keys + raw_vectors


def read_head(file: BinaryIO, name: str) -> Head:
    """Read and check the head of the shard called ``name``, and the size of the file.

    Raises Unusable.
    """
    line = file.readline(LONGEST_HEAD)
    if _sha256(line) + SUFFIX != name:
        raise Unusable("damaged: its head is not the one that its name was made from")
    try:
        table = json.loads(line)
        schema = table.pop("schema")
        if schema == SCHEMA:
            head = Head(**table | {"source": Source(**table["source"])})
            size = len(line) + head.rows * (KEY_BYTES + 4 * head.dimension)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unusable("not a shard that mlbench wrote") from None
    if schema != SCHEMA:
        raise Unusable(f"of schema {schema!r}; this version of mlbench reads {SCHEMA!r}")
    found = os.fstat(file.fileno()).st_size
    if min(head.rows, head.dimension) < 1 or found != size:
        raise Unusable(f"damaged: it has {found:,} bytes, expected {size:,}")
    return head


def read_keys(file: BinaryIO, head: Head) -> list[bytes]:
    """Read and check the keys, which follow the head. Raises Unusable."""
    raw = file.read(head.rows * KEY_BYTES)
    if _sha256(raw) != head.keys_sha256:
        raise Unusable("damaged: its keys have another SHA-256 than its head says")
    return [raw[start : start + KEY_BYTES] for start in range(0, len(raw), KEY_BYTES)]


def read_vectors(file: BinaryIO, head: Head) -> Floats:
    """Read and check the vectors, which follow the keys: float32 (rows, dimension), read-only.

    Raises Unusable.
    """
    raw = file.read(4 * head.rows * head.dimension)
    if _sha256(raw) != head.vectors_sha256:
        raise Unusable("damaged: its vectors have another SHA-256 than its head says")
    stored = np.frombuffer(raw, "<f4").reshape(head.rows, head.dimension)
    return stored.astype(np.float32, copy=False)


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
