"""The leaderboard as files: one page that needs nothing else, and the same as data.

Names, commands and notes come from strangers: what they hold is shown, never interpreted. The
same entries give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.data.task import IMAGE, Roles
from mlbench.leaderboard.page.changes import (
    Build,
    Old,
    builds_of,
    by_kind,
    changes_json,
    changes_markdown,
    said,
)
from mlbench.leaderboard.page.drawer import Drawer, overall_drawer, task_drawer
from mlbench.leaderboard.page.export import (
    board_data,
    figures_data,
    standings_csv,
    standings_json,
    standings_markdown,
)
from mlbench.leaderboard.page.feed import FEED_FILE, feed, feed_id
from mlbench.leaderboard.page.model_pages import model_page, model_pages
from mlbench.leaderboard.page.packing import script_json
from mlbench.leaderboard.page.plots import CostAxis, Point, cost_plot, heat_map
from mlbench.leaderboard.page.rendering import content_policy, page_environment, source, style_of
from mlbench.leaderboard.page.setting_pages import has_settings, setting_page, setting_pages
from mlbench.leaderboard.page.wording import (
    CONTAMINATIONS,
    LEVELS,
    column_head,
    column_title,
    cost_texts,
    lacking_text,
    rank_text,
    score_text,
    summary,
    ties_text,
)
from mlbench.leaderboard.ranking.rows import Row, Standings
from mlbench.measures.significance import DRAWS, SEED
from mlbench.reports.reading import HEAVY_TIES

MOST_CELLS = 20_000
"""Cells of heat maps that are written into the page; those of larger boards the script fills."""
COSTS = (
    CostAxis("parameters", "parameters"),
    CostAxis("speed", "texts encoded a second", more_is_better=True),
    CostAxis("bytes", "bytes of a passage's vectors"),
)
"""What quality is drawn against, by fields of ``Cost``."""


def site_files(
    standings: Sequence[Standings],
    previous: Old | None = None,
    docs: str = "",
    address: str = "",
) -> dict[str, bytes]:
    """Return file name -> content: index.html, leaderboard.csv, .json and .md, feed.xml, a page of
    each model, and one of each task's settings.

    With a ``previous`` build, there are changes.json and changes.md, and the page and the feed tell
    what changed. ``docs`` is the address of the documentation, https or seen from the page, and
    ``address`` that where the files are published, from which the first build makes the feed's id.
    """
    own_id = feed_id(standings, previous, address)
    builds = None if previous is None else builds_of(standings, previous)
    files = {
        "index.html": page(standings, builds, docs).encode(),
        "leaderboard.csv": standings_csv(standings).encode(),
        "leaderboard.json": standings_json(standings, own_id).encode(),
        "leaderboard.md": standings_markdown(standings).encode(),
        FEED_FILE: feed(standings, builds or (), own_id),
        **setting_pages(standings),
        **model_pages(standings, partial(drawer, by_language=True)),
    }
    if builds is not None:
        files["changes.json"] = changes_json(builds).encode()
        files["changes.md"] = changes_markdown(builds).encode()
    return files


def page(
    standings: Sequence[Standings], builds: Sequence[Build] | None = None, docs: str = ""
) -> str:
    """Return the page: HTML that asks for nothing, whose script and style are its own."""
    from markupsafe import Markup

    environment = page_environment()
    style = style_of(environment)
    script = source(environment, "leaderboard.js")
    tasks = {each.name: each for each in standings if each.task}
    cells = sum(
        max((of.size for of in row.figures.values() if of.ndim > 1), default=0)
        for each in standings
        for row in each.rows
    )
    by_language = cells <= MOST_CELLS

    return environment.get_template("leaderboard.html.jinja").render(
        **{each.__name__: each for each in WRITTEN_BY},
        standings=standings,
        drawer_of=partial(drawer, by_language=by_language),
        model_page=model_page,
        setting_page=setting_page,
        has_settings=has_settings,
        builds=builds,
        by_kind=by_kind,
        said=said,
        slugs={each.slug for of in standings for each in of.entries},
        docs=docs,
        feed=FEED_FILE,
        frames={} if by_language else {name: _empty_map(task) for name, task in tasks.items()},
        levels=LEVELS,
        contaminations=CONTAMINATIONS,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        board=Markup(script_json(board_data(standings))),
        figures=Markup(script_json(figures_data(standings))),
        draws=f"{DRAWS:,}",
        heavy_ties=HEAVY_TIES,
        seed=SEED,
        version=__version__,
    )


def drawer(row: Row, of: Standings, *, by_language: bool) -> Drawer:
    """Return a model on a task, or over a suite, in full."""
    if of.task is None:
        return overall_drawer(row, of)
    return task_drawer(row, of, by_language=by_language)


def _empty_map(standings: Standings) -> str:
    """Return the heat map of a task without a score, which the script fills; "" without pairs."""
    keys = {column.key for column in standings.columns}
    if "cross" not in keys:
        return ""
    roles = standings.roles
    if roles.two_ways:
        return ""
    none = np.full((len(roles.queries), len(roles.passages)), math.nan)
    return heat_map(roles, none, none[:, 0] if "multi" in keys else None)


def facts(standings: Standings) -> str:
    """Return what the standings are over."""
    task = standings.task
    if task is None:
        return _facts_of_suite(standings)
    return (
        f"Version {task.version}; {_languages(task.roles)}; "
        f"{plural(sum(task.queries.values()), 'query', 'queries')} "
        f"of {plural(standings.questions, 'question')}, "
        f"{plural(sum(task.passages.values()), 'passage')}; "
        f"licence {task.licence}."
    )


def _facts_of_suite(standings: Standings) -> str:
    """Return what an overall score is a mean of, and which models have none."""
    named = "; ".join(column_title(column) for column in standings.columns if column.task)
    suite = standings.suite.name if standings.suite else ""
    told = [
        f"The suite {suite}: a model's score is the unweighted mean of its headlines ({named})."
    ]
    if absent := [name for name in standings.tasks if name not in standings.headlines]:
        told.append(
            f"This leaderboard does not have {', '.join(absent)}, so no model has a mean or a rank."
        )
    else:
        told.append(
            "A model without an entry for every task is incomplete: it has no mean and no rank."
        )
    return " ".join(told)


def _languages(roles: Roles) -> str:
    """Say how many languages there are, and which, by role where they differ."""
    asked, searched = (
        _listed(codes, role)
        for role, codes in (("query", roles.queries), ("passage", roles.passages))
    )
    if roles.pairs:
        return f"{plural(len(roles.pairs), 'pair')} of {asked.replace('query ', '')}"
    if roles.queries == roles.passages:
        return asked.replace("query ", "")
    return f"{asked}; {searched}"


def _listed(codes: Sequence[str], role: str) -> str:
    """Return the languages of a role; images, which are queries or passages too, are told so."""
    texts = [code for code in codes if code != IMAGE]
    if not texts:
        return f"{role}: images"
    images = " and images" if IMAGE in codes else ""
    return f"{plural(len(texts), f'{role} language')} ({', '.join(texts)}){images}"


def plots(standings: Standings) -> list[tuple[str, str]]:
    """Return (what it shows, SVG) of the main score by each cost that is known of a model."""
    title = column_title(standings.main)
    found = []
    for axis in COSTS:
        points = [
            Point(row.name, getattr(row.cost, axis.field), cell.value, cell.low, cell.high,
                  not row.unranked)
            for row in standings.rows
            if (cell := row.cells[standings.main.key]).value is not None
        ]  # fmt: skip
        if drawn := cost_plot(points, axis, title):
            found.append((f"{title} by {axis.name}", drawn))
    return found


WRITTEN_BY = (
    *(facts, plots, summary, column_head, column_title),
    *(score_text, rank_text, cost_texts, ties_text, lacking_text),
)
"""What the template writes standings with."""
