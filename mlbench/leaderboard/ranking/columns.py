"""The columns that models are ranked by, and what the tables of the entries say in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlbench.common.errors import Fault, IntegrityError
from mlbench.comparing.quantities import Quantity, SettingTable
from mlbench.data.task import FROM_IMAGE, INTO_IMAGE, Kind, Roles, Setting
from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.entries.entry import (
    ENTRY_FILE,
    RANKS_FILE,
    Entry,
    EntryKind,
    LeaderboardTask,
)
from mlbench.leaderboard.entries.tables import read_table
from mlbench.measures.randomisation import contributions
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.measures.significance import (
    MacroMeans,
    Sample,
    Score,
    Values,
    mean,
    question_clusters,
    question_names,
)
from mlbench.ranking.ranks import Ranks
from mlbench.reports.values import AGREEMENT

MONO, CROSS, MULTI = (kind.value for kind in Kind)
SHORT = {MONO: "mono", CROSS: "cross", MULTI: "multi"}
OF_IMAGES = {INTO_IMAGE: "to_image", FROM_IMAGE: "to_text"}
RECALL = "R@10"
MOST_RANKED = 10_000
"""Scores by setting that have intervals: drawing so many takes half a minute with
1,000 questions, and minutes with tens of thousands."""


@dataclass(frozen=True)
class Column:
    """A macro mean that models are ranked by; ``key`` names it within a board. ``kind`` is a kind
    of setting or, of pairs, a direction; ``task`` the one that the overall board takes it from."""

    key: str
    kind: str
    measure: str
    task: str = ""

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is better, which holds for rank distance alone."""
        return self.measure == RANK_DISTANCE

    @property
    def by_pair(self) -> bool:
        """Whether it is a mean over pairs of query and passage language."""
        return self.kind not in (MONO, MULTI)


MEAN = Column("mean", "", "")
"""The mean of a suite's headlines, which the overall board ranks by."""


def columns_of(kinds: Sequence[str], measures: Sequence[str], roles: Roles) -> tuple[Column, ...]:
    """Return a task's columns: its main measure by kind of setting and, of pairs, by direction,
    recall, rank distance. Where texts and images search each other, the directions take the place
    of the mean over both.

    The main measure is the first of the task's ``measures``. Recall is R@10, or the first recall
    among them, in the mixed pool if there is one. Kinds of which the languages make no setting
    have no column; without a mixed pool there is no rank distance.
    """
    kinds = [kind.value for kind in roles.kinds(kinds)]
    directions = roles.directions if CROSS in kinds else ()
    if directions and roles.between_modalities:
        kinds.remove(CROSS)
    main = next(iter(measures), "AP")
    columns = [Column(SHORT[kind], kind, main) for kind in SHORT if kind in kinds]
    columns += [
        Column(OF_IMAGES.get(name) or name.partition("-")[0], name, main) for name in directions
    ]
    recalls = [m for m in measures if m.startswith("R@") and m != main]
    where = next((each for each in (MULTI, MONO, CROSS) if each in kinds), None)
    where = where or next(iter(reversed(directions)), None)
    if recalls and where:
        columns.append(Column("recall", where, RECALL if RECALL in recalls else recalls[0]))
    if MULTI in kinds:
        columns.append(Column("distance", MULTI, RANK_DISTANCE))
    return tuple(columns)


def main_column(columns: Sequence[Column]) -> Column:
    """Return the column that a task is sorted by at first: the hardest setting's main measure."""
    by_key = {column.key: column for column in columns}
    return next(by_key[key] for key in ("multi", "cross", "mono", *by_key) if key in by_key)


