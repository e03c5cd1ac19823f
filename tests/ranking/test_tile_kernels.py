"""Counting a tile, whatever its fast scores are, as long as they keep within the stated error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.ranking import kernels, tile_kernels

SINGLE = np.float32


def all_scores(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    query, passage = np.indices((len(queries), len(passages))).reshape(2, -1)
    return kernels.pair_scores(queries, passages, query, passage).reshape(len(queries), -1)


@dataclass
class Case:
    """Queries and passages of a tile whose first passage is number ``begin``; ``rows`` cuts the
    relevant passages, of which some are not in the tile, and their scores."""

    queries: np.ndarray
    passages: np.ndarray
    rows: np.ndarray
    relevant: np.ndarray
    threshold: np.ndarray
    segments: np.ndarray
    begin: int = 100

    @classmethod
    def drawn(cls, generator, passages: int, each: int, *, values=None, spread=1.0) -> Case:
        """Some queries with up to ``each`` relevant passages, half of them outside the tile."""
        make = (
            generator.standard_normal if values is None else lambda s: generator.choice(values, s)
        )
        queries, inside = make((5, 7)).astype(SINGLE), make((passages, 7)).astype(SINGLE)
        counts = generator.integers(0, each + 1, 5)
        rows = np.append(0, np.cumsum(counts))
        owner = np.repeat(np.arange(5), counts)
        outside = (spread * make((len(owner), 7))).astype(SINGLE)
        everything = np.concatenate([outside, inside])
        relevant = np.where(
            generator.random(len(owner)) < 0.5, np.arange(len(owner)),
            len(owner) + generator.integers(0, passages, len(owner)),
        )  # fmt: skip
        threshold = kernels.pair_scores(queries, everything, owner, relevant)
        cuts = np.sort(generator.integers(0, passages + 1, 3))
        return cls(
            queries, inside, rows, relevant, threshold, np.array([0, *cuts, passages]), len(owner)
        )

    def bounds(self) -> np.ndarray:
        """What no score of a query is beyond."""
        return kernels.norms(self.queries) * kernels.norms(self.passages).max()

    def count(self, fast: np.ndarray, error: float, bounds: np.ndarray | None = None):
        """Above, tied and the number recomputed, by the fast scores."""
        edges = np.empty(len(self.threshold), tile_kernels.EDGE)
        grid = np.empty(len(self.queries), tile_kernels.GRID)
        bounds = self.bounds() if bounds is None else bounds
        tile_kernels.set_edges(
            self.threshold, self.rows, bounds, error, 7 * 2.0**-125, 1.0, edges, grid
        )
        asked = np.diff(self.rows) > 0
        assert np.isfinite(grid["middle"][asked]).all()
        assert np.isfinite(grid["scale"][asked]).all()
        above, tied = np.zeros((2, len(self.threshold), len(self.segments) - 1), np.int32)
        recomputed = tile_kernels.count_tile(
            np.ascontiguousarray(fast, SINGLE), edges, grid, self.rows, self.relevant, self.begin,
            self.segments, self.queries, self.passages, above, tied,
        )  # fmt: skip
        return above, tied, recomputed

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Above and tied by the definition."""
        scores = all_scores(self.queries, self.passages)
        above, tied = np.zeros((2, len(self.threshold), len(self.segments) - 1), np.int32)
        for i in range(len(self.queries)):
            own = slice(self.rows[i], self.rows[i + 1])
            others = np.ones(len(self.passages), bool)
            columns = self.relevant[own] - self.begin
            others[columns[(columns >= 0) & (columns < len(others))]] = False
            for r in range(own.start, own.stop):
                for language, (a, b) in enumerate(
                    zip(self.segments[:-1], self.segments[1:], strict=True)
                ):
                    compared = scores[i, a:b][others[a:b]]
                    above[r, language] = (compared > self.threshold[r]).sum()
                    tied[r, language] = (compared == self.threshold[r]).sum()
        return above, tied

    def check(self, fast: np.ndarray, error: float, bounds: np.ndarray | None = None) -> int:
        above, tied, recomputed = self.count(fast, error, bounds)
        expected = self.expected()
        assert above.tolist() == expected[0].tolist()
        assert tied.tolist() == expected[1].tolist()
        return recomputed


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    passages=st.sampled_from([1, 8, 127, 128, 129, 300]),
    error=st.sampled_from([1e-7, 1e-4, 0.02, 0.5]),
    values=st.sampled_from([None, (-1, 0, 1), (0, 1), (1,)]),
)
def test_any_error_within_the_bound_gives_the_same_counts(seed, passages, error, values):
    generator = np.random.default_rng(seed)
    case = Case.drawn(generator, passages, 6, values=values)
    exact = all_scores(case.queries, case.passages)
    reach = error * case.bounds()[:, None] * (1 - 1e-6) - 1e-7 * np.abs(exact)
    sign = generator.choice([-1.0, 1.0], exact.shape) * generator.choice([0.0, 0.5, 1.0])
    case.check(exact + sign * np.maximum(reach, 0), max(error, 3e-7))


