"""The heat maps of a comparison's page, its table of language bias, and what its points say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlbench.common.names import shortened_apart
from mlbench.common.terminal import printable
from mlbench.comparing.baseline import Saved
from mlbench.comparing.charts import Point
from mlbench.comparing.comparison import Comparison
from mlbench.comparing.differences import (
    NOT_SHOWN,
    Difference,
    Value,
    measure_title,
    shown,
    shown_p,
)
from mlbench.comparing.quantities import Quantity
from mlbench.data.task import FROM_IMAGE, IMAGE, INTO_IMAGE, Roles
from mlbench.measures.outranking import outranking_matrix
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, kind_name

LONGEST = 20
"""Characters of a model's name beside a chart."""
MOST_CELLS = 4000
"""Cells of heat maps that a page has room for: some 0.8 MB. What does not fit is left out."""
UNBIASED_SPAN = 3
"""The colours of outranking span 2**-3 to 2**3."""

OUTRANKING = "same-language\noutranking"
DEEP_SCORE, DEEP = 60, 82
"""Shares of a colour, in percent, from which white is easier to read on it than ink."""


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map: its text, the share of its colour in percent, its classes."""

    text: str
    level: int
    look: str
    tip: str


@dataclass(frozen=True)
class HeatMap:
    """A heat map: cells by row, with the names of rows and columns; ``by_model`` has a row a model,
    others a row a language."""

    title: str
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    columns: tuple[str, ...]
    by_model: bool = False


class View:
    """What the parts of the page share: the comparison and its rows by what they are of."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.labels = [model.label for model in comparison.models]
        self.number = {name: i for i, name in enumerate(self.labels)}
        short = shortened_apart((printable(m.name) for m in comparison.models), LONGEST)
        self.names = {m.label: f"{m.label} {short[printable(m.name)]}" for m in comparison.models}
        self.values = {(v.model, v.quantity): v for v in comparison.scores}
        self.differences = {(d.model, d.against, d.quantity): d for d in comparison.differences}

    def point(self, value: Value, where: str = "", note: bool = False) -> Point:
        """Return the point of a score."""
        text = shown(value.value, value.quantity.measure)
        return Point(
            self.number[value.model], value.value, value.low, value.high,
            f"{self.names[value.model]}{where}: {value_text(value)}", note=text if note else "",
        )  # fmt: skip


def value_text(value: Value) -> str:
    """Say a score with its interval, and with ties counted for the model where they move it."""
    measure = value.quantity.measure
    text = f"{measure_title(measure)} {shown(value.value, measure)}"
    if math.isfinite(value.low):
        ends = (shown(end, measure) for end in (value.low, value.high))
        text += f", 95% interval {' to '.join(ends)}"
    if value.ties_matter:
        text += f"; {shown(value.optimistic, measure)} with ties counted for it"
    return text


def difference_text(d: Difference) -> str:
    """Say a difference with its interval, p and verdict."""
    measure = d.quantity.measure
    low, high = (shown(end, measure, sign=True) for end in (d.low, d.high))
    text = (
        f"{shown(d.difference, measure, sign=True)}, 95% interval {low} to {high}, "
        f"p {shown_p(d.corrected)}: "
    )
    text += NOT_SHOWN if d.verdict == NOT_SHOWN else f"{d.model} is {d.verdict}"
    return text + ("; ties decide" if d.ties_decide else "")


def cells(of: HeatMap) -> int:
    """Return how many cells a heat map has."""
    return len(of.rows) * len(of.columns)


def fitting(maps: Sequence[HeatMap], taken: int = 0) -> tuple[list[HeatMap], list[str]]:
    """Return the heat maps that the page has room for, and what the others are called."""
    counts = itertools.accumulate((cells(each) for each in maps), initial=taken)
    fits = [count <= MOST_CELLS for count in itertools.islice(counts, 1, None)]
    return (
        [each for each, fit in zip(maps, fits, strict=True) if fit],
        [each.title for each, fit in zip(maps, fits, strict=True) if not fit],
    )


