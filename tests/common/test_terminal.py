"""What could steer a terminal does not reach it."""

from __future__ import annotations

from mlbench.common.terminal import WIDTH, fill, printable


def test_control_characters_become_spaces_and_newlines_stay() -> None:
    assert printable("a\x1b]0;title\x07b\nc\u202ed") == "a ]0;title b\nc d"
    assert printable("ünï 漢字") == "ünï 漢字"


def test_a_paragraph_fits() -> None:
    lines = fill("word\x1b " * 60).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= WIDTH
    assert "\x1b" not in "".join(lines)
