"""Smaller vectors: codes are those of sentence-transformers, scores those of vectors that were made
smaller by other means and given as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import mlbench
from mlbench.common.errors import UsageError
from mlbench.evaluation.compression import Ranges, Variant, compressed, signs, size_of, variants_of
from mlbench.models.encoding import Embedded
from mlbench.models.random_vectors import make
from mlbench.models.rows import normalise
from mlbench.ranking.vectors import TextSize, TokenVectors
from tests.support.letters import Letters

QUIET = mlbench.Options(progress=False, cache=None)


def rows(seed: int, count: int, size: int = 24) -> np.ndarray:
    generator = np.random.default_rng(seed)
    spread = np.exp(generator.standard_normal(size))
    return (generator.standard_normal((count, size)) * spread).astype(np.float32)


# codes


def test_codes_are_those_of_sentence_transformers():
    util = pytest.importorskip("sentence_transformers.util")
    passages, queries = rows(1, 400), 1.5 * rows(2, 300)
    passages[:, 3] = 0.25  # a dimension that tells nothing
    ranges = Ranges.of(passages)
    ours = (ranges.codes(queries) - 128).astype(np.int8)
    theirs = util.quantize_embeddings(queries, "int8", calibration_embeddings=passages)
    assert np.array_equal(ours, theirs)
    assert {-128, 127} <= {*np.unique(ours)}  # beyond the passages' range
    packed = util.quantize_embeddings(passages, "ubinary")
    assert np.array_equal(np.packbits(signs(passages) > 0, axis=-1), packed)
    tokens = util.quantize_embeddings(
        [queries[:2], queries[2:7]], "int8", ranges=ranges_of(passages)
    )
    assert np.array_equal(np.concatenate(tokens), ours[:7])


def ranges_of(passages):
    return np.stack([passages.min(axis=0), passages.max(axis=0)])


def slowly(value: float, least: float, most: float) -> float:
    """What a coordinate's code stands for, by the definition."""
    step = (most - least) / 255
    if step == 0:
        return least
    code = min(255, max(0, math.floor((value - least) / step)))
    return least + (code + 0.5) * step


@given(st.integers(0, 99))
def test_a_code_stands_for_the_middle_of_its_step(seed):
    passages, queries = rows(seed, 9, 5).round(1), rows(seed + 100, 7, 5).round(1)
    passages[:, 0] = 0.5
    found = Ranges.of(passages).rounded(queries)
    for row, column in np.ndindex(*queries.shape):
        least, most = map(float, (passages[:, column].min(), passages[:, column].max()))
        expected = slowly(float(queries[row, column]), least, most)
        step = (most - least) / 255
        assert abs(found[row, column] - expected) <= 1.01 * step + 1e-6  # at the edge of a step
    inside = Ranges.of(passages)
    assert (abs(inside.rounded(passages) - passages) <= 0.501 * inside.step + 1e-6).all()


def test_signs_score_by_the_hamming_distance():
    left, right = signs(rows(3, 20)), signs(rows(4, 30))
    left[0, 0] = signs(np.zeros((1, 1), np.float32))[0, 0]
    assert left[0, 0] == -1
    bits = (np.packbits(side > 0, axis=1) for side in (left, right))
    first, second = (np.unpackbits(each, axis=1)[:, :24].astype(int) for each in bits)
    hamming = (first[:, None] != second[None]).sum(axis=2)
    assert np.array_equal(left @ right.T, 24 - 2 * hamming)


# variants


def test_the_grid_has_every_combination_but_the_whole():
    names = [each.name for each in variants_of(("binary", "int8"), (64, 256, 64))]
    assert names == ["float32-256", "float32-64", "int8", "int8-256", "int8-64",
                     "binary", "binary-256", "binary-64"]  # fmt: skip
    assert variants_of((), ()) == ()
    assert [each.name for each in variants_of(("int8",), ())] == ["int8"]


def test_sizes_are_those_of_the_codes():
    vectors = rows(5, 3, 20)
    sizes = {v.name: size_of(v, vectors).bytes for v in variants_of(("int8", "binary"), (12,))}
    assert sizes == {"float32-12": 48, "int8": 20, "int8-12": 12, "binary": 3, "binary-12": 2}
    tokens = TokenVectors.of([vectors, vectors[:1]])
    assert size_of(Variant("binary", 12), tokens) == TextSize(2, 24, 4)


def of_length(vectors, dimension, similarity):
    found = compressed(
        Embedded(vectors, vectors, (), {}), Variant("float32", dimension), similarity
    )
    return found.passages


def test_what_had_length_1_has_it_again():
    unit = normalise(rows(6, 10))
    cut = np.ascontiguousarray(unit[:, :8])
    assert np.array_equal(of_length(unit, 8, "cosine"), normalise(cut))
    assert np.array_equal(of_length(unit, 8, "dot"), normalise(cut))
    longer = np.concatenate([unit, 2 * unit[:1]])
    assert np.array_equal(of_length(longer, 8, "dot"), longer[:, :8])
    tokens = of_length(TokenVectors.of([unit[:7], unit[7:]]), 8, "cosine")
    assert np.array_equal(tokens.vectors, normalise(cut))


# whole evaluations


@pytest.fixture(scope="module")
def sides():
    data = mlbench.load_collection("sample")
    model = make("3")
    return [normalise(model.encode_passages(list(each.texts), "")) for each in (
        data.queries, data.passages)]  # fmt: skip


