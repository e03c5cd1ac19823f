"""Whole runs of small real models over the sample task."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.cli import main
from mlbench.report import read_report

pytest.importorskip("sentence_transformers")


def _run(folder: Path, output: Path, *options: str) -> Path:
    arguments = ["run", "--model", str(folder), "--task", "sample", "--output", str(output)]
    assert main([*arguments, "--quiet", "--json", *options]) == 0
    return output / folder.name / "sample"


@pytest.mark.parametrize("kind", ["bare_folder", "full_folder"])
def test_a_run_from_folder_to_report(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    first = _run(folder, tmp_path / "first")
    report, ranks = read_report(first)
    assert report.model.adapter == "sentence-transformers"
    assert report.model.dimension == 32
    assert len(ranks.languages) == 11
    warm = _run(folder, tmp_path / "warm")
    cold = _run(folder, tmp_path / "cold", "--no-cache")
    tables = {(path / "ranks.parquet").read_bytes() for path in (first, warm, cold)}
    assert len(tables) == 1
