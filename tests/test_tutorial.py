"""The tutorial's commands run, and print what the page shows."""

from __future__ import annotations

from tests.support.screens import DOCS, blocks, walked

PAGE = DOCS / "tutorial.md"


def test_every_command_prints_what_the_page_shows(tmp_path):
    ((_, program),) = [block for block in blocks(PAGE) if block[0] == "python"]
    (tmp_path / "letter_pairs.py").write_text(program, encoding="utf-8")
    assert walked(PAGE, tmp_path) == (6, 8)
