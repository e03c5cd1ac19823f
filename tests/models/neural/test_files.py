from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models.neural.files import (
    LONGEST_HEADER,
    MODULES,
    is_lfs_pointer,
    module_name,
    safetensors_fault,
)


def raw(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return the bytes of a file with this header, whether or not that is sound."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return safetensors_fault(path)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_under_each_name_that_a_version_gave_it(name: str) -> None:
    util = pytest.importorskip("sentence_transformers.util")
    models = pytest.importorskip("sentence_transformers.models")
    kinds = []
    if hasattr(models, name):
        kinds = [
            f"sentence_transformers.models.{name}",
            f"sentence_transformers.models.{name}.{name}",
        ]
    else:  # a module of a later family, which has no other name yet
        families = ("sparse_encoder", "multi_vector_encoder")
        places = [pytest.importorskip(f"sentence_transformers.{f}.modules") for f in families]
        models = next(place for place in places if hasattr(place, name))
    now = getattr(models, name)
    for kind in (*kinds, f"{now.__module__}.{now.__name__}"):
        assert util.import_from_string(kind) is now
        assert module_name(kind) == now.__name__ or module_name(kind) == name
    assert module_name(f"sentence_transformers.models.{name}.Other") is None
    assert module_name(f"elsewhere.models.{name}") is None


SOUND = {"__metadata__": {"format": "pt"}, "a": tensor(0, 8, [2]), "b": tensor(8, 10, [1], "F16")}


def test_a_sound_file(tmp_path: Path) -> None:
    assert fault(tmp_path / "x", raw(SOUND, bytes(10))) == ""
    assert fault(tmp_path / "x", raw({})) == ""
    assert fault(tmp_path / "x", raw({"a": tensor(0, 4, [])}, bytes(4))) == ""
    assert fault(tmp_path / "x", raw({"a": tensor(0, 0, [0, 3])})) == ""


def test_the_librarys_own_files_are_sound(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors = {"a": np.ones((3, 4), np.float16), "b": np.zeros(5), "c": np.array(True)}
    library.save_file(tensors, tmp_path / "x", {"format": "pt"})
    assert safetensors_fault(tmp_path / "x") == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes, too short"),
        (b"1234567", "too short"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (pickle.dumps([1] * 500, protocol=2), r"a pickle \(protocol 2\)"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"<html>not found</html>", "not safetensors, or damaged"),
        (raw(SOUND, bytes(10), length=10**12), "a header of 1,000,000,000,000 bytes in"),
        (raw(SOUND, bytes(10), length=2**63), "a header of"),
        (raw(SOUND, bytes(9)), "take 10 bytes, the file has 9: is it whole"),
        (raw(SOUND, bytes(11)), "take 10 bytes, the file has 11"),
        (raw(b"{ not JSON }"), "not valid JSON"),
        (raw(b"[" * 100_000), "not valid JSON"),
        (raw(b"[]"), "not a JSON object"),
        (raw(b'{"a": 1, "a": 2}'), "a name stands twice"),
        (raw({"a": 1}), "not described"),
        (raw({"a": {"dtype": "F32"}}), "not described"),
        (raw({"a": tensor(0, 4, [1], "F99")}, bytes(4)), "not described"),
        (raw({"a": tensor(0, 4, [2])}, bytes(4)), "does not fit its shape"),
        (raw({"a": tensor(0, 4, [-1])}, bytes(4)), "no natural numbers"),
        (raw({"a": tensor(0, 4, [1.0])}, bytes(4)), "no natural numbers"),
        (raw({"a": tensor(0, 4, [True])}, bytes(4)), "no natural numbers"),
        (raw({"a": tensor(0, 4, [2**62] * 9)}, bytes(4)), "does not fit"),
        (raw({"a": tensor(0, 4, [1] * 99)}, bytes(4)), "does not fit"),
        (raw({"a": tensor(0, 4, [1]), "b": tensor(0, 4, [1])}, bytes(4)), "overlap"),
        (raw({"a": tensor(0, 4, [1]), "b": tensor(8, 12, [1])}, bytes(12)), "leave a gap"),
    ],
)
def test_a_fault_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    assert re.search(message, fault(tmp_path / "x", content))


def test_a_header_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.write((LONGEST_HEADER + 1).to_bytes(8, "little"))
        file.truncate(2**40)
    assert "at most 16,777,216 are read" in safetensors_fault(tmp_path / "x")


@given(st.binary(max_size=64), st.integers(0, 2**64 - 1))
def test_any_bytes_give_an_answer(tmp_path_factory: Any, content: bytes, length: int) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    assert isinstance(fault(path, content), str)
    assert isinstance(fault(path, length.to_bytes(8, "little") + content), str)


def test_lfs_pointers(tmp_path: Path) -> None:
    pointer = tmp_path / "p"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert is_lfs_pointer(pointer)
    pointer.write_text("version 2")
    assert not is_lfs_pointer(pointer)
