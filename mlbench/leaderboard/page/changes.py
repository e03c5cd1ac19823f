"""What changed on the leaderboard since a build before: entries, their evidence, and places.

Compared are the standings of now with the ``leaderboard.json`` of then, so the same two always give
the same words, whenever they are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from mlbench.common.errors import DataError, Fault
from mlbench.common.forms import fill_form, one_of
from mlbench.leaderboard.entries.board import BoardEntry
from mlbench.leaderboard.entries.entry import Level
from mlbench.leaderboard.entries.strict import parse_json, read_bounded, visible
from mlbench.leaderboard.page.wording import column_title, rank_text, score_text
from mlbench.leaderboard.ranking.rows import Cell, Row, Standings
from mlbench.reports.table import escape_markdown

SCHEMA = "mlbench/leaderboard-changes/1"
FEED_ID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BOARD_FILE, CHANGES_FILE = "leaderboard.json", "changes.json"
MOST_BYTES = 256 * 2**20
MOST_BUILDS = 20
"""Builds whose changes are kept, the newest first."""
MOST_TOLD = 25
"""Changes of a kind that are told in words; changes.json has all."""
KINDS = {
    "new": "new",
    "updated": "updated",
    "withdrawn": "withdrawn",
    "disputed": "disputed",
    "settled": "dispute lifted",
    "verified": "verified",
    "gone": "no longer there",
    "moved": "other ranks",
}
"""Kinds of change in the order they are told, and their titles."""


@dataclass(frozen=True)
class Change:
    """One change of a ``model`` in some ``standings``: what was ``before`` and is ``now``, in
    words, "" for nothing; ``date`` is that of the entry or record, "" of places."""

    kind: Annotated[str, one_of(*KINDS)]
    standings: str
    model: str
    slug: str
    date: str = ""
    before: str = ""
    now: str = ""
    note: str = ""


@dataclass(frozen=True)
class Build:
    """The changes that a build found; ``until`` is the latest date of anything on the board."""

    until: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class OldCell:
    """A score of then and the places it could have."""

    value: float | None
    best: int | None
    worst: int | None


@dataclass(frozen=True)
class OldEntry:
    """The entry that was shown."""

    entry: str
    sha256: str


@dataclass(frozen=True)
class OldRow:
    """A model of then."""

    model: str
    slug: str
    evidence: str
    scores: dict[str, OldCell]
    entries: dict[str, OldEntry]


@dataclass(frozen=True)
class OldWithdrawal:
    """An entry that had been withdrawn."""

    entry: str


@dataclass(frozen=True)
class OldStandings:
    """The standings of then, as far as they are compared."""

    name: str
    main: str
    rows: tuple[OldRow, ...]
    withdrawn: tuple[OldWithdrawal, ...]


@dataclass(frozen=True)
class Old:
    """The build before: its standings by name, the changes that it told, and its feed's id."""

    standings: Mapping[str, OldStandings]
    builds: tuple[Build, ...] = ()
    feed: str = ""


def read_previous(path: Path) -> Old:
    """Read the leaderboard.json of a build before, or the folder of it with its changes.json, if
    there is one. Raises DataError."""
    board = path / BOARD_FILE if path.is_dir() else path
    table = _read(board, "mlbench/leaderboard/1", "standings")
    standings = tuple(
        fill_form(OldStandings, _picked(each), _where(f"{board}, standings {i}"), DataError)
        for i, each in enumerate(_tables(table, "standings"))
    )
    feed = table.get("feed", "")  # boards of before had none
    if not isinstance(feed, str) or (feed and not FEED_ID.fullmatch(feed)):
        raise DataError(Fault(f"{board}, feed", repr(feed), "the id of a feed, a urn:uuid"))
    builds: tuple[Build, ...] = ()
    if path.is_dir() and (told := path / CHANGES_FILE).exists():
        builds = tuple(
            fill_form(Build, each, _where(f"{told}, build {i}"), DataError)
            for i, each in enumerate(_tables(_read(told, SCHEMA, "builds"), "builds"))
        )
    return Old({each.name: each for each in standings}, builds, feed)


