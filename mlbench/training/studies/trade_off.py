"""The trade-off of a study: scores across languages against those within languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlbench.data.task import FROM_IMAGE, Kind
from mlbench.measures.clip_score import CLIP_SCORE
from mlbench.reports.drawing import FAINT, grid
from mlbench.reports.words import kind_name, mean_name
from mlbench.training.studies.entrants import BASELINE
from mlbench.training.studies.figures import Figure
from mlbench.training.studies.findings import ArmValue, TaskFindings
from mlbench.training.studies.look import Look, add_key, panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import StudyReport

MONO, CROSS, MULTI = (kind.value for kind in Kind)
TRADE_OFF = (
    "Each point is an arm with its 95% intervals; filled ones are such that no other arm is higher "
    "in both. Squares are baselines; the values of those that lie far off stand below."
)
TELLS = {False: "Up and to the right is better.", True: "Captions that images find first."}


def trade_off(report: StudyReport, task: TaskFindings) -> Drawing | None:
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
    look = Look.of(report)
    figure, panels = panels_of(len(others), f"The trade-off in {name}: {task.task.name}",
                             TELLS[measure == CLIP_SCORE], 3.1, look.room)  # fmt: skip
    for axes, of in zip(panels, others, strict=True):
        grid(axes)
        _points(axes, task, mono, of, look)
        axes.set_xlabel(f"{kind_name(within)} {name}")
        axes.set_ylabel(f"{kind_name(of.kind)} {name}")
        axes.locator_params(nbins=5)
    add_key(figure, look)
    return figure


def _points(axes: Axes, task: TaskFindings, mono: Figure, of: Figure, look: Look) -> None:
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
