"""Text and JSON from strangers: bounded, and nothing that two readers could take differently."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault
from mlbench.leaderboard.entries.look_alikes import LOOK_ALIKES

MAX_NAME = 200
FORMULA = ("=", "+", "-", "@")
"""What makes a spreadsheet take a cell for a formula."""

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode categories of control, format (bidirectional marks, zero width), surrogate, private-use
and line-separator characters."""

UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Characters of other categories that are blank all the same: fillers, variation selectors, what
Unicode calls default ignorable (DerivedCoreProperties.txt), and the empty Braille cell."""
MOST_MARKS = 4
"""Marks on one letter of a name; more would stand over the lines above and below."""

LOOK = {
    "авгԁеһіјкӏмнопстрԛѕѵԝхуѡь": "abrdehijklmhonctpqsvwxywb",  # Cyrillic
    "αβγεηικνορτυχωϳ": "abyenikvoptuxwj",  # Greek
    "ıȷɑɡɩոցսօǀ": "ijaginguol",  # other Latin, Armenian, a click
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ": "abcdefghijklmnoprstuvwyz",  # small capitals
}
_PLAIN = {strange: plain for pair in LOOK.items() for strange, plain in zip(*pair, strict=True)}
ALIKE = str.maketrans(LOOK_ALIKES)
ALIKE_FOLDED = str.maketrans(
    {strange.casefold(): plain.casefold() for strange, plain in LOOK_ALIKES.items()}
    | {strange: plain for strange, plain in LOOK_ALIKES.items() if strange == strange.casefold()}
    | _PLAIN
)
"""Of characters after case folding, whose small form may look like another letter."""
ALIKE_IN_SHAPE = (("0", "o"), ("1", "l"), ("i", "l"), ("rn", "m"), ("vv", "w"))
"""Letters and digits that are easily taken for others, after case folding."""


def hidden(character: str) -> bool:
    """Say whether a character cannot be seen."""
    return unicodedata.category(character) in HIDDEN or bool(UNSEEN.match(character))


def _all_seen(text: str) -> bool:
    """Say at once of most texts what ``hidden`` says of each character."""
    return text.isprintable() and not UNSEEN.search(text)


def visible(text: str, keep: str = "") -> str:
    r"""Return text with what cannot be seen written as an escape, but for characters in ``keep``.

    >>> visible("a\u202eb")
    'a\\u202eb'
    """
    if _all_seen(text):
        return text
    return "".join(f"\\u{ord(c):04x}" if hidden(c) and c not in keep else c for c in text)


def seen(fault: Fault) -> Fault:
    """Return a fault that can be printed: no line break, no control or bidirectional character."""
    return Fault(
        *(visible(text) for text in (fault.where, fault.found, fault.expected, fault.mend))
    )


def shown(value: object, limit: int = 80) -> str:
    """Return a value for a message: on one line, nothing hidden, cut at ``limit`` characters."""
    text = visible(repr(value))
    return text if len(text) <= limit else f"{text[:limit]}... ({plural(len(text), 'character')})"


def text_fault(text: str, keep: str = "") -> str:
    """Say what a text must not hold, "" if nothing: a character that cannot be seen."""
    if _all_seen(text):
        return ""
    for character in text:
        if hidden(character) and character not in keep:
            name = unicodedata.name(character, "a control character")
            return f"holds U+{ord(character):04X} ({name.lower()})"
    return ""


def name_fault(name: str) -> str:
    """Say why a text will not do as the name of a model or a person, "" if it will."""
    if not name or name != name.strip():
        return f"{shown(name)} is empty, or has space at an end"
    if len(name) > MAX_NAME:
        return f"{plural(len(name), 'character')}: at most {MAX_NAME}"
    if name.startswith(FORMULA):
        return f"{shown(name)} begins with {name[0]!r}, as a formula of a spreadsheet does"
    if found := re.search(r"[<>]", name):
        return f"{shown(name)} holds {found[0]!r}"
    marks = "".join("x" if unicodedata.category(c) in {"Mn", "Me"} else " " for c in name)
    if "x" * (MOST_MARKS + 1) in marks:
        return f"{shown(name)} has more than {MOST_MARKS} marks on a letter"
    fault = text_fault(name)
    return f"{shown(name)} {fault}" if fault else ""


def link_fault(link: str) -> str:
    """Say why a text is no link that a page may show, "" if it is one (https only)."""
    if re.fullmatch(r"https://[A-Za-z0-9.-]+\.[A-Za-z]{2,}(:\d{1,5})?([/?#][^\s<>\"'\\]*)?", link):
        return ""
    return f"{shown(link)} is not an https:// link"


def skeleton(name: str) -> str:
    """Return what is left of a name when all that is easily overlooked is taken away.

    That is compatibility forms, case, accents and strokes, whatever looks like a Latin letter or a
    digit, the difference of l, i and 1, of o and 0, of rn and m and of vv and w, space, and
    punctuation but for that between digits.

    >>> skeleton("BM25") == skeleton("bm-25")
    True
    >>> skeleton("e5-base") == skeleton("е5-base")  # the second begins with a Cyrillic letter
    True
    >>> skeleton("BM25") == skeleton("ᏴᎷ25")  # Cherokee
    True
    >>> skeleton("v1.12") == skeleton("v11.2")
    False
    """
    plain = _bare(name.replace("|", "l").translate(ALIKE)).translate(ALIKE)
    plain = _bare(plain.casefold()).translate(ALIKE_FOLDED)
    plain = re.sub(r"(?<=\d)[\W_]+(?=\d)", ".", plain)
    plain = re.sub(r"[^\w.]|_|(?<!\d)\.|\.(?!\d)", "", plain)
    for strange, common in ALIKE_IN_SHAPE:
        plain = plain.replace(strange, common)
    return plain


def _bare(text: str) -> str:
    """Return a text in compatibility forms, without marks, strokes and what cannot be seen."""
    bare = unicodedata.normalize("NFKD", text)
    kept = (c for c in bare if not hidden(c) and unicodedata.category(c) not in {"Mn", "Me"})
    return "".join(c if c.isascii() else _without_strokes(c) for c in kept)


@cache
def _without_strokes(character: str) -> str:
    """Return the letter that another is a form of: of "o with stroke", o."""
    letter, added, _ = unicodedata.name(character, "").partition(" WITH ")
    if not added or " LETTER " not in letter:
        return character
    try:
        return unicodedata.lookup(letter)
    except KeyError:
        return character


MAX_JSON = 256 * 2**10
MAX_DEPTH = 32
MAX_TEXT = 20_000
MAX_INTEGER = 2**53


MULTILINE = re.compile(r"model\.(prompts|first_input)\..*|(declared\.source\.)?citation")
"""The fields whose text may have several lines."""


def read_bounded(path: Path, limit: int, where: str) -> bytes:
    """Read a regular file of at most ``limit`` bytes. Raises DataError."""
    try:
        if path.is_symlink() or not path.is_file():
            found = "no such file" if not path.exists() else "not a regular file"
            raise DataError(Fault(where, found, "a regular file"))
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise DataError(Fault(where, f"not readable: {error.strerror}")) from None
    if len(raw) > limit:
        raise DataError(
            Fault(where, f"more than {plural(limit, 'byte')}", f"at most {plural(limit, 'byte')}")
        )
    return raw


def parse_json(raw: bytes, where: str) -> Any:
    """Parse strict JSON in UTF-8. Raises DataError.

    Refused beside what JSON refuses: more than 32 levels, a key given twice, NaN and infinities,
    integers beyond 2^53, numbers too large for float64.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(Fault(f"{where}, byte {error.start}", "not UTF-8", "UTF-8")) from None
    depth = _depth(text)
    if depth > MAX_DEPTH:
        raise DataError(
            Fault(where, f"{plural(depth, 'level')} deep", f"at most {MAX_DEPTH} levels")
        )
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except ValueError as error:
        raise DataError(
            Fault(where, f"broken JSON: {visible(str(error))}", "strict JSON")
        ) from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.S):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!r} given twice")
    return table


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"integer of {plural(len(digits), 'digit')} beyond 2^53")
    return int(digits)


def _float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"number {digits[:40]} is too large")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def text_faults(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield key and fault of every text, keys included, that is too long or hides something."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            yield key, f"{plural(len(value), 'character')}: at most {MAX_TEXT:,}"
        elif found := text_fault(value, keep="\n\t" if MULTILINE.fullmatch(key) else ""):
            yield key, found
    elif isinstance(value, dict):
        for name, below in value.items():
            if found := text_fault(name):
                yield f"{key}.{visible(name)}".lstrip("."), f"its key {found}"
            yield from text_faults(below, f"{key}.{visible(name)}".lstrip("."))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from text_faults(below, f"{key}[{number}]")
