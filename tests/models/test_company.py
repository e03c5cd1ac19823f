"""A vector that depends on what stands beside its text in a batch is seen, in a run and a check."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.evaluation.evaluate import evaluate
from mlbench.evaluation.options import Streaming
from mlbench.models.cache import EmbeddingCache
from mlbench.models.char_ngram import encode
from mlbench.models.company import ENOUGH, LOOKED_AT, apart, rounding, some_of
from mlbench.models.contract import check_adapter
from mlbench.models.registry import LoadedModel
from tests.test_api import beir_task


class Leaning:
    """Vectors lean to the mean of their batch by a share of their length."""

    language_free = True
    cacheable = True
    identity = "leaning"

    def __init__(self, share: float, dtype: str = "float32") -> None:
        self.share, self.dtype, self.calls = share, dtype, 0

    def encode_queries(self, texts: list[str], language: str) -> Any:
        self.calls += 1
        vectors = encode(texts)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        beside = vectors.sum(axis=0) - vectors
        size = np.linalg.norm(beside, axis=1, keepdims=True)
        return vectors + self.share * np.divide(beside, size, where=size > 0, out=beside * 0)

    encode_passages = encode_queries

    def describe(self) -> dict[str, Any]:
        return {"dtype": self.dtype}


def _loaded(model: Leaning) -> LoadedModel:
    return LoadedModel("m", "m", "object", model, "cosine", "declared: leaning")


def _warned(model: Leaning, **changes: Any) -> list[str]:
    options = {"progress": False, "cache": None} | changes
    warnings = evaluate(_loaded(model), "sample", **options).warnings
    return [warning for warning in warnings if "beside others" in warning]


@pytest.mark.parametrize(
    ("share", "dtype", "seen"),
    [
        (0.0, "float32", False),
        (1e-6, "float32", False),
        (1e-3, "float32", True),
        (1e-3, "float16", False),
        (0.02, "float16", True),
        (0.02, "bfloat16", False),
        (0.02, "float16 (queries), bfloat16 (passages)", False),
        (0.5, "bfloat16", True),
    ],
)
def test_a_run_warns_where_the_check_fails(share: float, dtype: str, seen: bool) -> None:
    model = Leaning(share, dtype)
    warned = _warned(model)
    assert len(warned) == (2 if seen else 0)
    assert all(f"differ by {share:.2g}" in warning for warning in warned)
    results = {result.name: result for result in check_adapter(_loaded(model))}
    assert results["batch-free"].passed is not seen


def test_the_difference_is_relative_to_the_vector_alone() -> None:
    model, texts = Leaning(0.25), ["one", "two words", "three more words"]
    found = apart(lambda places: model.encode_queries([texts[i] for i in places], ""), [0, 1, 2])
    alone = np.concatenate([model.encode_queries([text], "") for text in texts])
    gaps = np.linalg.norm(alone - model.encode_queries(texts, ""), axis=1)
    assert found == pytest.approx((gaps / np.linalg.norm(alone, axis=1)).max())
    assert found == pytest.approx(0.25, rel=1e-5)


def test_what_was_found_is_recalled_with_the_vectors(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, warn=pytest.fail)
    first, second = Leaning(0.1), Leaning(0.1)
    warned = _warned(first, cache=cache)
    assert len(warned) == 2
    assert _warned(second, cache=cache) == warned
    assert second.calls == 0


def test_a_streamed_run_warns_too(tmp_path: Path) -> None:
    report = evaluate(
        _loaded(Leaning(0.1)),
        beir_task(tmp_path),
        progress=False,
        cache=None,
        data_dir=tmp_path,
        streaming=Streaming(always=True),
    )
    assert any("beside others" in warning for warning in report.warnings)


def test_a_short_a_middling_and_a_long_text_are_tried() -> None:
    texts = ["four", "a", "twelve chars", "six ch", "b" * 99]
    assert some_of(texts, range(4)) == [1, 3, 2]
    many = ["x" * (500 - i) for i in range(500)]
    assert max(some_of(many, range(500))) < LOOKED_AT
    assert ENOUGH <= LOOKED_AT


def test_a_model_that_says_nothing_rounds_as_float32() -> None:
    silent = dataclasses.replace(_loaded(Leaning(0)), adapter=object())
    assert rounding(silent) == rounding(_loaded(Leaning(0))) == 1e-5
