"""What servers answer: lists whose items say which of the texts that were sent they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from mlbench.common.counts import plural

Refuse = Callable[[str, str], NoReturn]


def in_order(
    answer: Mapping[str, Any], name: str, count: int, words: tuple[str, str], refuse: Refuse
) -> list[dict[str, Any]]:
    """Return the items under ``name`` in the order of the ``count`` texts that were sent.

    ``name`` is "" for a list that is the whole answer. ``words`` are what an item and a text are
    called, such as ("vector", "text"). Calls ``refuse`` with what was found and what was expected
    where there is not one item with the index of each.
    """
    items = answer.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        refuse("no list of objects" + (f' under "{name}"' if name else ""), "")
    places = [item.get("index") for item in items]
    if len(items) != count or {*map(repr, places)} != {*map(repr, range(count))}:
        item, text = words
        shown = f"{plural(len(items), item)}, of index {str(places)[:80]}"
        refuse(shown, f"{plural(count, item)}, each with the index of its {text}")
    return sorted(items, key=lambda each: int(each["index"]))
