"""A comparison as plots: differences by pair of languages, the trade-off, a series' curve."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.names import shortened_apart
from mlbench.common.sizes import short_number
from mlbench.common.terminal import printable
from mlbench.comparing.comparison import Comparison
from mlbench.comparing.comparison_tables import kinds_of, pair_differences
from mlbench.comparing.differences import NOT_SHOWN, Value, measure_title
from mlbench.comparing.quantities import Quantity
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.cost import Cost
from mlbench.reports.drawing import (
    FAINT,
    INK,
    OTHER,
    ROOMY,
    WIDTH,
    Box,
    add_axes,
    canvas,
    grid,
    plain_style,
    to_svg,
)
from mlbench.reports.matrices import MatrixPlot, Scale, draw_matrix
from mlbench.reports.pair_plots import Dots, draw_dots
from mlbench.reports.pairs import pair_name, rows_name
from mlbench.reports.words import KIND_NAMES, kind_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 28
MOST_LINES = 3
LEAST_SPAN = 0.01
"""Differences below this stay pale."""


def comparison_plots(comparison: Comparison) -> dict[str, tuple[bytes, str]]:
    """Return file name -> SVG and what it shows; what a comparison cannot fill has no figure."""
    drawn: dict[str, tuple[bytes, str]] = {}
    with plain_style():
        for model in comparison.models[1:]:
            draw = _pair_difference if comparison.task.roles.two_ways else _difference
            heat = draw(comparison, model.label)
            if heat is not None:
                by = pair_name(comparison.task.roles)
                alt = f"Differences of {model.label} to the first model by {by}."
                drawn[f"difference-{model.label}.svg"] = (to_svg(heat), alt)
        trade = _trade_off(comparison)
        if trade is not None:
            drawn["trade-off.svg"] = (
                to_svg(trade),
                "Cross-lingual and multilingual against monolingual scores, rank distance as size.",
            )
        cost = _cost(comparison)
        if cost is not None:
            drawn["cost.svg"] = (to_svg(cost), "Scores by speed, bytes and parameters.")
        if comparison.axis is not None:
            drawn["series.svg"] = (to_svg(_series(comparison)), f"Scores by {comparison.axis}.")
    return drawn


def _difference(comparison: Comparison, model: str) -> Figure | None:
    """Differences of one model to the first, query language by passage language."""
    roles, first = comparison.task.roles, comparison.models[0].label
    rows, columns = (
        {code: i for i, code in enumerate(of)} for of in (roles.queries, roles.passages)
    )
    values = np.full((len(rows), len(columns)), np.nan)
    shown = np.zeros(values.shape, bool)
    for d in comparison.differences:
        query, passage = d.quantity.query_language, d.quantity.passage_language
        if (d.model, d.against) == (model, first) and query and passage:
            place = rows[query], columns[passage]
            values[place], shown[place] = d.difference, d.verdict != NOT_SHOWN
    if not np.isfinite(values).any():
        return None
    span = max(LEAST_SPAN, math.ceil(50 * float(np.nanmax(np.abs(values)))) / 50)
    short = len(columns) > ROOMY
    plot = MatrixPlot(
        roles.queries,
        roles.passages,
        values,
        title=f"{measure_title(comparison.headline)}: {_name(comparison, model)} minus "
        f"{_name(comparison, first)}",
        subtitle="Blue is better. A dot marks cells without a shown difference. "
        "Means are cross-lingual.",
        scale=Scale(
            "RdBu",
            -span,
            span,
            {t: f"{t:+.3g}" if t else "0" for t in (-span, -span / 2, 0.0, span / 2, span)},
            lambda value: f"{value:+.{2 if short else 3}f}".replace("0.", ".", 1),
        ),
    )
    figure = draw_matrix(plot)
    marked = np.isfinite(values) & ~shown
    down, across = np.nonzero(marked.T if plot.is_turned else marked)
    figure.axes[0].scatter(across + 0.86, down + 0.16, s=7, color=INK, linewidth=0)
    return figure


def _pair_difference(comparison: Comparison, model: str) -> Figure | None:
    """Differences of one model to the first by pair, a dot a direction."""
    columns, rows = pair_differences(comparison, model)
    if not rows:
        return None
    first = comparison.models[0].label
    names = {column.kind: kind_name(column.kind) for column in columns}
    figure, axes = draw_dots(
        Dots(
            list(rows),
            {name: {row: of[kind].difference for row, of in rows.items() if kind in of}
             for kind, name in names.items()},
            {},
            title=f"{measure_title(comparison.headline)}: {_name(comparison, model)} minus "
            f"{_name(comparison, first)}",
            subtitle="Right of 0 is better. Hollow dots are differences that are not shown.",
            axis=f"difference in {measure_title(comparison.headline)}",
            hollow=frozenset(
                (names[kind], row)
                for row, of in rows.items()
                for kind, d in of.items()
                if d.verdict == NOT_SHOWN
            ),
        )
    )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylabel(rows_name(comparison.task.roles), color=INK)
    return figure


def _name(comparison: Comparison, label: str) -> str:
    """Return "B (bm25)", cut to fit a title."""
    names = {m.label: printable(m.name).replace("\n", " ") for m in comparison.models}
    return f"{label} ({shortened_apart(names.values(), LONGEST)[names[label]]})"


def _names(figure: Figure, comparison: Comparison) -> None:
    """Write what the labels stand for below a figure."""
    lines = textwrap.wrap("; ".join(_name(comparison, m.label) for m in comparison.models), 115)
    height = figure.get_size_inches()[1]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "and more, which comparison.md names"]
    text = "\n".join(lines)
    figure.text(0.12 / WIDTH, 0.1 / height, text, size=8.5, color=FAINT, va="bottom")


def _scores(comparison: Comparison, kind: str, measure: str) -> list[Value] | None:
    """Return each model's macro score, None where the comparison has none."""
    found = {v.model: v for v in comparison.scores if v.quantity == Quantity(kind, measure)}
    return [found[m.label] for m in comparison.models] if found else None


