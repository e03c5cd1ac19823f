"""What pages give their scripts: JSON that cannot leave its element, and figures as short text."""

from __future__ import annotations

import json
import math
from typing import Any

from mlbench.measures.significance import Values

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
UNIT = 100_000
"""Scores of 0 to 1 are rounded to five decimals."""
MISSING = 64**3 - 1


def packed(values: Values) -> str:
    """Return scores from 0 to 1 as text, three letters each, row by row; NaN is ``///``.

    >>> import numpy as np
    >>> packed(np.array([0.0, 1.0, math.nan]))
    'AAAYag///'
    """
    numbers = [MISSING if math.isnan(v) else round(UNIT * v) for v in values.ravel().tolist()]
    return "".join(LETTERS[n >> 12] + LETTERS[n >> 6 & 63] + LETTERS[n & 63] for n in numbers)


def script_json(value: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it can end or escape it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
