"""A sealed file is what was written, or says that it is not."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.common.sealed import digest_of, open_sealed, seal, unseal

SCHEMA = "mlbench/x/1"
NUMBERS = np.array([[0, -0.0, 1e-45], [3e38, np.nan, 2]], np.float32)


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "file"
    parts = {"some bytes": b"a\nb", "numbers": NUMBERS, "none": NUMBERS[:0], "last": b""}
    path.write_bytes(seal(SCHEMA, {"é": [1, None]}, **parts))
    head, found = unseal(path, SCHEMA, "")
    assert head == {"é": [1, None]}
    assert found["some bytes"] == b"a\nb"
    assert found["last"] == b""
    for name in ("numbers", "none"):
        assert found[name].shape == parts[name].shape
        assert found[name].dtype == np.float32
        assert found[name].tobytes() == parts[name].tobytes()


def test_a_part_that_is_not_asked_for_is_not_read(tmp_path):
    path = tmp_path / "file"
    content = bytearray(seal(SCHEMA, {}, first=b"one", second=NUMBERS.T))
    content[-1] ^= 1
    path.write_bytes(content)
    with open_sealed(path, SCHEMA) as sealed:
        assert sealed.read("first") == b"one"
        with pytest.raises(IntegrityError, match="damaged: its second"):
            sealed.read("second")
        with pytest.raises(IntegrityError, match="no part 'third'"):
            sealed.read("third")


def test_the_same_values_give_the_same_bytes_and_others_another_digest():
    whole = seal("s", {"a": 1, "b": 2}, x=NUMBERS)
    assert whole == seal("s", {"b": 2, "a": 1}, x=NUMBERS.copy())
    others = [
        seal("s", {"a": 1}, x=NUMBERS),
        seal("s", {"a": 1, "b": 2}, x=NUMBERS + 1),
        seal("s", {"a": 1, "b": 2}, x=NUMBERS.T),
        seal("s", {"a": 1, "b": 2}, y=NUMBERS),
        seal("s", {"a": 1, "b": 2}, x=NUMBERS.tobytes()),
    ]
    assert len({*map(digest_of, [whole, *others])}) == 6


def test_any_changed_bit_is_noticed(tmp_path):
    path = tmp_path / "file"
    whole = seal(SCHEMA, {"a": 1}, body=b"body", numbers=NUMBERS)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="mend it"):
            unseal(path, SCHEMA, "mend it")
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match="mend it"):
            unseal(path, SCHEMA, "mend it")
    path.write_bytes(whole + b"\0")
    with pytest.raises(IntegrityError, match="damaged"):
        unseal(path, SCHEMA, "")


def test_another_kind_of_file_is_called_so(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(seal("mlbench/y/2", {}))
    with pytest.raises(IntegrityError, match=r"schema 'mlbench/y/2'\n.*expected: mlbench/x/1"):
        unseal(path, SCHEMA, "")
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(IntegrityError, match="another kind of file"):
        unseal(path, SCHEMA, "")


def forge(path: Path, table: Any, rest: bytes = b"") -> Path:
    line = (table if isinstance(table, bytes) else json.dumps(table).encode()) + b"\n"
    path.write_bytes(f"{SCHEMA} {hashlib.sha256(line).hexdigest()}\n".encode() + line + rest)
    return path


@pytest.mark.parametrize(
    "table",
    [b"", b"[" * 10**5, b"\xff", [], None, {}, {"head": {}}, {"head": {}, "parts": 3}]
    + [
        {"head": {}, "parts": [part]}
        for part in (
            [],
            ["a", None, [0]],
            ["a", None, [-1], ""],
            ["a", None, [1.5], ""],
            ["a", None, 3, ""],
            ["a", None, [10**9], ""],
            ["a", "<f4", ["x"], ""],
            ["a", "no type", [0], ""],
            ["a", "<f4", [0], "another digest"],
            [["a"], None, [0], ""],
        )
    ],
)
def test_a_forged_head_is_refused_and_nothing_else(tmp_path, table):
    with pytest.raises(IntegrityError):
        unseal(forge(tmp_path / "file", table), SCHEMA, "")


class Bomb:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return (open, (str(self.sentinel), "w"))


def test_a_pickle_is_never_loaded(tmp_path):
    sentinel = tmp_path / "sentinel"
    raw = pickle.dumps(Bomb(sentinel))
    digest = hashlib.sha256(raw).hexdigest()
    for dtype, shape in (("|O", [1]), ("|O", [len(raw) // 8])):
        table = {"head": {}, "parts": [["a", dtype, shape, digest]]}
        with pytest.raises(IntegrityError):
            unseal(forge(tmp_path / "file", table, raw), SCHEMA, "")
    assert not sentinel.exists()


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        unseal(tmp_path / "nothing", SCHEMA, "")