Cells = Mapping[tuple[str, str], Cell]
"""Cells by query and passage language."""
EMPTY = Cell("", 0, "none", "")


def _maps(view: View, found: Mapping[str, Cells], titled: Callable[[str], str]) -> list[HeatMap]:
    """Return a heat map a model, rows and columns of which are languages, titled by its label; or
    one a direction of images and texts, rows of which are models."""
    roles = view.comparison.task.roles
    if not roles.two_ways:
        return [
            HeatMap(
                titled(name),
                tuple((q, tuple(of.get((q, p), EMPTY) for p in roles.passages))
                      for q in roles.queries),
                roles.passages,
            )
            for name, of in found.items()
            if of
        ]  # fmt: skip
    return [
        _by_model(view, found, f"{kind_name(direction).capitalize()}: {titled('')}", of)
        for direction, of in directions_of(roles).items()
    ]


def directions_of(roles: Roles) -> dict[str, dict[str, tuple[str, str]]]:
    """Return each direction of images and texts -> language of the texts -> query and passage
    language, where there are several; none for pairs, whose plot by pair says the same."""
    if not roles.between_modalities:
        return {}
    texts = [code for code in roles.languages if code != IMAGE]
    every = {
        FROM_IMAGE: {code: (IMAGE, code) for code in texts if code in roles.passages},
        INTO_IMAGE: {code: (code, IMAGE) for code in texts if code in roles.queries},
    }
    return {direction: of for direction, of in every.items() if len(of) > 1}


def _by_model(
    view: View, found: Mapping[str, Cells], title: str, columns: Mapping[str, tuple[str, str]]
) -> HeatMap:
    """Return a heat map a row of which is a model; ``columns`` name query and passage language."""
    rows = tuple(
        (view.names[name], tuple(of.get(place, EMPTY) for place in columns.values()))
        for name, of in found.items()
    )
    return HeatMap(title, rows, tuple(columns), by_model=True)


def _where(query: str, passage: str) -> str:
    if passage == IMAGE:
        return f"images searched with texts in {query}"
    if query == IMAGE:
        return f"texts in {passage} searched with images"
    return f"queries in {query}, passages in {passage}"


def score_maps(view: View) -> list[HeatMap]:
    """Return a heat map a model: its headline score by query and passage language; or one a
    direction: every model's by language."""
    found: dict[str, dict[tuple[str, str], Value]] = {name: {} for name in view.labels}
    for value in view.comparison.scores:
        q = value.quantity
        if q.query_language and q.passage_language:
            found[value.model][q.query_language, q.passage_language] = value
    most = max((v.value for of in found.values() for v in of.values()), default=1.0) or 1.0
    title = measure_title(view.comparison.headline)
    cells = {
        name: {
            (q, p): _shaded(
                _brief(v.value, most), v.value / most, "score" + " own" * (q == p),
                f"{view.names[name]}, {_where(q, p)}: {value_text(v)}",
            )
            for (q, p), v in of.items()
        }
        for name, of in found.items()
    }  # fmt: skip
    return _maps(view, cells, lambda name: f"{view.names[name]}: {title}" if name else title)


def decimals_of(most: float) -> int:
    """Return the decimals of numbers in cells: two, up to four where ``most`` of all is small."""
    return next((n for n in (2, 3) if most >= 0.95 * 0.1 ** (n - 1)), 4)


def _brief(value: float, most: float, *, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''}.{decimals_of(most)}f}"
    return text.replace("0.", ".", 1)


def _shaded(text: str, share: float, look: str, tip: str) -> Cell:
    level = round(100 * min(1.0, max(0.0, share)))
    deep = DEEP_SCORE if look.startswith("score") else DEEP
    return Cell(text, level, look + " deep" * (level > deep), tip)


