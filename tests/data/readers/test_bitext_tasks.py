"""Bitext tasks whose files cannot be had here, on made files in their layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlbench
from mlbench.data.collection import Collection
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection
from mlbench.data.task import Task
from mlbench.measures.significance import question_clusters

TASKS = {
    "ntrex": (124, "NTREX-128/newstest2019-{}.txt", {"en": "src.eng", "zh-TW": "ref.zho-TW"}),
    "flores": (203, "flores200_dataset/devtest/{}.devtest", {"zho-Hant": "zho_Hant"}),
}
LINES = 12


@pytest.fixture(params=TASKS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Task, Path]:
    """A task and a folder with its files, of a few lines."""
    task = mlbench.load_task(request.param)
    pattern = TASKS[request.param][1]
    for number, code in enumerate(task.languages):
        name = task.source.ids.get(code) or task.source.spelled.get(code, code)
        path = tmp_path / pattern.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"line {i} of language {number} {'ab' * i}\n" for i in range(1, LINES + 1)]
        path.write_text("".join(lines))
    return task, tmp_path


def collection(task: Task, folder: Path) -> Collection:
    return read_collection(task, Locator(folder, offline=True).of(task))


def test_every_language_is_a_pair_with_english(made: tuple[Task, Path]) -> None:
    task, folder = made
    count, _, names = TASKS[task.name]
    english = task.languages[0]
    assert len(task.languages) == count + 1
    assert task.pairs == tuple((code, english) for code in task.languages[1:])
    assert len(task.settings()) == 2 * count
    data = collection(task, folder)
    assert len(data.queries) == len(data.passages) == 2 * count * LINES
    assert all(size.passages == (LINES, LINES) for size in data.sizes())
    for code, name in names.items():
        text = (folder / TASKS[task.name][1].format(name)).read_text().splitlines()
        own = data.queries.of_pair(data.languages.index(code), data.pairs.index(task.pairs[-1]))
        if code == task.pairs[-1][0]:
            assert [data.queries.texts[own][i] for i in (0, 9, -1)] == [text[0], text[9], text[-1]]


def test_a_sentence_is_one_question_in_all_pairs(made: tuple[Task, Path]) -> None:
    task, folder = made
    languages = (*task.languages[:3], task.languages[-1])
    report = mlbench.evaluate(
        "char-ngram", task, data_dir=folder, languages=languages, progress=False, cache=None
    )
    assert report.scores.statistics.clusters == question_clusters(report.table).count == LINES
    assert len(report.scores.settings) == 6
    directions = report.scores.directions
    macro = report.scores.macro["crosslingual"]["Success@1"].value
    both = [directions[name]["Success@1"].value for name in sorted(directions)]
    assert np.isclose(np.mean(both), macro, atol=1e-15)


def test_missing_files_are_told_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"125 data files not found.*\n(.*\n)*.*clone https"):
        Locator(tmp_path, offline=True).of(mlbench.load_task("ntrex"))
