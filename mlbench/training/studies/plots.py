"""The plots of a study: curves over what is varied, the trade-off, proportions, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench.reports.drawing import FAINT, grid, plain_style, to_svg
from mlbench.training.studies.entrants import BASELINE
from mlbench.training.studies.figures import Figure, macro_figures
from mlbench.training.studies.findings import TaskFindings
from mlbench.training.studies.look import Look, add_key, add_legend, panels_of
from mlbench.training.studies.trade_off import TRADE_OFF, trade_off
from mlbench.training.studies.triangle import TRIANGLES, triangles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import Cost, StudyReport

WIDE_SPAN = 16
"""An axis whose values span this factor is drawn in logarithms."""


@dataclass(frozen=True)
class StudyPlot:
    """A plot: its file, its SVG, what it shows (``alt``) and how to read it."""

    file: str
    svg: bytes
    alt: str
    how: str


def study_plots(report: StudyReport) -> list[StudyPlot]:
    """Draw all plots that the study can fill."""
    drawn: list[StudyPlot] = []
    with plain_style():
        for task in report.tasks:
            name, axis = task.task.name, report.study.axis
            for draw, kind, alt, how in (
                (_curves, "curves", f"Scores on {name} by {axis}.", CURVES),
                (trade_off, "trade-off",
                 f"Scores across languages against those within languages on {name}.", TRADE_OFF),
                (triangles, "proportions",
                 f"Scores on {name} by the proportions of batches.", TRIANGLES),
                (_cost, "cost", f"Scores on {name} by the seconds of training.", COST),
            ):  # fmt: skip
                figure = draw(report, task)
                if figure is not None:
                    file = f"plots/{kind}-{name}.svg"
                    drawn.append(StudyPlot(file, to_svg(figure), alt, how))
    return drawn


CURVES = (
    "Small dots are single models, one a seed; large ones are their mean, with its 95% interval "
    "over seeds and questions. Dashed lines are baselines; where one lies far off, its value "
    "stands at the edge. Of rank distance and same-language outranking, lower is better."
)
COST = "Each point is an arm: its score by the seconds that one training took, its mean over seeds."


def _curves(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Every macro figure along what is varied."""
    look = Look.of(report)
    figures = macro_figures(task.figures)
    below = 0.35 if look.is_quantity else 1.3
    figure, panels = panels_of(
        len(figures), f"{report.study.form.title}: {task.task.name}",
        f"Along {report.study.axis}, with 95% intervals over seeds and questions.", 2.1, below,
    )  # fmt: skip
    for axes, of in zip(panels, figures, strict=True):
        grid(axes)
        for series in look.series:
            _curve(axes, task, of, series, look)
        _baselines(axes, task, of)
        _name_places(axes, report, look)
        axes.set_ylabel(of.title + "\n(lower is better)" * of.lower_is_better, size=8.5)
        axes.locator_params(axis="y", nbins=6)
    for axes in panels[:-2] if look.is_quantity else ():
        axes.set_xlabel("")
    add_legend(figure, look)
    return figure


def _curve(axes: Axes, task: TaskFindings, of: Figure, series: str, look: Look) -> None:
    there = [
        (entrant, value)
        for entrant in task.entrants
        if entrant.role != BASELINE and entrant.series == series
        if (value := task.value(entrant.label, of)) is not None
    ]
    there.sort(key=lambda each: look.places[each[0].label])
    if not there:
        return
    colour, marker = look.style(there[0][0])
    from matplotlib.transforms import ScaledTranslation

    aside = axes.transData + ScaledTranslation(-5 / 72, 0, axes.figure.dpi_scale_trans)
    x = [look.places[entrant.label] for entrant, _ in there]
    for at, (_, value) in zip(x, there, strict=True):
        axes.vlines(at, value.low, value.high, color=colour, linewidth=1.3, zorder=3)
        if len(value.by_seed) > 1:
            axes.plot([at] * len(value.by_seed), value.by_seed, marker, color=colour, markersize=3,
                      alpha=0.55, markeredgewidth=0, zorder=2, transform=aside)  # fmt: skip
    joined = "-" if look.is_quantity else ""
    values = [value.value for _, value in there]
    axes.plot(x, values, joined + marker, color=colour, markersize=5, linewidth=1.2, zorder=4)


