"""Whole runs of small real models over the sample task."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from mlbench.commands.cli import main
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.reports.report import read_report
from tests.conftest import REPOSITORY
from tests.support.reports import pair

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
    report, ranks = pair(read_report(first))
    assert report.model.adapter == "sentence-transformers"
    assert report.model.dimension == 32
    assert len(ranks.languages) == 11
    warm = _run(folder, tmp_path / "warm")
    cold = _run(folder, tmp_path / "cold", "--no-cache")
    tables = {(path / "ranks.parquet").read_bytes() for path in (first, warm, cold)}
    assert len(tables) == 1


LIBRARIES = ("torch", "transformers", "sentence_transformers", "tokenizers", "pandas")


def test_a_warm_run_loads_no_model_and_reports_the_same(full_folder: Path, tmp_path: Path) -> None:
    cold, ranks = pair(read_report(_run(full_folder, tmp_path / "cold")))
    arguments = ["run", "--model", str(full_folder), "--task", "sample", "--quiet", "--json"]
    code = (
        "import sys; from mlbench.commands.cli import main\n"
        f"assert main({[*arguments, '--output', str(tmp_path / 'warm')]!r}) == 0\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    warm, again = pair(read_report(tmp_path / "warm" / full_folder.name / "sample"))
    assert (again.above == ranks.above).all()
    assert [cold.run.encoded[role].cached for role in ("query", "passage")] == [0, 0]
    assert all(role.cached == role.distinct for role in warm.run.encoded.values())
    assert warm.run.truncated == cold.run.truncated
    assert warm.run.versions == cold.run.versions
    assert replace(warm, run=cold.run) == cold
    data = read_collection(task := find_task("sample"), Locator(offline=True).of(task))
    assert warm.model.first_input == {
        "query": "q: " + data.queries.texts[0],
        "passage": "passage: " + data.passages.texts[0],
    }


def test_the_benchmark_of_whole_runs_runs(full_folder: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    arguments = ["--tiny", "--only", "warm", "--model", str(full_folder), "--json", str(result)]
    assert benchmarks.main(arguments) == 0
    alone, first, again = json.loads(result.read_text())["rows"]
    assert "whole run" in first["what"]
    assert "warm cache" in again["what"]
    assert all(row["seconds"] > 0 for row in (alone, first, again))
    assert again["ratio"] == again["seconds"] / alone["seconds"]
