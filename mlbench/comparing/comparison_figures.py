"""The figures of a comparison for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.names import shortened_apart
from mlbench.common.terminal import printable
from mlbench.comparing.comparison import Comparison
from mlbench.comparing.comparison_maps import decimals_of, directions_of
from mlbench.comparing.comparison_tables import in_words, main_quantities, pairs_that_matter
from mlbench.comparing.differences import NOT_SHOWN, Difference, Value, measure_title
from mlbench.comparing.quantities import Quantity
from mlbench.data.task import Kind
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.paper import (
    Interval,
    Matrix,
    Series,
    dots,
    figure_bytes,
    file_name,
    fitted_map,
    heat_map,
    paper_style,
    plane,
)
from mlbench.reports.words import kind_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 20
LEAST_SPAN = 0.01
"""Differences below this stay pale."""


def comparison_figures(
    comparison: Comparison, formats: Sequence[str], columns: int = 1
) -> dict[str, bytes]:
    """Return file name -> content of a comparison's figures, ``columns`` (1 or 2) wide."""
    with paper_style():
        return {
            f"{name}.{form}": figure_bytes(figure, form)
            for name, figure in _figures(comparison, columns)
            for form in formats
        }


def _figures(comparison: Comparison, columns: int) -> Iterator[tuple[str, Figure]]:
    names = _names(comparison)
    values = {(v.model, v.quantity): v for v in comparison.scores}
    quantities = main_quantities(comparison)
    kinds = [q for q in quantities if q.measure != RANK_DISTANCE]
    scores = [
        Series(
            kind_name(q.kind),
            {names[label]: _interval(values[label, q]) for label in names},
        )
        for q in kinds
    ]
    title = measure_title(comparison.headline)
    yield "scores", dots([*names.values()], scores, title, columns=columns)
    for quantity in quantities:
        file = file_name(in_words(quantity))
        yield f"differences-{file}", _differences(comparison, quantity, columns)
        rows = [] if comparison.task.roles.two_ways else comparison.task.roles.queries
        series = [
            Series(
                names[label],
                {
                    code: _interval(values[key])
                    for code in rows
                    if (key := (label, replace(quantity, query_language=code))) in values
                },
            )
            for label in names
        ]
        if len(rows) > 1 and all(of.values for of in series):
            across = in_words(quantity)
            yield f"languages-{file}", dots(rows, series, across, "queries in", columns)
    yield from _planes(comparison, names, values, columns)
    for label in [*names][1:]:
        heat = _heat_map(comparison, label, columns)
        if heat is not None:
            yield f"heatmap-{label}", heat
    yield from _image_maps(comparison, names, columns)


def _names(comparison: Comparison) -> dict[str, str]:
    """Return what each model is called: its name, with its label where two have the same."""
    short = shortened_apart((printable(m.name) for m in comparison.models), LONGEST)
    found = {m.label: short[printable(m.name)] for m in comparison.models}
    if len({*found.values()}) < len(found):
        return {label: f"{label} {name}" for label, name in found.items()}
    return found


def _interval(of: Value | Difference) -> Interval:
    value = of.value if isinstance(of, Value) else of.difference
    return value, of.low, of.high


def _differences(comparison: Comparison, quantity: Quantity, columns: int) -> Figure:
    found = {(d.model, d.against): d for d in comparison.differences if d.quantity == quantity}
    rows = {f"{b} - {a}": found[b, a] for b, a in pairs_that_matter(comparison)}
    hollow = frozenset(name for name, d in rows.items() if d.verdict == NOT_SHOWN)
    series = Series("", {name: _interval(d) for name, d in rows.items()}, hollow)
    figure = dots([*rows], [series], f"difference in {in_words(quantity)}", columns=columns)
    figure.axes[0].axvline(0, color="black", linewidth=0.8, zorder=1)
    return figure


