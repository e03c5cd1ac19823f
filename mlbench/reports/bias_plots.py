"""The plots of language bias in a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlbench.measures.language_counts import LanguageCount, Spread
from mlbench.ranking.ranks import Ranks
from mlbench.reports.drawing import (
    FAINT,
    INK,
    OTHER,
    OWN,
    ROOMY,
    WIDTH,
    Box,
    Values,
    add_axes,
    canvas,
    grid,
    legend,
    rows_of_axes,
)
from mlbench.reports.matrices import MatrixPlot, Scale, draw_matrix
from mlbench.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_FACTOR = 3
"""The outranking figure's colours span at most 2**-3 to 2**3."""


def outranking_figure(report: Report, _: Ranks | None) -> Figure | None:
    """Who outranks relevant passages, in colours on a log2 scale around 1."""
    matrix = report.scores.bias.outranking
    values = np.array([list(row.values()) for row in matrix.values()], np.float64)
    if not np.isfinite(values).any():
        return None
    logs = np.abs(_log2(values))
    span = int(np.clip(np.ceil(np.nanmax(logs)), 1, MOST_FACTOR))
    passages = report.task.roles.mixed_pool
    digits = 1 if len(passages) > ROOMY else 2
    return draw_matrix(
        MatrixPlot(
            tuple(matrix),
            passages,
            values,
            title="Which languages outrank relevant passages",
            subtitle=f"Times their share of the pool; 1 is unbiased. {_last_row(report)}".rstrip(),
            scale=Scale(
                "PuOr_r",
                -span,
                span,
                {n: f"{2**n}" if n >= 0 else f"1/{2**-n}" for n in range(-span, span + 1)},
                lambda value: f"{value:.{digits if value < 9.95 else 0}f}",
                _log2,
            ),
            means="others",
            both_means=False,
        )
    )


def _last_row(report: Report) -> str:
    """Say what the row of means is, "" where a matrix has none."""
    roles = report.task.roles
    if len(roles.mixing) < 2:
        return ""
    return f"The last row is the mean{' without outlined cells' if roles.shared else ''}."


def _log2(values: Values) -> Values:
    with np.errstate(divide="ignore"):
        logs: Values = np.log2(values)
    return logs


def targets_figure(report: Report, _: Ranks | None) -> Figure | None:
    """What is lost in AP, in points of 100, without the target in each language."""
    removed = report.scores.bias.target_removed
    values = 100 * np.array([list(row.values()) for row in removed.by_language.values()], float)
    if not np.isfinite(values).any():
        return None
    span = _nice(max(1.0, float(np.nanmax(np.abs(values)))))
    passages = report.task.roles.mixed_pool
    digits = 0 if len(passages) > ROOMY else 1
    zero = 0.5 * 10.0**-digits
    return draw_matrix(
        MatrixPlot(
            tuple(removed.by_language),
            passages,
            values,
            title="What a query loses without its target in one language",
            subtitle=f"Change in multilingual mAP, in hundredths. {_last_row(report)}".rstrip(),
            scale=Scale(
                "PuOr",
                -span,
                span,
                {tick: f"{tick:+g}" if tick else "0" for tick in np.linspace(-span, span, 5)},
                lambda value: f"{value:+.{digits}f}" if abs(value) >= zero else "0",
            ),
            means="others",
            both_means=False,
            across="target removed in",
        )
    )


