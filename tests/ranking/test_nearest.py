"""The best passages found in pieces are those found in all at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlbench.ranking.nearest import Nearest
from mlbench.ranking.products import Limits, Pairs
from mlbench.ranking.topk import nearest_of
from tests.oracles.scores import all_scores
from tests.ranking.test_counting import few_valued
from tests.ranking.test_topk import of_tokens


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16), depth=st.integers(1, 9), step=st.integers(1, 30),
    as_given=st.sampled_from([np.asarray, sparse.csr_matrix, of_tokens]), merged=st.booleans(),
)  # fmt: skip
def test_pieces_give_what_all_at_once_gives(seed, depth, step, as_given, merged):
    generator = np.random.default_rng(seed)
    queries, passages = (few_valued(generator, (n, 3)) for n in (4, 24))
    ids = [f"p{i}" for i in generator.permutation(24)]
    grades = generator.choice([0, 0, 0, 1, 2], (4, 24))
    given_queries, given_passages = as_given(queries), as_given(passages)
    best, parts = Nearest.nothing(4, depth), []
    for start in range(0, 24, step):
        part = slice(start, min(start + step, 24))
        query, place = np.nonzero(grades[:, part])
        relevant = Pairs(query, place), grades[:, part][query, place].astype(np.int32)
        before = Nearest.nothing(4, depth) if merged else best
        found = nearest_of(
            given_queries, given_passages[part], ids[part], relevant, before, Limits(2)
        )
        best = best.and_also(found)
        parts.append(found)
    if merged:
        best = Nearest.nothing(4, depth)
        for found in reversed(parts):
            best = best.and_also(found)
    sides = (queries, passages)
    if as_given is of_tokens:
        sides = ([of_tokens(side)[[i]].vectors for i in range(len(side))] for side in sides)
    exact = all_scores(*sides)
    for row in range(4):
        by_id = sorted(range(24), key=ids.__getitem__, reverse=True)
        order = sorted(by_id, key=lambda p: (-exact[row][p], grades[row, p]))[:depth]
        there = best.scores[row] > -np.inf
        assert [best.ids[n] for n in best.number[row][there]] == [ids[p] for p in order]
        assert best.scores[row][there].tolist() == [exact[row][p] for p in order]
        assert best.relevance[row][there].tolist() == [grades[row, p] for p in order]
    assert len(best.ids) == len({*best.ids}) <= 4 * depth


def test_nothing_and_something_is_something():
    nothing = Nearest.nothing(2, 3)
    assert nothing.and_also(nothing) is nothing
    assert pytest.approx(nothing.scores) == np.full((2, 3), -np.inf)
