"""The language heat map of an entry as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.leaderboard.page.svg import svg, svg_text
from mlbench.measures.significance import Values

LEVELS = 16
"""Colours, classes h0 to h16 of the style: 0 is a score of 0, 16 a score of 1."""
DARK_FROM = 11
"""The first of them that needs light text."""
MOST_ANNOTATED = 24
"""With more languages a number no longer fits its cell."""
GAP = 8
LETTER = 7


@dataclass(frozen=True)
class _Frame:
    """Where cells lie: ``wide`` by ``high`` pixels each, from (``left``, ``top``) on."""

    names: Sequence[str]
    columns: Sequence[str]

    @property
    def longest(self) -> int:
        return LETTER * max(map(len, self.names))

    @property
    def cell(self) -> tuple[int, int]:
        count = len(self.names)
        return (32, 22) if count <= 12 else (25, 18) if count <= MOST_ANNOTATED else (13, 13)

    @property
    def upright(self) -> bool:
        return max(map(len, self.columns)) * LETTER > self.cell[0] + 8

    @property
    def left(self) -> int:
        return 14 + self.longest

    @property
    def top(self) -> int:
        return 24 + (LETTER * max(map(len, self.columns)) if self.upright else 16)

    def x(self, column: int) -> int:
        return self.left + column * self.cell[0] + (GAP if column >= len(self.names) else 0)

    def y(self, row: int) -> int:
        return self.top + row * self.cell[1]

    def rectangle(self, row: int, column: int) -> str:
        wide, high = self.cell
        return f"M{self.x(column)} {self.y(row)}h{wide - 1}v{high - 1}h-{wide - 1}z"


def heat_map(languages: Sequence[str], pairs: Values, mixed: Values | None = None) -> str:
    """Return scores by query language (rows) and passage language as SVG, from 0 to 1.

    ``pairs`` (n, n) has the monolingual settings on its diagonal, which is outlined; ``mixed``
    (n,), set apart at the right, is the mixed pool. NaN is missing.
    """
    names = [name if len(name) <= 9 else name[:8] + "…" for name in languages]
    frame = _Frame(names, names if mixed is None else [*names, "mixed"])
    values = pairs if mixed is None else np.column_stack([pairs, mixed])
    own = "".join(frame.rectangle(i, i) for i in range(len(names)))
    parts = [*_colours(frame, values), f'<path class="own" d="{own}"/>', *_names(frame)]
    if len(names) <= MOST_ANNOTATED:
        parts.append(f'<g class="cells">{"".join(_numbers(frame, values))}</g>')
    width = frame.x(values.shape[1]) + 4
    height = frame.y(len(names)) + 4
    label = "Scores by query language (rows) and passage language (columns)"
    return svg((width, height), label, parts, "heat")


def level_of(value: float) -> int:
    """Return the number of a score's colour, 0 to 16."""
    return math.floor(LEVELS * min(1.0, max(0.0, value)) + 0.5)


def _colours(frame: _Frame, values: Values) -> Iterator[str]:
    cells: dict[str, list[str]] = {}
    for (row, column), value in np.ndenumerate(values):
        name = "none" if math.isnan(value) else f"h{level_of(float(value))}"
        cells.setdefault(name, []).append(frame.rectangle(row, column))
    for name in sorted(cells):
        yield f'<path class="{name}" d="{"".join(cells[name])}"/>'


def _numbers(frame: _Frame, values: Values) -> Iterator[str]:
    wide, high = frame.cell
    for (row, column), value in np.ndenumerate(values):
        if not math.isnan(value):
            light = ' class="light"' if level_of(float(value)) >= DARK_FROM else ""
            x, y = frame.x(column) + (wide - 1) / 2, frame.y(row) + high / 2 + 3.5
            number = f"{value:.2f}".removeprefix("0")
            yield f'<text{light} x="{x:g}" y="{y:g}">{number}</text>'


def _names(frame: _Frame) -> Iterator[str]:
    wide, high = frame.cell
    yield svg_text(frame.left, 12, "passages in", "start")
    for column, name in enumerate(frame.columns):
        middle = frame.x(column) + (wide - 1) / 2
        if frame.upright:
            yield svg_text(middle + 3.5, frame.top - 5, name, "start", turned=True)
        else:
            yield svg_text(middle, frame.top - 6, name, "middle")
    for row, name in enumerate(frame.names):
        yield svg_text(frame.left - 6, frame.y(row) + high / 2 + 3.5, name, "end")
