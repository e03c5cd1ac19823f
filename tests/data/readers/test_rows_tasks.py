"""Belebele and Multi-EuP, read from small files in their layouts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mlbench.data.catalog import find_task
from mlbench.data.collection import Collection
from mlbench.data.locations import wanted_files
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection
from mlbench.data.task import Group, Kind, Task
from tests.data.readers.building import json_lines, qrels_set, write

BELEBELE = ("belebele", "belebele-from-english", "belebele-to-english")
LINKS = 12
QUESTIONS = 18


def load(name: str, folder: Path) -> tuple[Task, Collection]:
    task = find_task(name)
    return task, read_collection(task, Locator(folder, offline=True).of(task))


def write_belebele(folder: Path) -> None:
    """Write 12 passages of one or two questions each, in all languages of the data set."""
    for file in wanted_files(find_task("belebele-to-english")):
        language = Path(file.name).stem
        rows = [
            {
                "link": f"https://en.wikinews.org/wiki/{link}",
                "question_number": number,
                "flores_passage": f"{language} passage {link}",
                "question": f"{language} question {link}.{number}",
                "mc_answer1": "a",
                "mc_answer2": "b",
                "mc_answer3": "c",
                "mc_answer4": "d",
                "correct_answer_num": "1",
                "dialect": language,
                "ds": "2023-07-21",
            }
            for link in range(LINKS)
            for number in range(1, 2 + link % 2)
        ]
        assert len(rows) == QUESTIONS
        write(folder, {file.name: json_lines(*rows)})


@pytest.fixture(scope="module")
def belebele(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("belebele")
    write_belebele(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "asked", "pool", "settings", "first"),
    [
        ("belebele", 14, 14, [14, 182, 14], "nDCG@20"),
        ("belebele-from-english", 1, 122, [1, 121, 1], "nDCG@10"),
        ("belebele-to-english", 122, 1, [1, 121, 0], "nDCG@10"),
    ],
)
def test_belebele(
    belebele: Path, name: str, asked: int, pool: int, settings: list[int], first: str
) -> None:
    task, data = load(name, belebele)
    assert (task.group, task.measures[0]) == (Group.PARAGRAPHS, first)
    assert (len(task.roles.queries), len(task.roles.passages)) == (asked, pool)
    assert [sum(s.kind is kind for s in task.settings()) for kind in Kind] == settings
    assert sorted(set(data.queries.counts.tolist())) in ([QUESTIONS], [0, QUESTIONS])
    assert (len(data.queries), len(data.passages)) == (asked * QUESTIONS, pool * LINKS)
    assert len(data.qrels.query) == asked * QUESTIONS * pool
    english = data.languages.index("eng-Latn")
    questions, passages = data.queries.slice(english), data.passages.slice(english)
    records = [data.queries.texts[questions][i] for i in (0, 9, -1)]
    assert records == [f"eng_Latn question {q}" for q in ("0.1", "6.1", "11.2")]
    assert data.queries.ids[questions][-1] == "https://en.wikinews.org/wiki/11#2"
    records = [data.passages.texts[passages][i] for i in (0, 9, -1)]
    assert records == [f"eng_Latn passage {n}" for n in (0, 9, 11)]
    assert {data.query_counts(setting) for setting in task.settings()} == {(QUESTIONS, 0)}


def test_the_languages_of_belebele() -> None:
    some, all_ = find_task("belebele"), find_task("belebele-to-english")
    assert set(some.languages) < set(all_.languages)
    assert find_task("belebele-from-english").languages == all_.languages
    urls = {file.url for name in BELEBELE for file in wanted_files(find_task(name))}
    assert len(urls) == 122
    commit = "7899cdfa4e1e0d733fd77c848e2c273cb1d32be2"
    assert f"hf://datasets/facebook/belebele@{commit}/data/acm_Arab.jsonl" in urls


def write_speeches(folder: Path, languages: tuple[str, ...], cut: int = 0) -> None:
    """Write two debates, each with a speech in every language, and rows that lack something.

    Irish has no title of the second debate; speeches hold line breaks.
    """
    codes = [code.upper() for code in languages]
    header = ["did", "TEXT", "LANGUAGE", "DATE", *(f"title_{c}" for c in codes)]
    header += [*(f"qid_{c}" for c in codes), "PARTY"]
    path = folder / "clean_all_with_did_qid.MEP.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, header, restval="", lineterminator="\n")
        table.writeheader()
        for debate in (0, 1):
            asked = [code for code in codes if (code, debate) != ("GA", 1)]
            titles = {f"title_{c}": f'{c} title, "{debate}"' for c in asked}
            titles |= {f"qid_{c}": f"qid{debate}#{c}" for c in asked}
            for code in codes:
                said = f"Mr President,\n{code} speech {debate}\nThank you."
                table.writerow(
                    {"did": f"did{debate}#{code}", "TEXT": said, "LANGUAGE": code} | titles
                )
            table.writerow({"did": f"empty{debate}", "TEXT": "", "LANGUAGE": "EN"} | titles)
        table.writerow({"did": "nameless", "TEXT": "no debate", "LANGUAGE": "EN"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])


def test_multi_eup(tmp_path: Path) -> None:
    task = find_task("multi-eup")
    write_speeches(tmp_path, task.languages)
    _, data = load("multi-eup", tmp_path)
    assert (task.group, task.measures[0]) == (Group.PARAGRAPHS, "RR@100")
    assert [sum(s.kind is kind for s in task.settings()) for kind in Kind] == [24, 552, 24]
    irish = data.languages.index("ga")
    counts = [1 if code == irish else 2 for code in range(24)]
    assert data.queries.counts.tolist() == counts
    assert data.passages.counts.tolist() == [2] * 24
    assert [data.queries.texts[i] for i in (0, 9, -1)] == [
        'BG title, "0"',
        'EL title, "1"',
        'SV title, "1"',
    ]
    assert [data.passages.texts[i].splitlines()[1] for i in (0, 9, -1)] == [
        "BG speech 0",
        "EL speech 1",
        "SV speech 1",
    ]
    assert data.passages.texts[0] == "Mr President,\nBG speech 0\nThank you."
    assert qrels_set(data) == {
        (asked, f"qid{debate}#EN", code, f"did{debate}#{code.upper()}", 1)
        for debate in (0, 1)
        for asked in task.languages
        for code in task.languages
        if (asked, debate) != ("ga", 1)
    }
    [file] = wanted_files(task)
    assert file.url == (
        "hf://datasets/unimelb-nlp/MultiEup-v2@382817850e097286b3fa9d874fb1b5128d0a430c/"
        "clean_all_with_did_qid.MEP.csv"
    )


def test_a_cut_file_of_multi_eup_is_told(tmp_path: Path) -> None:
    write_speeches(tmp_path, find_task("multi-eup").languages, cut=30)
    with pytest.raises(Exception, match=r"MEP\.csv:\d+: \d+ fields, so the row is cut") as caught:
        load("multi-eup", tmp_path)
    assert str(caught.value).count("MEP.csv:") == 1
