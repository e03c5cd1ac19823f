"""Leaderboards in memory: two tasks, and entries of every kind."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.files import slug
from mlbench.data.suite import Figure, Suite, SuiteTask
from mlbench.evaluation.tasks import load_task
from mlbench.leaderboard.checking.submit import entry_of
from mlbench.leaderboard.entries.board import Board, BoardEntry, BoardTask, Place
from mlbench.leaderboard.entries.entry import (
    BiasSummary,
    Contamination,
    Declared,
    Entry,
    EntryKind,
    LeaderboardTask,
    Level,
    Record,
    Source,
    Withdrawal,
)
from mlbench.leaderboard.entries.tables import described, task_key
from mlbench.leaderboard.page.packing import LETTERS, MISSING, UNIT
from mlbench.leaderboard.ranking.columns import (
    Measured,
    measure,
    present_mean,
    task_columns,
    task_settings,
)
from mlbench.leaderboard.ranking.rows import Standings
from mlbench.leaderboard.ranking.standings import all_standings
from mlbench.measures.significance import Score, Values
from mlbench.ranking.ranks import Ranks
from mlbench.reports.provenance import ModelInfo
from mlbench.reports.report import Report
from tests.support.reports import collection_of, languages, report_of, vectors

DAY = datetime.date(2025, 6, 1)
HOSTILE = (
    "</script><script>hacked=1</script>\"'|`x` <img src=x onerror=hacked=1> \u202emoc &amp; =1+1"
)
TASKS = {"apart": (4, 20, True), "parallel": (3, 30, False)}
"""Name -> languages, questions, and whether each is answered in two languages only."""


@cache
def run_of(task: str, noise: float, seed: int) -> tuple[Report, Ranks]:
    """A report of a model on one of the tasks."""
    count, questions, apart = TASKS[task]
    collection = collection_of(languages(count), questions, apart)
    report, ranks = report_of(collection, vectors(collection, noise, seed=seed))
    return replace(report, task=replace(report.task, name=task, title=f"The task {task}")), ranks


@cache
def task_of(task: str) -> LeaderboardTask:
    """The task as the leaderboard keeps it."""
    return described(*run_of(task, 1.0, 1))


@dataclass(frozen=True)
class Made:
    """An entry and what was measured of its table."""

    entry: BoardEntry
    measured: Measured | None


def evidence(
    task: str,
    name: str,
    noise: float,
    *,
    seed: int = 1,
    run: str = "",
    contamination: Contamination = Contamination.CLEAN,
    records: Sequence[Level] = (),
    **changes: Any,
) -> Made:
    """An entry that brings its table; ``changes`` are of its model."""
    report, ranks = run_of(task, noise, seed)
    model = replace(report.model, name=name, identity=f"weights of {name}", **changes)
    declared = Declared(
        "Ada",
        DAY.isoformat(),
        licence="MIT",
        link="https://example.org/model",
        training_data=("books",),
        training_languages=("ar", "de"),
        contamination=contamination,
        note="a note",
        report_sha256="1" * 64,
    )
    entry = entry_of(replace(report, model=model), "0" * 64, declared)
    made = placed(task, entry, run, records)
    return Made(made, measure(ranks, task_columns(task_of(task)), task_settings(task_of(task))))


def reported(task: str, name: str, **scores: float) -> Made:
    """An entry with figures of a paper, by kind of setting."""
    distance = scores.pop("distance", None)
    source = Source("Somebody, Some Title, 2020", "https://example.org/paper")
    entry = Entry(
        ranks_sha256=None,
        task=task_key(task_of(task), ""),
        model=ModelInfo(name),
        measures=("AP",),
        macro={kind: {"AP": Score(value)} for kind, value in scores.items()},
        bias=BiasSummary(Score(distance) if distance else None),
        run=None,
        truncated=None,
        declared=Declared("Bob", DAY.isoformat(), EntryKind.REPORTED, source=source),
    )
    return Made(placed(task, entry, "", ()), None)


def placed(task: str, entry: Entry, run: str, records: Sequence[Level]) -> BoardEntry:
    """The entry in its folder, with records of a maintainer."""
    date = run[:10] or entry.declared.date
    sha256 = hashlib.sha256(repr(entry).encode()).hexdigest()
    where = Place(task, slug(entry.model.name), run)
    found = tuple(
        Record(level, task, where.slug, sha256, "Maintainer", date, note="looked at it")
        for level in records
    )
    dated = replace(entry, declared=replace(entry.declared, date=date))
    return BoardEntry(dated, where, Path("nowhere"), sha256, task_of(task), found)


def withdrawn(made: Made, reason: str) -> Made:
    """The same, taken back."""
    record = Withdrawal(made.entry.sha256, reason, "Ada", "2025-06-20")
    return replace(made, entry=replace(made.entry, withdrawn=record))


@cache
def suite_of(*tasks: str, headline: str = "multilingual:AP") -> Suite:
    """A suite of tasks with the same headline."""
    sample, figure = load_task("sample"), Figure.read(headline)
    named = tuple(SuiteTask(replace(sample, name=name), figure, (figure,)) for name in tasks)
    return Suite("both", "Both tasks", "", named, Path("both.toml"), mean=True)


def standings_of(entries: Sequence[Made], suite: Suite | None = None) -> list[Standings]:
    """The standings of a board that holds these entries, in whatever order they come; over a suite
    of its tasks where there are several."""
    names = sorted({made.entry.place.task for made in entries})
    tasks = {
        name: BoardTask(
            task_of(name),
            tuple(
                sorted(
                    (made.entry for made in entries if made.entry.place.task == name),
                    key=lambda each: (each.slug, each.entry.declared.date, each.place),
                )
            ),
        )
        for name in names
    }
    tables = {made.entry.place: made.measured for made in entries if made.measured}
    if suite is None and len(names) > 1:
        suite = suite_of(*names)
    return all_standings(Board(Path("nowhere"), tasks), tables, suite)


@cache
def entries() -> tuple[Made, ...]:
    """Six models on both tasks, two of them alike, and one of every other kind."""
    both = []
    for task in TASKS:
        for number, (name, noise, size) in enumerate(
            [("strong", 0.6, 10**9), ("alike a", 1.2, 10**8), ("alike b", 1.25, 3 * 10**8),
             ("weak", 2.6, 2 * 10**7), ("no size", 1.8, None)]
        ):  # fmt: skip
            levels = (Level.REPRODUCED,) if name == "strong" else ()
            seen = Contamination.TRAINED_ON if name == "weak" else Contamination.CLEAN
            both.append(
                evidence(
                    task, name, noise, seed=number + 1, parameters=size, records=levels,
                    contamination=seen,
                )
            )  # fmt: skip
        both.append(reported(task, "paper", monolingual=0.99, multilingual=0.9, distance=12.0))
    one = "parallel"
    return (
        *both,
        evidence(one, "strong", 0.8, seed=9, run="2025-06-09-abcdef01", dimension=128),
        evidence(one, HOSTILE, 1.5, seed=7, contamination=Contamination.UNKNOWN),
        evidence(one, "doubtful", 0.5, seed=8, records=(Level.SAMPLED, Level.DISPUTED)),
        withdrawn(evidence(one, "regretted", 0.4, seed=6), "a wrong prompt <b>"),
        reported(one, "sparse", crosslingual=0.2),
    )


@cache
def standings() -> tuple[Standings, ...]:
    """Their standings: overall, apart, parallel."""
    return tuple(standings_of(entries()))


def unpacked(text: str) -> Values:
    """Return the scores of ``packed`` text, float64."""
    codes = np.array([LETTERS.index(letter) for letter in text], np.int64).reshape(-1, 3)
    numbers = codes @ np.array([64**2, 64, 1])
    return np.where(numbers == MISSING, np.nan, numbers / UNIT)


def chosen_score(figures: Values, chosen: Sequence[int]) -> float | None:
    """Return the macro score over some languages, or the pairs of two of them."""
    return present_mean(figures[np.ix_(*[chosen] * figures.ndim)])
