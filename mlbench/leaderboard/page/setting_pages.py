"""A page for each task that ranks the models in one setting: a query language and a pool.

It holds the main score of every model in every setting, with its interval and the places that the
data allow, of which the script shows one setting; and tables of the same scores and places, by
query language or direction, for a reader without one. Boards that are too large for the intervals
have scores alone, from which the script ranks, and the page says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.data.task import FROM_IMAGE, IMAGE, Kind, Roles, Setting
from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.page.packing import UNIT, packed, script_json
from mlbench.leaderboard.page.rendering import (
    content_policy,
    page_environment,
    source,
    style_of,
)
from mlbench.leaderboard.page.wording import column_head, rank_text
from mlbench.leaderboard.ranking.columns import task_settings
from mlbench.leaderboard.ranking.rows import Cell, Row, Standings
from mlbench.measures.significance import ALPHA, DRAWS, Values
from mlbench.reports.reading import HEAVY_TIES
from mlbench.reports.words import kind_name, number

MOST_CELLS = 20_000
"""Scores that the tables of a page hold; those of further models are for the script alone."""
FEWEST_MODELS = 10


@dataclass(frozen=True)
class Score:
    """A score as text, whether it is the best of the ranked ones, and in words its places and what
    it is with ties counted for the model; "" where there is nothing to say."""

    text: str
    best: bool
    places: str = ""
    ties: str = ""


@dataclass(frozen=True)
class Line:
    """A model in a table."""

    slug: str
    name: str
    unranked: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Group:
    """A table: the settings of a query language, or of a direction, and the models in them."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def setting_page(task: str) -> str:
    """Return where the page of a task's settings stands, seen from the leaderboard's page."""
    return f"settings/{task}.html"


def setting_pages(standings: Sequence[Standings]) -> dict[str, bytes]:
    """Return file name -> page of each task that has several settings and a table of any model."""
    return {
        setting_page(each.name): _page(each).encode() for each in standings if has_settings(each)
    }


def has_settings(standings: Standings) -> bool:
    """Whether there is a setting to choose, and a model that is scored in it."""
    return len(_settings(standings)) > 1 and any(row.figures for row in standings.rows)


def _page(standings: Standings) -> str:
    from markupsafe import Markup

    environment = page_environment()
    style, script = style_of(environment), source(environment, "settings.js")
    settings = _settings(standings)
    drawn = any(row.settings for row in standings.rows)
    scored = [(row, _scores(row, standings, settings)) for row in standings.rows if row.figures]
    most = max(FEWEST_MODELS, MOST_CELLS // len(settings))
    return environment.get_template("settings.html.jinja").render(
        standings=standings,
        measure=column_head(standings.main).partition("\n")[0],
        count=plural(len(settings), "setting"),
        drawn=drawn,
        draws=f"{DRAWS:,}",
        chance=f"{ALPHA:.2f}",
        ties=any(row.ties for row in standings.rows),
        heavy_ties=HEAVY_TIES,
        models=plural(len(scored), "model"),
        groups=list(_groups(standings.roles, settings, scored[:most])),
        left_out=max(0, len(scored) - most),
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json(_data(standings, settings, scored))),
        version=__version__,
    )


def _settings(standings: Standings) -> list[Setting]:
    """Return the settings of a task, none over a suite."""
    return [] if standings.task is None else task_settings(standings.task)


def _scores(row: Row, standings: Standings, settings: Sequence[Setting]) -> Values:
    """Return a model's main score in each setting, NaN where it has none."""
    roles, of_main = standings.roles, standings.main.measure
    columns = [column for column in standings.columns if column.measure == of_main]

    def score(setting: Setting) -> float:
        asked = roles.queries.index(setting.query_language)
        if setting.kind is not Kind.CROSSLINGUAL:
            key = next((c.key for c in columns if c.kind == setting.kind.value), "")
            return float(row.figures[key][asked]) if key in row.figures else math.nan
        searched = roles.passages.index(setting.passage_languages[0])
        values = (float(row.figures[c.key][asked, searched]) for c in columns if c.by_pair)
        return next((value for value in values if not math.isnan(value)), math.nan)

    return np.array([score(setting) for setting in settings])


