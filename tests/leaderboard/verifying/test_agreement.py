"""Does a table agree with a sample of vectors: honest ones do, forged ones do not."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.leaderboard.verifying.agreement import (
    FALSE_ALARM,
    FAMILIES,
    TESTS,
    _stakes,
    threshold,
)
from mlbench.leaderboard.verifying.betting import STAKES, evidence, log_wealth
from mlbench.leaderboard.verifying.claims import (
    Claims,
    Populations,
    Tolerance,
    Vectors,
    _norms,
    see,
)
from mlbench.leaderboard.verifying.samples import claims_of
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.vectors import TokenVectors
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
                low = claims.populations.size[language] - 1 - high
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


STARTS = np.array([0, 4, 7])
RELEVANT = np.array([1, 5, 0, 2, 6])


def claims(place=(1, 2, 1, 2, 3)) -> Claims:
    """Two queries, of two and three relevant passages, two languages of 4 and 3 passages."""
    zeros = np.zeros((5, 2), np.int64)
    language = np.array([0, 1, 0, 0, 1])
    place, populations = np.array(place), Populations.of_languages(np.array([4, 3]))
    return Claims(np.array([0, 2, 5]), np.array([0, 1]), language, place, zeros, zeros, populations)


def scored_as(scores) -> Vectors:
    """Vectors of which query i has the given score with passage j, and all have norm 1 or so."""
    scores = np.array(scores, np.float32)
    passages = np.hstack([scores.T, np.ones((7, 1), np.float32)])
    queries = np.eye(2, 3, dtype=np.float32)
    return Vectors(queries, passages, STARTS, RELEVANT, np.array([3, 0, 6]), np.array([0, 2, 3]))


SCORES = np.array([
    [0.1, 0.5, 0.5, 0.9, 0.5001, 0.3, 0.2],
    [0.8, 0.1, 0.7, 0.75, 0.7, 0.2, 0.3],
])  # fmt: skip


def one_token_each(rows):
    return TokenVectors.of(rows[:, None])


def test_scores_of_several_tokens_are_bounded_by_their_norms():
    texts = TokenVectors.of([np.diag([3.0, 4.0]), np.eye(2)[:1] * 7])
    assert _norms(texts, np.add).tolist() == [7, 7]
    assert _norms(texts, np.maximum).tolist() == [4, 7]


@pytest.mark.parametrize(
    "tolerance", [Tolerance(0.0), Tolerance(1e-3), Tolerance(1e-3, ties=False)]
)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, one_token_each])
def test_counts_are_those_of_a_slow_loop(tolerance, make):
    given, said = scored_as(SCORES), claims()
    norms = np.linalg.norm(given.passages, axis=1)
    exact = given.queries.astype(float) @ given.passages.astype(float).T
    given = Vectors(make(given.queries), make(given.passages), *list(vars(given).values())[2:])
    for query, found in enumerate(see(said, given, tolerance)):
        rows = range(*said.starts[query : query + 2])
        own = {int(RELEVANT[row]) for row in rows}
        for at, row in enumerate(rows):
            r = RELEVANT[row]
            expected = np.zeros((4, 2), int)
            for j in set(range(7)) - own:
                room = tolerance.share * (norms[j] + norms[r])
                difference = exact[query, j] - exact[query, r]
                level = difference > room or (tolerance.ties and difference == 0)
                sides = (True, difference > room, level, difference < -room)
                expected[:, int(j >= 4)] += sides
                if j in (3, 0, 6):
                    hit = found.hits[:, at, [3, 0, 6].index(j)]
                    assert hit.tolist() == [level, difference < -room]
            np.testing.assert_array_equal([part[at] for part in found.seen], expected)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ((1, 2, 1, 2, 3), []),
        ((2, 1, 1, 2, 3), [0, 1]),
        ((1, 1, 1, 2, 3), [0, 1]),
        ((1, 2, 1, 3, 2), [3, 4]),
        ((1, 2, 3, 1, 2), [2, 3, 4]),
    ],
)
def test_places_must_be_in_the_order_of_scores(place, wrong):
    found = see(claims(place), scored_as(SCORES), Tolerance(1e-3))
    assert np.flatnonzero(np.concatenate([each.disorder for each in found])).tolist() == wrong


def test_places_of_scores_too_close_to_call_may_be_either_way():
    scores = SCORES.copy()
    scores[0, 5] = 0.4999
    for place in ((1, 2, 1, 2, 3), (2, 1, 1, 2, 3), (1, 1, 1, 2, 3)):
        found = see(claims(place), scored_as(scores), Tolerance(1e-3))
        assert not any(each.disorder.any() for each in found)


def test_others_are_the_passages_not_relevant_to_the_query():
    assert claims().others().tolist() == [[3, 2]] * 2 + [[2, 2]] * 3


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
