"""Files of the embedding cache: what vectors and answers are known by, and how they are held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench.common.sealed import Sealed, open_sealed
from mlbench.ranking.vectors import TokenVectors, Vectors

SCHEMA = "mlbench/embeddings/2"
ANSWER_SCHEMA = "mlbench/answer/1"
KEY_BYTES = 32

VECTORS, ANSWER = ".vectors", ".answer"
TOKENS, COLUMNS, COUNTS = "tokens", "columns", "counts"
"""Further parts of a file: how many vectors each text has, where these are several; the columns of
the values of sparse vectors, and how many values each text has."""
NO_VECTORS = "not vectors as mlbench writes them"


def packed(parts: Iterable[bytes]) -> bytes:
    """Join parts, each after its length in 8 bytes, so that no other parts give the same bytes."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


@dataclass(frozen=True)
class Source:
    """All that a vector depends on beside its text.

    ``language`` is "" for a model that is not told it; ``form`` says what stands for a text:
    itself ("text"), or the bytes that the model's ``canonical`` gives for it ("canonical"). Of
    images, whose ``role`` is "image", it says how they are decoded; the digest of the file's bytes
    stands for an image.
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


@dataclass(frozen=True)
class Head:
    """What a file of vectors holds; ``model`` is a name for people, and no more."""

    model: str
    source: Source
    rows: int
    dimension: int


def question_digest(question: str, *parts: Iterable[str]) -> str:
    """Return the digest (hex) of a question and of lists of all that its answer depends on."""
    total = hashlib.sha256(packed([ANSWER_SCHEMA.encode(), question.encode()]))
    for part in parts:
        raw = packed(field.encode("utf-8", "surrogatepass") for field in part)
        total.update(packed([raw]))
    return total.hexdigest()


def head_of(path: Path, *, check: bool) -> Head | None:
    """Return the head of vectors, None for an answer; with ``check``, read all.

    Raises IntegrityError.
    """
    schema = SCHEMA if path.suffix == VECTORS else ANSWER_SCHEMA
    with open_sealed(path, schema) as sealed:
        if check:
            sealed.read_all()
        if path.suffix == VECTORS:
            return checked_head(sealed)
        answer_of(sealed, path.stem)
        return None


def parts_of(vectors: Vectors) -> dict[str, npt.NDArray[Any]]:
    """Return the parts of a file that hold vectors, little-endian."""
    if isinstance(vectors, np.ndarray):
        return {"vectors": vectors.astype("<f4", copy=False)}
    if isinstance(vectors, TokenVectors):
        return parts_of(vectors.vectors) | {TOKENS: vectors.counts.astype("<i4")}
    columns = vectors.indices.astype(_column_type(vectors.shape[1]), copy=False)
    counts = np.diff(vectors.indptr).astype("<i4")
    return parts_of(vectors.data) | {COLUMNS: columns, COUNTS: counts}


def _column_type(dimension: int) -> str:
    return "<i4" if dimension <= 2**31 else "<i8"


def checked_head(sealed: Sealed) -> Head:
    """Return the head of a file of vectors. Raises IntegrityError where it is none."""
    try:
        source = Source(**sealed.head["source"])
        rows, (held, *width) = int(sealed.form("keys")[1][0]), sealed.form("vectors")[1]
        dimension = int(width[0] if width else sealed.head["dimension"])
        expected: dict[str, tuple[str, tuple[int, ...]]] = {"keys": ("|u1", (rows, KEY_BYTES))}
        if not width:
            expected[COLUMNS] = (_column_type(dimension), (held,))
            expected[COUNTS] = ("<i4", (rows,))
        elif sealed.has(TOKENS):
            expected[TOKENS] = ("<i4", (rows,))
        else:
            held = rows
        expected["vectors"] = ("<f4", (held, *width))
        sound = all(sealed.form(name) == form for name, form in expected.items())
        if not sound or min(rows, dimension) < 1:
            raise ValueError
        return Head(str(sealed.head["model"]), source, rows, dimension)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise sealed.fault(NO_VECTORS) from None


def vectors_of(sealed: Sealed) -> Vectors:
    """Return the vectors of a file that ``checked_head`` has passed. Raises IntegrityError."""
    vectors = sealed.read("vectors").astype(np.float32, copy=False)
    name = COUNTS if vectors.ndim == 1 else TOKENS
    if not sealed.has(name):
        return vectors
    starts = np.append(0, np.cumsum(sealed.read(name), dtype=np.int64))
    if starts[-1] != len(vectors):
        raise sealed.fault(NO_VECTORS)
    if name == TOKENS:
        return TokenVectors(vectors, starts)
    from scipy import sparse

    columns, shape = sealed.read(COLUMNS), (len(starts) - 1, sealed.head["dimension"])
    try:
        result = sparse.csr_matrix((vectors, columns, starts), shape)
        result.check_format(full_check=True)
    except ValueError:
        raise sealed.fault(NO_VECTORS) from None
    return result


def answer_of(sealed: Sealed, about: str) -> bytes:
    """Return the answer to the question of this digest. Raises IntegrityError for another's."""
    if sealed.head.get("about") != about:
        raise sealed.fault("damaged: it is the answer to another question")
    return bytes(sealed.read("answer"))
