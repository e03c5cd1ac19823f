"""How the standings are put in words and numbers, on the page and in the files beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlbench.common.counts import agreeing, plural
from mlbench.common.sizes import short_number
from mlbench.leaderboard.entries.entry import Contamination, Entry, Level
from mlbench.leaderboard.ranking.columns import MEAN, SHORT, Column, stated
from mlbench.leaderboard.ranking.rows import Cell, Cost, Row, Standings
from mlbench.reports.reading import HEAVY_TIES
from mlbench.reports.words import MISSING, between, kind_name, mean_name, number

LEVELS = {
    Level.REPORTED: "These figures are copied from a publication. There is no table of ranks, "
    "so nothing could be recomputed, and the entry has no intervals and no rank.",
    Level.RECOMPUTED: "Every score was recomputed from the entry's table of ranks. Whether the "
    "model made this table was not checked.",
    Level.SAMPLED: "The scores were recomputed, and a maintainer encoded a sample of the texts "
    "again. Their ranks agree with the table.",
    Level.REPRODUCED: "The scores were recomputed, and a maintainer repeated the whole "
    "evaluation. Its result agrees.",
    Level.DISPUTED: "A maintainer found a reason to doubt the entry. It is shown without a rank.",
}
CONTAMINATIONS = {
    Contamination.CLEAN: "The submitter declares that the model has seen nothing of the task.",
    Contamination.TRAIN_SPLIT_ONLY: "The model was trained on the training split of the source "
    "data, but not on the data that is evaluated.",
    Contamination.TRAINED_ON: "The model was trained on the task's own data, so its scores do not "
    "show how it does on unseen text.",
    Contamination.UNKNOWN: "The submitter declared nothing. This does not mean that it is clean.",
}
DASH = "–"
NAMED_AT_MOST = 4


@dataclass(frozen=True)
class Fact:
    """A line of what is known of an entry; ``link`` is an https address, or ""."""

    label: str
    text: str
    link: str = ""


def column_title(column: Column) -> str:
    """Return a column's name in text, such as "multilingual mAP"."""
    if column == MEAN:
        return "the mean of the headlines"
    if column.lower_is_better:
        return "rank distance"
    named = f"{kind_name(column.kind)} {mean_name(column.measure)}"
    return f"{named} on {column.task}" if column.task else named


def column_head(column: Column) -> str:
    """Return a column's name in two short lines."""
    if column == MEAN:
        return "mean of\nheadlines"
    if column.lower_is_better:
        return "rank\ndistance"
    measure, where = mean_name(column.measure), SHORT.get(column.kind, kind_name(column.kind))
    return f"{column.task}\n{measure} {where}" if column.task else f"{measure}\n{where}"


def score_text(value: float | None, column: Column) -> str:
    """Return a score as it is shown, "-" where it is missing."""
    return number(value, 1, commas=True) if column.lower_is_better else number(value)


def interval_text(cell: Cell, column: Column) -> str | None:
    """Return the ends of a score's interval in words, None where it has none."""
    if cell.low is None or cell.high is None:
        return None
    return between(score_text(cell.low, column), score_text(cell.high, column))


def difference_text(value: float | None, column: Column) -> str:
    """Return the difference of two scores with its sign."""
    if value is None:
        return MISSING
    digits = 1 if column.lower_is_better else 4
    return f"{round(value, digits) + 0.0:+,.{digits}f}"


def rank_text(cell: Cell) -> str:
    """Return a rank interval: "3", or "2–4" where places are shared; "-" for no place."""
    if cell.best is None or cell.worst is None:
        return MISSING
    return str(cell.best) if cell.best == cell.worst else f"{cell.best}{DASH}{cell.worst}"


def ties_text(row: Row, standings: Standings) -> str:
    """Name the columns that ties decide in an entry of the model, "" if none."""
    decided = (
        column
        for column in standings.columns
        for task, of in row.entries.items()
        if column.task in ("", task) and _decided_by_ties(of.entry, column)
    )
    return ", ".join(column_head(column).replace("\n", " ") for column in decided)


def _decided_by_ties(entry: Entry, column: Column) -> bool:
    found = stated(entry, column)
    if found is None:
        return False
    scale = entry.bias.random if column.lower_is_better else 1.0
    return abs(found.optimistic - found.value) >= HEAVY_TIES * (scale or math.inf)


