from __future__ import annotations

import errno
import itertools
import json
import os
import time
from dataclasses import asdict, astuple, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.common.errors import EnvironmentFault, UsageError
from mlbench.common.sealed import digest_of, seal
from mlbench.models import cache as module
from mlbench.models import cache_files
from mlbench.models.cache import DEFAULT_LIMIT, EmbeddingCache, open_cache, size_limit
from mlbench.models.cache_files import KEY_BYTES, SCHEMA, Source, question_digest
from mlbench.ranking.vectors import TokenVectors

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


def of_tokens(count: int) -> TokenVectors:
    return TokenVectors.of([np.full((i % 3 + 1, 2), i, np.float32) for i in range(count)])


def test_token_vectors_are_found_as_they_were_and_joined(cache, warned, monkeypatch):
    monkeypatch.setattr(module, "JOINED_TEXTS", 3)
    texts = of_tokens(3)
    assert cache.store(SOURCE, KEYS[:2], texts[:2]) == 2
    cache.store(SOURCE, KEYS[2:], texts[2:])
    assert len(files(cache)) == 1
    other = EmbeddingCache(cache.folder, warn=warned.append)
    (hit,) = other.find(SOURCE, KEYS[::-1])
    assert len(hit.places) == 3
    for place, row in zip(hit.places, range(3), strict=True):
        expected = texts[[2 - place]]
        assert hit.vectors[[row]].vectors.tolist() == expected.vectors.tolist()
    (entry,) = other.entries(check=True)
    assert (entry.head.rows, entry.head.dimension, entry.fault) == (3, 2, "")
    assert warned == []


def test_token_vectors_of_other_counts_than_said_are_removed(cache, warned):
    head = {"model": "", "source": asdict(SOURCE)}
    keys = np.frombuffer(b"".join(KEYS), np.uint8).reshape(-1, KEY_BYTES)
    vectors = np.zeros((5, 2), "<f4")
    for tokens in (np.array([2, 2, 2], "<i4"), np.array([2, 3], "<i4"), np.array([2, 2, 1.0])):
        content = seal(SCHEMA, head, keys=keys, vectors=vectors, tokens=tokens)
        path = cache.folder / SOURCE.digest / f"{digest_of(content)}.vectors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        assert list(cache.find(SOURCE, KEYS)) == []
        assert not path.exists()
    assert len(warned) == 3


def of_columns(dimension: int = 9) -> sparse.csr_matrix:
    """Three sparse rows: one without a value, one with a value that is 0."""
    values = np.array([1.5, -2, 0, 3], np.float32)
    columns = np.array([0, dimension - 1, 1, 4])
    return sparse.csr_matrix((values, columns, np.array([0, 2, 2, 4])), (3, dimension))


@pytest.mark.parametrize("dimension", [9, 2**31, 2**40])
def test_sparse_vectors_are_found_as_they_were_and_joined(cache, warned, monkeypatch, dimension):
    monkeypatch.setattr(module, "JOINED_TEXTS", 3)
    rows = of_columns(dimension)
    assert cache.store(SOURCE, KEYS[:1], rows[:1]) == 1
    cache.store(SOURCE, KEYS[1:], rows[1:])
    assert len(files(cache)) == 1
    other = EmbeddingCache(cache.folder, warn=warned.append)
    (hit,) = other.find(SOURCE, KEYS[::-1])
    assert hit.vectors.shape == (3, dimension)
    assert hit.vectors.dtype == np.float32
    for place, row in zip(hit.places, hit.vectors, strict=True):
        expected = rows[[2 - place]]
        for part in ("indptr", "indices", "data"):
            assert getattr(row, part).tolist() == getattr(expected, part).tolist()
    (entry,) = other.entries(check=True)
    assert (entry.head.rows, entry.head.dimension, entry.fault) == (3, dimension, "")
    assert warned == []


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("counts", np.array([2, 0, 1], "<i4")),
        ("counts", np.array([5, -3, 2], "<i4")),
        ("counts", np.array([2, 2], "<i4")),
        ("columns", np.array([0, 8, 1, 9], "<i4")),
        ("columns", np.array([0, 8, 1, -4], "<i4")),
        ("columns", np.array([0, 8, 1], "<i4")),
        ("columns", np.array([0, 8, 1, 4], "<i8")),
        ("columns", None),
        ("vectors", np.zeros(4, "<f8")),
        ("dimension", None),
        ("dimension", 0),
        ("dimension", "many"),
    ],
)
def test_sparse_vectors_that_are_not_as_they_are_written_are_removed(cache, warned, part, value):
    keys = np.frombuffer(b"".join(KEYS), np.uint8).reshape(-1, KEY_BYTES)
    head = {"model": "", "source": asdict(SOURCE), "dimension": 9}
    rows = of_columns()
    parts = {"vectors": rows.data, "columns": rows.indices, "counts": np.diff(rows.indptr)}
    changed = head if part in head else parts
    if value is None:
        del changed[part]
    else:
        changed[part] = value
    content = seal(SCHEMA, head, keys=keys, **parts)
    path = cache.folder / SOURCE.digest / f"{digest_of(content)}.vectors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert list(cache.find(SOURCE, KEYS)) == []
    assert not path.exists()
    assert len(warned) == 1


