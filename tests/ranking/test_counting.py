from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlbench.common.errors import EnvironmentFault
from mlbench.data.building import build_collection
from mlbench.data.collection import Collection, Judgement, Records, TextRecord
from mlbench.ranking.counting import Counter, count_outranking, rank_collection, relevant_pairs
from mlbench.ranking.products import Limits, Pairs
from mlbench.ranking.tiles import Rows
from tests.conftest import REPOSITORY
from tests.oracles import scores as oracle
from tests.support.strategies import CODES, parallel_collection, table_digest, vectors_for


def graded_collection(seed: int) -> Collection:
    """Unequal languages; queries with several graded, few or no relevant passages."""
    generator = np.random.default_rng(seed)
    records = Records()
    for code, size in zip(CODES[:3], (9, 4, 13), strict=True):
        records.passages += [TextRecord(f"p{i}", code, "text", "here") for i in range(size)]
        records.queries += [TextRecord(f"q{i}", code, "text", "here") for i in range(5)]
    for query in records.queries:
        for passage in records.passages:
            if generator.random() < 0.15:
                grade = int(generator.integers(0, 4))
                records.judgements.append(
                    Judgement(query.id, query.language, passage.id, passage.language, grade, "here")
                )
    return build_collection(CODES[:3], records)


def few_valued(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Vectors of few distinct values, so that ties and equal vectors abound."""
    return generator.integers(-1, 2, shape).astype(np.float32)


def assert_equals_oracle(collection: Collection, queries: np.ndarray, passages: np.ndarray) -> None:
    pairs, _ = relevant_pairs(collection)
    place, above, tied = oracle.table(collection, queries, passages)
    for as_given in (np.asarray, sparse.csr_matrix):
        counts = count_outranking(
            as_given(queries), as_given(passages), pairs, collection.passages.starts
        )
        assert counts.place.tolist() == place
        assert counts.above.tolist() == above
        assert counts.tied.tolist() == tied


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), dimension=st.integers(1, 20), ties=st.booleans())
def test_counts_equal_the_slow_oracle(seed, dimension, ties):
    collection = graded_collection(seed)
    generator = np.random.default_rng(seed)
    make = few_valued if ties else (lambda g, s: g.standard_normal(s).astype(np.float32))
    queries = make(generator, (len(collection.queries), dimension))
    passages = make(generator, (len(collection.passages), dimension))
    if not ties:  # sparse sums run in another order, so compare the dense path alone
        pairs, _ = relevant_pairs(collection)
        counts = count_outranking(queries, passages, pairs, collection.passages.starts)
        place, above, tied = oracle.table(collection, queries, passages)
        assert counts.place.tolist() == place
        assert counts.above.tolist() == above
        assert counts.tied.tolist() == tied
    else:
        assert_equals_oracle(collection, queries, passages)


def adversarial(name: str, collection: Collection) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    queries, passages = vectors_for(collection, dimension=24)
    if name == "near duplicates":
        passages[:] = passages[0]
        passages += (generator.integers(-2, 3, passages.shape) * 2.0**-26).astype(np.float32)
    elif name == "huge norms":
        queries, passages = queries * np.float32(1e37), passages * np.float32(3e37)
    elif name == "tiny norms":
        queries, passages = queries * np.float32(1e-36), passages * np.float32(1e-36)
    elif name == "mixed norms":
        scale = 10.0 ** generator.uniform(-18, 18, (len(passages), 1))
        passages = (passages * scale).astype(np.float32)
    elif name == "cancellation":
        queries[:, 0] = passages[:, 0] = 1e6
        queries[:, 1], passages[:, 1] = 1e6, -1e6
    elif name == "collapsed":
        passages[:] = passages[0]
    elif name == "zero vectors":
        passages[::2] = 0
        queries[::3] = 0
    return np.ascontiguousarray(queries), np.ascontiguousarray(passages)


@pytest.mark.parametrize(
    "name",
    [
        "plain", "near duplicates", "huge norms", "tiny norms", "mixed norms", "cancellation",
        "collapsed", "zero vectors",
    ],
)  # fmt: skip
def test_counts_are_exact_for_adversarial_vectors(name):
    collection = parallel_collection(3, 8, 30)
    queries, passages = adversarial(name, collection)
    pairs, _ = relevant_pairs(collection)
    counts = count_outranking(queries, passages, pairs, collection.passages.starts)
    place, above, tied = oracle.table(collection, queries, passages)
    assert counts.place.tolist() == place
    assert counts.above.tolist() == above
    assert counts.tied.tolist() == tied


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("limits", [Limits(1, 2**20), Limits(3, 2**22), Limits(2)])
def test_memory_and_threads_change_nothing(kind, limits):
    collection = parallel_collection(4, 300, 400)
    queries, passages = (kind(v) for v in vectors_for(collection, dimension=16))
    plain, _ = rank_collection(collection, queries, passages)
    other, _ = rank_collection(collection, queries, passages, limits)
    assert np.array_equal(plain.above, other.above)
    assert np.array_equal(plain.tied, other.tied)
    assert np.array_equal(plain.place, other.place)


def test_a_tiny_query_beside_a_huge_one_is_ranked_as_by_itself():
    """Scaled down with the huge one, its only coordinate vanishes."""
    passages = (2.0 ** np.arange(34, 40))[:, None].astype(np.float32)
    queries = np.array([[2.0**100], [2.0**-50]], np.float32)
    pairs = Pairs(np.array([0, 1, 1]), np.array([1, 1, 3]))
    counts = count_outranking(queries, passages, pairs, np.array([0, 3, 6]))
    assert counts.above.tolist() == [[1, 3], [1, 2], [0, 2]]
    assert not counts.tied.any()


def test_too_little_memory_is_said():
    collection = parallel_collection()
    with pytest.raises(EnvironmentFault, match="memory: scoring needs"):
        rank_collection(collection, *vectors_for(collection), Limits(1, 1000))


def test_progress_adds_up_to_every_comparison():
    collection = parallel_collection(3, 30, 40)
    done: list[int] = []
    rank_collection(collection, *vectors_for(collection), progress=done.append)
    assert sum(done) == len(collection.queries) * len(collection.passages)


@pytest.mark.parametrize("name", ["plain", "near duplicates", "huge norms", "collapsed"])
def test_the_torch_product_gives_the_same_integers(name):
    pytest.importorskip("torch", reason="torch is not installed")
    from mlbench.ranking.products_torch import TorchDense

    collection = parallel_collection(3, 8, 30)
    queries, passages = adversarial(name, collection)
    pairs, _ = relevant_pairs(collection)
    _, above, tied = oracle.table(collection, queries, passages)
    scorer = TorchDense(queries, passages, collection.passages.starts, "cpu")
    starts = np.searchsorted(pairs.query, np.arange(len(queries) + 1)).astype(np.int64)
    rows = Rows(starts, pairs.passage, scorer.exact(pairs.query, pairs.passage))
    found = np.zeros((2, len(pairs.query), 3), np.int32)
    (tile,) = scorer.tiles(rows, Limits())
    scorer.count(tile, rows, found[0], found[1])
    assert found[0].tolist() == above
    assert found[1].tolist() == tied


@pytest.mark.parametrize("core", ["Haswell", "SkylakeX", "Sandybridge", "Nehalem"])
def test_the_table_is_the_same_on_every_kind_of_blas_kernel(core):
    """In a process of its own, with OpenBLAS told which processor to think it runs on."""
    if core == "SkylakeX" and "avx512f" not in processor_flags():
        pytest.skip("this processor has no AVX-512")
    program = "from tests.support import strategies; print(strategies.table_digest())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY,
        env=os.environ | {"OPENBLAS_CORETYPE": core}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [table_digest()]


def processor_flags() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text() if cpuinfo.exists() else ""


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), blocks=st.integers(1, 9), kind=st.sampled_from([0, 1]))
def test_counts_of_blocks_in_any_order_add_up(seed, blocks, kind):
    collection = graded_collection(seed)
    generator = np.random.default_rng(seed)
    as_given = (np.asarray, sparse.csr_matrix)[kind]
    queries = as_given(few_valued(generator, (len(collection.queries), 6)))
    passages = few_valued(generator, (len(collection.passages), 6))
    pairs, _ = relevant_pairs(collection)
    starts = collection.passages.starts
    whole = count_outranking(queries, as_given(passages), pairs, starts)

    relevant, index = np.unique(pairs.passage, return_inverse=True)
    counter = Counter(queries, as_given(passages[relevant]), Pairs(pairs.query, index))
    above, tied = np.zeros_like(whole.above), np.zeros_like(whole.tied)
    for part in generator.permutation(blocks):
        for language in range(len(starts) - 1):
            chosen = np.arange(starts[language], starts[language + 1])[part::blocks]
            if len(chosen):
                place = np.full(len(collection.passages), -1)
                place[chosen] = np.arange(len(chosen))
                counter.count(
                    as_given(passages[chosen]),
                    np.array([0, len(chosen)]),
                    place[pairs.passage],
                    (above[:, language : language + 1], tied[:, language : language + 1]),
                )
    assert counter.place.tolist() == whole.place.tolist()
    assert above.tolist() == whole.above.tolist()
    assert tied.tolist() == whole.tied.tolist()


@pytest.mark.parametrize("layout", ["column order", "every other column", "mapped, read only"])
def test_vectors_may_lie_in_memory_as_they_like(layout, tmp_path):
    collection = parallel_collection(3, 8, 30)
    queries, passages = vectors_for(collection, dimension=40)
    pairs, _ = relevant_pairs(collection)
    plain = count_outranking(queries, passages, pairs, collection.passages.starts)
    if layout == "column order":
        given = [np.asfortranarray(vectors) for vectors in (queries, passages)]
    elif layout == "every other column":
        given = [np.repeat(vectors, 2, axis=1)[:, ::2] for vectors in (queries, passages)]
    else:
        for name, vectors in (("q", queries), ("p", passages)):
            np.save(tmp_path / f"{name}.npy", vectors)
        given = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "qp"]
    other = count_outranking(*given, pairs, collection.passages.starts)
    assert np.array_equal(other.above, plain.above)
    assert np.array_equal(other.tied, plain.tied)
    assert np.array_equal(other.place, plain.place)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_table_may_be_in_either_order(order):
    collection = parallel_collection(3, 8, 30)
    queries, passages = vectors_for(collection)
    pairs, _ = relevant_pairs(collection)
    plain = count_outranking(queries, passages, pairs, collection.passages.starts)
    table = [np.ones(plain.above.shape, np.int32, order=order) for _ in range(2)]
    Counter(queries, passages, pairs).count(
        passages, collection.passages.starts, pairs.passage, tuple(table)
    )
    assert np.array_equal(table[0], plain.above + 1)
    assert np.array_equal(table[1], plain.tied + 1)
