from __future__ import annotations

import numpy as np
import pytest

from mlbench.bias import outranking_matrix, rank_distance
from mlbench.table import rank_collection
from tests.oracles.scores import all_scores
from tests.strategies import parallel_collection, vectors_for


def slow_ranks(scores: list[list[float]], query: int, relevant: list[int]) -> list[int]:
    """Pessimistic ranks of the relevant passages of one query over the whole collection."""
    others = [s for p, s in enumerate(scores[query]) if p not in relevant]
    own = sorted((scores[query][p] for p in relevant), reverse=True)
    return [i + sum(s >= score for s in others) for i, score in enumerate(own, 1)]


def relevant_of(collection, query: int) -> list[int]:
    return collection.qrels.passage[collection.qrels.query == query].tolist()


@pytest.mark.parametrize("ties", [False, True])
def test_rank_distance_equals_the_slow_oracle(ties):
    collection = parallel_collection(3, 6, 9)
    queries, passages = vectors_for(collection, dimension=8)
    if ties:
        queries, passages = np.round(queries * 2), np.round(passages * 2)
    ranks, _ = rank_collection(collection, queries, passages)
    scores = all_scores(queries, passages)
    for number, language in enumerate(collection.languages):
        found = rank_distance(ranks, language)
        part = collection.queries.slice(number)
        expected = {}
        for query in range(part.start, part.stop):
            spread = slow_ranks(scores, query, relevant_of(collection, query))
            expected[collection.queries.ids[query]] = spread[-1] - spread[0]
        ids = [ranks.query_ids[q] for q in found.query]
        assert dict(zip(ids, found.distance.tolist(), strict=True)) == expected
        assert found.floor.tolist() == [2] * 6
        assert found.expected.tolist() == [(27 + 1) * 2 / 4] * 6
        assert found.excluded == 0


def test_rank_distance_of_a_random_order_is_its_expectation():
    collection = parallel_collection(11, 60, 60)
    distances = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        queries = generator.standard_normal((len(collection.queries), 16)).astype(np.float32)
        passages = generator.standard_normal((len(collection.passages), 16)).astype(np.float32)
        ranks, _ = rank_collection(collection, queries, passages)
        found = rank_distance(ranks, "ar")
        distances.append(found.distance.mean())
    expected = (660 + 1) * 10 / 12
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances) - expected) < 4 * error


def test_queries_with_one_relevant_passage_are_excluded_and_counted():
    collection = parallel_collection(1, 5, 7)
    ranks, _ = rank_collection(collection, *vectors_for(collection))
    found = rank_distance(ranks, "ar")
    assert (len(found.query), found.excluded) == (0, 5)


def test_outranking_matrix_equals_the_slow_oracle():
    collection = parallel_collection(3, 6, 9)
    queries, passages = vectors_for(collection, dimension=8, strength=0.5)
    ranks, _ = rank_collection(collection, queries, passages)
    scores = all_scores(queries, passages)
    outranking, at_hand = np.zeros((3, 3)), np.zeros((3, 3))
    for query in range(len(collection.queries)):
        q = collection.queries.language[query]
        relevant = relevant_of(collection, query)
        for target in relevant:
            for other in range(len(collection.passages)):
                if other not in relevant:
                    p = collection.passages.language[other]
                    at_hand[q, p] += 1
                    outranking[q, p] += scores[query][other] >= scores[query][target]
    expected = (outranking / outranking.sum(1, keepdims=True)) / (
        at_hand / at_hand.sum(1, keepdims=True)
    )
    assert outranking_matrix(ranks) == pytest.approx(expected)


def test_a_model_that_clings_to_the_query_language_shows_on_the_diagonal():
    collection = parallel_collection(4, 40, 60)
    for pull, least, most in ((0.0, 0.7, 1.4), (6.0, 1.6, 4.0)):
        vectors = vectors_for(collection, strength=0.3, language_pull=pull)
        diagonal = np.diag(outranking_matrix(rank_collection(collection, *vectors)[0]))
        assert (diagonal > least).all()
        assert (diagonal < most).all()


def test_a_perfect_model_has_the_floor_and_nobody_outranks():
    collection = parallel_collection(3, 5, 5)
    meaning = np.eye(5, dtype=np.float32)
    queries = meaning[[int(id_[1:]) for id_ in collection.queries.ids]]
    passages = meaning[[int(id_[1:]) for id_ in collection.passages.ids]]
    ranks, _ = rank_collection(collection, queries, passages)
    assert rank_distance(ranks, "de").distance.tolist() == [2] * 5
    assert np.isnan(outranking_matrix(ranks)).all()
