"""Whole passes killed at many moments, as ``kill -9`` does, and taken up again."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import Counter

import pytest

from mlbench.evaluation.partial import read_partial
from tests.evaluation import killed_run

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([killed_run.__name__])
MOMENTS = killed_run.MOMENTS
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


def start(folder, log, moment):
    """Run a pass in a process of its own; return its exit code, and what it found if it ended.

    The processes are forked from one that has imported everything and has no threads.
    """
    ours, its = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=killed_run.report, args=(its, folder, log, moment))
    process.start()
    its.close()
    process.join()
    try:
        return process.exitcode, ours.recv()
    except EOFError:
        return process.exitcode, None


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, (digest, moments) = start(folder / "state", folder / "log", 0)
    assert (code, moments) == (0, MOMENTS)
    return digest, encoded(folder / "log")


def encoded(log):
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("moment", [2, 7, *range(13, MOMENTS + 1, 4)])
def test_a_pass_killed_at_any_moment_ends_with_the_same_bytes(tmp_path, uninterrupted, moment):
    folder, log = tmp_path / "state", tmp_path / "log"
    assert start(folder, log, moment) == (-signal.SIGKILL, None)
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
