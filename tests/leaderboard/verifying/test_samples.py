"""What is drawn of a task, and the table's rows that belong to it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common.errors import IntegrityError
from mlbench.leaderboard.verifying import samples
from mlbench.leaderboard.verifying.samples import (
    Sample,
    _shares,
    claims_of,
    draw,
    find_places,
    part_of,
)
from tests.leaderboard.sampled import problem
from tests.support.reports import collection_of, languages, report_of, vectors


def test_places_name_the_texts_that_the_table_names():
    collection, _, ranks = problem(questions=20)
    places = find_places(ranks, collection)
    assert [collection.queries.ids[i] for i in places.query] == list(ranks.query_ids)
    assert [collection.passages.ids[i] for i in places.passage] == list(ranks.passage_ids)
    language = collection.passages.language[places.passage]
    np.testing.assert_array_equal(language, ranks.passage_language)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: {"pool_sizes": r.pool_sizes + 1},
        lambda r: {"languages": tuple(reversed(r.languages))},
        lambda r: {"query_ids": ("q-unknown", *r.query_ids[1:])},
        lambda r: {"passage_ids": (*r.passage_ids[1:], r.passage_ids[0])},
        lambda r: {"passage_ids": ("p21", *r.passage_ids[1:])},
        lambda r: {"relevance": r.relevance + 1},
        lambda r: {
            "starts": np.append(r.starts[:-1], r.starts[-1] - 1),
            "passage_ids": r.passage_ids[:-1],
            "passage_language": r.passage_language[:-1],
            "relevance": r.relevance[:-1],
        },
    ],
)
def test_a_table_of_other_queries_or_passages_is_refused(change):
    collection, _, ranks = problem(questions=20)
    with pytest.raises(IntegrityError, match="the table of ranks"):
        find_places(replace(ranks, **change(ranks)), collection)


def test_a_seed_draws_the_same_and_another_one_other_texts():
    collection, _, ranks = problem()
    one, same, other = (draw(ranks, collection, 30, 20, seed) for seed in (5, 5, 6))
    for name in ("queries", "drawn", "edges"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert set(one.queries.tolist()) != set(other.queries.tolist())
    assert set(one.drawn.tolist()) != set(other.drawn.tolist())


def test_languages_share_the_sample_and_nothing_is_drawn_twice():
    collection, _, ranks = problem()
    sample = draw(ranks, collection, 31, 20, 1)
    assert sorted(Counter(ranks.query_language[sample.queries].tolist()).values()) == [10, 10, 11]
    assert len(set(sample.queries.tolist())) == 31
    language = collection.passages.language[sample.drawn]
    np.testing.assert_array_equal(language, np.repeat([0, 1, 2], 20))
    assert len(set(sample.drawn.tolist())) == 60
    assert sample.edges.tolist() == [0, 20, 40, 60]
    whole = draw(ranks, collection, 10**6, 10**6, 1)
    assert whole.queries.tolist() == list(range(450))
    assert sorted(whole.drawn.tolist()) == list(range(462))


def test_every_passage_and_query_has_the_same_chance():
    collection, _, ranks = problem(questions=20)
    samples = [draw(ranks, collection, 12, 6, seed) for seed in range(600)]
    for drawn, expected in (
        (np.concatenate([s.queries for s in samples]), 600 * 12 / 60),
        (np.concatenate([s.drawn for s in samples]), 600 * 6 / 24),
        (np.array([s.drawn[0] for s in samples]), 600 / 24),
    ):
        counts = np.bincount(drawn)[: len(set(drawn.tolist()))]
        assert np.all(abs(counts - expected) < 5 * np.sqrt(expected))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 60), st.integers(0, 5))
def test_shares_are_as_even_as_what_is_there_allows(available, count, seed):
    sizes = np.array(available)
    shares = _shares(sizes, count, np.random.default_rng(seed))
    assert shares.sum() == min(count, sizes.sum())
    assert np.all(shares <= sizes)
    waiting = shares[shares < sizes]
    if len(waiting):
        assert shares.max() <= waiting.min() + 1


def test_claims_are_the_rows_of_the_queries():
    ranks = problem(questions=20)[2]
    claims, rows = claims_of(ranks, np.array([0, 25, 59]))
    assert rows.tolist() == [0, 1, 2, 75, 76, 77, 177, 178, 179]
    assert claims.starts.tolist() == [0, 3, 6, 9]
    assert claims.query_language.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(claims.above, ranks.above[rows])
    np.testing.assert_array_equal(claims.tied, ranks.tied[rows])
    np.testing.assert_array_equal(claims.place, ranks.place[rows])


def test_a_part_has_the_texts_of_its_sample_even_where_a_language_has_none():
    collection, _, ranks = problem(questions=20)
    queries = np.array([1, 9])
    sample = Sample(queries, np.array([13, 0, 40]), np.array([0, 2, 2, 3]))
    part = part_of(ranks, collection, sample)
    assert part.rows.tolist() == [3, 4, 5, 27, 28, 29]
    asked = [ranks.query_ids[query] for query in queries]
    assert [part.collection.queries.ids[i] for i in part.asked] == asked
    assert part.collection.queries.starts.tolist() == [0, 2, 2, 2]
    relevant = [part.collection.passages.ids[i] for i in part.relevant]
    assert relevant == [ranks.passage_ids[row] for row in part.rows]
    drawn = [part.collection.passages.texts[i] for i in part.drawn]
    assert drawn == [collection.passages.texts[i] for i in sample.drawn]
    assert part.passages.tolist() == sorted({*part.passages.tolist()})
    assert [collection.passages.ids[i] for i in part.passages] == list(part.collection.passages.ids)


def test_queries_without_a_relevant_passage_are_never_drawn():
    collection = collection_of(languages(2), 10)
    relevance = collection.qrels.relevance.copy()
    relevance[collection.qrels.query == 4] = 0
    collection = replace(collection, qrels=replace(collection.qrels, relevance=relevance))
    ranks = report_of(collection, vectors(collection))[1]
    assert len(ranks.query_ids) == 19
    find_places(ranks, collection)
    assert draw(ranks, collection, 100, 5, 0).queries.tolist() == list(range(19))


@pytest.mark.parametrize(
    ("available", "drawn"), [([6], [2]), ([4, 4], [1, 1]), ([5, 3], [2, 2]), ([3, 4, 1], [1, 3, 0])]
)
def test_the_share_that_a_sample_surely_has_one_of(available, drawn, monkeypatch):
    """Against a search of all choices of queries, and all samples of them."""
    monkeypatch.setattr(samples, "CERTAINTY", 0.8)

    def missed(altered):
        return math.prod(
            math.comb(size - bad, part) / math.comb(size, part)
            for size, part, bad in zip(available, drawn, altered, strict=True)
        )

    choices = itertools.product(*(range(size + 1) for size in available))
    seen = dict.fromkeys(range(1, sum(available) + 1), 1.0)
    for altered in choices:
        if sum(altered):
            seen[sum(altered)] = min(seen[sum(altered)], 1 - missed(altered))
    enough = [count for count, chance in seen.items() if chance >= 0.8 - 1e-12]
    expected = min(enough, default=sum(available)) / sum(available)
    assert samples.share_seen(available, drawn) == expected


@pytest.mark.parametrize(("size", "expected"), [(200, 0.0227), (460, 0.01), (920, 0.005)])
def test_how_many_altered_queries_of_xquad_r_a_sample_has_one_of(size, expected):
    parts = np.diff(np.linspace(0, size, 12).astype(int)).tolist()
    assert samples.share_seen([1190] * 11, parts) == pytest.approx(expected, abs=6e-4)
