"""Places in single settings: against a slow reading of the tables, one pair of models at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mlbench.data.task import Setting
from mlbench.leaderboard.entries.board import BoardTask
from mlbench.leaderboard.ranking import columns as columns_module
from mlbench.leaderboard.ranking.by_setting import heavy_ties, setting_cells
from mlbench.leaderboard.ranking.columns import (
    measure,
    ranked_settings,
    task_columns,
    task_settings,
)
from mlbench.measures.randomisation import drawn_signs
from mlbench.measures.significance import drawn_weights
from mlbench.ranking.ranks import Ranks
from tests.leaderboard.synthetic import evidence, run_of, standings_of, task_of

MODELS = ((0.5, 1), (1.2, 2), (2.6, 4), (1.9, 5))
"""Noise and seed of each; the last one is not ranked."""


def average_precision(ranks: Ranks, setting: Setting, *, ties: bool = True) -> dict[str, list]:
    """The AP of each query with a relevant passage in the pool, by question, from the counts."""
    pool = [ranks.languages.index(code) for code in setting.passage_languages]
    asked = ranks.languages.index(setting.query_language)
    found: dict[str, list] = {}
    for query in np.flatnonzero(ranks.query_language == asked).tolist():
        rows = np.flatnonzero((ranks.query == query) & np.isin(ranks.passage_language, pool))
        rows = rows[np.argsort(ranks.place[rows])]
        outranked = ranks.above[rows][:, pool].sum(1)
        if ties:
            outranked = outranked + ranks.tied[rows][:, pool].sum(1)
        precision = [i / (i + count) for i, count in enumerate(outranked.tolist(), 1)]
        if precision:
            found.setdefault(ranks.query_ids[query], []).append(np.mean(precision))
    return found


@cache
def draws(questions: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each draw takes each question, and the sign of each in each draw."""
    weights, signs = drawn_weights(questions), drawn_signs(questions)
    return np.concatenate(list(weights)), np.concatenate(list(signs))


def told_by_pairs(of: list[dict[str, list]], questions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The intervals of models from what each question gets, and which of them beats which other of
    all but the last."""
    weights, signs = draws(len(questions))
    count = np.array([len(of[0].get(name, [])) for name in questions], float)
    sums = np.array([[np.sum(each.get(name, [])) for name in questions] for each in of])
    asked = weights @ count
    drawn = (weights @ sums.T)[asked > 0] / asked[asked > 0, None]
    shares = sums / count.sum()
    pairs = list(itertools.combinations(range(len(of) - 1), 2))
    studentised = {}
    for a, b in pairs:
        each = shares[a] - shares[b]
        studentised[a, b] = np.abs(np.vstack([np.ones(len(each)), signs]) @ each)
        studentised[a, b] /= np.sqrt((each**2).sum()) or np.inf
    largest = np.max([each[1:] for each in studentised.values()], axis=0)
    better = np.zeros((len(of) - 1, len(of) - 1), bool)
    for a, b in pairs:
        p = (1 + (largest >= studentised[a, b][0] * (1 - 1e-9)).sum()) / (len(signs) + 1)
        low, high = np.quantile(drawn[:, a] - drawn[:, b], [0.025, 0.975])
        if p <= 0.05 and (low > 0 or high < 0):
            better[(a, b) if low > 0 else (b, a)] = True
    return np.quantile(drawn, [0.025, 0.975], axis=0).T, better


@cache
def measured(task: str, noise: float, seed: int):
    return measure(
        run_of(task, noise, seed)[1], task_columns(task_of(task)), task_settings(task_of(task))
    )


@pytest.mark.parametrize("task", ["apart", "parallel"])
def test_places_are_those_of_a_test_of_each_pair(task: str) -> None:
    tables = [measured(task, *model) for model in MODELS]
    ranked = np.arange(len(MODELS)) < len(MODELS) - 1
    cells = setting_cells(tables, ranked)
    told = empty = 0
    for at, setting in enumerate(task_settings(task_of(task))):
        every = [average_precision(run_of(task, *model)[1], setting) for model in MODELS]
        if not every[0]:
            assert all(of[at].value is None and of[at].best is None for of in cells)
            empty += 1
            continue
        ends, better = told_by_pairs(every, list(tables[0].questions))
        values = [np.mean(list(itertools.chain(*of.values()))) for of in every]
        found = [of[at] for of in cells]
        assert [cell.value for cell in found] == pytest.approx(values, abs=1e-12)
        assert np.array([[c.low, c.high] for c in found]) == pytest.approx(ends, abs=1e-12)
        assert [cell.best for cell in found] == [*(1 + better.sum(0)), None]
        assert [cell.worst for cell in found] == [*(len(better) - better.sum(1)), None]
        first = int(np.argmax(values[:-1]))
        assert [cell.near_first for cell in found] == [*~better[first], False]
        told += bool(better.any())
    assert told >= 5
    assert bool(empty) is (task == "apart")


def test_what_ties_decide_is_said_of_the_settings_where_it_is_much() -> None:
    _, ranks = run_of("parallel", 1.2, 2)
    settings = task_settings(task_of("parallel"))
    half = ranks.above // 2
    tied = replace(ranks, above=half, tied=ranks.tied + ranks.above - half)
    found = measure(tied, task_columns(task_of("parallel")), settings)
    said = heavy_ties(found)
    assert said
    for at, setting in enumerate(settings):
        against, best = (
            np.mean(list(itertools.chain(*average_precision(tied, setting, ties=each).values())))
            for each in (True, False)
        )
        assert (at in said) is bool(best - against >= 0.05)
        if at in said:
            assert said[at] == pytest.approx(best, abs=1e-12)
    assert heavy_ties(measured("parallel", 1.2, 2)) == {}


def test_a_large_board_has_no_intervals_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    (board,) = standings_of([evidence("parallel", name, 1.0, seed=i + 1) for i, name in
                             enumerate("ab")])  # fmt: skip
    assert all(len(row.settings) == len(task_settings(task_of("parallel"))) for row in board.rows)
    entries = tuple(row.entries["parallel"] for row in board.rows)
    task = BoardTask(task_of("parallel"), entries)
    scores = 2 * len(task_settings(task.task))
    monkeypatch.setattr(columns_module, "MOST_RANKED", scores)
    assert ranked_settings(task) == task_settings(task.task)
    monkeypatch.setattr(columns_module, "MOST_RANKED", scores - 1)
    assert ranked_settings(task) == []