def _in_order(comparison: Comparison) -> list[int]:
    """Return the models' order along the axis, as given where there is none."""
    places = [m.x if m.x is not None else i for i, m in enumerate(comparison.models)]
    return sorted(range(len(places)), key=places.__getitem__)


def _trade_off(comparison: Comparison) -> Figure | None:
    """Cross-lingual and multilingual scores against monolingual ones, a point a model."""
    name = measure_title(comparison.headline)
    mono, cross, multi = (_scores(comparison, kind, comparison.headline) for kind in KIND_NAMES)
    panels = [
        (kind, values)
        for kind, values in (("crosslingual", cross), ("multilingual", multi))
        if values
    ]
    if mono is None or not panels:
        return None
    spread = _scores(comparison, "multilingual", RANK_DISTANCE)
    order = _in_order(comparison)
    joined = f", joined in the order of {comparison.axis}" if comparison.axis else ""
    circle = " Circles and numbers are rank distances; larger is worse." if spread else ""
    said = f"Each point is a model{joined}.{circle}"
    figure = canvas(WIDTH, 4.95, f"The trade-off in {name}", said)
    width = 3.25
    for number, (kind, values) in enumerate(panels):
        axes = add_axes(figure, Box(0.8 + number * (width + 0.85), 0.85, width, 3.1))
        _grid(axes, f"monolingual {name}", f"{kind_name(kind)} {name}")
        x, y = ([each[i].value for i in order] for each in (mono, values))
        if comparison.axis:
            axes.plot(x, y, color=OTHER, linewidth=1, alpha=0.6, zorder=2)
        _whiskers(axes, [mono[i] for i in order], [values[i] for i in order])
        if spread:
            axes.scatter(x, y, s=_sizes([spread[i].value for i in order]), color=OTHER,
                         alpha=0.18, linewidth=0, zorder=1)  # fmt: skip
        axes.scatter(x, y, s=22, color=OTHER, zorder=4)
        for i, (a, b) in zip(order, zip(x, y, strict=True), strict=True):
            model = comparison.models[i]
            text = model.label if model.x is None else f"{model.label} ({model.x:g})"
            if spread and number == len(panels) - 1:
                text += f"\n{spread[i].value:,.0f}"
            axes.annotate(text, (a, b), (6, 6), textcoords="offset points", size=8.5, zorder=5)
        axes.margins(0.18)
    _names(figure, comparison)
    return figure


COSTS: tuple[tuple[str, Callable[[Cost], float | None]], ...] = (
    ("passages encoded a second", lambda cost: cost.speeds.get("passage")),
    ("images encoded a second", lambda cost: cost.speeds.get("image")),
    ("bytes of a passage's vectors", lambda cost: cost.bytes),
    ("parameters", lambda cost: cost.parameters),
)
"""What scores are drawn against."""