def test_what_two_files_hold_is_found_once(cache):
    cache.store(SOURCE, KEYS[:2], VECTORS[:2])
    cache.store(SOURCE, KEYS[1:], VECTORS[1:] + 1)
    assert set(found(cache)) == set(TEXTS)


@pytest.mark.parametrize("name", [field.name for field in fields(Source)])
def test_another_field_misses(cache, name):
    cache.store(SOURCE, KEYS, VECTORS)
    assert found(cache, replace(SOURCE, **{name: getattr(SOURCE, name) + "x"})) == {}
    assert len(found(cache)) == 3


def test_vectors_in_the_folder_of_another_source_miss(cache):
    cache.store(SOURCE, KEYS, VECTORS)
    other = replace(SOURCE, identity="declared: another model")
    (path,) = files(cache)
    path.parent.rename(cache.folder / other.digest)
    assert found(cache, other) == {}


def _flip(content: bytes) -> bytes:
    place = len(content) - 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_flip, lambda c: c[:-1], lambda c: c[:70], lambda c: b""])
def test_a_damaged_file_of_vectors_is_said_removed_and_stored_anew(cache, warned, damage):
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


def test_a_file_of_vectors_of_an_older_schema_is_said_and_removed(cache, warned, monkeypatch):
    for each in (module, cache_files):
        monkeypatch.setattr(each, "SCHEMA", "mlbench/embeddings/0")
    cache.store(SOURCE, SOURCE.keys(TEXTS), VECTORS)
    monkeypatch.undo()
    assert found(cache) == {}
    assert files(cache) == []
    assert "of schema 'mlbench/embeddings/0'" in warned[0]


def test_a_file_that_cannot_be_read_or_removed_is_passed_over(cache, warned, monkeypatch):
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


def test_a_file_of_vectors_that_goes_while_it_is_looked_for_is_a_miss(cache, warned, monkeypatch):
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


ABOUT, OTHER = question_digest("what", ["a"]), question_digest("what", ["b"])


def test_what_is_answered_is_recalled_and_nothing_else(cache, warned):
    assert cache.recall(ABOUT) is None
    cache.remember(ABOUT, b"answer")
    cache.remember(OTHER, b"")
    again = EmbeddingCache(cache.folder, warn=warned.append)
    assert [again.recall(ABOUT), again.recall(OTHER)] == [b"answer", b""]
    assert again.recall(question_digest("what", ["c"])) is None
    assert [path.parent for path in files(cache)] == [cache.folder / "answers"] * 2
    assert warned == []


