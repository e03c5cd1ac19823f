"""Validation: what is honest passes, and every forgery is found, with its file and field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlbench.common.files import slug
from tests.leaderboard.boards import TASK, check, edit, exit_code

ALPHA, BETA = f"{TASK}/alpha", f"{TASK}/{slug('Beta/large')}"
PUBLISHED = f"{TASK}/{slug('Published (2020)')}"


def test_an_honest_board_is_in_order(honest: Path) -> None:
    findings = check(honest)
    assert (findings.malformed, findings.contradictory, findings.flags) == ([], [], [])


def test_every_part_of_it_is_in_order_by_itself(honest: Path) -> None:
    for path in (ALPHA, BETA, PUBLISHED, TASK):
        assert exit_code(check(honest, path)) == 0


def test_a_part_that_is_chosen_hides_the_faults_of_others(board: Path) -> None:
    edit(board / BETA / "entry.json", ("model", "dimension"), -1)
    assert exit_code(check(board, ALPHA)) == 0
    assert exit_code(check(board, BETA)) == 3
    assert exit_code(check(board)) == 3


Keys = tuple[str | int, ...]
MONO, MULTI = ("macro", "monolingual"), ("macro", "multilingual")
SCORE = {"value": 1.0, "low": None, "high": None, "optimistic": None}
SEEN = {"training": "books", "digest": "0" * 64, "texts": 9, "exact": 2, "near": 1}
SEEN |= {"threshold": 0.8}
SOURCE = {"citation": "c", "link": "https://example.org"}
SCRIPT = "<script>alert(1)</script>"
EDITS: list[tuple[Keys, Any, int, str]] = [
    # what the entry says, altered; the exit code; what the message names
    ((*MULTI, "AP", "value"), 0.99, 6, "macro.multilingual.AP.value"),
    ((*MONO, "RR", "low"), 0.0, 6, "macro.monolingual.RR.low"),
    ((*MONO, "RR", "high"), None, 6, "macro.monolingual.RR.high"),
    ((*MONO, "R@1", "optimistic"), 1.0, 6, "macro.monolingual.R@1.optimistic"),
    ((*MONO, "AP"), ..., 6, "macro.monolingual.AP: 'nothing'"),
    (MULTI, ..., 6, "macro.multilingual: 'nothing'"),
    (("macro", "bilingual"), {}, 6, "macro.bilingual: {}"),
    (("bias", "rank_distance", "value"), 1.0, 6, "bias.rank_distance.value"),
    (("bias", "rank_distance"), None, 6, "bias.rank_distance"),
    (("bias", "floor"), 0.5, 6, "bias.floor"),
    (("bias", "random"), 5000.0, 6, "bias.random"),
    (("bias", "same_language"), 1.0, 6, "bias.same_language"),
    (("bias", "measures", "Max@R", "value"), 99.0, 6, "bias.measures.Max@R.value"),
    (("bias", "measures", "Nice@R"), SCORE, 6, "bias.measures.Nice@R: "),
    (("measures",), ["AP"], 3, "measures: without R@10"),
    (("measures",), ["AP", "R@10", "Foo"], 3, "measures: measure 'Foo'"),
    (("measures",), ["AP", "AP", "R@10"], 3, "measures"),
    (("measures",), ["AP", "R@10", "R@9999999999"], 3, "measures: 'R@9999999999'"),
    (("measures",), [f"R@{k}" for k in range(1, 40)] + ["AP"], 3, "40 measures"),
    (("measures",), ["AP", "R@10", "__import__('os')"], 3, "measures"),
    (("ranks_sha256",), "0" * 64, 6, "ranks.parquet: SHA-256"),
    (("declared", "report_sha256"), "none", 3, "declared.report_sha256"),
    (("ranks_sha256",), None, 3, "ranks_sha256: null"),
    (("run",), None, 3, "run: null"),
    (("run", "date"), "2025-06-09T00:00:00+00:00", 3, "run.date"),
    (("run", "date"), "9999-12-31T23:59:59", 3, "run.date"),
    (("run", "date"), "yesterday", 3, "run.date"),
    (("run", "threads"), -2, 3, "run: -2"),
    (("run", "seconds", "encoding"), "fast", 3, "run.seconds.encoding"),
    (("run", "seconds", "encoding"), 1e308, 3, "run.seconds.encoding: 1e+308"),
    (("run", "encoded", "query", "cached"), -(10**9), 3, "run.encoded.query: -1000000000 of"),
    (("run", "encoded", "query", "cached"), 10**9, 3, "run.encoded.query: 1000000000 of"),
    (("run", "encoded", "query", "distinct"), 10**9, 3, "run.encoded.query"),
    (("run", "encoded", "title"), {"texts": 1, "distinct": 1, "cached": 0}, 3, "encoded.title"),
    (("declared", "kind"), "reported", 6, "ranks_sha256: given"),
    (("declared", "kind"), "proven", 3, "declared.kind: 'proven'"),
    (("level",), "reproduced", 3, "level"),
    (("trust",), {"level": "reproduced"}, 3, "trust"),
    (("schema",), "mlbench/entry/3", 3, "schema: 'mlbench/entry/3'"),
    (("schema",), "mlbench/entry/1", 3, "write it again from its report"),
    (("task", "name"), "sample", 3, "task.name: 'sample'"),
    (("task", "version"), "2", 3, "task.version: '2'"),
    (("task", "digest"), "0" * 64, 3, "task.digest"),
    (("task", "digest"), None, 3, "task.digest"),
    (("task", "digest"), "", 3, "task.digest"),
    (("task", "kinds"), ["monolingual"], 3, "task.kinds"),
    (("model", "name"), "gamma", 3, "model.name: 'gamma' in the folder alpha"),
    (("model", "name"), "", 3, "model.name"),
    (("model", "name"), "x" * 300, 3, "300 characters"),
    (("model", "name"), SCRIPT, 3, f"model.name: {SCRIPT!r} holds '<'"),
    (("model", "name"), "</script>", 3, "model.name: '</script>' holds '<'"),
    (("model", "name"), "=cmd|' /C calc'!A0", 3, "begins with '='"),
    (("model", "name"), "+1", 3, "begins with '+'"),
    (("model", "name"), "-1", 3, "begins with '-'"),
    (("model", "name"), "@SUM(A1)", 3, "begins with '@'"),
    (("model", "name"), "\tx", 3, "model.name: holds U+0009"),
    (("model", "name"), "al\u202epha", 3, "model.name: holds U+202E (right-to-left override)"),
    (("model", "name"), "\x1b[31malpha", 3, "model.name: holds U+001B"),
    (("model", "name"), "al\u200bpha", 3, "model.name: holds U+200B (zero width space)"),
    (("model", "name"), "al\u2028pha", 3, "model.name: holds U+2028"),
    (("model", "name"), "al\ue000pha", 3, "model.name: holds U+E000"),
    (("model", "similarity"), "euclid", 3, "model.similarity: 'euclid'"),
    (("model", "spec"), None, 3, "model.spec: None"),
    (("model", "spec"), "", 3, "model.spec: ''"),
    (("model", "identity"), None, 3, "model.identity: None"),
    (("model", "identity"), "", 3, "model.identity: ''"),
    (("model", "device"), "d" * 1000, 3, "model.device"),
    (("model", "dimension"), -1, 3, "model.dimension"),
    (("model", "dimension"), "64", 3, "model.dimension"),
    (("model", "dimension"), True, 3, "model.dimension"),
    (("model", "dimension"), 64.0, 3, "model.dimension"),
    (("model", "dimension"), 2**60, 3, "broken JSON: integer"),
    (("model", "parameters"), -5, 3, "model.parameters"),
    (("model", "notes"), "one text", 3, "model.notes"),
    (("model", "prompts", "query"), "\u2066ask", 3, "model.prompts.query: holds U+2066"),
    (("model", "prompts", "a\x1bb"), "ask", 3, "model.prompts.a\\u001bb: its key holds"),
    (("model", "pooling"), "m" * 1000, 3, "model.pooling"),
    (("model", "pooling"), ..., 3, "model.pooling: missing"),
    (("declared", "note"), ..., 3, "declared.note: missing"),
    (("directions",), {}, 3, "directions: empty\n  expected: a value, or no such key"),
    (("declared", "note"), "n" * 3000, 3, "declared.note: 3,000 characters"),
    (("declared", "note"), "n" * 30_000, 3, "declared.note: 30,000 characters"),
    (("declared", "note"), "bell\x07", 3, "declared.note: holds U+0007"),
    (("declared", "note"), "\x9b31m", 3, "declared.note: holds U+009B"),
    (("declared", "note"), None, 3, "declared.note"),
    (("declared", "submitter"), "Eve <script>", 6, "declared.submitter"),
    (("declared", "submitter"), "=Eve", 6, "declared.submitter"),
    (("declared", "submitter"), " ", 6, "declared.submitter"),
    (("declared", "date"), "2026-01-01", 3, "declared.date: 2026-01-01 is in the future"),
    (("declared", "date"), "9999-12-31", 3, "declared.date: 9999-12-31 is in the future"),
    (("declared", "date"), "2025-02-30", 3, "declared.date: '2025-02-30'"),
    (("declared", "date"), "01/06/2025", 3, "declared.date: '01/06/2025'"),
    (("declared", "link"), "javascript:alert(1)", 3, "declared.link: 'javascript:alert(1)'"),
    (("declared", "link"), "data:text/html,<script>", 3, "declared.link"),
    (("declared", "link"), "http://example.org", 3, "declared.link"),
    (("declared", "link"), "https://example.org/\" onclick=\"x", 3, "declared.link"),
    (("declared", "link"), "https://user:pw@example.org/", 3, "declared.link"),
    (("declared", "link"), "https:/\\evil.example", 3, "declared.link"),
    (("declared", "contamination"), "mostly clean", 3, "expected: one of clean, trained-on"),
    (("declared", "contamination"), None, 3, "declared.contamination"),
    (("declared", "training_languages"), ["<b>"], 3, "declared.training_languages: '<b>'"),
    (("declared", "training_data"), ["x"] * 101, 3, "declared.training_data: 101"),
    (("declared", "in_training"), [SEEN | {"near": 99}], 3, "in_training[0]: 2 exact and 99 near"),
    (("declared", "in_training"), [SEEN | {"exact": -1}], 3, "in_training[0]: -1 exact"),
    (("declared", "in_training"), [SEEN | {"digest": "x"}], 3, "in_training[0].digest: 'x'"),
    (("declared", "in_training"), [SEEN | {"threshold": 2}], 3, "in_training[0].threshold: 2"),
    (("declared", "in_training"), [SEEN | {"training": ""}], 3, "in_training[0].training: 0"),
    (("declared", "licence"), "l" * 201, 3, "declared.licence"),
    (("declared", "source"), SOURCE, 3, "declared.source: given"),
    (("truncated",), {"query": 1.5}, 3, "truncated.query"),
    (("truncated",), {"title": 0.5}, 3, "truncated.title"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value", "code", "named"),
    EDITS,
    ids=lambda each: ".".join(map(str, each))[:60] if isinstance(each, tuple) else None,
)
def test_an_edited_entry_is_found(
    board: Path, keys: Keys, value: Any, code: int, named: str
) -> None:
    path = board / ALPHA / "entry.json"
    edit(path, keys, value)
    shutil.rmtree(board / "records")  # it names the digest of what was edited
    error = check(board, ALPHA).error()
    assert error is not None
    assert error.exit_code == code
    assert named in str(error)
    assert str(path.parent) in str(error)
    assert not any(character in str(error) for character in "\x1b\u202e\x07\t\x9b")
