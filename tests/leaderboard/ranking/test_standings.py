"""Standings: who has a place, in which order, over which tasks, and what changed."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from mlbench.common.errors import DataError
from mlbench.comparing.baseline import Saved
from mlbench.comparing.compare import compare
from mlbench.comparing.rank_intervals import rank_intervals
from mlbench.leaderboard.entries.entry import Contamination, Level
from mlbench.leaderboard.page.drawer import differing_facts
from mlbench.leaderboard.page.site import site_files
from mlbench.leaderboard.ranking.rows import OVERALL, Cell, Cost, Row, Standings, cost_of
from mlbench.measures.significance import drawn_weights
from mlbench.reports.provenance import Encoded
from mlbench.reports.suite_report import suite_report
from tests.leaderboard.synthetic import (
    HOSTILE,
    Made,
    entries,
    evidence,
    reported,
    run_of,
    standings,
    standings_of,
    suite_of,
    withdrawn,
)


def by_name(table: Standings) -> dict[str, Row]:
    return {row.name: row for row in table.rows}


def place(cell: Cell) -> tuple[int | None, int | None]:
    return cell.best, cell.worst


def test_the_standings_are_those_of_compare() -> None:
    (table,) = standings_of(
        [evidence("parallel", f"m{i}", noise, seed=i) for i, noise in enumerate((0.5, 1.2, 1.2, 3))]
    )
    saved = []
    for i, noise in enumerate((0.5, 1.2, 1.2, 3)):
        report, ranks = run_of("parallel", noise, i)
        saved.append(Saved(f"m{i}", report.task, report.model, report.measures, ranks))
    comparison = compare(saved, ["AP", "R@10", "rank-distance"])
    names = {each.label: each.where for each in comparison.models}
    for column in table.columns:
        values = {
            (names[v.model], v.low, v.high)
            for v in comparison.scores
            if (v.quantity.kind, v.quantity.measure) == (column.kind, column.measure)
            and v.quantity.level == 0
        }
        cells = {name: row.cells[column.key] for name, row in by_name(table).items()}
        for name, low, high in values:
            assert (cells[name].low, cells[name].high) == pytest.approx((low, high), abs=1e-12)
        expected = {
            names[each.model]: (each.best, each.worst)
            for each in comparison.standings
            if (each.quantity.kind, each.quantity.measure) == (column.kind, column.measure)
        }
        assert {name: place(cell) for name, cell in cells.items()} == expected


def test_only_evidence_that_nobody_disputes_has_a_place() -> None:
    _, apart, parallel = standings()
    rows = by_name(parallel)
    reasons = {name: row.unranked for name, row in rows.items() if row.unranked}
    assert reasons == {
        "paper": "reported, not recomputed",
        "sparse": "reported, not recomputed",
        "doubtful": "disputed",
    }
    for name in reasons:
        assert all(place(cell) == (None, None) for cell in rows[name].cells.values())
        assert not any(cell.near_first for cell in rows[name].cells.values())
    assert rows["doubtful"].cells["mono"].low is not None
    assert rows["paper"].cells["mono"] == Cell(0.99)
    assert rows["sparse"].cells["mono"] == Cell()
    assert parallel.ranked == 6
    assert apart.ranked == 5
    worst = max(row.cells["multi"].worst or 0 for row in parallel.rows)
    assert worst == parallel.ranked


def test_places_do_not_depend_on_who_has_none() -> None:
    honest = [evidence("parallel", f"m{i}", 0.5 + i, seed=i) for i in range(3)]
    (alone,) = standings_of(honest)
    doubtful = evidence("parallel", "doubtful", 0.4, seed=5, records=[Level.DISPUTED])
    (beside,) = standings_of([*honest, doubtful, reported("parallel", "paper", multilingual=1.0)])
    for name, row in by_name(alone).items():
        assert by_name(beside)[name].cells == row.cells


def test_the_order_is_that_of_the_main_column_with_missing_last() -> None:
    for table, main in zip(standings(), ("mean", "multi", "multi"), strict=True):
        values = [row.cells[table.main.key].value for row in table.rows]
        known = [value for value in values if value is not None]
        assert values == sorted(known, reverse=True) + [None] * (len(values) - len(known))
        assert table.main.key == main


def test_levels_and_contamination() -> None:
    overall, apart, parallel = map(by_name, standings())
    assert apart["strong"].level is Level.REPRODUCED
    assert parallel["strong"].level is Level.RECOMPUTED
    assert overall["strong"].level is Level.RECOMPUTED
    assert parallel["doubtful"].level is Level.DISPUTED
    assert parallel["paper"].level is Level.REPORTED
    assert parallel["weak"].contamination is Contamination.TRAINED_ON
    assert parallel[HOSTILE].contamination is Contamination.UNKNOWN
    assert parallel["paper"].contamination is Contamination.UNKNOWN


@pytest.mark.parametrize("other", list(Contamination))
def test_one_task_not_clean_is_not_clean_overall(other: Contamination) -> None:
    found = standings_of(
        [
            evidence("apart", "m", 1.0),
            evidence("parallel", "m", 1.0, contamination=other),
        ]
    )
    assert found[0].name == OVERALL
    assert found[0].rows[0].contamination is other


def test_overall_is_the_mean_of_the_headlines_of_models_with_every_task() -> None:
    overall, apart, parallel = standings()
    assert overall.tasks == ("apart", "parallel")
    assert [column.key for column in overall.columns] == ["mean", "on-apart", "on-parallel"]
    assert overall.headlines == {"apart": "multi", "parallel": "multi"}
    assert {row.name for row in overall.rows if not row.unranked} == {
        "strong", "alike a", "alike b", "weak", "no size",
    }  # fmt: skip
    reasons = {row.name: row.unranked for row in overall.rows}
    assert reasons["sparse"] == "incomplete, no entry for apart"
    assert reasons["paper"] == "reported, not recomputed"
    for row in overall.rows:
        of = {task.name: by_name(task).get(row.name) for task in (apart, parallel)}
        cells = {name: one.cells["multi"] if one else Cell() for name, one in of.items()}
        assert {name: row.cells[f"on-{name}"] for name in of} == cells
        values = [cell.value for cell in cells.values()]
        if None in values:
            assert row.cells["mean"] == Cell()
            assert row.unranked
        else:
            expected = math.fsum(values) / 2
            assert row.cells["mean"].value == pytest.approx(expected, abs=1e-12)
    assert by_name(overall)[HOSTILE].cells["on-parallel"].best is not None
    assert by_name(overall)["paper"].cells["mean"] == Cell(pytest.approx(0.9))


def test_a_model_that_lacks_a_task_stands_behind_all_that_have_every_one() -> None:
    order = [row.unranked.startswith("incomplete") for row in standings()[0].rows]
    assert order == sorted(order)
    assert sum(order) == 3


def test_the_overall_score_is_that_of_the_suites_own_report() -> None:
    """The page of a suite takes its mean and interval by other code, from the reports."""
    overall = standings()[0]
    for name, noise, seed in (("weak", 2.6, 4), ("no size", 1.8, 5)):
        reports = [run_of(task, noise, seed)[0] for task in ("apart", "parallel")]
        assert overall.suite is not None
        tasks = tuple(
            replace(of, task=replace(of.task, version=r.task.version, languages=r.task.languages))
            for of, r in zip(overall.suite.tasks, reports, strict=True)
        )
        expected = suite_report(replace(overall.suite, tasks=tasks), reports).mean
        assert expected is not None
        cell = by_name(overall)[name].cells["mean"]
        found = (cell.value, cell.low, cell.high)
        assert found == pytest.approx((expected.value, expected.low, expected.high), abs=1e-12)


def test_the_places_overall_are_those_of_the_paired_means() -> None:
    """As for one task whose questions add the mean of what they add to both."""
    overall, _, _ = standings()
    ranked = [row for row in overall.rows if not row.unranked]
    tables = {each.entry.place: each.measured for each in entries() if each.measured}
    questions = tables[ranked[0].entries["parallel"].place].questions
    shares = np.zeros((len(ranked), len(questions)))
    drawn = []
    for i, row in enumerate(ranked):
        draws = np.zeros(10_000)
        for entry in row.entries.values():
            of = tables[entry.place]
            at = [questions.index(q) for q in of.questions]
            shares[i, at] += of.shares["multi"] / 2
            draws += (
                np.concatenate(
                    [
                        of.means["multi"].drawn(times[:, at].astype(float))[:, 0, 0]
                        for times in drawn_weights(len(questions), draws=10_000)
                    ]
                )
                / 2
            )
        drawn.append(draws)
    expected = rank_intervals(shares, np.stack(drawn, 1))
    assert [place(row.cells["mean"]) for row in ranked] == [
        *zip(expected.best.tolist(), expected.worst.tolist(), strict=True)
    ]


def test_overall_intervals_draw_a_shared_question_for_both_tasks() -> None:
    """Against a bootstrap by hand: the questions q0, q1, ... of the two tasks are the same."""
    overall, _, _ = standings()
    made = {
        each.entry.place.task: each.measured
        for each in entries()
        if each.entry.entry.model.name == "weak" and each.measured
    }
    questions = made["parallel"].questions
    generator = np.random.default_rng(20_408)
    drawn = np.concatenate(
        [generator.integers(0, len(questions), (500, len(questions))) for _ in range(20)]
    )
    means = []
    for draw in drawn:
        total = 0.0
        for each in made.values():
            index = [
                each.questions.index(questions[i]) for i in draw if questions[i] in each.questions
            ]
            of = each.means["multi"]
            (block,) = of.blocks
            sums = block.sums[index, 0].sum(0) / block.counts[index].sum(0)
            total += sums.sum() / of.settings.sum() / 2
        means.append(total)
    cell = by_name(overall)["weak"].cells["mean"]
    low, high = np.quantile(means, [0.025, 0.975])
    assert (cell.low, cell.high) == pytest.approx((low, high), abs=1e-12)


def test_another_identity_on_a_task_is_not_the_same_model() -> None:
    made = evidence("parallel", "m", 1.0)
    model = replace(made.entry.entry.model, identity="others")
    other = replace(made, entry=replace(made.entry, entry=replace(made.entry.entry, model=model)))
    found = standings_of([evidence("apart", "m", 1.0), other])
    assert found[0].rows[0].unranked == "not the same model on every task, by its identity"
    assert found[0].ranked == 0
    assert found[0].rows[0].cells["mean"].value is not None


def test_a_suite_with_a_task_that_the_leaderboard_lacks_ranks_nobody() -> None:
    found = standings_of([evidence("apart", "m", 1.0)], suite_of("apart", "other"))
    overall = found[0]
    assert overall.tasks == ("apart", "other")
    assert overall.headlines == {"apart": "multi"}
    (row,) = overall.rows
    assert row.unranked == "incomplete, no entry for other"
    assert row.cells["mean"] == row.cells["on-other"] == Cell()
    assert row.cells["on-apart"] == found[1].rows[0].cells["multi"]
    page = site_files(found)["index.html"].decode()
    assert "This leaderboard does not have other, so no model has a mean or a rank." in page


def test_tasks_outside_the_suite_do_not_enter_the_overall_board() -> None:
    made = [evidence("apart", "m", 1.0), evidence("parallel", "m", 2.0)]
    made.append(evidence("parallel", "other", 1.0))
    overall, apart, _ = standings_of(made, suite_of("apart"))
    assert [row.name for row in overall.rows] == ["m"]
    assert overall.rows[0].cells["mean"].value == apart.rows[0].cells["multi"].value


def test_a_headline_that_is_no_column_of_its_task_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        standings_of(entries(), suite_of("apart", "parallel", headline="multilingual:RR"))
    assert [fault.where for fault in caught.value.faults] == [
        "suite 'both', task 'apart'", "suite 'both', task 'parallel'",
    ]  # fmt: skip
    assert "multilingual:AP" in caught.value.faults[0].expected


def test_one_task_has_no_overall() -> None:
    (table,) = standings_of([evidence("parallel", "m", 1.0)])
    assert table.name == "parallel"
    assert table.rows[0].cells["multi"].best == 1


def test_a_task_without_evidence_has_standings_too() -> None:
    (table,) = standings_of([reported("parallel", "paper", multilingual=0.5)])
    assert table.ranked == 0
    assert table.questions == 0
    assert b"There is 1 model, which has no rank." in site_files([table])["index.html"]


def test_the_newest_entry_stands_and_says_what_changed() -> None:
    _, _, parallel = standings()
    row = by_name(parallel)["strong"]
    assert row.date == "2025-06-09"
    assert row.previous is not None
    assert row.previous.entry.entry.declared.date == "2025-06-01"
    saved = []
    for where, (noise, seed) in (("before", (0.6, 1)), ("now", (0.8, 9))):
        report, ranks = run_of("parallel", noise, seed)
        saved.append(Saved(where, report.task, report.model, report.measures, ranks))
    comparison = compare(saved, ["AP", "R@10", "rank-distance"])
    for column in parallel.columns:
        change = row.previous.scores[column.key]
        (expected,) = [
            d for d in comparison.differences
            if d.quantity.level == 0
            and (d.quantity.kind, d.quantity.measure) == (column.kind, column.measure)
        ]  # fmt: skip
        assert change.difference == pytest.approx(expected.difference, abs=1e-12)
        assert (change.low, change.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert change.before is not None
        now = row.cells[column.key].value
        assert now == pytest.approx(change.before + (change.difference or 0), abs=1e-12)
    changed = differing_facts(row.previous.entry.entry, row.entries["parallel"].entry)
    assert ("dimension", "64", "128") in changed
    assert all(name != "identity" for name, _, _ in changed)


def test_what_is_withdrawn_is_listed_and_the_one_before_stands() -> None:
    _, _, parallel = standings()
    assert "regretted" not in by_name(parallel)
    assert [each.entry.model.name for each in parallel.withdrawn] == ["regretted"]
    newer = withdrawn(evidence("parallel", "m", 0.5, seed=2, run="2025-06-09-abcdef01"), "wrong")
    (table,) = standings_of([evidence("parallel", "m", 1.0), newer])
    (row,) = table.rows
    assert (row.date, row.previous) == ("2025-06-01", None)


def test_the_site_does_not_depend_on_the_order_of_entries() -> None:
    found = list(entries())
    random.Random(3).shuffle(found)
    assert site_files(standings_of(found)) == site_files(standings())


def run_with(made: Made, seconds: float | None, cached: int) -> Made:
    run = made.entry.entry.run
    assert run is not None
    encoded = {"query": Encoded(90, 80, cached), "passage": Encoded(130, 120, cached)}
    steps = {} if seconds is None else {"encoding": seconds}
    changed = replace(made.entry.entry, run=replace(run, seconds=steps, encoded=encoded))
    return replace(made, entry=replace(made.entry, entry=changed))


@pytest.mark.parametrize(
    ("seconds", "cached", "speed"),
    [
        (4.0, 0, 50.0),
        (4.0, 20, 40.0),
        (4.0, 60, None),
        (None, 0, None),
        (0.0, 0, None),
        (5e-324, 0, None),
    ],
)
def test_speed_leaves_out_what_came_from_the_cache(
    seconds: float | None, cached: int, speed: float | None
) -> None:
    made = run_with(evidence("parallel", "m", 1.0), seconds, cached)
    cost = cost_of([made.entry.entry])
    assert cost.speed == speed
    assert cost.seconds == (None if speed is None else seconds)
    assert cost.parameters == 1_234_567


def test_speed_over_tasks_is_over_all_texts() -> None:
    fast = run_with(evidence("parallel", "m", 1.0), 1.0, 0).entry.entry
    slow = run_with(evidence("parallel", "m", 1.0), 9.0, 0).entry.entry
    assert cost_of([fast, slow]).speed == pytest.approx(40.0)
    assert cost_of([fast, slow]).seconds == pytest.approx(10.0)
    paper = reported("parallel", "paper", multilingual=0.5).entry.entry
    assert cost_of([paper]) == Cost()
    assert cost_of([fast, paper]).speed is None


def test_what_entries_do_not_agree_on_is_not_known_over_tasks() -> None:
    one, other = (evidence("parallel", "m", 1.0).entry.entry for _ in range(2))
    wide = replace(other, model=replace(other.model, dimension=128))
    silent = replace(other, model=replace(other.model, dimension=None))
    assert cost_of([one, wide]).dimension is None
    assert cost_of([one, silent]).dimension == cost_of([one, one]).dimension == 64
    assert cost_of([one, wide]).parameters == 1_234_567
