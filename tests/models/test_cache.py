from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.models import cache as module
from mlbench.models import shards
from mlbench.models.cache import DEFAULT_LIMIT, EmbeddingCache, open_cache, size_limit
from mlbench.models.notes import subject
from mlbench.models.shards import SUFFIX, Source

SOURCE = Source("declared: a model", "passage", "passage: ", "en", "{}", "text")
TEXTS = [b"alpha", b"beta", b"gamma"]
KEYS = SOURCE.keys(TEXTS)
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)
VECTORS[1] = 0  # a genuine zero vector


@pytest.fixture
def warned():
    return []


@pytest.fixture
def cache(tmp_path, warned):
    return EmbeddingCache(tmp_path / "embeddings", warn=warned.append)


def found(cache, source=SOURCE, texts=TEXTS) -> dict[bytes, list[float]]:
    hits = list(cache.find(source, source.keys(texts)))
    places = [texts[place] for hit in hits for place in hit.places]
    assert len(set(places)) == len(places)
    return dict(zip(places, (v.tolist() for hit in hits for v in hit.vectors), strict=True))


def files(cache):
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def test_what_is_stored_is_found_a_zero_vector_too(cache):
    assert found(cache) == {}
    cache.store(SOURCE, KEYS[:2], VECTORS[:2])
    cache.store(SOURCE, KEYS[2:], VECTORS[2:])
    expected = dict(zip(TEXTS, VECTORS.tolist(), strict=True))
    assert found(cache) == expected
    assert found(EmbeddingCache(cache.folder), texts=[b"new", b"gamma", b"beta"]) == {
        text: expected[text] for text in (b"gamma", b"beta")
    }


def test_what_two_shards_hold_is_found_once(cache):
    cache.store(SOURCE, KEYS[:2], VECTORS[:2])
    cache.store(SOURCE, KEYS[1:], VECTORS[1:] + 1)
    assert set(found(cache)) == set(TEXTS)


@pytest.mark.parametrize("name", [field.name for field in fields(Source)])
def test_another_field_misses(cache, name):
    cache.store(SOURCE, KEYS, VECTORS)
    assert found(cache, replace(SOURCE, **{name: getattr(SOURCE, name) + "x"})) == {}
    assert len(found(cache)) == 3


def test_a_shard_in_the_folder_of_another_source_misses(cache):
    cache.store(SOURCE, KEYS, VECTORS)
    other = replace(SOURCE, identity="declared: another model")
    (path,) = files(cache)
    path.parent.rename(cache.folder / other.digest)
    assert found(cache, other) == {}


def _flip(content: bytes) -> bytes:
    place = len(content) - 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_flip, lambda c: c[:-1], lambda c: c[:70], lambda c: b""])
def test_a_damaged_shard_is_said_removed_and_stored_anew(cache, warned, damage):
    cache.store(SOURCE, KEYS[:2], VECTORS[:2])
    (path,) = files(cache)
    cache.store(SOURCE, KEYS[2:], VECTORS[2:])
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert list(found(cache)) == [b"gamma"]
    assert not path.exists()
    (message,) = warned
    assert str(path) in message
    assert "damaged" in message
    assert "computed again" in message
    cache.store(SOURCE, KEYS[:2], VECTORS[:2])
    assert path.read_bytes() == content
    assert len(found(cache)) == 3
    assert len(warned) == 1


def test_a_shard_of_an_older_schema_is_said_and_removed(cache, warned, monkeypatch):
    monkeypatch.setattr(shards, "SCHEMA", "mlbench/embeddings/0")
    cache.store(SOURCE, SOURCE.keys(TEXTS), VECTORS)
    monkeypatch.undo()
    assert found(cache) == {}
    assert files(cache) == []
    assert "of schema 'mlbench/embeddings/0'" in warned[0]


def test_a_shard_that_cannot_be_read_or_removed_is_passed_over(cache, warned, monkeypatch):
    cache.store(SOURCE, KEYS, VECTORS)
    (path,) = files(cache)
    path.write_bytes(b"")
    monkeypatch.setattr(type(path), "unlink", _refuse)
    assert found(cache) == {}
    assert "cannot be removed: no permission" in warned[0]
    monkeypatch.setattr(type(path), "open", _refuse)
    assert found(cache) == {}
    assert "cannot be read: no permission" in warned[1]


def _refuse(*args, **kwargs):
    raise PermissionError(errno.EACCES, "no permission")


def test_a_shard_that_goes_while_it_is_looked_for_is_a_miss(cache, warned, monkeypatch):
    cache.store(SOURCE, KEYS, VECTORS)
    (path,) = files(cache)

    def gone(self, mode):
        raise FileNotFoundError

    monkeypatch.setattr(type(path), "open", gone)
    assert found(cache) == {}
    assert warned == []