def difference_maps(view: View) -> list[HeatMap]:
    """Return a heat map a model, or a direction: differences to the first model."""
    first = view.labels[0]
    found: dict[str, dict[tuple[str, str], Difference]] = {}
    for d in view.comparison.differences:
        q = d.quantity
        if d.against == first and q.query_language and q.passage_language:
            found.setdefault(d.model, {})[q.query_language, q.passage_language] = d
    most = max((abs(d.difference) for of in found.values() for d in of.values()), default=1.0)
    cells = {
        name: {
            (q, p): _shaded(
                _brief(d.difference, most, sign=True), abs(d.difference) / (most or 1.0),
                ("better" if d.difference > 0 else "worse") + " own" * (q == p)
                + " shown" * (d.verdict != NOT_SHOWN),
                f"{name} - {first}, {_where(q, p)}: {difference_text(d)}",
            )
            for (q, p), d in of.items()
        }
        for name, of in found.items()
    }  # fmt: skip
    title = measure_title(view.comparison.headline)
    return _maps(view, cells, lambda name: f"{view.names[name] if name else title} minus {first}")


def _outranking(view: View, saved: Sequence[Saved]) -> dict[str, Any]:
    """Return each model's outranking matrix, those of models with a table of all languages."""
    roles = view.comparison.task.roles
    if not roles.mixing or RANK_DISTANCE not in view.comparison.measures:
        return {}
    return {
        name: outranking_matrix(each.ranks)
        for name, each in zip(view.labels, saved, strict=False)
        if each.ranks is not None
    }


def bias_table(view: View, saved: Sequence[Saved]) -> Table:
    """Return a row a model: rank distance, its difference to the first, and how often passages in
    the query's own language outrank relevant ones."""
    first, quantity = view.labels[0], Quantity("multilingual", RANK_DISTANCE)
    matrices = _outranking(view, saved)
    rows = []
    for name in view.labels:
        value = view.values.get((name, quantity))
        if value is None:
            continue
        d = view.differences.get((name, first, quantity))
        ends = "..".join(shown(end, RANK_DISTANCE) for end in (value.low, value.high))
        against = MISSING
        if d is not None:
            low, high = (shown(end, RANK_DISTANCE, sign=True) for end in (d.low, d.high))
            against = f"{shown(d.difference, RANK_DISTANCE, sign=True)} {low}..{high}"
        verdict = d.verdict if d is not None else MISSING
        diagonal = np.diag(matrices[name]) if name in matrices else np.array([np.nan])
        own = f"{np.nanmean(diagonal):.3f}" if np.isfinite(diagonal).any() else MISSING
        rows.append(
            (view.names[name], f"{shown(value.value, RANK_DISTANCE)} {ends}", against, verdict, own)
        )
    headers = ("model", "rank distance", f"minus {first}", "it is", OUTRANKING)
    count = len(headers) - all(row[-1] == MISSING for row in rows)
    return Table(headers[:count], tuple(row[:count] for row in rows))


def outranking_maps(view: View, saved: Sequence[Saved]) -> list[HeatMap]:
    """Return a heat map a model: how often passages of a language outrank relevant ones; or where
    images search texts in all languages together, one of all models."""
    roles, found = view.comparison.task.roles, {}
    for name, matrix in _outranking(view, saved).items():
        ranks = saved[view.number[name]].ranks
        languages = ranks.languages if ranks is not None else ()
        cells = {}
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                q, p = languages[i], languages[j]
                asked = "images" if q == IMAGE else f"queries in {q}"
                level = abs(math.log2(value)) / UNBIASED_SPAN if value > 0 else 1.0
                text = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
                tip = (
                    f"{view.names[name]}, {asked}: passages in {p} outrank relevant ones "
                    f"{value:.2f} times as often as their share of the pool"
                )
                look = ("worse" if value > 1 else "better") + " own" * (q == p)
                cells[q, p] = _shaded(text, level, look, tip)
        found[name] = cells
    if not roles.between_modalities:
        return _maps(view, found, lambda name: f"{view.names[name]}: outranking")
    columns = {code: (IMAGE, code) for code in roles.pool_of(IMAGE)}
    title = "Texts that images find: outranking"
    return [_by_model(view, found, title, columns)] if found and len(columns) > 1 else []
