"""Rank intervals of many models: the same as `compare` finds for a few."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mlbench.comparing.baseline import Saved
from mlbench.comparing.compare import compare
from mlbench.comparing.rank_intervals import (
    RankIntervals,
    added_shares,
    drawn_means,
    rank_intervals,
    told_apart,
)
from mlbench.data.task import Kind
from mlbench.leaderboard.ranking.columns import Column, columns_of, measure
from mlbench.leaderboard.ranking.standings import part_of
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.measures.significance import percentiles
from tests.support.reports import MEASURES, collection_of, languages, report_of, vectors

NOISES = (0.4, 0.4, 1.0, 1.05, 1.1, 2.5, 1.0)
"""Of seven models; the first two are the very same."""


def saved_models(count: int, apart: bool) -> list[Saved]:
    collection = collection_of(languages(count), questions=14, apart=apart)
    saved = []
    for number, noise in enumerate(NOISES):
        report, ranks = report_of(collection, vectors(collection, noise, seed=max(1, number)))
        saved.append(Saved(f"m{number}", report.task, report.model, report.measures, ranks))
    return saved


def places(saved: Sequence[Saved], column: Column) -> RankIntervals:
    taken = [measure(each.ranks, [column]) for each in saved]
    questions = len(taken[0].questions)
    part = part_of(taken, column.key, np.arange(questions))
    shares, drawn = added_shares([part], questions), drawn_means([part], questions)
    values = [each.value(column.key) for each in taken]
    np.testing.assert_allclose(shares.sum(1), values, rtol=0, atol=1e-12)
    return rank_intervals(shares, drawn, lower_is_better=column.lower_is_better)


@pytest.mark.parametrize("apart", [False, True])
def test_they_are_those_of_compare(apart: bool) -> None:
    saved = saved_models(4, apart)
    columns = columns_of(saved[0].task.kinds, MEASURES, saved[0].task.roles)
    assert [c.key for c in columns] == ["mono", "cross", "multi", "recall", "distance"]
    names = list(dict.fromkeys(column.measure for column in columns))
    comparison = compare(saved, names)
    told = 0
    for column in columns:
        found = places(saved, column)
        expected = {
            each.model: (each.best, each.worst)
            for each in comparison.standings
            if (each.quantity.kind, each.quantity.measure) == (column.kind, column.measure)
        }
        got = {entrant.label: (found.best[i], found.worst[i])
               for i, entrant in enumerate(comparison.models)}  # fmt: skip
        assert got == expected, column
        told += sum(best > 1 for best, _ in expected.values())
    assert told >= 5


def test_the_same_model_twice_shares_its_place() -> None:
    saved = saved_models(3, apart=False)
    found = places(saved, columns_of(saved[0].task.kinds, MEASURES, saved[0].task.roles)[0])
    assert (found.best[0], found.worst[0]) == (found.best[1], found.worst[1])
    assert found.near_first[:2].all()


def test_draws_are_those_of_the_report() -> None:
    saved = saved_models(3, apart=True)
    (column,) = [
        c
        for c in columns_of(saved[0].task.kinds, MEASURES, saved[0].task.roles)
        if c.key == "cross"
    ]
    taken = [measure(each.ranks, [column]) for each in saved]
    questions = len(taken[0].questions)
    part = part_of(taken, column.key, np.arange(questions))
    low, high = percentiles(drawn_means([part], questions))
    for number, each in enumerate(saved):
        (settings, parsed) = each.ranks.roles.settings(Kind), parse_measures(["AP"])
        score = compute_scores(each.ranks, settings, parsed).macro[column.kind]["AP"]
        np.testing.assert_allclose([low[number], high[number]], [score.low, score.high], atol=1e-12)


def test_parts_of_several_tasks_are_added_on_the_same_draws() -> None:
    saved = saved_models(3, apart=False)
    column = columns_of(saved[0].task.kinds, MEASURES, saved[0].task.roles)[0]
    taken = [measure(each.ranks, [column]) for each in saved]
    questions = len(taken[0].questions)
    whole = part_of(taken, column.key, np.arange(questions))
    halves = [replace(whole, scale=0.5)] * 2
    np.testing.assert_allclose(
        drawn_means(halves, questions), drawn_means([whole], questions), atol=1e-12
    )
    np.testing.assert_allclose(
        added_shares(halves, questions), added_shares([whole], questions), atol=1e-12
    )
    apart = [
        replace(whole, scale=0.5),
        replace(whole, question=np.arange(questions) + questions, scale=0.5),
    ]
    single = drawn_means([whole], questions).std(0)
    narrow = drawn_means(apart, 2 * questions).std(0)
    assert (single > 0).sum() >= 3
    assert (narrow[single > 0] < 0.8 * single[single > 0]).all()


def test_nothing_is_told_from_few_questions_or_models() -> None:
    generator = np.random.default_rng(1)
    shares = np.array([[0.1] * 5, [0.0] * 5])
    assert not told_apart(shares, generator.random((100, 2))).any()
    alone = rank_intervals(shares[:1], generator.random((100, 1)))
    assert (alone.best.tolist(), alone.worst.tolist(), alone.near_first.tolist()) == (
        [1], [1], [True],
    )  # fmt: skip
    assert not len(rank_intervals(np.zeros((0, 5)), np.zeros((100, 0))).best)


def test_models_of_the_best_value_are_all_first_in_whatever_order() -> None:
    """Of two models of the same mean, one by few questions and one by all, the third can be told
    from one alone: it is near the first whichever of the two comes first."""
    level, uneven = np.full(40, 0.5), np.r_[np.full(30, 2 / 3), np.zeros(10)]
    other = uneven - 0.002 * (uneven > 0)
    shares = np.stack([level, uneven, other]) / 40
    assert shares[0].sum() == pytest.approx(shares[1].sum(), abs=1e-12)
    draws = np.random.default_rng(0).integers(0, 40, (500, 40))
    drawn = shares.T[draws].sum(1)
    found = rank_intervals(shares, drawn)
    for order in itertools.permutations(range(3)):
        again = rank_intervals(shares[[*order]], drawn[:, [*order]])
        assert again.near_first.tolist() == found.near_first[[*order]].tolist()
    better = told_apart(shares, drawn)
    assert (better[0, 2], better[1, 2]) == (False, True)
    assert found.near_first.tolist() == [True, True, True]


def test_an_interval_that_ends_at_zero_shows_nothing() -> None:
    """With 41 draws the lower end is the second smallest: one draw below 0 is not enough."""
    shares = np.array([[0.1] * 40, [0.0] * 40])
    for below, shown in ((0, True), (1, True), (2, False), (3, False)):
        drawn = np.zeros((41, 2))
        drawn[:, 0] = np.where(np.arange(41) < below, -1.0, 1.0)
        assert told_apart(shares, drawn, draws=1000)[0, 1] == shown
