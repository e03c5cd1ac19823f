from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mlbench
from mlbench.reports.reranking import Reranking
from mlbench.reports.stages import reranking_lines, reranking_table
from mlbench.reports.subset import cut_report


class Lengths:
    name = "lengths"

    def score_pairs(self, queries: list[str], passages: list[str]) -> np.ndarray:
        return np.array([-float(len(passage)) for passage in passages])


@pytest.fixture(scope="module")
def report() -> mlbench.Report:
    return mlbench.evaluate("char-ngram", "sample", rerank=Lengths(), progress=False, cache=None)


def test_the_table_has_a_row_a_stage(report: mlbench.Report) -> None:
    table = reranking_table(report)
    assert report.reranking is not None
    assert [row[0] for row in table.rows] == ["first stage", "reranked"]
    assert table.headers[1:4] == ("mAP\nmono", "mAP\ncross", "mAP\nmulti")
    kinds = ("monolingual", "crosslingual", "multilingual")
    first, second = report.reranking.macro, report.macro
    assert table.rows[0][1:4] == tuple(f"{first[kind]['AP'].value:.4f}" for kind in kinds)
    assert table.rows[1][1:4] == tuple(f"{second[kind]['AP']:.4f}" for kind in kinds)
    assert max(map(len, table.text().splitlines())) <= 80


def test_the_lines_say_how_deep_and_how_fast(report: mlbench.Report) -> None:
    said = " ".join(reranking_lines(report))
    assert "lengths put the first 10 passages of each query in each language" in said
    assert "38,720 pairs of texts." in said
    assert "ranks 1 to 10 are the reranker's" in said
    made = report.reranking
    assert made is not None
    cached = replace(report, reranking=replace(made, cached=made.pairs))
    said = " ".join(reranking_lines(cached))
    assert "38,720 of them from the embedding cache" in said
    assert "a second" not in said


def test_a_rate_is_that_of_what_was_scored() -> None:
    made = Reranking("r", "r", "file", "i", 10, 300, 100, 4.0, "m", {}, None)
    assert made.per_second == 50.0
    assert replace(made, cached=300).per_second is None


def test_a_report_cut_to_some_languages_still_says_how_deep(report: mlbench.Report) -> None:
    cut = cut_report(report, ("de", "en"), "")
    assert cut.reranking is not None
    assert cut.reranking.depth == 10
    assert reranking_table(cut).rows[0][1:] == ("-",) * 7
    assert "ranks 1 to 10 are the reranker's" in str(cut).replace("\n", " ")
