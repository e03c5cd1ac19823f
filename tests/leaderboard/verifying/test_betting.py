"""Betting against a claimed total: the definition, and that an honest claim loses no money."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.leaderboard.verifying.agreement import STAKES, evidence, log_wealth


def wealth_by_definition(drawn, total, size, stake):
    """The rule of the module's text, in plain Python."""
    wealth = 1.0
    for number, value in enumerate(drawn):
        mean = (total - sum(drawn[:number])) / (size - number)
        if sum(drawn[: number + 1]) > total:
            return math.inf
        if mean > 0:
            wealth *= 1 + stake * (value / mean - 1)
    return wealth


def wealths(drawn, total, size):
    found = log_wealth(
        np.array(drawn, float),
        np.array([total], float),
        np.array([size]),
        np.array([0, len(drawn)]),
    )
    return np.exp(found[0])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(0, 8), st.integers(0, 30))
def test_it_is_the_rule(drawn, beside, total):
    size = len(drawn) + beside
    expected = [wealth_by_definition(drawn, total, size, stake) for stake in STAKES]
    np.testing.assert_allclose(wealths(drawn, total, size), expected, rtol=1e-9)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5), st.data())
def test_no_stake_wins_on_average_against_a_total_that_is_not_too_small(population, data):
    draws = data.draw(st.integers(1, len(population) - 1))
    excess = data.draw(st.integers(0, 3))
    orders = list(itertools.permutations(population, draws))
    total = sum(population) + excess
    mean = np.mean([wealths(order, total, len(population)) for order in orders], axis=0)
    assert np.all(mean <= 1 + 1e-9)
    if not excess and population.count(0) < len(population) - draws + 1:
        np.testing.assert_allclose(mean, 1)


def test_more_than_claimed_is_certain_and_so_is_one_too_many_in_a_census():
    assert np.all(np.isinf(wealths([3, 3], 5, 100)))
    population = [1, 0, 2, 0, 4]
    assert np.all(np.isfinite(wealths(population, 7, 5)))
    assert np.all(np.isinf(wealths(population, 6, 5)))


def test_weights_that_do_not_add_up_exactly_are_not_taken_for_a_contradiction():
    population = np.random.default_rng(0).random(1000) / 3
    assert np.all(np.isfinite(np.log(wealths(population, math.fsum(population), 1000))))


def test_nothing_drawn_is_no_evidence():
    assert np.all(wealths([], 7, 5) == 1)


def test_populations_are_cut_by_their_edges():
    drawn, sizes = np.array([1.0, 0, 2, 3]), np.array([9, 7])
    both = log_wealth(drawn, np.array([4.0, 8]), sizes, np.array([0, 2, 4]))
    np.testing.assert_allclose(np.exp(both[0]), wealths([1, 0], 4, 9))
    np.testing.assert_allclose(np.exp(both[1]), wealths([2, 3], 8, 7))


@pytest.mark.parametrize(
    ("wealth", "expected"),
    [([0.0, 0.0], 0.0), ([math.log(3), math.log(1)], math.log(2)), ([math.inf, 0], math.inf)],
)
def test_stakes_are_played_with_equal_parts(wealth, expected):
    assert evidence(np.array(wealth)) == pytest.approx(expected)


def test_evidence_too_large_for_a_float_is_kept():
    assert evidence(np.array([2000.0, 0.0])) == pytest.approx(2000 - math.log(2))
