"""Whole runs on one cache: killed and taken up again, two at once, damaged, too large."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.models.cache import DEFAULT_LIMIT, EmbeddingCache
from tests.support import cached_run

ROOT = Path(__file__).resolve().parents[2]
BATCHES = cached_run.BATCHES
TEXTS = sum(BATCHES)
WRITES = len(BATCHES) + 2
"""The batches, then an answer for each role of how the model reads its texts."""
MOMENTS = 3 * WRITES


@pytest.fixture(scope="module")
def uncached(tmp_path_factory):
    """The digest of the vectors of a run without a cache."""
    digest, cached = cached_run.run(None, tmp_path_factory.mktemp("uncached") / "log")
    assert cached == 0
    return digest


def start(folder, log, moment=0, limit=DEFAULT_LIMIT):
    command = [sys.executable, "-m", "tests.support.cached_run", folder, limit, log, moment]
    return subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, error = process.communicate(timeout=600)
    return process.returncode, out.split(), error


def encoded(log):
    return len(log.read_text().splitlines()) if log.exists() else 0


def run_here(folder, log, warn=pytest.fail):
    return cached_run.run(EmbeddingCache(folder, warn=warn), log)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", range(1, MOMENTS + 1))
def test_a_run_killed_at_any_write_is_taken_up_and_ends_with_the_same_bytes(
    tmp_path, uncached, moment
):
    folder, log = tmp_path / "embeddings", tmp_path / "log"
    code, out, error = finish(start(folder, log, moment))
    assert code == -signal.SIGKILL, error
    assert not out
    write, in_place = (moment - 1) // 3, moment % 3 == 0
    assert run_here(folder, log) == (uncached, sum(BATCHES[: write + in_place]))
    lost = 0 if in_place or write >= len(BATCHES) else BATCHES[write]
    assert encoded(log) == TEXTS + lost
    assert run_here(folder, log) == (uncached, TEXTS)


def test_a_run_that_nobody_kills_has_as_many_writes_as_these_tests_think(tmp_path, uncached):
    folder, log = tmp_path / "embeddings", tmp_path / "log"
    code, out, error = finish(start(folder, log, MOMENTS + 1))
    assert (code, out, error) == (0, [uncached, "0"], "")
    assert len([*EmbeddingCache(folder).entries(check=True)]) == WRITES
    assert encoded(log) == TEXTS


def test_runs_at_once_on_one_cache_are_both_right(tmp_path, uncached):
    folder = tmp_path / "embeddings"
    logs = [tmp_path / f"log{i}" for i in range(3)]
    runs = [start(folder, log) for log in logs]
    for code, out, error in map(finish, runs):
        assert (code, error) == (0, "")
        assert out[0] == uncached
    assert not [entry.fault for entry in EmbeddingCache(folder).entries(check=True) if entry.fault]
    assert run_here(folder, tmp_path / "log") == (uncached, TEXTS)


def test_runs_at_once_that_crowd_each_other_out_are_both_right(tmp_path, uncached):
    """The cache has room for about three files; a run that meets its limit says so."""
    folder = tmp_path / "embeddings"
    runs = [start(folder, tmp_path / f"log{i}", limit=6000) for i in range(3)]
    for code, out, error in map(finish, runs):
        assert code == 0, error
        assert out[0] == uncached
        assert error.count("\n") <= 1
    assert sum(entry.size for entry in EmbeddingCache(folder).entries(check=True)) <= 3 * 6000


def test_a_run_on_a_damaged_cache_says_so_and_ends_with_the_same_bytes(tmp_path, uncached):
    folder, log, warned = tmp_path / "embeddings", tmp_path / "log", []
    run_here(folder, log)
    paths = [entry.path for entry in EmbeddingCache(folder).entries()]
    for number, path in enumerate(paths):
        content = bytearray(path.read_bytes())
        content[len(content) * number // len(paths)] ^= 1
        path.write_bytes(content[: None if number % 3 else len(content) // 2])
    assert run_here(folder, log, warned.append) == (uncached, 0)
    assert len(warned) == len(paths)
    assert encoded(log) == 2 * TEXTS
    assert run_here(folder, log) == (uncached, TEXTS)
