"""The benchmarks run, and what they compare agrees; how fast, no test says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import others
from benchmarks.__main__ import main
from tests.support.uncompiled import uncompiled_ranx


def by_ranx_uncompiled(*given, by=others.PEERS["ranx"]):
    with uncompiled_ranx():
        return by(*given)


def test_the_benchmarks_run_at_a_tiny_size(tmp_path, monkeypatch):
    monkeypatch.setitem(others.PEERS, "ranx", by_ranx_uncompiled)
    result, picture = tmp_path / "result.json", tmp_path / "result.png"
    assert main(["--tiny", "--json", str(result), "--plot", str(picture)]) == 0
    rows = json.loads(result.read_text())["rows"]
    names = " ".join(row["what"] for row in rows)
    for expected in (
        "product",
        "132 settings",
        "argsort",
        "pytrec_eval",
        "ranx",
        "streaming",
        "MaxSim",
        "scipy",
    ):
        assert expected in names
    of_memory = ["memory" in row["what"] for row in rows]
    assert all(row["ratio"] >= 0 for row in rows)
    assert all(row["ratio"] > 0 for row, memory in zip(rows, of_memory, strict=True) if not memory)
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("option", "value"),
    [("--turns", "0"), ("--questions", "0"), ("--threads", "none"), ("--json", "no/folder/r.json")],
)
def test_bad_arguments_are_refused_before_anything_is_timed(option, value, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--tiny", option, value])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert value in err
    assert not out


def test_what_was_measured_is_shown_where_a_later_group_fails(tmp_path, capsys):
    result = tmp_path / "result.json"
    groups = ["--only", "start", "--only", "warm", "--model", str(tmp_path / "none")]
    assert main(["--tiny", *groups, "--json", str(result)]) == 2
    out, err = capsys.readouterr()
    assert str(tmp_path / "none") in err
    assert "Traceback" not in err
    assert "mlbench --help" in out
    assert [row["what"] for row in json.loads(result.read_text())["rows"]][-1] == "mlbench --help"


def test_what_does_not_compute_the_same_is_not_timed():
    from benchmarks import scoring
    from benchmarks.data import xquad_r_shape
    from mlbench.data.task import Kind

    problem = xquad_r_shape(scale=0.02)
    settings = problem.collection.roles.settings(Kind)
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
    from mlbench.data.task import Kind
    from mlbench.measures.rank_measures import parse_measures

    problem = xquad_r_shape(scale=0.02)
    settings = problem.collection.roles.settings(Kind)[::20]
    ours = scoring.scores_of(scoring.table_of(problem, 1), parse_measures([mteb_search.MEASURE]))
    for setting, value, seconds in mteb_search.searches(problem, settings):
        assert value == pytest.approx(ours[setting, mteb_search.MEASURE], abs=1e-9)
        assert seconds > 0


@pytest.mark.parametrize(
    ("name", "refused"), [("honest", "0%"), ("counts swapped between queries", "100%")]
)
def test_the_benchmark_of_verification_tells_forged_tables_from_honest_ones(name, refused, capsys):
    from benchmarks import verification

    size = ["--scale", "0.03", "--draws", "2", "--sample", "60", "--passages", "20"]
    verification.main([*size, "--only", name])
    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("strong", "weak"))
    ]
    assert lines == [", ".join([model, name, *[refused] * 3]) for model in ("strong", "weak")]


def test_the_benchmark_of_copies_compares_a_new_entry_with_others(capsys):
    from benchmarks import copies

    copies.main(["--entries", "3", "--before", "1"])
    said = capsys.readouterr().out
    assert "3 tables" in said
    assert "before over now" in said


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_ranking_on_the_task_of_a_report_says_time_and_memory(sample_report, monkeypatch, capsys):
    from benchmarks import board_of_report

    monkeypatch.setattr("sys.argv", ["board_of_report", str(sample_report), "--models", "2"])
    board_of_report.main()
    said = capsys.readouterr().out
    assert re.match(
        r"2 models, 132 settings, 32 questions: [\d.]+ s, [\d.]+ s of processors, ", said
    )
    assert re.search(r"memory [\d,]+ MiB before and [\d,]+ MiB at most\n$", said)
