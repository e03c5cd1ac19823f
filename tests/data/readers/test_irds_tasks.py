"""The built-in tasks of ir_datasets, read by its own code from small files in its layouts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from mlbench.data.catalog import find_task
from mlbench.data.sources import ids_of
from mlbench.data.task import Group, Kind
from tests.support.irds_home import (
    CLIRMATRIX,
    DOCUMENTS,
    MMARCO,
    MR_TYDI,
    NEUCLIR,
    QUESTIONS,
    answer,
    command,
    python,
    write,
    write_clirmatrix,
    write_mmarco,
    write_mr_tydi,
    write_neuclir,
)

ir_datasets = pytest.importorskip("ir_datasets")

pytest.importorskip("lz4.frame")

YEARS = ("neuclir-2022", "neuclir-2023")
PAIRS = ("clirmatrix-multi8", "clirmatrix-en-sw")
TASKS = ("mr-tydi", "mmarco", *YEARS, *PAIRS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ir_datasets")
    write_mr_tydi(home)
    write_mmarco(home)
    write_neuclir(home)
    write_clirmatrix(home)
    return home


@pytest.fixture(scope="module")
def facts(home: Path) -> dict[str, Any]:
    return dict(answer(home, f"{{name: facts_of(name) for name in {TASKS}}}"))


@pytest.mark.parametrize("name", TASKS)
def test_every_id_is_one_of_ir_datasets(name: str) -> None:
    task = find_task(name)
    assert task.group is Group.LARGE
    assert task.notes
    ids = [id_ for language in task.roles.passages for id_, _ in ids_of(task, language)]
    assert len(set(ids)) == len(ids) == (56 if name == "clirmatrix-multi8" else len(ids))
    for id_ in (*ids, *filter(None, [task.source.options.get("queries")])):
        if id_.startswith("clirmatrix"):  # is downloaded when it is looked up
            patterns = ir_datasets.registry._patterns
            assert any(pattern.match(id_) for pattern, _ in patterns)
        else:
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
    assert tydi.measures[:2] == ("RR@100", "R@100")
    assert tydi.kinds == (Kind.MONOLINGUAL,)
    assert mmarco.measures[:2] == ("RR@10", "R@1000")
    kinds = [setting.kind for setting in mmarco.settings()]
    assert [kinds.count(kind) for kind in Kind] == [14, 182, 14]


@pytest.mark.parametrize(
    ("year", "counts", "grades"),
    [
        ("neuclir-2022", {"fa": (46, 34174), "ru": (45, 33006), "zh": (49, 36575)}, {0, 1, 3}),
        ("neuclir-2023", {"fa": (76, 26662), "ru": (76, 25634), "zh": (76, 27638)}, {0, 1, 2, 3}),
    ],
)
def test_what_neuclir_measures(
    year: str, counts: dict[str, tuple[int, int]], grades: set[int]
) -> None:
    task = find_task(year)
    assert task.measures[0] == "nDCG@20"
    assert (task.roles.queries, task.roles.passages) == (("en",), ("fa", "ru", "zh"))
    kinds = [setting.kind for setting in task.settings()]
    assert kinds == [*[Kind.CROSSLINGUAL] * 3, Kind.MULTILINGUAL]
    found = {language: counts_in(id_) for language, id_ in task.source.ids.items()}
    assert {language: each[1:] for language, each in found.items()} == counts
    assert sum(documents for documents, _, _ in found.values()) == 10_038_768
    for id_ in task.source.ids.values():
        said = ir_datasets.load(id_).qrels_metadata()["fields"]["relevance"]["counts_by_value"]
        assert {int(grade) for grade in said} == grades


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


def numbered(text: str, numbers: range) -> list[list[str]]:
    return [[str(n), text.format(n)] for n in numbers]


@pytest.mark.parametrize(("year", "first"), [("neuclir-2022", 0), ("neuclir-2023", 200)])
def test_neuclir(facts: dict[str, Any], year: str, first: int) -> None:
    """English topics, each once, though three data sets have them; 2022 judges in two languages."""
    found = facts[year]
    assert [*found["queries"]] == ["en"]
    expected = numbered("eng title {}", range(first, first + QUESTIONS))
    assert sorted(found["queries"]["en"]) == sorted(expected)
    assert [*found["passages"]] == [*NEUCLIR]
    for code, long in NEUCLIR.items():
        assert found["passages"][code] == [
            [f"{long}-{i}", f"{code} title {i} text {i}"] for i in range(DOCUMENTS)
        ]
    if first:
        relevant = sum(i % 4 > 0 for i in range(QUESTIONS))
        counts = [(relevant, QUESTIONS - relevant)] * 4
        assert sorted(set(found["relevance"])) == [0, 1, 2, 3]
    else:
        counts = [(8, 4)] * 3 + [(12, 0)]
        assert sorted(set(found["relevance"])) == [0, 1, 3]
    assert [(queries, excluded) for *_, queries, excluded in found["settings"]] == counts
    pools = [pool for _, _, pool, _, _ in found["settings"]]
    assert pools == [["fa"], ["ru"], ["zh"], ["fa", "ru", "zh"]]


def test_clirmatrix_multi8(facts: dict[str, Any]) -> None:
    found = facts["clirmatrix-multi8"]
    assert [*found["queries"]] == [*found["passages"]] == [*CLIRMATRIX]
    for code in CLIRMATRIX:
        queries = [[str(10 * i), f"{code} query {i}"] for i in range(QUESTIONS)]
        assert found["queries"][code] == queries
        assert found["passages"][code][9] == record(code, "article", 9)
        assert len(found["passages"][code]) == DOCUMENTS
    pairs = [(asked, pool) for _, asked, (pool,), *_ in found["settings"]]
    assert pairs == [(a, b) for a in CLIRMATRIX for b in CLIRMATRIX if a != b]
    assert {(queries, excluded) for *_, queries, excluded in found["settings"]} == {(QUESTIONS, 0)}
    assert len(found["relevance"]) == 56 * 2 * QUESTIONS
    assert sorted(set(found["relevance"])) == [*range(7)]


def test_a_pair_of_clirmatrix(facts: dict[str, Any]) -> None:
    found = facts["clirmatrix-en-sw"]
    assert found["queries"] == {"en": [[str(10 * i), f"en query {i}"] for i in range(QUESTIONS)]}
    assert [*found["passages"]] == ["sw"]
    assert found["settings"] == [["crosslingual", "en", ["sw"], QUESTIONS, 0]]


def test_streamed_runs_are_those_of_held_ones(home: Path) -> None:
    """With queries of another language, and in parallel, over some of a task's languages."""
    runs = {"neuclir-2022": "en fa ru zh", "mmarco": "en nl vi"}
    found = answer(
        home, f"{{n: differences_of_streamed_and_held(n, c) for n, c in {runs}.items()}}"
    )
    assert found == {"neuclir-2022": [], "mmarco": []}