def stated(entry: Entry, column: Column) -> Score | None:
    """Return what an entry itself says of a column, None where it says nothing."""
    if column.measure == RANK_DISTANCE:
        return entry.bias.rank_distance
    return entry.figures.get(column.kind, {}).get(column.measure)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a table says in each column, by the column's key.

    ``figures`` has the mean of each query language, float64 (Q,), of a cross-lingual column that
    of each pair of query and passage language (Q, P); NaN where there is no query. ``means`` is
    the macro mean ready to be drawn, ``shares`` (questions,) what each question adds to it.
    ``settings`` are the main scores of each query in each of the settings that were asked for, None
    where it has no query; ``optimistic`` has their means with ties counted for the model, None
    where ties leave nothing open.
    """

    questions: tuple[str, ...]
    figures: Mapping[str, Values]
    means: Mapping[str, MacroMeans]
    shares: Mapping[str, Values]
    settings: tuple[Sample | None, ...] = ()
    optimistic: tuple[float | None, ...] | None = None

    def same_questions(self, other: Measured) -> bool:
        """Whether two tables ask the same, so that they can be compared."""
        return self.questions == other.questions and all(
            of.ask_the_same(other.means[key]) for key, of in self.means.items()
        )

    def value(self, key: str) -> float | None:
        """Return the macro score of a column, None where no setting has a query."""
        return present_mean(self.figures[key])


def present_mean(figures: Values) -> float | None:
    """Return the mean over the query languages, or pairs of languages, that have a query."""
    present = figures[~np.isnan(figures)]
    return mean(present) if len(present) else None


def language_means(figures: Values) -> list[float | None]:
    """Return the mean of each query language, across languages over the passage languages."""
    return [present_mean(of) for of in figures.reshape(len(figures), -1)]


def measure(ranks: Ranks, columns: Sequence[Column], settings: Sequence[Setting] = ()) -> Measured:
    """Take every column of a table of ranks, and the main score in each of ``settings``."""
    clusters = question_clusters(ranks)
    kinds = list(
        dict.fromkeys(column.kind if column.kind in SHORT else CROSS for column in columns)
    )
    table = SettingTable(ranks, kinds, clusters)
    taken = {name: table.quantities(name) for name in {c.measure: None for c in columns}}
    figures, means, shares = {}, {}, {}
    for column in columns:
        samples = taken[column.measure]
        figures[column.key] = _figures(samples, column, ranks.roles)
        whole = samples.get(Quantity(column.kind, column.measure), [])
        means[column.key] = MacroMeans.of([whole], clusters.count)
        shares[column.key] = contributions([whole], clusters.count)[:, 0]
    questions = tuple(np.unique(question_names(ranks)).tolist())
    main = main_column(columns).measure
    each_setting = tuple(_of_setting(taken[main], setting, main) for setting in settings)
    optimistic = None
    if settings and ranks.ambiguous:
        at_best = table.quantities(main, optimistic=True)
        found = (_of_setting(at_best, setting, main) for setting in settings)
        optimistic = tuple(mean(each.values) if each else None for each in found)
    return Measured(questions, figures, means, shares, each_setting, optimistic)


def _of_setting(
    samples: Mapping[Quantity, Sequence[Sample]], setting: Setting, measure: str
) -> Sample | None:
    """Return what each query scores in a setting, None where it has none."""
    several = setting.kind is Kind.MULTILINGUAL
    passage = None if several else setting.passage_languages[0]
    found = samples.get(Quantity(setting.kind.value, measure, setting.query_language, passage))
    return found[0] if found else None


def _figures(samples: Mapping[Quantity, Sequence[Sample]], column: Column, roles: Roles) -> Values:
    kind = column.kind if column.kind in SHORT else CROSS

    def of(query: str, passage: str | None = None) -> float:
        found = samples.get(Quantity(kind, column.measure, query, passage))
        if found and passage is not None and kind != column.kind:
            direction = roles.direction(Setting(Kind.CROSSLINGUAL, query, (passage,)))
            found = found if direction == column.kind else None
        return mean(found[0].values) if found else math.nan

    if column.by_pair:
        return np.array([[of(q, p) for p in roles.passages] for q in roles.queries])
    return np.array([of(query) for query in roles.queries])


Tables = Mapping[Place, Measured]
"""What was measured of each entry that brings its table."""


def task_columns(task: LeaderboardTask) -> tuple[Column, ...]:
    """Return the columns of a task of the leaderboard."""
    return columns_of(task.kinds, task.headline, task.roles)


def task_settings(task: LeaderboardTask) -> list[Setting]:
    """Return the settings of a task, by query language, its own and the mixed pool first."""
    roles, order = task.roles, (Kind.MULTILINGUAL, Kind.MONOLINGUAL, Kind.CROSSLINGUAL)
    found = roles.settings([kind for kind in order if kind.value in task.kinds])
    return sorted(found, key=lambda setting: roles.queries.index(setting.query_language))


def ranked_settings(task: BoardTask) -> list[Setting]:
    """Return the settings that models are ranked in with intervals: all of them, or none where
    there are more than ``MOST_RANKED`` scores in all."""
    settings = task_settings(task.task)
    return settings if len(settings) * len(with_tables(task)) <= MOST_RANKED else []


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
        settings = ranked_settings(task)
        for entry in with_tables(task):
            found = tables[entry.place] = _measured(entry, settings)
            first = first or found
            if not found.same_questions(first):
                where = str(entry.path / RANKS_FILE)
                raise IntegrityError(Fault(where, "its questions are not those of the task"))
            done()
    return tables


def _measured(entry: BoardEntry, settings: Sequence[Setting]) -> Measured:
    columns = task_columns(entry.task)
    digest = entry.entry.ranks_sha256 or ""
    found = measure(read_table(entry.path / RANKS_FILE, entry.task, digest), columns, settings)
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
