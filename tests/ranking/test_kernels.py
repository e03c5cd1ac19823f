from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlbench.ranking import kernels
from mlbench.ranking.error_bounds import error_bound
from tests.oracles.scores import exact_score, true_score


def dot(a, b):
    return kernels.dot(a, b, np.empty(kernels.LANES))


LARGEST = 2.0**60
FLOATS = st.floats(-LARGEST, LARGEST, width=32, allow_nan=False)


@given(st.integers(1, 100).flatmap(lambda d: hnp.arrays(np.float32, (2, d), elements=FLOATS)))
def test_dot_is_the_fixed_order_sum(pair):
    assert dot(pair[0], pair[1]) == exact_score(pair[0], pair[1])
    assert dot(pair[1], pair[0]) == dot(pair[0], pair[1])


@given(st.integers(1, 100).flatmap(lambda d: hnp.arrays(np.float32, (2, d), elements=FLOATS)))
def test_sparse_dot_of_full_rows_adds_in_column_order(pair):
    columns = np.arange(pair.shape[1])
    expected = 0.0
    for a, b in zip(pair[0].tolist(), pair[1].tolist(), strict=True):
        expected += a * b
    assert kernels.sparse_dot(columns, pair[0], columns, pair[1]) == expected


@pytest.mark.parametrize("dimension", [3, 64, 384, 1024])
def test_error_bound_holds_for_float32_products_of_any_shape(dimension):
    generator = np.random.default_rng(dimension)
    queries = generator.standard_normal((40, dimension)).astype(np.float32)
    passages = generator.standard_normal((50, dimension)).astype(np.float32)
    passages[::3] = -queries[:17] + 1e-4 * passages[::3]
    bound = error_bound(dimension)
    norm_q, norm_p = kernels.norms(queries), kernels.norms(passages)
    true = [[true_score(q, p) for p in passages] for q in queries[::5]]
    for step in (1, 7, 50):
        for start in range(0, 50, step):
            fast = queries @ passages[start : start + step].T
            for i in range(0, 40, 5):
                for j in range(fast.shape[1]):
                    error = abs(float(true[i // 5][start + j]) - float(fast[i, j]))
                    assert error <= bound * norm_q[i] * norm_p[start + j]


def test_norms_are_square_roots_of_the_score_with_itself():
    vectors = np.random.default_rng(0).standard_normal((5, 13)).astype(np.float32)
    assert kernels.norms(vectors).tolist() == [exact_score(v, v) ** 0.5 for v in vectors]


@pytest.mark.parametrize("dimension", [1, 31, 32, 33, 64, 100])
def test_dot_does_not_mind_how_vectors_lie_in_memory(dimension):
    a, b = np.random.default_rng(1).standard_normal((2, dimension)).astype(np.float32)
    apart = np.repeat(a, 3)[::3]
    assert not apart.flags.c_contiguous or dimension == 1
    assert dot(apart, b) == dot(a, b) == dot(a, np.repeat(b, 2)[::2]) == exact_score(a, b)
    assert dot(a.astype(np.float64), b) == exact_score(a, b)
