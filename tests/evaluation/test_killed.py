"""Whole passes killed at many moments, as ``kill -9`` does, and taken up again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mlbench.evaluation.partial import read_partial
from tests.evaluation import killed_run

ROOT = Path(__file__).resolve().parent.parent.parent
MOMENTS = killed_run.MOMENTS
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


def start(folder, log, moment):
    command = [sys.executable, "-m", "tests.evaluation.killed_run", folder, log, moment]
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = start(folder / "state", folder / "log", 0)
    assert (done.returncode, done.stderr) == (0, "")
    digest, moments = done.stdout.split()
    assert int(moments) == MOMENTS
    return digest, encoded(folder / "log")


def encoded(log):
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("moment", [2, 7, *range(13, MOMENTS + 1, 4)])
def test_a_pass_killed_at_any_moment_ends_with_the_same_bytes(tmp_path, uninterrupted, moment):
    folder, log = tmp_path / "state", tmp_path / "log"
    killed = start(folder, log, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not killed.stdout
    path = folder / "work" / "1-of-1.partial"
    done = set(read_partial(path).done) if path.exists() else set()
    model = killed_run.Deadly(log, 0)
    assert killed_run.run(folder, model) == uninterrupted[0]
    again = encoded_again(uninterrupted[1], encoded(log))
    assert len(again - {"core"}) <= 1
    assert not again & done
    if done:
        assert "core" not in again


def encoded_again(once, log):
    """Where the texts are from that the model was given more often than in an unstopped run."""
    found = killed_run.made()
    home = {p.text.lower(): shard.name for shard in found.shards for p in shard.held}
    relevant = {j.passage_id for j in found.judgements if j.relevance > 0}
    for shard in found.shards:
        home |= {p.text.lower(): "core" for p in shard.held if p.id in relevant}
    given = Counter(text.lower() for text in log)
    given.subtract(text.lower() for text in once)
    assert min(given.values()) >= 0
    return {home[text] for text, more in given.items() if more}
