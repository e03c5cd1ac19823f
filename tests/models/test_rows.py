from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.models.rows import Rows, mean_cosine, normalise
from mlbench.ranking.vectors import TokenVectors


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_normalise_rounds_the_exact_quotient_and_keeps_zero_rows(form):
    vectors = np.random.default_rng(0).standard_normal((6, 20)).astype(np.float32)
    vectors[2] = 0
    vectors[3] *= np.float32(1e30)
    found = normalise(form(vectors))
    dense = found if isinstance(found, np.ndarray) else found.toarray()
    norms = np.sqrt((vectors.astype(np.longdouble) ** 2).sum(1, keepdims=True))
    expected = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    assert found.dtype == np.float32
    assert dense == pytest.approx(expected, rel=1.2e-7)
    assert not dense[2].any()


def test_mean_cosine_equals_the_slow_mean_over_pairs():
    vectors = np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32) + 1
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    every = np.arange(7)
    mean = cosines[~np.eye(7, dtype=bool)].mean()
    assert mean_cosine(vectors, every) == pytest.approx(mean, abs=1e-6)
    assert mean_cosine(sparse.csr_matrix(vectors), every) == pytest.approx(mean, abs=1e-6)
    assert mean_cosine(vectors, every[[2, 5]]) == pytest.approx(cosines[2, 5], abs=1e-6)
    assert mean_cosine(vectors, every[:1]) == 0


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_zero_rows_are_alike_and_unlike_all_others(form):
    zeros = np.zeros((4, 3), np.float32)
    assert mean_cosine(form(zeros), np.arange(4)) == 1
    zeros[0] = 1
    assert mean_cosine(form(zeros), np.arange(4)) == pytest.approx(6 / 12)


def test_token_vectors_are_normalised_each_and_stand_for_their_text_by_their_sum():
    vectors = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    texts = TokenVectors(vectors, np.array([0, 2, 5]))
    found = normalise(texts)
    assert found.vectors.tobytes() == normalise(vectors).tobytes()
    assert found.starts is texts.starts
    sums = np.array([vectors[:2].sum(0), vectors[2:].sum(0)], np.float32)
    assert mean_cosine(texts, np.arange(2)) == pytest.approx(mean_cosine(sums, np.arange(2)))


@given(st.data())
def test_token_vectors_filled_in_any_order_are_the_same(data):
    same = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=12)))
    first = {int(v): int(np.flatnonzero(same == v)[0]) for v in same}
    same = np.array([first[int(v)] for v in same])
    counts = np.random.default_rng(1).integers(1, 4, len(same))
    texts = TokenVectors.of([np.full((n, 2), i, np.float32) for i, n in enumerate(counts)])
    order = np.array(data.draw(st.permutations(sorted(first.values()))))
    cut = data.draw(st.integers(0, len(order) - 1))
    rows = Rows(len(same))
    for part in filter(len, (order[:cut], order[cut:])):
        rows.put(part, texts[part])
    found, expected = rows.spread(same), texts[same]
    assert found.vectors.tolist() == expected.vectors.tolist()
    assert found.starts.tolist() == expected.starts.tolist()


@given(st.data())
def test_rows_filled_in_any_order_and_form_are_the_same(data):
    same = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=12)))
    first = {int(v): int(np.flatnonzero(same == v)[0]) for v in same}
    same = np.array([first[int(v)] for v in same])  # each row, or the first that is like it
    vectors = np.random.default_rng(0).standard_normal((len(same), 3)).astype(np.float32)
    order = np.array(data.draw(st.permutations(sorted(first.values()))))
    cut = data.draw(st.integers(0, len(order) - 1))
    expected = vectors[same]
    for form in (np.asarray, sparse.csr_matrix):
        rows = Rows(len(same))
        for part in filter(len, (order[:cut], order[cut:])):
            rows.put(part, form(vectors[part]))
        found = rows.spread(same)
        dense = found if isinstance(found, np.ndarray) else found.toarray()
        assert dense.tobytes() == expected.tobytes()
