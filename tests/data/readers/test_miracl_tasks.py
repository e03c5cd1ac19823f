"""AfriCLIRMatrix and MKQA, read from small files in their layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlbench import evaluate
from mlbench.common.errors import DataError
from mlbench.data.catalog import find_task
from mlbench.data.locations import wanted_files
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import check_source
from mlbench.data.task import Group, Kind
from mlbench.evaluation.options import Options, Streaming
from tests.data.readers.building import json_lines, qrels_set, write

AFRI = "africlirmatrix"
ARTICLES = 15
TOPICS = 12


def write_africlirmatrix(folder: Path) -> None:
    """Write the files of 15 languages; each asks the topics that begin at its number."""
    task = find_task(AFRI)
    for number, (code, name) in enumerate(task.source.ids.items()):
        articles = [{"id": str(7 * i), "contents": f"{name} article {i}"} for i in range(ARTICLES)]
        topics = range(number, number + TOPICS)
        write(
            folder,
            {
                f"africlirmatrix-v1.0-{name}/corpus.jsonl": json_lines(*articles),
                f"{AFRI}/test/queries/topics.africlirmatrix-v1.0.en.{code}.tsv": "".join(
                    f"{100 + i}\ttitle {i}\n" for i in topics
                ),
                f"{AFRI}/test/qrels/qrels.africlirmatrix-v1.0.en.{code}.txt": "".join(
                    f"{100 + i} Q0 {7 * (i % ARTICLES)} {4 + i % 3}\n" for i in topics
                ),
            },
        )


def test_africlirmatrix(tmp_path: Path) -> None:
    write_africlirmatrix(tmp_path)
    task = find_task(AFRI)
    assert (task.group, task.measures[:2]) == (Group.LARGE, ("nDCG@10", "R@100"))
    assert {setting.kind for setting in task.settings()} == {Kind.CROSSLINGUAL}
    codes = task.roles.passages
    assert len(task.settings()) == len(codes) == 15
    data = read_collection(task, Locator(tmp_path, offline=True).of(task))
    titles = tuple(f"title {i}" for i in range(15 - 1 + TOPICS))
    assert data.queries.texts == titles
    assert data.queries.counts.tolist() == [len(titles), *[0] * 15]
    yoruba = data.passages.slice(data.languages.index("yor"))
    assert [(data.passages.ids[i], data.passages.texts[i]) for i in range(*yoruba.indices(10**6))][
        ::7
    ] == [("0", "yoruba article 0"), ("49", "yoruba article 7"), ("98", "yoruba article 14")]
    assert qrels_set(data) == {
        ("en", str(100 + i), code, str(7 * (i % ARTICLES)), 4 + i % 3)
        for number, code in enumerate(codes)
        for i in range(number, number + TOPICS)
    }
    counts = {data.query_counts(setting) for setting in task.settings()}
    assert counts == {(TOPICS, len(titles) - TOPICS)}


def test_africlirmatrix_streamed(tmp_path: Path) -> None:
    write_africlirmatrix(tmp_path)
    task = find_task(AFRI)
    whole = Options(data_dir=tmp_path, cache=None, threads=1, progress=False, offline=True)
    held = evaluate("char-ngram", task, whole)
    streamed = evaluate("char-ngram", task, replace(whole, streaming=Streaming(always=True)))
    assert (held.task.digest, held.scores) == (streamed.task.digest, streamed.scores)


def test_the_files_of_africlirmatrix() -> None:
    files = [*wanted_files(find_task(AFRI))]
    assert len(files) == 45
    urls = {file.language: file.url for file in files if file.role == "corpus"}
    assert urls["arz"] == (
        "hf://datasets/castorini/africlirmatrix@f94e826e12c3589ff908d338492211a4ebabe7a9/"
        "africlirmatrix-v1.0-egyptian_arabic/corpus.jsonl"
    )
    assert {file.url for file in files if file.role != "corpus"} == {None}
    with pytest.raises(MissingData) as caught:
        Locator(offline=True).of(find_task(AFRI))
    assert "for the topics and judgements, run `git clone https://github.com/cas" in str(
        caught.value
    )
    assert "then run `mlbench tasks fetch africlirmatrix` with a network" in str(caught.value)


def test_a_topic_with_two_texts_is_told(tmp_path: Path) -> None:
    write_africlirmatrix(tmp_path)
    name = f"{AFRI}/test/queries/topics.africlirmatrix-v1.0.en.amh.tsv"
    write(tmp_path, {name: (tmp_path / name).read_text().replace("title 5", "another")})
    task = find_task(AFRI)
    with pytest.raises(DataError, match=r"query '105' has another text than at .*en\.afr\.tsv:6"):
        stream_collection(task, Locator(tmp_path, offline=True))


def test_what_the_paths_of_a_language_need() -> None:
    task = find_task(AFRI)
    assert check_source(task) == []
    ids = {code: name for code, name in task.source.ids.items() if code != "yor"}
    lacking = replace(task, source=replace(task.source, ids=ids))
    assert [(f.where.rpartition(" ")[2], f.found) for f in check_source(lacking)] == [
        ("source.ids.yor", "missing")
    ]
    several = replace(task, languages=(*task.languages, "fr"), query_languages=("en", "fr"))
    [fault] = check_source(several)
    assert fault.found.startswith("en, fr, so it is not clear in which the queries over passages")
    files = {**task.source.files, "corpus": "africlirmatrix-v1.0-{name}/corpus.jsonl"}
    wrong = replace(task, source=replace(task.source, files=files))
    expected = "unknown placeholder {name}"
    assert expected in [fault.found for fault in check_source(wrong)]


def write_mkqa(folder: Path) -> None:
    """Write four questions of 26 languages; the ids of a language are its own."""
    for file in wanted_files(find_task("mkqa")):
        language = file.name.partition("-")[0]
        texts = [
            {"id": f"{file.role[0].upper()}{i}", "title": "", "text": f"{language} {file.role} {i}"}
            for i in range(11)
        ]
        judged = [{"query-id": f"Q{i}", "corpus-id": f"C{10 - i}", "score": 1} for i in range(11)]
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = judged if file.role == "qrels" else texts
        parquet.write_table(pa.Table.from_pylist(rows), path)


def test_mkqa(tmp_path: Path) -> None:
    write_mkqa(tmp_path)
    task = find_task("mkqa")
    assert (task.group, task.measures[0]) == (Group.QUESTIONS, "nDCG@10")
    assert task.languages[-3:] == ("zh-CN", "zh-HK", "zh-TW")
    assert {setting.kind for setting in task.settings()} == {Kind.MONOLINGUAL}
    data = read_collection(task, Locator(tmp_path, offline=True).of(task))
    assert data.queries.counts.tolist() == data.passages.counts.tolist() == [11] * 26
    taiwan = data.queries.slice(25)
    assert [data.queries.texts[taiwan][i] for i in (0, 9, -1)] == [
        f"zh_tw queries {i}" for i in (0, 9, 10)
    ]
    assert [data.passages.texts[data.passages.slice(0)][i] for i in (0, 9, -1)] == [
        f"ar corpus {i}" for i in (0, 9, 10)
    ]
    assert qrels_set(data) == {
        (code, f"Q{i}", code, f"C{10 - i}", 1) for code in task.languages for i in range(11)
    }
    urls = [file.url for file in wanted_files(task)]
    assert len(urls) == len(set(urls)) == 78
    assert all("@3e069e7a30079d214a859741f5a0de75cf878867/" in str(url) for url in urls)