def _cost(comparison: Comparison) -> Figure | None:
    """The headline score by each cost in which models are known to differ, with 95% intervals."""
    kind = kinds_of(comparison)[-1]
    values = _scores(comparison, kind, comparison.headline)
    panels = []
    for name, read in COSTS:
        costs = [read(m.cost) if m.cost else None for m in comparison.models]
        if len({*filter(None, costs)}) > 1:
            panels.append((name, costs))
    if values is None or not panels:
        return None
    title = f"{kind_name(kind)} {measure_title(comparison.headline)}"
    machines = {m.cost.hardware for m in comparison.models if m.cost and m.cost.hardware}
    where = machines.pop() if len(machines) == 1 else "hardware that differs"
    said = f"Each point is a model, with its 95% interval. Speed is that on {where}."
    figure = canvas(WIDTH, 3.75, f"What quality costs: {title}", said)
    width = (WIDTH - 0.75 - 0.2) / len(panels) - 0.35
    for number, (name, costs) in enumerate(panels):
        axes = add_axes(figure, Box(0.75 + number * (width + 0.45), 0.85, width, 2.1))
        _grid(axes, name, title if number == 0 else "")
        points = [(c, v, m) for c, v, m in zip(costs, values, comparison.models, strict=True) if c]
        axes.set_xscale("log")
        axes.vlines(
            [c for c, _, _ in points], [v.low for _, v, _ in points],
            [v.high for _, v, _ in points], color=FAINT, linewidth=0.8,
        )  # fmt: skip
        axes.scatter([c for c, _, _ in points], [v.value for _, v, _ in points], s=22, color=OTHER)
        for cost, value, model in points:
            place = (cost, value.value)
            axes.annotate(model.label, place, (6, 4), textcoords="offset points", size=8.5)
        _cost_ticks(axes, [c for c, _, _ in points])
        axes.margins(0.15)
    _names(figure, comparison)
    return figure


def _cost_ticks(axes: Axes, costs: list[float]) -> None:
    """Mark powers of ten around the costs, or the ends where there are less than two."""
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    powers = [10.0**power for power in range(low, high + 1)]
    axes.set_xlim(min(powers[0], min(costs) / 1.3), max(powers[-1], max(costs) * 1.3))
    axes.set_xticks(powers, [short_number(power) for power in powers])
    axes.set_xticks([], minor=True)


def _sizes(distances: list[float]) -> list[float]:
    """Return circle areas in square points: proportional to the distance, 1,400 for the largest."""
    largest = max(distances)
    return [1400 * d / largest if largest > 0 else 0.0 for d in distances]


def _whiskers(axes: Axes, across: list[Value], up: list[Value]) -> None:
    for x, y in zip(across, up, strict=True):
        axes.hlines(y.value, x.low, x.high, color=FAINT, linewidth=0.8, zorder=3)
        axes.vlines(x.value, y.low, y.high, color=FAINT, linewidth=0.8, zorder=3)


def _grid(axes: Axes, across: str, up: str) -> None:
    axes.locator_params(nbins=5)
    grid(axes)
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def _series(comparison: Comparison) -> Figure:
    """Every macro score of the headline measure, and rank distance, along the series' axis."""
    wanted = [(kind, comparison.headline) for kind in kinds_of(comparison)]
    wanted.append(("multilingual", RANK_DISTANCE))
    panels = [(key, values) for key in wanted if (values := _scores(comparison, *key))]
    order = _in_order(comparison)
    x = [comparison.models[i].x or 0.0 for i in order]
    rows = (len(panels) + 1) // 2
    figure = canvas(WIDTH, 1.0 + 2.75 * rows, f"Scores by {comparison.axis}", "95% intervals.")
    for number, ((kind, measure), values) in enumerate(panels):
        row, column = divmod(number, 2)
        axes = add_axes(figure, Box(0.8 + column * 4.1, 0.85 + row * 2.75, 3.25, 2.0))
        across = (comparison.axis or "") if number + 2 >= len(panels) else ""
        better = " (lower is better)" if measure == RANK_DISTANCE else ""
        kind_part = "" if measure == RANK_DISTANCE else f"{kind_name(kind)} "
        _grid(axes, across, f"{kind_part}{measure_title(measure)}{better}")
        chosen = [values[i] for i in order]
        axes.vlines(
            x, [v.low for v in chosen], [v.high for v in chosen], color=OTHER, linewidth=1.2
        )
        axes.plot(
            x, [v.value for v in chosen], color=OTHER, marker="o", markersize=4, linewidth=1.2
        )
        axes.margins(0.08, 0.12)
    _names(figure, comparison)
    return figure
