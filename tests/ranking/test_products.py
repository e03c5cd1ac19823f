from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlbench.ranking.products import cut_tiles, slices, slices_by_language

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
