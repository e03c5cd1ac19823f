"""`run` on a streamed task, in parts and whole, and `merge`."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.commands.cli import main
from mlbench.data.catalog import find_task
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.options import Options
from mlbench.models.registry import load_adapter
from mlbench.ranking.ranks_file import read_ranks
from mlbench.reports.report import parse_report, read_report, write_report
from tests.support.miracl_corpus import write_corpus
from tests.support.reports import pair

NAME = "miracl-small"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, data_dir):
    """The task file of a corpus of two languages in three shards each."""
    folder = tmp_path_factory.mktemp("corpus")
    return write_corpus(
        folder, data_dir, ["sw", "yo"], shards=3, distractors=60, queries=12, name=NAME
    )


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Plots take most of the time of a report."""
    monkeypatch.setattr("mlbench.reports.plots.PLOTS", {})


def run(*given: object) -> int:
    return main([*map(str, given), "--quiet"])


def counted(corpus: Path, output: Path, *given: object, model: str = "char-ngram") -> int:
    return run("run", "--model", model, "--task", corpus, "--output", output, *given)


def refused(corpus: Path, output: Path, *given: object) -> None:
    with pytest.raises(SystemExit) as error:
        counted(corpus, output, *given)
    assert error.value.code == 2


def folder_of(output: Path, model: str = "char-ngram") -> Path:
    return output / model / NAME


def table(folder: Path) -> bytes:
    return (folder / "ranks.parquet").read_bytes()


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    """The table that reading all at once gives."""
    task = find_task(str(corpus))
    collection = read_collection(task, Locator().of(task))
    folder = tmp_path_factory.mktemp("expected")
    report, ranks = pair(
        evaluate_held(
            task,
            collection,
            load_adapter("char-ngram"),
            Options(progress=False, cache=None, threads=1, device="cpu"),
        )
    )
    write_report(folder, report, ranks, {})
    return table(folder)


def test_a_task_in_shards_is_streamed_and_leaves_a_whole_report(corpus, tmp_path, expected, capsys):
    folder = folder_of(tmp_path)
    (folder / "partial").mkdir(parents=True)
    (folder / "partial" / ".1-of-1.partial.12ab.tmp").touch()  # as a killed run leaves it
    assert counted(corpus, tmp_path) == 0
    assert table(folder) == expected
    report = read_report(folder)
    assert set(report.run.seconds) == {"scanning", "encoding", "streaming", "measuring"}
    assert report.run.command.startswith("mlbench run --model char-ngram")
    assert (folder / "report.html").exists()
    assert not (folder / "partial").exists()
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out


def test_passages_without_titles_are_other_passages(corpus, tmp_path):
    copied = Path(shutil.copytree(corpus.parent, tmp_path / "corpus")) / corpus.name
    assert counted(copied, tmp_path / "a") == 0
    copied.write_text(copied.read_text().replace("\nlicence", '\ntext = "text"\nlicence', 1))
    assert counted(copied, tmp_path / "b") == 0
    first, second = (read_report(folder_of(tmp_path / name)).task for name in "ab")
    assert first.digest != second.digest
    task = find_task(str(copied))
    assert second.digest == read_collection(task, Locator().of(task)).digest


def test_parts_are_added_up_without_model_and_data(corpus, tmp_path, expected, capsys):
    copied = Path(shutil.copytree(corpus.parent, tmp_path / "corpus"))
    for number in (3, 1, 2):
        assert counted(copied / corpus.name, tmp_path / "a", "--shard", f"{number}/3") == 0
    said = capsys.readouterr().out
    place = folder_of(tmp_path / "a") / "partial"
    assert f"part 2 of 3 is done, 2 of 6 shards:\n  {place / '2-of-3.partial'}" in said
    assert f"mlbench merge {place}" in said
    assert not (place.parent / "report.json").exists()
    shutil.rmtree(copied)
    assert run("merge", place, "--output", tmp_path / "b") == 0
    assert table(folder_of(tmp_path / "b")) == expected
    files = sorted(place.glob("*.partial"))
    assert run("merge", *files, "--output", tmp_path / "c", "--measure", "R@3", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out.partition("report.html\n")[2])
    assert "R@3" in found["macro"]["monolingual"]
    assert parse_report(Path(found["folder"]) / "report.json")[0].measures[0] == "R@3"


def test_parts_as_json(corpus, tmp_path, capsys):
    assert counted(corpus, tmp_path, "--shard", "1/2", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "task": NAME,
        "partial": str(folder_of(tmp_path) / "partial" / "1-of-2.partial"),
        "done": 3,
        "shards": 6,
    }


def test_a_folder_for_the_state_is_shared_by_parts(corpus, tmp_path):
    work = tmp_path / "work"
    for number in (1, 2):
        assert (
            counted(corpus, tmp_path / f"{number}", "--shard", f"{number}/2", "--work", work) == 0
        )
    state = work / "char-ngram" / NAME
    assert {path.name for path in state.glob("[!.]*")} == {
        "1-of-2.partial",
        "2-of-2.partial",
        "core.vectors",
    }
    assert len(list((work / "scans").iterdir())) == 6
    assert run("merge", state, "--output", tmp_path / "merged") == 0


