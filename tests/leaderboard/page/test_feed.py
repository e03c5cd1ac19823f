"""The feed of changes: what Atom (RFC 4287) demands of it, and that it tells what changed."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mlbench.common.errors import DataError
from mlbench.leaderboard.page.changes import Build, Change, builds_of, read_previous
from mlbench.leaderboard.page.feed import feed, feed_id
from tests.leaderboard.page.test_changes import GOOD, WEAK, built
from tests.leaderboard.page.test_site import Page
from tests.leaderboard.synthetic import HOSTILE, evidence, standings_of

ATOM = "{http://www.w3.org/2005/Atom}"
MUST = {"feed": ("id", "title", "updated"), "entry": ("id", "title", "updated")}
MAY = {"feed": {"author", "link", "generator", "entry"}, "entry": {"link", "content"}}
BUILD = Build(
    "2025-06-09",
    (
        Change("new", "parallel", HOSTILE, "x", "2025-06-09", now="mAP 0.5"),
        Change("withdrawn", "parallel", "other\ufffe\x00", "y", note="a wrong <b>prompt</b>"),
    ),
)


def read(raw: bytes) -> ET.Element:
    """Read a feed as strictly as RFC 4287 has it (sections 3.3, 4.1 and 4.2)."""
    root = ET.fromstring(raw)
    assert root.tag == f"{ATOM}feed"
    for each in (root, *root.iter(f"{ATOM}entry")):
        kind = each.tag.removeprefix(ATOM)
        names = [child.tag.removeprefix(ATOM) for child in each]
        assert all(names.count(name) == 1 for name in MUST[kind])
        assert {*names} <= {*MUST[kind], *MAY[kind]}
        assert all((each.findtext(f"{ATOM}{name}") or "").strip() for name in MUST[kind])
        when = each.findtext(f"{ATOM}updated") or ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", when)
        assert datetime.fromisoformat(when).year >= 1970
        links = [(link.get("rel"), link.get("type")) for link in each.findall(f"{ATOM}link")]
        assert len({*links}) == len(links)
        assert ("alternate", "text/html") in links
    assert root.findtext(f"{ATOM}author/{ATOM}name")  # else every entry would need one
    assert {link.get("rel") for link in root.findall(f"{ATOM}link")} == {"self", "alternate"}
    ids = [each.text or "" for each in root.iter(f"{ATOM}id")]
    assert len({*ids}) == len(ids)
    uuid = r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert all(re.fullmatch(uuid, each) for each in ids)
    order = [each.findtext(f"{ATOM}updated") or "" for each in root.iter(f"{ATOM}entry")]
    assert order == sorted(order, reverse=True)
    assert all(each.get("type") == "html" for each in root.iter(f"{ATOM}content"))
    return root


def ids(root: ET.Element) -> list[str | None]:
    """The id of the feed, then those of its entries."""
    return [each.text for each in root.iter(f"{ATOM}id")]


def test_what_changed_is_told_and_older_builds_keep_their_ids(tmp_path: Path) -> None:
    one = built(tmp_path / "one", [WEAK])
    assert len(ids(read((one / "feed.xml").read_bytes()))) == 1
    two = built(tmp_path / "two", [WEAK, GOOD], one)
    first = read((two / "feed.xml").read_bytes())
    (entry,) = first.iter(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == "2025-06-01: new: 1; other ranks: 1"
    content = Page(entry.findtext(f"{ATOM}content") or "")
    (build,) = json.loads((two / "changes.json").read_bytes())["builds"]
    assert len(content.all("li")) == len(build["changes"]) == 2
    assert f"new: good on parallel: {build['changes'][0]['now']}" in content.text
    assert "other ranks: weak on parallel: rank 1 before, 2 now" in content.text
    three = built(tmp_path / "three", [GOOD], two)
    later = read((three / "feed.xml").read_bytes())
    assert ids(later)[2:] == ids(first)[1:]
    assert len(ids(later)) == 3
    page = (three / "index.html").read_text("utf-8")
    assert '<link rel="alternate" type="application/atom+xml"' in page
    assert 'href="feed.xml">feed of changes</a>' in page
    again = builds_of(standings_of([GOOD]), read_previous(three))
    assert feed(standings_of([GOOD]), again, ids(first)[0]) == (three / "feed.xml").read_bytes()


def test_the_feed_keeps_its_id_whatever_comes_goes_and_wherever_it_moves(tmp_path: Path) -> None:
    early = evidence("parallel", "early", 1.0, run="2020-01-31-abcdef01")
    other = evidence("apart", "other", 1.0, run="2019-01-31-abcdef01")
    one = built(tmp_path / "one", [WEAK])
    (own,) = ids(read((one / "feed.xml").read_bytes()))
    assert json.loads((one / "leaderboard.json").read_bytes())["feed"] == own
    folder, board = one, [WEAK]
    for number, more in enumerate((early, other, GOOD)):
        board = [*board, more]
        folder = built(tmp_path / str(number), board, folder)
        assert ids(read((folder / "feed.xml").read_bytes()))[0] == own
    assert ids(read((built(tmp_path / "gone", [GOOD], folder) / "feed.xml").read_bytes()))[0] == own
    where = "https://example.org/board"
    made = feed_id(standings_of([WEAK]), None, where)
    assert made == uuid.uuid5(uuid.NAMESPACE_URL, f"{where}/feed.xml").urn
    assert feed_id(standings_of([GOOD, early, other]), None, f"{where}/") == made != own
    assert feed_id(standings_of([GOOD]), read_previous(one), where) == own
    assert feed_id(standings_of([WEAK])) != feed_id(standings_of([GOOD]))


def test_a_build_of_before_may_have_no_id_or_a_wrong_one(tmp_path: Path) -> None:
    path = built(tmp_path, [WEAK]) / "leaderboard.json"
    table = json.loads(path.read_bytes())
    path.write_text(json.dumps({k: v for k, v in table.items() if k != "feed"}), encoding="utf-8")
    assert read_previous(path).feed == ""
    for wrong in (5, "urn:uuid:x", "<b>"):
        path.write_text(json.dumps(table | {"feed": wrong}), encoding="utf-8")
        with pytest.raises(DataError, match="the id of a feed, a urn:uuid"):
            read_previous(path)


def test_what_strangers_wrote_is_text_for_those_who_show_the_feed() -> None:
    root = read(feed(standings_of([GOOD]), [BUILD, BUILD], feed_id([])))
    for entry in root.iter(f"{ATOM}entry"):
        content = Page(entry.findtext(f"{ATOM}content") or "")
        assert {tag for tag, _ in content.tags} == {"ul", "li", "b"}
        assert "</script><script>hacked=1</script>" in content.text
        assert "a wrong <b>prompt</b>" in content.text
        assert "\\u202e" in content.text


def test_a_board_without_dates_has_a_feed() -> None:
    read(feed([], [], feed_id([])))
    read(feed([], [Build("some day", BUILD.changes)], feed_id([])))
