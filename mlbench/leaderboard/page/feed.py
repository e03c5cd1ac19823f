"""What changed on the leaderboard as an Atom feed (RFC 4287): an entry for each build with changes.

The feed has no clock: its dates are those of entries and records, its addresses are seen from
itself, and the ids of its entries are digests of what they tell. Its own id is for good: that of
the build before, else it is made of the address, else of the first entry.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from html import escape
from xml.etree import ElementTree as ET

from mlbench import __version__
from mlbench.leaderboard.entries.strict import visible
from mlbench.leaderboard.page.changes import Build, Old, by_kind, latest, said
from mlbench.leaderboard.ranking.rows import Standings

FEED_FILE = "feed.xml"
ATOM = "http://www.w3.org/2005/Atom"
NO_DAY = "1970-01-01"
"""Stands where nothing has a date, since every feed and entry must have one."""
NOT_IN_XML = re.compile("[\ufffe\uffff]")
"""What ``visible`` leaves and XML cannot hold."""


def feed(standings: Sequence[Standings], builds: Sequence[Build], own_id: str) -> bytes:
    """Return the feed of what ``builds`` found, the newest first; ``own_id`` is its ``feed_id``."""
    ET.register_namespace("", ATOM)
    root = ET.Element(f"{{{ATOM}}}feed")
    _add(root, "id", own_id)
    _add(root, "title", "mlbench leaderboard: what changed")
    _add(root, "updated", _time(latest(standings)))
    _add(root, "link", rel="self", type="application/atom+xml", href=FEED_FILE)
    _add(root, "link", rel="alternate", type="text/html", href="index.html")
    _add(_add(root, "author"), "name", "mlbench leaderboard")
    _add(root, "generator", "mlbench", version=__version__)
    for number, build in enumerate(builds, 1):
        _entry(root, build, builds[number:].count(build))
    ET.indent(root, " ")
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def feed_id(standings: Sequence[Standings], previous: Old | None = None, address: str = "") -> str:
    """Return the id of a board's feed, which must stay while entries come and go, and when the
    board moves (RFC 4287, section 4.2.6): the one that the ``previous`` build had.

    The first build makes it of the ``address`` of the folder that is published or, where that is
    not known, of the first entry.
    """
    if previous is not None and previous.feed:
        return previous.feed
    if address:
        return uuid.uuid5(uuid.NAMESPACE_URL, f"{address.rstrip('/')}/{FEED_FILE}").urn
    return _id(_first(standings))


def _entry(root: ET.Element, build: Build, same_before: int) -> None:
    told = by_kind(build)
    counts = "; ".join(f"{title}: {len(changes) + more}" for title, changes, more in told)
    entry = _add(root, "entry")
    _add(entry, "id", _id(f"{same_before} {json.dumps(asdict(build))}"))
    _add(entry, "title", f"{build.until}: {counts}")
    _add(entry, "updated", _time(build.until))
    _add(entry, "link", rel="alternate", type="text/html", href="index.html#changes")
    _add(entry, "content", f"<ul>{''.join(_items(build))}</ul>", type="html")


def _items(build: Build) -> Iterator[str]:
    """Yield the changes as items of a list in HTML, names and notes as text."""
    for title, changes, more in by_kind(build):
        for change in changes:
            name, words = (escape(visible(text)) for text in (change.model, said(change)))
            yield f"<li>{title}: <b>{name}</b> {words}</li>"
        if more:
            yield f"<li>{title}: {more} more, which changes.json has</li>"


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    made.text = NOT_IN_XML.sub("\ufffd", visible(text)) or None
    return made


def _first(standings: Sequence[Standings]) -> str:
    """Return what tells a leaderboard from others: its first entry."""
    entries = [each for of in standings for each in of.entries]
    oldest = min(entries, key=lambda each: (each.entry.declared.date, each.sha256), default=None)
    return oldest.sha256 if oldest else ""


def _id(text: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"mlbench leaderboard {text}").urn


def _time(day: str) -> str:
    """Return the beginning of a day in UTC; a build that was read may have any text for it."""
    try:
        known = date.fromisoformat(day).isoformat()
    except ValueError:
        known = NO_DAY
    return f"{known}T00:00:00Z"
