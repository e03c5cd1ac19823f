"""Progress shows itself while nothing is done, and its estimates are right."""

from __future__ import annotations

import itertools
import re
import threading

import pytest

from mlbench.common import progress
from mlbench.common.progress import Step


@pytest.fixture
def now(monkeypatch):
    """The time, which passes only where a test says so."""
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: seconds[0])
    return seconds


class Watched:
    """In the place of standard error: says when so many lines were written."""

    def __init__(self, lines):
        self.text, self.reached, self._lines = "", threading.Event(), lines

    def write(self, text):
        self.text += text
        if self.text.count("\n") == self._lines:
            self.reached.set()

    def isatty(self):
        return False


def test_a_step_that_is_silent_for_long_shows_that_it_goes_on(now, monkeypatch):
    shown = Watched(3)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.01)
    monkeypatch.setattr("sys.stderr", shown)
    with Step("t: preparing", 1, "plan"):
        assert shown.reached.wait(60)
        now[0] = 0.2
    *going_on, last = shown.text.splitlines()
    assert len(going_on) >= 3
    assert all(re.fullmatch("t: preparing: 0 s so far", line) for line in going_on)
    assert last == "t: preparing: done in 0.2 s"


def test_the_estimate_is_what_the_rest_takes_at_the_same_pace():
    step = Step("t", 1000, "texts")
    step.advance(250)
    step.say("2 of 8")
    assert step._line(20.0) == "t: 25%, about 60 s left (2 of 8)"


def test_lines_come_less_often_the_longer_it_lasts(now, capsys):
    class Over:
        """Two hours pass."""

        def wait(self, seconds):
            at.append(now[0])
            now[0] += seconds
            return now[0] > 7200

    at = []
    step = Step("t", 10, "texts")
    step._start, step._over = 0.0, Over()
    step._beat()
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert waits[:40] == [5.0] * 40  # until 200 s have passed, a fortieth of which is 5 s
    assert waits[40:] == [pytest.approx(begun / 40) for begun in at[40:-1]]
    assert len(capsys.readouterr().err.splitlines()) == len(waits) < 200


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (0.9, 0), (1.0, 1)])
def test_a_brief_step_is_mentioned_only_if_it_was_not_brief(now, capsys, seconds, lines):
    with Step("t", 1, "task", brief=True):
        now[0] = seconds
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_quiet_step_says_nothing_and_is_timed(now, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.0)
    with Step("t", 1, "task", quiet=True) as step:
        now[0] = 7.0
    assert capsys.readouterr().err == ""
    assert step.seconds == 7.0


def test_a_step_that_fails_does_not_say_that_it_is_done(capsys):
    with pytest.raises(ValueError, match="no"), Step("t", 1, "task"):
        raise ValueError("no")
    assert "done" not in capsys.readouterr().err
