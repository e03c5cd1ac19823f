"""A model is evaluated once, unless it has changed in a way that its identity does not tell."""

from __future__ import annotations

import numpy as np

from mlbench.evaluation.evaluate import evaluate
from mlbench.evaluation.evaluate_once import PROBES, EvaluateOnce

GIVEN = {"progress": False, "cache": None}


class Model:
    """Counts the texts it encodes; ``weight`` is what training would change."""

    name = "counted"
    identity = "counted 1"

    def __init__(self):
        self.weight, self.texts = 1.0, 0

    def encode_queries(self, texts, language):
        self.texts += len(texts)
        rows = [np.bincount(np.frombuffer(t.encode(), np.uint8), minlength=256) for t in texts]
        return np.array(rows, np.float32) ** self.weight

    encode_passages = encode_queries


def test_a_second_evaluation_costs_a_few_texts_and_gives_the_same_report():
    model, once = Model(), EvaluateOnce()
    first = once(model, "sample", **GIVEN)
    before = model.texts
    second = once(model, "sample", **GIVEN)
    assert model.texts - before == 2 * PROBES
    assert second is first
    assert first.scores == evaluate(Model(), "sample", **GIVEN).scores


def test_other_measures_come_from_the_same_table():
    model, once = Model(), EvaluateOnce()
    once(model, "sample", **GIVEN)
    before = model.texts
    report = once(model, "sample", measures=["nDCG@7"], **GIVEN)
    assert model.texts - before == 2 * PROBES
    other = evaluate(Model(), "sample", measures=["nDCG@7"], **GIVEN)
    assert (report.measures, report.scores) == (other.measures, other.scores)


def test_a_model_that_was_trained_is_evaluated_anew_whatever_its_identity_says():
    model, once = Model(), EvaluateOnce()
    first = once(model, "sample", **GIVEN)
    model.weight = 0.5
    second = once(model, "sample", **GIVEN)
    assert second.scores != first.scores
    assert second.scores == evaluate(model, "sample", **GIVEN).scores


def test_another_reranker_gives_another_report():
    class Lengths:
        def score_pairs(self, queries, passages):
            return np.array([float(len(passage)) for passage in passages])

    model, once, few = Model(), EvaluateOnce(), {"languages": "en,de", **GIVEN}
    first = once(model, "sample", **few)
    second = once(model, "sample", rerank=Lengths(), **few)
    assert second.reranking is not None
    assert second.scores != first.scores


def test_another_sample_is_other_data():
    model, once = Model(), EvaluateOnce()
    whole = once(model, "sample", **GIVEN)
    part = once(model, "sample", sample_questions=10, **GIVEN)
    assert part.task.sample == 10
    assert part.scores != whole.scores
    part = once(model, "sample", languages=("ar", "en"), **GIVEN)
    assert part.task.languages == ("ar", "en")


def test_a_model_that_reads_the_collection_is_evaluated_each_time():
    once = EvaluateOnce()
    first = once("bm25", "sample", **GIVEN)
    assert once("bm25", "sample", **GIVEN).scores == first.scores