def test_a_full_disk_is_said_once_and_the_run_goes_on(cache, warned, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for key, vector in zip(KEYS, VECTORS, strict=True):
        cache.store(SOURCE, [key], vector[None])
    assert len(warned) == 1
    assert "No space left on device" in warned[0]
    assert files(cache) == []


def test_a_cache_folder_that_is_a_file_is_said_and_the_run_goes_on(tmp_path, warned):
    (tmp_path / "file").write_text("")
    cache = EmbeddingCache(tmp_path / "file", warn=warned.append)
    assert found(cache) == {}
    cache.store(SOURCE, KEYS, VECTORS)
    assert len(warned) == 1
    assert "stor" in warned[0]


ABOUT, OTHER = subject("what", ["a"]), subject("what", ["b"])


def test_what_is_noted_is_recalled_and_nothing_else(cache, warned):
    assert cache.recall(ABOUT) is None
    cache.note(ABOUT, b"answer")
    cache.note(OTHER, b"")
    again = EmbeddingCache(cache.folder, warn=warned.append)
    assert [again.recall(ABOUT), again.recall(OTHER)] == [b"answer", b""]
    assert again.recall(subject("what", ["c"])) is None
    assert [path.parent for path in files(cache)] == [cache.folder / "notes"] * 2
    assert warned == []


@pytest.mark.parametrize("damage", [_flip, lambda c: c[:-1], lambda c: c[:20], lambda c: b""])
def test_a_damaged_note_is_said_and_removed(cache, warned, damage):
    cache.note(ABOUT, b"answer")
    (path,) = files(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert EmbeddingCache(cache.folder, warn=warned.append).recall(ABOUT) is None
    assert files(cache) == []
    (message,) = warned
    assert f"{path} is damaged" in message
    assert "computed again" in message


def test_the_note_of_another_subject_is_not_recalled(cache, warned):
    cache.note(ABOUT, b"answer")
    (path,) = files(cache)
    path.rename(path.with_name(f"{OTHER}.note"))
    assert cache.recall(OTHER) is None
    assert "is damaged" in warned[0]


def test_a_note_that_cannot_be_read_is_passed_over(cache, warned, monkeypatch):
    cache.note(ABOUT, b"answer")
    monkeypatch.setattr(type(files(cache)[0]), "read_bytes", _refuse)
    assert cache.recall(ABOUT) is None
    assert "cannot be read: no permission" in warned[0]


def test_no_note_is_kept_where_none_can_be(tmp_path, warned):
    (tmp_path / "file").write_text("")
    cache = EmbeddingCache(tmp_path / "file", warn=warned.append)
    assert cache.recall(ABOUT) is None
    cache.note(ABOUT, b"answer")
    cache.note(OTHER, b"answer")
    assert len(warned) == 1


def test_notes_are_evicted_listed_checked_and_cleared_as_shards_are(tmp_path, warned):
    first = EmbeddingCache(tmp_path)
    first.note(ABOUT, b"x" * 500)
    (note,) = files(first)
    os.utime(note, (1, 1))
    path = aged(first, SOURCE, 300)
    assert [entry.head is None for entry in first.entries(check=True)] == [False, True]
    run = EmbeddingCache(tmp_path, limit=note.stat().st_size + path.stat().st_size - 1)
    run.note(OTHER, b"y")
    assert [note.exists(), path.exists()] == [False, True]
    (mine,) = set(files(run)) - {path}
    content = mine.read_bytes()
    mine.write_bytes(content[:-1])
    assert [entry.fault for entry in run.entries()] == ["", ""]
    (fault,) = [entry.fault for entry in run.entries(check=True) if entry.fault]
    assert "damaged" in fault
    assert run.clear() > 0
    assert not any(tmp_path.iterdir())
    assert warned == []


def aged(cache, source, seconds):
    """Store one shard and pretend that it was last used ``seconds`` ago."""
    before = set(files(cache))
    cache.store(source, source.keys(TEXTS), VECTORS)
    (path,) = set(files(cache)) - before
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def sources(number):
    return [replace(SOURCE, identity=f"declared: {i}") for i in range(number)]


def test_the_least_recently_used_shards_make_room(tmp_path, warned):
    old, used, new, mine = sources(4)
    first = EmbeddingCache(tmp_path)
    paths = [aged(first, old, 300), aged(first, used, 400), aged(first, new, 100)]
    size = sum(path.stat().st_size for path in paths)
    run = EmbeddingCache(tmp_path, limit=size, warn=warned.append)
    assert len(found(run, used)) == 3  # which makes it the latest
    run.store(mine, mine.keys(TEXTS), VECTORS)
    assert [path.exists() for path in paths] == [False, True, True]
    assert sum(path.stat().st_size for path in files(run)) <= size
    assert warned == []


def test_what_the_run_uses_is_never_evicted(tmp_path, warned):
    a, b, c, d = sources(4)
    earlier = aged(EmbeddingCache(tmp_path), a, 300)
    size = earlier.stat().st_size
    run = EmbeddingCache(tmp_path, limit=2 * size + 9, warn=warned.append)
    found(run, a)
    aged(run, b, 500)
    for source in (c, d):
        run.store(source, source.keys(TEXTS), VECTORS)
    assert len(found(run, a)) == len(found(run, b)) == 3
    assert found(run, c) == found(run, d) == {}
    assert len(warned) == 1
    assert "MLBENCH_CACHE_SIZE" in warned[0]


def test_unfinished_files_of_killed_runs_go_and_those_of_live_ones_stay(tmp_path, warned):
    cache = EmbeddingCache(tmp_path, warn=warned.append)
    path = aged(cache, SOURCE, 10)
    killed, live = (path.with_name(f".{path.name}.{tag}.tmp") for tag in ("aa", "bb"))
    for unfinished in (killed, live):
        unfinished.write_bytes(b"x" * 1000)
    os.utime(killed, (1, 1))
    assert len(found(cache)) == 3
    run = EmbeddingCache(tmp_path, 1000 + 3 * path.stat().st_size, warned.append)
    (other,) = sources(1)
    run.store(other, other.keys(TEXTS), VECTORS)
    assert warned == []
    assert [killed.exists(), live.exists(), path.exists()] == [False, True, True]


def test_clear_removes_what_mlbench_wrote_and_nothing_else(cache):
    cache.store(SOURCE, KEYS, VECTORS)
    (path,) = files(cache)
    path.with_name(f".{path.name}.abcd.tmp").write_bytes(b"xy")
    keep = [cache.folder / "notes.txt", cache.folder / "own" / "data.npy"]
    for file in keep:
        file.parent.mkdir(exist_ok=True)
        file.write_text("kept")
    size = path.stat().st_size
    assert cache.clear() == size + 2
    assert files(cache) == sorted(keep)
    assert not path.parent.exists()
    assert cache.clear() == 0


def test_a_cache_that_cannot_be_cleared_is_an_environment_fault(cache, monkeypatch):
    cache.store(SOURCE, KEYS, VECTORS)
    monkeypatch.setattr(type(files(cache)[0]), "unlink", _refuse)
    with pytest.raises(EnvironmentFault, match="no permission"):
        cache.clear()


def test_entries_say_what_there_is_and_what_is_damaged(cache):
    a, b = sources(2)
    cache.store(a, a.keys(TEXTS), VECTORS)
    cache.store(b, b.keys(TEXTS), VECTORS)
    assert {e.head.source.identity for e in cache.entries(check=True)} == {
        "declared: 0", "declared: 1",
    }  # fmt: skip
    path = files(cache)[0]
    path.write_bytes(_flip(path.read_bytes()))
    assert [e.fault for e in cache.entries()] == ["", ""]
    faults = {e.path: (e.head, e.fault) for e in cache.entries(check=True)}
    assert faults[path][0] is None
    assert "damaged" in faults[path][1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", DEFAULT_LIMIT), ("500", 500), ("1.5k", 1536), ("2GiB", 2 * 2**30), (" 3 TB ", 3 * 2**40)],
)
def test_the_size_limit_comes_from_the_environment(monkeypatch, given, expected):
    monkeypatch.setenv("MLBENCH_CACHE_SIZE", given)
    assert size_limit() == expected
    assert open_cache().limit == expected


def test_a_limit_of_nothing_is_no_cache_and_a_wrong_one_an_error(monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE_SIZE", "0")
    assert open_cache() is None
    for wrong in ("lots", "-1", "1e9", "5 GB or so"):
        monkeypatch.setenv("MLBENCH_CACHE_SIZE", wrong)
        with pytest.raises(UsageError, match="MLBENCH_CACHE_SIZE"):
            open_cache()


def test_the_cache_is_in_the_users_cache_folder_and_warns_on_standard_error(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path))
    cache = open_cache()
    cache.store(SOURCE, KEYS, VECTORS)
    line = json.dumps({"schema": "later"}).encode() + b"\n"
    name = hashlib.sha256(line).hexdigest() + SUFFIX
    (tmp_path / "embeddings" / SOURCE.digest / name).write_bytes(line)
    assert len(found(cache, texts=[*TEXTS, b"delta"])) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mlbench: warning: embedding cache: ")
    assert captured.err.count("\n") == 1
    assert module.embeddings_folder() == tmp_path / "embeddings"
