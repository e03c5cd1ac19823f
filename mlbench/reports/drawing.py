"""How figures are drawn: style, canvas, axes, SVG and PNG. Sees arrays only.

Colours tell the same to the colour-blind, text is drawn as outlines, the same figure gives the
same bytes, and an SVG follows the reader's light or dark mode.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = npt.NDArray[np.float64]

WIDTH = 8.33
"""Inches: 800 px where an SVG is shown at its own size."""
INK, FAINT, GRID, PAPER, EMPTY = "#222222", "#666666", "#dddddd", "#ffffff", "#cccccc"
OWN, OTHER = "#d55e00", "#0072b2"
KIND_COLOURS = {"monolingual": OTHER, "crosslingual": "#e69f00", "multilingual": "#009e73"}
DARK = {INK: "#e8e8e8", FAINT: "#a8a8a8", GRID: "#444444", PAPER: "#1c1f24", EMPTY: "#555555"}
ROOMY = 12
"""With more languages a matrix has room for three characters a cell."""
STYLE = {
    "svg.hashsalt": "mlbench",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Box:
    """A rectangle of a figure in inches; ``top`` counts from the upper edge."""

    left: float
    top: float
    width: float
    height: float


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw in matplotlib's own defaults and ours, whatever the user's matplotlibrc says."""
    _import_matplotlib()
    from matplotlib import style

    with style.context(["default", STYLE]):
        yield


def _import_matplotlib() -> None:
    """Import it without MPLBACKEND: one that is not installed, as Jupyter leaves to its children,
    ends the import with ValueError, and no figure here needs it."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib  # noqa: F401
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def canvas(width: float, height: float, title: str, subtitle: str) -> Figure:
    """Return an empty figure, inches, with its title and a line below it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    FigureCanvasAgg(figure)
    left = 0.12 / width
    figure.text(left, 1 - 0.26 / height, title, size=12.5, weight="bold", va="center")
    figure.text(left, 1 - 0.52 / height, subtitle, color=FAINT, va="center")
    return figure


def add_axes(figure: Figure, box: Box) -> Axes:
    """Return new axes at ``box``, without a frame or tick marks."""
    width, height = figure.get_size_inches()
    bottom = 1 - (box.top + box.height) / height
    axes = figure.add_axes((box.left / width, bottom, box.width / width, box.height / height))
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return axes


def rows_of_axes(
    title: str,
    subtitle: str,
    names: Sequence[str],
    margins: tuple[float, float, float, float],
    height: float,
) -> tuple[Figure, Axes]:
    """Return a figure and its axes, which has a row a name, ``height`` inches high and gridded.

    ``margins`` are inches: above, right, below, and left of the names.
    """
    above, right, below, left = margins
    figure = canvas(WIDTH, above + height + below, title, subtitle)
    left += 0.085 * max(map(len, names))
    axes = add_axes(figure, Box(left, above, WIDTH - left - right, height))
    grid(axes, "x")
    return figure, axes


def grid(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw grid lines behind all else."""
    axes.grid(axis=axis, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def saved(figure: Figure, form: str, **options: Any) -> bytes:
    """Return the figure as ``savefig`` writes it. A name's character that the font lacks is a box,
    and matplotlib's lines about each of them, which name our code, are kept from the terminal."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()


def to_svg(figure: Figure, *, dark: bool = True) -> bytes:
    """Return the figure as SVG, without a date, with rules for dark mode unless not ``dark``."""
    content = saved(figure, "svg", metadata={"Date": None, "Creator": "mlbench"})
    if not dark:
        return content
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark} !important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    dark_mode = f'<style type="text/css">@media (prefers-color-scheme:dark){{{rules}}}</style>'
    head, tag, rest = content.decode().partition("<defs>")
    return f"{head}{dark_mode}{tag}{rest}".encode()


def to_png(figure: Figure, dpi: int) -> bytes:
    """Return the figure as PNG, without the name of the software that drew it."""
    return saved(figure, "png", dpi=dpi, metadata={"Software": None})


def tenth_above(score: float) -> float:
    """Return where an axis of scores ends: the next tenth, from 0.1 to 1."""
    return min(1.0, max(0.1, math.ceil(10 * score) / 10))


def ticks(limit: float) -> list[float]:
    """Return ticks from 0 to ``limit``, in steps that people count in."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if limit / step < 6)
    return [round(step * i, 2) for i in range(int(limit / step + 1.001))]


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend below the axes, at the left."""
    figure.legend(
        handles=handles, loc="lower left", ncols=len(handles), fontsize=8.5, handlelength=1.2
    )


def mark(axes: Axes, x: float, text: str, raised: bool = False) -> None:
    """Draw a dashed vertical line and its name above the axes."""
    axes.axvline(x, color=FAINT, linewidth=1, linestyle=(0, (3, 3)))
    axes.annotate(
        text,
        (x, 1),
        (0, 14 if raised else 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        size=8,
        color=FAINT,
        ha="center",
    )


def shortened(text: str, most: int) -> str:
    """Return a text of ``most`` characters at the most, cut with "…" where it is longer."""
    return text if len(text) <= most else text[: most - 1] + "…"
