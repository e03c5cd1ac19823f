from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mlbench.models import contract
from mlbench.models.char_ngram import encode
from mlbench.models.contract import (
    CHECKS,
    IMAGE_CHECKS,
    LONGEST,
    SHORT_TEXTS,
    CheckResult,
    check_adapter,
)
from mlbench.models.images import takes_images
from mlbench.models.registry import LoadedModel, load_adapter

Encode = Callable[[list[str]], Any]


class _Model:
    """A model whose roles are given as functions of the texts."""

    def __init__(self, queries: Encode, passages: Encode | None = None) -> None:
        self._queries, self._passages = queries, passages or queries

    def encode_queries(self, texts: list[str], language: str) -> Any:
        return self._queries(texts)

    def encode_passages(self, texts: list[str], language: str) -> Any:
        return self._passages(texts)


def _check(adapter: Any) -> dict[str, CheckResult]:
    loaded = LoadedModel("m.py:make", "m", "file", adapter, "cosine", "derived: x")
    return {result.name: result for result in check_adapter(loaded)}


def _failed(adapter: Any) -> dict[str, str]:
    return {name: r.detail for name, r in _check(adapter).items() if not r.passed}


@pytest.mark.parametrize("spec", ["bm25", "char-ngram", "pixels", "random", "random:5"])
def test_built_in_models_keep_the_contract_to_the_bit(spec: str) -> None:
    results = {result.name: result for result in check_adapter(load_adapter(spec))}
    assert all(result.passed for result in results.values()), results
    of_images = IMAGE_CHECKS if takes_images(load_adapter(spec)) else ()
    assert results.keys() == {name for name, _ in (*CHECKS, *of_images)}
    assert bool(of_images) is (spec not in ("bm25", "char-ngram"))
    for name in ("repeatable", "order-free", "batch-free"):
        assert results[name].detail == "bit-identical"


def test_a_slow_model_is_asked_for_the_long_text_that_it_was_fitted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(0, 3600)
    monkeypatch.setattr(contract.time, "perf_counter", lambda: float(next(clock)))
    assert [result for result in check_adapter(load_adapter("bm25")) if not result.passed] == []


def test_sparse_models_and_rounding_pass() -> None:
    assert _failed(_Model(lambda texts: sparse.coo_array(encode(texts)))) == {}
    rounded = _check(_Model(lambda texts: encode(texts) * (1 + 1e-6 * len(texts))))
    assert all(result.passed for result in rounded.values())
    assert rounded["batch-free"].detail.startswith("within ")
    assert rounded["repeatable"].detail == "bit-identical"


def test_information() -> None:
    alike = _check(_Model(encode))
    assert "same vector" in alike["roles"].detail
    apart = _check(_Model(encode, lambda texts: -encode(texts)))
    assert "different vectors" in apart["roles"].detail

    def refuses_none(texts: list[str]) -> Any:
        return np.stack([encode([text])[0] for text in texts])

    refused = _check(_Model(refuses_none))["empty list"]
    assert refused.passed
    assert "refused" in refused.detail
    assert "need at least one array" in refused.detail
    constant = _check(_Model(lambda texts: np.ones((len(texts), 3))))["distinct texts"]
    assert constant.passed
    assert "10 of 10" in constant.detail


def test_it_costs_what_it_says_and_the_long_text_of_a_slow_model_is_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, sizes = [0.0], []

    def slow(texts: list[str]) -> Any:
        sizes.extend(map(len, texts))
        now[0] += sum(map(len, texts)) / 1000
        return encode(texts)

    monkeypatch.setattr(contract.time, "perf_counter", lambda: now[0])
    assert _failed(_Model(slow)) == {}
    longest = max(sizes)
    assert len([size for size in sizes if size < longest]) == SHORT_TEXTS
    assert sizes.count(longest) == 2
    assert 4_900 < longest < 6_000
    sizes.clear()
    monkeypatch.setattr(contract.time, "perf_counter", lambda: 0.0)
    _check(_Model(slow))
    assert LONGEST - 100 < max(sizes) <= LONGEST


def test_results_come_one_by_one() -> None:
    calls: list[int] = []

    def counted(texts: list[str]) -> Any:
        calls.append(len(texts))
        return encode(texts)

    loaded = LoadedModel("m.py:make", "m", "file", _Model(counted), "cosine", "derived: x")
    results = check_adapter(loaded)
    next(results)
    first = len(calls)
    next(results)
    assert len(calls) == 2 * first


