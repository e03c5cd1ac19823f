"""Objects of a running program as models: what does not fit is told before anything is encoded."""

from __future__ import annotations

import pytest

import mlbench
from mlbench.common.errors import ModelError, UsageError
from mlbench.models.objects import load_model
from tests.support.letters import Letters


def test_a_class_is_not_yet_a_model():
    with pytest.raises(UsageError, match=r"class Letters(.|\n)*Letters\(\.\.\.\)"):
        load_model(Letters)


@pytest.mark.parametrize("pair", [False, True])
def test_what_does_not_take_a_language_is_told_with_its_place(pair):
    def encode(texts):
        return Letters().encode_queries(texts, "")

    model = Letters()
    model.encode_passages = encode
    given = (encode, encode) if pair else model
    with pytest.raises(ModelError, match=r"\(texts, language\)(.|\n)*test_objects\.py"):
        load_model(given)


class Wrapper:
    """Has what a SentenceTransformer encodes with, and nothing else."""

    def encode_query(self, texts, show_progress_bar):
        return Letters().encode_queries(texts, "")

    encode_document = encode_query


def test_what_wraps_a_sentence_transformer_need_not_describe_itself():
    report = mlbench.evaluate(Wrapper(), "sample", progress=False, cache=None)
    assert report.macro == mlbench.evaluate(Letters(), "sample", progress=False).macro
    assert (report.model.name, report.model.parameters, report.model.prompts) == (
        "Wrapper",
        None,
        {},
    )


def test_a_name_that_no_file_can_hold_is_refused():
    model = Letters()
    model.name = "lone \ud800 surrogate"
    with pytest.raises(ModelError, match="attribute name"):
        load_model(model)
    model.name = "näme 名"
    assert load_model(model).name == "näme 名"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CrossEncoder", "a cross-encoder"),
    ],
)
def test_other_models_of_the_library_are_refused_as_what_they_are(name: str, words: str) -> None:
    methods = {"encode_query": print, "encode_document": print}
    own = type("Own", (type(name, (), methods),), {})
    with pytest.raises(UsageError, match=f"type Own: {words}"):
        load_model(own())
