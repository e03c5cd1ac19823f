"""The result of a verification as JSON and as words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlbench.leaderboard.entries.entry import VERIFICATION_SCHEMA, Level
from mlbench.leaderboard.entries.strict import parse_json
from mlbench.leaderboard.verifying.verification import (
    Check,
    Limits,
    Recomputed,
    UsedModel,
    Verdict,
    Verification,
    VerifiedEntry,
    VerifiedTask,
    terminal_verification,
    verification_json,
)

FOUND = Verification(
    verdict=Verdict.AGREES,
    level=Level.SAMPLED,
    entry=VerifiedEntry("entry", "ab" * 32, "cd" * 32, "some-model", "declared: v1"),
    task=VerifiedTask("parallel", "1", "ef" * 32),
    model=UsedModel("a/b.py:make", "some-model", "declared: v1", True, "cosine", 64, "float32"),
    recomputed=Recomputed(
        7, 200, 13_090, {"ar": 100, "de": 80}, {"query": 199, "passage": 900}, 26_104
    ),
    limits=Limits(1e-5, True, 1e-4, 0.001),
    checks=(
        Check("order", True, 2200, 0),
        Check("whole", True, 12, evidence=-0.21, threshold=5.68),
    ),
    understated=0.05,
    excess=0.02,
    score_difference=None,
    notes=(),
    command="mlbench verify ENTRY --model SPEC",
    date="2025-01-31T12:00:00+00:00",
    seconds=12.34,
    versions={"mlbench": "0.1.0"},
    platform="Linux",
)  # fmt: skip
CONTRADICTED = replace(
    FOUND,
    verdict=Verdict.DISAGREES,
    level=None,
    model=replace(FOUND.model, same=False),
    checks=(
        Check("order", False, 2200, 3, example="query 'q\u202e1' (ar), passage 'p' (de) " * 3),
        Check("whole", False, 12, evidence=300.0, threshold=5.68, example="more passages above"),
    ),
    notes=("The vectors have 3 dimensions.",),
)


def test_json_is_strict_and_has_every_key():
    table = parse_json(verification_json(CONTRADICTED).encode(), "verify.json")
    assert table["schema"] == VERIFICATION_SCHEMA
    assert table["verdict"] == "disagrees"
    assert table["level"] is None
    assert table["recomputed"]["seed"] == 7
    assert table["checks"][0]["differing"] == 3
    assert table["limits"]["false_alarm"] == 1e-4
    assert json.loads(verification_json(FOUND))["level"] == "sampled"


@pytest.mark.parametrize(
    ("verdict", "level", "code"),
    [
        (Verdict.AGREES, Level.SAMPLED, 0),
        (Verdict.AGREES, None, 3),
        (Verdict.INCONCLUSIVE, None, 3),
        (Verdict.DISAGREES, None, 6),
    ],
)
def test_exit_codes(verdict, level, code):
    assert replace(FOUND, verdict=verdict, level=level).exit_code == code


def test_words_of_an_honest_entry():
    text = terminal_verification(FOUND)
    assert text.startswith("some-model on parallel: AGREES\n")
    for expected in (
        "200 of 13,090 queries; 80 to 100 drawn passages",
        "1,099 distinct texts",
        "26,104",
        "seed      7",
        "10^-0.2",
        "10^5.7",
        "5% lower",
        "level sampled",
        "the identity",
    ):
        assert expected in text


def test_words_of_a_contradiction_hide_nothing_and_fit():
    text = terminal_verification(CONTRADICTED)
    assert text.startswith("some-model on parallel: DISAGREES, with a model of another identity\n")
    assert "q\\u202e1" in text
    assert "\u202e" not in text
    assert "NOT the identity" in text
    assert "one honest table in 10,000" in " ".join(text.split())
    assert "The vectors have 3 dimensions." in text
    assert "no level." in text
    assert max(map(len, text.splitlines())) <= 80


def test_words_of_a_sample_that_sees_only_an_excess():
    text = terminal_verification(replace(FOUND, understated=None))
    assert "another 2.0% of the other passages" in " ".join(text.split())


def test_words_of_a_full_run():
    full = replace(
        FOUND,
        recomputed=replace(FOUND.recomputed, seed=None),
        checks=(Check("rows", True, 143_990, 12, example="counts differ by 1 at most"),),
        understated=None,
        excess=None,
        score_difference=1.5e-5,
        level=Level.REPRODUCED,
    )
    text = terminal_verification(full)
    assert "compared  everything" in text
    assert "seed" not in text
    assert "rows: counts differ by 1 at most" in text
    assert "0.000015." in text
    assert "reproduced" in text