def _baselines(axes: Axes, task: TaskFindings, of: Figure) -> None:
    """Draw baselines as lines, or write at the edge the value of one that would make the curves
    flat."""
    low, high = axes.get_ylim()
    span = high - low
    found = [
        (entrant.label, value.value)
        for entrant in task.entrants
        if entrant.role == BASELINE and (value := task.value(entrant.label, of)) is not None
    ]
    near = [(n, v) for n, v in found if low - span <= v <= high + span]
    for _, at in near:
        axes.axhline(at, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    low, high = (pick([end, *(v for _, v in near)]) for pick, end in ((min, low), (max, high)))
    room = [0.04, 0.04]
    for above in (True, False):
        far = [f"{n} {v:.{of.digits}f}" for n, v in found if (n, v) not in near
               and (v > high) == above]  # fmt: skip
        if far:
            room[above] = 0.13
            axes.annotate(
                f"{'above' if above else 'below'}: {', '.join(far)}",
                (1, 1 if above else 0), (-3, -9 if above else 3), xycoords="axes fraction",
                textcoords="offset points", size=7.5, color=FAINT, ha="right",
            )  # fmt: skip
    axes.set_ylim(low - room[0] * (high - low), high + room[1] * (high - low))
    bottom, top = axes.get_ylim()
    heights = spread([(at - bottom) / (top - bottom) for _, at in near])
    for (name, _), height in zip(near, heights, strict=True):
        axes.annotate(name, (1, height), (3, 0), xycoords="axes fraction", va="center",
                      textcoords="offset points", size=7.5, color=FAINT)  # fmt: skip


def spread(heights: Sequence[float], least: float = 0.08) -> list[float]:
    """Return heights of labels, shares of the axis, that are moved apart where two are nearer than
    ``least``; they keep their order and what is between them."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    groups: list[list[float]] = []  # each its middle and its number of labels
    for place in order:
        groups.append([heights[place], 1])
        while len(groups) > 1:
            (one, n), (other, m) = groups[-2:]
            if other - one >= least * (n + m) / 2:
                break
            groups[-2:] = [[(one * n + other * m) / (n + m), n + m]]
    found = [0.0] * len(heights)
    places = iter(order)
    for middle, count in groups:
        for number in range(int(count)):
            found[next(places)] = middle + least * (number - (count - 1) / 2)
    return found


def _name_places(axes: Axes, report: StudyReport, look: Look) -> None:
    """Write what stands along the axis."""
    own = {each.label: each.x for each in report.entrants if each.role != BASELINE}
    others = {label: at for label, at in look.places.items() if own.get(label) is None}
    if not look.is_quantity:
        axes.set_xticks(list(look.places.values()), [look.names[n] for n in look.places],
                        rotation=40, ha="right", size=7.5)  # fmt: skip
        axes.margins(x=0.06)
        return
    values = sorted({x for x in own.values() if x is not None})
    if values and min(values) > 0 and max(values) / min(values) >= WIDE_SPAN:
        axes.set_xscale("log")
    axes.minorticks_off()
    places = [*values, *others.values()]
    named = [*(f"{x:g}" for x in values), *(look.names[label] for label in others)]
    axes.set_xticks(places, named, size=8.5)
    axes.set_xlabel(report.study.axis)
    axes.margins(x=0.06)


def _cost(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Scores by the seconds of a training, where arms differ in them."""
    costs: dict[str, Cost] = {c.arm: c for c in report.costs if c.seconds}
    figures = [f for f in macro_figures(task.figures) if f.measure == report.study.form.measure]
    seconds = [cost.seconds or 0.0 for cost in costs.values()]
    if len(seconds) < 2 or not figures:
        return None
    look = Look.of(report)
    figure, panels = panels_of(len(figures), f"Scores by cost: {task.task.name}",
                             "Seconds of one training, as it went here.", 2.3,
                             look.room)  # fmt: skip
    for axes, of in zip(panels, figures, strict=True):
        grid(axes)
        for entrant in task.entrants:
            value = task.value(entrant.label, of)
            if entrant.label in costs and value is not None:
                colour, marker = look.style(entrant)
                x = costs[entrant.label].seconds or 0.0
                axes.vlines(x, value.low, value.high, color=colour, linewidth=1, alpha=0.6)
                axes.plot(x, value.value, marker, color=colour, markersize=5)
                axes.annotate(look.beside(entrant), (x, value.value), (5, 3),
                              textcoords="offset points", size=7.5)  # fmt: skip
        _baselines(axes, task, of)
        axes.set_xlabel("seconds of training")
        axes.set_ylabel(of.title, size=8.5)
        axes.margins(x=0.12)
        axes.locator_params(nbins=6)
    add_key(figure, look)
    return figure
