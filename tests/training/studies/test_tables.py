from __future__ import annotations

from dataclasses import replace

import pytest

from mlbench.measures.rank_measures import RANK_DISTANCE
from mlbench.training.studies.figures import Figure
from mlbench.training.studies.report import Cost, study_report
from mlbench.training.studies.tables import (
    arms_table,
    claims_table,
    column,
    cost_table,
    languages_table,
    pairs_table,
    reading,
    seen_table,
    verdict_counts,
)
from tests.training.studies.made import STUDY, done_study


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    text = STUDY.replace('languages = ["{languages}"]', 'languages = ["ar", "de"]')
    study, folder = done_study(tmp_path_factory.mktemp("study"), text)
    return study_report(study, folder, draws=200)


def test_arms_stand_with_their_values(report):
    (task,) = report.tasks
    table = arms_table(task, intervals=False)
    assert [row[0] for row in table.rows] == ["noise 0.8", "noise 1", "noise 1.6", "rival"]
    value = task.value("noise 1", Figure("multilingual", "AP"))
    assert table.rows[1][3] == f"{value.value:.4f}"
    distance = task.value("noise 1", Figure("multilingual", RANK_DISTANCE))
    assert table.rows[1][4] == f"{distance.value:.1f}"
    with_intervals = arms_table(task, intervals=True).rows[1][3]
    assert with_intervals == f"{value.value:.4f} {value.low:.4f}..{value.high:.4f}"
    assert all(len(line) <= 80 for line in table.text().splitlines())


def test_pairs_stand_with_what_could_be_shown(report):
    (task,) = report.tasks
    table = pairs_table(task, Figure("multilingual", "AP"))
    assert [row[0] for row in table.rows] == [
        "noise 1 - noise 0.8", "noise 1.6 - noise 0.8", "noise 1.6 - noise 1",
    ]  # fmt: skip
    assert table.rows[1][1].startswith("-0.")
    assert table.rows[1][4] == "yes"


def test_languages_and_those_seen_in_training(report):
    (task,) = report.tasks
    by_language = languages_table(task, "monolingual", "AP")
    assert [row[0] for row in by_language.rows] == ["ar", "de", "el"]
    seen = seen_table(task, "AP")
    assert [row[0] for row in seen.rows] == ["noise 0.8", "noise 1", "noise 1.6"]
    assert seen.headers[1:3] == ("mAP\nmono\nseen", "mAP\nmono\nunseen")


def test_claims_stand_with_the_papers_figures_and_ours(report):
    table = claims_table(report)
    claim, task, verdict, ours, least, paper = table.rows[0]
    assert (task, verdict) == ("parallel", "holds")
    assert "with noise 0.8; " in ours
    assert float(least) > 0
    assert paper == "one task: 0.7 against 0.5; another: 0.5 against 0.6 (against the claim)"
    assert table.rows[2][4] == "margin 0.0001"
    assert claim.startswith("Little noise")


def test_what_was_found_is_said_in_words(report):
    said = " ".join(reading(report))
    assert "3 ways to train, with 3 seeds each, on parallel (40 questions)." in said
    assert "mAP monolingual with noise 0.8" in said
    assert "Of 3 claims: 1 holds, 2 do not hold, 0 are not shown." in said
    assert verdict_counts(replace(report, tasks=report.tasks * 2)).startswith(
        "3 claims on 2 tasks, 6 verdicts: 2 hold, 4 do not hold"
    )


def test_cost_stands_with_dashes_where_it_is_not_known():
    known = Cost("a", 100, 6400, 12.34, 518.6, 3 * 2**30, 4.0, 999.6)
    unknown = Cost("b", None, None, None, None, None, 1.0, None)
    rows = cost_table([known, unknown]).rows
    assert rows[0] == ("a", "100", "6,400", "12.3", "519", "3,072", "4.0", "1,000")
    assert rows[1][1:6] == ("-",) * 5


def test_figures_head_columns_shortly():
    assert column(Figure("crosslingual", "nDCG@10")) == "nDCG@10\ncross"
    assert column(Figure("multilingual", "same-language")) == "same-language\noutranking"


def evaluated(*scores):
    """The record of a training that was evaluated every second."""
    at = [{"step": n, "t_multilingual_AP": s, "seconds": float(n)} for n, s in enumerate(scores, 1)]
    cell = {"seconds": {"training": 3.0}, "encoded": {"texts": 1, "seconds": 1.0}}
    return {"evaluations": at, "cell": cell}


def untimed(*scores):
    """The same of a training that did not record when its evaluations were."""
    record = evaluated(*scores)
    for each in record["evaluations"]:
        del each["seconds"]
    return record


@pytest.mark.parametrize(
    ("records", "shown"),
    [
        ([evaluated(0.1, 0.3, 0.2), evaluated(0.3)], "1.5"),
        ([evaluated(0.1, 0.2, 0.3), evaluated(0.1, 0.1)], "3.0 (1 of 2)"),
        ([evaluated(0.1), evaluated()], "not reached"),
        ([{**evaluated(), "evaluations": [{"t_monolingual_AP": 0.4, "seconds": 2.0}]}], "2.0"),
        ([untimed(0.4), untimed(0.1)], "seconds not recorded"),
        ([{"cell": evaluated()["cell"]}], "seconds not recorded"),
        ([untimed(0.4), evaluated(0.1)], "not reached; seconds of 1 not recorded"),
        ([untimed(0.4), evaluated(0.3)], "1.0 (1 of 2; seconds of 1 not recorded)"),
    ],
)
def test_the_seconds_until_a_score_is_reached(records, shown):
    table = cost_table([Cost.of("arm", records, 0.3)], 0.3)
    assert (table.headers[-1], table.rows[0][-1]) == ("seconds\nto 0.3", shown)
    assert len(cost_table([Cost.of("arm", records)]).headers) == len(table.headers) - 1
