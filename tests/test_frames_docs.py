"""The examples of docs/frames.md print what the page says, and that is what the report says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page_examples import run_examples


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars", "duckdb"):
        pytest.importorskip(name, reason=f"docs/frames.md needs {name}, which is not installed")
    monkeypatch.chdir(tmp_path)
    names = run_examples("frames.md", 20)
    report, mixed, mono = (names[name] for name in ("report", "mixed", "mono"))
    of = {
        (each.kind, each.query_language): each.measures["RR"]
        for each in report.settings
        if each.kind != "crosslingual"
    }
    success = report.per_query("multilingual", measures="Success@10")
    shares = {
        each.setting.query_language: each.values["Success@10"].mean() for each in success.settings
    }
    assert len(mixed) == len(mono) == 11
    for language, rr, share in mixed:
        assert rr == pytest.approx(of["multilingual", language], abs=1e-12)
        assert share == pytest.approx(shares[language], abs=1e-12)
    for language, rr in mono.iter_rows():
        assert rr == pytest.approx(of["monolingual", language], abs=1e-12)
