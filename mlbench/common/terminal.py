"""What a terminal shows: lines that are not too long, and nothing that could steer it."""

from __future__ import annotations

import textwrap

WIDTH = 80
"""Columns."""


def printable(text: str) -> str:
    """Return ``text`` with what could steer a terminal replaced by spaces; newlines stay.

    >>> printable("a\\x1b[2Jb")
    'a [2Jb'
    """
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def fill(text: str) -> str:
    """Return ``text`` in lines of at most 80 columns, without what could steer a terminal."""
    return textwrap.fill(printable(text), WIDTH)
