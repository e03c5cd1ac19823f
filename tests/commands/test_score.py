"""score, and run --save-run, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mlbench.commands.cli import main
from mlbench.reports.report import parse_report
from tests.runs.building import lines
from tests.support.command_line import mlbench

CODES = ("de", "en", "tr")
PATTERN = "{query_language}-{passage_language}.trec.gz"
MEASURES = [f"--measure={name}" for name in ("AP@5", "RR@5", "nDCG@5", "R@5")]


TASK = """
name = "task"
version = "1"
title = "Task"
settings = ["monolingual"]
languages = ["en"]
licence = "CC0-1.0"
citation = "none"
source.reader = "beir"
source.files = { corpus = "corpus.jsonl", queries = "queries.jsonl", qrels = "qrels.tsv" }
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A task over parallel lines, a report on it, and the runs saved with it."""
    folder = tmp_path_factory.mktemp("original")
    for code, word in zip(CODES, ("Stein", "stone", "taş"), strict=True):
        text = "".join(f"{word} number {i} {'x' * i}\n" for i in range(1, 9))
        (folder / f"{code}.txt").write_text(text, encoding="utf-8")
    (folder / "mine.toml").write_text(
        'name = "mine"\nversion = "1"\ntitle = "Mine"\nlanguages = ["de", "en", "tr"]\n'
        'licence = "CC0-1.0"\ncitation = "none"\n'
        '[source]\nreader = "lines"\n[source.files]\ntext = "{language}.txt"\n',
        encoding="utf-8",
    )
    done = mlbench(
        "run", "--model", "char-ngram", "--task", "mine.toml", "--save-run", "5", "--quiet",
        *MEASURES, cwd=folder, MLBENCH_CACHE=str(tmp_path_factory.mktemp("cache")),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """The same in a folder of its own; no plots are drawn there, which take most of the time."""
    place = Path(shutil.copytree(original, tmp_path / "here"))
    monkeypatch.chdir(place)
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    return place


def score(*arguments, code=0):
    """Run the command in this process."""
    assert main(["score", "--task", "mine.toml", "--quiet", *map(str, arguments)]) == code


RUNS = f"results/char-ngram/mine/runs/{PATTERN}"
SCORED = Path("results/char-ngram.top5/mine")


def test_a_saved_run_has_the_scores_of_the_model(folder, capsys):
    assert len(list(Path(RUNS).parent.glob("*.gz"))) == 12
    score("--run", RUNS, *MEASURES)
    whole, _ = parse_report(folder / "results/char-ngram/mine/report.json")
    found, digest = parse_report(folder / SCORED / "report.json")
    assert digest == ""
    assert found.task == whole.task
    assert found.model.name == "char-ngram.top5"
    for kind, of_kind in whole.scores.macro.items():
        for name in ("AP@5", "RR@5", "nDCG@5", "R@5", "R@1"):
            one, other = of_kind[name], found.scores.macro[kind][name]
            assert (one.value, one.low, one.high) == pytest.approx(
                (other.value, other.low, other.high), abs=1e-9
            )
    printed = capsys.readouterr().out
    assert "at most 5 passages" in printed
    assert "mAP@5" in printed
    assert "*" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_scored_run_is_compared_and_checked_like_any_report(folder, capsys):
    score("--run", RUNS, *MEASURES)
    whole = "results/char-ngram/mine"
    assert main(["compare", whole, str(SCORED), "--measure", "AP@5", "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert table["differences"]
    assert all(abs(row["difference"]) < 1e-9 for row in table["differences"])
    path = SCORED / "report.json"
    said = json.loads(path.read_text())
    said["settings"][0]["measures"]["AP@5"] += 0.01
    path.write_text(json.dumps(said))
    assert main(["compare", whole, str(SCORED)]) == 6
    (SCORED / "per-query.parquet").unlink()
    assert main(["compare", whole, str(SCORED)]) == 3
    assert "score the run files again" in capsys.readouterr().err


OWN = """
import numpy as np
class Lengths:
    name = "lengths"
    def score_pairs(self, queries, passages):
        return np.array([float(len(passage)) for passage in passages])
