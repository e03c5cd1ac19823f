from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import mlbench
from mlbench.reports.report import Report


@pytest.fixture(scope="module")
def report() -> Report:
    return mlbench.evaluate("char-ngram", "sample", progress=False, cache=None)


@pytest.fixture(scope="module")
def rows(report: Report) -> list[dict[str, Any]]:
    return report.to_arrow().to_pylist()


def test_each_row_says_what_its_setting_says(report: Report, rows: list[dict[str, Any]]) -> None:
    of = {
        (s.kind, s.query_language, " ".join(s.passage_languages), measure): s
        for s in report.settings
        for measure in s.measures
    }
    assert len(rows) == len(of)
    for row in rows:
        measure = row["measure"]
        setting = of[row["kind"], row["query_language"], row["passage_languages"], measure]
        assert row["value"] == setting.measures[measure]
        assert row["optimistic"] == setting.optimistic[measure]
        assert (row["queries"], row["excluded"]) == (setting.queries, setting.excluded)


def test_intervals_are_those_of_the_mean_over_one_setting(
    report: Report, rows: list[dict[str, Any]]
) -> None:
    """A language has one monolingual and one multilingual setting: its mean is the setting's."""
    seen = 0
    for row in rows:
        if row["kind"] != "crosslingual":
            score = report.scores.per_language[row["kind"]][row["measure"]][row["query_language"]]
            assert row["low"] == pytest.approx(score.low, abs=1e-12)
            assert row["high"] == pytest.approx(score.high, abs=1e-12)
            seen += 1
        assert row["low"] <= row["value"] + 1e-12
        assert row["high"] >= row["value"] - 1e-12
    assert seen == 22 * 7


def test_a_report_that_knows_no_queries_has_no_intervals(
    report: Report, rows: list[dict[str, Any]]
) -> None:
    bare = replace(report, ranks=None).to_arrow()
    assert bare.column("low").null_count == len(bare)
    assert bare.column("value").to_pylist() == [row["value"] for row in rows]


def test_values_of_queries_give_the_same_intervals(
    report: Report, rows: list[dict[str, Any]]
) -> None:
    values = report.per_query(measures="AP")
    of_runs = replace(report, ranks=None, values=values, measures=("AP",)).to_arrow().to_pylist()
    assert [row for row in of_runs if row["measure"] == "AP"] == [
        row for row in rows if row["measure"] == "AP"
    ]
