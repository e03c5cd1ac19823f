"""Figures read from cards: they are reported, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import mlbench
from mlbench.integrations.cards.reading import card_text, read_card
from tests.support.command_line import done
from tests.support.command_line import mlbench as run
from tests.support.reports import example

CARD = """\
---
model-index:
- name: theirs
  results:
  - task: {type: Retrieval}
    dataset: {type: mteb/XQuADR, name: MTEB XQuAD-R Retrieval, config: de}
    metrics: [{type: map, value: 0.75}, {type: note, value: "20.0 ± 1.2 \\e[2J"}]
  - task: {type: STS}
    dataset: {type: mteb/sts, name: STS}
    metrics: [{type: cos, value: 1}]
  - not a result
  - task: {type: Retrieval}
    dataset: {type: mlbench-retrieval/xquad-r, name: Broken}
---
"""


@pytest.fixture(autouse=True)
def _no_plots() -> Iterator[None]:
    with mock.patch("mlbench.reports.plots.PLOTS", {}):
        yield


def test_figures_come_back_as_reported(tmp_path: Path) -> None:
    report, _ = example(noise=3.0)
    mlbench.write_card(report, tmp_path)
    found = read_card(tmp_path)
    assert (found.others, found.left_out) == ((), 0)
    stated = {(f.over, f.measure): (f.value, f.low, f.high) for f in found.ours}
    for kind, scores in report.scores.macro.items():
        for name, score in scores.items():
            assert stated[kind, name] == (score.value, score.low, score.high)
    assert {f.digest for f in found.ours} == {report.task.digest}
    text = card_text(found)
    assert "They are reported: mlbench has not computed them" in " ".join(text.split())
    assert report.task.digest in text
    score = report.scores.macro["crosslingual"]["AP"]
    assert f"{score.value:.4f} {score.low:.4f}..{score.high:.4f}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_other_tools_are_shown_where_they_name_our_tasks(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text(CARD)
    found = read_card(tmp_path / "card.md")
    assert [(f.task, f.over, f.measure, f.value) for f in found.others][:1] == [
        ("xquad-r", "de", "map", 0.75)
    ]
    assert (found.ours, found.left_out) == ((), 2)
    text = done("report", "--from-card", "card.md", cwd=tmp_path)
    assert "does not say whether the data is the same" in " ".join(text.split())
    assert "Left out: 2 results on other data sets." in text
    assert "\x1b" not in text
    said = json.loads(done("report", "--from-card", "card.md", "--json", cwd=tmp_path))
    assert (said["level"], said["left_out"], len(said["others"])) == ("reported", 2, 2)


def test_a_card_without_our_tasks(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Text only\n")
    text = done("report", "--from-card", ".", cwd=tmp_path)
    assert "no figures of our tasks" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("report",), 2, "--from-card CARD"),
        (("report", "x", "--from-card", "."), 2, "given with FOLDER"),
        (("report", "--from-card", ".", "--suite", "paper"), 2, "given with --suite"),
        (("report", "--from-card", ".", "--mteb", "x", "--figures", "pdf"), 2, "and --figures"),
        (("report", "--from-mteb", ".", "--intervals"), 2, "given with --intervals"),
        (("report", "--from-card", "nowhere"), 5, "cannot be read"),
    ],
)
def test_wrong_use_is_told(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    found = run(*arguments, cwd=tmp_path)
    assert (found.returncode, said in found.stderr) == (code, True), found.stderr
