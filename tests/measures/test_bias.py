from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlbench.data.building import build_collection
from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.measures.bias import (
    MixedPool,
    complete,
    equal_expected_rank,
    max_rank,
    other_target_removed,
    own_target_removed,
    rank_distance,
    recall_by_language,
)
from mlbench.measures.outranking import OwnOutranking, outranking_matrix
from mlbench.measures.significance import question_clusters
from mlbench.ranking.counting import rank_collection
from mlbench.ranking.ranks import Ranking
from tests.oracles.scores import all_scores
from tests.support.reports import collection_of, vectors
from tests.support.strategies import parallel_collection, vectors_for


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


def tied_and_not(collection):
    """Vectors without equal scores, and vectors with many."""
    queries, passages = vectors_for(collection, dimension=8)
    return [(queries, passages), (np.round(queries * 2), np.round(passages * 2))]


def slow_ranking(
    collection, scores: list[list[float]], query: int, gone: set[int], optimistic: bool = False
) -> list[int]:
    """Every passage but those gone, best first; ties against the model or for it."""
    relevant = set(relevant_of(collection, query)) - gone
    sign = -1 if optimistic else 1
    left = [p for p in range(len(collection.passages)) if p not in gone]
    return sorted(left, key=lambda p: (-scores[query][p], sign * (p in relevant)))


def slow_average_precision(order: list[int], relevant: set[int]) -> float:
    hits = [i for i, p in enumerate(order, 1) if p in relevant]
    return sum(found / rank for found, rank in enumerate(hits, 1)) / len(hits)


@pytest.mark.parametrize("optimistic", [False, True])
def test_a_removed_target_leaves_pool_and_judgements(optimistic):
    for apart in (False, True):
        collection = collection_of(("ar", "de", "el", "en"), questions=5, apart=apart)
        for queries, passages in tied_and_not(collection):
            ranks, _ = rank_collection(collection, queries, passages)
            scores = all_scores(queries, passages)
            for number, language in enumerate(collection.languages):
                pool = MixedPool.of(ranks, language, optimistic=optimistic)
                part = collection.queries.slice(number)
                expected = []
                for query in range(part.start, part.stop):
                    relevant = set(relevant_of(collection, query))
                    whole = slow_ranking(collection, scores, query, set(), optimistic)
                    row = []
                    for other in range(4):
                        gone = {p for p in relevant if collection.passages.language[p] == other}
                        if not gone or gone == relevant:
                            row.append(math.nan)
                            continue
                        cut = slow_ranking(collection, scores, query, gone, optimistic)
                        before = slow_average_precision(whole, relevant)
                        row.append(slow_average_precision(cut, relevant - gone) - before)
                    expected.append(row)
                found = np.array(expected)
                order = np.argsort(
                    [collection.queries.ids[q] for q in range(part.start, part.stop)]
                )
                assert pool.changes == pytest.approx(found[order], nan_ok=True)
                own = found[order][:, number]
                others = np.nanmean(np.delete(found[order], number, axis=1), axis=1)
                assert own_target_removed(pool) == pytest.approx(own, nan_ok=True)
                assert other_target_removed(pool) == pytest.approx(others, nan_ok=True)


def test_a_perfect_model_loses_nothing_with_a_target():
    collection = collection_of(("ar", "de", "el"))
    ranks, _ = rank_collection(collection, *vectors(collection, noise=0, pull=0))
    assert MixedPool.of(ranks, "de").changes.tolist() == [[0.0] * 3] * 8


def test_the_own_target_first_and_the_others_last_has_a_closed_form():
    """Ranks 1, N - 1 and N: without the first (0.5/(N-2) + ...) and without one of the others."""
    size = 20
    pool = made_pool([1, size - 1, size], [0, 1, 2], size)
    whole = (1 + 2 / (size - 1) + 3 / size) / 3
    assert own_target_removed(pool) == pytest.approx(
        [(1 / (size - 2) + 2 / (size - 1)) / 2 - whole]
    )
    others = [(1 + 2 / (size - 1)) / 2 - whole] * 2
    assert other_target_removed(pool) == pytest.approx([np.mean(others)])


def made_pool(ranks: list[int], languages: list[int], size: int, grades=None) -> MixedPool:
    """The mixed pool of one query of language 0 with these ranks."""
    count = len(ranks)
    ranking = Ranking(
        query=np.array([0]),
        starts=np.array([0, count]),
        rank=np.array(ranks),
        grade=np.array(grades or [1] * count, np.int32),
        row=np.arange(count),
        pool_size=size,
        excluded=0,
    )
    return MixedPool(ranking, 0, np.array(languages), max(languages) + 1)


def test_max_rank_is_100_at_the_top_and_0_at_the_bottom():
    assert max_rank(made_pool([1, 2, 3], [0, 1, 2], 64)).tolist() == [100]
    assert max_rank(made_pool([1, 2, 64], [0, 1, 2], 64)).tolist() == [0]
    assert max_rank(made_pool([1, 16], [0, 1], 32)) == pytest.approx([100 * (5 - 4) / (5 - 1)])
    assert np.isnan(max_rank(made_pool([4], [0], 64))).all()
    assert np.isnan(max_rank(made_pool([1, 2], [0, 1], 2))).all()


def test_complete_needs_every_relevant_passage():
    pool = made_pool([1, 2, 7], [0, 1, 2], 64)
    assert [complete(pool, k).tolist() for k in (6, 7, 64)] == [[0], [1], [1]]
    assert np.isnan(complete(made_pool([1], [0], 64), 10)).all()


