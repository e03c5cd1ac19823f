"""What marks a report on run files: a first sentence, stars, and what they say."""

from __future__ import annotations

import re
from dataclasses import replace

from mlbench.reports.definitions import definitions
from mlbench.reports.page import report_pages
from mlbench.reports.retrieved import Depth, Retrieved
from mlbench.reports.tables import terminal_text
from mlbench.reports.words import marked_name, star_line, truncation_reading
from tests.support.reports import example

DEEP = Depth(100, 3, 0, 0, 0, 24, 0, ())
SHALLOW = Depth(5, 3, 0, 2, 1, 72, 40, ("AP", "R@10"))
WHOLE, _ = example(3)


def truncated(**kinds):
    return replace(WHOLE, retrieved=Retrieved({"run": "0" * 64}, kinds, 2.5))


def test_a_report_of_a_run_has_no_mark():
    assert marked_name(WHOLE, "AP", "multilingual") == "mAP"
    assert star_line(WHOLE) == ""
    assert truncation_reading(WHOLE) == []


def test_a_star_marks_a_measure_that_reaches_deeper_than_the_runs_of_a_kind():
    report = truncated(monolingual=DEEP, multilingual=SHALLOW)
    assert marked_name(report, "AP", "monolingual") == "mAP"
    assert marked_name(report, "AP", "multilingual") == "mAP*"
    assert marked_name(report, "AP", "crosslingual") == "mAP"
    assert marked_name(report, "R@10") == "R@10*"
    assert marked_name(report, "R@1") == "R@1"
    assert star_line(report).startswith("* ")
    assert star_line(truncated(monolingual=DEEP)) == ""


def test_the_reading_begins_with_the_depth():
    report = truncated(multilingual=SHALLOW, monolingual=SHALLOW)
    (sentence,) = truncation_reading(report)
    assert re.findall(r"\d+", sentence) == ["5"]
    report = truncated(multilingual=SHALLOW, monolingual=DEEP)
    (sentence,) = truncation_reading(report)
    assert re.findall(r"\d+ \(\w+\)", sentence) == ["100 (monolingual)", "5 (multilingual)"]
    text = terminal_text(report)
    assert sentence in " ".join(text.split())
    assert "mAP*" in text
    assert star_line(report) in text


def test_what_needs_all_ranks_is_not_defined_there():
    terms = {each.term for each in definitions(truncated(multilingual=SHALLOW))}
    assert "Ranks" in terms
    assert not terms & {"Ties", "Rank distance", "Outranking"}
    assert {"Ties", "Rank distance", "Outranking"} <= {each.term for each in definitions(WHOLE)}


def test_the_pages_do_without_ranks():
    report = truncated(multilingual=SHALLOW)
    pages = report_pages(report, None)
    assert "plots/ranks.svg" not in pages
    for name in ("report.md", "report.html"):
        text = pages[name].decode()
        assert star_line(report).removeprefix("* ") in text
        assert "Most biased" not in text
