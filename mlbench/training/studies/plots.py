"""The plots of a study: curves over what is varied, the trade-off, proportions, cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from mlbench.common.names import shortened_apart
from mlbench.data.task import FROM_IMAGE, Kind
from mlbench.measures.clip_score import CLIP_SCORE
from mlbench.reports.drawing import (
    FAINT,
    INK,
    OTHER,
    OWN,
    WIDTH,
    Box,
    add_axes,
    canvas,
    grid,
    plain_style,
    to_svg,
)
from mlbench.reports.words import kind_name, mean_name
from mlbench.training.studies.figures import Figure, macro_figures
from mlbench.training.studies.findings import BASELINE, ArmValue, Entrant, TaskFindings
from mlbench.training.studies.plan import PROPORTIONS, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import Cost, StudyReport

COLOURS = (OTHER, OWN, "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDE_SPAN = 16
"""An axis whose values span this factor is drawn in logarithms."""
LETTERS_A_ROW = 3
LONGEST = 22
WIDE = 2.6
"""Inches of a panel; the names of baselines stand at its right."""
MONO, CROSS, MULTI = (kind.value for kind in Kind)
CORNERS = {"mono": (0.5, math.sqrt(3) / 2), "pair": (0.0, 0.0), "mixed": (1.0, 0.0)}
"""Where each kind of batches has its corner."""


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
                (_trade_off, "trade-off",
                 f"Scores across languages against those within languages on {name}.", TRADE_OFF),
                (_triangles, "proportions",
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
TRADE_OFF = (
    "Each point is an arm with its 95% intervals; filled ones are such that no other arm is higher "
    "in both. Squares are baselines; the values of those that lie far off stand below."
)
TELLS = {False: "Up and to the right is better.", True: "Captions that images find first."}
TRIANGLES = (
    "A corner is batches of one kind alone, an edge is a mixture of two kinds, and the inside one "
    "of all three. Darker is better."
)
COST = "Each point is an arm: its score by the seconds that one training took, its mean over seeds."


@dataclass(frozen=True)
class _Look:
    """How the arms of a study are drawn: colour and marker by series, place along the axis."""

    places: Mapping[str, float]
    series: tuple[str, ...]
    names: Mapping[str, str]
    is_quantity: bool

    @classmethod
    def of(cls, report: StudyReport) -> _Look:
        arms = [each for each in report.entrants if each.role != BASELINE]
        quantity = all(each.x is not None for each in arms if each.role == "trained")
        own = [each for each in arms if each.x is not None]
        places = {each.label: float(each.x or 0) for each in own} if quantity else {}
        others = [each for each in arms if each.label not in places]
        beyond = max(places.values(), default=-1.0)
        step = _step(places.values())
        places |= {each.label: beyond + step * (i + 1) for i, each in enumerate(others)}
        labels = [each.label for each in report.entrants]
        return cls(
            places,
            tuple(dict.fromkeys(each.series for each in arms)),
            shortened_apart(labels, LONGEST),
            quantity,
        )

    @property
    def letters(self) -> dict[str, str]:
        """What stands for the names of arms beside their points, where there are many."""
        named = [label for label in self.places if not self.is_quantity]
        return dict(zip(named, ascii_lowercase, strict=False)) if len(named) > 3 else {}

    @property
    def room(self) -> float:
        """Inches that the key to the letters takes below the axes."""
        return 0.35 + 0.24 * -(-len(self.letters) // LETTERS_A_ROW)

    def beside(self, entrant: Entrant) -> str:
        """What is written beside the point of an arm."""
        if entrant.x is not None:
            return f"{entrant.x:g}"
        return self.letters.get(entrant.label, self.names[entrant.label])

    def style(self, entrant: Entrant) -> tuple[str, str]:
        """Return colour and marker."""
        at = self.series.index(entrant.series) if entrant.series in self.series else 0
        return COLOURS[at % len(COLOURS)], MARKERS[at % len(MARKERS)]


def _step(values: Iterable[float]) -> float:
    ordered = sorted({*values})
    return min((b - a for a, b in itertools.pairwise(ordered)), default=1.0)


def _panels(count: int, title: str, subtitle: str, height: float, below: float) -> tuple[
    Drawing, list[Axes]
]:  # fmt: skip
    """Return a figure with so many axes, two in a row."""
    rows = (count + 1) // 2
    figure = canvas(WIDTH, 0.8 + rows * (height + 0.72) + below, title, subtitle)
    axes = [
        add_axes(figure, Box(0.85 + (i % 2) * 4.1, 0.85 + (i // 2) * (height + 0.72), WIDE, height))
        for i in range(count)
    ]
    return figure, axes


def _curves(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Every macro figure along what is varied."""
    look = _Look.of(report)
    figures = macro_figures(task.figures)
    below = 0.35 if look.is_quantity else 1.3
    figure, panels = _panels(
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
    _legend(figure, look)
    return figure


def _curve(axes: Axes, task: TaskFindings, of: Figure, series: str, look: _Look) -> None:
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


def _name_places(axes: Axes, report: StudyReport, look: _Look) -> None:
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


def _key(figure: Drawing, look: _Look) -> None:
    """Say at the lower edge what the letters stand for; without letters, name the series."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linewidth=0, label=f"{letter}: {label}")
        for label, letter in look.letters.items()
    ]
    if not handles:
        _legend(figure, look)
        return
    figure.legend(handles=handles, loc="lower left", ncols=LETTERS_A_ROW, fontsize=8.5,
                  handlelength=0)  # fmt: skip


def _legend(figure: Drawing, look: _Look) -> None:
    """Name the series at the lower edge, where there are several."""
    from matplotlib.lines import Line2D

    named = [name for name in look.series if name]
    if len(look.series) < 2 or not named:
        return
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
               markersize=5, linewidth=1.2, label=name or "trained elsewhere")
        for i, name in enumerate(look.series)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="lower left", ncols=3, fontsize=8.5, handlelength=1.6)


def _trade_off(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Cross-lingual, and multilingual, against monolingual scores, a point an arm; of images
    CLIPScore of the captions found first, in all languages against in each."""
    measure, within = report.study.form.measure, MONO
    if Figure(FROM_IMAGE, CLIP_SCORE) in task.figures:
        measure, within = CLIP_SCORE, FROM_IMAGE
    mono = Figure(within, measure)
    others = [f for f in (Figure(CROSS, measure), Figure(MULTI, measure)) if f in task.figures]
    if mono not in task.figures or not others:
        return None
    name = mean_name(measure)
    look = _Look.of(report)
    figure, panels = _panels(len(others), f"The trade-off in {name}: {task.task.name}",
                             TELLS[measure == CLIP_SCORE], 3.1, look.room)  # fmt: skip
    for axes, of in zip(panels, others, strict=True):
        grid(axes)
        _points(axes, task, mono, of, look)
        axes.set_xlabel(f"{kind_name(within)} {name}")
        axes.set_ylabel(f"{kind_name(of.kind)} {name}")
        axes.locator_params(nbins=5)
    _key(figure, look)
    return figure


def _points(axes: Axes, task: TaskFindings, mono: Figure, of: Figure, look: _Look) -> None:
    pairs = {
        entrant.label: (entrant, x, y)
        for entrant in task.entrants
        if (x := task.value(entrant.label, mono)) and (y := task.value(entrant.label, of))
    }
    arms = [each for each in pairs.values() if each[0].role != BASELINE]
    best = front([(x.value, y.value) for _, x, y in arms])
    for series in look.series:
        own = [each for each in arms if each[0].series == series]
        own.sort(key=lambda each: look.places[each[0].label])
        if look.is_quantity and own:
            colour, _ = look.style(own[0][0])
            axes.plot([x.value for _, x, _ in own], [y.value for *_, y in own], color=colour,
                      linewidth=0.9, alpha=0.5, zorder=2)  # fmt: skip
    for number, (entrant, x, y) in enumerate(arms):
        colour, marker = look.style(entrant)
        axes.hlines(y.value, x.low, x.high, color=colour, linewidth=0.8, alpha=0.6, zorder=3)
        axes.vlines(x.value, y.low, y.high, color=colour, linewidth=0.8, alpha=0.6, zorder=3)
        axes.plot(x.value, y.value, marker, color=colour, markersize=6, zorder=4,
                  markerfacecolor=colour if number in best else "none")  # fmt: skip
        axes.annotate(
            look.beside(entrant), (x.value, y.value), (5, 5), textcoords="offset points", size=8
        )
    axes.margins(0.12)
    _far_points(axes, [(e.label, x, y) for e, x, y in pairs.values() if e.role == BASELINE])


def _far_points(axes: Axes, baselines: Sequence[tuple[str, ArmValue, ArmValue]]) -> None:
    """Draw the baselines that lie near the arms, and write where the others are."""
    ends = (axes.get_xlim(), axes.get_ylim())
    far = []
    for name, x, y in baselines:
        near = all(
            low - (high - low) <= value.value <= high + (high - low)
            for value, (low, high) in zip((x, y), ends, strict=True)
        )
        if near:
            axes.plot(x.value, y.value, "s", color=FAINT, markersize=5, zorder=4)
            axes.annotate(name, (x.value, y.value), (5, -9), textcoords="offset points", size=7.5,
                          color=FAINT)  # fmt: skip
        else:
            far.append(f"{name} ({x.value:.3f}, {y.value:.3f})")
    if far:
        axes.annotate("far off: " + "\n".join(far), (0, 0), (3, 3), xycoords="axes fraction",
                      textcoords="offset points", size=7.5, color=FAINT)  # fmt: skip


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Return which points are such that no other is as high in both and higher in one."""
    return {
        i
        for i, (x, y) in enumerate(points)
        if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)
    }


def _triangles(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Every macro figure over the triangle of mono, pair and mixed batches."""
    shares = proportions_of(report.study)
    if len(shares) < 3:
        return None
    figures = macro_figures(task.figures)
    figure, panels = _panels(
        len(figures), f"Proportions of batches: {task.task.name}",
        "Each point is an arm, its value beside it.", 2.6, 0.1,
    )  # fmt: skip
    for axes, of in zip(panels, figures, strict=True):
        _triangle(axes, of, {
            label: (_place(each), value.value)
            for label, each in shares.items()
            if (value := task.value(label, of)) is not None
        })  # fmt: skip
    return figure


def proportions_of(study: Study) -> dict[str, Mapping[str, float]]:
    """Return the proportions of the arms that are mixtures of mono, pair and mixed batches."""
    found = {arm.label: arm.point[PROPORTIONS] for arm in study.arms if PROPORTIONS in arm.point}
    return {label: of for label, of in found.items() if not of.keys() - CORNERS.keys()}


def _place(shares: Mapping[str, float]) -> tuple[float, float]:
    x, y = (sum(share * CORNERS[kind][i] for kind, share in shares.items()) for i in (0, 1))
    return x, y


def _triangle(
    axes: Axes, of: Figure, points: Mapping[str, tuple[tuple[float, float], float]]
) -> None:
    outline = [CORNERS[kind] for kind in ("mono", "pair", "mixed", "mono")]
    axes.plot([x for x, _ in outline], [y for _, y in outline], color=FAINT, linewidth=0.9)
    values = [value for _, value in points.values()]
    low, span = min(values), max(values) - min(values) or 1.0
    for (x, y), value in points.values():
        level = (value - low) / span
        level = 1 - level if of.lower_is_better else level
        axes.scatter([x], [y], s=70, color=OTHER, alpha=0.15 + 0.85 * level, zorder=3,
                     linewidth=0)  # fmt: skip
        axes.annotate(f"{value:.{of.digits}f}", (x, y), (0, -14), textcoords="offset points",
                      size=7.5, ha="center", zorder=2,
                      bbox={"facecolor": "white", "linewidth": 0, "pad": 1})  # fmt: skip
    for kind, (x, y) in CORNERS.items():
        away = 9 if y else -27  # beyond the value of what stands in the corner
        axes.annotate(kind, (x, y), (0, away), textcoords="offset points", size=8.5, ha="center",
                      color=INK)  # fmt: skip
    axes.set_title(of.title, size=9.5, loc="left", pad=16)
    axes.set(xlim=(-0.22, 1.22), ylim=(-0.2, 1.05), xticks=[], yticks=[], aspect="equal")


def _cost(report: StudyReport, task: TaskFindings) -> Drawing | None:
    """Scores by the seconds of a training, where arms differ in them."""
    costs: dict[str, Cost] = {c.arm: c for c in report.costs if c.seconds}
    figures = [f for f in macro_figures(task.figures) if f.measure == report.study.form.measure]
    seconds = [cost.seconds or 0.0 for cost in costs.values()]
    if len(seconds) < 2 or not figures:
        return None
    look = _Look.of(report)
    figure, panels = _panels(len(figures), f"Scores by cost: {task.task.name}",
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
    _key(figure, look)
    return figure