def _planes(
    comparison: Comparison,
    names: Mapping[str, str],
    values: dict[tuple[str, Quantity], Value],
    columns: int,
) -> Iterator[tuple[str, Figure]]:
    main, title = comparison.headline, measure_title(comparison.headline)
    mono = Quantity(Kind.MONOLINGUAL.value, main)
    for kind in (Kind.CROSSLINGUAL.value, Kind.MULTILINGUAL.value):
        other = Quantity(kind, main)
        points = [
            (names[m.label], _interval(values[m.label, mono]), _interval(values[m.label, other]))
            for m in comparison.models
            if (m.label, mono) in values and (m.label, other) in values
        ]
        if points:
            up = f"{kind_name(kind)} {title}"
            yield f"trade-off-{kind}", plane(points, f"monolingual {title}", up, columns)


def _heat_map(comparison: Comparison, label: str, columns: int) -> Figure | None:
    roles, first = comparison.task.roles, comparison.models[0].label
    values = np.full((len(roles.queries), len(roles.passages)), np.nan)
    marked = []
    for d in comparison.differences:
        q, p = d.quantity.query_language, d.quantity.passage_language
        if (d.model, d.against) == (label, first) and q and p:
            place = roles.queries.index(q), roles.passages.index(p)
            values[place] = d.difference
            if d.verdict == NOT_SHOWN:
                marked.append(place)
    if roles.two_ways or np.isfinite(values).sum() < 2:
        return None
    span = max(LEAST_SPAN, float(np.nanmax(np.abs(values))))
    of = Matrix(roles.queries, roles.passages, values, (-span, span), True, marked=marked)
    return heat_map(of, "passages in", "queries in", columns)


def _image_maps(
    comparison: Comparison, names: Mapping[str, str], columns: int
) -> Iterator[tuple[str, Figure]]:
    """Yield, for each direction of images and texts, the scores of all models by language of the
    texts, then their differences to the first model."""
    first, directions = comparison.models[0].label, directions_of(comparison.task.roles)
    scores = {(v.model, *_pair(v.quantity)): v for v in comparison.scores}
    differences = {
        (d.model, *_pair(d.quantity)): d for d in comparison.differences if d.against == first
    }
    others = {label: name for label, name in names.items() if label != first}
    for direction, matrix in _by_direction(directions, names, scores):
        yield f"heatmap-{file_name(direction)}", fitted_map(matrix, "texts in", columns)
    for direction, matrix in _by_direction(directions, others, differences):
        name = f"heatmap-differences-{file_name(direction)}"
        yield name, fitted_map(matrix, "texts in", columns)


def _pair(quantity: Quantity) -> tuple[str, str]:
    return quantity.query_language or "", quantity.passage_language or ""


def _by_direction(
    directions: Mapping[str, Mapping[str, tuple[str, str]]],
    names: Mapping[str, str],
    found: Mapping[tuple[str, str, str], Value] | Mapping[tuple[str, str, str], Difference],
) -> Iterator[tuple[str, Matrix]]:
    """Yield the name of each direction with a matrix of models by language of the texts; all have
    the same colours."""
    drawn = {
        direction: {
            (i, j): found[label, *place]
            for i, label in enumerate(names)
            for j, place in enumerate(of.values())
            if (label, *place) in found
        }
        for direction, of in directions.items()
    }
    most = max((abs(_interval(c)[0]) for of in drawn.values() for c in of.values()), default=0.0)
    for direction, cells in drawn.items():
        if not cells:
            continue
        languages = [*directions[direction]]
        values = np.full((len(names), len(languages)), np.nan)
        for place, cell in cells.items():
            values[place] = _interval(cell)[0]
        apart = {place: cell for place, cell in cells.items() if isinstance(cell, Difference)}
        marked = [place for place, d in apart.items() if d.verdict == NOT_SHOWN]
        wide = max(LEAST_SPAN, most)
        span = (-wide, wide) if apart else (0.0, most or 1.0)
        rows, decimals = [*names.values()], decimals_of(most)
        matrix = Matrix(rows, languages, values, span, bool(apart), decimals, marked)
        yield kind_name(direction), matrix
