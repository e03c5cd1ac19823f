"""Speed is measured on fixed text; a clock that the model itself moves says what must come out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import sparse

from mlbench.common.errors import UsageError
from mlbench.evaluation import speed
from mlbench.evaluation.speed import fixed_texts, measure_speed, sent_tokens
from mlbench.models.objects import load_model
from mlbench.models.protocol import Tokens, Truncation
from mlbench.ranking.vectors import TextSize
from tests.support.letters import Letters


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(speed, "time", made)
    return made


class Timed(Letters):
    """Each text takes a while, longer in a round that is slow; the first call loads something."""

    def __init__(self, clock, slow=()):
        self.clock, self.slow, self.calls = clock, slow, []

    def encode_queries(self, texts, language):
        return self.encode("query", texts, language, 0.01)

    def encode_passages(self, texts, language):
        return self.encode("passage", texts, language, 0.02)

    def encode(self, role, texts, language, seconds):
        number = sum(of == role for of, _, _ in self.calls) // 22  # a round has 2 halves of each
        self.calls.append((role, language, tuple(texts)))
        self.clock.now += len(texts) * seconds * (3 if number in self.slow else 1)
        self.clock.now += 100 if len(self.calls) == 1 else 0
        return super().encode_queries(texts, language)


def test_the_median_of_the_rounds_after_one_that_does_not_count(clock):
    model = Timed(clock, slow=(0, 3))
    told = []
    found = measure_speed(load_model(model), 5, told.append)
    query, passage = found.roles["query"], found.roles["passage"]
    assert (query.texts, passage.texts) == (352, 352)
    assert query.texts_per_second == pytest.approx(100)
    assert passage.texts_per_second == pytest.approx(50)
    assert query.range == pytest.approx((100 / 3, 100))
    assert len(query.seconds) == 5
    assert told == [1] * 12
    assert query.size == TextSize(1, 256, 1024)
    assert (found.dimension, found.parameters, query.tokens_per_second) == (256, None, None)


def test_a_fast_model_encodes_often_enough_to_be_timed(clock):
    class Fast(Timed):
        def encode(self, role, texts, language, seconds):
            return super().encode(role, texts, language, seconds / 1000)

    model = Fast(clock)
    found = measure_speed(load_model(model), 2)
    assert found.roles["query"].texts_per_second == pytest.approx(100_000)
    encoded = sum(len(texts) for role, _, texts in model.calls if role == "query")
    assert encoded / 352 == 1 + 2 * math.ceil(0.5 / 0.00352)


def test_what_was_given_last_does_not_come_again_at_once(clock):
    model = Timed(clock)
    measure_speed(load_model(model), 2)
    by_part = {}
    for role, language, texts in model.calls:
        assert by_part.get((role, language)) != texts
        assert not {*texts} & {*by_part.get((role, language), ())}
        by_part[role, language] = texts


def test_the_text_is_fixed_and_distinct():
    texts = fixed_texts()
    assert {role: len(of) for role, of in texts.items()} == {"query": 11, "passage": 11}
    every = [text for of in texts.values() for some in of.values() for text in some]
    assert len(every) == len(set(every)) == 704
    sizes = [len(text) for some in texts["passage"].values() for text in some]
    assert min(sizes) > 150
    assert texts["passage"]["en"][0].startswith("A honey bee tells its nestmates")
    assert speed._digest(texts).startswith("2eacaee480d480eb")  # another text is another scale


def test_tokens_are_those_that_the_model_reads(clock):
    class Cut(Timed):
        def truncation(self, role, texts):
            return Truncation(len(texts), 5 * len(texts), 25 * len(texts))

    found = measure_speed(load_model(Cut(clock)), 3)
    assert found.roles["query"].tokens == 20
    assert found.roles["query"].tokens_per_second == pytest.approx(20 * 100)


def test_a_model_with_forms_makes_them_each_time(clock):
    class Formed(Timed):
        language_free = True
        asked = 0

        def canonical(self, role, texts):
            self.asked += 1
            self.clock.now += 0.01 * len(texts)
            return [text.encode() for text in texts]

    model = Formed(clock)
    found = measure_speed(load_model(model), 1)
    assert found.roles["query"].texts_per_second == pytest.approx(50)  # the form, then the vector
    lengths = [len(text.encode()) for text in model.calls[0][2]]
    assert lengths == sorted(lengths, reverse=True)
    assert len(model.calls[0][2]) == 176


def test_a_fitted_model_reads_the_passages_first_and_sparse_vectors_are_measured(clock):
    class Fitted(Timed):
        fitted = ()

        def fit(self, texts, language):
            self.fitted = (*self.fitted, language)

        def encode(self, role, texts, language, seconds):
            assert len(self.fitted) == 11
            return sparse.csr_matrix(super().encode(role, texts, language, seconds))

    found = measure_speed(load_model(Fitted(clock)), 1)
    size = found.roles["passage"].size
    assert size.bytes == pytest.approx(8 * size.coordinates, rel=1e-3)


def test_vectors_that_are_looked_up_have_no_speed():
    class Bound(Letters):
        def bind(self, role, language, ids, texts): ...

    with pytest.raises(UsageError, match="looks vectors up by the ids"):
        measure_speed(load_model(Bound()))


def test_a_server_is_sent_each_text_once_a_round(clock):
    class Paid(Timed):
        def tokens(self, role, texts):
            return Tokens(len(texts), 2 * len(texts))

        def encode(self, role, texts, language, seconds):
            return super().encode(role, texts, language, seconds / 1000)

    model = load_model(Paid(clock))
    assert sent_tokens(model, 4) == 2 * 704 * 5
    measure_speed(model, 4)
    assert sum(len(texts) for _, _, texts in model.adapter.calls) == 704 * 5
    assert sent_tokens(load_model(Letters())) is None


def test_what_was_measured_is_json(clock):
    values = json.loads(json.dumps(measure_speed(load_model(Timed(clock)), 2).values()))
    assert values["roles"]["passage"]["texts_per_second"] == pytest.approx(50)
    assert values["hardware"]["cores"] >= values["hardware"]["usable"] >= 1
    assert values["peak_memory"] > 2**20
    assert np.median(values["roles"]["query"]["seconds"]) == pytest.approx(3.52)
