"""Charts of a page as shapes in user units, which a template writes as SVG: every point has its
text, so that it answers to the mouse and to the keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

COLOURS, SHAPES = 6, 6
"""How many of each there are; a model beyond the sixth has a colour again, with another shape."""
WIDE, ROW = 400.0, 22.0
TOP, BELOW, LEFT, RIGHT = 8.0, 34.0, 14.0, 14.0
LETTER = 6.4
"""Units that a letter of a row's name takes."""


@dataclass(frozen=True)
class Point:
    """A value with its interval: a point of ``model`` (counted from 0), ``tip`` says it in words.

    ``hollow`` marks a difference that is not shown, ``note`` stands at the right of its row. In a
    chart of two scores, ``up`` is the other value with its interval.
    """

    model: int
    value: float
    low: float
    high: float
    tip: str
    hollow: bool = False
    note: str = ""
    up: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Mark:
    """A point as it is drawn: its place, the lines of its intervals, how it looks, what it says,
    and the ``text`` that stands ``aside`` of it, at a place that is aligned by its start or end."""

    x: float
    y: float
    lines: tuple[tuple[float, float, float, float], ...]
    model: int
    tip: str
    hollow: bool
    text: str = ""
    aside: tuple[float, float, str] = (0.0, 0.0, "start")

    @property
    def colour(self) -> int:
        """The number of its colour."""
        return self.model % COLOURS

    @property
    def path(self) -> str:
        """Its outline around its place."""
        return shape(self.model, self.x, self.y)


@dataclass(frozen=True)
class Chart:
    """A chart: marks by row, in the order that the keyboard walks them; ``ticks`` and ``names``
    are (place, text) along the two axes, ``notes`` (place, text) at the right edge, ``line`` joins
    points."""

    title: str
    width: float
    height: float
    inner: tuple[float, float, float, float]
    ticks: tuple[tuple[float, str], ...]
    names: tuple[tuple[float, str], ...]
    rows: tuple[tuple[Mark, ...], ...]
    notes: tuple[tuple[float, str], ...] = ()
    across: str = ""
    zero: float | None = None
    gridded: bool = False
    line: str = ""
    bands: tuple[tuple[float, float], ...] = ()


