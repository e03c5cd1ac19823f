"""Lines of text: never wider than asked for, nothing lost, whatever the script."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.texts import Texts
from mlbench.evaluation.loading import load_collection
from mlbench.reports.texts import cleaned, columns, find_texts, wrapped
from tests.support.reports import example

HINDI = "क्\u200dष"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", 3), ("蒸汽机", 6), ("क", 1), ("e\u0301", 1), ("ab蒸", 4)],
)
def test_columns_are_those_of_a_terminal(text, expected):
    assert columns(text) == expected


@given(st.text(st.characters(categories=["L", "N", "P", "Zs", "Mn"]), max_size=200),
       st.integers(4, 40))  # fmt: skip
def test_lines_fit_and_hold_all_of_the_text(text, width):
    lines = wrapped(text, width, 10**6)
    assert all(columns(line) <= width for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", cleaned(text))


def test_words_stay_whole_where_there_is_a_space():
    assert wrapped("one two three", 8, 9) == ["one two", "three"]
    assert wrapped("蒸汽机 蒸汽机蒸汽机", 8, 9) == ["蒸汽机", "蒸汽机蒸", "汽机"]


def test_what_is_cut_says_so():
    assert wrapped("one two three four", 8, 2) == ["one two", "three…"]
    assert wrapped("蒸汽机蒸汽机蒸汽机", 6, 2) == ["蒸汽机", "蒸汽…"]


def test_what_steers_a_terminal_is_left_out_and_what_spells_a_word_is_not():
    assert cleaned("a\x1b[31m\u202eb\n c") == "a[31mb c"
    assert cleaned(HINDI) == HINDI


def test_texts_are_found_where_the_data_is_the_same():
    report, _ = example(3)
    assert "no built-in task" in find_texts(report.task).why
    collection = load_collection("sample")
    task = replace(report.task, name="sample", digest=collection.digest)
    found = find_texts(task)
    assert found == Texts.of(collection)
    assert found.queries["de", collection.queries.ids[0]]
    assert "changed" in find_texts(replace(task, digest="00")).why
    assert "called 'sample'" in find_texts(report.task, file="sample").why
