"""Quality against bytes: what a report says of smaller vectors, and where their reports lie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import mlbench
from mlbench.commands.output import summary
from mlbench.data.suite import Figure, Suite, SuiteTask
from mlbench.reports.compression import compression_figure, compression_lines, compression_table
from mlbench.reports.drawing import plain_style
from mlbench.reports.page import report_pages
from mlbench.reports.subset import cut_report
from mlbench.reports.suite_report import reports_on
from tests.support.reports import example

QUIET = mlbench.Options(progress=False, cache=None)


@pytest.fixture(scope="module")
def report():
    return mlbench.evaluate(
        "random:3", "sample", QUIET, quantize=("int8", "binary"), truncate_dim=16
    )


@pytest.fixture
def saved(report, tmp_path, monkeypatch):
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    return report.save(tmp_path / "report")


def test_a_report_without_variants_says_nothing_of_them():
    plain, _ = example(2)
    assert compression_lines(plain) == []
    assert compression_figure(plain, None) is None
    assert "variants" not in summary(plain)


def test_the_table_has_every_size_beside_the_whole(report):
    table = compression_table(report)
    assert [row[0] for row in table.rows] == [
        "float32", "float32-16", "int8", "int8-16", "binary", "binary-16",
    ]  # fmt: skip
    assert [row[1].split() for row in table.rows] == [
        ["256", "100%"], ["64", "25.0%"], ["64", "25.0%"], ["16", "6.2%"], ["8", "3.1%"],
        ["2", "0.8%"],
    ]  # fmt: skip
    whole, variant = report.scores.macro, report.variants[2].macro
    value = variant["multilingual"]["AP"].value
    ratio = 100 * value / whole["multilingual"]["AP"].value
    assert table.rows[3][4].split() == [f"{value:.4f}", f"{ratio:.3g}%"]
    assert table.headers[1:] == ("bytes", "mAP\nmono", "mAP\ncross", "mAP\nmulti", "rank\ndistance")
    assert max(map(len, table.text().splitlines())) <= 80


def worse(report, factor):
    """The report where smaller vectors score ``factor`` times what the whole ones do."""

    def scaled(score):
        return replace(score, value=factor * score.value, optimistic=factor * score.value)

    whole = report.scores.macro
    macro = {k: {m: scaled(score) for m, score in of.items()} for k, of in whole.items()}
    return replace(report, variants=tuple(replace(v, macro=macro) for v in report.variants))


def test_the_smallest_that_keep_the_score_are_named(report):
    (said,) = compression_lines(worse(report, 0.995))
    assert said == (
        "The smallest vectors that keep 99% of multilingual mAP are binary-16: 2 bytes a passage "
        "instead of 256."
    )
    (said,) = compression_lines(worse(report, 0.98))
    assert said.startswith("None of the smaller vectors keep 99% of multilingual mAP. The best are")
    assert "they keep 98.0% of it" in said


def test_what_ties_cost_is_told(report):
    tied = report.variants[-1].macro["multilingual"]["AP"]
    last = compression_lines(report)[-1]
    assert f"would be {tied.optimistic:.4f} instead of {tied.value:.4f}" in last
    assert "multilingual mAP of binary-16" in last


def test_each_variant_has_a_report_in_the_folder_of_its_name(report, saved):
    for variant in report.variant_reports:
        again = mlbench.read_report(saved / variant.model.variant)
        assert (again, again.model) == (variant, variant.model)
    again = mlbench.read_report(saved)
    assert again.variants == report.variants
    assert again.variant_reports == ()
    keys = json.loads((saved / "report.json").read_text())
    assert [each["name"] for each in keys["variants"]][-1] == "binary-16"
    assert "variant_reports" not in keys
    assert mlbench.compare([saved, saved / "int8"])


def test_pages_and_terminal_show_the_table(report):
    pages = report_pages(report, None)
    assert "plots/compression.svg" in pages
    for page in ("report.md", "report.html"):
        assert "Smaller vectors" in pages[page].decode()
        assert "binary-16" in pages[page].decode()
    assert "binary-16 " in str(report)


def test_the_figure_has_a_line_a_kind_and_format(report):
    with plain_style():
        (axes,) = compression_figure(report, None).axes
    assert len(axes.lines) == 9
    whole = report.scores.macro["monolingual"]["AP"].value
    assert (axes.lines[0].get_xdata()[-1], axes.lines[0].get_ydata()[-1]) == (256, whole)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "8", "16", "64", "256"]


def test_a_report_cut_to_some_languages_has_no_variants(report):
    assert cut_report(report, ("de", "en"), "").variants == ()


def test_a_suite_has_the_report_on_the_whole_vectors(saved):
    figure = Figure("multilingual", "AP")
    task = SuiteTask(mlbench.load_task("sample"), figure, (figure,))
    suite = Suite("mine", "Mine", "", (task,), Path("mine.toml"))
    assert [each.model.variant for each in reports_on(suite, saved.parent)] == [""]
    assert [each.model.variant for each in reports_on(suite, saved / "int8")] == ["int8"]
