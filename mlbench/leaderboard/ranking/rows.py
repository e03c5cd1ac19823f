"""What stands in a row of the leaderboard: a model on one task, or over those of a suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlbench.data.suite import Suite
from mlbench.data.task import Roles
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.entry import (
    Contamination,
    Entry,
    EntryKind,
    LeaderboardTask,
    Level,
)
from mlbench.measures.significance import Values

if TYPE_CHECKING:
    from mlbench.leaderboard.ranking.columns import Column

OVERALL = "Overall"
"""The name of the standings over a suite; those of tasks begin with a small letter or a digit."""
LEAST_SECONDS = 0.001
"""Reports give seconds to three decimals; less is no time that anything could take."""
WORST_FIRST = (
    Contamination.TRAINED_ON,
    Contamination.UNKNOWN,
    Contamination.TRAIN_SPLIT_ONLY,
    Contamination.CLEAN,
)


@dataclass(frozen=True)
class Cell:
    """A score, its 95% interval, and the places that its model can have among the ranked ones.

    ``near_first`` is true of those that cannot be told from the one with the best value. What
    is not known is None: a reported score has no interval, what is not ranked no place.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    best: int | None = None
    worst: int | None = None
    near_first: bool = False

    @property
    def shares_first(self) -> bool:
        """Whether it is not first alone, and cannot be told from the best."""
        return self.near_first and self.worst != 1


@dataclass(frozen=True)
class Change:
    """A score of the model's previous entry, and this one's minus it with its 95% interval."""

    before: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Previous:
    """The entry that this one took the place of, and how scores changed by column."""

    entry: BoardEntry
    scores: Mapping[str, Change]


@dataclass(frozen=True)
class Cost:
    """What a model costs. ``speed`` is texts encoded a second, ``seconds`` the time of that, and
    ``bytes`` are those of a passage's vectors, the mean over the tasks."""

    parameters: int | None = None
    dimension: int | None = None
    bytes: float | None = None
    speed: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """A model. ``unranked`` says why it has no place, "" if it has one.

    ``entries`` maps a task to the model's entry; ``figures`` a column to the means by language.
    ``settings`` has the main score of each of ``task_settings`` with its interval and places,
    nothing where these were not drawn; ``ties`` what it is with ties counted for the model, by its
    number there, where that is ``HEAVY_TIES`` or more above it.
    """

    slug: str
    name: str
    unranked: str
    level: Level
    contamination: Contamination
    date: str
    cost: Cost
    cells: Mapping[str, Cell]
    entries: Mapping[str, BoardEntry]
    figures: Mapping[str, Values] = field(default_factory=dict)
    previous: Previous | None = None
    settings: tuple[Cell, ...] = ()
    ties: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Standings:
    """The models on one ``task``, or over those of a ``suite``, in the order of the main column.

    ``tasks`` are their names; ``headlines`` say which column of a task is its headline in the
    suite, of those that the leaderboard has. ``entries`` are all of a task, those that others took
    the place of and those withdrawn too, by slug, then date.
    """

    name: str
    task: LeaderboardTask | None
    tasks: tuple[str, ...]
    columns: tuple[Column, ...]
    main: Column
    rows: tuple[Row, ...]
    questions: int
    withdrawn: tuple[BoardEntry, ...] = ()
    suite: Suite | None = None
    headlines: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[BoardEntry, ...] = ()

    @property
    def title(self) -> str:
        """What the models are ranked on, in words."""
        titled = self.task or self.suite
        return titled.title if titled else ""

    @property
    def roles(self) -> Roles:
        """The languages of the task's queries and passages, none over a suite."""
        return self.task.roles if self.task else Roles((), ())

    @property
    def ranked(self) -> int:
        """How many models have a place."""
        return sum(not row.unranked for row in self.rows)


def why_unranked(entry: BoardEntry) -> str:
    """Say why an entry has no place on its task, "" if it has one."""
    if entry.level is Level.DISPUTED:
        return "disputed"
    return "reported, not recomputed" if entry.entry.kind is EntryKind.REPORTED else ""


def cost_of(entries: Sequence[Entry]) -> Cost:
    """Return what a model costs by its entries, one a task; speed and time over all of them.

    Where entries differ in parameters or dimension, such as in words that bm25 counts, it has none.
    Texts from the cache of embeddings cost nothing and are left out; where they are half of the
    texts or more, speed and time are unknown.
    """
    parameters = _agreed(entry.model.parameters for entry in entries)
    dimension = _agreed(entry.model.dimension for entry in entries)
    sizes = [entry.model.sizes["passage"].bytes for entry in entries if entry.model.sizes]
    taken = round(sum(sizes) / len(sizes), 2) if len(sizes) == len(entries) else None
    known = Cost(parameters, dimension, taken)
    runs = [entry.run for entry in entries]
    encoded = seconds = 0.0
    for run in runs:
        if run is None or run.seconds.get("encoding", 0.0) < LEAST_SECONDS or not run.encoded:
            return known
        distinct = sum(role.distinct for role in run.encoded.values())
        fresh = distinct - sum(role.cached for role in run.encoded.values())
        if 2 * fresh <= distinct:
            return known
        encoded += fresh
        seconds += run.seconds["encoding"]
    return replace(known, speed=encoded / seconds, seconds=seconds)


def _agreed(counts: Iterable[int | None]) -> int | None:
    known = set(filter(None, counts))
    return known.pop() if len(known) == 1 else None


def least_trusted(entries: Sequence[BoardEntry]) -> Level:
    """Return the level that all of a model's entries have; disputed if one is."""
    levels = [entry.level for entry in entries]
    if Level.DISPUTED in levels:
        return Level.DISPUTED
    return min(levels, key=list(Level).index)


def most_contaminated(entries: Sequence[BoardEntry]) -> Contamination:
    """Return the worst of what is declared; one unknown is enough not to be clean."""
    return min((each.entry.declared.contamination for each in entries), key=WORST_FIRST.index)


def in_order(rows: Sequence[Row], column: Column, others: Sequence[Column] = ()) -> tuple[Row, ...]:
    """Return rows sorted by a column, best first; then by name.

    Those without a value there are last, sorted by the first of the ``others`` that one of them
    has, those without that by the next.
    """

    def place(row: Row) -> tuple[list[tuple[bool, float]], str, str]:
        known = row.cells[column.key].value is not None
        by = [column] if known else [column, *others]
        return [_order(row, each) for each in by], row.name, row.slug

    return tuple(sorted(rows, key=place))


def _order(row: Row, column: Column) -> tuple[bool, float]:
    """Return what sorts a row by a column: whether its value is missing, and less for a better."""
    value = row.cells[column.key].value
    if value is None:
        return True, 0.0
    return False, value if column.lower_is_better else -value
