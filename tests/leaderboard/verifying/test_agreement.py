"""Does a table agree with a sample of vectors: honest ones do, forged ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbench.leaderboard.verifying.agreement import (
    FALSE_ALARM,
    FAMILIES,
    TESTS,
    Tolerance,
    _stakes,
    threshold,
)
from mlbench.leaderboard.verifying.samples import claims_of
from mlbench.ranking.counting import rank_collection
from tests.leaderboard.sampled import lowered, problem, sampled
from tests.support.reports import collection_of, languages, vectors


@pytest.mark.parametrize("seed", range(12))
def test_an_honest_table_agrees(seed):
    collection, sides, ranks = problem(seed % 3, (1.0, 2.0, 4.0)[seed % 3])
    found = sampled(collection, sides, ranks, seed)
    assert found.agrees
    assert not found.disorder.any()
    assert not found.exceeded.any()
    assert found.undecided < 0.01


def test_evidence_against_honest_tables_is_as_weak_as_promised():
    collection, sides, ranks = problem()
    found = [sampled(collection, sides, ranks, seed, (30, 30)) for seed in range(60)]
    for family in FAMILIES:  # at most one in 10 tests may reach the evidence 10^1, one of 100 10^2
        tests = found[0].families[family].tests
        strong = sum(each.families[family].evidence >= 2 + np.log10(tests) for each in found)
        assert strong <= 4


@pytest.mark.parametrize(
    ("where", "share", "family"),
    [
        (True, 0.2, "whole"),
        ("query", 0.4, "query language"),
        ("passage", 0.5, "passage language"),
    ],
)
def test_counts_that_are_too_low_are_refused_by_the_test_for_them(where, share, family):
    collection, sides, ranks = problem()
    cells = {
        "query": (ranks.query_language[ranks.query] == 1)[:, None],
        "passage": np.arange(3) == 1,
    }.get(where, where)
    worst = sampled(collection, sides, lowered(ranks, share, cells), 1, (150, 100)).families[family]
    assert not worst.agrees
    assert worst.side == "above"
    assert worst.group == (0 if where is True else 1)


def test_counts_that_are_too_high_are_refused_too():
    collection, sides, ranks = problem()
    others = ranks.pool_sizes - 1 - ranks.above
    worse = replace(ranks, above=(ranks.above + np.rint(0.2 * others)).astype(np.int32))
    worst = sampled(collection, sides, worse, 1, (150, 100)).families["whole"]
    assert not worst.agrees
    assert worst.side == "below"


def test_a_query_that_claims_to_be_perfect_is_refused_when_it_is_drawn():
    collection, sides, ranks = problem()
    query = 7
    claimed = replace(ranks, above=np.where((ranks.query == query)[:, None], 0, ranks.above))
    found = sampled(collection, sides, claimed, size=(450, 30))
    assert (
        found.exceeded.any(1).nonzero()[0].tolist() == np.flatnonzero(ranks.query == query).tolist()
    )
    worst = found.families["query"]
    assert (worst.agrees, worst.group, worst.evidence) == (False, query, 300)


def test_counts_swapped_between_queries_are_refused_though_scores_stay():
    collection, sides, ranks = problem()
    order = np.concatenate([np.random.default_rng(0).permutation(150) + 150 * i for i in range(3)])
    rows = (ranks.starts[order][:, None] + np.arange(3)).ravel()
    found = sampled(collection, sides, replace(ranks, above=ranks.above[rows]), 3, (40, 40))
    assert found.exceeded.any()
    assert not found.families["whole"].agrees


def test_the_table_of_another_model_is_refused():
    collection, sides, _ = problem()
    found = sampled(collection, sides, problem(1)[2], size=(20, 20))
    assert found.disorder.any()
    assert found.exceeded.any()
    assert not any(worst.agrees for worst in found.families.values())


def test_two_relevant_passages_turned_round_are_refused():
    collection, sides, ranks = problem()
    place = ranks.place.copy()
    place[[0, 1]] = place[[1, 0]]
    found = sampled(collection, sides, replace(ranks, place=place), size=(450, 5))
    assert np.flatnonzero(found.disorder).tolist() == [0, 1]


def test_of_all_texts_one_count_too_few_or_too_many_is_seen():
    collection, sides, ranks = problem(questions=20)
    everything = (60, 24)
    assert sampled(collection, sides, ranks, size=everything).agrees
    for change in (-1, 1):
        above = ranks.above.copy()
        row, language = np.argwhere((above > 0) & (above < 20))[5]
        above[row, language] += change
        found = sampled(collection, sides, replace(ranks, above=above), size=everything)
        assert np.argwhere(found.exceeded).tolist() == [[row, language]]


def test_ties_cannot_be_hidden():
    collection = collection_of(languages(2), 40)
    sides = vectors(collection, noise=3.0)
    sides[1][:] = sides[1][np.arange(len(sides[1])) % 9]  # many passages have one vector
    ranks, _ = rank_collection(collection, *sides)
    assert ranks.tied.sum() > 100
    assert sampled(collection, sides, ranks, rounding=0).agrees
    hidden = replace(ranks, tied=np.zeros_like(ranks.tied))
    found = sampled(collection, sides, hidden, rounding=0)
    assert found.exceeded.any()
    assert not found.families["whole"].agrees
    coarse = sampled(collection, sides, hidden, rounding=0, tolerance=Tolerance(1e-5, ties=False))
    assert not coarse.exceeded.any()


def test_a_coarser_model_is_given_room_and_what_is_too_close_is_told():
    collection, sides, ranks = problem()
    generator = np.random.default_rng(0)
    noisy = [
        (side + 1e-3 * generator.standard_normal(side.shape)).astype(np.float32) for side in sides
    ]
    everything = (450, 154)
    fine = sampled(collection, noisy, ranks, size=everything)
    assert fine.exceeded.any()
    assert fine.undecided < 1e-3
    coarse = sampled(collection, noisy, ranks, size=everything, tolerance=Tolerance(1.5e-2))
    assert coarse.agrees
    assert 0.01 < coarse.undecided < 0.5


def test_what_the_sample_could_have_seen_is_what_it_refuses():
    collection, sides, ranks = problem()
    small = sampled(collection, sides, ranks, 4, (100, 20)).resolution
    large = sampled(collection, sides, ranks, 4, (100, 100)).resolution
    assert large.understated < small.understated
    assert large.excess <= small.excess
    refused = sampled(collection, sides, lowered(ranks, small.understated + 0.05), 4, (100, 20))
    assert not refused.families["whole"].agrees
    tiny = sampled(collection, sides, ranks, 4, (3, 1)).resolution
    assert tiny == (None, None)


def test_stakes_sum_to_what_the_table_claims():
    ranks = problem(questions=20)[2]
    claims, rows = claims_of(ranks, np.array([3, 17, 40]))
    assert np.all(ranks.query[rows] == np.repeat([3, 17, 40], 3))
    for query in range(3):
        stakes, claimed = _stakes(claims, query)
        assert stakes.shape == (2, TESTS // 2, 3, 3)
        expected = np.zeros((2, TESTS // 2, 3))
        for row in range(*claims.starts[query : query + 2]):
            own, asked = claims.passage_language[row], claims.query_language[query]
            for language in range(3):
                high = claims.above[row, language] + claims.tied[row, language]
                low = claims.pool[language] - 1 - high
                inside = [True, own == language == asked, own == language != asked]
                for side, count in enumerate((high, low)):
                    for cells in range(3):
                        place = slice(2 * cells, 2 * cells + 2)
                        added = np.array([count, count / (1 + count)]) * inside[cells]
                        expected[side, place, language] += added
        np.testing.assert_allclose(claimed, expected)


def test_all_tests_together_keep_the_false_alarm():
    tests = [12, 132, 132, 2400]
    assert sum(n * 10 ** -threshold(n) for n in tests) == pytest.approx(FALSE_ALARM)
