"""Cards with the figures of reports: what the hub's own classes read in them is what the reports
say, and all that is not ours stays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

import mlbench
from mlbench.common.errors import DataError, UsageError
from mlbench.reports.report import Report, read_report
from mlbench.reports.subset import cut_report
from tests.reports.test_image_reports import made as image_report
from tests.support.command_line import done
from tests.support.command_line import mlbench as run
from tests.support.pairs_task import write_pairs
from tests.support.reports import example, renamed
from tests.support.roles_task import write_task

OTHERS = """\
---
license: mit
model-index:
- name: their name
  results:
  - task:
      type: Retrieval
    dataset:
      type: mteb/sts
      name: STS
    metrics:
    - type: ndcg_at_10
      value: 1.0e-05
tags: [a,   b]
---

# My model   

Text of mine.
"""  # noqa: W291


@pytest.fixture(autouse=True)
def _no_plots() -> Iterator[None]:
    with mock.patch("mlbench.reports.plots.PLOTS", {}):
        yield


@pytest.fixture(scope="module")
def report() -> Report:
    return example(noise=3.0)[0]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model's reports on two tasks."""
    folder = tmp_path_factory.mktemp("work")
    write_pairs(folder)
    write_task(folder)
    options = ("--model", "char-ngram", "--no-cache", "--output", "res")
    done("run", "--task", "bitext.toml", "--task", "roles.toml", *options, cwd=folder)
    return folder


def stated(folder: Path) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """What the hub's class reads in a card: data set, config and metric to value and interval."""
    card = ModelCard.load(folder / "README.md")
    return {
        (e.dataset_type, e.dataset_config, e.metric_type): (
            e.metric_value,
            e.metric_args["low"],
            e.metric_args["high"],
        )
        for e in card.data.eval_results
        if e.dataset_type.startswith("mlbench-retrieval/")
    }


def expected(report: Report) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """What a report of texts says, from its own values."""
    name = f"mlbench-retrieval/{report.task.name}"
    of = report.scores.directions | report.scores.macro
    found = {(name, k, m): (s.value, s.low, s.high) for k, ms in of.items() for m, s in ms.items()}
    if distance := report.scores.bias.rank_distance:
        key = (name, "multilingual", "rank-distance")
        found[key] = (distance.value, distance.low, distance.high)
    return found


def test_the_hub_reads_what_the_report_says(report: Report, tmp_path: Path) -> None:
    mlbench.write_card(report, tmp_path)
    assert stated(tmp_path) == expected(report)
    (file,) = (tmp_path / ".eval_results").iterdir()
    entries = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert {e.task_id: e.value for e in entries} == {
        kind: scores["AP"].value for kind, scores in report.scores.macro.items()
    }
    assert all(report.task.digest in e.notes and "mlbench 0.1.0" in e.notes for e in entries)
    text = (tmp_path / "README.md").read_text()
    for score in (of["AP"] for of in report.scores.macro.values()):
        assert f"{score.value:.4f} ({score.low:.4f} to {score.high:.4f})" in text
    for code, entry in report.scores.bias.by_language.items():
        assert re.search(rf"^\| {code} .*\b{entry.value:.1f} \|$", text, re.M)
    assert text.count(f"task digest `{report.task.digest}`") == 1
    assert mlbench.write_card(report, tmp_path) == []