@pytest.mark.parametrize("damage", [_flip, lambda c: c[:-1], lambda c: c[:20], lambda c: b""])
def test_a_damaged_answer_is_said_and_removed(cache, warned, damage):
    cache.remember(ABOUT, b"answer")
    (path,) = files(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert EmbeddingCache(cache.folder, warn=warned.append).recall(ABOUT) is None
    assert files(cache) == []
    (message,) = warned
    assert f"{path} is damaged" in message
    assert "computed again" in message


def test_the_answer_to_another_question_is_not_recalled(cache, warned):
    cache.remember(ABOUT, b"answer")
    (path,) = files(cache)
    path.rename(path.with_name(f"{OTHER}.answer"))
    assert cache.recall(OTHER) is None
    assert "is damaged" in warned[0]


def test_an_answer_that_cannot_be_read_is_passed_over(cache, warned, monkeypatch):
    cache.remember(ABOUT, b"answer")
    monkeypatch.setattr(type(files(cache)[0]), "open", _refuse)
    assert cache.recall(ABOUT) is None
    assert "cannot be read: no permission" in warned[0]


def test_no_answer_is_kept_where_none_can_be(tmp_path, warned):
    (tmp_path / "file").write_text("")
    cache = EmbeddingCache(tmp_path / "file", warn=warned.append)
    assert cache.recall(ABOUT) is None
    cache.remember(ABOUT, b"answer")
    cache.remember(OTHER, b"answer")
    assert len(warned) == 1


def test_answers_are_evicted_listed_checked_and_cleared_as_vectors_are(tmp_path, warned):
    first = EmbeddingCache(tmp_path)
    first.remember(ABOUT, b"x" * 500)
    (answer,) = files(first)
    os.utime(answer, (1, 1))
    path = aged(first, SOURCE, 300)
    assert [entry.head is None for entry in first.entries(check=True)] == [True, False]
    run = EmbeddingCache(tmp_path, limit=answer.stat().st_size + path.stat().st_size - 1)
    run.remember(OTHER, b"y")
    assert [answer.exists(), path.exists()] == [False, True]
    (mine,) = set(files(run)) - {path}
    content = mine.read_bytes()
    mine.write_bytes(content[:-1])
    for check in (False, True):  # an answer is small, and always read whole
        (fault,) = [entry.fault for entry in run.entries(check=check) if entry.fault]
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


def test_the_least_recently_used_files_make_room(tmp_path, warned):
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
    later = seal("mlbench/embeddings/99", {})
    (tmp_path / "embeddings" / SOURCE.digest / f"{digest_of(later)}.vectors").write_bytes(later)
    assert len(found(cache, texts=[*TEXTS, b"delta"])) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mlbench: warning: embedding cache: ")
    assert captured.err.count("\n") == 1
    assert module.embeddings_folder() == tmp_path / "embeddings"


@pytest.fixture
def written(cache):
    """A file of vectors: a zero one, a negative zero, the least and nearly the greatest float32."""
    vectors = np.array([[0, 0, 0], [-0.0, 1e-45, 3e38], [0.1, -2, 3]], np.float32)
    cache.store(SOURCE, KEYS, vectors, "a name")
    (path,) = files(cache)
    return path, vectors


def test_what_is_stored_is_found_bit_for_bit(cache, written):
    (hit,) = cache.find(SOURCE, KEYS)
    assert hit.places.tolist() == [0, 1, 2]
    assert hit.vectors.dtype == np.float32
    assert hit.vectors.tobytes() == written[1].tobytes()
    (entry,) = cache.entries()
    assert (entry.head.model, entry.head.source) == ("a name", SOURCE)
    assert (entry.head.rows, entry.head.dimension) == (3, 3)


def test_the_name_follows_from_the_content(cache, written):
    path, vectors = written
    cache.store(SOURCE, KEYS, vectors.copy(), "a name")
    assert files(cache) == [path]
    changed = vectors.copy()
    changed[0, 0] = -0.0
    cache.store(SOURCE, KEYS, changed, "a name")
    cache.store(SOURCE, SOURCE.keys([b"a", b"b", b"e"]), vectors, "a name")
    cache.store(replace(SOURCE, prompt=""), KEYS, vectors, "a name")
    cache.store(SOURCE, KEYS, vectors, "another name")
    assert len({file.name for file in files(cache)}) == 5


def test_every_changed_bit_and_every_other_length_is_found(tmp_path, cache, written):
    content = written[0].read_bytes()
    flipped = (
        content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        for at in range(len(content))
    )
    cut = (content[:length] for length in range(len(content)))
    for damaged in itertools.chain(flipped, cut, [content + b"\0"]):
        written[0].write_bytes(damaged)
        (entry,) = cache.entries(check=True)
        assert (entry.head, bool(entry.fault)) == (None, True)


@pytest.mark.parametrize(
    ("source", "keys", "vectors"),
    [
        ({}, KEYS, VECTORS),
        (None, KEYS, VECTORS),
        ([1], KEYS, VECTORS),
        (asdict(SOURCE), KEYS[:2], VECTORS),
        (asdict(SOURCE), [], VECTORS[:0]),
        (asdict(SOURCE), KEYS, VECTORS[:, :0]),
        (asdict(SOURCE), KEYS, VECTORS[:, 0]),
        (asdict(SOURCE), KEYS, VECTORS.astype(np.float64)),
        (asdict(SOURCE), KEYS, VECTORS.tobytes()),
    ],
)
def test_what_is_sealed_but_no_file_of_vectors_is_said_and_removed(
    cache, warned, source, keys, vectors
):
    table = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
    content = seal(SCHEMA, {"model": "", "source": source}, keys=table, vectors=vectors)
    path = cache.folder / SOURCE.digest / f"{digest_of(content)}.vectors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert found(cache) == {}
    assert not path.exists()
    assert "not vectors as mlbench writes them" in warned[0]


def test_files_of_an_earlier_mlbench_are_removed_and_cleared(cache, warned):
    vectors = cache.folder / SOURCE.digest / f"{'a' * 64}.vectors"
    note = cache.folder / "notes" / f"{'b' * 64}.note"
    for path in (vectors, note):
        path.parent.mkdir(parents=True)
        path.write_bytes(json.dumps({"schema": "mlbench/embeddings/1"}).encode() + b"\n")
    assert found(cache) == {}
    assert [vectors.exists(), note.exists()] == [False, True]
    assert "computed again" in warned[0]
    assert cache.clear() > 0
    assert files(cache) == []


@pytest.mark.parametrize("name", [field.name for field in fields(Source)])
def test_each_field_changes_the_keys_and_the_folder(name):
    changed = replace(SOURCE, **{name: getattr(SOURCE, name) + "x"})
    assert not set(changed.keys([b"a", b"b"])) & set(SOURCE.keys([b"a", b"b"]))
    assert changed.digest != SOURCE.digest


def test_the_text_and_the_schema_change_the_key(monkeypatch):
    assert SOURCE.keys([b"a"]) != SOURCE.keys([b"b"])
    before = SOURCE.keys([b"a"])
    monkeypatch.setattr(cache_files, "SCHEMA", "mlbench/embeddings/99")
    assert SOURCE.keys([b"a"]) != before


_parts = st.tuples(*[st.text("ab\0", max_size=3)] * len(fields(Source)), st.binary(max_size=3))


@given(_parts, _parts)
def test_no_other_fields_and_text_give_the_same_key(a, b):
    """Fields are marked off by their lengths: moving a character to the next field is a change."""
    (first,), (second,) = Source(*a[:-1]).keys(a[-1:]), Source(*b[:-1]).keys(b[-1:])
    assert (first == second) == (a == b)
    assert (Source(*a[:-1]).digest == Source(*b[:-1]).digest) == (a[:-1] == b[:-1])
    assert astuple(Source(*a[:-1])) == a[:-1]


TEXT = st.text(max_size=8)
PARTS = st.lists(st.lists(TEXT, max_size=3), max_size=3)


@given(TEXT, PARTS, TEXT, PARTS)
def test_no_other_question_has_the_same_digest(one, parts, other, others):
    same = (one, parts) == (other, others)
    assert (question_digest(one, *parts) == question_digest(other, *others)) == same


def test_where_a_part_of_a_question_ends_matters():
    cut = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""]]
    digests = {question_digest("q", part) for part in cut}
    digests |= {question_digest("q", ["ab"], ["c"]), question_digest("qabc")}
    assert len(digests | {question_digest("q", ["\ud800"])}) == len(cut) + 3


@pytest.mark.parametrize("answer", [b"", b"some bytes", bytes(range(256))])
def test_an_answer_is_recalled_as_it_was_and_not_when_changed_or_cut(cache, warned, answer):
    cache.remember(ABOUT, answer)
    (path,) = files(cache)
    content = path.read_bytes()
    assert cache.recall(ABOUT) == answer
    flipped = (
        content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))
    )
    cut = (content[:size] for size in range(len(content)))
    damages = [*flipped, *cut, content + b"x"]
    for damaged in damages:
        path.write_bytes(damaged)
        assert cache.recall(ABOUT) is None
    assert len(warned) == len(damages)
