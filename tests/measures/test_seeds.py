from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlbench.measures.randomisation import smallest_shown
from mlbench.measures.seeds import Spread, Trained, draw_seeds
from mlbench.measures.significance import MacroMeans, Sample, percentiles


def arm(values: np.ndarray, seeds: str = "") -> Trained:
    """An arm of one figure: ``values`` (seeds, questions), a seed a letter."""
    names = tuple(seeds or "abcdefghij"[: len(values)])
    cluster = np.arange(values.shape[1])
    means = [MacroMeans.of([[Sample(cluster, row)]], len(cluster)) for row in values]
    return Trained(names, (MacroMeans.beside(means),))


def scores(
    generator: np.random.Generator, seeds: int, questions: int, easy: np.ndarray | None = None
) -> np.ndarray:
    """What models score: some trainings go better, some questions are easier; the truth is 0."""
    easy = generator.normal(0, 1, questions) if easy is None else easy
    luck = generator.normal(0, 0.1, (seeds, 1))
    return luck + easy + generator.normal(0, 0.5, (seeds, questions))


def slowly(values: np.ndarray, draws: int, seed: int) -> float:
    """The variance of an arm's mean by two nested loops: seeds, one fewer than there are, and
    questions, as many as there are, each drawn anew."""
    generator = np.random.default_rng(seed)
    seeds, questions = values.shape
    found = []
    for _ in range(draws):
        asked = generator.integers(0, questions, questions)
        total = 0.0
        for _ in range(seeds - 1):
            total += values[generator.integers(0, seeds), asked].mean()
        found.append(total / (seeds - 1))
    return float(np.var(found))


def test_the_spread_is_that_of_two_nested_loops():
    values = scores(np.random.default_rng(5), 4, 80)
    spread = draw_seeds([arm(values)], 80).spread(0)
    assert spread.value[0] == pytest.approx(values.mean())
    assert spread.over_seeds[0] == pytest.approx(values.mean(1).std(ddof=1))
    assert spread.error[0] ** 2 == pytest.approx(slowly(values, 6_000, 7), rel=0.1)


def test_the_difference_of_arms_of_the_same_seeds_is_drawn_in_pairs():
    generator = np.random.default_rng(6)
    values = scores(generator, 4, 80)
    other = values + generator.normal(0, 0.01, values.shape) + 0.3
    draws = draw_seeds([arm(values), arm(other), arm(other, "wxyz")], 80)
    paired, apart = draws.difference(1, 0), draws.difference(2, 0)
    assert paired.value[0] == apart.value[0] == pytest.approx((other - values).mean())
    assert paired.error[0] ** 2 == pytest.approx(slowly(other - values, 4_000, 8), rel=0.15)
    assert apart.error[0] > 10 * paired.error[0]
    assert paired.p[0] < 1e-6
    assert paired.low[0] < paired.value[0] < paired.high[0]


def naive(values: np.ndarray, trial: int) -> tuple[float, float]:
    """The percentile interval of the usual bootstrap: as many seeds as there are."""
    generator = np.random.default_rng(trial)
    seeds, questions = values.shape
    taken = generator.integers(0, seeds, (300, seeds))
    asked = generator.multinomial(questions, [1 / questions] * questions, 300) / questions
    means = (values @ asked.T)[taken.T, np.arange(300)].mean(0)
    low, high = percentiles(means[:, np.newaxis])
    return float(low[0]), float(high[0])


@pytest.mark.parametrize("seeds", [3, 5])
def test_coverage_is_near_95_percent_where_percentiles_fall_short(seeds):
    generator = np.random.default_rng(seeds)
    trials, questions = 400, 150
    covered = plain = 0
    for trial in range(trials):
        values = scores(generator, seeds, questions, np.zeros(questions))
        spread = draw_seeds([arm(values)], questions, draws=300, seed=trial).spread(0)
        covered += spread.low[0] <= 0 <= spread.high[0]
        low, high = naive(values, trial)
        plain += low <= 0 <= high
    assert 0.93 <= covered / trials <= 0.985
    assert plain / trials < 0.92


def test_a_test_at_5_percent_errs_in_5_percent_and_shows_the_least_difference_in_80():
    generator = np.random.default_rng(11)
    trials, questions, seeds = 400, 150, 5
    wrong = right = 0
    for trial in range(trials):
        easy = generator.normal(0, 1, questions)
        one, other = (scores(generator, seeds, questions, easy) for _ in range(2))
        nothing = draw_seeds([arm(one), arm(other)], questions, draws=300, seed=trial)
        wrong += nothing.difference(1, 0).p[0] <= 0.05
        known = math.sqrt(2 * (0.1**2 / seeds + 0.5**2 / seeds / questions))
        least = (stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)) * known
        there = draw_seeds([arm(one), arm(other + least)], questions, draws=300, seed=trial)
        right += there.difference(1, 0).p[0] <= 0.05
    assert 0.02 <= wrong / trials <= 0.08
    assert 0.75 <= right / trials <= 0.93


def test_many_seeds_and_one_comparison_have_the_least_difference_of_the_normal_law():
    error = np.array([0.02])
    spread = Spread(np.zeros(1), error, np.array([1e7]), np.zeros(1))
    assert spread.least()[0] == pytest.approx(smallest_shown(error)[0], rel=1e-5)
    assert spread.least(10)[0] > spread.least()[0]


def test_one_seed_leaves_the_questions_spread_and_nothing_of_training():
    values = scores(np.random.default_rng(2), 1, 200)
    spread = draw_seeds([arm(values)], 200).spread(0)
    assert spread.error[0] == pytest.approx(values.std() / math.sqrt(200), rel=0.05)
    assert math.isnan(spread.over_seeds[0])
    assert spread.freedom[0] == pytest.approx(199)


def test_equal_arms_differ_by_nothing_with_certainty():
    values = scores(np.random.default_rng(3), 3, 50)
    same = draw_seeds([arm(values), arm(values)], 50).difference(1, 0)
    assert (same.value[0], same.error[0], same.p[0]) == (0, 0, 1)


def test_a_figure_without_a_question_is_missing_and_harms_no_other():
    values = scores(np.random.default_rng(4), 3, 40)
    cluster = np.arange(40)
    groups = [[Sample(cluster, values[0])], [Sample(cluster[:0], values[0, :0])]]
    means = MacroMeans.beside([MacroMeans.of(groups, 40)] * 3)
    spread = draw_seeds([Trained(("a", "b", "c"), (means,))], 40).spread(0)
    assert np.isfinite([spread.value[0], spread.error[0]]).all()
    assert np.isnan([spread.value[1], spread.half[1], spread.p[1]]).all()
