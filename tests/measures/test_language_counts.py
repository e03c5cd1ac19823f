"""The language-count curve: against every subset scored by itself, and its ends."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mlbench.measures.bias import rank_distance
from mlbench.measures.language_counts import language_counts, language_subsets
from mlbench.measures.rank_measures import parse_measure
from mlbench.ranking.counting import rank_collection
from tests.support.reports import collection_of, example, languages, vectors
from tests.support.strategies import parallel_collection, vectors_for


def slow_scores(ranks, chosen: tuple[str, ...]) -> tuple[float | None, float | None]:
    """mAP and rank distance of the task cut down to some languages."""
    cut = ranks.subset(chosen)
    precision, distance = [], []
    for language in chosen:
        ranking = cut.ranking(language, chosen)
        if len(ranking.query):
            precision.append(parse_measure("AP").per_query(ranking).mean())
        found = rank_distance(cut, language)
        if len(found.query):
            distance.append(found.distance.mean())
    return (
        float(np.mean(precision)) if precision else None,
        float(np.mean(distance)) if distance else None,
    )


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_every_size_is_the_mean_over_all_its_subsets(apart, ties):
    collection = collection_of(languages(5), questions=4, apart=apart)
    queries, passages = vectors(collection)
    if ties:
        queries, passages = np.round(queries * 5), np.round(passages * 5)
    ranks, _ = rank_collection(collection, queries, passages)
    counts = language_counts(ranks)
    assert [count.languages for count in counts] == [1, 2, 3, 4, 5]
    for count in counts:
        subsets = list(itertools.combinations(ranks.languages, count.languages))
        assert count.subsets == count.all_subsets == len(subsets)
        scores = [slow_scores(ranks, subset) for subset in subsets]
        for found, each in (
            (count.average_precision, [ap for ap, _ in scores if ap is not None]),
            (count.rank_distance, [distance for _, distance in scores if distance is not None]),
        ):
            if not each:
                assert found is None
                continue
            assert found is not None
            assert found.value == pytest.approx(np.mean(each))
            assert (found.least, found.most) == pytest.approx((min(each), max(each)))


def test_the_ends_of_the_curve_are_the_macro_scores():
    report, ranks = example(4)
    first, *_, last = language_counts(ranks)
    macro, bias = report.scores.macro, report.scores.bias
    assert first.average_precision is not None
    assert first.average_precision.value == pytest.approx(macro["monolingual"]["AP"].value)
    assert first.rank_distance is first.floor is first.random is None
    assert last.average_precision is not None
    assert last.rank_distance is not None
    assert last.average_precision.value == pytest.approx(macro["multilingual"]["AP"].value)
    assert last.rank_distance.value == pytest.approx(bias.rank_distance.value)
    assert (last.floor, last.random) == pytest.approx((bias.floor, bias.random))


def test_a_perfect_model_stays_perfect_and_at_the_floor():
    collection = collection_of(languages(4))
    ranks, _ = rank_collection(collection, *vectors(collection, noise=0, pull=0))
    for count in language_counts(ranks):
        assert count.average_precision.value == 1
        assert count.rank_distance is None or count.rank_distance.value == count.languages - 1
        assert count.floor is None or count.floor == count.languages - 1


def test_a_sample_is_distinct_repeats_and_is_near_the_whole():
    ranks, _ = rank_collection(
        parallel_collection(8, 6, 9), *vectors_for(parallel_collection(8, 6, 9))
    )
    whole, drawn = language_counts(ranks), language_counts(ranks, most=30)
    assert drawn == language_counts(ranks, most=30)
    assert [count.subsets for count in drawn] == [8, 28, 30, 30, 30, 28, 8, 1]
    assert [count.all_subsets for count in drawn] == [math.comb(8, k) for k in range(1, 9)]
    for one, other in zip(whole, drawn, strict=True):
        assert other.average_precision.value == pytest.approx(one.average_precision.value, abs=0.02)


def test_subsets_are_distinct_and_of_their_size():
    pools = language_subsets(26, 13, 500, 1)
    assert pools.sum(1).tolist() == [13] * 500
    assert len(np.unique(pools, axis=0)) == 500
    assert language_subsets(11, 5, 500, 1).shape == (math.comb(11, 5), 11)
