"""A report as plots: SVG or PNG. What a report cannot show has no figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.collector import uncollected
from mlbench.common.errors import Fault, UsageError
from mlbench.data.task import Kind
from mlbench.measures.language_counts import LanguageCount, Spread
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports.compression import compression_figure
from mlbench.reports.drawing import (
    FAINT,
    INK,
    KIND_COLOURS,
    OTHER,
    OWN,
    ROOMY,
    WIDTH,
    Box,
    MatrixPlot,
    Scale,
    Values,
    add_axes,
    canvas,
    draw_matrix,
    grid,
    legend,
    plain_style,
    rows_of_axes,
    tenth_above,
    ticks,
    to_png,
    to_svg,
)
from mlbench.reports.pair_plots import COLOURS, pairs_figure
from mlbench.reports.pairs import directions
from mlbench.reports.rank_plots import ranks_figure
from mlbench.reports.report import Report
from mlbench.reports.tables import score_matrix
from mlbench.reports.words import (
    KIND_NAMES,
    between,
    headline,
    kind_name,
    kind_title,
    macro_score,
    mean_name,
    settings_of,
    told_kinds,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALE = 0.3
LABEL_WIDTH = 0.065
"""Inches of a character of a bar's label; the room at the right is for the longest one."""
MOST_FACTOR = 3
"""The outranking figure's colours span at most 2**-3 to 2**3."""


@uncollected()
def plots(report: Report, ranks: Ranks | None) -> dict[str, bytes]:
    """Return file name -> SVG of every figure this report can fill; same report, same bytes."""
    drawn = {}
    for name, draw in PLOTS.items():
        with plain_style():
            figure = draw(report, ranks)
            if figure is not None:
                drawn[f"{name}.svg"] = to_svg(figure)
    return drawn


def plot_png(name: str, report: Report, ranks: Ranks | None, dpi: int = 192) -> bytes:
    """Return one figure, such as "macro" or "outranking", as PNG.

    Raises UsageError for another name, or where this report cannot fill the figure.
    """
    with plain_style():
        figure = PLOTS[name](report, ranks) if name in PLOTS else None
        if figure is None:
            expected = f"{', '.join(PLOTS)} (some need several languages)"
            raise UsageError(Fault(f"figure {name!r}", "not in this report", expected))
        return to_png(figure, dpi)


def _macro(report: Report, _: Ranks | None) -> Figure | None:
    """Every macro score with its interval, a bar a kind of setting, or of pairs a direction."""
    from matplotlib.patches import Patch

    shown = _macro_bars(report)
    if not shown:
        return None
    names = [mean_name(measure) for measure in report.measures]
    step = len(shown) + 0.8
    height = 0.2 * step * len(names)
    what = "direction" if report.scores.directions else "kind of setting"
    subtitle = f"Means over the settings of a {what.split(maxsplit=1)[0]}, with 95% intervals."
    bars = [
        (step * i + j, scores[measure], colour)
        for i, measure in enumerate(report.measures)
        for j, (colour, scores) in enumerate(shown.values())
        if measure in scores
    ]
    right = 0.15 + LABEL_WIDTH * max(len(_bar_label(score)) for _, score, _ in bars)
    figure, axes = rows_of_axes(
        f"Macro scores by {what}", subtitle, names, (0.8, right, 0.65, 0.35), height
    )
    reach = max(_draw_bar(axes, place, score, colour) for place, score, colour in bars)
    limit = tenth_above(reach)
    axes.set(xlim=(0, limit * 1.004), ylim=(step * len(names) - 1.0, -0.8))
    axes.set_xticks(ticks(limit))
    axes.set_yticks([step * i + (len(shown) - 1) / 2 for i in range(len(names))], names)
    handles = [Patch(color=colour, label=name) for name, (colour, _) in shown.items()]
    if any(score.ties_matter for _, score, _ in bars):
        handles.append(Patch(color=INK, alpha=PALE, label="pale: with ties counted for the model"))
    legend(figure, handles)
    return figure


def _macro_bars(report: Report) -> dict[str, tuple[str, dict[str, Score]]]:
    """Return name -> colour and macro scores of each kind, or of pairs each direction."""
    macro, bars = report.scores.macro, {}
    if report.scores.directions:
        of = directions(report)
        bars = {e.name: (colour, e.scores) for e, colour in zip(of, COLOURS, strict=False)}
    kinds = [k for k in told_kinds(report) if macro.get(k) and not report.task.pairs]
    return bars | {kind_title(report, k): (KIND_COLOURS[k], macro[k]) for k in kinds}


