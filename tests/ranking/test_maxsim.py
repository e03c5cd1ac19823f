from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.common.errors import EnvironmentFault
from mlbench.data.collection import Collection
from mlbench.ranking import maxsim, tile_kernels
from mlbench.ranking.counting import Counter, count_outranking, rank_collection, relevant_pairs
from mlbench.ranking.maxsim import MaxSim, slices_by_tokens, sum_error_bound
from mlbench.ranking.products import Limits, Pairs
from mlbench.ranking.vectors import TokenVectors
from tests.conftest import REPOSITORY
from tests.oracles import scores as oracle
from tests.ranking.test_counting import graded_collection
from tests.support.strategies import parallel_collection, table_digest, token_vectors_for

Texts = list[np.ndarray]
NAMES = ("plain", "near duplicates", "huge norms", "tiny norms", "mixed norms", "collapsed", "zero")


def texts(generator: np.random.Generator, size: int, most: int, dimension: int, few: bool) -> Texts:
    """Texts of 1 to ``most`` tokens; of ``few`` distinct values, so that ties abound."""
    counts = generator.integers(1, most + 1, size)
    if few:
        return [generator.integers(-1, 2, (n, dimension)).astype(np.float32) for n in counts]
    return [generator.standard_normal((n, dimension)).astype(np.float32) for n in counts]


def of_collection(collection: Collection, seed: int, few: bool = False) -> tuple[Texts, Texts]:
    generator = np.random.default_rng(seed)
    return (
        texts(generator, len(collection.queries), 5, 7, few),
        texts(generator, len(collection.passages), 9, 7, few),
    )


def assert_equals_oracle(collection: Collection, queries: Texts, passages: Texts) -> None:
    pairs, _ = relevant_pairs(collection)
    place, above, tied = oracle.table(collection, queries, passages)
    counts = count_outranking(
        TokenVectors.of(queries), TokenVectors.of(passages), pairs, collection.passages.starts
    )
    assert counts.place.tolist() == place
    assert counts.above.tolist() == above
    assert counts.tied.tolist() == tied


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), few=st.booleans())
def test_counts_equal_the_slow_oracle(seed, few):
    collection = graded_collection(seed)
    assert_equals_oracle(collection, *of_collection(collection, seed, few))


def adversarial(name: str, collection: Collection) -> tuple[Texts, Texts]:
    generator = np.random.default_rng(5)
    queries, passages = of_collection(collection, 3)
    if name == "near duplicates":
        first = passages[0]
        passages = [
            first + (generator.integers(-2, 3, first.shape) * 2.0**-24).astype(np.float32)
            for _ in passages
        ]
    elif name == "huge norms":
        queries = [each * np.float32(1e37) for each in queries]
        passages = [each * np.float32(3e37) for each in passages]
    elif name == "tiny norms":
        queries = [each * np.float32(1e-36) for each in queries]
        passages = [each * np.float32(1e-36) for each in passages]
    elif name == "mixed norms":
        passages = [
            (each * 10.0 ** generator.uniform(-18, 18, (len(each), 1))).astype(np.float32)
            for each in passages
        ]
    elif name == "collapsed":
        passages = [passages[0][:1].repeat(len(each), 0) for each in passages]
    elif name == "zero":
        passages = [each * np.float32(i % 2) for i, each in enumerate(passages)]
        queries = [each * np.float32(i % 3 > 0) for i, each in enumerate(queries)]
    return queries, passages


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_exact_for_adversarial_vectors(name):
    collection = parallel_collection(3, 8, 30)
    assert_equals_oracle(collection, *adversarial(name, collection))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    memory=st.sampled_from([2**14, 2**17, 2**28]),
    threads=st.integers(1, 3),
    strip=st.integers(1, 40),
    tokens=st.integers(1, 30),
    few=st.booleans(),
)
def test_memory_threads_and_shapes_of_tiles_change_nothing(
    seed, memory, threads, strip, tokens, few
):
    collection = parallel_collection(3, 20, 90)
    queries, passages = map(TokenVectors.of, of_collection(collection, seed, few))
    plain, _ = rank_collection(collection, queries, passages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim, "STRIP", strip)
        patch.setattr(maxsim, "QUERY_TOKENS", tokens)
        limits = Limits(threads, memory * threads)
        other, _ = rank_collection(collection, queries, passages, limits)
    assert np.array_equal(plain.above, other.above)
    assert np.array_equal(plain.tied, other.tied)
    assert np.array_equal(plain.place, other.place)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), blocks=st.integers(1, 9))