def test_only_ours_is_replaced(report: Report, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(OTHERS)
    other = replace(report, task=replace(report.task, name="another"))
    mlbench.write_card([report, other], tmp_path)
    first = readme.read_text()
    mark = "<!-- mlbench:start"
    assert (
        first[: first.index("  - task:\n      type: information")]
        + first[first.index("tags: [a") : first.index(mark)]
        == OTHERS.rstrip("\n") + "\n\n"
    )
    assert {name for name, _, _ in stated(tmp_path)} == {
        *("mlbench-retrieval/parallel", "mlbench-retrieval/another")
    }
    better, _ = example(noise=0.2)
    readme.write_text(first + "\nA last word.\n")
    mlbench.write_card(better, tmp_path)
    assert stated(tmp_path) == expected(better) | expected(other)
    text = readme.read_text()
    assert text.endswith("<!-- mlbench:end -->\n\nA last word.\n")
    assert text.count("<!-- mlbench:of parallel -->") == text.count("mlbench:start") == 1
    assert text.index("mlbench:of parallel") < text.index("mlbench:of another")
    assert "value: 1.0e-05" in text


def test_a_part_of_a_task_stands_beside_the_whole(report: Report, tmp_path: Path) -> None:
    cut = cut_report(report, report.task.languages[:2], "command")
    mlbench.write_card([report, cut], tmp_path)
    results = ModelCard.load(tmp_path / "README.md").data.eval_results
    splits = {e.dataset_split: e.dataset_args["digest"] for e in results}
    assert splits == {
        None: report.task.digest,
        f"languages {', '.join(cut.task.languages)}": cut.task.digest,
    }
    assert [path.name for path in (tmp_path / ".eval_results").iterdir()] == [
        "mlbench-parallel.yaml"
    ]
    assert f"(languages {', '.join(cut.task.languages)})\n" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_stay(report: Report, newline: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(OTHERS.replace("\n", newline).encode())
    mlbench.write_card(report, tmp_path)
    raw = (tmp_path / "README.md").read_bytes()
    assert (b"\n" in raw.replace(b"\r\n", b"")) == (newline == "\n")
    assert stated(tmp_path) == expected(report)
    assert mlbench.write_card(report, tmp_path) == []


def test_images_have_directions_and_no_mean_over_both(tmp_path: Path) -> None:
    report, _ = image_report()
    mlbench.write_card(report, tmp_path)
    wanted = {key: of for key, of in expected(report).items() if key[1] != "crosslingual"}
    assert stated(tmp_path) == wanted
    assert {key[1] for key in wanted} >= {"text-to-image", "image-to-text"}
    assert "text to image" in (tmp_path / "README.md").read_text()


def test_pairs_and_several_tasks_at_once(work: Path, tmp_path: Path) -> None:
    text = done("card", "res/char-ngram", "--to", tmp_path, cwd=work)
    assert "only when there are data sets called mlbench-retrieval/TASK" in " ".join(text.split())
    pairs, roles = (read_report(work / "res/char-ngram" / n) for n in ("bitext", "roles"))
    assert stated(tmp_path) == expected(pairs) | expected(roles)
    assert "By pair" in (tmp_path / "README.md").read_text()


def test_a_picture_is_written_beside(report: Report, tmp_path: Path) -> None:
    mock.patch.stopall()
    from mlbench.reports import plots as drawn

    with mock.patch.object(drawn, "PLOTS", {"heatmap": drawn._heatmap}):
        mlbench.write_card(report, tmp_path)
    assert (tmp_path / "mlbench/parallel.png").read_bytes().startswith(b"\x89PNG")
    assert "](mlbench/parallel.png)" in (tmp_path / "README.md").read_text()


def test_a_suite_has_its_mean(work: Path, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(
        'name = "two"\ntitle = "Two"\nmean = true\n'
        '[tasks."roles.toml"]\nheadline = "multilingual:AP"\n'
        '[tasks."bitext.toml"]\nheadline = "crosslingual:RR"\n'
    )
    write_pairs(tmp_path)
    write_task(tmp_path)
    done("card", work / "res/char-ngram", "--to", ".", "--suite", "two.toml", cwd=tmp_path)
    pairs, roles = (read_report(work / "res/char-ngram" / n) for n in ("bitext", "roles"))
    mean = (pairs.macro["crosslingual"]["RR"] + roles.macro["multilingual"]["AP"]) / 2
    value, low, high = stated(tmp_path)["mlbench-retrieval/suite-two", "mean", "mean"]
    assert value == pytest.approx(mean, abs=1e-12)
    assert low < value < high
    assert f"{mean:.4f}" in (tmp_path / "README.md").read_text()


def test_a_dry_run_changes_nothing_and_shows_the_lines(work: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(OTHERS)
    text = done("card", "res/char-ngram/bitext", "--to", tmp_path, "--dry-run", cwd=work)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == OTHERS
    removed = [x for x in text.splitlines() if x.startswith("-") and not x.startswith("---")]
    assert removed == []
    assert "+<!-- mlbench:of bitext -->" in text.splitlines()


def test_evidence_is_linked(report: Report, tmp_path: Path) -> None:
    mlbench.write_card(report, tmp_path, evidence="https://example.org/r")
    results = ModelCard.load(tmp_path / "README.md").data.eval_results
    assert {e.source_url for e in results} == {"https://example.org/r"}
    assert "- evidence: <https://example.org/r>" in (tmp_path / "README.md").read_text()


def test_an_entry_is_evidence_of_its_own_report_only(work: Path, tmp_path: Path) -> None:
    made = work / "res/char-ngram/bitext"
    done("leaderboard", "add-task", made, "--to", "board", cwd=tmp_path)
    done("submit", made, "--to", "board", "--submitter", "Ada", cwd=tmp_path)
    entry = tmp_path / "board/bitext/char-ngram"
    done("card", made, "--to", ".", "--evidence", entry, cwd=tmp_path)
    digest = hashlib.sha256((entry / "entry.json").read_bytes()).hexdigest()
    said = f"leaderboard entry `bitext/char-ngram`, SHA-256 of its entry.json `{digest}`"
    assert said in (tmp_path / "README.md").read_text()
    other = work / "res/char-ngram/roles"
    found = run("card", other, "--to", ".", "--evidence", entry, cwd=tmp_path)
    assert (found.returncode, "another table than the reports" in found.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("res/char-ngram",), 2, "neither --to nor --push is given"),
        (("res/char-ngram", "--to", "nowhere"), 2, "no such folder"),
        (("nowhere", "--to", "."), 3, "no report.json in it"),
        (("res", "--to", ".", "--evidence", "ftp://a"), 2, "an address such as https://"),
        (("res", "--to", ".", "--evidence", "https://a b"), 2, "an address such as https://"),
        (("res", "--to", ".", "--evidence", "nowhere"), 2, "neither an address nor an entry"),
        (("res", "res", "--to", "."), 3, "2 reports on bitext"),
        (("res/char-ngram/bitext", "--to", ".", "--suite", "paper"), 3, "no report on a task"),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...], code: int, said: str, work: Path) -> None:
    found = run("card", *arguments, cwd=work)
    assert (found.returncode, said in found.stderr) == (code, True), found.stderr
    assert not (work / "README.md").exists()


def test_a_broken_card_is_left_as_it_is(report: Report, tmp_path: Path) -> None:
    for broken, said in {
        "---\na: b: c\n---\n": "YAML",
        "# T\n<!-- mlbench:start -->\n": "the section of mlbench: mlbench:start",
        "<!-- mlbench:end -->\n<!-- mlbench:start -->\n": "mlbench:end, mlbench:start",
    }.items():
        (tmp_path / "README.md").write_text(broken)
        with pytest.raises(DataError, match=said):
            mlbench.write_card(report, tmp_path)
        assert (tmp_path / "README.md").read_text() == broken
        assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_reports_of_two_models_are_refused(report: Report, tmp_path: Path) -> None:
    other = renamed(report, "other")
    other = replace(other, model=replace(other.model, identity="other"))
    with pytest.raises(DataError, match="reports of 2 models"):
        mlbench.write_card([report, other], tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        mlbench.write_card(report, tmp_path / "nowhere")


def test_what_a_report_says_cannot_steer_the_card(report: Report, tmp_path: Path) -> None:
    nasty = "x\n---\n<script>alert(1)</script>\n<!-- mlbench:end -->"
    evil = replace(
        report,
        model=replace(report.model, name=nasty),
        task=replace(report.task, title=nasty, citation=nasty, licence=nasty),
        warnings=(nasty,),
    )
    mlbench.write_card(evil, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "<script>" not in text.split("\n---\n", 1)[1]
    assert mlbench.write_card(evil, tmp_path) == []
