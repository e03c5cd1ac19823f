from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlbench.measures.significance import (
    Interval,
    Sample,
    drawn_weights,
    macro_draws,
    macro_intervals,
    paragraph_clusters,
    percentiles,
    question_clusters,
)
from mlbench.ranking.counting import rank_collection
from tests.support.strategies import parallel_collection, vectors_for


def test_one_language_agrees_with_scipy():
    values = np.random.default_rng(0).random(200)
    ours = macro_intervals([[Sample(np.arange(200), values)]], 200)[0]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def correlated(generator: np.random.Generator, questions: int, languages: int) -> np.ndarray:
    """Scores of parallel questions: a question is easy or hard in all languages alike."""
    easy = generator.normal(0, 1, (questions, 1))
    return easy + generator.normal(0, 0.3, (questions, languages))


def test_coverage_is_near_95_percent_where_naive_resampling_falls_short():
    generator = np.random.default_rng(3)
    questions, languages, trials = 60, 6, 300
    covered = naive = 0
    for trial in range(trials):
        scores = correlated(generator, questions, languages)
        cluster = np.arange(questions)
        samples = [Sample(cluster, scores[:, i]) for i in range(languages)]
        rows = [
            Sample(np.arange(questions) + i * questions, scores[:, i]) for i in range(languages)
        ]
        interval = macro_intervals([samples], questions, draws=400, seed=trial)[0]
        flat = macro_intervals([rows], questions * languages, draws=400, seed=trial)[0]
        covered += interval.low <= 0 <= interval.high
        naive += flat.low <= 0 <= flat.high
    assert 0.91 <= covered / trials <= 0.98
    assert naive / trials < 0.75


def test_same_seed_same_interval_and_no_spread_no_width():
    sample = Sample(np.arange(10), np.full(10, 0.25))
    assert macro_intervals([[sample]], 10)[0] == macro_intervals([[sample]], 10)[0]
    assert macro_intervals([[sample]], 10)[0].low == pytest.approx(0.25)
    assert macro_intervals([[sample]], 10)[0].high == pytest.approx(0.25)


def test_a_group_without_queries_has_no_mean_and_the_others_theirs():
    values = np.random.default_rng(2).random(12)
    sample = Sample(np.arange(12), values)
    nobody = Sample(np.zeros(0, np.int64), np.zeros(0))
    draws = macro_draws([[[], [sample], [nobody], [sample, sample]]], 12, draws=50)[0]
    assert np.isnan(draws[:, [0, 2]]).all()
    assert draws[:, 1] == pytest.approx(draws[:, 3])
    assert draws[:, 1] == pytest.approx(macro_draws([[[sample]]], 12, draws=50)[0][:, 0])


def test_unequal_membership_is_recomputed_inside_each_draw():
    generator = np.random.default_rng(5)
    first, second = generator.random(30), generator.random(10)
    samples = [Sample(np.arange(30), first), Sample(np.arange(10), second)]
    interval = macro_intervals([samples], 30, draws=2000)[0]
    draws = []
    for _ in range(2000):
        chosen = generator.integers(0, 30, 30)
        inside = chosen[chosen < 10]
        draws.append((first[chosen].mean() + second[inside].mean()) / 2)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def test_coverage_of_a_paired_difference_is_near_95_percent():
    generator = np.random.default_rng(9)
    questions, languages, trials = 60, 6, 300
    cluster = np.arange(questions)
    covered = unpaired = 0
    for trial in range(trials):
        easy = correlated(generator, questions, languages)
        models = [easy + gain + correlated(generator, questions, languages) * 0.3
                  for gain in (0, 0.2)]  # fmt: skip
        groups = [[[Sample(cluster, m[:, i]) for i in range(languages)]] for m in models]
        drawn = macro_draws(groups, questions, draws=400, seed=trial)
        low, high = percentiles(drawn[1] - drawn[0])
        covered += bool(low[0] <= 0.2 <= high[0])
        each = [macro_intervals(group, questions, draws=400, seed=trial)[0] for group in groups]
        unpaired += each[0].high >= each[1].low
    assert 0.91 <= covered / trials <= 0.98
    assert unpaired / trials > 0.5, "overlap of single intervals hides what pairing shows"


def test_all_models_are_taken_on_the_same_draws():
    sample = [[Sample(np.arange(20), np.random.default_rng(1).random(20))]]
    drawn = macro_draws([sample, sample], 20, draws=50)
    assert drawn.shape == (2, 50, 1)
    assert (drawn[0] == drawn[1]).all()
    low, high = percentiles(drawn[0])
    assert macro_intervals(sample, 20, draws=50)[0] == Interval(low[0], high[0])