def shape(model: int, x: float, y: float, size: float = 5.0) -> str:
    """Return the path of a model's shape around a place."""
    kind = (model + model // SHAPES) % SHAPES
    r = size
    if kind == 0:
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners = {
        1: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        2: ((0, -1.1), (1.1, 0.85), (-1.1, 0.85)),
        3: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        4: ((0, 1.1), (1.1, -0.85), (-1.1, -0.85)),
        5: (
            (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4),
            (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4),
        ),
    }[kind]  # fmt: skip
    return "M" + "L".join(f"{x + r * a:.1f} {y + r * b:.1f}" for a, b in corners) + "z"


def steps(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from at or below ``low`` to at or above ``high``, ``most`` steps of
    1, 2, 2.5 or 5 times a power of ten between them.

    >>> steps(0.02, 0.71)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    sizes = [power * step for step in (1, 2, 2.5, 5, 10, 20)]
    for size in sizes:
        first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
        if last - first <= most:
            break
    last = max(last, first + 1)
    return [round(i * size, 12) for i in range(first, last + 1)]


def row_chart(
    title: str,
    rows: Sequence[tuple[str, Sequence[Point]]],
    write: Callable[[float], str],
    *,
    floor: float | None = 0.0,
    zero: bool = False,
    apart: bool = False,
) -> Chart:
    """Return points with intervals along one axis, a row a name.

    The axis begins at ``floor`` unless that is None; ``zero`` draws a line there. The points of a
    row stand one below another if ``apart``.
    """
    points = [point for _, of in rows for point in of]
    ends = [end for p in points for end in (p.low, p.high, p.value) if math.isfinite(end)]
    ends += [0.0] if zero else [] if floor is None else [floor]
    at = steps(min(ends), max(ends))
    notes = max((len(p.note) for p in points), default=0)
    left = LEFT + LETTER * max((len(name) for name, _ in rows), default=0)
    right = RIGHT + LETTER * notes
    inner = WIDE - left - right
    span = (at[-1] - at[0]) or 1.0

    def place(value: float) -> float:
        return round(left + inner * (value - at[0]) / span, 1)

    marks, names, texts, bands, y = [], [], [], [], TOP
    for name, of in rows:
        high = max(ROW, 11.0 * len(of) + 5) if apart else ROW
        names.append((y + high / 2, name))
        if apart and len(names) % 2:
            bands.append((y, high))
        row = []
        for number, point in enumerate(of):
            aside = 11.0 * (number - (len(of) - 1) / 2) if apart else 0.0
            mark = _mark(point, place(point.value), y + high / 2 + aside)
            line = (place(point.low), mark.y, place(point.high), mark.y)
            row.append(replace(mark, lines=(line,)) if math.isfinite(point.low) else mark)
            if point.note:
                texts.append((mark.y, point.note))
        marks.append(tuple(row))
        y += high
    return Chart(
        title, WIDE, y + BELOW, (left, TOP, left + inner, y),
        tuple((place(tick), write(tick)) for tick in at), tuple(names), tuple(marks),
        tuple(texts), zero=place(0.0) if zero else None, bands=tuple(bands),
    )  # fmt: skip


def _mark(point: Point, x: float, y: float) -> Mark:
    return Mark(x, round(y, 1), (), point.model, point.tip, point.hollow)


def plane_chart(
    title: str, across: str, points: Sequence[Point], labels: Sequence[str], joined: bool = False
) -> Chart:
    """Return points of two scores, with the intervals of both and a label beside each; ``joined``
    ones are joined in the order given."""
    left, height = 52.0, 300.0
    right, bottom = WIDE - 24.0, height - 44.0
    ups = [point.up for point in points if point.up is not None]
    x_at = steps(min(p.low for p in points), max(p.high for p in points), 5)
    y_at = steps(min(low for _, low, _ in ups), max(high for *_, high in ups), 5)

    def x_of(value: float) -> float:
        return round(left + (right - left) * (value - x_at[0]) / ((x_at[-1] - x_at[0]) or 1), 1)

    def y_of(value: float) -> float:
        return round(bottom - (bottom - TOP) * (value - y_at[0]) / ((y_at[-1] - y_at[0]) or 1), 1)

    marks = []
    for point, up, label in zip(points, ups, labels, strict=True):
        mark = _mark(point, x_of(point.value), y_of(up[0]))
        lines = (
            (x_of(point.low), mark.y, x_of(point.high), mark.y),
            (mark.x, y_of(up[1]), mark.x, y_of(up[2])),
        )
        marks.append(replace(mark, lines=lines, text=label))
    path = "M" + "L".join(f"{m.x} {m.y}" for m in marks) if joined else ""
    walked = _labelled(sorted(marks, key=lambda mark: mark.x))
    return Chart(
        title, WIDE, height, (left, TOP, right, bottom),
        tuple((x_of(tick), f"{tick:g}") for tick in x_at),
        tuple((y_of(tick), f"{tick:g}") for tick in y_at),
        (walked,), across=across, gridded=True, line=path,
    )  # fmt: skip


def _labelled(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Return marks with their labels on a side where no other mark or label is, if there is one."""
    sides = ((8.0, -6.0, "start"), (8.0, 15.0, "start"), (-8.0, -6.0, "end"), (-8.0, 15.0, "end"))
    taken = [(mark.x, mark.y) for mark in marks]
    placed = []
    for mark in marks:
        width = LETTER * len(mark.text)
        spots = [(round(mark.x + x, 1), round(mark.y + y, 1), anchor) for x, y, anchor in sides]
        middles = [
            (x + (width / 2 if anchor == "start" else -width / 2), y - 4) for x, y, anchor in spots
        ]
        free = [
            not any(abs(x - a) < width / 2 + 6 and abs(y - b) < 11 for a, b in taken)
            for x, y in middles
        ]
        best = free.index(True) if any(free) else 0
        taken.append(middles[best])
        placed.append(replace(mark, aside=spots[best]))
    return tuple(placed)
