"""What is evaluated is found in a training set, as a slow comparison finds it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlbench.common.errors import DataError, EnvironmentFault, UsageError
from mlbench.data.overlap_record import Count, read_overlaps
from mlbench.data.sampling import cut_to_languages
from mlbench.data.task import Task
from mlbench.training import overlap as module
from mlbench.training.judged_pairs import TrainingSet
from mlbench.training.overlap import THRESHOLD, overlap, overlaps
from mlbench.training.similar_texts import TextIndex, jaccard, plain
from mlbench.training.training_set import training_set
from tests.data.readers.building import json_lines, make_task, write

WORDS = ["river", "stone", "bridge", "garden", "window", "market", "winter", "candle", "forest"]
WORDS += ["island", "letter", "silver"]
OPTIONS = {"query": "question", "passage": "answer", "query-id": "id", "passage-id": "id"}


def sentence(generator: np.random.Generator, code: str) -> str:
    return " ".join([code, *generator.choice(WORDS, 7)])


def write_rows(folder: Path, code: str, pairs: list[tuple[str, str]]) -> None:
    rows = ({"id": str(i), "question": q, "answer": a} for i, (q, a) in enumerate(pairs))
    write(folder, {f"{code}.jsonl": json_lines(*rows)})


@pytest.fixture
def both(tmp_path: Path) -> tuple[TrainingSet, Task]:
    """A training set, and a task of which some texts are copies, edited copies, or moved ones."""
    generator = np.random.default_rng(5)
    folders = {name: tmp_path / name for name in ("train", "test")}
    for code in ("de", "en"):
        pairs = [(sentence(generator, code), sentence(generator, code)) for _ in range(30)]
        write_rows(folders["train"], code, pairs)
        test = [(sentence(generator, code), sentence(generator, code)) for _ in range(10)]
        test[0] = (pairs[3][0].upper() + " ", test[0][1])
        test[1] = (pairs[4][0].replace("e", "é", 1), pairs[5][1])
        test[2] = (pairs[6][1], pairs[7][1] + "s")
        write_rows(folders["test"], code, test)
    tasks = [
        make_task(folder, "rows", {"rows": "{language}.jsonl"}, options=OPTIONS)
        for folder in folders.values()
    ]
    return training_set(tasks[0], progress=False), tasks[1]


def slowly(training: TrainingSet, task: Task) -> tuple[Count, ...]:
    texts = [text for _, _, text in training.every_text()]
    counts = []
    data = training_set(task, progress=False).collection
    for role, entries in (("query", data.queries), ("passage", data.passages)):
        for number, language in enumerate(data.languages):
            own = entries.texts[entries.slice(number)]
            exact = [any(plain(text) == plain(other) for other in texts) for text in own]
            near = [any(jaccard(text, other) >= THRESHOLD for other in texts) for text in own]
            counts.append(Count(role, language, len(own), sum(exact), sum(near) - sum(exact)))
    return tuple(counts)


@pytest.mark.parametrize("at_a_time", [7, 8192])
def test_counts_are_those_of_a_slow_comparison(
    both: tuple[TrainingSet, Task], monkeypatch: pytest.MonkeyPatch, at_a_time: int
):
    monkeypatch.setattr(module, "AT_A_TIME", at_a_time)
    training, task = both
    found = overlap(training, task, progress=False)
    assert found.counts == slowly(training, task)
    assert [(c.exact, c.near) for c in found.counts] == [(2, 1), (2, 1), (1, 1), (1, 1)]
    assert found.training_texts == len({plain(text) for _, _, text in training.every_text()})
    assert found.total("query").share == 6 / 20
    assert (found.training_digest, found.task) == (training.digest, "small")


def test_parts_of_a_set_are_counted_as_each_by_itself_and_no_text_is_compared_twice(
    both: tuple[TrainingSet, Task], monkeypatch: pytest.MonkeyPatch
):
    training, task = both
    parts = [
        TrainingSet.of("part", cut_to_languages(training.collection, codes))
        for codes in (("de",), ("en",))
    ]
    compared: list[str] = []
    similar = TextIndex.similar
    monkeypatch.setattr(
        TextIndex, "similar", lambda self, texts: compared.extend(texts) or similar(self, texts)
    )
    found = overlaps([parts[0], training, parts[1]], task, progress=False)
    assert len(compared) == len({*compared}) == len({text for *_, text in training.every_text()})
    assert [each.counts for each in found] == [
        slowly(each, task) for each in (parts[0], training, parts[1])
    ]
    assert [each.total().exact for each in found] == [3, 6, 3]
    assert found == [overlap(each, task, progress=False) for each in (parts[0], training, parts[1])]


def test_of_equally_similar_texts_the_same_one_is_found(tmp_path: Path):
    """Two texts with the same trigrams, of which the second is the evaluated one."""
    twice, evaluated = "abcabcabx bcabca", "abcabx bcabcabca"
    assert jaccard(twice, evaluated) == 1
    for name, pairs in (("train", [(twice, evaluated)]), ("test", [(evaluated, "another")])):
        write_rows(tmp_path / name, "de", pairs)
    train, test = (
        make_task(
            tmp_path / name, "rows", {"rows": "{language}.jsonl"}, languages=["de"], options=OPTIONS
        )
        for name in ("train", "test")
    )
    training = training_set(train, progress=False)
    assert overlap(training, test, progress=False).counts == slowly(training, test)


def test_examples_name_the_most_similar_training_text(both: tuple[TrainingSet, Task]):
    training, task = both
    found = overlap(training, task, progress=False)
    texts = [text for _, _, text in training.every_text()]
    assert len(found.examples) == 10
    for each in found.examples:
        best = max(jaccard(each.text, text) for text in texts)
        assert each.similarity == round(best, 4)
        assert round(jaccard(each.text, each.training_text), 4) == each.similarity
        assert each.training_text in texts
    moved = [each for each in found.examples if each.role != each.training_role]
    assert [(each.role, each.training_role) for each in moved] == [("query", "passage")] * 2


def test_what_is_found_is_a_fault_of_the_training_set(both: tuple[TrainingSet, Task]):
    training, task = both
    fault = overlap(training, task, progress=False).fault
    assert "holds 6 of the 40 questions and passages of small, and 4 more nearly" in str(fault)
    assert overlap(training, "sample", languages="de,en", progress=False).fault is None


def test_a_task_is_all_in_itself():
    found = overlap(training_set("sample", progress=False), "sample", progress=False)
    total = found.total("query")
    assert (total.texts, total.exact, total.near) == (352, 352, 0)
    unasked = found.total("passage")
    assert unasked.texts == 704
    assert unasked.exact == 352  # the other passages answer nothing, and are not trained on


def test_nothing_of_emoji_names_is_in_emoji_train():
    found = overlap(training_set("emoji-train", progress=False), "emoji-names", progress=False)
    assert (found.total().texts, found.fault) == (472 * 11 + 723 * 11, None)


def test_what_was_found_is_read_again(both: tuple[TrainingSet, Task], tmp_path: Path):
    found = overlap(*both, progress=False)
    path = tmp_path / "overlap.json"
    path.write_text(json.dumps([found.values()]), encoding="utf-8")
    assert read_overlaps(path) == [found]
    path.write_text(json.dumps({"schema": "mlbench/training/1", "overlap": [found.values()]}))
    assert read_overlaps(path) == [found]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"no": 1}', '[{"schema": "mlbench/overlap/9"}]', "3"]
)
def test_other_files_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "overlap.json"
    path.write_text(text)
    with pytest.raises(DataError, match="not mlbench/overlap/1"):
        read_overlaps(path)
    path.write_text('[{"schema": "mlbench/overlap/1", "training": 3}]')
    with pytest.raises(DataError, match=r"\[0\].training"):
        read_overlaps(path)
    with pytest.raises(EnvironmentFault):
        read_overlaps(tmp_path / "nowhere.json")


@pytest.mark.parametrize("threshold", [0.0, 1.5, -1.0])
def test_a_threshold_is_above_0_and_at_most_1(threshold: float):
    with pytest.raises(UsageError, match="threshold"):
        overlap(training_set("sample", progress=False), "sample", threshold=threshold)
