"""Matrices of languages as figures: values by query and passage language, with their means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlbench.common.names import shortened_apart
from mlbench.reports.drawing import EMPTY, OWN, PAPER, WIDTH, Box, Values, add_axes, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MOST_ANNOTATED = 24
"""With more languages a number no longer fits its cell."""
GAP = 0.25
LEAST_BAR, HIGHEST_BAR = 1.0, 5.0
"""Inches that a colour bar is high at the least and at the most."""
LOW_CELL, MANY_ROWS = 0.2, 40
"""Inches that cells are high where a matrix has so many rows."""


@dataclass(frozen=True)
class Scale:
    """How a value becomes a colour: ``transform`` maps it to ``low``..``high``, clipped."""

    colours: str
    low: float
    high: float
    ticks: dict[float, str]
    annotate: Callable[[float], str]
    transform: Callable[[Values], Values] = lambda values: values


@dataclass(frozen=True)
class MatrixPlot:
    """Values by query language (``rows``) and passage language (``columns``), NaN where missing.

    ``values`` (rows, columns). The cells of one language are outlined; the means of columns without
    them stand below if ``means_below``, those of rows at the right if ``both_means``; ``means``
    names them, ``down`` the rows and ``across`` the columns. What is alone has no mean.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Values
    title: str
    subtitle: str
    scale: Scale
    means: str = "mean"
    both_means: bool = True
    across: str = "passages in"
    down: str = "queries in"
    means_below: bool = True

    @property
    def is_turned(self) -> bool:
        """Whether it is drawn turned: it is a single row of so many columns that their names would
        overlap."""
        return len(self.rows) == 1 and len(self.columns) > MOST_ANNOTATED

    def turned(self) -> MatrixPlot:
        """Return the plot with rows and columns exchanged."""
        return replace(
            self,
            rows=self.columns,
            columns=self.rows,
            values=self.values.T,
            both_means=self.means_below,
            means_below=self.both_means,
            across=self.down,
            down=self.across,
        )

    @property
    def same(self) -> npt.NDArray[np.bool_]:
        """(rows, columns) which cells are of one language."""
        return np.array([[row == column for column in self.columns] for row in self.rows])


@dataclass(frozen=True)
class _Side:
    """A side of a matrix: its names, and the name of the means beyond them, "" for none."""

    names: Sequence[str]
    mean: str

    @classmethod
    def of(cls, languages: Sequence[str], means: bool, name: str) -> _Side:
        names = [*shortened_apart(languages, 12).values()]
        return cls(names, name if means and len(names) > 1 else "")

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def length(self) -> float:
        """In cells."""
        return self.count + (1 + GAP if self.mean else 0)

    @property
    def ticks(self) -> tuple[list[float], list[str]]:
        places, beyond = [i + 0.5 for i in range(self.count)], self.count + GAP + 0.5
        if not self.mean:
            return places, [*self.names]
        return [*places, beyond], [*self.names, self.mean]


def draw_matrix(plot: MatrixPlot) -> Figure:
    """Draw a matrix, its diagonal outlined, the means set off by a gap, and a colour bar."""
    plot = plot.turned() if plot.is_turned else plot
    down, across = (
        _Side.of(plot.rows, plot.means_below, plot.means),
        _Side.of(plot.columns, plot.both_means, plot.means),
    )
    longest = max(map(len, across.names))
    others = np.where(plot.same, np.nan, plot.values)
    left = 0.5 + 0.085 * max(map(len, [*down.names, plot.means]))
    cell = LOW_CELL if down.count > MANY_ROWS else 0.54
    cell = min(cell, (WIDTH - left - 0.75) / across.length)
    upright = longest > 4 or cell < 0.27
    top = 1.2 + (0.085 * longest - 0.15 if upright else 0)
    body = Box(left, top, across.length * cell, down.length * cell)
    bar = min(max(down.count * cell, LEAST_BAR), HIGHEST_BAR)
    width = max(6.4, body.left + body.width + 0.75)
    height = body.top + max(body.height, bar) + 0.2
    figure = canvas(width, height, plot.title, plot.subtitle)
    axes = add_axes(figure, body)
    axes.set(xlim=(0, across.length), ylim=(down.length, 0))
    _draw_block(axes, plot.scale, plot.values, 0, 0, cell)
    if down.mean:
        _draw_block(axes, plot.scale, _means(others, 0)[np.newaxis], 0, down.count + GAP, cell)
    if across.mean:
        beside = _means(others, 1)[:, np.newaxis]
        _draw_block(axes, plot.scale, beside, across.count + GAP, 0, cell)
    _outline(axes, plot.same)
    size = max(6.0, min(10.0, 72 * cell / 2.4))
    axes.set_xticks(*across.ticks, size=size)
    axes.set_yticks(*down.ticks, size=size)
    axes.tick_params(axis="x", rotation=90 if upright else 0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(plot.across, labelpad=6)
    axes.set_ylabel(plot.down, labelpad=6)
    _draw_colour_bar(figure, Box(body.left + body.width + 0.18, body.top, 0.13, bar), plot.scale)
    return figure


def _draw_block(
    axes: Axes, scale: Scale, values: Values, left: float, top: float, cell: float
) -> None:
    """Draw cells from (left, top) on, each with its value where that is legible."""
    rows, columns = values.shape
    colours = _colours(scale.colours)
    level = np.clip(scale.transform(values), scale.low, scale.high)
    axes.pcolormesh(
        left + np.arange(columns + 1),
        top + np.arange(rows + 1),
        np.ma.masked_invalid(level),
        cmap=colours,
        vmin=scale.low,
        vmax=scale.high,
        edgecolor=PAPER,
        linewidth=0.7,
    )
    if 72 * cell < 17 and max(rows, columns) > MOST_ANNOTATED:
        return
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = colours((level[i, j] - scale.low) / (scale.high - scale.low))
            bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.22
            axes.text(
                left + j + 0.5,
                top + i + 0.5,
                scale.annotate(float(value)),
                size=min(9.5, 72 * cell / 2.7),
                color="#111111" if bright else "#fefefe",
                ha="center",
                va="center_baseline",
            )


def _colours(name: str) -> Colormap:
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=EMPTY)


def _outline(axes: Axes, cells: npt.NDArray[np.bool_]) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(cells).tolist():
        inner = (column + 0.03, row + 0.03)
        axes.add_patch(Rectangle(inner, 0.94, 0.94, fill=False, edgecolor=OWN, linewidth=1.6))


def _draw_colour_bar(figure: Figure, box: Box, scale: Scale) -> None:
    """Draw a bar of plain cells; matplotlib's own would embed a bitmap."""
    bar = add_axes(figure, box)
    edges = np.linspace(scale.low, scale.high, 65)
    middles = (edges[:-1] + edges[1:]) / 2
    bar.pcolormesh(
        [0, 1], edges, middles[:, np.newaxis], cmap=scale.colours, edgecolor="face", linewidth=0.3
    )
    bar.set_xticks([])
    bar.set_yticks(list(scale.ticks), list(scale.ticks.values()), size=8.5)
    bar.yaxis.tick_right()


def _means(values: Values, axis: int) -> Values:
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        found: Values = np.where(present, values, 0).sum(axis) / present.sum(axis)
    return found
