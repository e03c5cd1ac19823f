"""What a report says of its model, its task and its run, field by field in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlbench.reports.words import kind_name


def facts_of(table: dict[str, Any], skip: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return (label, text) of each field that has a value."""
    return [
        (name.replace("_", " "), _fact(name, value))
        for name, value in table.items()
        if name not in skip and value not in (None, {}, ())
    ]


def _fact(name: str, value: Any) -> str:
    if name in FACTS:
        return FACTS[name](value)
    if isinstance(value, dict):
        return _pairs(value, "{}: {}")
    if isinstance(value, (list, tuple)):
        return ", ".join(kind_name(entry) for entry in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _pairs(table: dict[str, Any], form: str) -> str:
    return ", ".join(form.format(name, value) for name, value in table.items())


def _truncated(roles: dict[str, dict[str, dict[str, float]]]) -> str:
    """Say by role which languages' texts were cut, and what that lost."""
    said = []
    for role, languages in roles.items():
        cut = [
            f"{code} {of['texts_share']:.1%} ({of['tokens_share']:.1%})"
            for code, of in languages.items()
            if of["texts"]
        ]
        said.append(f"{role} texts (tokens cut off): {', '.join(cut) if cut else 'none'}")
    return "; ".join(said)


FACTS: dict[str, Callable[[Any], str]] = {
    "peak_memory": lambda size: f"{size / 2**30:.2f} GiB",
    "seconds": lambda steps: _pairs(steps, "{} {:.1f} s"),
    "peak_gpu_memory": lambda size: f"{size / 2**30:.2f} GiB",
    "encoded": lambda roles: _pairs(roles, "{0}: {1[distinct]:,} distinct of {1[texts]:,} texts"),
    "prompts": lambda prompts: _pairs(prompts, "{}: {!r}"),
    "first_input": lambda first: _pairs(first, "{}: {!r}"),
    "truncated": _truncated,
    "versions": lambda versions: _pairs(versions, "{} {}"),
    "language_sets": lambda sets: "; ".join(f"{n}: {' '.join(codes)}" for n, codes in sets.items()),
    "notes": "; ".join,
    "routes": lambda roles: "; ".join(
        f"{role}: {_pairs({n: v for n, v in of.items() if v is not None}, '{} {}')}"
        for role, of in roles.items()
    ),
    "sizes": lambda roles: "; ".join(
        f"{role}: {of['vectors']:,.4g} vectors of {of['coordinates'] / of['vectors']:,.4g} "
        f"coordinates, {of['bytes']:,.0f} bytes a text"
        for role, of in roles.items()
    ),
}
"""Fields of a report that are shown in a form of their own."""
