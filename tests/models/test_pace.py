"""Batches of about two seconds' worth, the same for a run that goes on as for the one before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models.pace import FIRST_BYTES, LONG_SECONDS, MOST_TEXTS, TOO_LONG_SECONDS, Pace

ALIKE = np.full(30_000, 128, np.int64)


def go(pace, sizes, seconds_of, skip=lambda batch: False, ends=None):
    """Return the batches of texts with these sizes; ``seconds_of`` bytes is how long one lasts."""
    batches = []
    for part in pace.cut(sizes, np.arange(1, len(sizes) + 1) if ends is None else ends):
        batches.append((part.start, part.stop))
        if not skip(batches[-1]):
            pace.took(seconds_of(int(sizes[part].sum())))
    return batches


def at(rate):
    return lambda size: size / rate


@pytest.mark.parametrize("rate", [500, 2_400, 40_000, 10**6])
def test_a_batch_lasts_about_two_seconds_whatever_the_model(rate):
    batches = go(Pace(), ALIKE, at(rate))
    seconds = [(stop - start) * 128 / rate for start, stop in batches]
    assert seconds[0] < 3  # a few texts
    settled = sorted(seconds)[len(seconds) // 2]
    if MOST_TEXTS * 128 / rate > LONG_SECONDS:
        assert LONG_SECONDS / 2 <= settled <= 2 * LONG_SECONDS + FIRST_BYTES / rate
    assert max(seconds) <= 4 * LONG_SECONDS + 2 * FIRST_BYTES / rate
    assert max(stop - start for start, stop in batches) <= MOST_TEXTS


def test_a_fast_model_is_soon_given_as_much_as_may_be():
    batches = go(Pace(), ALIKE, at(10**9))
    assert len(batches) < 11 + len(ALIKE) // MOST_TEXTS


def test_one_stumble_of_the_machine_changes_nothing():
    steady = go(Pace(), ALIKE, at(10**6))
    times = iter([0.001, 0.001, 5.0, *[0.001] * 1000])
    assert go(Pace(), ALIKE, lambda size: next(times)) == steady


def test_what_the_first_call_takes_is_not_the_pace():
    steady = go(Pace(), ALIKE, at(10**6))
    times = iter([30.0, *[0.001] * 1000])
    assert go(Pace(), ALIKE, lambda size: next(times)) == steady


sizes = st.lists(st.integers(0, 5000), min_size=1, max_size=400).map(
    lambda values: np.array(values, np.int64)
)


@given(sizes, st.sampled_from([200, 3_000, 50_000, 10**8]), st.sets(st.integers(0, 50)))
def test_batches_cover_all_texts_and_a_run_that_goes_on_has_the_same(sizes, rate, cached):
    """Some batches of the first run are cached when the second goes on; it knows the pace."""
    known = []
    first = Pace(settle=known.append)
    batches = go(first, sizes, at(rate)) + go(first, sizes, at(rate))
    stops = [stop for _, stop in batches]
    assert stops.count(len(sizes)) == 2
    assert all(start < stop for start, stop in batches)
    again = Pace(known[-1] if known else None)
    number = iter(range(1000))

    def skip(batch):
        return next(number) in cached

    resumed = go(again, sizes, at(rate), skip) + go(again, sizes, at(rate), skip)
    if len(known) <= 1:  # else the pace changed on the way, as on another machine
        assert resumed == batches


@given(sizes, st.data(), st.sampled_from([200, 3_000, 50_000, 10**8]))
def test_a_models_own_batches_stay_whole(sizes, data, rate):
    inner = st.sets(st.integers(1, len(sizes)), max_size=100)
    ends = sorted(data.draw(inner) | {len(sizes)})
    batches = go(Pace(), sizes, at(rate), ends=np.array(ends, np.int64))
    assert {stop for _, stop in batches} <= {*ends}
    assert [start for start, _ in batches] == [0, *[stop for _, stop in batches[:-1]]]
    assert batches[-1][1] == len(sizes)


def test_a_pace_from_a_slower_or_faster_machine_is_found_anew():
    told = []
    slow = Pace(0, told.append)
    go(slow, ALIKE, at(10**7))
    assert told
    assert told[-1] > 5
    fast = Pace(14, told.append)
    go(fast, ALIKE, at(2_000))
    assert (FIRST_BYTES << told[-1]) / 2_000 <= TOO_LONG_SECONDS
