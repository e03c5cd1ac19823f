"""A report as plots: SVG or PNG. What a report cannot show has no figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.collector import uncollected
from mlbench.common.errors import Fault, UsageError
from mlbench.data.task import Kind
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports.bias_plots import counts, distance, outranking, targets
from mlbench.reports.drawing import (
    GRID,
    INK,
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
    legend,
    mark,
    means,
    plain_style,
    ticks,
    to_png,
    to_svg,
    without_diagonal,
)
from mlbench.reports.report import Report
from mlbench.reports.tables import score_matrix
from mlbench.reports.words import (
    KIND_NAMES,
    headline,
    kind_name,
    macro_score,
    mean_name,
    settings_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS = dict(zip(KIND_NAMES, ("#0072b2", "#e69f00", "#009e73"), strict=True))
PALE = 0.3


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
    """Every macro score with its interval, a bar a kind of setting."""
    from matplotlib.patches import Patch

    kinds = [kind for kind in KIND_NAMES if report.scores.macro.get(kind)]
    if not kinds:
        return None
    names = [mean_name(measure) for measure in report.measures]
    step = len(kinds) + 0.8
    height = 0.2 * step * len(names)
    subtitle = "Means over the settings of a kind, with 95% intervals."
    figure = canvas(WIDTH, height + 1.45, "Macro scores by kind of setting", subtitle)
    left = 0.35 + 0.085 * max(map(len, names))
    axes = add_axes(figure, Box(left, 0.8, WIDTH - left - 0.35, height))
    bars = [
        (step * i + j, score, KIND_COLOURS[kind])
        for i, measure in enumerate(report.measures)
        for j, kind in enumerate(kinds)
        if (score := macro_score(report, kind, measure)) is not None
    ]
    reach = max(_draw_bar(axes, place, score, colour) for place, score, colour in bars)
    limit = min(1.0, max(0.1, math.ceil(10 * reach) / 10))
    axes.set(xlim=(0, limit * 1.1), ylim=(step * len(names) - 1.0, -0.8))
    axes.set_xticks(ticks(limit))
    axes.xaxis.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_yticks([step * i + (len(kinds) - 1) / 2 for i in range(len(names))], names)
    handles = [Patch(color=KIND_COLOURS[kind], label=kind_name(kind)) for kind in kinds]
    if any(score.ties_matter for _, score, _ in bars):
        handles.append(Patch(color=INK, alpha=PALE, label="pale: if ties counted for the model"))
    legend(figure, handles)
    return figure


def _draw_bar(axes: Axes, place: float, score: Score, colour: str) -> float:
    """Draw one score, pale from ties against to ties for the model; return where it ends."""
    axes.barh(place, score.value, height=0.8, color=colour)
    label, end = f"{score.value:.3f}", max(score.value, score.high)
    if score.ties_matter:
        gain = score.optimistic - score.value
        axes.barh(place, gain, left=score.value, height=0.5, color=colour, alpha=PALE)
        label, end = f"{label} to {score.optimistic:.3f}", max(end, score.optimistic)
    if score.high - score.low > 1e-6:
        axes.hlines(place, score.low, score.high, color=INK, linewidth=1)
        axes.vlines([score.low, score.high], place - 0.2, place + 0.2, color=INK, linewidth=1)
    inside = score.ties_matter and end > 0.8
    axes.annotate(
        label,
        (end, place),
        (-4 if inside else 4, 0),
        textcoords="offset points",
        size=8,
        ha="right" if inside else "left",
        va="center_baseline",
    )
    return end


def _heatmap(report: Report, _: Ranks | None) -> Figure | None:
    """Headline measure by query and passage language, with the means without the diagonal."""
    if not any(setting.queries for setting in settings_of(report, Kind.CROSSLINGUAL.value)):
        return None
    languages, name = report.task.languages, mean_name(headline(report))
    scores = score_matrix(report, headline(report))
    values = np.array([[scores[q, p] for p in languages] for q in languages], np.float64)
    top = max(0.1, math.ceil(10 * float(np.nanmax(values))) / 10)
    cross = without_diagonal(values)
    short = len(languages) > ROOMY
    digits = 3 if top <= 0.1 else 2
    return draw_matrix(
        MatrixPlot(
            languages,
            values,
            below=means(cross, 0),
            below_name="mean",
            right=means(cross, 1),
            title=f"{name} by query language and passage language",
            subtitle="Outlined: monolingual. Means: cross-lingual, without the outlined cells.",
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
    languages = report.task.languages
    if len(languages) < 2 or not scores:
        return None
    step = len(scores) + 1.0
    height = 0.13 * step * len(languages)
    figure = canvas(
        WIDTH,
        height + 1.6,
        f"{mean_name(main)} by query language",
        "Means over a language's settings, with 95% intervals. Dashed: the macro score.",
    )
    left = 0.55 + 0.085 * max(map(len, languages))
    axes = add_axes(figure, Box(left, 0.75, WIDTH - left - 0.35, height))
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
    limit = min(1.0, max(0.1, math.ceil(10 * reach) / 10))
    axes.set(xlim=(0, limit * 1.02), ylim=(step * len(languages) - 1.2, -0.9))
    axes.set_xticks(ticks(limit))
    axes.xaxis.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_yticks([step * i + (len(scores) - 1) / 2 for i in range(len(languages))], languages)
    axes.set_ylabel("queries in", labelpad=6)
    legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _ranks(_: Report, ranks: Ranks | None) -> Figure | None:
    """Quantiles of the ranks of relevant passages in the mixed pool, by passage language.

    Quantiles, not densities: half of a good model's ranks are whole numbers below 10, which a
    smoothed curve would smear.
    """
    if ranks is None or len(ranks.languages) < 2:
        return None
    rankings = [ranks.ranking(language, ranks.languages) for language in ranks.languages]
    rank = np.concatenate([ranking.rank for ranking in rankings])
    language = ranks.passage_language[np.concatenate([ranking.row for ranking in rankings])]
    asked = np.repeat(np.arange(len(rankings)), [len(ranking.rank) for ranking in rankings])
    count = len(ranks.languages)
    height = 0.34 * count + 0.1
    figure = canvas(
        WIDTH,
        height + 1.75,
        "Where relevant passages rank in the mixed pool",
        "Dot: median. Thick: the middle half. Thin: the middle 90%. Left is better.",
    )
    left = 0.55 + 0.085 * max(map(len, ranks.languages))
    axes = add_axes(figure, Box(left, 1.0, WIDTH - left - 0.4, height))
    groups = (
        ("queries in the same language", language == asked, OWN, -0.17),
        ("queries in other languages", language != asked, OTHER, 0.17),
    )
    for label, chosen, colour, shift in groups:
        parts = [(i + shift, rank[chosen & (language == i)]) for i in range(count)]
        _draw_quantiles(axes, [part for part in parts if len(part[1])], colour, label)
    pool = int(ranks.pool_sizes.sum())
    axes.set_xscale("log")
    axes.set(xlim=(0.85, pool * 1.15), ylim=(count - 0.4, -0.6), xlabel="rank (log scale)")
    ticks = [10**power for power in range(len(str(pool)))]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.xaxis.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_yticks(range(count), ranks.languages)
    axes.set_ylabel("passages in", labelpad=6)
    most = max(int(ranking.relevant.max()) for ranking in rankings if len(ranking.query))
    random = (pool + 1) / 2
    close = math.log(random / most) < 0.25 * math.log(pool)
    mark(axes, most, f"perfect: within {most:,}", raised=close)
    mark(axes, random, f"random median: {random:,.0f}")
    legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _draw_quantiles(axes: Axes, parts: list[tuple[float, Values]], colour: str, label: str) -> None:
    if not parts:
        return
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    at = [place for place, _ in parts]
    low, first, median, third, high = np.array(
        [np.quantile(ranks, quantiles, method="inverted_cdf") for _, ranks in parts]
    ).T
    axes.hlines(at, low, high, color=colour, linewidth=1)
    axes.hlines(at, first, third, color=colour, linewidth=4.5, alpha=0.55)
    axes.scatter(median, at, s=26, color=colour, zorder=3, label=label)


PLOTS: dict[str, Callable[[Report, Ranks | None], Figure | None]] = {
    "macro": _macro,
    "languages": _languages,
    "heatmap": _heatmap,
    "outranking": outranking,
    "targets": targets,
    "distance": distance,
    "counts": counts,
    "ranks": _ranks,
}
