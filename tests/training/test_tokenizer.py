"""A tokenizer of the training text: the same for the same text, and kept."""

from __future__ import annotations

import pytest

from mlbench.training import tokenizer as module
from mlbench.training.tokenizer import make_tokenizer
from tests.training.made_set import MadeSet


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path))
    return tmp_path / "tokenizers"


def test_it_knows_the_words_of_the_text():
    made = make_tokenizer(MadeSet(count=60), ("de", "en"), 400)
    assert made.get_vocab_size() <= 400
    assert made.encode("ENq7 ask3", add_special_tokens=False).tokens[-1] == "▁ask3"
    assert 0 in made.encode("ж", add_special_tokens=False).ids  # a letter of no text is unknown


def test_the_same_text_gives_the_same_tokenizer_and_it_is_kept(cache, monkeypatch):
    one = make_tokenizer(MadeSet(), ("de", "en"), 300).to_str()
    (kept,) = cache.glob("*.json")
    kept.unlink()
    assert make_tokenizer(MadeSet(), ("en", "de"), 300).to_str() == one
    monkeypatch.setattr(module, "_train", None)  # not called again
    assert make_tokenizer(MadeSet(), ("de", "en"), 300).to_str() == one
    with pytest.raises(TypeError):
        make_tokenizer(MadeSet(), ("de", "en"), 200)


def test_of_much_text_an_even_part_of_each_language_is_read(monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXTS", 40)
    texts = [*module._texts(MadeSet(("de", "en"), count=500, each=2), ("de", "en"))]
    assert len(texts) == 4 * 11
    assert sum(text.startswith("deq") for text in texts) == 11
    numbers = [int(text.split()[0][3:]) for text in texts if text.startswith("enp")]
    assert (min(numbers), max(numbers)) == (0, 999)


def test_each_text_of_a_language_is_read_once_whatever_pairs_there_are():
    made = MadeSet(("de", "en"), count=5, each=2, without=[("de", "de")])
    texts = [*module._texts(made, ("de", "en"))]
    assert len(texts) == len(set(texts)) == 2 * (5 + 10)
