"""Sizes in bytes, and counts, as people write them."""

from __future__ import annotations

import math
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


def short_size(size: int) -> str:
    """Return bytes as people read them, to three digits.

    >>> [short_size(n) for n in (0, 1023, 1536, 20 * 2**20, 1023 * 2**10 + 1000)]
    ['0 B', '1023 B', '1.50 KiB', '20.0 MiB', '1.00 MiB']
    """
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= (1024 if units[0] == "B" else 1023.5) and len(units) > 1:
        value, units = value / 1024, units[1:]
    if units[0] == "B":
        return f"{size} B"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {units[0]}"


def short_number(value: float) -> str:
    """Return a count in short: 0.1, 1, 10, 1k, 22.7M, 1B.

    >>> short_number(22_713_216)
    '22.7M'
    """
    for power, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        if value >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:.3g}"


def three_digits(value: float) -> str:
    """Return a number above 0 to three digits, or as a whole number where it has more.

    >>> [three_digits(n) for n in (0.01234, 9.876, 12.34, 123456.7)]
    ['0.0123', '9.88', '12.3', '123,457']
    """
    places = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{places}f}"
