"""Checksums recorded on first use."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.data.checksums import FORMAT, RecordedChecksums, Stamp

ONE, TWO = Stamp("1" * 64, 1), Stamp("2" * 64, 2)


def test_what_was_recorded_must_stay(tmp_path: Path) -> None:
    recorded = RecordedChecksums(tmp_path / "below" / "t.lock.json")
    recorded.record("a", ONE)
    recorded.record("a", ONE)
    recorded.record("b", TWO)
    with pytest.raises(IntegrityError) as caught:
        recorded.record("a", TWO)
    message = str(caught.value)
    assert caught.value.exit_code == 6
    for part in ("a: has changed", ONE.sha256, TWO.sha256, f"delete {recorded.path}"):
        assert part in message
    assert json.loads(recorded.path.read_text()) == {
        "format": FORMAT,
        "commits": {},
        "files": {
            "a": {"sha256": ONE.sha256, "size": 1},
            "b": {"sha256": TWO.sha256, "size": 2},
        },
    }


def test_all_that_changed_are_named_and_nothing_is_recorded(tmp_path: Path) -> None:
    recorded = RecordedChecksums(tmp_path / "t.lock.json")
    recorded.record_all({"a": ONE, "b": ONE})
    before = recorded.path.read_bytes()
    with pytest.raises(IntegrityError) as caught:
        recorded.record_all({"a": TWO, "b": TWO, "c": TWO})
    assert [fault.where for fault in caught.value.faults] == ["a", "b"]
    assert recorded.path.read_bytes() == before


def test_the_first_commit_stays(tmp_path: Path) -> None:
    recorded = RecordedChecksums(tmp_path / "t.lock.json")
    assert recorded.commit("x/y@main") is None
    recorded.record_commit("x/y@main", "c" * 40)
    recorded.record_commit("x/y@main", "d" * 40)
    assert recorded.commit("x/y@main") == "c" * 40


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"format": "other"}', b'{"format": "mlbench/lock/1"}', b"\xff"]
)
def test_a_damaged_lock_is_refused(tmp_path: Path, content: bytes) -> None:
    recorded = RecordedChecksums(tmp_path / "t.lock.json")
    recorded.path.write_bytes(content)
    with pytest.raises(IntegrityError, match="delete it"):
        recorded.record("a", ONE)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="MLBENCH_CACHE"):
        RecordedChecksums(tmp_path / "file" / "t.lock.json").record("a", ONE)


def test_nothing_is_lost_between_writers(tmp_path: Path) -> None:
    recorded = RecordedChecksums(tmp_path / "t.lock.json")
    names = [f"file {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: RecordedChecksums(recorded.path).record(name, ONE), names))
    assert set(json.loads(recorded.path.read_text())["files"]) == set(names)
