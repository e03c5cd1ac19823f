from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.task import Kind, all_settings
from mlbench.measures.rank_measures import parse_measures
from mlbench.ranking.kernels import sum_runs
from mlbench.ranking.ranks import shared_pools
from tests.ranking.test_ranks import random_table

MEASURES = parse_measures(["AP", "AP(rel=2)", "RR@5", "nDCG", "nDCG@10", "R@10", "Rprec"])


@given(
    seed=st.integers(0, 2**16),
    languages=st.integers(1, 4),
    queries=st.integers(0, 7),
    optimistic=st.booleans(),
)
def test_a_measure_over_a_shared_pool_is_that_of_each_setting(seed, languages, queries, optimistic):
    generator = np.random.default_rng(seed)
    ranks = random_table(generator, languages, queries)
    every = all_settings(ranks.languages, Kind)
    chosen = [every[i] for i in generator.permutation(len(every))[: generator.integers(1, 99)]]
    seen = set()
    for pool in shared_pools(ranks, chosen, optimistic=optimistic):
        for measure in MEASURES:
            values = measure.per_query(pool.ranking)
            sums = sum_runs(values, pool.cuts)
            for i, own in pool.queries.items():
                seen.add(i)
                alone = ranks.ranking(
                    chosen[i].query_language, chosen[i].passage_languages, optimistic=optimistic
                )
                expected = measure.per_query(alone)
                assert pool.ranking.query[own].tolist() == alone.query.tolist()
                assert values[own].tolist() == expected.tolist()
                assert sums[pool.language[i]] == sum(expected.tolist())
    assert seen == set(range(len(chosen)))


def test_sums_are_taken_from_left_to_right():
    values = np.array([1.0, 1e100, 1.0, -1e100, 0.1, 0.2, 0.3])
    assert sum_runs(values, np.array([0, 4, 4, 7])).tolist() == [0.0, 0.0, 0.1 + 0.2 + 0.3]


@pytest.mark.parametrize("pool", [("ar",), ("ar", "de")])
def test_a_language_named_twice_counts_once(pool):
    ranks = random_table(np.random.default_rng(1), 3, 7)
    for language in ranks.languages:
        once = ranks.ranking(language, pool)
        twice = ranks.ranking(language, (*pool, pool[0]))
        assert once.rank.tolist() == twice.rank.tolist()
        assert once.pool_size == twice.pool_size
