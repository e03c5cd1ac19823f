"""A sealed file is what was written, or says that it is not."""

from __future__ import annotations

import json

import pytest

from mlbench.common.errors import EnvironmentFault, IntegrityError
from mlbench.evaluation.sealed import seal, unseal


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(seal("mlbench/x/1", {"é": [1, None]}, b"a\nb", memoryview(b"c")))
    assert unseal(path, "mlbench/x/1", "") == ({"é": [1, None]}, bytearray(b"a\nbc"))


def test_the_same_values_give_the_same_bytes():
    assert seal("s", {"a": 1, "b": 2}) == seal("s", {"b": 2, "a": 1})


def test_any_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    whole = seal("mlbench/x/1", {"a": 1}, b"body")
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError):
            unseal(path, "mlbench/x/1", "mend it")
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match="mend it"):
            unseal(path, "mlbench/x/1", "mend it")


def test_another_kind_of_file_is_called_so(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(seal("mlbench/y/2", {}))
    with pytest.raises(IntegrityError, match=r"schema 'mlbench/y/2'\n.*expected: mlbench/x/1"):
        unseal(path, "mlbench/x/1", "")
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(IntegrityError, match="another kind of file"):
        unseal(path, "mlbench/x/1", "")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        unseal(tmp_path / "nothing", "mlbench/x/1", "")
