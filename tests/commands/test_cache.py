from __future__ import annotations

import json
import os
from argparse import Namespace

import numpy as np
import pytest

from mlbench.commands.cache import clear, info, verify
from mlbench.models.cache import open_cache
from mlbench.models.cache_files import Source

PLAIN, JSON = Namespace(json=False), Namespace(json=True)


@pytest.fixture
def cache():
    """Two models: "old" with two queries, "new" with a query and three passages in two files."""
    cache = open_cache()
    parts = [("old", "query", 2), ("new", "query", 1), ("new", "passage", 1), ("new", "passage", 2)]
    for number, (name, role, rows) in enumerate(parts):
        source = Source(f"declared: {name}", role)
        keys = source.keys([f"{number} {row}".encode() for row in range(rows)])
        cache.store(source, keys, np.ones((rows, 4), np.float32), name)
    for entry in cache.entries():
        if entry.head.model == "old":
            os.utime(entry.path, (10**9, 10**9))
    return cache


def test_info_says_what_is_held_of_each_model(cache, capsys):
    assert info(JSON) == 0
    facts = json.loads(capsys.readouterr().out)
    new, old = facts["models"]
    size = sum(entry.size for entry in cache.entries())
    assert facts["bytes"] == new["bytes"] + old["bytes"] == size
    assert (new["model"], new["identity"], new["query"], new["passage"]) == (
        "new", "declared: new", 1, 3,
    )  # fmt: skip
    assert (old["query"], old["passage"], old["dimension"]) == (2, 0, 4)
    assert old["used"] == "2001-09-09T01:46:40+00:00"
    assert info(PLAIN) == 0
    out = capsys.readouterr().out
    assert "2001-09-09" in out
    assert f"{cache.folder}: 0.0 MiB of 20,480 MiB used" in out
    assert max(map(len, out.splitlines()[:4])) <= 80


def test_verify_finds_what_is_damaged_and_exits_with_6(cache, capsys):
    assert verify(PLAIN) == 0
    assert capsys.readouterr().out.startswith("4 files read, of which 0 ")
    path = next(entry.path for entry in cache.entries())
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(PLAIN) == 6
    out = capsys.readouterr().out
    assert f"{path}: damaged: it has" in out
    assert "4 files read, of which 1 " in out
    assert verify(JSON) == 6
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault["file"] == str(path)
    assert path.exists()
    assert info(PLAIN) == 0
    assert "1 file cannot be used" in capsys.readouterr().out


def test_clear_empties_the_cache(cache, capsys):
    assert clear(PLAIN) == 0
    assert str(cache.folder) in capsys.readouterr().out
    assert list(cache.entries()) == []
    assert info(PLAIN) == verify(PLAIN) == clear(PLAIN) == 0


def test_scores_of_pairs_have_a_column_where_there_are_any(cache, capsys):
    assert info(PLAIN) == 0
    assert "pairs" not in capsys.readouterr().out
    source = Source("declared: reranker", "pair")
    cache.store(source, source.keys([b"a", b"b"]), np.ones((2, 1), np.float32), "reranker")
    assert info(JSON) == 0
    models = {each["model"]: each for each in json.loads(capsys.readouterr().out)["models"]}
    counts = {name: each["pair"] for name, each in models.items()}
    assert counts == {"reranker": 2, "new": 0, "old": 0}
    assert info(PLAIN) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["queries", "passages", "pairs", "dimension"]
    assert ["0", "0", "2", "-"] in [row.split()[:4] for row in rows]
