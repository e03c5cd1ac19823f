"""Names, identities and digests cut to a width such that they stay different."""

from __future__ import annotations

import re
from collections.abc import Iterable

CUT = "…"
LEAST_PREFIX = 4
"""A common beginning shorter than this stays."""
WORD_END = re.compile(r"[\s/:._-]")


def cut_in_the_middle(text: str, most: int) -> str:
    """Return a text of ``most`` characters at the most, cut in the middle where it is longer.

    >>> cut_in_the_middle("multilingual-e5-small", 12)
    'multil…small'
    """
    if len(text) <= most:
        return text
    tail = max(0, most - 1) // 2
    return text[: max(0, most - 1 - tail)] + CUT + text[len(text) - tail :]


def shortened_apart(names: Iterable[str], most: int) -> dict[str, str]:
    """Return each name as it is shown in ``most`` characters (8 or more): no two are alike.

    Those that fit stay as they are. Of the others what all of an organisation or folder begin
    with is cut, then the middle; where that makes two equal, what precedes their difference.

    >>> list(shortened_apart(["org/longer-name-e5-small", "org/longer-name-e5-large"], 12).values())
    ['…e5-small', '…e5-large']
    """
    known = list(dict.fromkeys(names))
    short = {name: name for name in known if len(name) <= most}
    folders: dict[str, list[str]] = {}
    for name in known:
        if len(name) > most:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    for long in folders.values():
        prefix = _common(long) if len(long) > 1 else ""
        start = max((word.end() for word in WORD_END.finditer(prefix)), default=0)
        _cut(long, start if start >= LEAST_PREFIX else 0, most, short)
    return {name: short[name] for name in known}


def _common(names: list[str]) -> str:
    """Return what all names begin with."""
    same = 0
    for letters in zip(*names, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    return names[0][:same]


def both_shortened(one: str, other: str, most: int = 24) -> tuple[str, str]:
    """Return two texts that are held against each other, in ``most`` characters at the most: where
    they differ, so does what is returned.

    >>> both_shortened("derived: sha256 " + 64 * "a", "derived: sha256 " + 64 * "b")
    ('…aaaaaaaaaaa…aaaaaaaaaaa', '…bbbbbbbbbbb…bbbbbbbbbbb')
    """
    short = shortened_apart([one, other], most)
    return short[one], short[other]


def _cut(group: list[str], start: int, most: int, short: dict[str, str]) -> None:
    """Enter the names of a group, cut before ``start``, then in the middle, into ``short``."""
    fits_from = max(map(len, group), default=0) - (most - 1)
    if 0 < fits_from < start:  # more can be shown
        words = (word.end() for word in WORD_END.finditer(group[0], fits_from - 1, start))
        start = next(words, fits_from)
    alike: dict[str, list[str]] = {}
    for name in group:
        text = CUT + name[start:] if start else name
        alike.setdefault(cut_in_the_middle(text, most), []).append(name)
    for text, same in alike.items():
        if len(same) == 1 and text not in short.values():
            short[same[0]] = text
            continue
        differ = len(_common(same))
        if len(same) > 1 and differ > start:
            _cut(same, differ, most, short)
        else:
            _number(same, text, most, short)


def _number(same: list[str], text: str, most: int, short: dict[str, str]) -> None:
    """Enter names that no cut tells apart as ``text`` with a number each."""
    number = 0
    for name in same:
        while True:
            number += 1
            mark = f"~{number}"
            numbered = text[: most - len(mark)] + mark
            if numbered not in short.values():
                break
        short[name] = numbered
