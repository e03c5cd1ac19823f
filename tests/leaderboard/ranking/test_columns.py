"""Columns and figures by language: against the report's scores, and a table cut to languages."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mlbench.data.task import Kind, Roles, Setting
from mlbench.leaderboard.ranking.columns import (
    Column,
    columns_of,
    language_means,
    main_column,
    measure,
    present_mean,
    stated,
    task_columns,
)
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.measures.significance import Score
from tests.leaderboard.synthetic import TASKS, chosen_score, evidence, run_of, task_of


@pytest.mark.parametrize("task", TASKS)
def test_every_column_is_what_the_report_says(task: str) -> None:
    made = evidence(task, "m", 1.5)
    assert made.measured is not None
    columns = task_columns(task_of(task))
    assert len(columns) == 5
    for column in columns:
        said = stated(made.entry.entry, column)
        assert said is not None
        assert made.measured.value(column.key) == pytest.approx(said.value, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_a_choice_of_languages_is_the_mean_over_their_settings(task: str) -> None:
    _, ranks = run_of(task, 1.5, 1)
    found = measure(ranks, task_columns(task_of(task)))
    codes = ranks.languages
    for size in range(1, len(codes) + 1):
        for chosen in itertools.combinations(range(len(codes)), size):
            own = [Setting(Kind.MONOLINGUAL, codes[i], (codes[i],)) for i in chosen]
            pairs = [
                Setting(Kind.CROSSLINGUAL, codes[i], (codes[j],))
                for i, j in itertools.permutations(chosen, 2)
            ]
            mixed = [Setting(Kind.MULTILINGUAL, codes[i], codes) for i in chosen]
            for key, settings, name in (
                ("mono", own, "AP"), ("cross", pairs, "AP"), ("multi", mixed, "AP"),
                ("recall", mixed, "R@10"),
            ):  # fmt: skip
                value = chosen_score(found.figures[key], chosen)
                if not settings:
                    assert value is None
                    continue
                rows = compute_scores(ranks, settings, parse_measures([name])).settings
                told = [row.measures[name] for row in rows if row.queries]
                if told:
                    assert value == pytest.approx(math.fsum(told) / len(told), abs=1e-12)
                else:
                    assert value is None


def test_missing_figures_are_left_out_and_none_is_none() -> None:
    values = np.array([[math.nan, 0.5], [0.7, math.nan]])
    assert present_mean(values) == pytest.approx(0.6)
    assert language_means(values) == [0.5, 0.7]
    assert present_mean(values[:1, :1]) is None
    assert language_means(np.array([math.nan, 0.25])) == [None, 0.25]


def test_columns_follow_from_the_task() -> None:
    def keys(kinds: list[str], measures: list[str], languages: int) -> list[str]:
        codes = ("ar", "de", "en")[:languages]
        found = columns_of(kinds, measures, Roles(codes, codes))
        return [f"{c.key} {c.kind} {c.measure}" for c in found]

    assert keys([*Kind], ["AP", "R@5"], 1) == [
        "mono monolingual AP", "recall monolingual R@5",
    ]  # fmt: skip
    alone = columns_of([*Kind], ["AP"], Roles(("ar", "de"), ("en",)))
    assert [c.key for c in alone] == ["cross"]
    apart = columns_of([*Kind], ["AP"], Roles(("ar",), ("de", "en")))
    assert [c.key for c in apart] == ["cross", "multi", "distance"]
    assert keys(["monolingual", "crosslingual", "multilingual"], ["R@100", "R@10"], 3)[3:] == [
        "recall multilingual R@10", "distance multilingual rank-distance",
    ]  # fmt: skip
    assert keys(["crosslingual"], ["AP"], 3) == ["cross crosslingual AP"]
    several = columns_of(["monolingual", "multilingual"], [], Roles(("ar", "de"), ("ar", "de")))
    assert main_column(several) == Column("multi", "multilingual", "AP")
    assert main_column(several[:1]).key == "mono"
    assert [c.lower_is_better for c in several] == [False, False, True]


def test_what_an_entry_does_not_say_is_none() -> None:
    entry = evidence("parallel", "m", 1.5).entry.entry
    assert stated(entry, Column("x", "monolingual", "P@3")) is None
    assert isinstance(stated(entry, Column("x", "monolingual", "AP")), Score)
