"""What a model is asked about texts, and what is recalled instead."""

from __future__ import annotations

from dataclasses import astuple, fields, replace

import pytest

from mlbench.common.errors import ModelError
from mlbench.models import inputs as module
from mlbench.models.cache import EmbeddingCache
from mlbench.models.inputs import Inputs, is_cacheable, learns
from mlbench.models.protocol import Truncation
from mlbench.models.registry import LoadedModel


class Reader:
    """Reads texts in lower case, cut to three letters; counts how often it is asked."""

    cacheable = True
    language_free = True
    prompts = {"query": "q: ", "passage": ""}  # noqa: RUF012
    options = {"versions": {"reader": "1"}}  # noqa: RUF012

    def __init__(self):
        self.asked = []

    def encode_queries(self, texts, language):
        raise AssertionError

    encode_passages = encode_queries

    def canonical(self, role, texts):
        self.asked.append(("canonical", role, *texts))
        return [text.lower()[:3].encode() for text in texts]

    def truncation(self, role, texts):
        self.asked.append(("truncation", role, *texts))
        if role == "query":
            return None
        lost = [max(0, len(text) - 3) for text in texts]
        return Truncation(sum(n > 0 for n in lost), sum(lost), sum(map(len, texts)))


def loaded(adapter, identity="declared: m"):
    return LoadedModel("m", "m", "test", adapter, "cosine", identity)


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path, warn=pytest.fail)


TEXTS = ["One", "one more", "two"]


def ask(adapter, cache, texts=TEXTS, identity="declared: m"):
    """Return the keys of the texts as passages, as one run would."""
    inputs = Inputs(loaded(adapter, identity), cache)
    keys = inputs.read(inputs.source("passage", ""), texts).keys
    inputs.remember()
    return keys


def test_keys_are_those_of_the_forms_and_recalled_the_next_time(cache):
    first, second = Reader(), Reader()
    inputs = Inputs(loaded(first), cache)
    source = inputs.source("passage", "")
    read = inputs.read(source, TEXTS)
    assert read.forms == [b"one", b"one", b"two"]
    assert read.keys == source.keys(read.forms)
    inputs.remember()
    again = Inputs(loaded(second), cache).read(source, TEXTS)
    assert (again.keys, again.forms) == (read.keys, None)
    assert (len(first.asked), second.asked) == (1, [])


def test_nothing_is_noted_before_the_vectors_are_stored(cache):
    inputs = Inputs(loaded(Reader()), cache)
    inputs.read(inputs.source("passage", ""), TEXTS)
    assert not [*cache.entries()]
    inputs.remember()
    assert len([*cache.entries()]) == 1


@pytest.mark.parametrize("texts", [TEXTS[:2], TEXTS[::-1], [*TEXTS, "new"], ["One", "one", "more"]])
def test_other_texts_are_asked_about(cache, texts):
    ask(Reader(), cache)
    adapter = Reader()
    ask(adapter, cache, texts)
    assert adapter.asked == [("canonical", "passage", *texts)]


def test_whatever_may_change_a_key_is_part_of_the_subject(cache):
    source = Inputs(loaded(Reader()), cache).source("passage", "")
    subjects = {module._about("keys", source, TEXTS)}
    for field in fields(source):
        other = replace(source, **{field.name: getattr(source, field.name) + "x"})
        subjects.add(module._about("keys", other, TEXTS))
    assert len(subjects) == 1 + len(astuple(source))


def test_another_model_prompt_or_version_is_asked_anew(cache, monkeypatch):
    ask(Reader(), cache)
    for name, value in (
        ("prompts", {"passage": "p: "}),
        ("options", {"versions": {"reader": "2"}}),
    ):
        adapter = Reader()
        setattr(adapter, name, value)
        ask(adapter, cache)
        assert len(adapter.asked) == 1
    adapter = Reader()
    ask(adapter, cache, identity="declared: another")
    assert len(adapter.asked) == 1
    monkeypatch.setattr(module, "SCHEMA", "mlbench/embeddings/99")
    adapter = Reader()
    ask(adapter, cache)
    assert len(adapter.asked) == 1


def test_a_model_that_may_not_be_cached_is_always_asked(cache):
    class Unsafe(Reader):
        cacheable = False

    for identity, kind in (("derived: m", Reader), ("declared: m", Unsafe)):
        for _ in range(2):
            adapter = kind()
            assert ask(adapter, cache, identity=identity) == [b"one", b"one", b"two"]
            assert len(adapter.asked) == 1
    assert not [*cache.entries()]


def test_texts_stand_for_themselves_where_the_model_has_no_forms(cache):
    class Plain:
        cacheable = True

        def encode_queries(self, texts, language): ...

        encode_passages = encode_queries

    inputs = Inputs(loaded(Plain()), cache)
    source = inputs.source("query", "en")
    assert (source.form, inputs.by_form) == ("text", False)
    assert inputs.read(source, ["a", "é"]).keys == source.keys([b"a", "é".encode()])
    inputs.remember()
    assert not [*cache.entries()]
    assert inputs.truncation("query", "en", ["a"]) is None


def test_truncation_is_asked_once(cache):
    first, second = Reader(), Reader()
    found = Inputs(loaded(first), cache).truncation("passage", "en", TEXTS)
    assert found == Truncation(1, 5, 14)
    again = Inputs(loaded(second), cache).truncation("passage", "en", TEXTS)
    assert again == found
    assert isinstance(again, Truncation)
    assert (len(first.asked), second.asked) == (1, [])
    assert Inputs(loaded(second), cache).truncation("passage", "de", TEXTS[:1]) == (0, 0, 3)
    assert len(second.asked) == 1


def test_that_a_truncation_is_unknown_is_known_too(cache):
    first, second = Reader(), Reader()
    assert Inputs(loaded(first), cache).truncation("query", "en", TEXTS) is None
    assert Inputs(loaded(second), cache).truncation("query", "en", TEXTS) is None
    assert (len(first.asked), second.asked) == (1, [])
    assert Inputs(loaded(second), None).truncation("query", "en", TEXTS) is None
    assert len(second.asked) == 1


def test_a_truncation_of_another_type_is_a_model_error(cache):
    class Odd(Reader):
        def truncation(self, role, texts):
            return "many"

    with pytest.raises(ModelError, match="model m, truncation"):
        Inputs(loaded(Odd()), cache).truncation("passage", "en", TEXTS)


def test_a_model_that_learns_may_not_be_cached():
    class Fits(Reader):
        def fit(self, texts, language): ...

    assert learns(Fits())
    assert not learns(Reader())
    assert is_cacheable(loaded(Reader()))
    assert not is_cacheable(loaded(Fits()))
