"""Plots of the page as inline SVG, coloured by the page's style, the same bytes each time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from mlbench.common.names import shortened_apart
from mlbench.common.sizes import short_number
from mlbench.data.task import Roles
from mlbench.leaderboard.entries.strict import visible
from mlbench.measures.significance import Values
from mlbench.reports.drawing import ROOMY, tenth_above, ticks
from mlbench.reports.matrices import MOST_ANNOTATED

MOST_WHISKERS = 80
LETTER = 6.2
"""Width of a letter of a label, in pixels, on average."""
LONGEST_LABEL = 26


@dataclass(frozen=True)
class Point:
    """A model of the quality-cost plot; ``x`` is None where the cost is not known."""

    name: str
    x: float | None
    y: float
    low: float | None
    high: float | None
    ranked: bool


@dataclass(frozen=True)
class CostAxis:
    """A cost that quality is drawn against: a field of ``ranking.rows.Cost``, and what it is
    called. Of speed more is better, of other costs less."""

    field: str
    name: str
    more_is_better: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, right, bottom, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share a point."""
        apart = (
            self.right < other.left
            or other.right < self.left
            or self.bottom < other.top
            or other.bottom < self.top
        )
        return not apart

    def inside(self, other: Box) -> bool:
        """Whether no part of it is outside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


WIDTH, HEIGHT = 600, 340
STRIP = 74
"""Least width of the strip at the left for models whose cost is not known."""


def cost_plot(points: Sequence[Point], axis: CostAxis, y_name: str) -> str:
    """Return quality by cost as SVG, cost on a log scale; "" where no cost is known.

    A dot with its interval is a ranked model, a diamond one without a place; where names have no
    room, the ranked ones are named. The line joins the ranked models that no cheaper one, or no
    faster one, beats.
    """
    known = [point.x for point in points if point.x]
    if not known:
        return ""
    frame = _Frame(points, known)
    parts = [*_grid(frame, axis.name, y_name), _front(frame, points, axis)]
    marks = sorted(points, key=lambda point: (-point.y, point.name, point.x or 0))
    taken = [frame.box(point) for point in marks]
    for point in marks:
        parts.append(_mark(frame, point, whisker=len(marks) <= MOST_WHISKERS))
    for point in sorted(marks, key=lambda point: not point.ranked):
        parts.append(_label(frame, point, taken))
    return svg((WIDTH, HEIGHT), f"{y_name} by {axis.name}", parts, "plot")


class _Frame:
    """Where values lie on the plot."""

    def __init__(self, points: Sequence[Point], known: Sequence[float]) -> None:
        self.top, self.bottom, self.right = 16.0, HEIGHT - 46.0, WIDTH - 16.0
        self.names = shortened_apart((visible(point.name) for point in points), LONGEST_LABEL)
        names = [self.name(point) for point in points if not point.x]
        wide = 24 + LETTER * max(map(len, names), default=0)
        self.edge = 58.0
        self.strip = max(STRIP, wide) if names else 0
        self.left = self.edge + self.strip
        self.room = Box(self.edge, 0, WIDTH, self.bottom + 6)
        self.low = math.floor(math.log10(min(known)) - 1e-9)
        self.high = max(math.ceil(math.log10(max(known)) + 1e-9), self.low + 1)
        most = max([point.high or point.y for point in points])
        self.limit = tenth_above(most)

    def x(self, value: float | None) -> float:
        if not value:
            return self.edge + 10
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.left + 10 + share * (self.right - self.left - 20)

    def y(self, value: float) -> float:
        return self.bottom - value / self.limit * (self.bottom - self.top)

    def name(self, point: Point) -> str:
        """What a point is called on the plot: no two are called the same."""
        return self.names[visible(point.name)]

    def box(self, point: Point) -> Box:
        x, y = self.x(point.x), self.y(point.y)
        return Box(x - 4, y - 4, x + 4, y + 4)


def _grid(frame: _Frame, x_name: str, y_name: str) -> Iterable[str]:
    for tick in ticks(frame.limit):
        y = frame.y(tick)
        yield f'<path class="grid" d="M{frame.edge:.1f} {y:.1f}H{frame.right:.1f}"/>'
        yield svg_text(frame.edge - 8, y + 4, f"{tick:.2g}", "end")
    for power in range(frame.low, frame.high + 1):
        x = frame.x(10.0**power)
        yield f'<path class="grid" d="M{x:.1f} {frame.top:.1f}V{frame.bottom:.1f}"/>'
        yield svg_text(x, frame.bottom + 17, short_number(10.0**power), "middle")
    middle = (frame.left + frame.right) / 2
    yield svg_text(middle, HEIGHT - 8, f"{x_name} (log scale)", "middle")
    yield svg_text(14, (frame.top + frame.bottom) / 2, y_name, "middle", turned=True)
    if frame.strip:
        x = frame.left
        yield f'<path class="axis" d="M{x:.1f} {frame.top:.1f}V{frame.bottom:.1f}"/>'
        yield svg_text(frame.edge, frame.bottom + 17, "not known", "start")


def _front(frame: _Frame, points: Sequence[Point], axis: CostAxis) -> str:
    best, corners = -math.inf, []
    sign = -1 if axis.more_is_better else 1
    for point in sorted(points, key=lambda p: (sign * (p.x or 0), -p.y)):
        if point.ranked and point.x and point.y > best:
            best = point.y
            corners.append(f"{frame.x(point.x):.1f} {frame.y(point.y):.1f}")
    return f'<path class="front" d="M{"L".join(corners)}"/>' if len(corners) > 1 else ""


def _mark(frame: _Frame, point: Point, *, whisker: bool) -> str:
    x, y = frame.x(point.x), frame.y(point.y)
    title = f"<title>{_safe(point.name)}: {point.y:.4f}</title>"
    if not point.ranked:
        return f'<path class="open" d="M{x:.1f} {y - 5:.1f}l5 5-5 5-5-5z">{title}</path>'
    line = ""
    if whisker and point.low is not None and point.high is not None:
        ends = f"M{x:.1f} {frame.y(point.low):.1f}V{frame.y(point.high):.1f}"
        line = f'<path class="whisker" d="{ends}"/>'
    return f'{line}<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>'


def _label(frame: _Frame, point: Point, taken: list[Box]) -> str:
    """Return a name beside its mark where there is room for it, else nothing."""
    name = frame.name(point)
    wide = LETTER * len(name)
    x, y = frame.x(point.x), frame.y(point.y)
    for left, middle in (
        (x + 8, y), (x - 8 - wide, y), (x - wide / 2, y - 13), (x - wide / 2, y + 13),
    ):  # fmt: skip
        box = Box(left, middle - 6, left + wide, middle + 6)
        if box.inside(frame.room) and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return f'<text class="name" x="{left:.1f}" y="{middle + 4:.1f}">{escape(name)}</text>'
    return ""


def svg_text(x: float, y: float, text: str, anchor: str, *, turned: bool = False) -> str:
    """Return a text element at (x, y), turned a quarter to the left if ``turned``."""
    place = f'x="{round(x, 1):g}" y="{round(y, 1):g}"'
    if turned:
        place = f'transform="translate({round(x, 1):g} {round(y, 1):g}) rotate(-90)"'
    return f'<text {place} text-anchor="{anchor}">{_safe(text)}</text>'


def svg(size: tuple[int, int], label: str, parts: Iterable[str], kind: str) -> str:
    """Return a figure of ``size`` pixels, whose class is ``kind``, for the page's HTML."""
    width, height = size
    head = f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'{head} role="img" aria-label="{_safe(label)}">{"".join(parts)}</svg>'


