from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.common import files as artefacts
from mlbench.common.errors import EnvironmentFault
from mlbench.common.files import check_writable, slug, write_atomically


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_and_a_folder_that_is_a_file_are_found_before_work(tmp_path, monkeypatch):
    with pytest.raises(EnvironmentFault, match="MiB free on the disk"):
        check_writable(tmp_path, 2**80)
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        check_writable(tmp_path / "file" / "below", 1)


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_slugs_are_safe_and_do_not_collide(a, b):
    for name in (a, b):
        made = slug(name)
        assert made == made.lower()
        assert 0 < len(made) <= 71
        assert not set(made) - set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert made[0] not in ".-"
        assert not artefacts.RESERVED.fullmatch(made)
    assert (slug(a) == slug(b)) == (a == b)


@pytest.mark.parametrize(
    "name", ["a/b", "A", "..", "con", "nul.txt", "x" * 300, "a\x00b", "a__B", ""]
)
def test_awkward_names_get_a_digest(name):
    assert slug(name) != name
    assert slug(slug(name)) != slug(name)


def test_plain_names_stay():
    assert [slug(n) for n in ("bm25", "char-ngram", "a__b", "x.y-1")] == [
        "bm25", "char-ngram", "a__b", "x.y-1",
    ]  # fmt: skip
