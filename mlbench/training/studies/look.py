"""How the arms of a study look in its plots: colours, markers, places, panels and keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from mlbench.common.names import shortened_apart
from mlbench.reports.drawing import OTHER, OWN, WIDTH, Box, add_axes, canvas
from mlbench.training.studies.entrants import BASELINE, Entrant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from mlbench.training.studies.report import StudyReport


COLOURS = (OTHER, OWN, "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LETTERS_A_ROW = 3
LONGEST = 22
WIDE = 2.6
"""Inches of a panel; the names of baselines stand at its right."""


@dataclass(frozen=True)
class Look:
    """How the arms of a study are drawn: colour and marker by series, place along the axis."""

    places: Mapping[str, float]
    series: tuple[str, ...]
    names: Mapping[str, str]
    is_quantity: bool

    @classmethod
    def of(cls, report: StudyReport) -> Look:
        """Lay the arms of a study out: by what is varied, those without it behind."""
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


def panels_of(count: int, title: str, subtitle: str, height: float, below: float) -> tuple[
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


def add_key(figure: Drawing, look: Look) -> None:
    """Say at the lower edge what the letters stand for; without letters, name the series."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linewidth=0, label=f"{letter}: {label}")
        for label, letter in look.letters.items()
    ]
    if not handles:
        add_legend(figure, look)
        return
    figure.legend(handles=handles, loc="lower left", ncols=LETTERS_A_ROW, fontsize=8.5,
                  handlelength=0)  # fmt: skip


def add_legend(figure: Drawing, look: Look) -> None:
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
