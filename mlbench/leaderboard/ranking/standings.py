"""From what was measured of a leaderboard's entries to its standings, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.comparing.rank_intervals import (
    Part,
    added_shares,
    drawn_means,
    rank_intervals,
)
from mlbench.comparing.verdicts import Bools, Ints
from mlbench.leaderboard.entries.layout import Place
from mlbench.leaderboard.entries.reading import BoardEntry, BoardTask
from mlbench.leaderboard.ranking.columns import Column, Measured, main_column, stated
from mlbench.leaderboard.ranking.differing import differing_facts
from mlbench.leaderboard.ranking.measuring import Tables, task_columns, with_tables
from mlbench.leaderboard.ranking.rows import (
    Cell,
    Change,
    Previous,
    Row,
    Standings,
    cost_of,
    in_order,
    why_unranked,
)
from mlbench.measures.significance import MacroMeans, Values, percentiles


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
    at = np.cumsum(ranked) - 1
    cells = []
    for i, value in enumerate(values):
        cell = Cell(value, float(low[i]), float(high[i]))
        if ranked[i]:
            best, worst = int(places.best[at[i]]), int(places.worst[at[i]])
            near = bool(places.near_first[at[i]])
            cell = Cell(cell.value, cell.low, cell.high, best, worst, near)
        cells.append(cell)
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
    return Previous(before, scores, differing_facts(before.entry, entry.entry))


def _change(found: Scored | None, then: int | None, now: int | None) -> Change | None:
    """Return the paired difference of two tables, None where one of them has none."""
    if found is None or now is None or then is None:
        return None
    before, after = found.values[then], found.values[now]
    if before is None or after is None:
        return None
    low, high = percentiles(found.drawn[:, now] - found.drawn[:, then])
    return Change(before, after - before, float(low), float(high))
