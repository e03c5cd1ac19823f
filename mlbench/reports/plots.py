"""A report as plots: SVG or PNG. What a report cannot show has no figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlbench.common.collector import uncollected
from mlbench.common.errors import Fault, UsageError
from mlbench.data.task import Kind
from mlbench.measures.significance import Score
from mlbench.ranking.ranks import Ranks
from mlbench.reports.bias_plots import (
    counts_figure,
    distance_figure,
    outranking_figure,
    targets_figure,
)
from mlbench.reports.compression import compression_figure
from mlbench.reports.drawing import (
    INK,
    KIND_COLOURS,
    ROOMY,
    legend,
    plain_style,
    rows_of_axes,
    tenth_above,
    ticks,
    to_png,
    to_svg,
)
from mlbench.reports.matrices import MatrixPlot, Scale, draw_matrix
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


PLOTS: dict[str, Callable[[Report, Ranks | None], Figure | None]] = {
    "macro": _macro,
    "languages": _languages,
    "heatmap": _heatmap,
    "pairs": pairs_figure,
    "outranking": outranking_figure,
    "targets": targets_figure,
    "distance": distance_figure,
    "counts": counts_figure,
    "ranks": ranks_figure,
    "compression": compression_figure,
}
