"""From what was measured of the entries to the standings on each task, and over a suite of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.common.errors import DataError, Fault
from mlbench.comparing.places import Bools, Ints
from mlbench.comparing.rank_intervals import (
    Part,
    added_shares,
    drawn_means,
)
from mlbench.data.suite import Suite, SuiteTask
from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.ranking.by_setting import heavy_ties, placed, setting_cells
from mlbench.leaderboard.ranking.columns import (
    MEAN,
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
    cost_of,
    in_order,
    least_trusted,
    most_contaminated,
    why_unranked,
)
from mlbench.measures.significance import MacroMeans, Values, mean, percentiles

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
    """All columns of a task's tables; ``number`` is an entry's place in each column and among the
    ``settings``."""

    columns: tuple[Column, ...]
    scored: Mapping[str, Scored]
    number: Mapping[Place, int]
    tables: Tables
    settings: Sequence[tuple[Cell, ...]]


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
        setting_cells(of, ranked),
    )
    main = main_column(columns)
    return Standings(
        name=task.task.name,
        task=task.task,
        tasks=(task.task.name,),
        columns=columns,
        main=main,
        rows=in_order([_row(task, entry, table) for entry in current], main, columns),
        questions=len(first.questions) if first else 0,
        withdrawn=tuple(entry for entry in task.entries if entry.withdrawn is not None),
        entries=task.entries,
    )


def part_of(of: Sequence[Measured], key: str, question: Ints, scale: float = 1.0) -> Part:
    """Return a column of several tables of one task, to be drawn; see ``Part``."""
    means = MacroMeans.beside([each.means[key] for each in of])
    shares = np.stack([each.shares[key] for each in of])
    return Part(question, means, shares, scale)


def score(
    column: Column, parts: Sequence[Part], values: Sequence[float | None], ranked: Bools
) -> Scored:
    """Give each of n tables its interval, and those ``ranked`` (n,) their places among them."""
    questions = 1 + max(int(part.question.max(initial=-1)) for part in parts)
    shares, drawn = added_shares(parts, questions), drawn_means(parts, questions)
    cells = placed(values, shares, drawn, ranked, lower_is_better=column.lower_is_better)
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
        settings=() if at is None else table.settings[at],
        ties={} if at is None else heavy_ties(table.tables[entry.place]),
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


def all_standings(board: Board, tables: Tables, suite: Suite | None = None) -> list[Standings]:
    """Return the standings over a suite, if one is given, then those of each task."""
    tasks = [task_standings(task, tables) for _, task in sorted(board.tasks.items())]
    return [overall_standings(suite, tasks, tables), *tasks] if suite else tasks


def overall_standings(suite: Suite, tasks: Sequence[Standings], tables: Tables) -> Standings:
    """Return the standings over the tasks of a suite.

    A model's score is the unweighted mean of its headlines, which stand beside it as on the tasks'
    own boards. Questions are drawn for all tasks at once, so one that several tasks ask is drawn
    for all of them. A model that lacks a task has no mean, and no place; nor has one that was of
    another identity on a task. Raises DataError where a headline is no column of its task.
    """
    columns = headline_columns(suite, tasks)
    wanted, boards = [column.task for column in columns], {each.name: each for each in tasks}
    headlines = {
        column.task: own.key
        for column in columns
        if column.task in boards and (own := _own_column(boards[column.task], column))
    }
    models: dict[str, dict[str, Row]] = {}
    for name in headlines:
        for row in boards[name].rows:
            models.setdefault(row.slug, {})[name] = row
    unranked = {slug: _why_unranked(of, wanted) for slug, of in models.items()}
    means = {slug: Cell(_mean(of, headlines, wanted)) for slug, of in models.items()}
    ranked = {slug: of for slug, of in models.items() if not unranked[slug]}
    means |= _drawn_means(ranked, headlines, tables)
    rows = []
    for slug, of in models.items():
        cells = {
            column.key: of[column.task].cells[headlines[column.task]]
            if column.task in of
            else Cell()
            for column in columns
        }
        rows.append(_overall_row(of, {MEAN.key: means[slug], **cells}, unranked[slug]))
    return Standings(
        name=OVERALL,
        task=None,
        tasks=tuple(wanted),
        columns=(MEAN, *columns),
        main=MEAN,
        rows=in_order(rows, MEAN),
        questions=len(_questions(list(ranked.values()), tables)),
        suite=suite,
        headlines=headlines,
    )


def headline_columns(suite: Suite, tasks: Sequence[Standings]) -> list[Column]:
    """Return the headline of each task of a suite as a column of the overall board."""
    boards, faults = {each.name: each for each in tasks}, []
    columns = [_headline_column(each) for each in suite.tasks]
    for column in columns:
        board = boards.get(column.task)
        if board is not None and _own_column(board, column) is None:
            found = f"headline {column.kind}:{column.measure}, which the leaderboard does not show"
            expected = ", ".join(
                f"{c.kind}:{c.measure}" for c in board.columns if not c.lower_is_better
            )
            faults.append(Fault(f"suite {suite.name!r}, task {column.task!r}", found, expected))
    if faults:
        raise DataError(*faults)
    return columns


def _headline_column(each: SuiteTask) -> Column:
    name, headline = each.task.name, each.headline
    return Column(f"on-{name}", headline.over, headline.measure, name)


def _own_column(board: Standings, column: Column) -> Column | None:
    """Return the column of a task's board that a headline is."""
    said = column.kind, column.measure
    return next((c for c in board.columns if (c.kind, c.measure) == said), None)