def _safe(text: str) -> str:
    return escape(visible(text))


HEAT_LEVELS = 16
"""Colours, classes h0 to h16 of the style: 0 is a score of 0, 16 a score of 1."""
DARK_FROM = 11
"""The first of them that needs light text."""
GAP = 8
"""Between the languages and the mixed pool, in pixels."""
CELL_LETTER = 7


@dataclass(frozen=True)
class _Cells:
    """Where cells lie: ``wide`` by ``high`` pixels each, from (``left``, ``top``) on."""

    names: Sequence[str]
    columns: Sequence[str]
    mixed: bool

    @property
    def longest(self) -> int:
        return CELL_LETTER * max(map(len, self.names))

    @property
    def cell(self) -> tuple[int, int]:
        count = len(self.columns) - self.mixed
        return (32, 22) if count <= ROOMY else (25, 18) if count <= MOST_ANNOTATED else (13, 13)

    @property
    def upright(self) -> bool:
        return max(map(len, self.columns)) * CELL_LETTER > self.cell[0] + 8

    @property
    def left(self) -> int:
        return 14 + self.longest

    @property
    def top(self) -> int:
        return 24 + (CELL_LETTER * max(map(len, self.columns)) if self.upright else 16)

    def x(self, column: int) -> int:
        apart = self.mixed and column >= len(self.columns) - 1
        return self.left + column * self.cell[0] + (GAP if apart else 0)

    def y(self, row: int) -> int:
        return self.top + row * self.cell[1]

    def rectangle(self, row: int, column: int) -> str:
        wide, high = self.cell
        return f"M{self.x(column)} {self.y(row)}h{wide - 1}v{high - 1}h-{wide - 1}z"


