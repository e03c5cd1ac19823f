"""Figures for papers: one or two columns wide, without titles, with letters of 7 points or more.
Sees numbers only.

Fonts are embedded as TrueType, the same numbers give the same bytes, and what differs in colour
differs in its marker or in brightness too, so that it can be told apart in grey.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlbench.reports.drawing import GRID, INK, Values, plain_style, saved, to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "png", "svg")
WIDTHS = {1: 3.3, 2: 6.9}
"""Inches of a figure that is one or two columns wide."""
SMALLEST = 7.0
"""Points of the smallest letters."""
LETTER = 0.075
"""Inches of a letter of a name, at most."""
DPI = 300
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6a00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "pdf.fonttype": 42,
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.02,
}
Interval = tuple[float, float, float]
"""A value, and the ends of its interval."""


@dataclass(frozen=True)
class Series:
    """What has one colour and marker: values by row, or by place along an axis."""

    name: str
    values: Mapping[str, Interval]
    hollow: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Matrix:
    """A heat map: ``values`` (rows, columns), NaN where missing; ``marked`` cells have a dot.
    ``span`` is that of the colours; they part at its middle if ``two_sided``."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Values
    span: tuple[float, float]
    two_sided: bool = False
    decimals: int = 2
    marked: Sequence[tuple[int, int]] = ()

    def turned(self) -> Matrix:
        """Return the same with its columns as rows."""
        marked = [(j, i) for i, j in self.marked]
        return replace(
            self, rows=self.columns, columns=self.rows, values=self.values.T, marked=marked
        )


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw as papers need it."""
    with plain_style():
        from matplotlib import style

        with style.context(STYLE):
            yield


def file_name(*parts: str) -> str:
    """Return a file's name without its ending, of letters, digits and ``@.-`` alone."""
    return re.sub(r"[^\w@.]+", "-", "-".join(parts)).strip("-")


def figure_bytes(figure: Figure, form: str) -> bytes:
    """Return a figure as ``pdf``, ``png`` or ``svg``, without a date and the same each time."""
    if form == "svg":
        return to_svg(figure, dark=False)
    if form == "png":
        return to_png(figure, DPI)
    return saved(
        figure, form, metadata={"CreationDate": None, "Creator": "mlbench", "Producer": None}
    )


def _blank(columns: int, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTHS[columns], height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dots(
    rows: Sequence[str], series: Sequence[Series], across: str, down: str = "", columns: int = 1
) -> Figure:
    """Return values with their intervals by row, a marker a series, the first row at the top."""
    step = max(0.17, 0.085 * len(series) + 0.05)
    figure = _blank(columns, step * len(rows) + 0.45 + 0.17 * _legend_rows(len(series), columns))
    axes = figure.subplots()
    for number, of in enumerate(series):
        aside = (number - (len(series) - 1) / 2) * (0.75 / max(1, len(series)))
        there = [row for row in rows if row in of.values]
        for row in there:
            i = rows.index(row)
            value, low, high = of.values[row]
            colour = COLOURS[number % len(COLOURS)]
            axes.hlines(i + aside, low, high, color=colour, linewidth=1)
            axes.plot(
                value, i + aside, MARKERS[number % len(MARKERS)], color=colour, markersize=3.6,
                markerfacecolor="white" if row in of.hollow else colour, markeredgewidth=0.8,
                label=of.name if row == there[0] else None,
            )  # fmt: skip
    for i in range(1, len(rows)):
        axes.axhline(i - 0.5, color=GRID, linewidth=0.4, zorder=0)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=across, ylabel=down)
    axes.tick_params(length=2)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=6)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, len(series), columns)
    return figure


def _legend_rows(names: int, columns: int) -> int:
    return 0 if names < 2 else math.ceil(names / (3 * columns))


def _legend(figure: Figure, names: int, columns: int) -> None:
    if names > 1:
        figure.legend(loc="outside upper center", ncols=min(names, 3 * columns),
                      handletextpad=0.3, columnspacing=1.0, borderaxespad=0.1)  # fmt: skip


def curve(
    places: Mapping[str, float], series: Sequence[Series], across: str, up: str, columns: int = 1
) -> Figure:
    """Return values with their intervals along an axis, a line and a marker a series; ``places``
    are those of the names in the series."""
    figure = _blank(columns, 2.1 + 0.17 * _legend_rows(len(series), columns))
    axes = figure.subplots()
    for number, of in enumerate(series):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        points = sorted((places[name], of.values[name]) for name in of.values)
        x = [at for at, _ in points]
        axes.vlines(x, [low for _, (_, low, _) in points], [high for *_, (_, _, high) in points],
                    color=colour, linewidth=0.9)  # fmt: skip
        axes.plot(x, [value for _, (value, _, _) in points], color=colour, marker=marker,
                  markersize=4, linewidth=1.1, label=of.name,
                  linestyle=("-", "--", ":", "-.")[number % 4])  # fmt: skip
    axes.set(xlabel=across, ylabel=up)
    _open(axes)
    _legend(figure, len(series), columns)
    return figure


