"""The whole way of docs/submit.md: its commands run, and print what the page shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.screens import DOCS, blocks, walked

VARIES = (
    r"\d{4}-\d\d-\d\d",  # a day
    r"\b[0-9a-f]{7,16}\b",  # a digest, a commit or a seed
    r"\d+\.\d s\b",
    r"\d+ insertions",  # a line for each fact that is known of the machine
    r"\b\d+ KiB",
    r"\d+ distinct texts",  # what the seed draws, and what follows from that
    r"10\^-?\d+\.\d",
    r"\d+% lower",
)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    programs = [text for kind, text in blocks(DOCS.parent / "CONTRIBUTING.md") if kind == "python"]
    (program,) = (text for text in programs if text.startswith("# my_model.py\n"))
    (tmp_path / "my_model.py").write_text(program, encoding="utf-8")
    assert walked(DOCS / "submit.md", tmp_path, VARIES) == (28, 9)
    picture = (tmp_path / "badge.svg").read_text(encoding="utf-8")
    assert picture == (DOCS / "images" / "badge-my-model.svg").read_text(encoding="utf-8")
    (title,) = (part.partition("</title>")[0] for part in picture.split('<title id="t">')[1:])
    assert f"![{title}](images/badge-my-model.svg)" in (DOCS / "submit.md").read_text("utf-8")