def heat_map(roles: Roles, pairs: Values, mixed: Values | None = None) -> str:
    """Return scores by query language (rows) and passage language as SVG, from 0 to 1.

    ``pairs`` (queries, passages) has the monolingual settings where both are one language, which is
    outlined; ``mixed`` (queries,), set apart at the right, is the mixed pool. NaN is missing.
    """
    short = shortened_apart(roles.languages, 9)
    names, columns = ([short[code] for code in codes] for codes in (roles.queries, roles.passages))
    frame = _Cells(names, columns if mixed is None else [*columns, "mixed"], mixed is not None)
    values = pairs if mixed is None else np.column_stack([pairs, mixed])
    own = "".join(
        frame.rectangle(roles.queries.index(code), roles.passages.index(code))
        for code in roles.shared
    )
    outline = [f'<path class="own" d="{own}"/>'] if own else []
    parts = [*_colours(frame, values), *outline, *_names(frame)]
    if len(columns) <= MOST_ANNOTATED:
        parts.append(f'<g class="cells">{"".join(_numbers(frame, values))}</g>')
    width = frame.x(values.shape[1]) + 4
    height = frame.y(len(names)) + 4
    label = "Scores by query language (rows) and passage language (columns)"
    return svg((width, height), label, parts, "heat")


def level_of(value: float) -> int:
    """Return the number of a score's colour, 0 to 16."""
    return math.floor(HEAT_LEVELS * min(1.0, max(0.0, value)) + 0.5)


def _colours(frame: _Cells, values: Values) -> Iterator[str]:
    cells: dict[str, list[str]] = {}
    for (row, column), value in np.ndenumerate(values):
        name = "none" if math.isnan(value) else f"h{level_of(float(value))}"
        cells.setdefault(name, []).append(frame.rectangle(row, column))
    for name in sorted(cells):
        yield f'<path class="{name}" d="{"".join(cells[name])}"/>'


def _numbers(frame: _Cells, values: Values) -> Iterator[str]:
    wide, high = frame.cell
    for (row, column), value in np.ndenumerate(values):
        if not math.isnan(value):
            light = ' class="light"' if level_of(float(value)) >= DARK_FROM else ""
            x, y = frame.x(column) + (wide - 1) / 2, frame.y(row) + high / 2 + 3.5
            number = f"{value:.2f}".removeprefix("0")
            yield f'<text{light} x="{x:g}" y="{y:g}">{number}</text>'


def _names(frame: _Cells) -> Iterator[str]:
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
