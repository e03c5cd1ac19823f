"""Values as JSON holds them: those that it cannot hold, and what differs between two documents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

AGREEMENT = 1e-9
NOTHING = "nothing"


def finite(value: Any) -> Any:
    """Return ``value``, with null for each number in it that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return value


def differences(said: Any, found: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the key and both values of whatever differs by more than ``AGREEMENT``.

    Where one side lacks a key, its value is NOTHING.
    """
    if isinstance(said, dict) and isinstance(found, dict):
        for name in said | found:
            pair = said.get(name, NOTHING), found.get(name, NOTHING)
            yield from differences(*pair, f"{key}.{name}".lstrip("."))
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for number, (a, b) in enumerate(zip(said, found, strict=True)):
            yield from differences(a, b, f"{key}[{number}]")
    elif isinstance(said, float) and isinstance(found, float):
        if not math.isclose(said, found, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
            yield key, said, found
    elif said != found:
        yield key, said, found
