"""Codes of one language, by whatever standard they are spelled."""

from __future__ import annotations

import pytest

from mlbench.data.catalog import find_task, list_tasks
from mlbench.data.languages import same_language


@pytest.mark.parametrize(
    "codes",
    [
        ("zh", "zho", "chi", "cmn", "zh-Hans", "zh_CN", "zho-Hant", "cmn_Hans"),
        ("en", "eng", "eng-Latn", "EN", "en-GB"),
        ("ar", "ara", "arb", "arb_Arab"),
        ("no", "nor", "nob", "nb", "nb-NO"),
        ("fa", "fas", "per", "pes"),
        ("he", "heb", "iw"),
        ("sw", "swa", "swh", "swh_Latn"),
        ("de", "deu", "ger", "deu_Latn"),
    ],
)
def test_spellings_of_a_language(codes):
    assert {same_language(code) for code in codes} == {codes[0]}


def test_others_stay_what_they_are():
    assert same_language("yue") == "yue"
    assert same_language("ceb-Latn") == "ceb"
    assert same_language("nn") == "nn"
    assert [same_language(code) for code in ("multilingual", "English", "", "code", "??")] == [
        ""
    ] * 5


def test_languages_of_a_task_stay_apart():
    for name in list_tasks():
        plain = [code for code in find_task(name).languages if "-" not in code]
        assert len({same_language(code) for code in plain}) == len(plain), name