def test_a_draw_without_any_query_is_left_out_of_the_interval():
    group = [Sample(np.array([0]), np.array([0.5]))]
    interval = macro_intervals([group], 3, draws=200)[0]
    assert (interval.low, interval.high) == (0.5, 0.5)


def table(**sizes: int):
    collection = parallel_collection(**sizes)
    return rank_collection(collection, *vectors_for(collection))[0]


def test_a_question_is_one_cluster_in_all_its_languages():
    ranks = table(languages=3, questions=8)
    clusters = question_clusters(ranks)
    assert clusters.count == 8
    of = {}
    for id_, cluster in zip(ranks.query_ids, clusters.of, strict=True):
        assert of.setdefault(id_, cluster) == cluster
    assert len(set(of.values())) == 8


def test_questions_on_one_paragraph_are_one_cluster():
    ranks = table(languages=3, questions=8)
    clusters = paragraph_clusters(ranks)
    assert clusters.count == 2
    groups = {int(id_[1:]) // 4: c for id_, c in zip(ranks.query_ids, clusters.of, strict=True)}
    assert len(set(groups.values())) == 2


def test_a_paragraph_shared_in_one_language_joins_and_names_of_others_do_not():
    """q0 and q1 share a paragraph in ar alone; the same name in another language is another."""
    ranks = table(languages=2, questions=3)
    named = {("ar", "q0"): "p", ("ar", "q1"): "p", ("de", "q2"): "p"}
    groups = tuple(
        named.get((ranks.languages[language], id_), f"{language}{id_}")
        for id_, language in zip(ranks.query_ids, ranks.query_language, strict=True)
    )
    clusters = paragraph_clusters(replace(ranks, query_groups=groups))
    of = dict(zip(ranks.query_ids, clusters.of.tolist(), strict=True))
    assert of["q0"] == of["q1"] != of["q2"]
    assert clusters.count == 2


def test_unknown_paragraphs_give_no_clusters_and_one_unknown_stands_alone():
    ranks = table(languages=2, questions=8)
    assert paragraph_clusters(replace(ranks, query_groups=("",) * len(ranks.query_ids))) is None
    groups = tuple("" if id_ == "q0" else g for id_, g in
                   zip(ranks.query_ids, ranks.query_groups, strict=True))  # fmt: skip
    clusters = paragraph_clusters(replace(ranks, query_groups=groups))
    assert clusters.count == 3
    assert len(np.unique(clusters.of)) == 3


def test_settings_that_ask_few_of_the_questions_are_drawn_as_all_others(monkeypatch):
    """Pairs share no question: the product without their zeros is the whole one's."""
    generator = np.random.default_rng(5)
    samples = [Sample(np.arange(20 * i, 20 * i + 20), generator.random(20)) for i in range(40)]
    groups = [samples, samples[:7], samples[7:]]
    thin = macro_draws([groups], 800, draws=300)
    monkeypatch.setattr("mlbench.measures.significance.MOST_FILLED", 0)
    whole = macro_draws([groups], 800, draws=300)
    assert np.allclose(thin, whole, rtol=0, atol=1e-14)
    assert not np.isnan(whole).any()


def test_models_that_ask_the_same_are_drawn_as_each_alone():
    """Side by side, and where one of them asks other questions one after the other."""
    generator = np.random.default_rng(6)

    def model(last: int) -> list[list[Sample]]:
        asked = [np.arange(20 * i, 20 * i + (20 if i < 39 else last)) for i in range(40)]
        samples = [Sample(each, generator.random(len(each))) for each in asked]
        return [samples, samples[:7], *[[sample] for sample in samples]]

    for models in ([model(20), model(20), model(20)], [model(20), model(11)]):
        together = macro_draws(models, 800, draws=300)
        for number, groups in enumerate(models):
            alone = macro_draws([groups], 800, draws=300)[0]
            np.testing.assert_allclose(together[number], alone, rtol=0, atol=1e-14)


def test_each_draw_takes_as_many_questions_as_there_are():
    """The counts of the drawn numbers, one by one, from the same generator."""
    (found,) = drawn_weights(7, draws=30, seed=4)
    drawn = np.random.default_rng(4).integers(0, 7, (30, 7))
    expected = [[sum(number == of for number in row) for of in range(7)] for row in drawn]
    np.testing.assert_array_equal(found, expected)
