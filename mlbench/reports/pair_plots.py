"""Pairs of languages as a plot: a row a pair, a dot a direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench.ranking.ranks import Ranks
from mlbench.reports.drawing import (
    GRID,
    INK,
    OTHER,
    OWN,
    legend,
    rows_of_axes,
    tenth_above,
    ticks,
)
from mlbench.reports.pairs import directions, pair_name, rows_name, weakest_first
from mlbench.reports.report import Report
from mlbench.reports.words import headline, mean_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (OTHER, OWN)
"""Of the directions: from the common language, into it."""
ROW = 0.2
"""Inches that a row is high."""


@dataclass(frozen=True)
class Dots:
    """A plot with a dot a row and series. ``series`` maps a name to a value by row, ``lines`` a
    name to its mean; ``hollow`` are (series, row) of dots that are not filled."""

    rows: Sequence[str]
    series: Mapping[str, Mapping[str, float]]
    lines: Mapping[str, float]
    title: str
    subtitle: str
    axis: str
    hollow: frozenset[tuple[str, str]] = frozenset()


def draw_dots(plot: Dots) -> tuple[Figure, Axes]:
    """Draw rows of dots, the first at the top, with a line for each mean."""
    height = ROW * len(plot.rows) + 0.15
    figure, axes = rows_of_axes(
        plot.title, plot.subtitle, plot.rows, (0.8, 0.35, 0.95, 0.55), height
    )
    places = {row: i for i, row in enumerate(plot.rows)}
    for (name, values), colour, size in zip(plot.series.items(), COLOURS, (34, 15), strict=False):
        for filled in (True, False):
            chosen = {r: v for r, v in values.items() if ((name, r) not in plot.hollow) is filled}
            axes.scatter(
                [*chosen.values()], [places[row] for row in chosen], s=size, zorder=3,
                edgecolor=colour, facecolor=colour if filled else "none",
                label=name if filled else None,
            )  # fmt: skip
        if name in plot.lines:
            axes.axvline(plot.lines[name], color=colour, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_ylim(len(plot.rows) - 0.4, -0.6)
    axes.set_yticks(range(len(plot.rows)), plot.rows)
    axes.set_xlabel(plot.axis)
    axes.grid(axis="y", color=GRID, linewidth=0.4)
    if len(plot.series) > 1:
        legend(figure, axes.get_legend_handles_labels()[0])
    return figure, axes


def pairs_figure(report: Report, _: Ranks | None) -> Figure | None:
    """Headline measure of each pair, or language of texts, in both directions, the weakest at the
    top."""
    measure = headline(report)
    of = directions(report)
    series = {
        each.name: {
            row: value for row in each.rows if (value := each.value(row, measure)) is not None
        }
        for each in of
    }
    if not any(series.values()):
        return None
    told = {row for values in series.values() for row in values}
    figure, axes = draw_dots(
        Dots(
            [row for row in weakest_first(of, measure) if row in told],
            series,
            {each.name: each.scores[measure].value for each in of if measure in each.scores},
            title=f"{mean_name(measure)} by {pair_name(report.task.roles)}",
            subtitle=_subtitle(report),
            axis=mean_name(measure),
        )
    )
    limit = tenth_above(max(value for values in series.values() for value in values.values()))
    axes.set_xlim(-0.012 * limit, limit * 1.02)
    axes.set_xticks(ticks(limit))
    axes.set_ylabel(rows_name(report.task.roles), color=INK)
    return figure


def _subtitle(report: Report) -> str:
    if report.task.roles.between_modalities:
        first = "Where the dots are far apart, one direction works better."
    else:
        first = "Each pair has passages of its own."
    return f"{first} The weakest is at the top; dashed lines are macro scores."
