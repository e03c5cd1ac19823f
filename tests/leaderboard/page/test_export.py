"""The standings as data: the same numbers, missing is missing, and no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from mlbench.leaderboard.page.export import standings_csv, standings_json, standings_markdown
from mlbench.leaderboard.ranking.rows import Standings
from tests.leaderboard.synthetic import HOSTILE, standings


def named(name: str) -> list[Standings]:
    """The standings with the first model called otherwise."""
    return [
        replace(each, rows=(replace(each.rows[0], name=name), *each.rows[1:]))
        for each in standings()
    ]


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_every_score() -> None:
    found = lines(standings_csv(standings()))
    rows = [(table, row) for table in standings() for row in table.rows]
    assert len(found) == len(rows)
    for line, (table, row) in zip(found, rows, strict=True):
        assert (line["standings"], line["slug"]) == (table.name, row.slug)
        for key, cell in row.cells.items():
            if key.startswith("on-"):  # a headline, which the line of its task has
                continue
            for end, value in (
                ("", cell.value), ("_best", cell.best), ("_worst", cell.worst),
            ):  # fmt: skip
                assert line[key + end] == ("" if value is None else str(value))
            for end, value in (("_low", cell.low), ("_high", cell.high)):
                told = line[key + end]
                assert (told == "") == (value is None)
                assert value is None or float(told) == pytest.approx(value, abs=1e-6)
        assert line["rank_best"] == str(row.cells[table.main.key].best or "")
        assert line["near_first"] in ({"true", "false"} if not row.unranked else {""})
        assert line["recall_measure"] == ("R@10" if table.task else "")
        assert line["unranked"] == row.unranked


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "－2", "\n=cmd|'/c calc'!A0"],
)
def test_csv_holds_no_formula(name: str) -> None:
    text = standings_csv(named(name))
    for line in csv.reader(io.StringIO(text)):
        for cell in line:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "－", "\t", "\r"))
    assert "\t" not in text
    assert "\r" not in text
    assert len(text.splitlines()) == 1 + sum(len(table.rows) for table in standings())


def test_json_is_strict_and_null_where_nothing_is_known() -> None:
    text = standings_json(standings(), "an id")
    table = json.loads(text, parse_constant=pytest.fail)
    assert (table["schema"], table["feed"]) == ("mlbench/leaderboard/1", "an id")
    for each, of in zip(table["standings"], standings(), strict=True):
        assert each["main"] == ("multi" if of.task else "mean")
        for row, expected in zip(each["rows"], of.rows, strict=True):
            for key, cell in row["scores"].items():
                assert cell["value"] == expected.cells[key].value
                assert cell["best"] == expected.cells[key].best
            if expected.figures:
                told = [v for v in row["by_language"]["mono"].values() if v is not None]
                assert sum(told) / len(told) == pytest.approx(row["scores"]["mono"]["value"])
                assert list(row["by_language"]["cross"]) == each["languages"]
    assert [w["reason"] for w in table["standings"][2]["withdrawn"]] == ["a wrong prompt <b>"]


def test_markdown_has_a_table_each_and_shows_names_as_they_are() -> None:
    text = standings_markdown(standings())
    assert text.count("\n## ") == 3
    assert "<script" not in text
    assert "\u202e" not in text
    assert HOSTILE.count("|") == 1
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == sum(2 + len(table.rows) for table in standings())
    unescaped = [line.replace("\\|", "").count("|") for line in rows]
    over_suite = 2 + len(standings()[0].rows)
    assert len(set(unescaped[:over_suite])) == len(set(unescaped[over_suite:])) == 1
    assert "Withdrawn: regretted (a wrong prompt &lt;b&gt;)." in text
    (paper,) = [line for line in rows if line.startswith("| paper") and "12.0" in line][:1]
    cells = [cell.strip() for cell in paper.split("|")[1:-1]]
    assert cells[:2] == ["paper", "-"]
    assert cells[3] == "-"