def _read(path: Path, schema: str, key: str) -> dict[str, Any]:
    table = parse_json(read_bounded(path, MOST_BYTES, str(path)), str(path))
    known = isinstance(table, dict) and table.get("schema") == schema
    if not known or not isinstance(table.get(key), list):
        found = f"no {schema} with {key}"
        raise DataError(Fault(str(path), found, "what `mlbench leaderboard build` wrote"))
    return dict(table)


def _tables(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [each if isinstance(each, dict) else {} for each in table[key]]


def _where(place: str) -> Any:
    return lambda key: f"{place}, {key}"


def _picked(table: dict[str, Any]) -> Any:
    """Return what is compared of standings; what has another form is left for the reader to say."""
    rows, gone = table.get("rows"), table.get("withdrawn")
    found = _only(table, OldStandings)
    if isinstance(rows, list):
        found["rows"] = [_only(row, OldRow) for row in rows]
        for row in (row for row in found["rows"] if isinstance(row, dict)):
            for key, kind in (("scores", OldCell), ("entries", OldEntry)):
                if isinstance(of := row.get(key), dict):
                    row[key] = {name: _only(each, kind) for name, each in of.items()}
    if isinstance(gone, list):
        found["withdrawn"] = [_only(each, OldWithdrawal) for each in gone]
    return found


def _only(table: Any, kind: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {name: table[name] for each in fields(kind) if (name := each.name) in table}


def builds_of(standings: Sequence[Standings], old: Old) -> tuple[Build, ...]:
    """Return the changes since the build before, if there are any, and those that it told."""
    found = sorted(
        (change for each in standings for change in _changes(each, old.standings.get(each.name))),
        key=lambda change: list(KINDS).index(change.kind),
    )
    newest = (Build(latest(standings), tuple(found)),) if found else ()
    return (*newest, *old.builds)[:MOST_BUILDS]


def latest(standings: Sequence[Standings]) -> str:
    """Return the latest date of anything on the board, "" of an empty one."""
    dates = [date for of in standings for each in of.entries for date in _dates(each)]
    return max(dates, default="")


def _dates(each: BoardEntry) -> Iterator[str]:
    yield each.entry.declared.date
    yield from (record.date for record in each.records)
    yield from (lifting.date for lifting in each.liftings)
    if each.withdrawn is not None:
        yield each.withdrawn.date


def _changes(now: Standings, then: OldStandings | None) -> Iterator[Change]:
    """Yield the changes of some standings; all of a task that is new are new."""
    before = {row.slug: row for row in then.rows} if then else {}
    if now.task is not None:
        yield from _withdrawals(now, then)
        taken_back = {each.slug for each in now.withdrawn}
        present = {row.slug for row in now.rows}
        for slug, old in before.items():
            if slug not in present and slug not in taken_back:
                yield Change("gone", now.name, old.model, slug)
    for row in now.rows:
        old_row = before.get(row.slug)
        if now.task is not None:
            yield from _of_entry(row, now, old_row)
        if old_row is not None and then is not None and then.main == now.main.key:
            yield from _of_places(row, now, old_row)


def _withdrawals(now: Standings, then: OldStandings | None) -> Iterator[Change]:
    known = {each.entry for each in then.withdrawn} if then else set()
    for each in now.withdrawn:
        if each.withdrawn is not None and str(each.place) not in known:
            yield Change(
                "withdrawn", now.name, each.entry.model.name, each.slug, each.withdrawn.date,
                note=each.withdrawn.reason,
            )  # fmt: skip


def _of_entry(row: Row, now: Standings, old: OldRow | None) -> Iterator[Change]:
    """Yield whether a model is new, has another entry, or other evidence for the same entry."""
    entry = row.entries[now.name]
    score = _score(row.cells[now.main.key].value, now)
    change = Change("new", now.name, row.name, row.slug, entry.entry.declared.date, now=score)
    shown = old.entries.get(now.name) if old else None
    if old is None or shown is None:
        yield change
        return
    if shown.sha256 != entry.sha256:
        cell = old.scores.get(now.main.key)
        before = _score(cell.value if cell else None, now)
        yield replace(change, kind="updated", before=before)
    elif old.evidence != row.level:
        yield replace(
            change, kind=_kind(old.evidence, row.level), date=_recorded(entry),
            before=old.evidence, now=str(row.level), note=_reason(entry, row.level),
        )  # fmt: skip


def _kind(before: str, now: Level) -> str:
    if now is Level.DISPUTED:
        return "disputed"
    return "settled" if before == Level.DISPUTED else "verified"


def _recorded(entry: BoardEntry) -> str:
    days = [record.date for record in entry.records]
    return max([*days, *(lifting.date for lifting in entry.liftings)], default="")


def _reason(entry: BoardEntry, level: Level) -> str:
    """Return why an entry is disputed, or why a dispute was lifted."""
    if level is Level.DISPUTED:
        notes = [r.note for r in entry.records if r.level is level and r.date in entry.disputes]
        return notes[-1] if notes else ""
    return entry.liftings[-1].reason if entry.liftings else ""


def _of_places(row: Row, now: Standings, old: OldRow) -> Iterator[Change]:
    key = now.main.key
    cell, then = row.cells[key], old.scores.get(key, OldCell(None, None, None))
    before, after = rank_text(Cell(best=then.best, worst=then.worst)), rank_text(cell)
    if before != after and then.best is not None and cell.best is not None:
        yield Change("moved", now.name, row.name, row.slug, before=before, now=after)


def _score(value: float | None, standings: Standings) -> str:
    if value is None:
        return f"no {column_title(standings.main)}"
    return f"{column_title(standings.main)} {score_text(value, standings.main)}"


def said(change: Change) -> str:
    """Return a change in words, after the model's name."""
    note = change.note
    told = {
        "new": f"on {change.standings}: {change.now}",
        "updated": f"on {change.standings}: {change.before} before, {change.now} now",
        "withdrawn": f"from {change.standings}: {note}",
        "disputed": f"on {change.standings}: {note or 'no reason given'}",
        "settled": f"on {change.standings}, now {change.now}" + (f": {note}" if note else ""),
        "verified": f"on {change.standings}: {change.before} before, {change.now} now",
        "gone": f"from {change.standings}",
        "moved": f"on {change.standings}: rank {change.before} before, {change.now} now",
    }[change.kind]
    return f"{told} ({change.date})" if change.date else told


def by_kind(build: Build) -> list[tuple[str, list[Change], int]]:
    """Return title, the first changes, and how many more there are, of each kind of change."""
    found = [(KINDS[kind], [c for c in build.changes if c.kind == kind]) for kind in KINDS]
    return [(title, of[:MOST_TOLD], max(0, len(of) - MOST_TOLD)) for title, of in found if of]


def changes_json(builds: Sequence[Build]) -> str:
    """Return the changes of each build as strict JSON."""
    table = {"schema": SCHEMA, "builds": [asdict(build) for build in builds]}
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def changes_markdown(builds: Sequence[Build]) -> str:
    """Return the changes of each build as Markdown; what a stranger wrote is shown as it is."""
    lines = ["# What changed on the leaderboard", ""]
    for build in builds:
        lines += [f"## Up to {build.until}", ""]
        for title, changes, more in by_kind(build):
            for change in changes:
                name, words = (escape_markdown(visible(t)) for t in (change.model, said(change)))
                lines.append(f"- {title}: **{name}** {words}")
            if more:
                lines.append(f"- {title}: {more} more, which changes.json has")
        lines.append("")
    if not builds:
        lines += ["Nothing has changed yet.", ""]
    return "\n".join(lines)
