"""A badge for a model's README, made from its entry: an SVG that shows the headline scores and how
far the entry can be trusted."""

from __future__ import annotations

import math
import unicodedata
from html import escape

from mlbench.common.errors import DataError, Fault
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.entry import Level
from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.ranking.columns import stated, task_columns
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.table import escape_markdown
from mlbench.reports.words import kind_name, mean_name

HEIGHT, PADDING, FONT_SIZE = 20, 7, 11
FONTS = "DejaVu Sans,Verdana,Geneva,sans-serif"
"""The first one is measured; Verdana has the same widths to a hundredth."""
FINER = 100
"""Widths are measured at so many times the size, where they are not rounded."""
LEFT = "#3a3f44"
COLOURS = {
    Level.REPORTED: "#5b5f66",
    Level.RECOMPUTED: "#1f5f9e",
    Level.SAMPLED: "#0b6b63",
    Level.REPRODUCED: "#1d6b2f",
    Level.DISPUTED: "#9c2424",
}
"""By level; white text on each has a contrast of at least 4.5 to 1."""
SHORT = {"monolingual": "mono", "crosslingual": "cross", "multilingual": "mixed"}
BETWEEN = {"crosslingual": "both ways", "multilingual": "mixed text"}
LEVEL_WORDS = {
    Level.REPORTED: "figures of a publication, not recomputed",
    Level.RECOMPUTED: "scores recomputed from the entry's table",
    Level.SAMPLED: "a sample of its texts was encoded again",
    Level.REPRODUCED: "reproduced by encoding all texts again",
    Level.DISPUTED: "disputed",
}


def badge(each: BoardEntry) -> str:
    """Return an entry's badge as SVG. Raises DataError for one that is withdrawn or that has no
    headline score."""
    left, right = badge_texts(each)
    sides = [width_of(text) + 2 * PADDING for text in (left, right)]
    wide, title = sum(sides), escape(visible(badge_title(each)))
    texts = "".join(
        f'<text x="{start + PADDING:g}" y="14" textLength="{side - 2 * PADDING:g}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(visible(text))}</text>'
        for start, side, text in zip((0, sides[0]), sides, (left, right), strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{HEIGHT}" '
        f'viewBox="0 0 {wide:g} {HEIGHT}" role="img" aria-labelledby="t"><title id="t">{title}'
        f'</title><clipPath id="r"><rect width="{wide:g}" height="{HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{sides[0]:g}" height="{HEIGHT}" fill="{LEFT}"/>'
        f'<rect x="{sides[0]:g}" width="{sides[1]:g}" height="{HEIGHT}" '
        f'fill="{COLOURS[each.level]}"/></g><g fill="#fff" font-family="{FONTS}" '
        f'font-size="{FONT_SIZE}">{texts}</g></svg>\n'
    )


def badge_texts(each: BoardEntry) -> tuple[str, str]:
    """Return what stands on the left and on the right of a badge."""
    between = each.task.roles.between_modalities
    names = SHORT | (BETWEEN if between else {})
    scores = [
        f"{names.get(kind) or kind_name(kind)} {_short(value)}" for kind, _, value in _scores(each)
    ]
    measure = mean_name(_scores(each)[0][1])
    return f"mlbench {_title(each)}", f"{measure} {' '.join(scores)} · {each.level.value}"


def badge_title(each: BoardEntry) -> str:
    """Return what a badge says in words, for those who do not see it."""
    scores = _scores(each)
    said = ", ".join(f"{kind_name(kind)} {value:.4f}" for kind, _, value in scores)
    return (
        f"{each.entry.model.name} on {_title(each)} by mlbench: {mean_name(scores[0][1])} {said}; "
        f"{LEVEL_WORDS[each.level]}"
    )


def badge_markdown(each: BoardEntry, file: str) -> str:
    """Return the line of Markdown that shows a badge."""
    return f"![{escape_markdown(visible(badge_title(each)))}]({file})"


def _scores(each: BoardEntry) -> list[tuple[str, str, float]]:
    """Return kind or direction, measure and value of each headline score that an entry states."""
    where = str(each.path)
    if each.withdrawn is not None:
        raise DataError(Fault(where, "the entry is withdrawn", "an entry that stands"))
    columns = [c for c in task_columns(each.task) if c.key not in ("recall", "distance")]
    scores = [
        (column.kind, column.measure, score.value)
        for column in columns
        if column.measure != RANK_DISTANCE and (score := stated(each.entry, column)) is not None
    ]
    if not scores:
        expected = f"a figure of {next(iter(each.task.headline), 'AP')}"
        raise DataError(Fault(where, "the entry states no headline score", expected))
    return scores


def _title(each: BoardEntry) -> str:
    return each.task.title.split(":", 1)[0].strip() or each.task.name


def _short(value: float) -> str:
    """Return a score in two decimals.

    >>> _short(0.8001), _short(0.999)
    ('.80', '1.00')
    """
    return f"{value:.2f}".removeprefix("0")


def width_of(text: str) -> float:
    """Return how wide a text is in pixels, by the font's own advances, in tenths rounded up; what
    is wide in Chinese, Japanese and Korean, which the font lacks, is as wide as it is high."""
    from matplotlib.font_manager import findfont
    from PIL import ImageFont

    font = ImageFont.truetype(findfont("DejaVu Sans"), FONT_SIZE * FINER)
    wide = [unicodedata.east_asian_width(c) in "WF" for c in visible(text)]
    widths = (
        FONT_SIZE if of_east else font.getlength(c) / FINER
        for c, of_east in zip(visible(text), wide, strict=True)
    )
    return math.ceil(10 * sum(widths)) / 10
