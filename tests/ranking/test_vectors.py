from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.ranking.vectors import TextSize, TokenVectors, arrays, of_arrays, text_size


def some_texts(seed: int, sizes: list[int]) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((size, 3)).astype(np.float32) for size in sizes]


def lists_of(vectors: TokenVectors) -> list[list[list[float]]]:
    return [vectors[[i]].vectors.tolist() for i in range(len(vectors))]


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=8)


@given(SIZES, st.data())
def test_rows_are_chosen_as_of_a_list(sizes, data):
    texts = some_texts(1, sizes)
    vectors = TokenVectors.of(texts)
    assert vectors.shape == (len(sizes), 3)
    assert vectors.counts.tolist() == sizes
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=10))
    expected = [texts[i].tolist() for i in chosen]
    assert lists_of(vectors[chosen]) == lists_of(vectors[np.array(chosen, int)]) == expected
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(sizes))] * 2)))
    part = vectors[first:last]
    assert lists_of(part) == [text.tolist() for text in texts[first:last]]
    assert np.shares_memory(part.vectors, vectors.vectors) or first == last
    wanted = np.arange(len(sizes)) % 2 == 0
    assert lists_of(vectors[wanted]) == [text.tolist() for text in texts[::2]]


@given(SIZES, SIZES)
def test_joined_parts_are_the_whole(sizes, others):
    one, two = some_texts(1, sizes), some_texts(2, others)
    joined = TokenVectors.joined([TokenVectors.of(one), TokenVectors.of(two)])
    assert lists_of(joined) == [text.tolist() for text in (*one, *two)]


@given(SIZES)
def test_sums_are_those_of_each_text(sizes):
    texts = some_texts(3, sizes)
    vectors = TokenVectors.of(texts)
    wide = vectors.vectors.astype(np.float64)
    expected = [text.astype(np.float64).sum(0) for text in texts]
    assert np.allclose(vectors.sums(wide), expected, rtol=1e-12)
    assert np.allclose(vectors.sums(wide[:, 0]), [row[0] for row in expected], rtol=1e-12)


def test_vectors_of_every_kind_are_made_of_arrays_again():
    dense = np.arange(6, dtype=np.float32).reshape(2, 3)
    tokens = TokenVectors.of(some_texts(1, [2, 1]))
    matrix = sparse.csr_matrix(dense)
    assert of_arrays(arrays(dense), dense.shape) is dense
    assert lists_of(of_arrays(arrays(tokens), tokens.shape)) == lists_of(tokens)
    again = of_arrays(arrays(matrix), matrix.shape)
    assert again.shape == (2, 3)
    assert (again != matrix).nnz == 0


def test_the_size_of_a_text_is_the_mean_over_its_kind_of_vectors():
    dense = np.array([[1, 0, 2], [0, 0, 3]], np.float32)
    assert text_size(dense) == TextSize(1, 3, 12)
    assert text_size(sparse.csr_matrix(dense)) == TextSize(1, 1.5, 12)
    tokens = TokenVectors.of([dense, dense[:1]])
    assert text_size(tokens) == TextSize(1.5, 4.5, 18)
