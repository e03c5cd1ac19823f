from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import astuple, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.models import shards
from mlbench.models.shards import (
    SCHEMA,
    SUFFIX,
    Source,
    Unusable,
    read_head,
    read_keys,
    read_vectors,
    shard_to_bytes,
)

SOURCE = Source("declared: a model", "passage", "passage: ", "en", "{}", "text")
VECTORS = np.array(
    [[0, 0, 0], [-0.0, 1e-45, 3e38], [0.1, -2, 3], [1, 2, 3]], np.float32
)  # a zero vector, a negative zero, the least and nearly the greatest float32
KEYS = SOURCE.keys([b"a", b"b", b"c", b"d"])


def read(path):
    with path.open("rb") as file:
        head = read_head(file, path.name)
        return head, read_keys(file, head), read_vectors(file, head)


@pytest.fixture
def written(tmp_path):
    name, content = shard_to_bytes(SOURCE, KEYS, VECTORS)
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_what_is_written_is_read_bit_for_bit(written):
    head, keys, vectors = read(written)
    assert head.source == SOURCE
    assert keys == KEYS
    assert vectors.dtype == np.float32
    assert vectors.tobytes() == VECTORS.tobytes()


def test_the_name_follows_from_the_content():
    again = shard_to_bytes(SOURCE, KEYS, VECTORS.copy())
    assert again == shard_to_bytes(SOURCE, KEYS, VECTORS)
    changed = VECTORS.copy()
    changed[0, 0] = -0.0
    other_keys = SOURCE.keys([b"a", b"b", b"c", b"e"])
    others = [
        shard_to_bytes(SOURCE, KEYS, changed),
        shard_to_bytes(SOURCE, other_keys, VECTORS),
        shard_to_bytes(replace(SOURCE, prompt=""), KEYS, VECTORS),
        shard_to_bytes(SOURCE, KEYS, VECTORS, "a name"),
    ]
    assert len({name for name, _ in [again, *others]}) == 5


def test_every_flipped_bit_is_found(written):
    content = written.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        written.write_bytes(damaged)
        with pytest.raises(Unusable, match="damaged"):
            read(written)


def test_every_other_length_is_found(written):
    content = written.read_bytes()
    for length in range(len(content)):
        written.write_bytes(content[:length])
        with pytest.raises(Unusable, match="damaged"):
            read(written)
    written.write_bytes(content + b"\0")
    with pytest.raises(Unusable, match="damaged"):
        read(written)


def forged(tmp_path, line: bytes, rest: bytes = b""):
    path = tmp_path / (hashlib.sha256(line).hexdigest() + SUFFIX)
    path.write_bytes(line + rest)
    return path


@pytest.mark.parametrize("schema", ["mlbench/embeddings/0", "mlbench/embeddings/2", None, 7])
def test_another_schema_is_named(tmp_path, schema):
    line = json.dumps({"schema": schema, "anything": 1}).encode() + b"\n"
    with pytest.raises(Unusable, match=f"of schema {schema!r}; .* reads '{SCHEMA}'"):
        read(forged(tmp_path, line))


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"[]\n", b"null\n", b'{"schema": "%s"}\n' % SCHEMA.encode(), b"[" * 10**5, b"\xff"]
    + [
        json.dumps({"schema": SCHEMA, **rest}).encode() + b"\n"
        for rest in (
            *(
                {
                    "model": "",
                    "source": source,
                    "rows": 1,
                    "dimension": 1,
                    "keys_sha256": "",
                    "vectors_sha256": "",
                }
                for source in ({}, None, [1])
            ),
            *(
                {
                    "model": "",
                    "source": {"identity": "", "role": ""},
                    "rows": rows,
                    "dimension": dimension,
                    "keys_sha256": hashlib.sha256().hexdigest(),
                    "vectors_sha256": hashlib.sha256().hexdigest(),
                }
                for rows, dimension in ((0, 3), (-1, 3), (10**9, 1), (1, "x"), (1.5, 1), ([], 1))
            ),
        )
    ],
)
def test_a_forged_head_is_unusable_and_nothing_else(tmp_path, line):
    with pytest.raises(Unusable):
        read(forged(tmp_path, line))


class Bomb:
    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return (open, (str(self.sentinel), "w"))


def test_a_pickle_is_never_loaded(tmp_path):
    sentinel = tmp_path / "sentinel"
    raw = pickle.dumps(Bomb(sentinel))
    array = io.BytesIO()
    np.save(array, np.array([Bomb(sentinel)], object), allow_pickle=True)
    for content in (raw, array.getvalue()):
        line = content.partition(b"\n")[0] + b"\n"
        with pytest.raises(Unusable):
            read(forged(tmp_path, line, content[len(line) :]))
    assert not sentinel.exists()


@pytest.mark.parametrize("name", [field.name for field in fields(Source)])
def test_each_field_changes_the_keys_and_the_folder(name):
    changed = replace(SOURCE, **{name: getattr(SOURCE, name) + "x"})
    assert not set(changed.keys([b"a", b"b"])) & set(SOURCE.keys([b"a", b"b"]))
    assert changed.digest != SOURCE.digest


def test_the_text_and_the_schema_change_the_key(monkeypatch):
    assert SOURCE.keys([b"a"]) != SOURCE.keys([b"b"])
    before = SOURCE.keys([b"a"])
    monkeypatch.setattr(shards, "SCHEMA", "mlbench/embeddings/2")
    assert SOURCE.keys([b"a"]) != before


_parts = st.tuples(*[st.text("ab\0", max_size=3)] * len(fields(Source)), st.binary(max_size=3))


@given(_parts, _parts)
def test_no_other_fields_and_text_give_the_same_key(a, b):
    """Fields are marked off by their lengths: moving a character to the next field is a change."""
    (first,), (second,) = Source(*a[:-1]).keys(a[-1:]), Source(*b[:-1]).keys(b[-1:])
    assert (first == second) == (a == b)
    assert (Source(*a[:-1]).digest == Source(*b[:-1]).digest) == (a[:-1] == b[:-1])
    assert astuple(Source(*a[:-1])) == a[:-1]
