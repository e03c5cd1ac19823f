"""From what was measured of the entries to the standings on each task, and over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlbench.comparing.places import Bools, Ints
from mlbench.comparing.rank_intervals import (
    Part,
    added_shares,
    drawn_means,
    rank_intervals,
)
from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.ranking.columns import (
    SHORT,
    Column,
    Measured,
    Tables,
    main_column,
    stated,
    task_columns,
    with_tables,
)
from mlbench.leaderboard.ranking.rows import (
    OVERALL,
    Cell,
    Change,
    Previous,
    Row,
    Standings,
    Weight,
    cost_of,
    in_order,
    least_trusted,
    most_contaminated,
    why_unranked,
)
from mlbench.measures.significance import MacroMeans, Values, percentiles

ByTask = Mapping[str, Row]
"""The rows of a model, by task."""


@dataclass(frozen=True, eq=False)
class Scored:
    """One column of n tables: values (n,), their draws (draws, n), and the cells made of them."""

    values: Sequence[float | None]
    drawn: Values
    cells: Sequence[Cell]


@dataclass(frozen=True, eq=False)
class _Table:
    """All columns of a task's tables; ``number`` is an entry's place in each column."""

    columns: tuple[Column, ...]
    scored: Mapping[str, Scored]
    number: Mapping[Place, int]
    tables: Tables


def task_standings(task: BoardTask, tables: Tables) -> Standings:
    """Return the standings on one task."""
    columns, current = task_columns(task.task), task.current()
    entries = [entry for entry in with_tables(task) if entry.place in tables]
    standing = {entry.place for entry in current}
    ranked = np.array([e.place in standing and not why_unranked(e) for e in entries], bool)
    of = [tables[entry.place] for entry in entries]
    first = of[0] if of else None
    table = _Table(
        columns,
        {
            column.key: score(
                column,
                [part_of(of, column.key, np.arange(len(first.questions)))],
                [each.value(column.key) for each in of],
                ranked,
            )
            for column in columns
            if first and first.value(column.key) is not None
        },
        {entry.place: i for i, entry in enumerate(entries)},
        tables,
    )
    main = main_column(columns)
    return Standings(
        name=task.task.name,
        task=task.task,
        tasks=(task.task.name,),
        columns=columns,
        main=main,
        rows=in_order([_row(task, entry, table) for entry in current], main),
        questions=len(first.questions) if first else 0,
        withdrawn=tuple(entry for entry in task.entries if entry.withdrawn is not None),
        floor=first.floor if first else None,
        random=first.random if first else None,
    )


def part_of(
    of: Sequence[Measured], key: str, question: Ints, scale: float = 1.0, offset: float = 0.0
) -> Part:
    """Return a column of several tables of one task, to be drawn; see ``Part``."""
    means = MacroMeans.beside([each.means[key] for each in of])
    shares = np.stack([each.shares[key] for each in of])
    return Part(question, means, shares, scale, offset)


def score(
    column: Column, parts: Sequence[Part], values: Sequence[float | None], ranked: Bools
) -> Scored:
    """Give each of n tables its interval, and those ``ranked`` (n,) their places among them."""
    questions = 1 + max(int(part.question.max(initial=-1)) for part in parts)
    shares, drawn = added_shares(parts, questions), drawn_means(parts, questions)
    low, high = percentiles(drawn)
    places = rank_intervals(
        shares[ranked], drawn[:, ranked], lower_is_better=column.lower_is_better
    )
    cells = [
        Cell(value, *ends) for value, *ends in zip(values, low.tolist(), high.tolist(), strict=True)
    ]
    for i, best, worst, near in zip(
        np.flatnonzero(ranked), places.best.tolist(), places.worst.tolist(),
        places.near_first.tolist(), strict=True,
    ):  # fmt: skip
        cells[i] = replace(cells[i], best=best, worst=worst, near_first=near)
    return Scored(values, drawn, cells)


def _row(task: BoardTask, entry: BoardEntry, table: _Table) -> Row:
    at = table.number.get(entry.place)
    cells = {}
    for column in table.columns:
        if at is None:
            said = stated(entry.entry, column)
            cells[column.key] = Cell(said.value if said else None)
        else:
            found = table.scored.get(column.key)
            cells[column.key] = found.cells[at] if found else Cell()
    return Row(
        slug=entry.slug,
        name=entry.entry.model.name,
        unranked=why_unranked(entry),
        level=entry.level,
        contamination=entry.entry.declared.contamination,
        date=entry.entry.declared.date,
        cost=cost_of([entry.entry]),
        cells=cells,
        entries={task.task.name: entry},
        figures={} if at is None else table.tables[entry.place].figures,
        previous=_previous(task, entry, table),
    )


def _previous(task: BoardTask, entry: BoardEntry, table: _Table) -> Previous | None:
    before = task.previous(entry)
    if before is None:
        return None
    scores = {}
    for column in table.columns:
        said = stated(before.entry, column)
        found = table.scored.get(column.key)
        pair = [table.number.get(each.place) for each in (before, entry)]
        scores[column.key] = _change(found, *pair) or Change(said.value if said else None)
    return Previous(before, scores)


def _change(found: Scored | None, then: int | None, now: int | None) -> Change | None:
    """Return the paired difference of two tables, None where one of them has none."""
    if found is None or now is None or then is None:
        return None
    before, after = found.values[then], found.values[now]
    if before is None or after is None:
        return None
    low, high = percentiles(found.drawn[:, now] - found.drawn[:, then])
    return Change(before, after - before, float(low), float(high))


def all_standings(board: Board, tables: Tables) -> list[Standings]:
    """Return the standings over all tasks, if there are several, then those of each task."""
    tasks = [task_standings(task, tables) for _, task in sorted(board.tasks.items())]
    overall = overall_standings(tasks, tables)
    return [overall, *tasks] if overall else tasks


def overall_standings(tasks: Sequence[Standings], tables: Tables) -> Standings | None:
    """Return the standings over several tasks, None for one or where they share no main measure.

    A model's score is the unweighted mean of its macro scores on the tasks; a rank distance is
    first taken as its way from the least possible (0) to that of a random order (1). Questions
    are drawn for all tasks at once, so one that several tasks ask is drawn for all of them. A
    model that lacks a task, or was of another identity on one, has no place.
    """
    every = {column: _weights(tasks, column) for column in tasks[0].columns} if tasks else {}
    shared = {column: found for column, found in every.items() if found}
    if len(tasks) < 2 or not any(column.key in SHORT.values() for column in shared):
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
    rows = [_overall_row(slug, of, cells[slug], unranked[slug]) for slug, of in models.items()]
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


def _overall_row(slug: str, of: ByTask, cells: Mapping[str, Cell], unranked: str) -> Row:
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
