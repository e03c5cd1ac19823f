"""Top-k against sorting all exact scores, whatever the ties, sizes, blocks and threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlbench.ranking import kernels, topk
from mlbench.ranking.products import Limits
from mlbench.ranking.topk import Searched, query_rows, top_passages
from mlbench.ranking.vectors import TokenVectors
from mlbench.runs.writing import falling
from tests.oracles.scores import all_scores

FORMS = {
    "normal": lambda g, n, d: g.standard_normal((n, d)),
    "many ties": lambda g, n, d: g.integers(-1, 2, (n, d)),
    "collapsed": lambda g, n, d: np.full((n, d), 0.5),
    "zeros": lambda g, n, d: g.integers(0, 2, (n, d)) * (g.random((n, d)) < 0.2),
    "extreme": lambda g, n, d: g.standard_normal((n, d)) * 10.0 ** g.integers(-18, 18, (n, 1)),
    "near": lambda g, n, d: 1 + 1e-7 * g.integers(-2, 3, (n, d)),
}


def of_tokens(rows):
    """Texts of one to three vectors each, the first of them that row."""
    more = [rows[(i + 1) % len(rows) :][: i % 3] for i in range(len(rows))]
    return TokenVectors.of([np.vstack([row, *few]) for row, few in zip(rows, more, strict=True)])


KINDS = {"dense": np.asarray, "sparse": sparse.csr_matrix, "tokens": of_tokens}


def made(form, generator, kind="dense"):
    queries, dimension = int(generator.integers(1, 9)), int(generator.integers(1, 40))
    sizes = generator.integers(1, 40, generator.integers(1, 4))
    passages = int(sizes.sum())
    vectors = [FORMS[form](generator, n, dimension).astype(np.float32) for n in (queries, passages)]
    relevant = [
        np.sort(generator.choice(passages, min(2, passages), replace=False)) for _ in range(queries)
    ]
    return Searched(
        *map(KINDS[kind], vectors),
        starts=np.append(0, np.cumsum(sizes)),
        place=generator.permutation(passages),
        query=np.repeat(np.arange(queries), len(relevant[0])),
        passage=np.concatenate(relevant),
        relevance=generator.integers(1, 3, queries * len(relevant[0])).astype(np.int32),
    )


def exact_scores(searched):
    queries, passages = searched.queries, searched.passages
    pairs = [(i, j) for i in range(queries.shape[0]) for j in range(passages.shape[0])]
    query, passage = np.array(pairs, np.int64).T.copy()
    if isinstance(queries, TokenVectors):
        sides = ([texts[[i]].vectors for i in range(len(texts))] for texts in (queries, passages))
        return np.array(all_scores(*sides))
    if isinstance(queries, np.ndarray):
        scores = kernels.pair_scores(queries, passages, query, passage)
    else:
        parts = [(m.indptr, m.indices, m.data) for m in (queries, passages)]
        scores = kernels.sparse_pair_scores(*parts[0], *parts[1], query, passage)
    return scores.reshape(queries.shape[0], passages.shape[0])


def slow_top(searched, scores, query, pool, depth):
    """Sort the whole pool: score, then not relevant before relevant, then place."""
    grade = {
        int(p): int(g)
        for q, p, g in zip(searched.query, searched.passage, searched.relevance, strict=True)
        if q == query
    }
    everything = pool == searched.languages
    part = (0, len(searched.place)) if everything else searched.starts[pool : pool + 2]
    order = sorted(
        range(*part), key=lambda p: (-scores[query, p], grade.get(p, 0), searched.place[p])
    )
    return order[:depth]


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(KINDS)), st.integers(0, 10**6),
    st.integers(1, 50), st.integers(1, 3),
)  # fmt: skip
def test_the_best_passages_are_those_of_a_full_sort(form, kind, seed, depth, threads):
    searched = made(form, np.random.default_rng(seed), kind)
    scores = exact_scores(searched)
    size = searched.queries.shape[0]
    pools = list(range(searched.languages + 1))
    blocks = [(slice(i, min(i + 3, size)), pools) for i in range(0, size, 3)]
    seen = 0
    for top in top_passages(searched, blocks, depth, Limits(threads)):
        for pool, (passages, found) in top.pools.items():
            for row, query in enumerate(range(top.queries.start, top.queries.stop)):
                expected = slow_top(searched, scores, query, pool, depth)
                assert [p for p in passages[row] if p >= 0] == expected
                assert found[row][: len(expected)].tolist() == scores[query, expected].tolist()
                seen += 1
    assert seen == size * len(pools)


def test_tiles_and_blocks_change_nothing(monkeypatch):
    for kind in KINDS:
        searched = made("many ties", np.random.default_rng(3), kind)
        found = []
        for tile, rows in ((2048, 99), (1, 1), (7, 4)):
            monkeypatch.setattr(topk, "PASSAGE_TILE", tile)
            monkeypatch.setattr(topk, "FIRST_LOOK", tile)
            monkeypatch.setattr(topk, "DEPTHS_A_TILE", 0)
            size = searched.queries.shape[0]
            blocks = [(slice(i, min(i + rows, size)), [0]) for i in range(0, size, rows)]
            tops = list(top_passages(searched, blocks, 5, Limits(2)))
            found.append(np.concatenate([top.pools[0][0] for top in tops]).tolist())
        assert found[0] == found[1] == found[2]


def test_only_the_pools_asked_for_come_back():
    searched = made("normal", np.random.default_rng(9))
    (top,) = top_passages(searched, [(slice(0, 1), [0])], 3, Limits())
    assert set(top.pools) == {0}


def test_progress_counts_every_pair_and_a_failure_ends_the_work():
    searched = made("normal", np.random.default_rng(1))
    size = searched.queries.shape[0]
    told = []
    list(top_passages(searched, [(slice(0, size), [0])], 3, Limits(), told.append))
    assert sum(told) == size * len(searched.place)
    broken = replace(searched, passages=np.ones((len(searched.place), 1), np.float32))
    with pytest.raises(ValueError, match="matmul"):
        list(top_passages(broken, [(slice(0, 1), [0])] * 9, 3, Limits()))


def test_a_block_has_the_fewer_queries_the_longer_the_lists_and_the_less_memory():
    searched = made("normal", np.random.default_rng(1))
    rows = [query_rows(searched, depth, Limits(2, 2**28)) for depth in (10, 1000, 10**5, 10**7)]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == topk.QUERY_ROWS
    assert rows[-1] == 1
    lists = (searched.languages + 1) * 10**5 * 16 * query_rows(searched, 10**5, Limits(2, 2**28))
    assert 2 * lists <= 2**28


def test_written_scores_fall_strictly_and_stay_within_the_ties():
    scores = np.array([[1.0, 1.0, 1.0 - 1e-12, 0.5, 0.0, 0.0, -0.0, -7.0]])
    out = falling(scores)
    assert (np.diff(out[0]) < 0).all()
    assert out[0, 0] == 1
    assert out[0, 3] == np.float32(0.5)
    assert out[0, 2] == np.nextafter(np.nextafter(np.float32(1), np.float32(0)), np.float32(0))
    assert np.abs(out - scores).max() < 1e-6