def _groups(
    roles: Roles, settings: Sequence[Setting], scored: Sequence[tuple[Row, Values]]
) -> Iterator[Group]:
    """Yield a table for each query language, or for each direction where settings have one."""
    numbers: dict[str, list[int]] = {}
    for number_, setting in enumerate(settings):
        of_images = FROM_IMAGE if roles.between_modalities else None
        direction = roles.direction(setting) or of_images
        asked = _language(setting.query_language)
        title = _title(direction) if direction else f"Queries in {asked}"
        numbers.setdefault(title, []).append(number_)
    for title, chosen in numbers.items():
        of = [(row, values[chosen]) for row, values in scored]
        ranked = [values for row, values in of if not row.unranked]
        best = [
            max((v for values in ranked if not math.isnan(v := values[i])), default=math.nan)
            for i in range(len(chosen))
        ]
        columns = tuple(_column(roles, settings[i]) for i in chosen)
        yield Group(title, columns, tuple(_line(row, values, best, chosen) for row, values in of))


def _line(row: Row, values: Values, best: Sequence[float], chosen: Sequence[int]) -> Line:
    texts = [number(None if math.isnan(v) else float(v)) for v in values]
    tops = [not row.unranked and text == number(top) for text, top in zip(texts, best, strict=True)]
    cells = [row.settings[i] if row.settings else Cell() for i in chosen]
    places = ["" if cell.best is None else rank_text(cell) for cell in cells]
    ties = [number(row.ties[i]) if i in row.ties else "" for i in chosen]
    found = map(Score, texts, tops, places, ties)
    return Line(row.slug, row.name, row.unranked, tuple(found))


def _title(direction: str) -> str:
    name = kind_name(direction)
    return f"{name[0].upper()}{name[1:]}"


def _column(roles: Roles, setting: Setting) -> str:
    """Return what tells a setting from the others of its table."""
    if roles.direction(setting):
        asked, searched = setting.query_language, setting.passage_languages[0]
        return _language(searched if asked == roles.pivot else asked)
    return pool_name(setting)


def pool_name(setting: Setting) -> str:
    """Return what a pool is called: its language, or all of several languages together."""
    pool = setting.passage_languages
    return _language(pool[0]) if len(pool) == 1 else f"all {len(pool)}"


def _language(code: str) -> str:
    return "images" if code == IMAGE else code


def _data(
    standings: Standings, settings: Sequence[Setting], scored: Sequence[tuple[Row, Values]]
) -> dict[str, Any]:
    """Return what the script shows: settings, models, and of each three letters for each score and
    each end of its interval, the places, and what ties decide, by the number of the setting."""
    return {
        "unit": UNIT,
        "settings": [
            [setting.query_language, _language(setting.query_language),
             ",".join(setting.passage_languages) if len(setting.passage_languages) == 1 else "all",
             pool_name(setting)]
            for setting in settings
        ],
        "models": [
            {"slug": row.slug, "name": visible(row.name), "unranked": row.unranked,
             "evidence": str(row.level), "scores": packed(_as_shown(values)), **_drawn(row)}
            for row, values in scored
        ],
    }  # fmt: skip


def _drawn(row: Row) -> dict[str, Any]:
    """Return the intervals and places of a model in each setting, nothing where none were drawn.

    A place is its best and its worst one, 0 of those without any; ``near`` has 1 for each setting
    in which the model cannot be told from the first."""
    if not row.settings:
        return {}
    ends = {
        end: packed(_as_shown(np.array([_or_nan(getattr(cell, end)) for cell in row.settings])))
        for end in ("low", "high")
    }
    return ends | {
        "best": [cell.best or 0 for cell in row.settings],
        "worst": [cell.worst or 0 for cell in row.settings],
        "near": "".join(str(int(cell.near_first)) for cell in row.settings),
        "ties": {str(i): number(value) for i, value in row.ties.items()},
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _as_shown(values: Values) -> Values:
    """Return scores as the tables show them, so that the script shows the same."""
    return np.array([v if math.isnan(v) else float(number(v)) for v in values.tolist()])
