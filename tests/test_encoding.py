from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from mlbench.adapters.registry import LoadedModel
from mlbench.collection import Judgement, Records, TextRecord, build_collection
from mlbench.encoding import BATCH, Encoder, Plan, mean_cosine, normalise
from mlbench.errors import ModelError


class Recorder:
    """Encodes a text as its length and character codes, and remembers what it was given."""

    def __init__(self) -> None:
        self.given: Counter[tuple[str, str, str]] = Counter()
        self.calls: list[int] = []

    def encode_queries(self, texts, language):
        return self._encode("query", texts, language)

    def encode_passages(self, texts, language):
        return self._encode("passage", texts, language)

    def _encode(self, role, texts, language):
        self.given.update((role, language, text) for text in texts)
        self.calls.append(len(texts))
        return np.array([[len(t), ord(t[0]), ord(t[-1])] for t in texts], np.float64)


def loaded(adapter, similarity="cosine") -> LoadedModel:
    return LoadedModel("test", "test", "file", adapter, similarity, "none")


def repeated_collection(extra: int = 0):
    """Texts repeated within and over languages and roles."""
    records = Records()
    for code in ("en", "de"):
        for i, text in enumerate(["alpha", "beta", "alpha", "gamma"] + ["x"] * extra):
            records.passages.append(TextRecord(f"p{i}", code, text, ""))
        records.queries += [
            TextRecord("q0", code, "alpha", ""),
            TextRecord("q1", code, "alpha", ""),
        ]
        records.judgements.append(Judgement("q0", code, "p1", code, 1, ""))
    return build_collection(("en", "de"), records)


def test_each_distinct_text_of_a_role_and_language_is_encoded_once():
    collection, adapter, done = repeated_collection(), Recorder(), []
    embedded = Encoder(loaded(adapter), done.append).encode(collection, Plan.of(collection))
    assert set(adapter.given.values()) == {1}
    assert len(adapter.given) == 2 * (3 + 1) == sum(done) == sum(Plan.of(collection).texts.values())
    assert embedded.passages.shape == (8, 3)
    assert np.array_equal(embedded.passages[0], embedded.passages[2])
    assert embedded.passages.dtype == embedded.queries.dtype == np.float32


def test_long_lists_go_in_batches():
    records = Records()
    records.passages = [TextRecord(f"p{i}", "en", f"text {i}", "") for i in range(BATCH + 5)]
    records.queries = [TextRecord("q", "en", "text", "")]
    records.judgements = [Judgement("q", "en", "p0", "en", 1, "")]
    collection, adapter = build_collection(("en",), records), Recorder()
    Encoder(loaded(adapter), lambda n: None).encode(collection, Plan.of(collection))
    assert sorted(adapter.calls) == [1, 5, BATCH]


def test_cosine_vectors_are_normalised_and_dot_vectors_kept():
    collection = repeated_collection()
    plan = Plan.of(collection)
    cosine = Encoder(loaded(Recorder()), lambda n: None).encode(collection, plan)
    dot = Encoder(loaded(Recorder(), "dot"), lambda n: None).encode(collection, plan)
    assert np.linalg.norm(cosine.passages, axis=1) == pytest.approx(1)
    assert dot.passages[0].tolist() == [5, ord("a"), ord("a")]


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
    assert mean_cosine(vectors) == pytest.approx(cosines[~np.eye(7, dtype=bool)].mean(), abs=1e-6)
    assert mean_cosine(sparse.csr_matrix(vectors)) == pytest.approx(mean_cosine(vectors))
    assert mean_cosine(vectors[:1]) == 0


class Collapsed(Recorder):
    def _encode(self, role, texts, language):
        return np.ones((len(texts), 4), np.float32)


def test_a_collapsed_encoder_is_warned_about():
    collection = repeated_collection()
    embedded = Encoder(loaded(Collapsed()), lambda n: None).encode(collection, Plan.of(collection))
    assert len(embedded.warnings) == 2
    assert "has collapsed" in embedded.warnings[0]


class Faulty(Recorder):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def _encode(self, role, texts, language):
        return self.fault(super()._encode(role, texts, language), role, language)


def _nan(vectors, role, language):
    if (role, language) == ("passage", "de"):
        vectors[1, 1] = np.nan
    return vectors


def _wide(vectors, role, language):
    return np.hstack([vectors, vectors]) if role == "query" else vectors


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_nan, r"NaN or infinity for passage 'p1' \(de\)"),
        (_wide, "6 dimensions.*3 dimensions"),
        (lambda v, role, language: v[:-1], "for 3 texts"),
        (lambda v, role, language: v[0], r"shape \(3,\)"),
        (lambda v, role, language: v.tolist(), "list"),
        (lambda v, role, language: np.array([[1.0], "x"], object), "object"),
    ],
)
def test_broken_vectors_are_model_errors_that_name_the_call(fault, message):
    collection = repeated_collection()
    with pytest.raises(ModelError, match=message) as caught:
        Encoder(loaded(Faulty(fault)), lambda n: None).encode(collection, Plan.of(collection))
    assert "model test, encode_" in str(caught.value)


def test_fit_and_bind_come_before_anything_is_encoded():
    class Learner(Recorder):
        def __init__(self):
            super().__init__()
            self.log = []

        def fit(self, texts, language):
            self.log.append(("fit", language, tuple(texts)))

        def bind(self, role, language, ids, texts):
            assert len(ids) == len(texts)
            self.log.append(("bind", role, language, tuple(ids)))

        def _encode(self, role, texts, language):
            self.log.append(("encode", role, language))
            return super()._encode(role, texts, language)

    collection, adapter = repeated_collection(), Learner()
    Encoder(loaded(adapter), lambda n: None).encode(collection, Plan.of(collection))
    kinds = [entry[0] for entry in adapter.log]
    assert kinds == ["fit"] * 2 + ["bind"] * 4 + ["encode"] * 4
    assert adapter.log[0] == ("fit", "en", ("alpha", "beta", "gamma"))
    assert adapter.log[4] == ("bind", "passage", "en", ("p0", "p1", "p2", "p3"))
