"""The benchmarks run, and what they compare agrees; how fast, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_benchmarks_run_at_a_tiny_size(tmp_path):
    result, picture = tmp_path / "result.json", tmp_path / "result.png"
    command = [sys.executable, "-m", "benchmarks", "--tiny"]
    done = subprocess.run(
        [*command, "--json", str(result), "--plot", str(picture)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(result.read_text())["rows"]
    names = " ".join(row["what"] for row in rows)
    for expected in ("product", "132 settings", "argsort", "pytrec_eval", "ranx", "streaming"):
        assert expected in names
    assert all(row["ratio"] > 0 for row in rows)
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--turns", "0"], 2, "not a whole number from 1"),
        (["--questions", "0"], 2, "not a whole number from 1"),
        (["--threads", "none"], 2, "not a whole number from 1"),
        (["--json", "no/folder/result.json"], 2, "no folder no/folder"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_timed(arguments, code, said):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "product" not in done.stdout


def test_what_was_measured_is_shown_where_a_later_group_fails(tmp_path):
    result = tmp_path / "result.json"
    groups = ["--only", "start", "--only", "warm", "--model", str(tmp_path / "none")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", *groups, "--json", str(result)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr
    assert "mlbench --help" in done.stdout
    assert [row["what"] for row in json.loads(result.read_text())["rows"]][-1] == "mlbench --help"


def test_what_does_not_compute_the_same_is_not_timed():
    from benchmarks import others, scoring
    from benchmarks.data import xquad_r_shape
    from mlbench.data.task import Kind, all_settings

    problem = xquad_r_shape(scale=0.02)
    settings = all_settings(problem.collection.languages, Kind)
    ours = scoring.scores_of(scoring.table_of(problem, 1))
    for kind in others.SORTS.values():
        theirs = others.scores_by_sorting(problem, settings, kind)
        assert theirs.keys() == ours.keys()
        others.agree("argsort", ours, theirs)
        for key in list(theirs)[:: len(theirs) // 20]:
            for wrong in (theirs[key] + 0.01, theirs[key] - 0.01, float("nan")):
                with pytest.raises(RuntimeError, match=rf"argsort: .*, {key[1]}: "):
                    others.agree("argsort", ours, theirs | {key: wrong})


def test_mteb_finds_the_same_in_the_same_vectors():
    pytest.importorskip("mteb", reason="MTEB, an optional peer of the benchmarks, is not installed")
    from benchmarks import mteb_search, scoring
    from benchmarks.data import xquad_r_shape
    from mlbench.data.task import Kind, all_settings
    from mlbench.measures.rank_measures import parse_measures

    problem = xquad_r_shape(scale=0.02)
    settings = all_settings(problem.collection.languages, Kind)[::20]
    ours = scoring.scores_of(scoring.table_of(problem, 1), parse_measures([mteb_search.MEASURE]))
    for setting, value, seconds in mteb_search.searches(problem, settings):
        assert value == pytest.approx(ours[setting, mteb_search.MEASURE], abs=1e-9)
        assert seconds > 0


def test_the_benchmark_of_verification_tells_forged_tables_from_honest_ones():
    command = [sys.executable, "-m", "benchmarks.verification", "--scale", "0.03", "--draws", "2"]
    sample = ["--sample", "60", "--passages", "20"]
    for name, expected in (("honest", "0%"), ("counts swapped between queries", "100%")):
        done = subprocess.run(
            [*command, *sample, "--only", name],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stdout.splitlines() if line.startswith(("strong", "weak"))]
        assert lines == [f"{model}, {name}" + f", {expected}" * 3 for model in ("strong", "weak")]