def _draw_bar(axes: Axes, place: float, score: Score, colour: str) -> float:
    """Draw one score, pale from ties against to ties for the model; return where it ends."""
    axes.barh(place, score.value, height=0.8, color=colour)
    end = max(score.value, score.high)
    if score.ties_matter:
        gain = score.optimistic - score.value
        axes.barh(place, gain, left=score.value, height=0.5, color=colour, alpha=PALE)
        end = max(end, score.optimistic)
    if score.high - score.low > 1e-6:
        axes.hlines(place, score.low, score.high, color=INK, linewidth=1)
        axes.vlines([score.low, score.high], place - 0.2, place + 0.2, color=INK, linewidth=1)
    axes.annotate(
        _bar_label(score),
        (end, place),
        (4, 0),
        textcoords="offset points",
        size=8,
        va="center_baseline",
        annotation_clip=False,
    )
    return end


def _bar_label(score: Score) -> str:
    """Return a score, with ties against the model and for it where that is written differently."""
    against, for_it = f"{score.value:.3f}", f"{score.optimistic:.3f}"
    return between(against, for_it) if score.ties_matter else against


def _heatmap(report: Report, _: Ranks | None) -> Figure | None:
    """Headline measure by query and passage language, with the means without the diagonal."""
    cross = settings_of(report, Kind.CROSSLINGUAL.value)
    if report.task.roles.two_ways or not any(setting.queries for setting in cross):
        return None
    roles, name = report.task.roles, mean_name(headline(report))
    scores = score_matrix(report, headline(report))
    values = np.array([[scores[q, p] for p in roles.passages] for q in roles.queries], np.float64)
    top = tenth_above(float(np.nanmax(values)))
    short = len(roles.passages) > ROOMY
    digits = 3 if top <= 0.1 else 2
    return draw_matrix(
        MatrixPlot(
            roles.queries,
            roles.passages,
            values,
            title=f"{name} by query language and passage language",
            subtitle="Outlined cells are monolingual; the means are cross-lingual, without them."
            if settings_of(report, Kind.MONOLINGUAL.value)
            else "The means are over the cells of a row or of a column.",
            scale=Scale(
                "YlGnBu",
                0,
                top,
                {tick: f"{tick:g}" for tick in ticks(top)},
                lambda value: f"{value:.{digits}f}".removeprefix("0" if short else ""),
            ),
        )
    )


def _languages(report: Report, _: Ranks | None) -> Figure | None:
    """Headline measure by query language and kind of setting, with 95% intervals."""
    main = headline(report)
    scores = {
        kind: report.scores.per_language.get(kind, {}).get(main, {})
        for kind in KIND_NAMES
        if report.scores.per_language.get(kind, {}).get(main)
    }
    languages = report.task.roles.queries
    if len(languages) < 2 or not scores or report.task.roles.two_ways:
        return None
    step = len(scores) + 1.0
    height = 0.13 * step * len(languages)
    figure, axes = rows_of_axes(
        f"{mean_name(main)} by query language",
        "Means over a language's settings, with 95% intervals. Dashed lines are macro scores.",
        languages, (0.75, 0.35, 0.85, 0.55), height,
    )  # fmt: skip
    reach = 0.0
    for j, (kind, of_kind) in enumerate(scores.items()):
        rows = [
            (step * i + j, of_kind[code]) for i, code in enumerate(languages) if code in of_kind
        ]
        places = [place for place, score in rows if score]
        low, value, high = np.array([(s.low, s.value, s.high) for _, s in rows if s]).T
        colour = KIND_COLOURS[kind]
        axes.hlines(places, low, high, color=colour, linewidth=1.8)
        axes.scatter(value, places, s=20, color=colour, zorder=3, label=kind_name(kind))
        whole = macro_score(report, kind, main)
        if whole is not None:
            axes.axvline(whole.value, color=colour, linewidth=0.9, linestyle=(0, (3, 3)))
        reach = max(reach, float(high.max()))
    limit = tenth_above(reach)
    axes.set(xlim=(0, limit * 1.02), ylim=(step * len(languages) - 1.2, -0.9))
    axes.set_xticks(ticks(limit))
    axes.set_yticks([step * i + (len(scores) - 1) / 2 for i in range(len(languages))], languages)
    axes.set_ylabel("queries in", labelpad=6)
    legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _outranking(report: Report, _: Ranks | None) -> Figure | None:
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


def _targets(report: Report, _: Ranks | None) -> Figure | None:
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


def _distance(report: Report, _: Ranks | None) -> Figure | None:
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


def _counts(report: Report, _: Ranks | None) -> Figure | None:
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


PLOTS: dict[str, Callable[[Report, Ranks | None], Figure | None]] = {
    "macro": _macro,
    "languages": _languages,
    "heatmap": _heatmap,
    "pairs": pairs_figure,
    "outranking": _outranking,
    "targets": _targets,
    "distance": _distance,
    "counts": _counts,
    "ranks": ranks_figure,
    "compression": compression_figure,
}
