"""Reports read together: figures, the mean and its interval, what is missing, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mlbench import evaluate
from mlbench.common.errors import DataError
from mlbench.data.suite import Figure, Suite, SuiteTask
from mlbench.data.task import Kind, Source, Task
from mlbench.evaluation.tasks import load_task
from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.reports.report import Report
from mlbench.reports.suite_report import suite_report
from tests.support.reports import collection_of, languages, report_of, vectors
from tests.support.shared_pairs import LINES, write_shared_pairs

AP = Figure(Kind.MULTILINGUAL, "AP")
DISTANCE = Figure(Kind.MULTILINGUAL, RANK_DISTANCE)


@cache
def made(name: str, questions: int, seed: int, ids: str = "") -> Report:
    """A report on a task of its own; its questions are q0, q1, ... or begin with ``ids``."""
    collection = collection_of(languages(3), questions)
    report, ranks = report_of(collection, vectors(collection, seed=seed))
    renamed = tuple(ids + each for each in ranks.query_ids)
    return replace(
        report,
        task=replace(report.task, name=name),
        ranks=replace(ranks, query_ids=renamed),
    )


def suite_of(*reports: Report, mean: bool = True, figures: tuple[Figure, ...] = (AP,)) -> Suite:
    tasks = tuple(
        SuiteTask(
            Task(
                r.task.name, r.task.version, r.task.title, r.task.languages, tuple(Kind), ("AP",),
                "", "", "", Source("lines", {}), Path(f"{r.task.name}.toml"),
            ),
            figures[0],
            figures,
        )
        for r in reports
    )  # fmt: skip
    return Suite("both", "Both tasks", "Somebody, 2020", tasks, Path("both.toml"), mean)


def slow_means(reports: list[Report], draws: int, seed: int) -> np.ndarray:
    """Draw questions one by one and add up every query by itself."""
    per_task = []
    for report in reports:
        values = report.per_query(kind="multilingual", measures="AP").to_frame()
        per_task.append(
            [
                dict(zip(of["query_id"], of["AP"], strict=True))
                for _, of in values.groupby("query_language")
            ]
        )
    asked = sorted({q for of_task in per_task for value in of_task for q in value})
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = [asked[i] for i in generator.integers(0, len(asked), len(asked))]
        headlines = []
        for of_task in per_task:
            of_languages = []
            for value in of_task:
                taken = [value[q] for q in drawn if q in value]
                if taken:
                    of_languages.append(np.mean(taken))
            headlines.append(np.mean(of_languages) if of_languages else np.nan)
        means.append(np.mean(headlines))
    return np.array(means)


@pytest.mark.parametrize("ids", ["", "other-"], ids=["shared", "independent"])
def test_the_interval_of_the_mean_is_that_of_a_slow_bootstrap(ids: str) -> None:
    one, other = made("one", 12, 3), made("other", 9, 5, ids)
    found = suite_report(suite_of(one, other), [other, one]).mean
    assert found is not None
    values = [r.scores.macro["multilingual"]["AP"].value for r in (one, other)]
    assert found.value == pytest.approx(sum(values) / 2, abs=1e-12)
    means = slow_means([one, other], 3000, seed=11)
    low, high = np.nanquantile(means, [0.025, 0.975])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.06 * width)
    assert found.high == pytest.approx(high, abs=0.06 * width)


def test_a_task_beside_its_twin_is_as_uncertain_as_alone_and_beside_another_less() -> None:
    one, twin, other = made("one", 12, 3), made("twin", 12, 3), made("twin", 12, 3, "other-")
    alone, with_twin, with_other = (
        suite_report(suite_of(*of), of).mean for of in ([one], [one, twin], [one, other])
    )
    assert alone is not None
    assert with_twin is not None
    assert with_other is not None
    whole = one.scores.macro["multilingual"]["AP"]
    assert (alone.low, alone.high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    assert (with_twin.low, with_twin.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    narrower = (with_other.high - with_other.low) / (alone.high - alone.low)
    assert narrower == pytest.approx(0.5**0.5, abs=0.08)


def test_the_order_of_tasks_and_reports_changes_nothing() -> None:
    one, other = made("one", 12, 3), made("other", 9, 5, "other-")
    found = suite_report(suite_of(one, other), [one, other]).mean
    assert found == suite_report(suite_of(other, one), [other, one]).mean


def test_figures_are_those_of_the_reports() -> None:
    one, other = made("one", 12, 3), made("other", 9, 5)
    figures = (AP, Figure(Kind.MONOLINGUAL, "R@1"), DISTANCE)
    found = suite_report(suite_of(one, other, figures=figures), [one, other])
    for row, report in zip(found.tasks, (one, other), strict=True):
        assert row.figures == {
            "multilingual:AP": report.scores.macro["multilingual"]["AP"],
            "monolingual:R@1": report.scores.macro["monolingual"]["R@1"],
            "multilingual:rank-distance": report.scores.bias.rank_distance,
        }
    assert not found.missing


CHANGES = {
    "a sample of 5 questions": {"sample": 5},
    "2 of its 3 languages": {"languages": languages(2), "subset_of": "ab"},
    "version 2 of it, not 1": {"version": "2"},
}


@pytest.mark.parametrize("why", CHANGES)
def test_a_report_on_less_than_the_task_is_missing_and_there_is_no_headline(why: str) -> None:
    one, other = made("one", 12, 3), made("other", 9, 5)
    less = replace(other, task=replace(other.task, **CHANGES[why]))  # type: ignore[arg-type]
    found = suite_report(suite_of(one, other), [one, less])
    assert why in found.missing["other"]
    assert found.mean is None
    assert "The task other is missing" in str(found)
    assert "no headline" in str(found)
    beside = suite_report(suite_of(one, other), [one, less, other])
    assert beside.mean == suite_report(suite_of(one, other), [one, other]).mean


def test_no_report_a_missing_figure_and_a_report_without_table() -> None:
    one, other = made("one", 12, 3), made("other", 9, 5)
    found = suite_report(suite_of(one, other), [one], {"other": "its data is not at hand"})
    assert found.missing == {"other": "its data is not at hand"}
    assert suite_report(suite_of(one, other), [one]).missing == {"other": "no report"}
    rare = (AP, Figure(Kind.MULTILINGUAL, "R@77"))
    assert "multilingual:R@77" in suite_report(suite_of(one, figures=rare), [one]).missing["one"]
    bare = replace(one, ranks=None)
    assert "without a table" in suite_report(suite_of(one), [bare]).missing["one"]


def test_reports_of_different_models_are_not_mixed() -> None:
    one, other = made("one", 12, 3), made("other", 9, 5)
    suite = suite_of(one, other)
    for change, said in (
        ({"identity": "cd" * 32}, "some-model of identity"),
        ({"identity": "cd" * 32, "name": "another"}, "some-model and another"),
        ({"similarity": "dot"}, "by dot similarity"),
    ):
        changed = replace(other, model=replace(other.model, **change))
        with pytest.raises(DataError, match=said):
            suite_report(suite, [one, changed])
    with pytest.raises(DataError, match="2 reports on one"):
        suite_report(suite, [one, one, other])
    stranger = replace(changed, task=replace(other.task, name="elsewhere"))
    assert suite_report(suite, [one, other, stranger]).mean is not None


def test_pages_and_text(tmp_path: Path) -> None:
    one, other = made("one", 12, 3), made("other", 9, 5)
    nasty = "<b>*some*</b>"
    reports = [replace(r, model=replace(r.model, name=nasty)) for r in (one, other)]
    figures = (AP, Figure(Kind.CROSSLINGUAL, "nDCG@10"), DISTANCE)
    found = suite_report(suite_of(*reports, figures=figures), reports)
    folder = found.save(tmp_path / "page")
    assert {path.name for path in folder.iterdir()} == {"suite.html", "suite.md", "suite.json"}
    html, markdown = ((folder / f"suite.{kind}").read_text() for kind in ("html", "md"))
    assert found.mean is not None
    for text in (html, markdown, str(found)):
        assert f"{found.mean.value:.4f}" in text
        assert "rank" in text
    assert "<b>" not in html
    assert "\\*some\\*" in markdown
    assert "<script" not in html
    assert max(map(len, str(found).splitlines())) <= 80
    table = json.loads((folder / "suite.json").read_text())
    assert table["schema"] == "mlbench/suite/1"
    assert table["mean"]["value"] == found.mean.value
    assert [task["figures"]["multilingual:AP"]["low"] for task in table["tasks"]] == [
        report.scores.macro["multilingual"]["AP"].low for report in (one, other)
    ]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found.save(folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_line_that_pairs_share_is_one_question(tmp_path: Path) -> None:
    """The mean of one task alone is its headline, and so is its interval."""
    report = evaluate("char-ngram", write_shared_pairs(tmp_path))
    figure = Figure.read("from-en:RR")
    task = SuiteTask(load_task(tmp_path / "shared.toml"), figure, (figure,))
    suite = Suite("alone", "Alone", "", (task,), tmp_path / "alone.toml", mean=True)
    found = suite_report(suite, [report])
    assert found.tasks[0].questions == LINES
    assert "from en" in str(found)
    assert "from-en" not in str(found)
    own = report.scores.directions["from-en"]["RR"]
    assert found.mean is not None
    assert own.low < own.value < own.high
    assert (found.mean.value, found.mean.low, found.mean.high) == pytest.approx(
        (own.value, own.low, own.high), abs=1e-12
    )
