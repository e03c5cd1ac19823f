"""Reranked tables against sorting every pool, whatever the ties, depths and collections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import mlbench
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.products import Limits
from mlbench.ranking.reranking import FirstStage, most_candidates
from tests.oracles.scores import all_scores
from tests.ranking.test_counting import few_valued, graded_collection
from tests.ranking.test_topk import of_tokens
from tests.support.pairs_task import write_pairs

LIMITS = Limits(1)


def second_score(seed, query, passage):
    """A reranker that knows nothing and gives few values, so that ties abound."""
    return np.float32(np.random.default_rng([seed, query, passage]).integers(0, 4))


def seconds(candidates, seed):
    pairs = zip(candidates.query.tolist(), candidates.passage.tolist(), strict=True)
    return np.array([second_score(seed, *pair) for pair in pairs], np.float32)


def grades_of(collection, query):
    mine = collection.qrels.query == query
    pairs = zip(collection.qrels.passage[mine], collection.qrels.relevance[mine], strict=True)
    return {int(p): int(g) for p, g in pairs if g > 0}


def sorted_pool(collection, first, query, parts, depth, seed):
    """The passages of a pool in order, ``parts`` its languages: of equals the least relevant
    first, which is what a tie costs. Returns also the grades of the query's relevant passages."""
    grades = grades_of(collection, query)
    chosen = set()
    for part in parts:
        by_name = sorted(part, key=collection.passages.ids.__getitem__, reverse=True)
        chosen |= set(sorted(by_name, key=lambda p: (-first[query][p], grades.get(p, 0)))[:depth])

    def key(passage):
        again = passage in chosen
        score = second_score(seed, query, passage) if again else first[query][passage]
        return (not again, -score, grades.get(passage, 0))

    return sorted((p for part in parts for p in part), key=key), grades


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16), depth=st.integers(1, 14), dimension=st.integers(1, 6),
    as_given=st.sampled_from([np.asarray, sparse.csr_matrix, of_tokens]),
)  # fmt: skip
def test_every_pool_is_ranked_as_if_it_were_sorted(seed, depth, dimension, as_given):
    collection = graded_collection(seed)
    if not (collection.qrels.relevance > 0).any():
        return
    generator = np.random.default_rng(seed)
    queries, passages = (
        few_valued(generator, (n, dimension))
        for n in (len(collection.queries), len(collection.passages))
    )
    stage = FirstStage(collection, (as_given(queries), as_given(passages)), LIMITS)
    candidates = stage.candidates(depth)
    assert len(candidates) == most_candidates(collection, depth)
    ranks = stage.reranked(candidates, seconds(candidates, seed))
    sides = (queries, passages)
    if as_given is of_tokens:
        sides = ([of_tokens(side)[[i]].vectors for i in range(len(side))] for side in sides)
    first = all_scores(*sides)
    slices = [collection.passages.slice(language) for language in range(3)]
    checked = 0
    for pool in ([0], [1], [2], [0, 2], [0, 1, 2]):
        codes = [collection.languages[language] for language in pool]
        ranking = ranks.ranking_of_all(codes)
        for row, q in enumerate(ranking.query.tolist()):
            query = collection.queries.index[int(ranks.query_language[q]), ranks.query_ids[q]]
            parts = [range(slices[at].start, slices[at].stop) for at in pool]
            order, grades = sorted_pool(collection, first, query, parts, depth, seed)
            part = slice(ranking.starts[row], ranking.starts[row + 1])
            expected = [rank for rank, p in enumerate(order, 1) if p in grades]
            assert ranking.rank[part].tolist() == expected
            assert ranking.grade[part].tolist() == [grades[order[r - 1]] for r in expected]
            checked += 1
    assert checked


def test_the_first_stages_own_scores_change_no_rank_to_the_depth():
    collection = graded_collection(5)
    generator = np.random.default_rng(5)
    vectors = tuple(
        generator.standard_normal((n, 8)).astype(np.float32)
        for n in (len(collection.queries), len(collection.passages))
    )
    stage = FirstStage(collection, vectors, LIMITS)
    candidates = stage.candidates(3)
    same = np.argsort(np.argsort(candidates.scores)).astype(np.float32)
    expected, _ = rank_collection(collection, *vectors)
    assert stage.ranks.above.tolist() == expected.above.tolist()
    again = stage.reranked(candidates, same)
    for pool in (["ar"], ["de"], ["el"], ["ar", "el"], ["ar", "de", "el"]):
        before, after = (ranks.ranking_of_all(pool).rank for ranks in (expected, again))
        if len(pool) == 1:
            assert after.tolist() == before.tolist()
        assert after[before <= 3].tolist() == before[before <= 3].tolist()
        assert (after > 3).tolist() == (before > 3).tolist()


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_pairs_are_reranked_each_in_its_own_pool(tmp_path, depth):
    task = mlbench.load_task(write_pairs(tmp_path, ties=True))
    collection = read_collection(task, Locator(tmp_path, True).of(task))
    generator = np.random.default_rng(3)
    vectors = tuple(
        few_valued(generator, (n, 5)) for n in (len(collection.queries), len(collection.passages))
    )
    stage = FirstStage(collection, vectors, LIMITS)
    candidates = stage.candidates(depth)
    assert len(candidates) == most_candidates(collection, depth)
    ranks = stage.reranked(candidates, seconds(candidates, 3))
    first = all_scores(*vectors)
    for setting in collection.roles.settings(task.kinds):
        asked, pool = collection.asked(setting), collection.searched(setting)
        ranking = ranks.ranking(setting.query_language, setting.passage_languages)
        found = sorted(ranking.rank.tolist())
        expected = []
        for query in range(asked.start, asked.stop):
            parts = [range(pool.start, pool.stop)]
            order, grades = sorted_pool(collection, first, query, parts, depth, 3)
            expected += [rank for rank, p in enumerate(order, 1) if p in grades]
        assert found == sorted(expected)
