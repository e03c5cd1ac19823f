"""`mlbench overlap`, as a user runs it."""

from __future__ import annotations

import json

import pytest

from mlbench.commands.cli import main
from mlbench.data.overlap_record import SCHEMA

SAME = ["overlap", "--data", "sample", "--task", "sample", "--quiet"]


def test_a_table_fits_into_80_columns(capsys: pytest.CaptureFixture[str]):
    assert main([*SAME, "--task", "emoji-names"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "sample (704 distinct texts) holds 352 of 352 questions (100.00%)" in said
    assert "emoji-names (version 1)" in said.replace("\n", " ")
    (total,) = [line for line in said.splitlines() if line.startswith("all ")][:1]
    assert total.split() == ["all", "352", "352", "0", "704", "352", "0"]
    assert "The longest of them:" in said


def test_json_is_what_python_returns(capsys: pytest.CaptureFixture[str]):
    assert main([*SAME, "--json", "--threshold", "0.9"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["threshold"], found["task"]) == (SCHEMA, 0.9, "sample")
    assert found["counts"][0] == {
        "role": "query",
        "language": "ar",
        "texts": 32,
        "exact": 32,
        "near": 0,
    }


def test_strict_ends_with_exit_code_3(capsys: pytest.CaptureFixture[str]):
    assert main([*SAME, "--strict"]) == 3
    found = capsys.readouterr()
    assert "all " in found.out
    assert "training set sample: holds 704 of the 1,056 questions and passages" in found.err
    assert main(["overlap", "--data", "emoji-train", "--task", "emoji-names", "--strict"]) == 0


@pytest.mark.parametrize("threshold", ["0", "two", "1.01", "nan"])
def test_a_wrong_threshold(capsys: pytest.CaptureFixture[str], threshold: str):
    with pytest.raises(SystemExit):
        main([*SAME, "--threshold", threshold])
    assert "is not a number above 0, at most 1" in capsys.readouterr().err
