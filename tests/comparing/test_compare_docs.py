"""The screen of docs/compare.md is what its command prints of the leaderboard's entries."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.screens import DOCS, walked


def test_the_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    for name in ("char-ngram", "bm25"):
        folder = Path("leaderboards", "xquad-r", name)
        shutil.copytree(DOCS.parent / folder, tmp_path / folder)
    page = DOCS / "compare.md"
    assert walked(page, tmp_path, until="## How to read it") == (1, 1)
