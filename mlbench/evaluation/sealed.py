"""Files that say what they are and prove that they are whole: the state a pass leaves behind.

The first line is a schema and the SHA-256 of all that follows, which is a line of JSON and any
bytes. Whoever reads one gets what was written, or hears that the file is damaged.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from mlbench.common.errors import EnvironmentFault, Fault, IntegrityError

LONGEST_LINE = 200


class Sealed(NamedTuple):
    """What a file holds: a JSON object, and bytes."""

    head: dict[str, Any]
    body: bytearray


def seal(schema: str, head: dict[str, Any], *body: bytes | memoryview) -> bytes:
    """Return the content of a file: the same bytes for the same values."""
    line = json.dumps(head, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    total = hashlib.sha256()
    for part in (line, *body):
        total.update(part)
    return b"".join([f"{schema} {total.hexdigest()}\n".encode(), line, *body])


def unseal(path: Path, schema: str, mend: str) -> Sealed:
    """Read the file at ``path``.

    Raises IntegrityError if it is of another schema or not as it was written (``mend`` says what
    to do then), EnvironmentFault if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_LINE)
            line = file.readline()
            body = bytearray(file.read())
    except OSError as error:
        found = f"cannot be read: {error.strerror or error}"
        raise EnvironmentFault(Fault(str(path), found, f"a file of schema {schema}")) from None
    name, _, digest = first.decode("utf-8", "replace").strip().partition(" ")
    if name != schema:
        found = f"schema {name[:40]!r}" if name.startswith("mlbench/") else "another kind of file"
        raise IntegrityError(Fault(str(path), found, schema, mend))
    total = hashlib.sha256(line)
    total.update(body)
    if total.hexdigest() != digest:
        found = "damaged: it has another SHA-256 than its first line says"
        raise IntegrityError(Fault(str(path), found, "the file as it was written", mend))
    return Sealed(json.loads(line), body)
