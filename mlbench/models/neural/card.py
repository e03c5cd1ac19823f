"""What a model's card, the README.md of its folder, says of the languages that it is for."""

from __future__ import annotations

import re
from pathlib import Path

CARD = "README.md"
MOST_BYTES = 2**24
_LANGUAGE = re.compile(r"^languages?[ \t]*:.*\n(?:^(?:[ \t-].*)?\n)*", re.MULTILINE)
"""The key with its value: what is indented, or begins with a dash, belongs to it."""


def card_languages(folder: Path) -> list[str]:
    """Return the languages that a card lists, as it spells them; none where there is no card, or
    where it cannot be read.

    Only this key is parsed: the results that many cards hold take seconds.
    """
    import yaml

    try:
        with (folder / CARD).open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.replace("\r\n", "\n").removeprefix("\ufeff")
    start, found, rest = lines.partition("---\n")
    head, ended, _ = rest.partition("\n---")
    key = _LANGUAGE.search(head + "\n") if found and ended and not start.strip() else None
    if key is None:
        return []
    try:
        (said,) = yaml.load(key[0], yaml.BaseLoader).values()  # "no" is Norwegian, not False
    except (yaml.YAMLError, AttributeError, ValueError):
        return []
    listed = said if isinstance(said, list) else [said]
    return [code.strip() for code in listed if isinstance(code, str) and code.strip()]
