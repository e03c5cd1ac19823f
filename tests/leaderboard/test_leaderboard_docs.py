"""docs/leaderboard.md explains every key, and the limits are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlbench.leaderboard.checking import changes
from mlbench.leaderboard.entries import fields, strict, tables
from mlbench.leaderboard.entries.entry import (
    MODEL_LEFT_OUT,
    RUN_LEFT_OUT,
    Contamination,
    Entry,
    LeaderboardTask,
    Level,
    Lifting,
    Record,
    Withdrawal,
)
from tests.reports.test_report_docs import keys_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "leaderboard.md"


def section(heading: str) -> str:
    """What stands below a heading."""
    parts = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.M)
    return next(part for part in parts if part.startswith(heading + "\n"))


def documented(heading: str) -> set[str]:
    """The first column of the tables below a heading; what stands for a name becomes <>."""
    keys = re.findall(r"^\| `([^`]+)`", section(heading), re.M)
    assert len(keys) == len(set(keys))
    return {re.sub("<[a-z]+>", "<>", key) for key in keys}


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("entry.json", [Entry]),
        ("task.json", [LeaderboardTask]),
        ("Records and withdrawals", [Record, Withdrawal]),
        ("Lifted disputes", [Lifting]),
    ],
)
def test_every_key_is_explained_and_no_other(heading: str, kinds: list[type]) -> None:
    expected = {"schema", *(key for kind in kinds for key in keys_of(kind, ""))}
    expected = {"evidence" if key == "evidence.<>" else key for key in expected}
    dropped = {f"run.{key}" for key in RUN_LEFT_OUT} | {f"model.{key}" for key in MODEL_LEFT_OUT}
    expected = {key for key in expected if not any(key.startswith(name) for name in dropped)}
    assert documented(heading) == expected


def test_every_level_and_word_is_explained() -> None:
    levels = re.findall(r"^\| (\w+) \|", section("Levels of trust"), re.M)
    assert levels[1:] == [level.value for level in Level]
    assert documented("Contamination") == {word.value for word in Contamination}


def test_the_limits_are_those_of_the_program() -> None:
    told = dict(re.findall(r"^\| (.+?) \| (\d.*?) \|$", section("Limits"), re.M))
    assert list(told.values()) == [
        f"{changes.MOST_ENTRIES}",
        f"{changes.MOST_BYTES // 2**20} MiB",
        f"{strict.MAX_JSON // 2**10} KiB",
        f"{tables.MAX_TABLE // 2**20} MiB",
        f"{fields.MOST_MEASURES}",
        f"{strict.MAX_NAME} characters",
        f"{fields.LONGEST['note']:,} characters",
    ]
