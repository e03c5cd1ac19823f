"""What changed since a build before: told once, kept for later builds, the same every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import DataError
from mlbench.leaderboard.entries.entry import Level, Lifting
from mlbench.leaderboard.page.changes import Old, builds_of, read_previous
from mlbench.leaderboard.page.site import site_files
from tests.leaderboard.page.test_site import Page
from tests.leaderboard.synthetic import HOSTILE, Made, evidence, reported, standings_of, withdrawn

TASK = "parallel"
GOOD, WEAK = evidence(TASK, "good", 0.6), evidence(TASK, "weak", 2.6, seed=2)


def built(folder: Path, entries: Sequence[Made], previous: Path | None = None) -> Path:
    """Build the site of a board in a folder."""
    old = read_previous(previous) if previous else None
    for name, content in site_files(standings_of(entries), old).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def changes(
    tmp_path: Path, then: Sequence[Made], now: Sequence[Made]
) -> list[tuple[str, str, str, str]]:
    """Kind, model, what was before, and what is now."""
    (build,) = builds_of(standings_of(now), read_previous(built(tmp_path / "then", then)))
    return [(c.kind, c.model, c.before, c.now) for c in build.changes]


def with_levels(made: Made, *levels: Level) -> Made:
    return evidence(TASK, made.entry.entry.model.name, 0.6, records=levels)


def test_a_model_without_the_main_score_is_told_without_it(tmp_path: Path) -> None:
    paper = reported(TASK, "paper", crosslingual=0.5)
    whole = reported(TASK, "paper", crosslingual=0.5, multilingual=0.25)
    lacks, has = "no multilingual mAP", "multilingual mAP 0.2500"
    assert changes(tmp_path, [GOOD], [GOOD, paper]) == [("new", "paper", "", lacks)]
    assert changes(tmp_path, [GOOD, paper], [GOOD, whole]) == [("updated", "paper", lacks, has)]


def test_the_same_board_has_no_changes(tmp_path: Path) -> None:
    folder = built(tmp_path / "then", [GOOD, WEAK])
    assert builds_of(standings_of([WEAK, GOOD]), read_previous(folder)) == ()
    assert builds_of(standings_of([WEAK, GOOD]), read_previous(folder / "leaderboard.json")) == ()
    assert not (folder / "changes.json").exists()


def test_a_new_model_and_the_places_that_it_moves(tmp_path: Path) -> None:
    found = changes(tmp_path, [WEAK], [WEAK, GOOD])
    score = GOOD.measured.value("multi") if GOOD.measured else 0
    assert found == [
        ("new", "good", "", f"multilingual mAP {score:.4f}"),
        ("moved", "weak", "1", "2"),
    ]


def test_a_newer_entry_of_a_model(tmp_path: Path) -> None:
    newer = evidence(TASK, "good", 0.8, seed=9, run="2025-06-09-abcdef01")
    (found,) = changes(tmp_path, [GOOD, WEAK], [GOOD, WEAK, newer])
    assert found[:2] == ("updated", "good")
    before, now = (made.measured.value("multi") for made in (GOOD, newer) if made.measured)
    assert found[2:] == (f"multilingual mAP {before:.4f}", f"multilingual mAP {now:.4f}")


def test_a_withdrawn_entry_says_why_once(tmp_path: Path) -> None:
    gone = withdrawn(GOOD, "a wrong prompt")
    found = changes(tmp_path, [GOOD, WEAK], [gone, WEAK])
    assert found == [("withdrawn", "good", "", ""), ("moved", "weak", "2", "1")]
    again = read_previous(built(tmp_path / "again", [gone, WEAK]))
    assert builds_of(standings_of([gone, WEAK]), again) == ()


def test_evidence_that_rose_a_dispute_and_its_end(tmp_path: Path) -> None:
    sampled = with_levels(GOOD, Level.SAMPLED)
    disputed = with_levels(GOOD, Level.SAMPLED, Level.DISPUTED)
    place = disputed.entry.place.task, disputed.entry.slug, disputed.entry.sha256
    end = Lifting(*place, disputed.entry.disputes, "run again", "Grace", "2025-06-30")
    settled = replace(disputed, entry=replace(disputed.entry, liftings=(end,)))
    told = [
        changes(tmp_path / str(i), [then], [now])
        for i, (then, now) in enumerate([(GOOD, sampled), (sampled, disputed), (disputed, settled)])
    ]
    assert told == [
        [("verified", "good", "recomputed", "sampled")],
        [("disputed", "good", "sampled", "disputed")],
        [("settled", "good", "disputed", "sampled")],
    ]
    old = read_previous(built(tmp_path / "last", [disputed]))
    (build,) = builds_of(standings_of([settled]), old)
    assert (build.until, build.changes[0].date, build.changes[0].note) == (
        "2025-06-30", "2025-06-30", "run again",
    )  # fmt: skip


def test_a_model_that_is_no_longer_there(tmp_path: Path) -> None:
    assert ("gone", "good", "", "") in changes(tmp_path, [GOOD, WEAK], [WEAK])


def test_changes_are_kept_and_every_build_gives_the_same_bytes(tmp_path: Path) -> None:
    one = built(tmp_path / "1", [WEAK])
    two = built(tmp_path / "2", [WEAK, GOOD], one)
    three = built(tmp_path / "3", [WEAK, GOOD], two)
    for name in ("changes.json", "changes.md", "index.html"):
        assert (two / name).read_bytes() == (three / name).read_bytes()
    four = built(tmp_path / "4", [WEAK, GOOD, evidence(TASK, HOSTILE, 1.5, seed=7)], three)
    told = json.loads((four / "changes.json").read_bytes())
    assert [[c["kind"] for c in build["changes"]] for build in told["builds"]] == [
        ["new", "moved"], ["new", "moved"],
    ]  # fmt: skip
    page = Page((four / "index.html").read_text())
    assert "Before that, up to 2025-06-01" in page.text
    assert not page.all("img", "b")
    markdown = (four / "changes.md").read_text()
    assert "- new: **good** on parallel: multilingual mAP" in markdown
    assert "<img" not in markdown
    assert "\u202e" not in markdown


def test_only_so_many_changes_are_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.leaderboard.page.changes.MOST_TOLD", 1)
    now = built(tmp_path / "now", [GOOD, WEAK], built(tmp_path / "then", [evidence(TASK, "m", 1)]))
    assert "- new: 1 more, which changes.json has" in (now / "changes.md").read_text()
    assert "and 1 more, which" in Page((now / "index.html").read_text()).text
    told = json.loads((now / "changes.json").read_bytes())["builds"][0]["changes"]
    assert [change["kind"] for change in told] == ["new", "new", "gone"]


def test_without_a_previous_build_nothing_is_said() -> None:
    files = site_files(standings_of([GOOD]))
    assert "changes.json" not in files
    assert b'id="changes"' not in files["index.html"]
    files = site_files(standings_of([GOOD]), Old({}))
    assert b"new" in files["changes.md"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "broken JSON"),
        ('{"schema": "other", "standings": []}', "no mlbench/leaderboard/1 with standings"),
        ('{"schema": "mlbench/leaderboard/1", "standings": [1]}', "standings 0, name"),
        (
            '{"schema": "mlbench/leaderboard/1", "standings": '
            '[{"name": "a", "main": "multi", "rows": [{"model": 1}], "withdrawn": []}]}',
            "standings 0, rows",
        ),
        (
            '{"schema": "mlbench/leaderboard/1", "standings": '
            '[{"name": "a", "main": "multi", "rows": [5], "withdrawn": [5]}]}',
            "standings 0, rows: 5",
        ),
    ],
)
def test_what_is_no_build_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "leaderboard.json"
    path.write_text(content)
    with pytest.raises(DataError) as found:
        read_previous(path)
    assert said in str(found.value)
    assert str(path) in str(found.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"schema": "mlbench/leaderboard-changes/2", "builds": []}', "no mlbench/leaderboard-c"),
        (
            '{"schema": "mlbench/leaderboard-changes/1", "builds": [{"until": "", "changes": '
            '[{"kind": "renamed", "standings": "a", "model": "b", "slug": "c"}]}]}',
            "build 0, changes.kind: 'renamed'",
        ),
    ],
)
def test_changes_of_another_form_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "leaderboard.json").write_text(
        '{"schema": "mlbench/leaderboard/1", "standings": []}'
    )
    (tmp_path / "changes.json").write_text(content)
    with pytest.raises(DataError) as found:
        read_previous(tmp_path)
    assert said in str(found.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_previous(tmp_path)