def cost_texts(cost: Cost) -> tuple[str, str, str]:
    """Return parameters, dimension and texts encoded a second."""
    return (
        MISSING if cost.parameters is None else short_number(cost.parameters),
        MISSING if cost.dimension is None else f"{cost.dimension:,}",
        MISSING if cost.speed is None else f"{cost.speed:,.{0 if cost.speed >= 10 else 1}f}",
    )


def summary(standings: Standings) -> list[tuple[str, bool]]:
    """Return what the standings say in a sentence or two: pieces of text, true for a name."""
    best = best_rows(standings)
    if best:
        pieces = _of_first(best, standings)
        if above := standings.rows.index(best[0]):
            verb, it = agreeing(above, "is", "are"), agreeing(len(best), "it", "them")
            pieces.append((f". {plural(above, 'model')} without a rank {verb} above {it}", False))
    else:
        count = len(standings.rows)
        said = agreeing(count, "There is 1 model, which has no rank", "There are no models")
        if count > 1:
            said = f"There are {plural(count, 'model')}, none of them ranked"
        pieces = [(said, False)]
    return [*pieces, (".", False), *_of_last(standings)]


def best_rows(standings: Standings) -> list[Row]:
    """Return the ranked model of the best main score, or all whose score looks the same."""
    valued = _valued(standings)
    return [row for row in valued if _main(row, standings) == _main(valued[0], standings)]


def _valued(standings: Standings) -> list[Row]:
    return [row for row in standings.rows if not row.unranked and _main(row, standings)]


def _of_first(best: Sequence[Row], standings: Standings) -> list[tuple[str, bool]]:
    """Say which of the ranked models has the best score, or which share it."""
    value, title = _main(best[0], standings), column_title(standings.main)
    others = _valued(standings)[len(best) :]
    count = plural(standings.ranked, "ranked model")
    said = f" is first of {count} with {value}"
    if len(best) > 1:
        said = f" share the best score of {count}, {value}"
    pieces = [(f"By {title}, ", False), *_names(best), (said, False)]
    if near := [row for row in others if row.cells[standings.main.key].near_first]:
        it = agreeing(len(best), "it", "them")
        pieces += [(f"; the data cannot distinguish {it} from ", False), *_names(near)]
    elif others:
        pieces.append((", and all others are shown to be worse", False))
    return pieces


def _main(row: Row, standings: Standings) -> str:
    """Return a model's main score as it is shown, "" where it has none."""
    value = row.cells[standings.main.key].value
    return "" if value is None else score_text(value, standings.main)


def _of_last(standings: Standings) -> list[tuple[str, bool]]:
    """Say why models of a task are last that have other scores than the main one."""
    rows = [row for row in standings.rows if lacking_text(row, standings)]
    if not rows:
        return []
    several, last = len(rows) > 1, len(rows) < len(standings.rows)
    said = f" {plural(len(rows), 'model')} {'have' if several else 'has'} no "
    said += f"{column_title(standings.main)} but other scores"
    if last:
        said += f", so {'they stand' if several else 'it stands'} below the others"
    if several:
        said += f", {'' if last else 'and they are '}sorted by {_sorted_by(rows, standings)}"
    return [(f"{said}.", False)]


def _sorted_by(rows: Sequence[Row], standings: Standings) -> str:
    """Name the first column that the first of these rows has, if all have it."""
    by = next(c for c in standings.columns if rows[0].cells[c.key].value is not None)
    if all(row.cells[by.key].value is not None for row in rows):
        return column_title(by)
    return "the first column in which they have a score"


def lacking_text(row: Row, standings: Standings) -> str:
    """Say that a model of a task has no main score but others, such as figures by direction; ""
    where it has it, or nothing."""
    if standings.task is None or _main(row, standings):
        return ""
    if all(row.cells[column.key].value is None for column in standings.columns):
        return ""
    return f"no {column_title(standings.main)}"


def _names(rows: Sequence[Row]) -> list[tuple[str, bool]]:
    shown = rows if len(rows) <= NAMED_AT_MOST else rows[: NAMED_AT_MOST - 1]
    pieces: list[tuple[str, bool]] = []
    for i, row in enumerate(shown):
        last = i == len(shown) - 1 and len(shown) == len(rows)
        pieces += [((" and " if last else ", ") if i else "", False), (row.name, True)]
    if len(shown) < len(rows):
        pieces.append((f" and {plural(len(rows) - len(shown), 'other')}", False))
    return [piece for piece in pieces if piece[0]]
