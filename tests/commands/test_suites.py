"""Suites as a user runs, lists and rebuilds them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import mlbench as api
from mlbench.common.errors import DataError
from tests.support.command_line import mlbench

TASK = """\
name = "{name}"
version = "1"
title = "Lines: {name}"
languages = ["de", "en"]
licence = "CC0-1.0"
citation = "Nobody"
[source]
reader = "lines"
[source.files]
text = "{name}.{{language}}.txt"
"""
SUITE = """\
name = "two"
title = "Two tasks"
mean = true
[tasks."birds.toml"]
headline = "multilingual:AP"
[tasks."fish.toml"]
headline = "crosslingual:R@3"
figures = ["crosslingual:R@3", "monolingual:AP"]
"""
RUN = ("run", "--quiet", "--offline", "--suite", "two.toml", "--model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("birds", "fish"):
        (tmp_path / f"{name}.toml").write_text(TASK.format(name=name))
        for code in ("de", "en"):
            lines = (f"{name} {i * i} {code if i % 3 else 'x'}{i % 4}\n" for i in range(12))
            (tmp_path / f"{name}.{code}.txt").write_text("".join(lines))
    (tmp_path / "two.toml").write_text(SUITE)
    return tmp_path


def test_a_run_writes_a_page_that_report_writes_again(folder: Path) -> None:
    done = mlbench(*RUN, "char-ngram", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "char-ngram on the suite two" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    place = folder / "results" / "char-ngram" / "suites" / "two"
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    assert set(before) == {"suite.html", "suite.md", "suite.json"}
    shutil.rmtree(place)
    again = mlbench("report", "results/char-ngram", "--suite", "two.toml", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert again.stdout.strip() in done.stdout
    table = json.loads(before["suite.json"])
    figures = [next(iter(task["figures"].values()))["value"] for task in table["tasks"]]
    assert table["mean"]["value"] == pytest.approx(sum(figures) / 2)
    report = json.loads((folder / "results/char-ngram/fish/report.json").read_text())
    assert "R@3" in report["measures"]
    assert report["macro"]["crosslingual"]["R@3"]["value"] == figures[1]
    elsewhere = ("--suite", "two.toml", "--output", "page", "--json")
    said = json.loads(mlbench("report", "results/char-ngram", *elsewhere, cwd=folder).stdout)
    assert said["mean"] == table["mean"]
    assert (folder / "page" / "suite.html").exists()


def test_the_same_from_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = json.loads(mlbench(*RUN, "char-ngram", "--json", cwd=folder).stdout)
    monkeypatch.chdir(folder)
    found = api.evaluate_suite("char-ngram", "two.toml", progress=False, cache=None)
    assert found.mean is not None
    assert found.mean.value == done["mean"]["value"]
    assert [each["task"] for each in done["reports"]] == list(found.reports) == ["birds", "fish"]
    (folder / "fish.en.txt").unlink()
    partial = api.evaluate_suite("char-ngram", "two.toml", progress=False, cache=None)
    assert partial.missing == {"fish": "its data is not at hand"}
    (folder / "birds.en.txt").unlink()
    with pytest.raises(DataError, match=r"birds\.en\.txt"):
        api.evaluate_suite("char-ngram", "two.toml", progress=False, cache=None)


def test_a_task_without_data_is_told_and_the_others_are_evaluated(folder: Path) -> None:
    (folder / "fish.en.txt").unlink()
    done = mlbench(*RUN, "char-ngram", cwd=folder)
    assert done.returncode == 3
    assert "fish.en.txt" in done.stderr
    assert "The task fish is missing: its data is not at hand." in " ".join(done.stdout.split())
    table = json.loads(
        (folder / "results/char-ngram/suites/two/suite.json").read_text(encoding="utf-8")
    )
    assert table["mean"] is None
    assert [bool(task["figures"]) for task in table["tasks"]] == [True, False]
    (folder / "birds.en.txt").unlink()
    none = mlbench(*RUN, "random", cwd=folder)
    assert none.returncode == 3
    assert not (folder / "results" / "random").exists()


def test_reports_of_two_models_and_of_a_sample(folder: Path) -> None:
    for model in ("char-ngram", "random"):
        assert mlbench(*RUN, model, cwd=folder).returncode == 0
    mixed = mlbench("report", "results", "--suite", "two.toml", cwd=folder)
    assert mixed.returncode == 3
    assert "different models" in mixed.stderr
    shutil.rmtree(folder / "results")
    sample = mlbench(*RUN, "char-ngram", "--sample-questions", "5", cwd=folder)
    assert sample.returncode == 0, sample.stderr
    assert "a sample of 5 questions" in " ".join(sample.stdout.split())
    assert "no headline" in sample.stdout
    assert "No page is written." in sample.stdout
    assert not (folder / "results" / "char-ngram" / "suites").exists()
    cut = mlbench(*RUN, "random", "--languages", "de", cwd=folder)
    assert "1 of its 2 languages" in " ".join(cut.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "--model", "random", "--suite", "two.toml", "--task", "sample"), 2, "--task"),
        (("run", "--model", "random", "--suite", "two.toml", "--shard", "1/2"), 2, "--shard"),
        (("run", "--model", "random", "--suite", "tow"), 2, "no built-in suite"),
        (("report", ".", "--suite", "two.toml"), 3, "no report on a task of the suite"),
        (("report", ".", "--suite", "two.toml", "--languages", "de"), 2, "--languages"),
        (("report", ".", "--suite", "two.toml", "--mteb", "x"), 2, "given with --mteb"),
        (("suites", "show", "papr"), 2, "did you mean 'paper'"),
        (("tasks", "fetch"), 2, "no task"),
    ],
)
def test_wrong_usage(folder: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = mlbench(*arguments, cwd=folder)
    assert (done.returncode, said in done.stderr) == (code, True)


def test_list_show_and_fetch(folder: Path) -> None:
    listed = mlbench("suites", "list", cwd=folder).stdout
    assert "paper" in listed
    names = [
        each["name"] for each in json.loads(mlbench("suites", "list", "--json", cwd=folder).stdout)
    ]
    assert names == api.list_suites()
    shown = mlbench("suites", "show", "two.toml", cwd=folder)
    assert "crosslingual:R@3" in shown.stdout
    for text in (listed, shown.stdout):
        assert max(map(len, text.splitlines())) <= 80
    facts = json.loads(mlbench("suites", "show", "two.toml", "--json", cwd=folder).stdout)
    assert facts["tasks"]["fish"]["figures"] == ["crosslingual:R@3", "monolingual:AP"]
    fetched = mlbench("tasks", "fetch", "--suite", "two.toml", "--offline", cwd=folder)
    assert fetched.returncode == 0, fetched.stderr
    assert [f"{name}: CC0-1.0" in fetched.stdout for name in ("birds", "fish")] == [True, True]