def _nice(limit: float) -> float:
    """Return the least of 1, 2, 4, 5, 10, 20, ... times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(limit))
    return next(power * step for step in (1, 2, 4, 5, 10) if power * step >= limit)


def distance_figure(report: Report, _: Ranks | None) -> Figure | None:
    """Rank distance by query language with its interval, its floor and a random order's."""
    entries = {
        code: entry
        for code, entry in report.scores.bias.by_language.items()
        if entry.value is not None
    }
    if not entries:
        return None
    count = len(entries)
    height = max(0.7, 0.3 * count + 0.1)
    figure, axes = rows_of_axes(
        "Rank distance by query language",
        "Dots are means over queries, with 95% intervals. Further left is less scattered.",
        list(entries), (0.8, 0.95, 0.95, 0.55), height,
    )  # fmt: skip
    places = np.arange(count)
    columns = np.array(
        [(e.value, e.low, e.high, e.floor, e.random) for e in entries.values()], np.float64
    )
    value, low, high, floor, random = columns.T
    for at, colour, label in ((floor, OTHER, "least possible"), (random, FAINT, "random order")):
        axes.vlines(at, places - 0.34, places + 0.34, color=colour, linewidth=1.6, label=label)
    axes.hlines(places, low, high, color=OWN, linewidth=2)
    axes.scatter(value, places, s=26, color=OWN, zorder=3, label="rank distance")
    for place, number in zip(places, value, strict=True):
        axes.annotate(
            f"{number:,.0f}", (1, place), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", size=8.5, va="center_baseline",
        )  # fmt: skip
    ends = float(floor.min()), float(max(high.max(), random.max()))
    _scale_distance(axes, float(value.min()), ends)
    axes.set(ylim=(count - 0.4, -0.6))
    axes.set_yticks(places, list(entries))
    axes.set_ylabel("queries in", labelpad=6)
    legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _scale_distance(axes: Axes, least: float, ends: tuple[float, float]) -> None:
    """Show rank distances from the floor or 0 to the most, in logs where one is far below it."""
    floor, most = ends
    name = "rank distance"
    if least < most / 10:
        name = "rank distance (log scale)"
        axes.set_xscale("log")
        steps = [step * 10**power for power in range(len(f"{most:.0f}")) for step in (1, 2, 5)]
        axes.set_xticks([step for step in steps if 0.8 * floor <= step <= most])
        axes.set_xticks([], minor=True)
        axes.set_xlim(0.8 * floor, 1.1 * most)
    else:
        axes.set_xlim(0, 1.02 * most)
    axes.set_xlabel(name)
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:,.0f}")


def counts_figure(report: Report, _: Ranks | None) -> Figure | None:
    """Multilingual mAP and rank distance of k languages, the mean over the choices of k."""
    from matplotlib.ticker import MaxNLocator

    found = report.scores.bias.language_counts
    if not any(count.average_precision for count in found):
        return None
    figure = canvas(
        WIDTH,
        4.1,
        "What happens as languages are added",
        "Queries and pool are cut to k languages. Lines are means over the choices, "
        "bands their range.",
    )
    half = (WIDTH - 1.9) / 2
    quality = add_axes(figure, Box(0.75, 1.0, half, 2.25))
    spread = add_axes(figure, Box(0.75 + half + 0.85, 1.0, half, 2.25))
    _draw_spread(quality, {c.languages: c.average_precision for c in found}, OTHER)
    quality.set_title("multilingual mAP (one language: monolingual)", size=9.5, loc="left")
    quality.set_ylim(0)
    _draw_spread(spread, {c.languages: c.rank_distance for c in found}, OWN)
    _draw_reference(spread, found)
    spread.set_title("rank distance", size=9.5, loc="left")
    spread.set_ylim(0)
    spread.yaxis.set_major_formatter(lambda tick, _: f"{tick:,.0f}")
    for axes in (quality, spread):
        axes.set_xlim(0.7, found[-1].languages + 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.set_xlabel("languages")
        grid(axes)
    legend(figure, spread.get_legend_handles_labels()[0])
    return figure


def _draw_spread(axes: Axes, found: dict[int, Spread | None], colour: str) -> None:
    present = {count: spread for count, spread in found.items() if spread is not None}
    at = list(present)
    least, value, most = zip(*((s.least, s.value, s.most) for s in present.values()), strict=True)
    axes.fill_between(at, least, most, color=colour, alpha=0.2, linewidth=0)
    axes.plot(at, value, color=colour, marker="o", markersize=4, linewidth=1.5)


def _draw_reference(axes: Axes, found: tuple[LanguageCount, ...]) -> None:
    """Draw what a random order gives, and the least possible."""
    for name, style, label in (
        ("random", (0, (4, 3)), "random order"),
        ("floor", ":", "least possible"),
    ):
        points = [(c.languages, getattr(c, name)) for c in found if getattr(c, name) is not None]
        if points:
            at, values = zip(*points, strict=True)
            axes.plot(
                at, values, color=INK, linestyle=style, linewidth=1.1, marker="_", label=label
            )