class _Counter:
    """Vectors that drift from call to call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, texts: list[str]) -> Any:
        self.calls += 1
        return encode(texts) + self.calls


class _Buffer:
    """One array for all results."""

    def __init__(self) -> None:
        self.array = np.zeros((20, 1024), np.float32)

    def __call__(self, texts: list[str]) -> Any:
        self.array[: len(texts)] = encode(texts)
        return self.array[: len(texts)]


def _standardised(texts: list[str]) -> Any:
    vectors = encode(texts)
    return vectors - vectors.sum(axis=0) / max(len(texts), 1)


def _by_position(texts: list[str]) -> Any:
    return encode(texts) + np.arange(len(texts))[:, None] / 10


def _sorts(texts: list[str]) -> Any:
    texts.sort()
    return encode(texts)


def _fails_on_odd(texts: list[str]) -> Any:
    if any(not any(c.isalnum() for c in text) for text in texts):
        raise ValueError("no token in a text")
    return encode(texts)


def _nan_on_long(texts: list[str]) -> Any:
    return np.array([[np.nan if len(text) > 5000 else len(text) + 1.0] for text in texts])


@pytest.mark.parametrize(
    ("encode_texts", "check", "detail"),
    [
        (_Counter(), "repeatable", "vectors differ by"),
        (_Buffer(), "buffers not reused", "changed by a later call"),
        (_standardised, "batch-free", "vectors differ by"),
        (_by_position, "order-free", "vectors differ by"),
        (_by_position, "duplicate texts", "two equal texts in one call differ"),
        (_sorts, "lists untouched", "changed the list"),
        (_fails_on_odd, "odd texts", "ValueError: no token in a text"),
        (_nan_on_long, "long text", "NaN or infinity for query 'The lake"),
    ],
)
def test_each_clause_can_fail(encode_texts: Encode, check: str, detail: str) -> None:
    failed = _failed(_Model(encode_texts))
    assert check in failed
    assert detail in failed[check]


@pytest.mark.parametrize(
    ("model", "detail"),
    [
        (_Model(lambda texts: [[1.0]] * len(texts)), "returned list"),
        (_Model(lambda texts: np.ones((len(texts), 3)), lambda texts: np.ones((len(texts), 4))),
         "encode_queries (en, 4 texts) returned dense vectors of 3"),
        (_Model(lambda texts: np.ones((1, 3))), "one row for each text"),
        (_Model(lambda texts: 1 / 0), "ZeroDivisionError"),
        (_Model(lambda texts: sys.exit("no")), "called sys.exit('no')"),
    ],
)  # fmt: skip
def test_without_vectors_nothing_more_is_tried(model: _Model, detail: str) -> None:
    results = _check(model)
    assert list(results) == ["vectors"]
    assert not results["vectors"].passed
    assert detail in results["vectors"].detail


def test_a_model_that_fails_in_fit() -> None:
    class Unfit(_Model):
        def fit(self, texts: list[str], language: str) -> None:
            raise RuntimeError(f"cannot fit {language}")

    failed = _failed(Unfit(encode))
    assert "RuntimeError: cannot fit en" in failed["vectors"]


def test_a_model_that_looks_vectors_up_by_id_is_not_tried() -> None:
    class Lookup(_Model):
        def bind(self, role: str, language: str, ids: list[str], texts: list[str]) -> None: ...

    results = _check(Lookup(encode))
    assert list(results) == ["bind"]
    assert results["bind"].passed
    assert "not tested" in results["bind"].detail


class _Seeing(_Model):
    """A model of images; ``see`` gives their vectors."""

    def __init__(self, see: Callable[[list[Any]], Any]) -> None:
        super().__init__(encode)
        self.see = see

    def encode_images(self, images: list[Any]) -> Any:
        return self.see(images)


def _colours(images: list[Any]) -> Any:
    rows = np.array([np.asarray(image.convert("RGB")).mean((0, 1)) for image in images])
    return np.pad(rows + 1, ((0, 0), (0, encode(["a"]).shape[1] - 3)))


@pytest.mark.parametrize(
    ("see", "names", "said"),
    [
        (_colours, [], ""),
        (lambda images: _colours(images)[:, :7], ["images"], "of 7 dimensions"),
        (lambda images: _colours(images)[1:], ["images"], "for 9 texts"),
        (lambda images: _colours(images) * np.nan, ["images"], "NaN"),
        (lambda images: _colours(images) + len(images), ["images alone"], "one by one"),
        (
            lambda images: _colours(images) + np.arange(len(images))[:, None],
            ["images in order", "images alone"],
            "in another order",
        ),
    ],
)
def test_models_of_images_are_seen_to_break_it(see: Any, names: list[str], said: str) -> None:
    failed = _failed(_Seeing(see))
    assert [name for name in names if name in failed] == names
    assert bool(failed) is bool(names)
    assert all(name.startswith("images") or name == "distinct images" for name in failed)
    if names:
        assert said in failed[names[0]]


def test_an_image_that_is_changed_is_seen() -> None:
    def paint(images: list[Any]) -> Any:
        images[0].paste(0, (0, 0, 9, 9))
        return _colours(images)

    assert "changed an image" in _failed(_Seeing(paint))["images untouched"]