def plane(
    points: Sequence[tuple[str, Interval, Interval]], across: str, up: str, columns: int = 1
) -> Figure:
    """Return named points of two scores with the intervals of both."""
    figure = _blank(columns, 2.4 + 0.17 * _legend_rows(len(points), columns))
    axes = figure.subplots()
    for number, (name, x, y) in enumerate(points):
        colour = COLOURS[number % len(COLOURS)]
        axes.hlines(y[0], x[1], x[2], color=colour, linewidth=0.8)
        axes.vlines(x[0], y[1], y[2], color=colour, linewidth=0.8)
        axes.plot(x[0], y[0], MARKERS[number % len(MARKERS)], color=colour, markersize=4.5,
                  label=name)  # fmt: skip
    axes.margins(0.12)
    axes.set(xlabel=across, ylabel=up)
    _open(axes)
    _legend(figure, len(points), columns)
    return figure


def _open(axes: object) -> None:
    from matplotlib.axes import Axes

    if isinstance(axes, Axes):
        axes.tick_params(length=2)
        axes.grid(color=GRID, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.locator_params(nbins=6)
        axes.spines[["top", "right"]].set_visible(False)


def heat_map(
    of: Matrix,
    across: str,
    down: str,
    columns: int = 1,
    *,
    colours: str = "",
    levels: Values | None = None,
) -> Figure:
    """Return a matrix in colours, with its numbers where they fit at 7 points. ``levels`` decide
    the colours in place of the values."""
    import matplotlib

    cell, longest = _cell(of, columns), max(map(len, of.columns)) * LETTER
    below = max(0.0, longest - 0.5) if longest > cell else 0.0
    figure = _blank(columns, max(0.9, min(cell, 0.32) * len(of.rows) + 0.5) + below)
    axes = figure.subplots()
    low, high = of.span
    scale = matplotlib.colormaps[colours or ("RdBu" if of.two_sided else "YlGnBu")]
    levels = np.clip(of.values if levels is None else levels, low, high)
    axes.pcolormesh(np.ma.masked_invalid(levels), cmap=scale, vmin=low, vmax=high,
                    edgecolor="white", linewidth=0.4)  # fmt: skip
    texts = {
        place: _short(value, of) for place, value in np.ndenumerate(of.values) if np.isfinite(value)
    }
    if _has_numbers(of, columns):
        for (i, j), text in texts.items():
            red, green, blue, _ = scale((levels[i, j] - low) / ((high - low) or 1))
            bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.25
            axes.text(j + 0.5, i + 0.5, text, size=SMALLEST, ha="center", va="center_baseline",
                      color="black" if bright else "white")  # fmt: skip
    for i, j in of.marked:
        axes.plot(j + 0.86, i + 0.16, "o", markersize=1.3, color=INK)
    axes.set_xticks([i + 0.5 for i in range(len(of.columns))], of.columns)
    axes.set_yticks([i + 0.5 for i in range(len(of.rows))], of.rows)
    if longest > cell:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0)
    axes.set(xlabel=across, ylabel=down, ylim=(len(of.rows), 0))
    axes.spines[:].set_visible(False)
    return figure


def fitted_map(of: Matrix, across: str, columns: int = 1) -> Figure:
    """Return a heat map whose columns are named by ``across``; they become rows where only so the
    numbers fit."""
    turned = of.turned()
    if _has_numbers(of, columns) or not _has_numbers(turned, columns):
        return heat_map(of, across, "", columns)
    return heat_map(turned, "", across, columns)


def _cell(of: Matrix, columns: int) -> float:
    """Return the inches of a cell's width, beside the names of the rows."""
    names = max(0.55, 0.35 + LETTER * max(map(len, of.rows)))
    return (WIDTHS[columns] - names) / len(of.columns)


def _has_numbers(of: Matrix, columns: int) -> bool:
    """Say whether the numbers of a heat map fit."""
    texts = [_short(value, of) for value in of.values[np.isfinite(of.values)].tolist()]
    return 72 * _cell(of, columns) > 0.56 * SMALLEST * max(map(len, texts), default=1)


def _short(value: float, of: Matrix) -> str:
    text = f"{value:{'+' if of.two_sided else ''}.{of.decimals}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
