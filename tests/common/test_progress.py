"""Progress shows itself while nothing is done, and its estimates are right."""

from __future__ import annotations

import time

import pytest

from mlbench.common import progress
from mlbench.common.progress import Step


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.02)


def test_a_step_that_is_silent_for_long_shows_that_it_goes_on(often, capsys):
    with Step("t: preparing", 1, "plan"):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "t: preparing: 0 s so far"
    assert len(lines) > 3
    assert lines[-1] == "t: preparing: done in 0.2 s"


def test_the_estimate_is_what_the_rest_takes_at_the_same_pace():
    step = Step("t", 1000, "texts")
    step.advance(250)
    step.say("2 of 8")
    assert step._line(20.0) == "t: 25%, about 60 s left (2 of 8)"


def test_lines_come_less_often_the_longer_it_lasts(often, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINES_A_DOUBLING", 0.2)  # the next after five times the time
    with Step("t", 10, "texts"):
        time.sleep(0.4)
    assert len(capsys.readouterr().err.splitlines()) <= 4


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (0.06, 1)])
def test_a_brief_step_is_mentioned_only_if_it_was_not_brief(monkeypatch, capsys, seconds, lines):
    monkeypatch.setattr(progress, "SHORT_SECONDS", 0.05)
    with Step("t", 1, "task", brief=True):
        time.sleep(seconds)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_quiet_step_says_nothing_and_is_timed(often, capsys):
    with Step("t", 1, "task", quiet=True) as step:
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
    assert step.seconds >= 0.1


def test_a_step_that_fails_does_not_say_that_it_is_done(capsys):
    with pytest.raises(ValueError, match="no"), Step("t", 1, "task"):
        raise ValueError("no")
    assert "done" not in capsys.readouterr().err
