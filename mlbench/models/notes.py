"""A note: what a model said once, such as how it reads some texts, so that none asks it again.

A file named after its subject: a digest over the question and all that the answer depends on. It
begins with the SHA-256 of the name and the answer, so that whoever reads one knows that it is the
answer to that question, as it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mlbench.models.shards import Unusable, packed

SCHEMA = "mlbench/note/1"
SUFFIX = ".note"
_DIGEST_BYTES = 32


def subject(question: str, *parts: Iterable[str]) -> str:
    """Return the digest (hex) of a question and of lists of all that its answer depends on."""
    total = hashlib.sha256(packed([SCHEMA.encode(), question.encode()]))
    for part in parts:
        raw = packed(field.encode("utf-8", "surrogatepass") for field in part)
        total.update(packed([raw]))
    return total.hexdigest()


def note_to_bytes(about: str, answer: bytes) -> bytes:
    """Return the content of the note on the subject ``about``."""
    return _digest(about, answer) + answer


def read_note(about: str, content: bytes) -> bytes:
    """Return the answer. Raises Unusable for a damaged note and for that of another subject."""
    digest, answer = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if digest != _digest(about, answer):
        raise Unusable("damaged: it has another SHA-256 than it says")
    return answer


def _digest(about: str, answer: bytes) -> bytes:
    return hashlib.sha256(packed([SCHEMA.encode(), about.encode(), answer])).digest()
