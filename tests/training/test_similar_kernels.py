"""The compiled loop that finds similar sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlbench.training.similar_kernels import common_members

SETS = st.sets(st.integers(0, 12), max_size=9)


@given(SETS, SETS, st.integers(0, 9))
def test_common_members_are_counted_unless_too_few(one: set[int], other: set[int], least: int):
    arrays = (np.array(sorted(each), np.int64) for each in (one, other))
    common = len(one & other)
    assert common_members(*arrays, least) == (common if common >= least else -1)
