"""The leaderboard as files: one page that needs nothing else, and the same as data.

Names, commands and notes come from strangers: what they hold is shown, never interpreted. The
same entries give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlbench import __version__
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.page.drawer import Drawer, overall_drawer, task_drawer
from mlbench.leaderboard.page.export import standings_csv, standings_json, standings_markdown
from mlbench.leaderboard.page.page_data import board_data, figures_data, script_json
from mlbench.leaderboard.page.plots import Point, cost_plot
from mlbench.leaderboard.page.wording import (
    CONTAMINATIONS,
    LEVELS,
    column_head,
    column_title,
    cost_texts,
    rank_text,
    score_text,
    summary,
    ties_text,
)
from mlbench.leaderboard.ranking.columns import Column
from mlbench.leaderboard.ranking.rows import Row, Standings
from mlbench.measures.significance import DRAWS, SEED
from mlbench.reports.words import HEAVY_TIES, plural

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_CELLS = 20_000
"""Cells of heat maps that are written into the page; of larger boards the script draws them."""
COSTS = (("parameters", "parameters", ""), ("seconds", "seconds of encoding", " s"))


@dataclass(frozen=True)
class Head:
    """A column of scores: its key, its name in two lines, and what it is in text."""

    key: str
    lines: tuple[str, ...]
    title: str
    first: str
    """The direction that is sorted first, "ascending" or "descending"."""


@dataclass(frozen=True)
class RowView:
    """A row as text. ``cells`` are (score, rank) of each column."""

    key: str
    name: str
    rank: str
    near: bool
    unranked: str
    ties: str
    level: str
    contamination: str
    cells: tuple[tuple[str, str], ...]
    costs: tuple[str, ...]
    date: str
    drawer: Drawer


@dataclass(frozen=True)
class Section:
    """The standings of a task, or over all of them, as text."""

    name: str
    title: str
    facts: str
    summary: list[tuple[str, bool]]
    heads: tuple[Head, ...]
    main: Head
    rows: list[RowView]
    plots: list[tuple[str, str]]
    matrix: bool
    """Whether the script draws heat maps, because the page has no room for them."""
    withdrawn: tuple[BoardEntry, ...]


def site_files(standings: Sequence[Standings]) -> dict[str, bytes]:
    """Return file name -> content: index.html, leaderboard.csv, .json and .md."""
    return {
        "index.html": page(standings).encode(),
        "leaderboard.csv": standings_csv(standings).encode(),
        "leaderboard.json": standings_json(standings).encode(),
        "leaderboard.md": standings_markdown(standings).encode(),
    }


def page(standings: Sequence[Standings]) -> str:
    """Return the page: HTML that asks for nothing, whose script and style are its own."""
    from markupsafe import Markup

    environment = _environment()
    style = _source(environment, "report/report.css") + _source(environment, "leaderboard.css")
    script = _source(environment, "leaderboard.js")
    tasks = {each.name: each for each in standings if each.task}
    cells = sum(len(row.figures.get("cross", ())) ** 2 for each in standings for row in each.rows)
    return environment.get_template("leaderboard.html.jinja").render(
        sections=[_section(each, tasks, by_language=cells <= MOST_CELLS) for each in standings],
        levels=LEVELS,
        contaminations=CONTAMINATIONS,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        board=Markup(script_json(board_data(standings))),
        figures=Markup(script_json(figures_data(standings))),
        draws=f"{DRAWS:,}",
        heavy_ties=HEAVY_TIES,
        seed=SEED,
        version=__version__,
    )


def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    report = PrefixLoader({"report": PackageLoader("mlbench.reports")})
    return Environment(
        loader=ChoiceLoader([PackageLoader("mlbench.leaderboard.page"), report]),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    return loader.get_source(environment, name)[0] if loader else ""


def _policy(style: str, script: str) -> str:
    """Return the content security policy: this style and this script, and nothing else."""
    return (
        f"default-src 'none'; style-src {_sha256(style)}; script-src {_sha256(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _section(standings: Standings, tasks: dict[str, Standings], *, by_language: bool) -> Section:
    heads = tuple(_head(column, standings) for column in standings.columns)
    return Section(
        name=standings.name,
        title=standings.task.title if standings.task else "the mean over all tasks",
        facts=_facts(standings),
        summary=summary(standings),
        heads=heads,
        main=next(head for head in heads if head.key == standings.main.key),
        rows=[_row(row, standings, tasks, by_language=by_language) for row in standings.rows],
        plots=_plots(standings),
        matrix=not by_language and any(c.key == "cross" for c in standings.columns),
        withdrawn=standings.withdrawn,
    )


def _facts(standings: Standings) -> str:
    task = standings.task
    if task is None:
        names = ", ".join(standings.tasks)
        return (
            f"Models that have every task: {names}. A score is the unweighted mean of the "
            "macro scores on them; a rank distance counts as its way from the least possible "
            "(0%) to that of a random order (100%)."
        )
    return (
        f"Version {task.version}; {plural(len(task.languages), 'language')} "
        f"({', '.join(task.languages)}); {sum(task.queries.values()):,} queries of "
        f"{plural(standings.questions, 'question')}, {sum(task.passages.values()):,} passages; "
        f"licence {task.licence}."
    )


def _head(column: Column, standings: Standings) -> Head:
    return Head(
        column.key,
        tuple(column_head(column, standings).split("\n")),
        column_title(column, standings),
        "ascending" if column.lower_is_better else "descending",
    )


def _row(
    row: Row, standings: Standings, tasks: dict[str, Standings], *, by_language: bool
) -> RowView:
    main = row.cells[standings.main.key]
    drawer = (
        task_drawer(row, standings, by_language=by_language)
        if standings.task
        else overall_drawer(row, standings, tasks)
    )
    return RowView(
        key=row.slug,
        name=row.name,
        rank=rank_text(main),
        near=main.near_first and main.worst != 1,
        unranked=row.unranked,
        ties=ties_text(row, standings),
        level=str(row.level),
        contamination=str(row.contamination),
        cells=tuple(
            (
                score_text(row.cells[c.key].value, c, standings),
                "" if row.unranked else rank_text(row.cells[c.key]),
            )
            for c in standings.columns
        ),
        costs=cost_texts(row.cost),
        date=row.date,
        drawer=drawer,
    )


def _plots(standings: Standings) -> list[tuple[str, str]]:
    """Return (what it shows, SVG) of the main score by each cost that is known of a model."""
    title = column_title(standings.main, standings)
    found = []
    for field, name, unit in COSTS:
        points = [
            Point(row.name, getattr(row.cost, field), cell.value, cell.low, cell.high,
                  not row.unranked)
            for row in standings.rows
            if (cell := row.cells[standings.main.key]).value is not None
        ]  # fmt: skip
        if drawn := cost_plot(points, name, title, unit):
            found.append((f"{title} by {name}", drawn))
    return found
