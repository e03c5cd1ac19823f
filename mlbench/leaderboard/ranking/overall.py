"""The standings over all tasks: the mean of a model's macro scores, paired like any other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mlbench.leaderboard.entries.reading import Board
from mlbench.leaderboard.ranking.columns import Column, main_column
from mlbench.leaderboard.ranking.measuring import Tables
from mlbench.leaderboard.ranking.rows import (
    OVERALL,
    Cell,
    Row,
    Standings,
    Weight,
    cost_of,
    in_order,
    least_trusted,
    most_contaminated,
)
from mlbench.leaderboard.ranking.standings import part_of, score, task_standings

ByTask = Mapping[str, Row]
"""The rows of a model, by task."""


def all_standings(board: Board, tables: Tables) -> list[Standings]:
    """Return the standings over all tasks, if there are several, then those of each task."""
    tasks = [task_standings(task, tables) for _, task in sorted(board.tasks.items())]
    overall = overall_standings(tasks, tables)
    return [overall, *tasks] if overall else tasks


def overall_standings(tasks: Sequence[Standings], tables: Tables) -> Standings | None:
    """Return the standings over several tasks, None for one task or where they share no column.

    A model's score is the unweighted mean of its macro scores on the tasks; a rank distance is
    first taken as its way from the least possible (0) to that of a random order (1). Questions
    are drawn for all tasks at once, so one that several tasks ask is drawn for all of them. A
    model that lacks a task, or was of another identity on one, has no place.
    """
    every = {column: _weights(tasks, column) for column in tasks[0].columns} if tasks else {}
    shared = {column: found for column, found in every.items() if found}
    if len(tasks) < 2 or not shared:
        return None
    models: dict[str, dict[str, Row]] = {}
    for task in tasks:
        for row in task.rows:
            models.setdefault(row.slug, {})[task.name] = row
    unranked = {slug: _why_unranked(of, tasks) for slug, of in models.items()}
    ranked = [of for slug, of in models.items() if not unranked[slug]]
    drawn = _drawn_cells(ranked, shared, tables)
    cells = {
        slug: {c.key: _mean_cell(of, weights, c) for c, weights in shared.items()}
        | drawn.get(slug, {})
        for slug, of in models.items()
    }
    main = main_column(list(shared))
    rows = [_row(slug, of, cells[slug], unranked[slug]) for slug, of in models.items()]
    return Standings(
        name=OVERALL,
        task=None,
        tasks=tuple(task.name for task in tasks),
        columns=tuple(shared),
        main=main,
        rows=in_order(rows, main),
        questions=len(_questions(ranked, tables)),
        weights={
            task.name: {column.key: of[task.name] for column, of in shared.items()}
            for task in tasks
        },
    )


def _weights(tasks: Sequence[Standings], column: Column) -> dict[str, Weight] | None:
    """Return how much each task counts, None where one has no such column."""
    found = {}
    for task in tasks:
        if column not in task.columns:
            return None
        scale, offset = 1.0, 0.0
        if column.lower_is_better:
            if task.floor is None or task.random is None or task.random <= task.floor:
                return None
            scale = 1 / (task.random - task.floor)
            offset = -task.floor * scale
        found[task.name] = Weight(scale / len(tasks), offset / len(tasks))
    return found


def _why_unranked(of: ByTask, tasks: Sequence[Standings]) -> str:
    lacking = [task.name for task in tasks if task.name not in of]
    if lacking:
        return "no entry for " + ", ".join(lacking)
    reasons = list(dict.fromkeys(row.unranked for row in of.values() if row.unranked))
    if reasons:
        return "; ".join(reasons)
    identities = {row.entries[name].entry.model.identity for name, row in of.items()}
    return "not the same model on every task, by its identity" if len(identities) > 1 else ""


def _mean_cell(of: ByTask, weights: Mapping[str, Weight], column: Column) -> Cell:
    """Return the mean over the tasks, without a value where one lacks it."""
    parts = []
    for name, weight in weights.items():
        value = of[name].cells[column.key].value if name in of else None
        if value is None:
            return Cell()
        parts.append(weight.scale * value + weight.offset)
    return Cell(math.fsum(parts))


def _drawn_cells(
    ranked: Sequence[ByTask], shared: Mapping[Column, Mapping[str, Weight]], tables: Tables
) -> dict[str, dict[str, Cell]]:
    """Return slug -> column -> cell, with intervals and places, of the ranked models."""
    questions = _questions(ranked, tables)
    cells: dict[str, dict[str, Cell]] = {}
    for column, weights in shared.items() if ranked else ():
        parts = []
        for name, weight in weights.items():
            measured = [tables[of[name].entries[name].place] for of in ranked]
            place = np.searchsorted(questions, np.array(measured[0].questions))
            parts.append(part_of(measured, column.key, place, weight.scale, weight.offset))
        values = [_mean_cell(of, weights, column).value for of in ranked]
        found = score(column, parts, values, np.ones(len(ranked), bool))
        for of, cell in zip(ranked, found.cells, strict=True):
            cells.setdefault(next(iter(of.values())).slug, {})[column.key] = cell
    return cells


def _questions(
    ranked: Sequence[ByTask], tables: Tables
) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Return the ids of the questions of all tasks, sorted."""
    of = ranked[0] if ranked else {}
    asked = {q for name, row in of.items() for q in tables[row.entries[name].place].questions}
    return np.array(sorted(asked), np.str_)


def _row(slug: str, of: ByTask, cells: Mapping[str, Cell], unranked: str) -> Row:
    entries = [row.entries[name] for name, row in of.items()]
    return Row(
        slug=slug,
        name=next(iter(of.values())).name,
        unranked=unranked,
        level=least_trusted(entries),
        contamination=most_contaminated(entries),
        date=max(entry.entry.declared.date for entry in entries),
        cost=cost_of([entry.entry for entry in entries]),
        cells=cells,
        entries={name: row.entries[name] for name, row in of.items()},
    )
