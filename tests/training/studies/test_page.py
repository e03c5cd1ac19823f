from __future__ import annotations

import json
import re

import pytest

from mlbench.training.studies.page import study_text, write_study
from mlbench.training.studies.report import study_report
from tests.training.studies.made import STUDY, done_study


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    text = STUDY.replace("Is less noise better?", "Is <b>less</b> noise | better?")
    study, folder = done_study(tmp_path_factory.mktemp("study"), text)
    report = study_report(study, folder, draws=200)
    return report, write_study(report, folder)


def test_all_files_are_written(done):
    _, page = done
    names = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*.*")}
    assert {
        "study.html", "study.md", "study.json", "study.csv", "pairs.csv",
        "plots/curves-parallel.svg", "plots/trade-off-parallel.svg",
    } <= names  # fmt: skip
    assert json.loads((page.parent / "study.json").read_text())["claims"]


def test_the_page_needs_nothing_else_and_shows_text_as_text(done):
    _, page = done
    html = page.read_text()
    assert "Is &lt;b&gt;less&lt;/b&gt; noise | better?" in html
    assert not re.search(r"<script|https?://|src=\"(?!data:)", html)
    assert html.count('class="verdict holds"') == 1
    assert html.count('class="verdict does-not-hold"') == 2
    assert "(against the claim)" in html


def test_markdown_shows_the_same(done):
    _, page = done
    text = page.with_suffix(".md").read_text()
    assert "Is &lt;b&gt;less&lt;/b&gt; noise \\| better?" in text
    assert "](plots/curves-parallel.svg)" in text
    for title in ("## Claims", "## Arms", "## By language", "## All pairs of arms"):
        assert title in text


def test_the_terminal_shows_verdicts_in_80_columns(done):
    report, _ = done
    text = study_text(report)
    assert "HOLDS on parallel: Little noise is better" in text
    assert "DOES NOT HOLD on parallel" in text
    assert all(len(line) <= 80 for line in text.splitlines())
