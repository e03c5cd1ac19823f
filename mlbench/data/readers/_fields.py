"""Fields of JSON objects that must be of some type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlbench.data.input_files import INTEGER, Faults, describe, integer_of


def string_of(value: Any) -> str | None:
    """Return a string; None for anything else."""
    return value if isinstance(value, str) else None


def id_of(value: Any) -> str | None:
    """Return an id, which may be an integer; None for anything else."""
    return str(value) if type(value) is int else string_of(value)


def list_of(value: Any) -> list[Any] | None:
    """Return a list; None for anything else."""
    return value if isinstance(value, list) else None


def object_of(value: Any) -> Mapping[str, Any] | None:
    """Return an object; None for anything else."""
    return value if isinstance(value, Mapping) else None


_EXPECTED: Mapping[Callable[[Any], Any], str] = {
    string_of: "a string",
    id_of: "a string",
    list_of: "a list",
    object_of: "an object",
    integer_of: INTEGER,
}


def get(table: Any, key: str, read: Callable[[Any], Any], where: str, faults: Faults) -> Any:
    """Return what ``read`` makes of ``table[key]``, or None after noting that it makes nothing."""
    if not isinstance(table, Mapping):
        faults.add(where, describe(table), f"an object with {key!r}")
        return None
    value = read(table.get(key))
    if value is None:
        found = f"{key!r} is {describe(table[key])}" if key in table else f"{key!r} missing"
        faults.add(where, found, _EXPECTED[read])
    return value