def test_max_rank_and_complete_equal_the_slow_oracle():
    collection = parallel_collection(3, 6, 9)
    for queries, passages in tied_and_not(collection):
        ranks, _ = rank_collection(collection, queries, passages)
        scores = all_scores(queries, passages)
        pool = MixedPool.of(ranks, "de")
        last = []
        for id_ in (ranks.query_ids[q] for q in pool.ranking.query):
            part = collection.queries.slice(1)
            query = part.start + collection.queries.ids[part].index(id_)
            last.append(slow_ranks(scores, query, relevant_of(collection, query))[-1])
        expected = [100 * math.log(27 / rank) / math.log(27 / 3) for rank in last]
        assert max_rank(pool) == pytest.approx(expected)
        assert complete(pool, 10).tolist() == [float(rank <= 10) for rank in last]


def reference_peer(groups: list[list[int]]) -> float:
    """The p value as the authors' peer_measure takes it: ranks in the list, chi-squared."""
    everything = np.concatenate(groups).astype(float)
    centre = everything.mean()
    between = sum(len(g) * (np.mean(g) - centre) ** 2 for g in groups)
    statistic = (len(everything) - 1) * between / ((everything - centre) ** 2).sum()
    return float(stats.chi2.sf(statistic, len(groups) - 1))


def test_peer_equals_its_definition():
    generator = np.random.default_rng(5)
    for _ in range(30):
        languages = [0, 0, 0, 1, 1, 2]
        ranks = sorted(generator.choice(200, 6, replace=False) + 1)
        shuffled = generator.permutation(languages)
        groups = [[r for r, x in zip(ranks, shuffled, strict=True) if x == i] for i in range(3)]
        found = equal_expected_rank(made_pool(ranks, shuffled.tolist(), 200))
        assert found == pytest.approx([reference_peer(groups)])


def test_peer_of_the_first_ranks_is_the_kruskal_wallis_test():
    languages = [0, 1, 0, 0, 1, 2, 2, 1]
    groups = [[i for i, x in enumerate(languages, 1) if x == code] for code in range(3)]
    found = equal_expected_rank(made_pool(list(range(1, 9)), languages, 50))
    assert found == pytest.approx([stats.kruskal(*groups).pvalue])


def test_peer_takes_each_grade_by_itself():
    pool = made_pool([1, 2, 5, 9, 11, 20], [0, 1, 0, 1, 0, 0], 50, [1, 1, 2, 2, 1, 2])
    one, two = reference_peer([[1, 11], [2]]), reference_peer([[5, 20], [9]])
    assert equal_expected_rank(pool) == pytest.approx([(one + two) / 2])


def test_peer_is_not_shown_where_it_is_constant():
    assert np.isnan(equal_expected_rank(made_pool([1, 5, 9], [0, 1, 2], 50))).all()
    assert np.isnan(equal_expected_rank(made_pool([1, 5, 9], [1, 1, 1], 50))).all()


def test_recall_by_passage_language_equals_the_slow_count():
    collection = parallel_collection(3, 6, 9)
    ranks, _ = rank_collection(collection, *vectors_for(collection))
    ranking = ranks.ranking("ar", ranks.languages)
    rows = list(zip(ranks.passage_language[ranking.row], ranking.rank, strict=True))
    expected = [np.mean([rank <= 5 for code, rank in rows if code == i]) for i in range(3)]
    assert recall_by_language(MixedPool.of(ranks, "ar"), 5) == pytest.approx(expected)


def several_a_language():
    """Three questions with two relevant passages in each of two languages."""
    records = Records()
    for code in ("ar", "de"):
        for i in range(8):
            records.passages.append(TextRecord(f"p{i}", code, f"passage {i} {code}", "here"))
        for i in range(3):
            records.queries.append(TextRecord(f"q{i}", code, f"question {i} {code}", "here"))
            records.judgements += [
                Judgement(f"q{i}", code, f"p{2 * i + j}", other, 1, "here")
                for other in ("ar", "de")
                for j in range(2)
            ]
    return build_collection(("ar", "de"), records)


def test_peer_is_in_the_table_where_a_language_has_several():
    collection = several_a_language()
    ranks, _ = rank_collection(collection, *vectors_for(collection))
    pool = MixedPool.of(ranks, "ar")
    for query, value in enumerate(equal_expected_rank(pool)):
        rows = slice(*pool.ranking.starts[query : query + 2])
        groups = [pool.ranking.rank[rows][pool.language[rows] == code].tolist() for code in (0, 1)]
        assert value == pytest.approx(reference_peer(groups))


def test_drawn_questions_outrank_as_a_slow_loop_over_them_counts():
    collection = parallel_collection(3, 6, 9)
    tables = [rank_collection(collection, *vectors_for(collection, dimension=d))[0] for d in (4, 8)]
    clusters = question_clusters(tables[0])
    parts = [OwnOutranking.of(ranks, clusters.of, clusters.count) for ranks in tables]
    weights = np.array([[1.0] * 6, [2, 0, 1, 0, 3, 0]])
    found = OwnOutranking.beside(parts).drawn(weights)
    for model, ranks in enumerate(tables):
        whole = np.diag(outranking_matrix(ranks))
        assert found[0, model] == pytest.approx([whole.mean(), *whole])
        expected = []
        for language in range(3):
            own = every = own_pool = pool = 0.0
            for row, query in enumerate(ranks.query.tolist()):
                if ranks.query_language[query] != language:
                    continue
                times = weights[1, clusters.of[query]]
                outranking = ranks.above[row].astype(int) + ranks.tied[row]
                relevant = ranks.passage_language[ranks.query == query].tolist()
                left = [size - relevant.count(i) for i, size in enumerate(ranks.pool_sizes)]
                own, every = own + times * outranking[language], every + times * outranking.sum()
                own_pool, pool = own_pool + times * left[language], pool + times * sum(left)
            expected.append(own / every / (own_pool / pool))
        assert found[1, model] == pytest.approx([np.mean(expected), *expected])
