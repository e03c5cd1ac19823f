"""Quality against the bytes of a vector: in words, as a table and as a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench.common.counts import plural
from mlbench.data.task import Kind
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports.drawing import (
    INK,
    KIND_COLOURS,
    WIDTH,
    Box,
    add_axes,
    canvas,
    grid,
    legend,
    tenth_above,
    ticks,
)
from mlbench.reports.report import Report
from mlbench.reports.table import Table
from mlbench.reports.words import MISSING, headline, kind_name, mean_name, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPRESSION_NOTE = (
    "Bytes are those of a passage, the mean. The percentages are the ratio to the whole vectors. "
    "Each variant has a report of its own, in the folder of its name."
)
KEEPS = 0.99
"""The share of the whole vectors' score that smaller ones should keep."""
FAR = 1000
"""Rank distances from here on need no decimals."""
FULL = "float32"
SHORT = {kind.value: kind.value.removesuffix("lingual") for kind in Kind}
MARKS = {FULL: "o", "int8": "s", "binary": "^"}


@dataclass(frozen=True)
class Point:
    """Vectors of one size: what they are called, the bytes of a passage, and their scores by kind.

    ``distance`` is the rank distance.
    """

    name: str
    format: str
    bytes: float
    scores: dict[str, Score]
    distance: Score | None


def points(report: Report) -> list[Point]:
    """Return the whole vectors, then their variants; nothing where there are none."""
    measure, size = headline(report), report.model.sizes.get("passage")
    if not report.variants or size is None:
        return []
    made = [
        (FULL, FULL, size.bytes, report.scores.macro, report.scores.bias.rank_distance),
        *((v.name, v.format, v.bytes, v.macro, v.rank_distance) for v in report.variants),
    ]
    return [
        Point(name, format_, taken, {k: m[measure] for k, m in macro.items() if measure in m}, far)
        for name, format_, taken, macro, far in made
    ]


def compression_table(report: Report) -> Table:
    """Return a row for the vectors of each size: bytes, macro scores and rank distance, each with
    its ratio to that of the whole vectors."""
    found = points(report)
    whole, kinds = found[0], list(found[0].scores)
    rows = []
    for each in found:
        cells = [_beside(each.scores.get(kind), whole.scores[kind], 4) for kind in kinds]
        if whole.distance is not None:
            digits = 0 if whole.distance.value >= FAR else 1
            cells.append(_beside(each.distance, whole.distance, digits))
        taken = f"{each.bytes:,.0f} {_share(each.bytes, whole.bytes)}"
        rows.append((each.name, taken, *cells))
    name = mean_name(headline(report))
    headers = [f"{name}\n{SHORT[kind]}" for kind in kinds]
    headers += ["rank\ndistance"] if whole.distance is not None else []
    return Table(("vectors", "bytes", *headers), tuple(rows))


def _beside(score: Score | None, whole: Score, digits: int) -> str:
    if score is None:
        return MISSING
    return f"{number(score.value, digits)} {_share(score.value, whole.value)}"


def _share(value: float, whole: float) -> str:
    share = 100 * value / whole if whole else math.nan
    if not math.isfinite(share):
        return MISSING.rjust(5)
    return f"{share:.{1 if share < 99.95 else 0}f}%".rjust(5)


def compression_lines(report: Report) -> list[str]:
    """Say which of the smaller vectors do nearly as well as the whole ones, and what ties do."""
    found = points(report)
    if not found or not found[0].scores:
        return []
    whole, smaller = found[0], found[1:]
    kind = list(whole.scores)[-1]
    measured = f"{kind_name(kind)} {mean_name(headline(report))}"
    keeping = [each for each in smaller if _kept(each, whole, kind) >= KEEPS]
    chosen = min(keeping, key=lambda each: each.bytes, default=None)
    best = max(smaller, key=lambda each: _kept(each, whole, kind))
    if chosen is not None:
        said = f"The smallest vectors that keep {KEEPS:.0%} of {measured} are {chosen.name}: "
        said += f"{plural(round(chosen.bytes), 'byte')} a passage instead of {whole.bytes:,.0f}."
    else:
        said = f"None of the smaller vectors keep {KEEPS:.0%} of {measured}. The best are "
        said += f"{best.name}: they keep {_kept(best, whole, kind):.1%} of it, in "
        said += f"{plural(round(best.bytes), 'byte')} a passage instead of {whole.bytes:,.0f}."
    return [said, *_ties(smaller, kind, measured)]


def _kept(point: Point, whole: Point, kind: str) -> float:
    value = whole.scores[kind].value
    return point.scores[kind].value / value if value and kind in point.scores else 0.0


def _ties(smaller: list[Point], kind: str, measured: str) -> list[str]:
    """Say how much the scores of smaller vectors owe to ties, where that can be seen."""
    tied = [each for each in smaller if kind in each.scores and each.scores[kind].ties_matter]
    if not tied:
        return []
    worst = max(tied, key=lambda p: p.scores[kind].optimistic - p.scores[kind].value)
    score = worst.scores[kind]
    return [
        "Smaller vectors tie more often, and ties count against the model: if they counted for it, "
        f"{measured} of {worst.name} would be {number(score.optimistic)} instead of "
        f"{number(score.value)}."
    ]


def compression_figure(report: Report, _: Ranks | None) -> Figure | None:
    """The headline score of each kind of setting by the bytes of a passage, in logs."""
    from matplotlib.lines import Line2D

    found = points(report)
    if not found or not found[0].scores:
        return None
    name = mean_name(headline(report))
    figure = canvas(
        WIDTH, 4.4, "Quality against the size of vectors",
        "Further left takes less memory. Lines join the vectors of one number format.",
    )  # fmt: skip
    axes = add_axes(figure, Box(0.7, 0.8, WIDTH - 1.1, 2.75))
    kinds = list(found[0].scores)
    for kind in kinds:
        for format_, marker in MARKS.items():
            of = [each for each in found if each.format == format_ and kind in each.scores]
            of.sort(key=lambda each: each.bytes)
            at, values = [p.bytes for p in of], [p.scores[kind].value for p in of]
            colour = KIND_COLOURS[kind]
            axes.plot(at, values, color=colour, marker=marker, markersize=6, linewidth=1.3)
    sizes = sorted({each.bytes for each in found})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("bytes of a passage's vectors (log scale)")
    axes.set_ylabel(name)
    limit = tenth_above(max(s.value for each in found for s in each.scores.values()))
    axes.set_ylim(0, limit * 1.02)
    axes.set_yticks(ticks(limit))
    grid(axes)
    handles = [
        Line2D([], [], color=KIND_COLOURS[k], linewidth=2, label=kind_name(k)) for k in kinds
    ]
    shown = {each.format for each in found}
    handles += [
        Line2D([], [], color=INK, marker=marker, linewidth=0, label=format_)
        for format_, marker in MARKS.items()
        if format_ in shown
    ]
    legend(figure, handles)
    return figure