def test_counts_of_blocks_in_any_order_add_up(seed, blocks):
    collection = graded_collection(seed)
    queries, passages = map(TokenVectors.of, of_collection(collection, seed, few=True))
    pairs, _ = relevant_pairs(collection)
    starts = collection.passages.starts
    whole = count_outranking(queries, passages, pairs, starts)
    relevant, index = np.unique(pairs.passage, return_inverse=True)
    counter = Counter(queries, passages[relevant], Pairs(pairs.query, index))
    above, tied = np.zeros_like(whole.above), np.zeros_like(whole.tied)
    for part in np.random.default_rng(seed).permutation(blocks):
        for language in range(len(starts) - 1):
            chosen = np.arange(starts[language], starts[language + 1])[part::blocks]
            if len(chosen):
                place = np.full(len(collection.passages), -1)
                place[chosen] = np.arange(len(chosen))
                column = slice(language, language + 1)
                counter.count(
                    passages[chosen], np.array([0, len(chosen)]), place[pairs.passage],
                    (above[:, column], tied[:, column]),
                )  # fmt: skip
    assert counter.place.tolist() == whole.place.tolist()
    assert above.tolist() == whole.above.tolist()
    assert tied.tolist() == whole.tied.tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), dimension=st.integers(1, 60), scale=st.integers(-40, 40))