@pytest.fixture(scope="module")
def report(sides):
    return mlbench.evaluate_vectors(
        *sides, "sample", QUIET, quantize=("int8", "binary"), truncate_dim=[16]
    )


def same_table(one, other):
    names = ("place", "above", "tied", "query_language", "passage_language")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def cut(sides):
    return [normalise(np.ascontiguousarray(side[:, :16])) for side in sides]


def decoded(sides):
    """What int8 codes stand for, which are tested above against those of a library."""
    low, high = ranges_of(sides[1])
    step = (high - low) / np.float32(255)
    codes = [np.floor((side - low) / step).clip(0, 255).astype(np.uint8) for side in sides]
    return [low + (code.astype(np.float32) + np.float32(0.5)) * step for code in codes]


OTHERWISE = {
    "float32-16": cut,
    "int8": decoded,
    "int8-16": lambda sides: decoded(cut(sides)),
    "binary": lambda sides: [np.where(side > 0, 1.0, -1.0) for side in sides],
    "binary-16": lambda sides: [np.where(side[:, :16] > 0, 1.0, -1.0) for side in sides],
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_variant_scores_as_vectors_made_so_by_other_means(sides, report, name):
    (variant,) = [each for each in report.variant_reports if each.model.variant == name]
    given = mlbench.evaluate_vectors(*OTHERWISE[name](sides), "sample", QUIET, similarity="dot")
    assert same_table(variant.table, given.table)
    assert variant.scores == given.scores
    (row,) = [each for each in report.variants if each.name == name]
    assert row.macro == given.scores.macro
    assert row.rank_distance == given.scores.bias.rank_distance


def test_the_whole_vectors_are_scored_as_without_variants(sides, report):
    plain = mlbench.evaluate_vectors(*sides, "sample", QUIET)
    assert same_table(report.table, plain.table)
    assert report.scores == plain.scores
    assert (report.model, plain.variants, plain.variant_reports) == (plain.model, (), ())


def test_few_bits_tie_and_ties_count_against_the_model(report):
    tied = {each.name: each.macro["multilingual"]["AP"] for each in report.variants}
    assert tied["binary-16"].ties_matter
    assert tied["binary-16"].optimistic > tied["binary-16"].value + 0.01
    assert not tied["int8"].ties_matter


def test_a_variant_says_what_it_is(report):
    variant = report.variant_reports[-1].model
    assert (variant.name, variant.variant) == ("vectors@binary-16", "binary-16")
    assert variant.identity == f"{report.model.identity}, binary-16"
    assert (variant.dimension, variant.dtype) == (16, "binary")
    assert variant.sizes["passage"] == TextSize(1, 16, 2)
    assert variant.notes == (
        "the model's vectors were cut to their first 16 dimensions and reduced to the signs of "
        "their coordinates",
    )


def test_texts_are_encoded_once(monkeypatch):
    class Counting(Letters):
        texts = 0

        def encode_queries(self, texts, language):
            Counting.texts += len(texts)
            return super().encode_queries(texts, language)

        encode_passages = encode_queries

    mlbench.evaluate(Counting(), "sample", QUIET)
    once = Counting.texts
    mlbench.evaluate(Counting(), "sample", QUIET, quantize=["int8", "binary"], truncate_dim=64)
    assert Counting.texts == 2 * once


def test_late_interaction_is_made_smaller_by_token(sides):
    lists = [[np.stack([row, row[::-1]]) for row in side] for side in sides]
    found = mlbench.evaluate_vectors(*lists, "sample", QUIET, quantize="binary")
    other = [[np.where(text > 0, 1.0, -1.0) for text in side] for side in lists]
    given = mlbench.evaluate_vectors(*other, "sample", QUIET, similarity="dot")
    assert same_table(found.variant_reports[0].table, given.table)
    assert found.variants[0].bytes == 2 * 64 / 8


# what is refused


class Sparse(Letters):
    called = 0

    def encode_queries(self, texts, language):
        Sparse.called += 1
        return sparse.csr_matrix(super().encode_queries(texts, language))

    encode_passages = encode_queries


def test_sparse_vectors_are_refused_before_all_are_encoded():
    with pytest.raises(UsageError, match="gives sparse vectors"):
        mlbench.evaluate(Sparse(), "sample", QUIET, quantize="int8")
    assert Sparse.called < 22


def test_more_dimensions_than_there_are_is_refused_all_at_once():
    with pytest.raises(UsageError) as error:
        mlbench.evaluate(Letters(), "sample", QUIET, truncate_dim=(256, 64, 512))
    assert [fault.where for fault in error.value.faults] == [
        "--truncate-dim 256", "--truncate-dim 512",
    ]  # fmt: skip
    assert "vectors of 256 dimensions" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quantize": "int4"}, "quantize"),
        ({"truncate_dim": (0,)}, "truncate_dim"),
        ({"truncate_dim": "256"}, "truncate_dim"),
        ({"quantize": 8}, "quantize"),
    ],
)
def test_options_that_are_none(changes, told):
    with pytest.raises(UsageError, match=f"option {told}"):
        mlbench.Options(**changes)


def test_a_streamed_task_has_no_variants():
    streaming = mlbench.Streaming(always=True)
    with pytest.raises(UsageError, match="--quantize, --truncate-dim: task 'sample' is streamed"):
        mlbench.evaluate("random", "sample", QUIET, streaming=streaming, quantize="int8",
                         truncate_dim=8)  # fmt: skip