"""


def test_a_saved_run_is_a_first_stage(folder, capsys):
    Path("own.py").write_text(OWN)
    score("--run", RUNS, *MEASURES, "--rerank", "own.py:Lengths", "--depth", 2)
    name = "char-ngram.top5-then-lengths-2"
    assert "lengths put the first 2 passages" in capsys.readouterr().out
    found = json.loads(Path(f"results/{name}/mine/report.json").read_text())
    asked = ("run", "--model", "char-ngram", "--task", "mine.toml", "--quiet", *MEASURES)
    assert main([*asked, "--rerank", "own.py:Lengths", "--depth", "2"]) == 0
    whole = json.loads(Path("results/char-ngram-then-lengths-2/mine/report.json").read_text())
    for name in ("RR@5", "R@1"):
        mine, other = (each["macro"]["monolingual"][name]["value"] for each in (found, whole))
        assert mine == pytest.approx(other, abs=1e-9)
    assert found["reranking"]["pairs"] == whole["reranking"]["pairs"]
    first = found["reranking"]["macro"]["monolingual"]["R@1"]["value"]
    assert first == whole["reranking"]["macro"]["monolingual"]["R@1"]["value"]
    assert found["reranking"]["first"] == "char-ngram.top5"
    short = [line for line in found["warnings"] if "rankings end before" in line]
    assert [line.partition(":")[0] for line in short] == ["multilingual"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--depth", "3"], "given without --rerank"),
        (["--rerank", "own.py:Lengths", "--allow-unknown"], "given with --allow-unknown"),
        (["--rerank", "nothing"], "no such reranker"),
    ],
)
def test_what_does_not_go_with_a_reranker_is_refused(folder, capsys, given, said):
    score("--run", RUNS, *given, code=2)
    assert said in capsys.readouterr().err


def test_a_star_marks_what_reaches_deeper_than_the_runs(folder, capsys):
    score("--run", RUNS)
    printed = capsys.readouterr().out
    assert "mAP*" in printed
    assert "\n* " in printed


def test_the_report_says_that_and_where_it_is_truncated(folder, capsys):
    score("--run", RUNS, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["rank_distance"] is None
    found = "truncated at 5, above which all relevant passages were found"
    assert printed["warnings"][:2] == [f"monolingual: {found}", f"cross-lingual: {found}"]
    beyond = "multilingual: truncated at 5: passages beyond this depth count as not found, so AP"
    assert printed["warnings"][2].startswith(beyond)
    report = json.loads((SCORED / "report.json").read_text())
    assert report["ranks_sha256"] is None
    retrieved = report["retrieved"]
    assert len(retrieved["files"]) == 12
    multilingual = retrieved["kinds"]["multilingual"]
    assert (multilingual["truncated_at"], multilingual["settings_missing"]) == (5, 0)
    assert {"AP", "R@10"} <= set(multilingual["lower_bounds"])
    assert retrieved["rank_distance_at_least"] >= 2
    assert report["bias"]["rank_distance"] is None
    assert not (SCORED / "ranks.parquet").exists()
    page = (SCORED / "report.html").read_text()
    assert "mAP*" in page
    assert "trec_eval" in page
    assert "Rank distance" not in page


def test_some_settings_some_queries_and_an_exact_measure(folder, capsys):
    Path("run.trec").write_text(
        lines("de:3 Q0 en:3 1 9 mine", "de:3 Q0 en:4 1 8 mine", "tr:2 Q0 en:2 1 1 mine")
    )
    score("--run", "run.trec", "--pool", "en", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"] == "mine"
    # 2 of 8 de and tr queries each found; en queries are about the monolingual setting
    assert printed["macro"]["crosslingual"]["R@1"]["value"] == pytest.approx(1 / 8)
    assert printed["macro"]["monolingual"]["R@1"]["value"] == 0
    cross = printed["warnings"][1]
    assert "14 of 16 queries have no passage and count as 0" in cross
    assert "2 of 6 settings are in the runs" in cross


def test_the_task_cut_to_some_languages(folder, capsys):
    score("--run", RUNS, "--languages", "de,tr", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["languages"] == ["de", "tr"]
    assert main(["report", "results/char-ngram/mine", "--languages", "de,tr", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)[0]
    assert printed["macro"]["monolingual"]["R@1"] == whole["macro"]["monolingual"]["R@1"]
    cut, _ = parse_report(SCORED / "report.json")
    other, _ = parse_report(Path(whole["folder"]) / "report.json")
    assert cut.task == other.task


@pytest.mark.parametrize(
    ("text", "arguments", "code", "found"),
    [
        ("de:1 Q0 1 1 1 t", ["--pool", "monolingual", "--task", "mina.toml"], 2, "mina.toml"),
        ("de:1 Q0 1 1 1 t", [], 2, "does not say which passages"),
        ("1 Q0 1 1 1 t", ["--pool", "monolingual"], 3, "run.trec:1: query '1' can be one of"),
        ("de:1 Q0 99 1 1 t", ["--pool", "monolingual"], 3, "passage '99' is not in de"),
        ("de:1 Q0 1 1 x t", ["--pool", "monolingual"], 3, "run.trec:1: score 'x'"),
        ("de:1 Q0 1 1 1", ["--pool", "monolingual"], 3, "5 columns"),
        ("de:1 Q0 1 1 1 t", ["--pool", "monolingual", "--languages", "de,xx"], 2, "'xx'"),
        ("de:1 Q0 1 1 1 t", ["--pool", "monolingual", "--measure", "bpref"], 2, "not a measure"),
        ("de:1 Q0 1 1 1 t", ["--pool", "monolingual", "--output", "/proc/x"], 5, "/proc/x"),
        ("de:1 Q0 en:1 1 1 t", ["--pool", "en", "--languages", "de"], 2, "no setting of the task"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(folder, capsys, text, arguments, code, found):
    Path("run.trec").write_text(lines(text))
    task = [] if "--task" in arguments else ["--task", "mine.toml"]
    assert main(["score", *task, "--quiet", "--run", "run.trec", *arguments]) == code
    assert found in capsys.readouterr().err
    assert not list(Path("results").glob("t*/mine"))


def test_the_faults_of_all_files_come_at_once(folder, capsys):
    for code in CODES:
        Path(f"{code}.trec").write_text(lines(f"{code}:1 Q0 1 1 x t"))
    score("--run", "{query_language}.trec", "--pool", "monolingual", code=3)
    said = capsys.readouterr().err
    assert all(f"{code}.trec:1: score 'x'" in said for code in CODES)


def test_unknown_ids_can_be_allowed_and_are_counted(folder, capsys):
    Path("run.json").write_text('{"de:1": {"1": 2, "gone": 3}, "nobody": {"1": 1}}')
    score("--run", "run.json", "--pool", "monolingual", "--allow-unknown", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"] == "run"
    assert "1 line of unknown queries" in printed["warnings"][-1]
    assert "query 'nobody'" in printed["warnings"][-1]
    found, _ = parse_report(Path("results/run/mine/report.json"))
    row = next(row for row in found.scores.settings if row.query_language == "de")
    assert row.measures["RR"] == pytest.approx(1 / 2 / 8)


def test_answers_to_queries_that_nothing_judges_are_left_out_as_in_trec_eval(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    Path("corpus.jsonl").write_text('{"_id": "a", "text": "A"}\n{"_id": "b", "text": "B"}\n')
    Path("queries.jsonl").write_text(
        "".join(f'{{"_id": "q{i}", "text": "what {i}?"}}\n' for i in range(1, 4))
    )
    Path("qrels.tsv").write_text("q1\t0\ta\t1\nq2\t0\tb\t1\n")
    Path("task.toml").write_text(TASK)
    text = lines(
        "q1 Q0 a 1 2 t", "q2 Q0 a 1 2 t", "q2 Q0 b 2 1 t", "q3 Q0 a 1 1 t", "q3 Q0 b 1 1 t"
    )
    Path("run.trec").write_text(text)
    given = ["score", "--task", "task.toml", "--run", "run.trec", "--quiet", "--json", "--measure"]
    assert main([*given, "RR"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found, _ = parse_report(Path("results/t/task/report.json"))
    (row,) = found.scores.settings
    assert row.measures["RR"] == pytest.approx(0.75)
    said = "1 query of the task without a judgement left out, with 2 lines, as in trec_eval: en:q3"
    assert said in printed["warnings"]
    rows = [row.split() for row in text.splitlines()]
    Path("run.jsonl").write_text(
        lines(*(f'{{"qid": "{q}", "docid": "{p}", "score": {s}}}' for q, _, p, _, s, _ in rows))
    )
    assert main([*given[:4], "run.jsonl", *given[5:], "RR"]) == 0
    found, _ = parse_report(Path("results/run/task/report.json"))
    assert found.scores.settings == (row,)
    capsys.readouterr()
    Path("run.trec").write_text(text + lines("q4 Q0 a 1 1 t"))
    assert main([*given, "RR", "--overwrite"]) == 3
    assert "query 'q4' is not in the task" in capsys.readouterr().err


def test_a_report_of_other_runs_is_not_replaced_unless_asked_to(folder, capsys):
    score("--run", RUNS)
    score("--run", RUNS)
    score("--run", RUNS, "--pool", "de", code=0)
    Path("run.trec").write_text(lines("de:1 Q0 1 1 1 t"))
    other = ["--run", "run.trec", "--pool", "monolingual", "--name", "char-ngram.top5"]
    score(*other, code=2)
    assert "report of another model" in capsys.readouterr().err
    score(*other, "--overwrite")
    score(*other[:-1], "char-ngram", "--overwrite")
    assert not Path("results/char-ngram/mine/ranks.parquet").exists()


@pytest.mark.parametrize(
    "command",
    [["baseline", SCORED], ["explain", SCORED],
     ["check", SCORED, "--baseline", "results/char-ngram/mine"], ["report", SCORED]],
)  # fmt: skip
def test_what_needs_a_table_refuses_the_report(folder, capsys, command):
    score("--run", RUNS)
    capsys.readouterr()
    code = main(list(map(str, command)))
    said = capsys.readouterr().err
    assert code == 3
    assert "made by `mlbench score` from run files" in said


def test_rendering_a_folder_of_reports_leaves_it_as_it_is(folder, capsys):
    score("--run", RUNS)
    before = (SCORED / "report.json").read_bytes()
    capsys.readouterr()
    assert main(["report", "results", "--json"]) == 0
    done = capsys.readouterr()
    assert [report["model"] for report in json.loads(done.out)] == ["char-ngram"]
    assert str(SCORED) in done.err
    assert (SCORED / "report.json").read_bytes() == before


def test_a_run_without_saving_removes_the_runs_of_an_earlier_one(folder):
    run = ["run", "--model", "char-ngram", "--task", "mine.toml", "--quiet", *MEASURES]
    assert main(run) == 0
    assert not list(Path(RUNS).parent.glob("*"))


def test_a_task_in_shards_is_scored_without_reading_a_passage(
    data_dir, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})
    folder = data_dir / "miracl" / "qrels"
    rows = (folder / "qrels.miracl-v1.0-yo-dev.tsv").read_text("utf-8").splitlines()
    run = {}
    for query, _, passage, grade in (row.split("\t") for row in rows):
        run.setdefault(query, []).append((passage, int(grade)))
    text = [f"{q} Q0 {p} 1 {g} mine" for q, judged in run.items() for p, g in judged]
    (tmp_path / "yo.trec").write_text(lines(*text))
    given = ["score", "--task", "miracl", "--data-dir", data_dir, "--offline", "--quiet", "--json",
             "--run", tmp_path / "{query_language}.trec", "--pool", "monolingual",
             "--output", tmp_path]  # fmt: skip
    assert main(list(map(str, given))) == 0
    printed = json.loads(capsys.readouterr().out)
    found, _ = parse_report(tmp_path / "mine" / "miracl" / "report.json")
    row = next(row for row in found.scores.settings if row.query_language == "yo")
    assert row.queries == 119
    assert row.measures["nDCG@10"] == pytest.approx(1, abs=1e-6)
    assert "1 of 18 settings is in the runs" in printed["warnings"][0]
