"""The languages that a model's card lists, in the forms that cards have them in."""

from __future__ import annotations

from unittest import mock

import pytest
import yaml

from mlbench.models.neural.card import card_languages

CARDS = {
    "one": ("---\nlanguage: en\nlicense: mit\n---\n# Model", ["en"]),
    "list": ("---\nlanguage:\n- en\n- de\nlicense: mit\n---\n", ["en", "de"]),
    "indented": ("---\nlicense: mit\nlanguage:\n  - en\n  # why\n\n  - 'no'\n---\n", ["en", "no"]),
    "flow": ("---\nlanguage: [en, no, zh-Hans]\n---\n", ["en", "no", "zh-Hans"]),
    "norwegian": ("---\nlanguage: no\n---\n", ["no"]),
    "windows": ("\ufeff---\r\nlanguage:\r\n- tr\r\ntags:\r\n- x\r\n---\r\n", ["tr"]),
    "plural": ("---\nlanguages:\n- fr\n---\n", ["fr"]),
    "last": ("---\nlicense: mit\nlanguage:\n- fr\n- multilingual\n---\n", ["fr", "multilingual"]),
    "other key": ("---\nbase_language: en\ntags:\n- language: en\n---\n", []),
    "empty": ("---\nlanguage:\nlicense: mit\n---\n", []),
    "no front matter": ("# Model\n\n---\nlanguage: en\n---\n", []),
    "open": ("---\nlanguage: en\n", []),
    "broken": ("---\nlanguage: [en, 'de\n---\n", []),
    "a table": ("---\nlanguage:\n  en: yes\n---\n", []),
    "no text": ("", []),
}


@pytest.mark.parametrize("name", CARDS)
def test_languages_of_a_card(tmp_path, name):
    text, expected = CARDS[name]
    (tmp_path / "README.md").write_bytes(text.encode())
    assert card_languages(tmp_path) == expected


def test_a_folder_without_a_card_lists_nothing(tmp_path):
    assert card_languages(tmp_path) == []
    (tmp_path / "README.md").mkdir()
    assert card_languages(tmp_path) == []


def test_of_a_card_with_many_results_only_the_languages_are_parsed(tmp_path, monkeypatch):
    results = "".join(f"  - name: r{i}\n    value: [{i}, {{a: b}}]\n" for i in range(100_000))
    card = f"---\nmodel-index:\n{results}language:\n- en\n- de\n---\n"
    (tmp_path / "README.md").write_text(card)
    parse = mock.Mock(wraps=yaml.load)
    monkeypatch.setattr("yaml.load", parse)
    assert card_languages(tmp_path) == ["en", "de"]
    parse.assert_called_once_with("language:\n- en\n- de\n", yaml.BaseLoader)


def test_the_library_of_the_hub_reads_the_same(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    for name in ("one", "list", "indented", "flow", "last", "windows"):
        card = CARDS[name][0].removeprefix("\ufeff")  # which its older versions do not pass over
        (tmp_path / "README.md").write_bytes(card.encode())
        theirs = hub.ModelCard.load(tmp_path / "README.md").data.language
        theirs = theirs if isinstance(theirs, list) else [theirs]
        ours = card_languages(tmp_path)
        assert [{"False": "no"}.get(str(code), code) for code in theirs] == ours