@pytest.mark.parametrize("spread", [1e-30, 1e-3, 1e3, 1e30])
def test_thresholds_of_any_size_beside_those_of_the_tile(spread):
    generator = np.random.default_rng(1)
    case = Case.drawn(generator, 200, 9, spread=spread)
    recomputed = case.check(all_scores(case.queries, case.passages), 1e-6)
    assert recomputed < 200


def test_a_threshold_beyond_all_scores_is_decided_without_recomputing():
    generator = np.random.default_rng(2)
    case = Case.drawn(generator, 150, 4)
    case.relevant = np.arange(len(case.relevant))  # none in the tile
    scores = all_scores(case.queries, case.passages)
    for beyond in (1e30, -1e30, np.finfo(np.float64).max):
        case.threshold[::2] = beyond
        case.check(scores, 1e-6)
        case.threshold[:] = beyond
        assert case.check(scores, 1e-6) == 0


def test_more_doubts_than_the_list_holds():
    generator = np.random.default_rng(3)
    case = Case.drawn(generator, 400, 12, values=(1,))
    assert len(case.threshold) * 400 > 4 * tile_kernels.MOST_DOUBTS
    case.check(all_scores(case.queries, case.passages), 1e-6)


def test_more_thresholds_of_a_query_than_the_list_holds():
    generator = np.random.default_rng(4)
    case = Case.drawn(generator, 40, 3 * tile_kernels.MOST_DOUBTS, values=(1,))
    assert np.diff(case.rows).max() > tile_kernels.MOST_DOUBTS
    case.check(all_scores(case.queries, case.passages), 1e-6)


def test_a_passage_in_doubt_for_several_thresholds_is_recomputed_once():
    generator = np.random.default_rng(5)
    case = Case.drawn(generator, 300, 8, values=(1,))
    asked = np.count_nonzero(np.diff(case.rows))
    own = [
        len({p for p in case.relevant[a:b] if p >= case.begin})
        for a, b in zip(case.rows[:-1], case.rows[1:], strict=True)
    ]
    recomputed = case.check(all_scores(case.queries, case.passages), 1e-6)
    assert recomputed == 300 * asked - sum(own)


def test_zero_vectors_tie():
    generator = np.random.default_rng(6)
    case = Case.drawn(generator, 130, 5, values=(0,))
    assert (case.threshold == 0).all()
    case.check(np.zeros((5, 130)), 1e-6)


def test_scores_at_the_very_edges_of_a_band():
    """Fast scores a unit in the last place within, at and without the edges, all bins alike."""
    queries = np.ones((1, 1), SINGLE)
    score = SINGLE(0.7)
    case = Case(
        queries, np.empty((0, 1), SINGLE), np.array([0, 1]), np.array([0]),
        np.array([float(score)]), np.array([0, 0]),
    )  # fmt: skip
    error = 1e-5
    low, high = (SINGLE(0.7 + sign * error) for sign in (-1, 1))
    near = [np.nextafter(edge, SINGLE(side)) for edge in (low, high) for side in (-9, 9)]
    fast = np.array([low, high, *near, score, 0, 1, -1], SINGLE)[None]
    passages = np.clip(fast[0], SINGLE(0.7) - SINGLE(1e-6), SINGLE(0.7) + SINGLE(1e-6))
    passages[-3:] = fast[0, -3:]
    case.passages = np.ascontiguousarray(passages[:, None])
    case.segments = np.array([0, len(passages)])
    case.check(fast, error * 1.1, np.ones(1))


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=2, max_size=30),
    st.floats(-1e6, 1e6, width=32),
    st.floats(2.0**-100, 2.0**100, width=32),
)
def test_bins_are_monotone_and_over_the_padding(scores, middle, scale):
    ordered = np.sort(np.array([-np.inf, *scores, np.inf], SINGLE))
    bins = [
        np.uint16(tile_kernels._bin(score, SINGLE(middle), SINGLE(scale))).astype(np.int16)
        for score in ordered
    ]
    assert bins == sorted(bins)
    assert np.int16(tile_kernels.PADDING.view(np.int16)) < bins[0]
    assert bins[0] == -16383
    assert bins[-1] == 16383
