"""The built-in tasks of ir_datasets, read by its own code from small files in its layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlbench.data.catalog import find_task
from mlbench.data.task import Group, Kind
from tests.support.irds_home import (
    DOCUMENTS,
    MMARCO,
    MR_TYDI,
    QUESTIONS,
    answer,
    write_mmarco,
    write_mr_tydi,
)

ir_datasets = pytest.importorskip("ir_datasets")

TASKS = ("mr-tydi", "mmarco")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ir_datasets")
    write_mr_tydi(home)
    write_mmarco(home)
    return home


@pytest.fixture(scope="module")
def facts(home: Path) -> dict[str, Any]:
    return dict(answer(home, f"{{name: facts_of(name) for name in {TASKS}}}"))


@pytest.mark.parametrize("name", TASKS)
def test_every_id_is_one_of_ir_datasets(name: str) -> None:
    for id_ in find_task(name).source.ids.values():
        assert id_ in ir_datasets.registry


def counts_in(id_: str) -> tuple[int, int, int]:
    """Return how many documents, queries and judgements ir_datasets says that it has."""
    dataset = ir_datasets.load(id_)
    found = (dataset.docs_metadata(), dataset.queries_metadata(), dataset.qrels_metadata())
    return tuple(each["count"] for each in found)  # type: ignore[return-value]


def test_the_counts_that_the_tasks_state() -> None:
    tydi, mmarco = find_task("mr-tydi"), find_task("mmarco")
    counts = [counts_in(id_) for id_ in tydi.source.ids.values()]
    assert sum(documents for documents, _, _ in counts) == 58_043_326
    assert "58 million" in tydi.title
    assert sum(queries for _, queries, _ in counts) == 8_661
    assert "8,661" in tydi.notes[0]
    assert {counts_in(id_) for id_ in mmarco.source.ids.values()} == {(8_841_823, 6_980, 7_437)}
    assert "8,841,823" in mmarco.title


def test_what_the_tasks_measure() -> None:
    tydi, mmarco = find_task("mr-tydi"), find_task("mmarco")
    assert {tydi.group, mmarco.group} == {Group.LARGE}
    assert tydi.measures[:2] == ("RR@100", "R@100")
    assert tydi.kinds == (Kind.MONOLINGUAL,)
    assert mmarco.measures[:2] == ("RR@10", "R@1000")
    kinds = [setting.kind for setting in mmarco.settings()]
    assert [kinds.count(kind) for kind in Kind] == [14, 182, 14]


def record(language: str, role: str, number: int) -> list[str]:
    return [str(10 * number), f"{language} {role} {number} of {'abcdefgh'[number % 8] * 3}"]


def test_mr_tydi(facts: dict[str, Any]) -> None:
    found = facts["mr-tydi"]
    assert [*found["queries"]] == [*found["passages"]] == [*MR_TYDI]
    for code in MR_TYDI:
        questions, passages = found["queries"][code], found["passages"][code]
        assert (len(questions), len(passages)) == (QUESTIONS - 1, DOCUMENTS)
        for number in (0, 9, QUESTIONS - 2):
            assert questions[number] == record(code, "question", number)
        for number in (0, 9, DOCUMENTS - 1):
            assert passages[number] == record(code, "passage", number)
    settings = [["monolingual", code, [code], QUESTIONS - 1, 0] for code in MR_TYDI]
    assert found["settings"] == settings


def test_mmarco(facts: dict[str, Any]) -> None:
    """Vietnamese lacks the question 3, and the passage 2, the answer to the question 1."""
    found, languages = facts["mmarco"], sorted([*MMARCO, "en"])
    assert [*found["queries"]] == [*found["passages"]] == languages
    for code in languages:
        lacks = code == "vi"
        questions, passages = found["queries"][code], found["passages"][code]
        assert (len(questions), len(passages)) == (QUESTIONS - 1 - lacks, DOCUMENTS - lacks)
        for number in (0, QUESTIONS - 2):
            assert record(code, "q", number) in questions
        assert questions[9 - lacks] == record(code, "q", 9)
        assert passages[9 - lacks] == record(code, "p", 9)
        assert passages[-1] == record(code, "p", DOCUMENTS - 1)
    assert set(found["relevance"]) == {1}
    assert len(found["relevance"]) == sum(
        1
        for asked in languages
        for code in languages
        for number in range(QUESTIONS - 1)
        if (asked, number) != ("vi", 3) and (code, 2 * number) != ("vi", 2)
    )
    assert not found["absent"]
    for _, asked, pool, queries, excluded in found["settings"]:
        without_answer = pool == ["vi"]
        assert queries == QUESTIONS - 1 - (asked == "vi") - without_answer
        assert excluded == without_answer


def test_a_streamed_parallel_run_is_that_of_a_held_one(home: Path) -> None:
    """Also over a copy of a task that has some of its languages."""
    assert answer(home, 'differences_of_streamed_and_held("mmarco", "en nl vi")') == []


def test_a_language_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_mmarco(tmp_path)
    (tmp_path / "mmarco" / "v2" / "dutch.queries.dev.tsv").unlink()
    said = answer(tmp_path, 'str(pytest.raises(Exception, data_of, "mmarco").value)')
    assert said.startswith("mmarco/v2/dt/dev/small: ir_datasets cannot get it")
