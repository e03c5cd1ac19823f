from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.ranking.products import Bounded, Dense, Limits, Pairs
from mlbench.ranking.tiles import Rows, cut_tiles, slices, slices_by_language

SIZES = st.lists(st.integers(0, 50), min_size=1, max_size=8)


@given(st.integers(0, 200), st.integers(1, 70))
def test_slices_are_even_and_few(size, most):
    lengths = [part.stop - part.start for part in slices(size, most)]
    assert sum(lengths) == size
    assert len(lengths) == -(-size // most)
    assert max(lengths, default=0) <= most
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


@given(SIZES, st.integers(1, 70))
def test_slices_by_language_cover_all_passages_in_order(sizes, width):
    starts = np.append(0, np.cumsum(sizes))
    parts = slices_by_language(starts, width)
    assert [p for part in parts for p in range(part.start, part.stop)] == list(range(starts[-1]))
    assert all(0 < part.stop - part.start <= width for part in parts)


def test_small_languages_are_taken_whole_and_large_ones_cut_evenly():
    starts = np.append(0, np.cumsum([30, 40, 25, 90, 10]))
    assert slices_by_language(starts, 70) == [
        slice(0, 70), slice(70, 95), slice(95, 140), slice(140, 195),
    ]  # fmt: skip


@given(SIZES, st.integers(1, 70), st.integers(1, 40))
def test_tiles_say_which_languages_they_hold(sizes, width, height):
    starts = np.append(0, np.cumsum(sizes))
    language = np.repeat(np.arange(len(sizes)), sizes)
    seen = np.zeros((33, int(starts[-1])), int)
    for tile in cut_tiles(slices(33, height), slices_by_language(starts, width), starts):
        seen[tile.queries, tile.passages] += 1
        held = np.repeat(np.arange(tile.languages.start, tile.languages.stop), np.diff(tile.edges))
        assert held.tolist() == language[tile.passages].tolist()
        assert tile.size == seen[tile.queries, tile.passages].size
    assert (seen == 1).all()


def counted(collection_of, whole, threads=2):
    queries, passages, pairs, starts = collection_of
    scorer = Dense(queries, passages, starts)
    begin = np.flatnonzero(np.diff(pairs.query, prepend=-1))
    rows_starts = np.append(begin, len(pairs.query)).astype(np.int64)
    threshold = scorer.exact(pairs.query, pairs.passage)
    rows = Rows(rows_starts, pairs.passage, threshold)
    shape = (len(pairs.query), len(starts) - 1)
    above, tied = (np.zeros(shape, np.int32) for _ in range(2))
    count = scorer.count if whole else partial(Bounded.count, scorer)
    recomputed = 0
    for tile in scorer.tiles(rows, Limits(threads)):
        own = rows.of(tile.queries)
        recomputed += count(tile, rows, above[own, tile.languages], tied[own, tile.languages])
    return above.tolist(), tied.tolist(), recomputed


def in_two_languages(queries, passages, generator):
    query = np.repeat(np.arange(len(queries)), 3)
    passage = np.sort(
        np.stack([generator.permutation(len(passages))[:3] for _ in range(len(queries))]), axis=1
    )
    starts = np.array([0, len(passages) // 3, len(passages)], np.int64)
    return queries, passages, Pairs(query, passage.reshape(-1).astype(np.int64)), starts


@pytest.mark.parametrize("dimension", [1, 7, 384])
def test_whole_numbers_are_counted_as_by_their_exact_scores(dimension):
    generator = np.random.default_rng(dimension)
    for most in (1, 3):
        sides = [
            generator.integers(-most, most + 1, (n, dimension)).astype(np.float32)
            for n in (40, 500)
        ]
        made = in_two_languages(*sides, generator)
        above, tied, recomputed = counted(made, whole=True)
        assert (above, tied) == counted(made, whole=False)[:2]
        assert recomputed == 0
        assert sum(map(sum, tied)) > 100
        exact = sides[0].astype(np.int64) @ sides[1].T.astype(np.int64)
        pairs = made[2]
        own = {q: pairs.passage[pairs.query == q] for q in range(40)}
        for row, (q, p) in enumerate(zip(pairs.query, pairs.passage, strict=True)):
            others = np.delete(np.arange(500), own[q])
            second = others[others >= 500 // 3]
            assert above[row][1] == (exact[q, second] > exact[q, p]).sum()
            assert tied[row][1] == (exact[q, second] == exact[q, p]).sum()


@pytest.mark.parametrize(
    ("queries", "passages", "whole"),
    [
        (181.0, 181.0, True), (181.0, 182.0, False), (1.0, 32766.0, True), (1.0, 32767.0, False),
        (0.5, 1.0, False), (1.0, 0.5, False), (0.0, 5.0, True), (-181.0, -181.0, True),
    ],
)  # fmt: skip
def test_only_numbers_whose_scores_fit_are_taken_for_whole(queries, passages, whole):
    generator = np.random.default_rng(0)
    sides = [
        (generator.integers(0, 2, (n, 1)) * value).astype(np.float32)
        for n, value in ((8, queries), (60, passages))
    ]
    sides[0][0], sides[1][0] = queries, passages
    made = in_two_languages(*sides, generator)
    scorer = Dense(made[0], made[1], made[3])
    assert scorer._of_whole_numbers(slice(0, 60)) is whole
    assert counted(made, whole=True)[:2] == counted(made, whole=False)[:2]
