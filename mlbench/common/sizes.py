"""Sizes in bytes as people write them."""

from __future__ import annotations

import re

MOST_DIGITS = 20
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``256M`` or ``2GiB``; suffixes are powers of 1024.

    Raises ValueError.

    >>> parse_size("1.5K")
    1536
    """
    match = SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size such as 500M or 20G")
    if len(match[1]) > MOST_DIGITS:
        raise ValueError(f"{text[:20]!r}... is more than any machine has")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
