from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlbench.measures.randomisation import (
    contributions,
    drawn_signs,
    holm_corrected,
    randomisation_test,
    smallest_shown,
)
from mlbench.measures.significance import Sample
from tests.measures.test_significance import correlated
from tests.support.uncompiled import uncompiled_ranx


def one_language(*models: np.ndarray) -> np.ndarray:
    cluster = np.arange(len(models[0]))
    return np.stack([contributions([[Sample(cluster, m)]], len(m)) for m in models])


def test_one_language_agrees_with_scipy_s_permutation_test():
    generator = np.random.default_rng(2)
    a = generator.random(40)
    b = a + generator.normal(0.05, 0.15, 40)
    ours = randomisation_test(one_language(a, b), [[0]])
    theirs = stats.permutation_test(
        (b, a), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    assert ours.difference[0, 0] == pytest.approx(np.mean(b - a))
    assert 0.005 < theirs.pvalue < 0.5
    assert ours.p[0, 0] == pytest.approx(theirs.pvalue, abs=0.012)


def test_one_language_agrees_with_ranx_s_randomisation_test():
    generator = np.random.default_rng(7)
    a = generator.random(60)
    b = a + generator.normal(0.03, 0.15, 60)
    ours = randomisation_test(one_language(a, b), [[0]])
    with uncompiled_ranx():
        from ranx.statistical_tests import fisher_randomization_test

        theirs, _ = fisher_randomization_test(a, b, n_permutations=10_000, max_p=0.05)
    assert ours.p[0, 0] == pytest.approx(theirs, abs=0.015)


def test_a_few_clusters_give_the_exact_share_of_sign_patterns():
    a, b = np.zeros(5), np.array([1.0, 2, 3, 4, -1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    exact = np.mean(np.abs(signs @ b) >= abs(b.sum()))
    assert randomisation_test(one_language(a, b), [[0]]).p[0, 0] == pytest.approx(exact, abs=0.015)


def test_clusters_are_swapped_whole_so_that_parallel_rows_do_not_count_as_independent():
    """With no true difference p below 0.05 comes up in 5% of cases; row by row far more often."""
    generator = np.random.default_rng(11)
    questions, languages, trials = 40, 6, 300
    false, naive = 0, 0
    for trial in range(trials):
        a = correlated(generator, questions, languages)
        b = correlated(generator, questions, languages)
        cluster, rows = np.arange(questions), np.arange(questions * languages)
        whole = [[[Sample(cluster, m[:, i]) for i in range(languages)]] for m in (a, b)]
        shares = np.stack([contributions(groups, questions) for groups in whole])
        false += randomisation_test(shares, [[0]], draws=199, seed=trial).p[0, 0] <= 0.05
        flat = np.stack([contributions([[Sample(rows, m.ravel())]], len(rows)) for m in (a, b)])
        naive += randomisation_test(flat, [[0]], draws=199, seed=trial).p[0, 0] <= 0.05
    assert 0.02 <= false / trials <= 0.09
    assert naive / trials > 0.25


@pytest.mark.parametrize("holm", [False, True])
def test_the_correction_keeps_the_chance_of_any_false_finding_near_5_percent(holm):
    generator = np.random.default_rng(13)
    questions, languages, trials = 50, 8, 300
    cluster = np.arange(questions)
    raw = corrected = 0
    for trial in range(trials):
        models = [correlated(generator, questions, languages) for _ in range(2)]
        models = [m * 0.3 + generator.normal(0, 1, m.shape) for m in models]
        shares = np.stack([
            contributions([[Sample(cluster, m[:, i])] for i in range(languages)], questions)
            for m in models
        ])  # fmt: skip
        found = randomisation_test(shares, [range(languages)], draws=399, seed=trial, holm=holm)
        raw += found.p.min() <= 0.05
        corrected += found.corrected.min() <= 0.05
        assert (found.corrected >= found.p).all()
    assert raw / trials > 0.2
    assert corrected / trials <= 0.09


def test_a_model_against_itself_has_p_1_and_nothing_is_nan():
    values = np.random.default_rng(1).random(30)
    found = randomisation_test(one_language(values, values, np.zeros(30)), [[0]])
    assert found.pairs == ((0, 1), (0, 2), (1, 2))
    assert found.difference[0, 0] == 0
    assert found.p[0, 0] == 1
    assert found.corrected[0, 0] == 1
    assert np.isfinite(found.corrected).all()
    assert found.p[1, 0] == pytest.approx(1 / 10_001)


def test_contributions_add_up_to_the_macro_mean_of_unequal_settings():
    generator = np.random.default_rng(5)
    first, second = generator.random(30), generator.random(10)
    empty = Sample(np.arange(0), np.zeros(0))
    samples = [Sample(np.arange(30), first), Sample(np.arange(10), second), empty]
    shares = contributions([samples], 30)
    assert shares.sum() == pytest.approx((first.mean() + second.mean()) / 2)


def test_holm_on_a_worked_example():
    assert holm_corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_p_and_bonferroni_s(p):
    corrected = holm_corrected(p)
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()


def test_the_smallest_difference_shown_is_shown_in_80_of_100_collections():
    generator = np.random.default_rng(17)
    error = 1 / np.sqrt(100)
    found = generator.normal(float(smallest_shown(np.array(error))), error, 20_000)
    assert np.mean(np.abs(found / error) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.01)


def test_groups_of_few_clusters_are_flipped_as_all_others():
    """Against every sign times every share: settings of pairs, some that overlap, and a mean."""
    generator = np.random.default_rng(6)
    shares = np.zeros((3, 400, 12))
    for group in range(10):
        rows = slice(35 * group, 35 * group + (40 if group % 3 else 20))
        shares[:, rows, group] = generator.normal(size=(3, rows.stop - rows.start))
    shares[:, :, 10] = shares[:, :, :10].mean(2)
    shares[1, 5:9, 3] = 0
    families = [range(10), [10], [11]]
    found = randomisation_test(shares, families, draws=300)
    pairs = [(0, 1), (0, 2), (1, 2)]
    signs = np.concatenate(list(drawn_signs(400, draws=300)))
    for row, (first, second) in enumerate(pairs):
        each = shares[second] - shares[first]
        scale = np.sqrt((each**2).sum(0))
        drawn = np.abs(np.einsum("dc,cg->dg", signs, each)) / np.where(scale > 0, scale, 1)
        reached = np.abs(each.sum(0)) / np.where(scale > 0, scale, 1)
        expected = ((drawn >= reached * (1 - 1e-9)).sum(0) + 1) / 301
        np.testing.assert_array_equal(found.p[row], expected)
        np.testing.assert_allclose(found.difference[row], each.sum(0), atol=1e-12)
    assert (found.corrected[:, :10] >= found.p[:, :10]).all()
