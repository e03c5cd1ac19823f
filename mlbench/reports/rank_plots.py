"""Where relevant passages rank in the pool of all languages, as a plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlbench.measures.bias import MixedPool
from mlbench.ranking.ranks import Ranks
from mlbench.reports.drawing import OTHER, OWN, Values, legend, mark, rows_of_axes
from mlbench.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ranks_figure(report: Report, ranks: Ranks | None) -> Figure | None:
    """Quantiles of the ranks of relevant passages in the mixed pool, by passage language.

    Quantiles, not densities: half of a good model's ranks are whole numbers below 10, which a
    smoothed curve would smear.
    """
    if ranks is None or not report.scores.bias.by_language:
        return None
    asked_in, passages = ranks.roles.mixing, ranks.roles.mixed_pool
    rankings = [MixedPool.of(ranks, language).ranking for language in asked_in]
    rank = np.concatenate([ranking.rank for ranking in rankings])
    language = ranks.passage_language[np.concatenate([ranking.row for ranking in rankings])]
    asked = np.repeat(ranks.columns(asked_in), [len(ranking.rank) for ranking in rankings])
    count = len(passages)
    height = 0.34 * count + 0.1
    figure, axes = rows_of_axes(
        "Where relevant passages rank in the multilingual pool",
        "Dots are medians, thick lines the middle half, thin lines the middle 90%. Left is better.",
        passages, (1.0, 0.4, 0.75, 0.55), height,
    )  # fmt: skip
    groups = (
        ("queries in the same language", language == asked, OWN, -0.17),
        ("queries in other languages", language != asked, OTHER, 0.17),
    )
    at = [*enumerate(ranks.columns(passages).tolist())]
    for label, chosen, colour, shift in groups:
        parts = [(i + shift, rank[chosen & (language == column)]) for i, column in at]
        _draw_quantiles(axes, [part for part in parts if len(part[1])], colour, label)
    pool = rankings[0].pool_size
    axes.set_xscale("log")
    axes.set(xlim=(0.85, pool * 1.15), ylim=(count - 0.4, -0.6), xlabel="rank (log scale)")
    ticks = [10**power for power in range(len(str(pool)))]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(count), passages)
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
