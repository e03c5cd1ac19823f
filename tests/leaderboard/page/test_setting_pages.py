"""The page of a task's settings: every score of every setting, with a script and without."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mlbench.data.task import IMAGE, Kind, Roles
from mlbench.leaderboard.page import setting_pages as pages_module
from mlbench.leaderboard.page.setting_pages import setting_page, setting_pages
from mlbench.leaderboard.page.wording import rank_text
from mlbench.leaderboard.ranking.columns import task_settings
from tests.leaderboard.page.test_site import Page
from tests.leaderboard.synthetic import HOSTILE, evidence, standings, standings_of, unpacked


@cache
def html(task: str = "parallel") -> str:
    return setting_pages(standings())[setting_page(task)].decode()


@cache
def data(task: str = "parallel") -> dict:
    blocks = Page(html(task)).blocks
    return json.loads(next(block for block in blocks if block.startswith("{")))


def table_of(name: str):
    return next(each for each in standings() if each.name == name)


def expected(task: str, row, asked: str, pool: str) -> float:
    """The score of a setting, taken from the figures of its kind in the plainest way."""
    roles = table_of(task).roles
    at = roles.queries.index(asked)
    if pool == "all":
        return float(row.figures["multi"][at])
    if pool == asked:
        return float(row.figures["mono"][at])
    return float(row.figures["cross"][at, roles.passages.index(pool)])


@pytest.mark.parametrize("task", ["apart", "parallel"])
def test_the_script_has_the_score_of_every_setting(task: str) -> None:
    of = table_of(task)
    settings = of.roles.settings(Kind)
    found = data(task)["settings"]
    assert len(found) == len(settings)
    assert {(asked, pool) for asked, _, pool, _ in found} == {
        (s.query_language, "all" if len(s.passage_languages) > 1 else s.passage_languages[0])
        for s in settings
    }
    rows = {row.slug: row for row in of.rows if row.figures}
    assert [model["slug"] for model in data(task)["models"]] == list(rows)
    for model in data(task)["models"]:
        row = rows[model["slug"]]
        wanted = [expected(task, row, asked, pool) for asked, _, pool, _ in found]
        np.testing.assert_allclose(unpacked(model["scores"]), wanted, rtol=0, atol=0.00005 + 1e-9)


def test_the_tables_say_the_same_without_a_script() -> None:
    of = table_of("parallel")
    rows = {row.slug: row for row in of.rows if row.figures}
    tables = re.findall(
        r"<h3[^>]*>Queries in (\w+)</h3>.*?<thead>(.*?)</thead>(.*?)</table>", html(), re.S
    )
    assert [asked for asked, _, _ in tables] == list(table_of("parallel").roles.queries)
    for asked, head, body in tables:
        pools = ["all", *re.findall(r'<th scope="col">(\w+)</th>', head)[1:]]
        pools = [pool for pool in pools if not pool.startswith("all")]
        lines = re.findall(r'models/([^"]+)\.html.*?</th>(.*?)</tr>', body)
        assert [slug for slug, _ in lines] == list(rows)
        for slug, cells in lines:
            texts = re.findall(r"<td>(?:<strong>)?([^<]+)", cells)
            wanted = [expected("parallel", rows[slug], asked, pool) for pool in ("all", *pools)]
            assert texts == [f"{value:.4f}" for value in wanted]
            found = dict(zip(task_settings(of.task), rows[slug].settings, strict=True))
            places = [rank_text(cell) for s, cell in found.items() if s.query_language == asked]
            below = re.findall(r"<small>([^<]+)", cells)
            assert below == ([] if rows[slug].unranked else places)


@pytest.mark.parametrize("task", ["apart", "parallel"])
def test_the_script_has_the_interval_and_the_places_of_every_score(task: str) -> None:
    rows = {row.slug: row for row in table_of(task).rows}
    for model in data(task)["models"]:
        cells = rows[model["slug"]].settings
        for end in ("low", "high"):
            wanted = [getattr(cell, end) for cell in cells]
            wanted = np.array([np.nan if value is None else value for value in wanted])
            found = unpacked(model[end])
            np.testing.assert_allclose(found, wanted, rtol=0, atol=0.00005 + 1e-9)
        assert model["best"] == [cell.best or 0 for cell in cells]
        assert model["worst"] == [cell.worst or 0 for cell in cells]
        assert model["near"] == "".join("1" if cell.near_first else "0" for cell in cells)


def test_what_ties_decide_stands_below_the_score() -> None:
    (board,) = standings_of([evidence("parallel", name, 1.0, seed=i) for i, name in
                             enumerate("ab", 1)])  # fmt: skip
    rows = [replace(row, ties={0: 0.98765} if row.slug == "a" else {}) for row in board.rows]
    page = setting_pages([replace(board, rows=tuple(rows))])[setting_page("parallel")].decode()
    assert page.count("<small>ties: 0.9877</small>") == 1
    assert '"ties":{"0":"0.9877"}' in page
    assert "the score with ties counted for the model stands below" in page
    assert "stands below" not in html()


def test_a_board_without_intervals_by_setting_says_so() -> None:
    of = table_of("parallel")
    bare = replace(of, rows=tuple(replace(row, settings=(), ties={}) for row in of.rows))
    page = setting_pages([bare])[setting_page("parallel")].decode()
    assert "Ranks on this page are by score alone" in page
    assert "the board is too large for an interval of every score" in page
    assert "95% interval" not in page
    assert "by score alone, so" not in html()


def test_the_best_ranked_model_of_each_setting_is_bold() -> None:
    bold = re.findall(r"<strong>([\d.]+)</strong>", html())
    settings = data()["settings"]
    scores = np.stack([unpacked(m["scores"]) for m in data()["models"] if not m["unranked"]])
    assert len(bold) >= len(settings)
    assert {f"{value:.4f}" for value in np.nanmax(scores, axis=0)} == set(bold)


def test_it_asks_for_nothing_and_interprets_nothing() -> None:
    page = Page(html())
    assert not page.all("img", "iframe", "b")
    assert len(page.all("script")) == 2
    assert HOSTILE.partition(" ")[0] in page.text
    assert "\u202e" not in html()
    assert [m["name"] for m in data()["models"] if "hacked" in m["name"]]
    (policy,) = [a["content"] or "" for a in page.all("meta") if "http-equiv" in a]
    assert "script-src 'sha256-" in policy
    assert "innerHTML" not in html()


def test_a_reported_model_has_no_setting_and_a_disputed_one_no_rank() -> None:
    models = {model["slug"]: model for model in data()["models"]}
    assert "paper" not in models
    assert models["doubtful"]["unranked"] == "disputed"


def test_its_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "MOST_CELLS", 24)
    monkeypatch.setattr(pages_module, "FEWEST_MODELS", 1)
    found = setting_pages(standings())[setting_page("parallel")].decode()
    most, settings = 24 // len(data()["settings"]), len(data()["settings"])
    assert found.count("<td>") == most * settings
    left = len(data()["models"]) - most
    assert f"The tables hold the first models of the board; {left} more" in found
    assert len(json.loads(next(b for b in Page(found).blocks if b[0] == "{"))["models"]) > most


@pytest.mark.parametrize(
    ("roles", "groups"),
    [
        (
            Roles(("en", "de", "fr"), ("en", "de", "fr"), (("de", "en"), ("en", "fr"))),
            [("From en", ("de", "fr")), ("Into en", ("de", "fr"))],
        ),
        (
            Roles(("de", "en", IMAGE), ("de", "en", IMAGE)),
            [("Text to image", ("de", "en")), ("Image to text", ("de", "en", "all 2"))],
        ),
        (Roles((IMAGE,), ("de", "en")), [("Queries in images", ("de", "en", "all 2"))]),
    ],
)
def test_where_settings_have_a_direction_there_is_a_table_for_each(
    roles: Roles, groups: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = pages_module._groups(roles, roles.settings(Kind), [])
    assert [(group.title, group.columns) for group in found] == groups
