"""Draws that are kept packed are those that are drawn, to the last one."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from mlbench.comparing import kept_draws
from mlbench.comparing.kept_draws import signs, times_drawn
from mlbench.comparing.rank_intervals import drawn_groups, flipped_sums
from mlbench.measures import significance
from mlbench.measures.randomisation import contributions, drawn_signs
from mlbench.measures.significance import MacroMeans, Sample, drawn_weights, draws_at_a_time

SIZES = [1, 2, 7, 30, 101]
"""Questions: one, even and odd numbers, not of whole bytes."""


@pytest.fixture(autouse=True)
def _forget():
    for kept in (kept_draws._times_drawn, kept_draws._signs):
        kept.cache_clear()
    yield
    for kept in (kept_draws._times_drawn, kept_draws._signs):
        kept.cache_clear()


def joined(blocks) -> np.ndarray:
    return np.concatenate(list(blocks))


@pytest.mark.parametrize("questions", SIZES)
@pytest.mark.parametrize("held", [1, 400, 10**6])
def test_they_are_those_of_the_bootstrap_and_the_test_however_many_are_held(questions, held):
    generator = np.random.default_rng(significance.SEED)
    size = (1203, questions)
    weights = np.stack(
        [np.bincount(each, minlength=questions) for each in generator.integers(0, questions, size)]
    )
    chosen = np.arange(0, questions, 3)
    with mock.patch.object(significance, "MOST_HELD", held):
        assert draws_at_a_time(questions) == max(1, min(500, held // questions))
        np.testing.assert_array_equal(joined(drawn_weights(questions, draws=1203)), weights)
        np.testing.assert_array_equal(joined(times_drawn(questions, 1203)), weights)
        drawn = joined(drawn_signs(questions, draws=1203))
        np.testing.assert_array_equal(joined(signs(questions, 1203)), drawn)
        np.testing.assert_array_equal(joined(signs(questions, 1203, chosen)), drawn[:, chosen])
    generator = np.random.default_rng(significance.SEED)
    for start in range(0, 1203, 500):  # on which the random numbers depend
        expected = generator.integers(0, 2, (min(500, 1203 - start), questions), np.int8)
        np.testing.assert_array_equal(drawn[start : start + 500], 2 * expected - 1.0)


def test_a_question_that_is_drawn_very_often_is_counted_too():
    counts = np.array([[0, 15, 3], [1, 16, 2]], float)
    with mock.patch.object(kept_draws, "drawn_weights", return_value=[counts[:1], counts[1:]]):
        np.testing.assert_array_equal(joined(times_drawn(3, 2)), counts)


def test_means_and_sums_do_not_depend_on_how_many_draws_are_held():
    generator = np.random.default_rng(1)
    groups = [[Sample(generator.integers(0, 50, 40), generator.random(40))] for _ in range(3)]
    means, shares = MacroMeans.of(groups, 50), contributions(groups, 50).T
    whole = drawn_groups(means, 50, 600), flipped_sums(shares, 600)
    weights, turned = joined(drawn_weights(50, draws=600)), joined(drawn_signs(50, draws=600))
    for at, ((sample,),) in enumerate(zip(groups, strict=True)):
        taken = weights[:, sample.cluster]
        slow = [np.sum(row * sample.values) / row.sum() for row in taken]
        np.testing.assert_allclose(whole[0][:, 0, at], slow, rtol=0, atol=1e-12)
        slow = [np.sum(row[sample.cluster] * sample.values) / 40 for row in turned]
        np.testing.assert_allclose(whole[1][at], slow, rtol=0, atol=1e-12)
    with mock.patch.object(significance, "MOST_HELD", 350):
        kept_draws._times_drawn.cache_clear()
        again = drawn_groups(means, 50, 600), flipped_sums(shares, 600)
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