def _why_unranked(of: ByTask, wanted: Sequence[str]) -> str:
    lacking = [name for name in wanted if name not in of]
    if lacking:
        return "incomplete, no entry for " + ", ".join(lacking)
    reasons = list(dict.fromkeys(row.unranked for row in of.values() if row.unranked))
    if reasons:
        return "; ".join(reasons)
    identities = {row.entries[name].entry.model.identity for name, row in of.items()}
    return "not the same model on every task, by its identity" if len(identities) > 1 else ""


def _mean(of: ByTask, headlines: Mapping[str, str], wanted: Sequence[str]) -> float | None:
    """Return the mean of a model's headlines, None where it lacks one."""
    values = [of[name].cells[headlines[name]].value if name in of else None for name in wanted]
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None


def _drawn_means(
    ranked: Mapping[str, ByTask], headlines: Mapping[str, str], tables: Tables
) -> dict[str, Cell]:
    """Return the means of the ranked models with their intervals and places, by slug."""
    if not ranked:
        return {}
    of, parts = list(ranked.values()), []
    questions = _questions(of, tables)
    for name, key in headlines.items():
        measured = [tables[rows[name].entries[name].place] for rows in of]
        place = np.searchsorted(questions, np.array(measured[0].questions))
        parts.append(part_of(measured, key, place, 1 / len(headlines)))
    values = [_mean(rows, headlines, list(headlines)) for rows in of]
    found = score(MEAN, parts, values, np.ones(len(of), bool))
    return dict(zip(ranked, found.cells, strict=True))


def _questions(
    ranked: Sequence[ByTask], tables: Tables
) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Return the ids of the questions of all tasks, sorted."""
    of = ranked[0] if ranked else {}
    asked = {q for name, row in of.items() for q in tables[row.entries[name].place].questions}
    return np.array(sorted(asked), np.str_)


def _overall_row(of: ByTask, cells: Mapping[str, Cell], unranked: str) -> Row:
    first, entries = next(iter(of.values())), [row.entries[name] for name, row in of.items()]
    return Row(
        slug=first.slug,
        name=first.name,
        unranked=unranked,
        level=least_trusted(entries),
        contamination=most_contaminated(entries),
        date=max(entry.entry.declared.date for entry in entries),
        cost=cost_of([entry.entry for entry in entries]),
        cells=cells,
        entries={name: row.entries[name] for name, row in of.items()},
    )