def test_merging_refuses_gaps_overlap_damage_and_nothing(corpus, tmp_path, capsys):
    for part in ("1/3", "2/3", "1/2"):
        assert counted(corpus, tmp_path, "--shard", part) == 0
    place = folder_of(tmp_path) / "partial"
    first, second = place / "1-of-3.partial", place / "2-of-3.partial"
    capsys.readouterr()
    assert run("merge", first, second, "--output", tmp_path) == 2
    assert "2 shards are in none of them: miracl-corpus-v1.0-" in capsys.readouterr().err
    assert run("merge", place, "--output", tmp_path) == 2
    assert "counted twice" in capsys.readouterr().err
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"something else")
    assert run("merge", first, second, "--output", tmp_path) == 6
    said = capsys.readouterr().err
    assert "1-of-3.partial: damaged" in said
    assert "2-of-3.partial: another kind of file" in said
    assert run("merge", tmp_path / "none", "--output", tmp_path) == 3
    assert run("merge", tmp_path, "--output", tmp_path) == 3
    assert "no file .partial in it" in capsys.readouterr().err


def test_merging_does_not_replace_another_report(corpus, tmp_path, capsys):
    assert counted(corpus, tmp_path, "--shard", "1/1") == 0
    place = folder_of(tmp_path) / "partial"
    assert run("merge", place, "--output", tmp_path, "--measure", "R@3") == 0
    assert run("merge", place, "--output", tmp_path) == 2
    assert "holds a report of another measures" in capsys.readouterr().err
    assert run("merge", place, "--output", tmp_path, "--overwrite") == 0


def test_options_that_do_not_go_with_the_task(corpus, tmp_path, capsys):
    assert counted(corpus, tmp_path, "--sample-questions", "5") == 2
    assert "--sample-questions: task 'miracl-small' is streamed" in capsys.readouterr().err
    assert counted(corpus, tmp_path, "--save-run", "5") == 2
    assert run("run", "--model", "char-ngram", "--task", "sample", "--shard", "1/2") == 2
    assert "--shard: task 'sample' is held in memory" in capsys.readouterr().err
    assert counted(corpus, tmp_path, model="bm25") == 2
    assert "model bm25: has fit" in capsys.readouterr().err
    for bad in ("0/3", "4/3", "1", "1/0", "a/b"):
        refused(corpus, tmp_path, "--shard", bad)


def test_a_streamed_run_does_not_replace_a_report_on_other_data(corpus, tmp_path, capsys):
    copied = Path(shutil.copytree(corpus.parent, tmp_path / "corpus")) / corpus.name
    assert counted(copied, tmp_path / "results") == 0
    shard = copied.parent / "miracl-corpus-v1.0-yo" / "docs-2.jsonl.gz"
    lines = gzip.decompress(shard.read_bytes()).splitlines(keepends=True)
    extra = json.dumps({"docid": "new#0", "title": "", "text": "new"}).encode() + b"\n"
    shard.write_bytes(gzip.compress(b"".join([*lines, extra])))
    capsys.readouterr()
    assert counted(copied, tmp_path / "results") == 2
    assert "holds a report of other data" in capsys.readouterr().err


def test_a_judged_passage_that_is_nowhere(corpus, tmp_path, capsys):
    copied = Path(shutil.copytree(corpus.parent, tmp_path / "corpus")) / corpus.name
    topics, qrels = (
        copied.parent / "miracl-v1.0-yo" / role / f"{role}.miracl-v1.0-yo-dev.tsv"
        for role in ("topics", "qrels")
    )
    query = topics.read_text(encoding="utf-8").partition("\t")[0]
    with qrels.open("a") as file:
        file.write(f"{query}\tQ0\tmissing#1\t1\n")
    assert counted(copied, tmp_path / "results", "--strict") == 3
    said = capsys.readouterr().err
    assert "passage 'missing#1' (yo): is judged" in said
    assert counted(copied, tmp_path / "results") == 0
    report = read_report(folder_of(tmp_path / "results"))
    assert report.warnings[0].startswith("1 judgement names a passage that is not in the corpus")


def test_vectors_are_kept_where_they_are_wanted(corpus, tmp_path):
    keep = tmp_path / "keep"
    assert counted(corpus, tmp_path / "a", "--keep-embeddings", keep) == 0
    spec = f"precomputed:{keep / 'char-ngram' / NAME}"
    assert counted(corpus, tmp_path / "b", model=spec) == 0
    ranks, _ = read_ranks(folder_of(tmp_path / "b", "char-ngram-float16") / "ranks.parquet")
    assert ranks.pool_sizes.sum() > 200


def test_what_would_be_encoded(corpus, tmp_path, capsys):
    assert counted(corpus, tmp_path, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "would encode 24 texts and the passages of all shards" in said
    assert counted(corpus, tmp_path, "--dry-run", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["encode"]
    assert [row["texts"] for row in rows] == [12, 12, None, None]


def test_as_a_process_with_its_progress(corpus, tmp_path, expected):
    command = [sys.executable, "-m", "mlbench", "run", "--model", "char-ngram"]
    command += ["--task", str(corpus), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert table(folder_of(tmp_path)) == expected
    for step in ("scanning", "encoding queries and relevant passages", "streaming", "measuring"):
        assert f"{NAME}: {step}: done in" in done.stderr
    assert "scanning" not in done.stdout


def test_a_streamed_report_has_values_of_queries_and_says_why_it_names_no_passages(
    corpus, tmp_path, capsys
):
    assert counted(corpus, tmp_path) == 0
    folder = folder_of(tmp_path)
    assert main(["report", str(folder), "--per-query", str(tmp_path / "values.csv")]) == 0
    report = read_report(folder)
    lines = (tmp_path / "values.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(report.per_query())
    asked = [str(folder), "--query-language", "sw", "--passage-language", "sw", "--task", corpus]
    capsys.readouterr()
    assert main(["explain", *map(str, asked)]) == 0
    out = capsys.readouterr().out
    assert "is streamed" in out
    assert "--model" not in out
    assert run("explain", *asked, "--model", "char-ngram") == 2
    assert "is streamed" in capsys.readouterr().err
