from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models.tokens import fold, runs, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe: 5½ km, 東京都", ["grösse", "51", "2", "km", "東京", "京都"]),
        ("झील जम जाती है।", ["झील", "जम", "जाती", "है"]),
        ("خَرَجَ الـطالب", ["خرج", "الطالب"]),
        ("ที่นี่", ["ที่นี่"]),
        ("น้ำแข็ง", ["น้ํา", "าแ", "แข็", "ข็ง"]),
        ("NFL黑豹隊", ["nfl", "黑豹", "豹隊"]),
        ("水", ["水"]),
        ("snake_case don't", ["snake", "case", "don", "t"]),
        ("ΣΊΣΥΦΟΣ σίσυφος", ["σίσυφοσ", "σίσυφοσ"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("\ufeffbom soft\u00adhyphen ze\u200dro", ["bom", "softhyphen", "zero"]),
        ("👩‍🔬 ?! \u0301", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == [fold(token) for token in expected]


def test_runs_keep_unspaced_text_whole() -> None:
    assert runs("NFL黑豹隊, 2 km") == ["nfl", "黑豹隊", "2", "km"]


@given(st.text())
def test_every_letter_and_number_is_in_a_run(text: str) -> None:
    def letters(value: str) -> list[str]:
        return [c for c in value if unicodedata.category(c)[0] in "LN"]

    assert letters("".join(runs(text))) == letters(fold(text))


@given(st.text())
def test_canonically_equal_texts_have_equal_tokens(text: str) -> None:
    assert tokens(unicodedata.normalize("NFD", text)) == tokens(text)
