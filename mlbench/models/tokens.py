"""Tokens of any script: words where words are spaced, overlapping character bigrams elsewhere.

Python's ``\\w`` leaves out marks, and so cuts Devanagari, Thai and Arabic words to pieces; here
a word is a run of letters, numbers and the marks on them. Han, Kana, Hangul, Thai, Lao, Khmer
and Myanmar are cut into bigrams (as Lucene's CJK analyser does for the first three) of
characters with their marks. Text is folded first: NFKC and case folding; format characters,
Arabic vowel signs and tatweel are left out.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby, pairwise

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # Kana, Bopomofo
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u1100-\u11ff\uac00-\ud7ff"  # Hangul
)
_LEFT_OUT = (
    *(0x00AD, 0x200C, 0x200D, 0x200E, 0x200F, 0xFEFF),  # soft hyphen, joiners, directions, BOM
    *range(0x202A, 0x202F),  # directions
    *range(0x2060, 0x206A),  # word joiner, invisible operators, directions
    *range(0x064B, 0x0660),  # Arabic vowel signs
    *(0x0640, 0x0670),  # tatweel, superscript alef
)
_LEAVE_OUT = dict.fromkeys(_LEFT_OUT)


def fold(text: str) -> str:
    """Return ``text`` without differences of compatibility form, case and vowel signs."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_LEAVE_OUT)


def runs(text: str) -> list[str]:
    """Return the runs of letters, numbers and their marks in the folded ``text``."""
    return [unspaced or word for unspaced, word in _patterns()[0].findall(fold(text))]


def tokens(text: str) -> list[str]:
    """Return the tokens of ``text`` in order.

    >>> tokens("Größe: 5½ km, 東京都")
    ['grösse', '51', '2', 'km', '東京', '京都']
    """
    pattern, character = _patterns()
    found: list[str] = []
    for unspaced, word in pattern.findall(fold(text)):
        if word:
            found.append(word)
            continue
        characters = character.findall(unspaced)
        found.extend(a + b for a, b in pairwise(characters))
        if len(characters) == 1:
            found.append(unspaced)
    return found


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the pattern of runs (groups: unspaced, word) and that of a character with marks."""
    marks = _marks()
    unspaced = rf"(?!\W)[{_UNSPACED}][{marks}]*+"
    word = rf"[^\W_{_UNSPACED}]++[{marks}]*+"
    return re.compile(rf"((?:{unspaced})++)|((?:{word})++)"), re.compile(unspaced)


def _marks() -> str:
    """Return all combining marks (Unicode categories Mn, Mc, Me) as ranges of a character class."""
    codes = [code for code in range(0x1FFFF) if unicodedata.category(chr(code))[0] == "M"]
    ranges = []
    for _, group in groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0]):
        consecutive = [code for _, code in group]
        ranges.append(f"{chr(consecutive[0])}-{chr(consecutive[-1])}")
    return "".join(ranges) + "\U000e0100-\U000e01ef"
