"""A page for each model of the leaderboard: all its entries, and all that is known of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbench import __version__
from mlbench.common.counts import named, plural
from mlbench.common.errors import DataError
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.entry import EntryKind
from mlbench.leaderboard.page.badge import badge
from mlbench.leaderboard.page.rendering import content_policy, page_environment, style_of
from mlbench.leaderboard.page.wording import (
    Fact,
    best_rows,
    column_title,
    interval_text,
    rank_text,
    score_text,
)
from mlbench.leaderboard.ranking.rows import Row, Standings
from mlbench.reports.templating import data_uri

if TYPE_CHECKING:
    from mlbench.leaderboard.page.drawer import Drawer

DrawerOf = Callable[[Row, Standings], "Drawer"]
"""What gives an entry in full."""
SHORT_DIGEST = 12
"""Letters of a digest in the history; the whole one is beside the entry's other facts."""


@dataclass(frozen=True)
class Section:
    """A model on one task, or over a suite.

    ``row`` and ``drawer`` are None where all its entries are withdrawn. ``said`` is its main score
    in words, ``history`` a line for each entry, ``commands`` how to make the entry's table again
    and how to check it. ``badge`` is SVG, "" where the entry has no headline score.
    """

    standings: Standings
    row: Row | None
    said: str
    drawer: Drawer | None
    history: tuple[Fact, ...] = ()
    commands: tuple[str, ...] = ()
    badge: str = ""

    @property
    def badge_file(self) -> str:
        """Where its badge stands, seen from the leaderboard's page."""
        return f"badges/{self.standings.name}/{self.row.slug}.svg" if self.row else ""


def model_page(slug: str) -> str:
    """Return where the page of a model stands, seen from the leaderboard's page."""
    return f"models/{slug}.html"


def model_pages(standings: Sequence[Standings], drawer_of: DrawerOf) -> dict[str, bytes]:
    """Return file name -> page of each model that has, or had, an entry, and the badges of those
    that stand."""
    from markupsafe import Markup

    environment = page_environment()
    style, template = style_of(environment), environment.get_template("model.html.jinja")
    pages = {}
    for slug, name in _names(standings).items():
        made = (_section(slug, each, drawer_of) for each in standings)
        sections = [each for each in made if each is not None]
        page = template.render(
            name=name,
            sections=sections,
            data_uri=data_uri,
            policy=content_policy(style),
            style=Markup(style),
            version=__version__,
        )
        pages[model_page(slug)] = page.encode()
        pages |= {each.badge_file: each.badge.encode() for each in sections if each.badge}
    return pages


def _names(standings: Sequence[Standings]) -> dict[str, str]:
    """Return slug -> name of each model, as its last entry spells it."""
    found = {each.slug: each.entry.model.name for of in standings for each in of.entries}
    found |= {row.slug: row.name for of in standings for row in of.rows}
    return dict(sorted(found.items()))


def _section(slug: str, standings: Standings, drawer_of: DrawerOf) -> Section | None:
    row = next((row for row in standings.rows if row.slug == slug), None)
    if standings.task is None:
        if row is None:
            return None
        return Section(standings, row, _said(row, standings), drawer_of(row, standings))
    entries = [each for each in standings.entries if each.slug == slug]
    if not entries:
        return None
    shown = row.entries[standings.name] if row else None
    history = tuple(_line(each, shown) for each in reversed(entries))
    if row is None or shown is None:
        said = "Its entries on this task were withdrawn."
        return Section(standings, None, said, None, history)
    drawer = drawer_of(row, standings)
    commands = tuple(_commands(shown))
    return Section(standings, row, _said(row, standings), drawer, history, commands, _badge(shown))


def _badge(each: BoardEntry) -> str:
    try:
        return badge(each)
    except DataError:
        return ""


def _said(row: Row, standings: Standings) -> str:
    """Return a model's main score with its interval and its place, in a sentence."""
    column, cell = standings.main, row.cells[standings.main.key]
    if cell.value is None:
        lacking = column_title(column).removeprefix("the ")
        known = ", ".join(_known(row, standings) if standings.task else ())
        if not known:
            return f"It has no {lacking} here: {row.unranked}."
        return f"{_capital(known)}; it has no {lacking}, and no rank: {row.unranked}."
    title = column_title(column)
    score = f"{_capital(title)} is {score_text(cell.value, column)}"
    if (interval := interval_text(cell, column)) is not None:
        score += f" (95% interval {interval})"
    if row.unranked:
        return f"{score}. It has no rank: {row.unranked}."
    place = "place" if cell.best == cell.worst else "places"
    told = f"{score}, {place} {rank_text(cell)} of {plural(standings.ranked, 'ranked model')}"
    return f"{told}{_beside_first(row, standings)}."


def _beside_first(row: Row, standings: Standings) -> str:
    """Say whether a ranked model has the best score or shares it, or may have it."""
    best = best_rows(standings)
    shares = row.cells[standings.main.key].shares_first
    if others := [each.name for each in best if each is not row] if row in best else []:
        return f"; it shares the best score with {named(others, 'model')}"
    if row in best:
        return "; it has the best score, but the data cannot distinguish it from others" * shares
    return ", and the data cannot distinguish it from the first" * shares


def _known(row: Row, standings: Standings) -> list[str]:
    """Return the scores of a model that has some without the main one."""
    return [
        f"{column_title(column)} is {score_text(value, column)}"
        for column in standings.columns
        if (value := row.cells[column.key].value) is not None
    ]


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _line(each: BoardEntry, shown: BoardEntry | None) -> Fact:
    where = f"{each.place}, SHA-256 {each.sha256[:SHORT_DIGEST]}"
    return Fact(each.entry.declared.date, f"{each.level}; {_fate(each, shown)} ({where})")


def _fate(each: BoardEntry, shown: BoardEntry | None) -> str:
    """Return what became of an entry, in words."""
    if each.withdrawn is not None:
        return f"withdrawn on {each.withdrawn.date} by {each.withdrawn.by}: {each.withdrawn.reason}"
    if each is shown:
        return "shown here"
    if each.entry.kind is EntryKind.REPORTED:
        return "an entry with evidence took its place"
    return "a newer entry took its place"


def _commands(each: BoardEntry) -> Iterator[str]:
    """Yield the commands that make an entry's table again and that check it; quoted, because a
    stranger named the model."""
    spec = each.entry.model.spec
    if each.entry.kind is EntryKind.REPORTED or not spec:
        return
    model, place = shlex.quote(spec), shlex.quote(f"leaderboards/{each.place}")
    yield f"mlbench run --model {model} --task {each.place.task}"
    yield f"mlbench verify {place} --model {model} --sample 200"
