"""The tables of the entries that stand, read and measured; what an entry says has to agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from mlbench.common.errors import Fault, IntegrityError
from mlbench.leaderboard.entries.entry import ENTRY_FILE, RANKS_FILE, EntryKind, LeaderboardTask
from mlbench.leaderboard.entries.layout import Place
from mlbench.leaderboard.entries.reading import Board, BoardEntry, BoardTask
from mlbench.leaderboard.entries.strict_table import read_table
from mlbench.leaderboard.ranking.columns import Column, Measured, columns_of, measure, stated
from mlbench.reports.report import AGREEMENT

Tables = Mapping[Place, Measured]
"""What was measured of each entry that brings its table."""


def task_columns(task: LeaderboardTask) -> tuple[Column, ...]:
    """Return the columns of a task of the leaderboard."""
    return columns_of(task.kinds, task.headline, len(task.languages))


def with_tables(task: BoardTask) -> tuple[BoardEntry, ...]:
    """Return the entries with a table that stand, and those that they took the place of."""
    current = task.current()
    before = [task.previous(entry) for entry in current]
    wanted = [*current, *(entry for entry in before if entry is not None)]
    return tuple(entry for entry in wanted if entry.entry.kind is EntryKind.EVIDENCE)


def measured_entries(
    board: Board, done: Callable[[], None] = lambda: None
) -> dict[Place, Measured]:
    """Measure every table that the standings need; ``done`` is called after each.

    Raises IntegrityError where an entry says otherwise than its table, or where tables of one
    task ask different questions, and what reading a table raises.
    """
    tables = {}
    for task in board.tasks.values():
        first: Measured | None = None
        for entry in with_tables(task):
            found = tables[entry.place] = _measured(entry)
            first = first or found
            if not found.same_questions(first):
                where = str(entry.path / RANKS_FILE)
                raise IntegrityError(Fault(where, "its questions are not those of the task"))
            done()
    return tables


def _measured(entry: BoardEntry) -> Measured:
    columns = task_columns(entry.task)
    digest = entry.entry.ranks_sha256 or ""
    found = measure(read_table(entry.path / RANKS_FILE, entry.task, digest), columns)
    faults = []
    for column in columns:
        said, value = stated(entry.entry, column), found.value(column.key)
        if said is not None and not _equal(said.value, value):
            where = f"{entry.path / ENTRY_FILE}, {column.kind} {column.measure}"
            faults.append(Fault(where, f"{said.value!r}", f"{value!r}, from {RANKS_FILE}"))
    if faults:
        raise IntegrityError(*faults)
    return found


def _equal(said: float, value: float | None) -> bool:
    return value is not None and math.isclose(said, value, rel_tol=AGREEMENT, abs_tol=AGREEMENT)
