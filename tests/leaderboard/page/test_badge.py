"""Badges of entries: what they say, to whom, and that it fits."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.common.errors import DataError
from mlbench.leaderboard.entries.board import BoardEntry, read_board
from mlbench.leaderboard.entries.entry import Level, Withdrawal
from mlbench.leaderboard.page.badge import (
    COLOURS,
    FONT_SIZE,
    LEFT,
    badge,
    badge_texts,
    badge_title,
    width_of,
)
from tests.leaderboard.boards import edit
from tests.support.command_line import mlbench as run

SVG = "{http://www.w3.org/2000/svg}"


def entries(folder: Path) -> list[BoardEntry]:
    return list(read_board(folder).entries())


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", [LEFT, *COLOURS.values()])
def test_white_text_can_be_read_on_every_colour(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_every_badge_says_scores_and_level_and_never_more(honest: Path) -> None:
    levels = set()
    for each in entries(honest):
        root = ET.fromstring(badge(each))
        _, right = badge_texts(each)
        assert [text.text for text in root.iter(f"{SVG}text")] == list(badge_texts(each))
        assert right.endswith(f"· {each.level.value}")
        assert root.find(f"{SVG}title").text == badge_title(each)
        assert root.get("role") == "img"
        assert each.entry.model.name in badge_title(each)
        for name, kind in {"mono": "monolingual", "mixed": "multilingual"}.items():
            score = each.entry.macro.get(kind, {}).get(each.task.headline[0])
            found = re.search(rf"{name} (\d?\.\d\d)", right)
            assert (score is None) == (found is None)
            assert score is None or float(found[1]) == pytest.approx(score.value, abs=0.0051)
        levels.add(each.level)
    assert levels >= {Level.REPORTED, Level.RECOMPUTED, Level.SAMPLED}


def test_texts_are_as_wide_as_the_font_draws_them() -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    style = FontProperties(family="DejaVu Sans")
    for text in ("mlbench XQuAD-R", "mAP mono .80 cross .64 mixed .30 · recomputed", "HillWÜß H"):
        drawn = TextPath((0, 0), text, size=FONT_SIZE, prop=style).get_extents().width
        assert drawn < width_of(text) < drawn + 4  # kerning, the sides of letters
    assert width_of("ab\u8a9e") == pytest.approx(width_of("ab") + FONT_SIZE, abs=0.11)


def test_a_withdrawn_entry_has_no_badge(honest: Path) -> None:
    each = replace(entries(honest)[0], withdrawn=Withdrawal("", "why", "who", "2025-01-01"))
    with pytest.raises(DataError, match="the entry is withdrawn"):
        badge(each)


def test_a_name_cannot_break_the_svg(honest: Path) -> None:
    each = entries(honest)[0]
    evil = replace(each.entry.model, name="</title><script>\x00&\"'")
    task = replace(each.task, title="<b>&: x")
    each = replace(each, entry=replace(each.entry, model=evil), task=task)
    root = ET.fromstring(badge(each))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "clipPath", "rect", "g", "text")
    }


def test_the_command_checks_the_entry_first(board: Path, tmp_path: Path) -> None:
    path = next(each.path for each in entries(board) if each.level is Level.SAMPLED)
    arguments = ("leaderboard", "badge", path, "--to", tmp_path / "b.svg", "--quiet")
    found = run(*arguments, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert re.search(r"^!\[alpha on .*\]\(b\.svg\)$", found.stdout, re.M)
    assert (tmp_path / "b.svg").read_text().startswith("<svg ")
    (tmp_path / "b.svg").unlink()
    edit(path / "entry.json", ["macro", "monolingual", "AP", "value"], 0.99)
    found = run(*arguments, cwd=tmp_path)
    assert found.returncode in (3, 6)
    assert not (tmp_path / "b.svg").exists()
    assert run(*arguments[:4], tmp_path / "b.png", cwd=tmp_path).returncode == 2
