"""Columns and figures by language: against the report's scores, and a table cut to languages."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from mlbench import evaluate
from mlbench.comparing.rank_intervals import drawn_means
from mlbench.data.task import Kind, Roles, Setting
from mlbench.leaderboard.ranking.columns import (
    Column,
    columns_of,
    language_means,
    main_column,
    measure,
    present_mean,
    stated,
    task_columns,
)
from mlbench.leaderboard.ranking.standings import part_of
from mlbench.measures.rank_measures import parse_measures
from mlbench.measures.scores import compute_scores
from mlbench.measures.significance import Score, percentiles
from tests.leaderboard.synthetic import TASKS, chosen_score, evidence, run_of, task_of
from tests.support.shared_pairs import LINES, write_shared_pairs


@pytest.mark.parametrize("task", TASKS)
def test_every_column_is_what_the_report_says(task: str) -> None:
    made = evidence(task, "m", 1.5)
    assert made.measured is not None
    columns = task_columns(task_of(task))
    assert len(columns) == 5
    for column in columns:
        said = stated(made.entry.entry, column)
        assert said is not None
        assert made.measured.value(column.key) == pytest.approx(said.value, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_a_choice_of_languages_is_the_mean_over_their_settings(task: str) -> None:
    _, ranks = run_of(task, 1.5, 1)
    found = measure(ranks, task_columns(task_of(task)))
    codes = ranks.languages
    for size in range(1, len(codes) + 1):
        for chosen in itertools.combinations(range(len(codes)), size):
            own = [Setting(Kind.MONOLINGUAL, codes[i], (codes[i],)) for i in chosen]
            pairs = [
                Setting(Kind.CROSSLINGUAL, codes[i], (codes[j],))
                for i, j in itertools.permutations(chosen, 2)
            ]
            mixed = [Setting(Kind.MULTILINGUAL, codes[i], codes) for i in chosen]
            for key, settings, name in (
                ("mono", own, "AP"), ("cross", pairs, "AP"), ("multi", mixed, "AP"),
                ("recall", mixed, "R@10"),
            ):  # fmt: skip
                value = chosen_score(found.figures[key], chosen)
                if not settings:
                    assert value is None
                    continue
                rows = compute_scores(ranks, settings, parse_measures([name])).settings
                told = [row.measures[name] for row in rows if row.queries]
                if told:
                    assert value == pytest.approx(math.fsum(told) / len(told), abs=1e-12)
                else:
                    assert value is None


def test_missing_figures_are_left_out_and_none_is_none() -> None:
    values = np.array([[math.nan, 0.5], [0.7, math.nan]])
    assert present_mean(values) == pytest.approx(0.6)
    assert language_means(values) == [0.5, 0.7]
    assert present_mean(values[:1, :1]) is None
    assert language_means(np.array([math.nan, 0.25])) == [None, 0.25]


def test_columns_follow_from_the_task() -> None:
    def keys(kinds: list[str], measures: list[str], languages: int) -> list[str]:
        codes = ("ar", "de", "en")[:languages]
        found = columns_of(kinds, measures, Roles(codes, codes))
        return [f"{c.key} {c.kind} {c.measure}" for c in found]

    assert keys([*Kind], ["AP", "R@5"], 1) == [
        "mono monolingual AP", "recall monolingual R@5",
    ]  # fmt: skip
    alone = columns_of([*Kind], ["AP"], Roles(("ar", "de"), ("en",)))
    assert [c.key for c in alone] == ["cross"]
    apart = columns_of([*Kind], ["AP"], Roles(("ar",), ("de", "en")))
    assert [c.key for c in apart] == ["cross", "multi", "distance"]
    assert keys(["monolingual", "crosslingual", "multilingual"], ["R@100", "R@10"], 3)[3:] == [
        "recall multilingual R@10", "distance multilingual rank-distance",
    ]  # fmt: skip
    assert keys(["crosslingual"], ["AP"], 3) == ["cross crosslingual AP"]
    several = columns_of(["monolingual", "multilingual"], [], Roles(("ar", "de"), ("ar", "de")))
    assert main_column(several) == Column("multi", "multilingual", "AP")
    assert main_column(several[:1]).key == "mono"
    assert [c.lower_is_better for c in several] == [False, False, True]


def test_images_and_texts_have_directions_in_place_of_their_mean() -> None:
    codes = ("de", "en", "zxx")
    found = columns_of([*Kind], ["Success@1", "R@10"], Roles(codes, codes))
    assert [(c.key, c.kind) for c in found] == [
        ("multi", "multilingual"), ("to_text", "image-to-text"), ("to_image", "text-to-image"),
        ("recall", "multilingual"), ("distance", "multilingual"),
    ]  # fmt: skip
    one_by_one = columns_of(["crosslingual"], ["AP", "R@10"], Roles(codes, codes))
    assert [(c.key, c.kind) for c in one_by_one] == [
        ("to_text", "image-to-text"), ("to_image", "text-to-image"), ("recall", "text-to-image"),
    ]  # fmt: skip
    assert main_column(one_by_one).key == "to_text"
    one_way = columns_of([*Kind], ["AP"], Roles(("de", "en"), ("zxx",)))
    assert [c.key for c in one_way] == ["cross"]


def test_what_an_entry_does_not_say_is_none() -> None:
    entry = evidence("parallel", "m", 1.5).entry.entry
    assert stated(entry, Column("x", "monolingual", "P@3")) is None
    assert isinstance(stated(entry, Column("x", "monolingual", "AP")), Score)


def test_a_line_that_pairs_share_is_one_question(tmp_path: Path) -> None:
    """Its interval on the leaderboard is that of the report."""
    report = evaluate("char-ngram", write_shared_pairs(tmp_path))
    columns = columns_of(report.task.kinds, report.measures, report.task.roles)
    found = measure(report.table, columns)
    assert len(found.questions) == LINES
    assert [column.key for column in columns] == ["cross", "from", "into", "recall"]
    for key, kind in (("from", "from-en"), ("into", "into-en")):
        assert found.shares[key].shape == (LINES,)
        own = report.scores.directions[kind]["RR"]
        assert found.value(key) == pytest.approx(own.value, abs=1e-12)
        low, high = percentiles(drawn_means([part_of([found], key, np.arange(LINES))], LINES))
        assert (low[0], high[0]) == pytest.approx((own.low, own.high), abs=1e-12)
