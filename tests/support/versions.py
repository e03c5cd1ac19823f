"""Versions of libraries: what newer ones alone do is tested with those."""

from __future__ import annotations

from importlib.metadata import version

from packaging.version import Version


def installed(library: str, lowest: str) -> bool:
    """Whether a library is at hand in this version or a later one."""
    return Version(version(library)) >= Version(lowest)
