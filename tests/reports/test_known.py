"""Languages that a model is not declared for are marked wherever languages have rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

import mlbench
from mlbench.reports.known import languages_reading, undeclared
from mlbench.reports.page import notebook_html, report_pages
from mlbench.reports.tables import paper_table
from tests.support.letters import Letters
from tests.support.reports import example

MANY = ("af", "ar", "bg", "ca", "cs", "da", "de", "en", "es", "et", "fa", "fi")


def declared(*languages, count=3):
    report, _ = example(count)
    return replace(report, model=replace(report.model, languages=languages))


def codes(count=3):
    return example(count)[0].task.languages


@pytest.mark.parametrize("listed", [(), ("multilingual",), ("multilingual", "qu"), ("English",)])
def test_a_list_that_does_not_say_all_marks_nothing(listed):
    report = declared(*listed)
    assert undeclared(report) == ()
    assert languages_reading(report) == []
    assert "†" not in str(report)


def test_a_long_list_counts_although_it_also_says_multilingual():
    report = declared("multilingual", *MANY, count=11)
    expected = tuple(code for code in codes(11) if code not in MANY)
    assert expected
    assert undeclared(report) == expected
    (said,) = languages_reading(report)
    assert said.startswith(f"The model is declared for {len(MANY)} languages, but not for ")


def test_codes_of_another_standard_are_the_same_languages():
    first, *others = codes()
    iso = {"ar": "arb_Arab", "de": "deu-Latn", "el": "ell", "en": "eng"}
    assert undeclared(declared(iso[first])) == tuple(others)
    assert undeclared(declared(*(iso[code] for code in codes()))) == ()


def test_marked_in_every_table_by_language():
    first, *others = codes()
    report = declared(first)
    names = [row[0] for row in paper_table(report).rows]
    assert names == [first, *(f"{code} †" for code in others)]
    rest = " and ".join(others)
    said = f"The model is declared for {first}, but not for {rest} († in the table)."
    assert languages_reading(report) == [said]
    pages = report_pages(report, None)
    for text in (str(report), *(pages[name].decode() for name in ("report.md", "report.html")),
                 notebook_html(report)):  # fmt: skip
        assert said in " ".join(text.split())
        assert f"{others[0]} †" in text
        assert f"{first} †" not in text


def test_a_model_for_other_languages_altogether():
    (said,) = languages_reading(declared("qu", "ay"))
    assert said == (
        "The model is declared for qu and ay, but for none of this task's († in the table)."
    )


def test_what_is_no_language_is_not_marked():
    report = declared(codes()[0])
    task = replace(report.task, languages=(*report.task.languages, "zxx"))
    assert "zxx" not in undeclared(replace(report, task=task))


def test_a_model_of_users_may_say_it(tmp_path, monkeypatch):
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    model = Letters()
    model.describe = lambda: {"languages": ["eng", "de"]}
    report = mlbench.evaluate(model, "sample", progress=False, cache=None)
    again = mlbench.read_report(report.save(tmp_path / "report"))
    assert again.model.languages == ("eng", "de")
    assert undeclared(again) == ("ar", "el", "es", "hi", "ru", "th", "tr", "vi", "zh")
    assert not report.warnings
