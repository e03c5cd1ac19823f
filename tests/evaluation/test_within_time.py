"""A sample that a slow model encodes in the time it was given."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.evaluation import within_time as module
from mlbench.evaluation.options import Options
from mlbench.evaluation.within_time import PASSAGES_A_QUESTION, within_time
from mlbench.models.registry import LoadedModel, load_adapter
from tests.support.strategies import parallel_collection


class Slow:
    """Takes a second for so many bytes, on a clock of its own."""

    def __init__(self, rate):
        self.rate, self.now, self.start = rate, 0.0, 30.0

    def encode_queries(self, texts, language):
        self.now += self.start + sum(len(text.encode()) for text in texts) / self.rate
        self.start = 0.0  # the first call loads the model
        return np.ones((len(texts), 2), np.float32)

    encode_passages = encode_queries


def chosen(monkeypatch, rate, seconds, languages=None):
    whole = parallel_collection(3, 200, 1000)
    adapter = Slow(rate)
    monkeypatch.setattr(module._bytes_a_second, "__defaults__", (lambda: adapter.now,))
    model = LoadedModel("m", "m", "file", adapter, "dot", "derived: m")
    options = Options(cache=None, progress=False, max_seconds=seconds)
    part = within_time("t", whole, model, options, languages or whole.languages)
    return whole, part.sample_questions, part.sample_passages


def size_of(collection):
    return sum(len(t.encode()) for e in (collection.queries, collection.passages) for t in e.texts)


@pytest.mark.parametrize("seconds", [20, 60, 200])
def test_the_largest_sample_that_fits_is_drawn(monkeypatch, seconds):
    rate = size_of(parallel_collection(3, 200, 1000)) / 400
    whole, questions, passages = chosen(monkeypatch, rate, seconds)
    assert passages == PASSAGES_A_QUESTION * questions
    assert size_of(module.Draw(questions, passages).of(whole)) / rate <= seconds * 1.01
    double = module.Draw(2 * questions, 2 * passages).of(whole)
    assert size_of(double) / rate > seconds * 0.9


def test_a_model_that_is_quick_enough_gets_all_of_it(monkeypatch):
    rate = size_of(parallel_collection(3, 200, 1000)) / 10
    assert chosen(monkeypatch, rate, 60)[1:] == (None, None)


def test_fewer_languages_leave_room_for_more_questions(monkeypatch):
    rate = size_of(parallel_collection(3, 200, 1000)) / 400
    few = chosen(monkeypatch, rate, 40)[1]
    many = chosen(monkeypatch, rate, 40, parallel_collection(3, 200, 1000).languages[:1])[1]
    assert many >= 2 * few


def test_the_smallest_sample_is_drawn_where_none_fits(monkeypatch):
    assert chosen(monkeypatch, 10.0, 5)[1:] == (8, 8 * PASSAGES_A_QUESTION)


def test_a_model_that_reads_the_collection_first_gets_all_of_it():
    options = Options(cache=None, progress=False, max_seconds=1)
    whole = parallel_collection(2, 10, 10)
    assert within_time("t", whole, load_adapter("bm25"), options, whole.languages) is options