def test_a_fast_score_lies_within_the_bound_of_the_true_one(seed, dimension, scale):
    """The true score, in rational numbers, without any rounding."""
    generator = np.random.default_rng(seed)
    query, passage = (
        (generator.standard_normal((size, dimension)) * 2.0**scale).astype(np.float32)
        for size in generator.integers(1, 12, 2)
    )
    scorer = MaxSim(TokenVectors.of([query]), TokenVectors.of([passage]), np.array([0, 1]))
    fast = Fraction(float(scorer.product(slice(0, 1), slice(0, 1), 0)[0, 0]))
    true = sum((max(oracle.true_score(a, b) for b in passage) for a in query), Fraction(0))
    largest = max(np.linalg.norm(b.astype(np.float64)) for b in passage)
    allowed = sum_error_bound(dimension, len(query)) * float(scorer.norms[0]) * largest
    assert abs(fast * Fraction(2) ** scorer.exponent - true) <= allowed
    (exact,) = scorer.exact(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert exact == oracle.maxsim(query, passage)


def test_one_token_each_gives_the_table_of_dense_vectors():
    collection = parallel_collection(3, 20, 40)
    generator = np.random.default_rng(1)
    queries, passages = (
        generator.standard_normal((len(side), 33)).astype(np.float32)
        for side in (collection.queries, collection.passages)
    )
    dense, _ = rank_collection(collection, queries, passages)
    tokens, _ = rank_collection(
        collection, TokenVectors.of(queries[:, None]), TokenVectors.of(passages[:, None])
    )
    assert np.array_equal(dense.above, tokens.above)
    assert np.array_equal(dense.place, tokens.place)


def test_equal_texts_tie_and_the_order_of_a_passages_tokens_means_nothing():
    generator = np.random.default_rng(1)
    text = generator.standard_normal((6, 24)).astype(np.float32)
    query = TokenVectors.of([generator.standard_normal((4, 24)).astype(np.float32)])
    passages = TokenVectors.of([text, text[::-1], text[[0, 1, 2, 3, 4, 5, 5]], text + 1])
    pairs = Pairs(np.array([0]), np.array([0]))
    counts = count_outranking(query, passages, pairs, np.array([0, 4]))
    assert counts.tied.tolist() == [[2]]


def test_too_little_memory_is_said_and_what_suffices_is_enough():
    collection = parallel_collection()
    queries, passages = map(TokenVectors.of, of_collection(collection, 1))
    with pytest.raises(EnvironmentFault, match="memory: scoring needs"):
        rank_collection(collection, queries, passages, Limits(1, 1000))
    rank_collection(collection, queries, passages, Limits(1, 2**17))


@pytest.mark.parametrize("name", NAMES)
def test_the_torch_product_gives_the_same_integers(name, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    from mlbench.ranking import products_torch

    monkeypatch.setattr(products_torch, "GPU_QUERY_TOKENS", 20)
    monkeypatch.setattr(products_torch, "GPU_PASSAGE_TOKENS", 50)
    monkeypatch.setattr(products_torch, "GPU_PASSAGE_TILE", 40)
    collection = parallel_collection(3, 8, 30)
    queries, passages = adversarial(name, collection)
    pairs, _ = relevant_pairs(collection)
    place, above, tied = oracle.table(collection, queries, passages)
    sides = TokenVectors.of(queries), TokenVectors.of(passages)
    starts = collection.passages.starts
    assert isinstance(products_torch.TorchMaxSim(*sides, starts, "cpu"), MaxSim)
    counts = count_outranking(*sides, pairs, starts, Limits(2, device="cpu:0"))
    assert (counts.place.tolist(), counts.above.tolist()) == (place, above)
    assert counts.tied.tolist() == tied


@pytest.mark.parametrize("core", ["Haswell", "Sandybridge", "Nehalem"])
def test_the_table_is_the_same_on_every_kind_of_blas_kernel(core):
    program = "from tests.support import strategies as s; print(s.table_digest(tokens=True))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY,
        env=os.environ | {"OPENBLAS_CORETYPE": core}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [table_digest(tokens=True)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 20), st.integers(0, 3))
def test_slices_by_tokens_are_contiguous_and_within_what_is_allowed(sizes, most, skipped):
    starts = np.append(0, np.cumsum(sizes))
    first = min(skipped, len(sizes))
    parts = slices_by_tokens(starts, most, slice(first, len(sizes)))
    assert [i for part in parts for i in range(part.start, part.stop)] == [
        *range(first, len(sizes))
    ]
    for part in parts:
        size = starts[part.stop] - starts[part.start]
        assert size <= most or part.stop - part.start == 1


def test_maxima_are_taken_over_strips_that_cut_passages_anywhere():
    generator = np.random.default_rng(0)
    products = generator.standard_normal((17, 5)).astype(np.float32)
    starts, asked = np.array([0, 1, 9, 9 + 8]), np.array([0, 2, 5])
    expected = [
        [
            np.float32(products[a:b, c:d].max(0).astype(np.float64).sum())
            for a, b in pairwise(starts)
        ]
        for c, d in pairwise(asked)
    ]
    for strip in range(1, 18):
        best, scores = np.full(5, -np.inf, np.float32), np.empty((2, 3), np.float32)
        passage = 0
        for begin in range(0, 17, strip):
            passage = tile_kernels.add_maxima(
                products[begin : begin + strip], begin, starts, asked, best, passage, scores
            )
        assert passage == 3
        assert scores.tolist() == expected


def test_few_scores_of_many_are_decided_exactly():
    collection = parallel_collection(3, 40, 300)
    queries, passages = token_vectors_for(collection)
    pairs, _ = relevant_pairs(collection)
    counts = count_outranking(queries, passages, pairs, collection.passages.starts)
    assert counts.recomputed < 0.001 * len(pairs.query) * len(collection.passages)
    alike = map(TokenVectors.of, adversarial("near duplicates", collection))
    assert count_outranking(*alike, pairs, collection.passages.starts).recomputed > 0