SCAN = """
import sys
from dataclasses import replace
from pathlib import Path
from ir_datasets.util import metadata
from mlbench import load_task
from mlbench.data.locator import Locator
from mlbench.data.readers import irds, stream_collection
from mlbench.evaluation.scan import scan

if __name__ == "__main__":
    irds.DOCUMENTS_IN_A_SHARD = 5000
    count = {"docs": {"count": 30000}}
    metadata.default_metadata_provider._metadata = {"mmarco/v2/de/dev/small": count}
    task = replace(load_task("mmarco"), languages=("de",))
    collection = stream_collection(task, Locator(offline=True))
    scanned = scan(collection, Path(sys.argv[1]), 4)
    print(len(collection.shards), scanned.passages.tolist())
"""


def test_several_processes_read_a_large_collection_at_once(tmp_path: Path) -> None:
    """Each wants the store that ir_datasets makes of the documents when it is first asked."""
    write_mmarco(tmp_path)
    passages = [f"{n}\tpassage {n}" for n in range(30_000)]
    write(tmp_path / "mmarco" / "v2" / "german_collection.tsv", passages)
    (tmp_path / "scan.py").write_text(SCAN)
    done = python(tmp_path, str(tmp_path / "scan.py"), str(tmp_path / "scans"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "6 [30000]\n"


def test_one_query_has_one_text(tmp_path: Path) -> None:
    write_clirmatrix(tmp_path)
    path = tmp_path / "clirmatrix" / "en_de.gz"
    lines = gzip.decompress(path.read_bytes()).decode().replace("en query 3", "another")
    path.write_bytes(gzip.compress(lines.encode()))
    said = answer(tmp_path, 'str(pytest.raises(Exception, data_of, "clirmatrix-multi8").value)')
    assert said == (
        "clirmatrix/de/multi8/en/test1, query 4: query '30' has another text than at "
        "clirmatrix/ar/multi8/en/test1, query 4\n"
        "  expected: one text for each id of a query"
    )


def test_fetch_lets_ir_datasets_get_what_it_lacks(home: Path, tmp_path: Path) -> None:
    fetched = command(home, "tasks", "fetch", "neuclir-2023", "mr-tydi")
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.count(f"its data is in {home}, where the package ir_datasets keeps") == 2
    lacking = command(tmp_path, "tasks", "fetch", "mr-tydi")
    assert lacking.returncode == 5
    assert "mr-tydi/ar/test: ir_datasets cannot get it" in lacking.stderr
    offline = command(home, "tasks", "fetch", "mr-tydi", "--offline")
    assert offline.returncode == 2
    assert "a run without --offline" in offline.stderr


def test_a_language_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_mmarco(tmp_path)
    (tmp_path / "mmarco" / "v2" / "dutch.queries.dev.tsv").unlink()
    said = answer(tmp_path, 'str(pytest.raises(Exception, data_of, "mmarco").value)')
    assert said.startswith("mmarco/v2/dt/dev/small: ir_datasets cannot get it")
