"""`mlbench models speed`: what a user sees of a model's speed."""

from __future__ import annotations

import json

import mlbench as package
from tests.support.command_line import mlbench


def test_speed_shows_a_row_a_role_and_the_hardware(tmp_path):
    done = mlbench("models", "speed", "char-ngram", "--rounds", "1", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    (query,) = [line for line in lines if line[:1] == ["query"]]
    assert query[1:4] == ["52", "-", "-"]
    assert ["bytes", "a", "passage:", "4,096"] in lines
    assert any(line[:1] == ["hardware:"] for line in lines)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_speed_as_json_is_that_of_the_vectors_of_a_run(tmp_path):
    done = mlbench("models", "speed", "random:1", "--rounds", "2", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert len(found["roles"]["query"]["seconds"]) == 2
    report = package.evaluate("random:1", "sample", progress=False)
    assert found["dimension"] == report.model.dimension
    assert found["roles"]["passage"]["size"]["bytes"] == report.model.sizes["passage"].bytes


def test_speed_of_vectors_that_are_looked_up_is_refused(tmp_path):
    (tmp_path / "passages.en.npy").write_bytes(b"")
    done = mlbench("models", "speed", "precomputed:.", "--json", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
