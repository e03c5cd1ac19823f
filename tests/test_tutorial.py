"""The tutorial's commands run, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.command_line import done

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|text|python)\n(.*?)^```$", re.M | re.S)


def test_every_command_prints_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    printed, commands, shown = "", 0, 0
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            (tmp_path / "letter_pairs.py").write_text(text, encoding="utf-8")
        elif kind == "sh" and text.startswith("mlbench"):
            (words,) = [shlex.split(line) for line in text.splitlines()]
            printed = done(*words[1:], cwd=tmp_path)
            commands += 1
        elif kind == "text":
            assert text.rstrip() in printed
            shown += 1
    assert (commands, shown) == (6, 8)
