"""BEIR's layout: what is read, in which forms, and how faults are told."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlbench.common.errors import DataError, UsageError
from mlbench.data.absent import absent_warnings
from mlbench.data.collection import Collection
from mlbench.data.corpus import without_absent
from mlbench.data.locator import Locator
from mlbench.data.readers import read_collection, stream_collection
from mlbench.data.sources import check_source
from mlbench.data.task import Kind, Setting, Task
from tests.data.readers.building import json_lines, load, make_task, qrels_set, write

HEADER = "query-id\tcorpus-id\tscore\n"
PER_LANGUAGE = {
    "corpus": "{language}/corpus.jsonl",
    "queries": "{language}/queries.jsonl",
    "qrels": "{language}/qrels.tsv",
}
FILES = {
    "de/corpus.jsonl": json_lines(
        {"_id": "1", "title": "Titel", "text": "eins"}, {"_id": "2", "title": "", "text": "zwei"}
    ),
    "en/corpus.jsonl": json_lines({"_id": "1", "text": "one"}, {"_id": "2", "text": "two"}),
    "de/queries.jsonl": json_lines({"_id": "1", "text": "was?"}),
    "en/queries.jsonl": json_lines({"_id": "1", "text": "what?"}),
    "de/qrels.tsv": HEADER + "1\t2\t1\n",
    "en/qrels.tsv": HEADER + "1\t1\t2\n1\t2\t0\n",
}


def beir(folder: Path, files: Mapping[str, str] = PER_LANGUAGE, **changes: Any) -> Task:
    return make_task(folder, "beir", files, **changes)


def small(
    folder: Path, changes: Mapping[str, str | bytes] | None = None, **task: Any
) -> Collection:
    write(folder, {**FILES, **(changes or {})})
    return load(beir(folder, **task))


def faults_of(folder: Path, changes: Mapping[str, str | bytes], **task: Any) -> str:
    with pytest.raises(DataError) as caught:
        small(folder, changes, **task)
    return str(caught.value)


def test_same_language_is_the_default(tmp_path: Path) -> None:
    data = small(tmp_path)
    assert data.passages.texts == ("eins", "zwei", "one", "two")
    assert data.passages.ids == ("1", "2", "1", "2")
    assert qrels_set(data) == {
        ("de", "1", "de", "2", 1),
        ("en", "1", "en", "1", 2),
        ("en", "1", "en", "2", 0),
    }


def test_title_text_joins_a_title_that_is_not_empty(tmp_path: Path) -> None:
    data = small(tmp_path, text="title-text")
    assert data.passages.texts == ("Titel\neins", "zwei", "one", "two")
    assert data.queries.texts == ("was?", "what?")


def test_parallel_relates_every_language_version(tmp_path: Path) -> None:
    files = {**PER_LANGUAGE, "qrels": "qrels.tsv"}
    data = small(
        tmp_path,
        {"qrels.tsv": HEADER + "1\t2\t1\n"},
        files=files,
        options={"relevance": "parallel"},
    )
    assert qrels_set(data) == {(q, "1", p, "2", 1) for q in ("de", "en") for p in ("de", "en")}


def test_parallel_versions_need_not_exist_in_every_language(tmp_path: Path) -> None:
    files = {**PER_LANGUAGE, "qrels": "qrels.tsv"}
    changes = {
        "en/corpus.jsonl": json_lines({"_id": "1", "text": "one"}),
        "qrels.tsv": HEADER + "1\t2\t1\n",
    }
    data = small(tmp_path, changes, files=files, options={"relevance": "parallel"})
    assert qrels_set(data) == {(q, "1", "de", "2", 1) for q in ("de", "en")}


@pytest.mark.parametrize("field", ["language", "lang"])
def test_languages_of_records_and_ids_unique_over_languages(tmp_path: Path, field: str) -> None:
    files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
    changes = {
        "corpus.jsonl": json_lines(
            {"_id": "e", "text": "one", field: "en"}, {"_id": "d", "text": "eins", field: "de"}
        ),
        "queries.jsonl": json_lines(
            {"_id": "qd", "text": "was?", field: "de"}, {"_id": "qe", "text": "what?", field: "en"}
        ),
        "qrels.tsv": HEADER + "qd\te\t1\nqe\te\t1\nqe\td\t3\n",
    }
    options = {} if field == "language" else {"language-field": field}
    data = small(tmp_path, changes, files=files, options=options)
    assert qrels_set(data) == {
        ("de", "qd", "en", "e", 1),
        ("en", "qe", "en", "e", 1),
        ("en", "qe", "de", "d", 3),
    }


def test_one_qrels_file_needs_ids_unique_over_languages(tmp_path: Path) -> None:
    files = {**PER_LANGUAGE, "qrels": "qrels.tsv"}
    message = faults_of(tmp_path, {"qrels.tsv": HEADER + "1\t2\t1\n"}, files=files)
    assert "qrels.tsv:2: query '1' exists in de, en" in message
    assert "qrels.tsv:2: passage '2' exists in de, en" in message
    assert "relevance = 'parallel'" in message


def test_a_task_of_one_language_reads_a_plain_beir_folder(tmp_path: Path) -> None:
    changes = {
        "corpus.jsonl": FILES["en/corpus.jsonl"],
        "queries.jsonl": FILES["en/queries.jsonl"],
        "qrels/test.tsv": FILES["en/qrels.tsv"],
    }
    files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/test.tsv"}
    data = small(tmp_path, changes, files=files, languages=("en",))
    assert qrels_set(data) == {("en", "1", "en", "1", 2), ("en", "1", "en", "2", 0)}


def test_queries_without_a_judgement_are_left_out(tmp_path: Path) -> None:
    queries = json_lines({"_id": "0", "text": "unjudged"}, {"_id": "1", "text": "was?"})
    data = small(tmp_path, {"de/queries.jsonl": queries})
    assert data.queries.texts == ("was?", "what?")
    assert data.unjudged == {("de", "0")}


def test_a_language_without_a_judged_query_is_refused(tmp_path: Path) -> None:
    message = faults_of(tmp_path, {"de/queries.jsonl": json_lines({"_id": "x", "text": "was?"})})
    assert "language 'de': the qrels judge none of its queries" in message


def test_trec_qrels_have_no_header(tmp_path: Path) -> None:
    data = small(tmp_path, {"de/qrels.tsv": "1 0 2 1\n", "en/qrels.tsv": "1\tQ0\t1\t2\n\n"})
    assert qrels_set(data) == {("de", "1", "de", "2", 1), ("en", "1", "en", "1", 2)}


def test_gzip_and_parquet_hold_the_same_as_json_lines(tmp_path: Path) -> None:
    plain = small(tmp_path, text="title-text")
    files = {"corpus": "{language}/c.parquet", "queries": "{language}/q.jsonl.gz"}
    for language in ("de", "en"):
        rows = [json.loads(line) for line in FILES[f"{language}/corpus.jsonl"].splitlines()]
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / language / "c.parquet")
        queries = gzip.compress(FILES[f"{language}/queries.jsonl"].encode())
        write(tmp_path, {f"{language}/q.jsonl.gz": queries})
    packed = load(beir(tmp_path, {**files, "qrels": "{language}/qrels.tsv"}, text="title-text"))
    assert packed.digest == plain.digest


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\u0085d\u000be\u001cf"
    raw = "".join(f'{{"_id": "{i}", "text": "{text}"}}\n' for i in "12")
    raw = raw.replace("\u000b", "\\u000b").replace("\u001c", "\\u001c")
    data = small(tmp_path, {"de/corpus.jsonl": raw})
    assert data.passages.texts[:2] == (text, text)


def test_windows_line_ends_byte_order_marks_and_empty_lines_are_accepted(tmp_path: Path) -> None:
    windows = {
        name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n"
        for name, text in FILES.items()
    }
    plain = small(tmp_path)
    assert small(tmp_path, windows).digest == plain.digest


def test_a_missing_last_line_feed_is_accepted(tmp_path: Path) -> None:
    stripped = {name: text.rstrip("\n") for name, text in FILES.items()}
    plain = small(tmp_path)
    assert small(tmp_path, stripped).digest == plain.digest


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"_id": "3"', "broken JSON"),
        ("[1]", "JSON, but a list"),
        ("7", "JSON, but the number 7"),
        ('{"_i": "3", "text": "x"}', "no '_id'\n  expected: '_id' as a string\n  to fix: did you"),
        ('{"_id": 3.0, "text": "x"}', "'_id' is the number 3.0"),
        ('{"_id": true, "text": "x"}', "'_id' is the boolean True"),
        ('{"_id": 2, "text": "x"}', "passage '2' (de) given again"),
        ('{"_id": "", "text": "x"}', "'_id' is empty"),
        ('{"_id": "3"}', "no 'text'"),
        ('{"_id": "3", "text": null}', "'text' is null\n  expected: 'text' as a string"),
        ('{"_id": "3", "text": ["x"]}', "'text' is a list"),
        ('{"_id": "3", "text": "x", "title": 5}', "'title' is the number 5"),
        ('{"_id": "3", "text": " "}', "passage '3' has no text"),
        ('{"_id": "3", "text": "\\ud800"}', "passage '3' holds half of a surrogate pair"),
        ('{"_id": "2", "text": "x"}', "passage '2' (de) given again"),
        ("[" * 100_000, "broken JSON"),
    ],
)
def test_a_bad_record_is_told_by_file_and_line(tmp_path: Path, line: str, expected: str) -> None:
    corpus = FILES["de/corpus.jsonl"] + line + "\n"
    message = faults_of(tmp_path, {"de/corpus.jsonl": corpus}, text="title-text")
    assert f"{tmp_path}/de/corpus.jsonl:3: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1\t2", "2 columns\n  expected: BEIR's 3: query-id, corpus-id, score"),
        ("1 2 1", "1 column\n"),
        ("1\t2\t1\t1", "4 columns"),
        ("1\t2\tone", "relevance 'one'"),
        (
            "1\t2\t1.5",
            "relevance '1.5'\n  expected: a whole number, at most nine digits\n  to fix: mul",
        ),
        ("1\t2\tnan", "relevance 'nan'"),
        ("1\t2\t1e", "relevance '1e'"),
        ("1\t2\t1e9", "relevance '1e9'"),
        ("1\t2\t", "relevance ''"),
        ("1\t2\t٣", "relevance '٣'"),
        ("1\t2\t99999999999", "relevance '99999999999'"),
        ("\t2\t1", "the query id is empty"),
        ("1\t2\t0", "judged 0; judged 1 at"),
        ("9\t2\t1", "a judgement names query '9' (de)"),
    ],
)
def test_a_bad_judgement_is_told_by_file_and_line(tmp_path: Path, line: str, expected: str) -> None:
    message = faults_of(tmp_path, {"de/qrels.tsv": FILES["de/qrels.tsv"] + line + "\n"})
    assert f"{tmp_path}/de/qrels.tsv:3: " in message
    assert expected in message


PLAIN = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
PLAIN_FILES = {
    "corpus.jsonl": json_lines(
        {"_id": "d1", "text": "eins", "language": "de"},
        {"_id": "e1", "text": "one", "language": "en"},
    ),
    "queries.jsonl": json_lines(
        {"_id": "dq", "text": "was?", "language": "de"},
        {"_id": "eq", "text": "what?", "language": "en"},
        {"_id": "er", "text": "who?", "language": "en"},
    ),
    "qrels.tsv": HEADER + "dq\td1\t1\neq\te1\t1\ner\te1\t0\n",
}
PARALLEL = {"options": {"relevance": "parallel"}}
LAYOUTS: Mapping[str, tuple[dict[str, Any], str, str, str]] = {
    "a file a language": ({"files": PER_LANGUAGE}, "de/qrels.tsv", "1", "'gone' (de)"),
    "one file": ({"files": PLAIN}, "qrels.tsv", "er", "'gone'"),
    "parallel, a file a language": (PARALLEL, "de/qrels.tsv", "1", "'gone'"),
    "parallel, one file": (
        {"files": {**PER_LANGUAGE, "qrels": "qrels.tsv"}, **PARALLEL}, "qrels.tsv", "1", "'gone'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_judged_passage_that_is_not_there_is_left_out(tmp_path: Path, layout: str) -> None:
    task, name, query, said = LAYOUTS[layout]
    sound = FILES | PLAIN_FILES
    if "parallel" in layout:
        sound |= dict.fromkeys(("qrels.tsv", "en/qrels.tsv"), FILES["de/qrels.tsv"])
    whole = small(tmp_path, sound, **task)
    assert whole.absent is None
    data = small(tmp_path, {**sound, name: sound[name] + f"{query}\tgone\t1\n"}, **task)
    assert data.digest == whole.digest
    (warning,) = absent_warnings(data)
    assert "not in the corpus" in warning
    assert f"left out: {said}" in warning
    files = beir(tmp_path, **task)
    with pytest.raises(DataError, match=f"{name}:.: .*passage {re.escape(said)}") as caught:
        read_collection(files, Locator(offline=True).of(files), strict=True)
    assert len(caught.value.faults) == 1


def test_a_task_of_one_language_names_it_held_or_streamed(tmp_path: Path) -> None:
    files = {role: path.format(language="en") for role, path in PER_LANGUAGE.items()}
    changes = {"en/qrels.tsv": FILES["en/qrels.tsv"] + "1\tgone\t1\n"}
    data = small(tmp_path, changes, files=files, languages=("en",))
    task = beir(tmp_path, files, languages=("en",))
    streamed = stream_collection(task, Locator(offline=True))
    present = {"en": {id_ for _, id_, _ in passages(task)}}
    assert absent_warnings(data) == absent_warnings(without_absent(streamed, present))
    assert "'gone' (en)" in absent_warnings(data)[0]


def test_a_query_that_lost_its_passage_is_excluded_and_counted(tmp_path: Path) -> None:
    changes = {**PLAIN_FILES, "qrels.tsv": PLAIN_FILES["qrels.tsv"] + "er\tgone\t1\n"}
    data = small(tmp_path, changes, files=PLAIN)
    (warning,) = absent_warnings(data)
    assert warning.endswith("; 1 query has no other relevant passage and is excluded")
    english = Setting(Kind.MONOLINGUAL, "en", ("en",))
    assert data.query_counts(english) == (1, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("passage", ["2", "gone"])
def test_a_judged_query_that_is_not_there_is_refused(
    tmp_path: Path, layout: str, passage: str
) -> None:
    task, name, _, said = LAYOUTS[layout]
    sound = FILES | PLAIN_FILES
    if "parallel" in layout:
        sound |= dict.fromkeys(("qrels.tsv", "en/qrels.tsv"), FILES["de/qrels.tsv"])
    message = faults_of(tmp_path, {**sound, name: sound[name] + f"9\t{passage}\t1\n"}, **task)
    said = said.replace("gone", "9")
    assert f"{name}:" in message
    assert message.count(f"a judgement names query {said}, which is not in the collection") == 1


def test_a_contradiction_of_parallel_judgements_is_said_once(tmp_path: Path) -> None:
    files = {**PER_LANGUAGE, "qrels": "qrels.tsv"}
    changes = {"qrels.tsv": HEADER + "1\t2\t1\n1\t2\t0\n"}
    message = faults_of(tmp_path, changes, files=files, **PARALLEL)
    assert message.count("judged 0; judged 1 at") == 1


def test_a_faulty_record_is_the_only_fault(tmp_path: Path) -> None:
    changes = {
        "de/corpus.jsonl": json_lines({"_id": "1", "text": " "}, {"_id": "2", "text": ""}),
        "de/queries.jsonl": json_lines({"_id": "1", "text": " "}),
    }
    message = faults_of(tmp_path, changes)
    assert [line.split(": ")[1] for line in message.splitlines() if "expected" not in line] == [
        "query '1' has no text",
        "passage '1' has no text",
        "passage '2' has no text",
    ]
    french = PLAIN_FILES["corpus.jsonl"].replace('"de"', '"fr"')
    message = faults_of(tmp_path, {**PLAIN_FILES, "corpus.jsonl": french}, files=PLAIN)
    assert "corpus.jsonl:1: passage 'd1' has language 'fr'" in message
    assert "a judgement names" not in message


@pytest.mark.parametrize("content", ["1\t2\t1\n", "1,2,1\n"])
def test_three_columns_need_the_header(tmp_path: Path, content: str) -> None:
    message = faults_of(tmp_path, {"de/qrels.tsv": content})
    assert "de/qrels.tsv:1: no header" in message


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        ("query-id,corpus-id,score\n1,1,1\n", "commas"),
        ('"query-id";"corpus-id";"score"\n"1";"1";"1"\n', "semicolons and quotation marks"),
        ('"query-id"\t"corpus-id"\t"score"\n"1"\t"1"\t"1"\n', "quotation marks"),
    ],
)
def test_a_table_that_is_not_split_by_tabs_is_told(
    tmp_path: Path, content: str, marks: str
) -> None:
    message = faults_of(tmp_path, {"de/qrels.tsv": content})
    assert f"de/qrels.tsv:1: this header, but with {marks}\n" in message


def test_blanks_beside_names_of_the_header_say_nothing(tmp_path: Path) -> None:
    content = FILES["de/qrels.tsv"].replace("score", "score ", 1)
    assert content != FILES["de/qrels.tsv"]
    with_blanks = small(tmp_path / "blanks", {"de/qrels.tsv": content})
    assert with_blanks.digest == small(tmp_path / "none").digest


@pytest.mark.parametrize("indent", [None, 1])
def test_json_that_is_no_lines_is_told(tmp_path: Path, indent: int | None) -> None:
    row = {"query-id": "1", "corpus-id": "2", "score": 1}
    message = faults_of(tmp_path, {"de/qrels.tsv": json.dumps([row], indent=indent)})
    assert "de/qrels.tsv:1: JSON, but not an object on each line" in message


@pytest.mark.parametrize("content", ["", "\n", HEADER])
def test_empty_qrels_are_refused(tmp_path: Path, content: str) -> None:
    assert "qrels" in faults_of(tmp_path, {"de/qrels.tsv": content})


def test_invalid_utf8_is_told_with_its_byte(tmp_path: Path) -> None:
    good = FILES["de/corpus.jsonl"].encode()
    for mark in (b"", b"\xef\xbb\xbf"):
        bad = mark + good + b'{"_id": "3", "text": "\xe9"}\n'
        message = faults_of(tmp_path, {"de/corpus.jsonl": bad})
        assert f"corpus.jsonl:3: byte {bad.index(0xE9, 3)} of the file (0xe9)" in message
    first = b'\xef\xbb\xbf{"_id": "3", "text": "\xe9"}\n'
    message = faults_of(tmp_path, {"de/corpus.jsonl": first})
    assert f"corpus.jsonl:1: byte {first.index(0xE9)} of the file" in message


def test_damaged_packed_files_are_told(tmp_path: Path) -> None:
    whole = gzip.compress(FILES["de/corpus.jsonl"].encode())
    files = {**PER_LANGUAGE, "corpus": "{language}.jsonl.gz"}
    english = gzip.compress(FILES["en/corpus.jsonl"].encode())
    for damaged in (b"no gzip", whole[:-9], whole[:20] + b"\0\0\0\0" + whole[24:]):
        changes = {"de.jsonl.gz": damaged, "en.jsonl.gz": english}
        assert "de.jsonl.gz: damaged gzip file" in faults_of(tmp_path, changes, files=files)
    files = {**PER_LANGUAGE, "corpus": "{language}.parquet"}
    changes = {"de.parquet": b"PAR1", "en.parquet": b"no"}
    message = faults_of(tmp_path, changes, files=files)
    assert "de.parquet: damaged Parquet file" in message
    assert "en.parquet: damaged Parquet file" in message


def test_parquet_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    for language in ("de", "en"):
        table = pa.table({"_id": ["1"], "text": pa.array([b"\xff"]).view(pa.string())})
        parquet.write_table(table, tmp_path / f"{language}.parquet")
    message = faults_of(tmp_path, {}, files={**PER_LANGUAGE, "corpus": "{language}.parquet"})
    assert "de.parquet: damaged Parquet file: 'utf-8' codec can't decode byte 0xff" in message


def test_parquet_rows_are_checked_like_lines(tmp_path: Path) -> None:
    rows = [{"_id": 1.0, "text": "x"}, {"_id": 2.0, "text": None}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "de.parquet")
    parquet.write_table(pa.Table.from_pylist([{"_id": "1", "text": "x"}]), tmp_path / "en.parquet")
    message = faults_of(tmp_path, {}, files={**PER_LANGUAGE, "corpus": "{language}.parquet"})
    assert "de.parquet, row 1: '_id' is the number 1.0" in message
    assert "de.parquet, row 2: 'text' is null" in message


def test_faults_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    message = faults_of(
        tmp_path, dict.fromkeys(("de/corpus.jsonl", "en/queries.jsonl"), "broken\n")
    )
    assert "de/corpus.jsonl:1" in message
    assert "en/queries.jsonl:1" in message


def test_more_than_twenty_faults_are_counted(tmp_path: Path) -> None:
    message = faults_of(tmp_path, {"de/corpus.jsonl": "broken\n" * 50})
    assert message.count("broken JSON") == 20
    assert "and: 30 more faults" in message


def test_a_record_without_language_is_told_how_to_get_one(tmp_path: Path) -> None:
    changes = {"corpus.jsonl": json_lines({"_id": "1", "text": "x"})}
    message = faults_of(tmp_path, changes, files={**PER_LANGUAGE, "corpus": "corpus.jsonl"})
    assert "corpus.jsonl:1: no 'language'" in message
    assert "put {language} into the file's path" in message


def test_languages_of_records_may_be_spelled_otherwise(tmp_path: Path) -> None:
    spelled = {
        name: text.replace('"de"', '"deu_Latn"').replace('"en"', '"EN"')
        for name, text in PLAIN_FILES.items()
    }
    data = small(tmp_path, spelled, files=PLAIN, languages=("deu-Latn", "en"))
    assert data.queries.counts.tolist() == [1, 2]
    assert data.languages == ("deu-Latn", "en")


def test_a_language_that_is_not_the_tasks_is_refused(tmp_path: Path) -> None:
    corpus = json_lines(
        {"_id": "1", "text": "x", "language": "fr"},
        {"_id": "1", "text": "x", "language": "de"},
        {"_id": "1", "text": "x", "language": "en"},
    )
    message = faults_of(
        tmp_path, {"corpus.jsonl": corpus}, files={**PER_LANGUAGE, "corpus": "corpus.jsonl"}
    )
    assert "corpus.jsonl:1: passage '1' has language 'fr'" in message


unicode_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = unicode_text.filter(str.strip)
ids = unicode_text.filter(lambda id_: not set(id_) & set("\t\n\r"))


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, data: st.DataObject) -> None:
    passages = {
        language: data.draw(st.dictionaries(ids, texts, min_size=1, max_size=4), "passages")
        for language in ("de", "en")
    }
    queries = {
        language: data.draw(st.dictionaries(ids, texts, min_size=1, max_size=3), "queries")
        for language in ("de", "en")
    }
    grade = st.integers(1, 3)
    judged = {
        (language, query, language, passage, data.draw(grade))
        for language in ("de", "en")
        for query in queries[language]
        for passage in passages[language]
    }
    files: dict[str, str] = {}
    for language in ("de", "en"):
        for role, group in (("corpus", passages), ("queries", queries)):
            rows = [{"_id": id_, "text": text} for id_, text in group[language].items()]
            ascii_only = data.draw(st.booleans())
            files[f"{language}/{role}.jsonl"] = "".join(
                json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows
            )
        files[f"{language}/qrels.tsv"] = HEADER + "".join(
            f"{q}\t{p}\t{r}\n" for of, q, _, p, r in sorted(judged) if of == language
        )
    write(tmp_path, files)
    collection = load(beir(tmp_path))
    for group, entries in ((passages, collection.passages), (queries, collection.queries)):
        for index, language in enumerate(("de", "en")):
            part = entries.slice(index)
            assert dict(zip(entries.ids[part], entries.texts[part], strict=True)) == group[language]
    assert qrels_set(collection) == judged


PARQUET = {
    "corpus": "{language}-corpus/dev-00000-of-00001.parquet",
    "queries": "{language}-queries/dev-00000-of-00001.parquet",
    "qrels": "{language}-qrels/dev-00000-of-00001.parquet",
}


def write_parquet(folder: Path, id_key: str = "_id", qrels: list[dict[str, Any]] | None = None):
    """Write the sound files as MTEB publishes its data sets on the hub."""
    for language in ("de", "en"):
        roles: dict[str, list[dict[str, Any]]] = {}
        for role in ("corpus", "queries"):
            rows = [json.loads(line) for line in FILES[f"{language}/{role}.jsonl"].splitlines()]
            roles[role] = [{id_key if k == "_id" else k: v for k, v in row.items()} for row in rows]
        rows = [line.split("\t") for line in FILES[f"{language}/qrels.tsv"].splitlines()[1:]]
        names = ("query-id", "corpus-id", "score")
        judged = [dict(zip(names, (q, p, int(r)), strict=True)) for q, p, r in rows]
        roles["qrels"] = judged if qrels is None else qrels
        for role, rows_ in roles.items():
            path = folder / f"{language}-{role}" / "dev-00000-of-00001.parquet"
            path.parent.mkdir(exist_ok=True)
            parquet.write_table(pa.Table.from_pylist(rows_), path)


@pytest.mark.parametrize("id_key", ["_id", "id"])
def test_the_hubs_parquet_layout_holds_the_same(tmp_path: Path, id_key: str) -> None:
    write_parquet(tmp_path, id_key)
    assert load(beir(tmp_path, PARQUET)).digest == small(tmp_path).digest


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"query-id": "1", "corpus-id": "2", "score": 0.5}, "row 1: 'score' is the number 0.5"),
        (
            {"query-id": "1", "corpus-id": "2", "score": math.nan},
            "row 1: 'score' is the number nan",
        ),
        ({"query-id": "1", "corpus-id": "2", "score": None}, "row 1: 'score' is null"),
        ({"query-id": "1", "corpus-id": "2", "score": True}, "row 1: 'score' is the boolean True"),
        (
            {"query-id": "1", "corpus-id": "2", "score": 10**12},
            "row 1: 'score' is the number 10000",
        ),
        ({"query-id": "1", "corpus-id": "2", "relevance": 1}, "row 1: no 'score'"),
        ({"query-id": 1.0, "corpus-id": "2", "score": 1}, "row 1: 'query-id' is the number 1.0"),
        ({"query-id": "", "corpus-id": "2", "score": 1}, "row 1: 'query-id' is empty"),
        ({"query-id": "1", "corpus-id": None, "score": 1}, "row 1: 'corpus-id' is null"),
        ({"query-id": "1", "docid": "2", "score": 1}, "row 1: no 'corpus-id'"),
    ],
)
def test_a_bad_judgement_in_parquet_is_told(
    tmp_path: Path, row: dict[str, Any], expected: str
) -> None:
    write_parquet(tmp_path, qrels=[row])
    with pytest.raises(DataError) as caught:
        load(beir(tmp_path, PARQUET))
    assert f"de-qrels/dev-00000-of-00001.parquet, {expected}" in str(caught.value)


GRADES = [-1, 0, 1, 2]


@pytest.mark.parametrize(
    "score",
    [
        pa.array(GRADES, pa.int8()),
        pa.array(GRADES, pa.float32()),
        pa.array(GRADES, pa.float64()),
        pa.array(np.array(GRADES, np.float16)),
        pa.array(map(Decimal, GRADES), pa.decimal128(12, 3)),
        pa.array(["-1.0", "0", "+1", " 2.00"]),
        pa.array(["-1", "0", "1e0", "2"]).dictionary_encode(),
    ],
    ids=lambda score: str(score.type),
)
def test_whole_grades_may_be_typed_as_any_number(tmp_path: Path, score: pa.Array) -> None:
    corpus = json_lines(*({"_id": f"{i}", "text": f"text {i}"} for i in range(4)))
    columns = {"query-id": ["1"] * 4, "corpus-id": pa.array(range(4)), "score": score}
    parquet.write_table(pa.table(columns), tmp_path / "qrels.parquet")
    files = {**PER_LANGUAGE, "qrels": "qrels.parquet"}
    data = small(tmp_path, {"de/corpus.jsonl": corpus}, files=files, languages=("de",))
    assert data.qrels.relevance.tolist() == GRADES
    assert data.passages.ids == ("0", "1", "2", "3")


@pytest.mark.parametrize("grade", ["2", "2.0", "+2", "2.", "02", "0.2e1", " 2 ", "2.000"])
def test_whole_grades_may_be_written_as_any_number(tmp_path: Path, grade: str) -> None:
    changes = {"de/qrels.tsv": HEADER + f"1\t1\t{grade}\n", "en/qrels.tsv": f"1 Q0 1 {grade}\n"}
    data = small(tmp_path, changes)
    assert data.qrels.relevance.tolist() == [2, 2]


def test_ids_may_be_integers_in_one_file_and_strings_in_another(tmp_path: Path) -> None:
    changes = {
        "de/corpus.jsonl": json_lines({"_id": 1, "text": "eins"}, {"_id": 2, "text": "zwei"}),
        "en/queries.jsonl": json_lines({"_id": 1, "text": "what?"}),
    }
    whole = small(tmp_path).digest
    assert small(tmp_path, changes).digest == whole
    rows = {"query-id": [1], "corpus-id": [2], "score": [1]}
    parquet.write_table(pa.table(rows), tmp_path / "de" / "qrels.parquet")
    rows = {"query-id": [1, 1], "corpus-id": [1, 2], "score": [2, 0]}
    parquet.write_table(pa.table(rows), tmp_path / "en" / "qrels.parquet")
    files = {**PER_LANGUAGE, "qrels": "{language}/qrels.parquet"}
    assert small(tmp_path, changes, files=files).digest == whole


def as_json_lines(tsv: str) -> str:
    """The judgements of a TSV file as JSON lines, with one more field."""
    header, *lines = (line.split("\t") for line in tsv.splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return json_lines(*({**row, "score": int(row["score"]), "annotator": None} for row in rows))


@pytest.mark.parametrize("name", ["qrels.jsonl", "qrels.jsonl.gz", "qrels.tsv", "qrels.tsv.gz"])
@pytest.mark.parametrize("form", [str, as_json_lines])
def test_the_content_of_qrels_says_what_they_are(
    tmp_path: Path, name: str, form: Callable[[str], str]
) -> None:
    changes = {}
    for language in ("de", "en"):
        content = form(FILES[f"{language}/qrels.tsv"]).encode()
        changes[f"{language}/{name}"] = gzip.compress(content) if ".gz" in name else content
    files = {**PER_LANGUAGE, "qrels": f"{{language}}/{name}"}
    data = small(tmp_path / "other", changes, files=files)
    assert data.digest == small(tmp_path).digest
    task = beir(tmp_path / "other", files)
    streamed = stream_collection(task, Locator(offline=True))
    assert streamed.relevant_by_language.tolist() == data.relevant_by_language.tolist()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"query-id": "1"', "broken JSON"),
        ("1\t2\t1", "broken JSON"),
        ("[1, 2, 1]", "JSON, but a list"),
        ('{"query-id": "1", "corpus-id": "2"}', "no 'score'"),
        ('{"query_id": "1", "corpus-id": "2", "score": 1}', "no 'query-id'"),
        ('{"query-id": "1", "corpus-id": "2", "score": 0.5}', "'score' is the number 0.5"),
        ('{"query-id": "1", "corpus-id": "2", "score": NaN}', "'score' is the number nan"),
        ('{"query-id": "1", "corpus-id": "2", "score": [1]}', "'score' is a list"),
        ('{"query-id": "1", "corpus-id": "2", "score": 0}', "judged 0; judged 1 at"),
    ],
)
def test_a_bad_judgement_in_json_lines_is_told(tmp_path: Path, line: str, expected: str) -> None:
    good = '{"query-id": "1", "corpus-id": "2", "score": 1.0}\n\n'
    message = faults_of(tmp_path, {"de/qrels.tsv": good + line + "\n"})
    assert f"{tmp_path}/de/qrels.tsv:3: " in message
    assert expected in message


def test_an_ending_that_lies_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(FILES["de/qrels.tsv"].encode())
    message = faults_of(tmp_path, {"de/qrels.tsv": packed})
    assert message.count("qrels.tsv") == 1
    assert "is packed with gzip\n" in message
    assert "let its name end in .gz" in message
    files = {**PER_LANGUAGE, "qrels": "{language}/qrels.tsv.gz"}
    changes = {"de/qrels.tsv.gz": gzip.compress(packed), "en/qrels.tsv.gz": FILES["en/qrels.tsv"]}
    message = faults_of(tmp_path, changes, files=files)
    assert "de/qrels.tsv.gz: is packed with gzip twice" in message
    assert "en/qrels.tsv.gz: damaged gzip file" in message
    assert "leave .gz out of its name" in message
    parquet.write_table(pa.table({"_id": ["1"]}), tmp_path / "p")
    message = faults_of(tmp_path, {"de/corpus.jsonl": (tmp_path / "p").read_bytes()})
    assert "de/corpus.jsonl: is a Parquet file" in message
    files = {**PER_LANGUAGE, "qrels": "{language}/qrels.parquet"}
    changes = {f"{language}/qrels.parquet": FILES["de/qrels.tsv"] for language in ("de", "en")}
    message = faults_of(tmp_path, changes, files=files)
    assert "de/qrels.parquet: damaged Parquet file" in message
    assert "give it the ending of what it is" in message


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bz2.compress(b"query-id"), "is packed with bzip2"),
        (lzma.compress(b"query-id"), "is packed with xz"),
        (bytes.fromhex("28b52ffd04005100"), "is packed with zstd"),
        (b"PK\x03\x04\x14", "is a zip archive"),
    ],
)
def test_what_is_packed_otherwise_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    message = faults_of(tmp_path, {"de/qrels.tsv": content})
    assert f"de/qrels.tsv: {kind}" in message
    assert "unpack it" in message


@pytest.mark.parametrize("id_", ["PAR1", "BZh", "PK", "{7}"])
def test_ids_that_look_like_another_format_are_ids(tmp_path: Path, id_: str) -> None:
    changes = {
        "de/queries.jsonl": json_lines({"_id": id_, "text": "was?"}),
        "de/qrels.tsv": f"{id_} Q0 2 1\n",
    }
    assert (("de", id_, "de", "2", 1)) in qrels_set(small(tmp_path, changes))


def test_a_further_place_may_have_another_ending(tmp_path: Path) -> None:
    whole = small(tmp_path).digest
    write_parquet(tmp_path)
    files = {role: f"nowhere-{path}" for role, path in PER_LANGUAGE.items()}
    task = beir(tmp_path, files, places={role: (path,) for role, path in PARQUET.items()})
    assert load(task).digest == whole
    assert {id_ for _, id_, _ in passages(task)} == {"1", "2"}


def test_parquet_without_a_judgement_is_told(tmp_path: Path) -> None:
    write_parquet(tmp_path, qrels=[])
    with pytest.raises(DataError, match="no judgement at all"):
        load(beir(tmp_path, PARQUET))


def passages(task: Task) -> set[tuple[str, str, str]]:
    streamed = stream_collection(task, Locator(offline=True))
    return {
        (shard.language, *passage)
        for shard in streamed.shards
        for batch in shard.passages()
        for passage in batch
    }


@pytest.mark.parametrize("files", [PER_LANGUAGE, PARQUET], ids=["lines", "parquet"])
def test_streaming_gives_the_same(tmp_path: Path, files: Mapping[str, str]) -> None:
    write_parquet(tmp_path)
    data = small(tmp_path, text="title-text")
    task = beir(tmp_path, files, text="title-text")
    streamed = stream_collection(task, Locator(offline=True))
    assert streamed.queries == replace(data.queries, starts=streamed.queries.starts)
    assert streamed.relevant_by_language.tolist() == data.relevant_by_language.tolist()
    languages = (data.languages[code] for code in data.passages.language)
    texts = zip(languages, data.passages.ids, data.passages.texts, strict=True)
    assert passages(task) == set(texts)


def test_a_corpus_in_shards(tmp_path: Path) -> None:
    whole = small(tmp_path)
    for language, name in (("de", "eins zwei"), ("en", "one two")):
        for number, word in enumerate(name.split()):
            record = {"_id": str(number + 1), "text": word}
            path = {f"{language}/{number:05}-of-00002.jsonl": json_lines(record)}
            write(tmp_path, path)
    files = {**PER_LANGUAGE, "corpus": "{language}/{shard:05}-of-{shards:05}.jsonl"}
    task = beir(tmp_path, files, shards={"de": 2, "en": 2})
    assert check_source(task) == []
    assert load(task).digest == whole.digest
    assert {id_ for _, id_, _ in passages(task)} == {"1", "2"}


IDS = st.sets(st.sampled_from("abc"), min_size=1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    held=st.fixed_dictionaries({"de": IDS, "en": IDS, "sw": IDS}),
    asked=st.fixed_dictionaries({"de": IDS, "en": IDS, "sw": IDS}),
    judged=st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), st.just(1)),
    shards=st.booleans(),
)
def test_parallel_judgements_are_streamed_as_they_are_held(
    tmp_path_factory: pytest.TempPathFactory,
    held: dict[str, set[str]],
    asked: dict[str, set[str]],
    judged: dict[tuple[str, str], int],
    shards: bool,
) -> None:
    """Against the definition: every version of the query and every version of the passage."""
    folder = tmp_path_factory.mktemp("parallel")
    everybody = {id_ for ids in asked.values() for id_ in ids}
    judged |= {(id_, "d"): 1 for id_ in everybody} | {(id_, min(held["de"])): 1 for id_ in "abc"}
    judged = {pair: grade for pair, grade in judged.items() if pair[0] in everybody}
    name = "{language}/corpus-{shard}.jsonl" if shards else "{language}/corpus-0.jsonl"
    for code, passages in held.items():
        for role, ids in (("corpus-0", passages), ("queries", asked[code])):
            lines = json_lines(*({"_id": id_, "text": f"{code} {id_}"} for id_ in sorted(ids)))
            write(folder, {f"{code}/{role}.jsonl": lines})
    rows = (f"{query}\t{passage}\t{grade}\n" for (query, passage), grade in judged.items())
    write(folder, {"qrels.tsv": HEADER + "".join(rows)})
    task = beir(
        folder,
        {**PER_LANGUAGE, "corpus": name, "qrels": "qrels.tsv"},
        languages=("de", "en", "sw"),
        options={"relevance": "parallel"},
        shards={"de": 1, "en": 1, "sw": 1} if shards else {},
    )
    expected = {
        (query_language, query, language, passage, grade)
        for (query, passage), grade in judged.items()
        for query_language in asked
        for language, ids in held.items()
        if query in asked[query_language] and passage in ids
    }
    data = load(task)
    assert qrels_set(data) == expected
    collection = without_absent(stream_collection(task, Locator()), held)
    assert collection.relevant_by_language.tolist() == data.relevant_by_language.tolist()
    assert absent_warnings(collection) == absent_warnings(data)
    assert data.absent is not None  # nobody has the passage d


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {**PER_LANGUAGE, "qrels": "de/qrels.tsv"}},
        {"files": {**PER_LANGUAGE, "corpus": "de/corpus.jsonl"}},
        {
            "files": {**PER_LANGUAGE, "corpus": "de/corpus.jsonl"},
            "options": {"relevance": "parallel"},
        },
    ],
)
def test_what_cannot_be_streamed_is_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    small(tmp_path)
    with pytest.raises(UsageError, match="cannot be streamed"):
        stream_collection(beir(tmp_path, **changes), Locator())


def test_other_readers_say_that_they_cannot_stream(tmp_path: Path) -> None:
    task = make_task(tmp_path, "lines", {"text": "{language}.txt"})
    with pytest.raises(UsageError, match="a task of reader beir, miracl, ir_datasets"):
        stream_collection(task, Locator())


def test_only_the_corpus_comes_in_shards(tmp_path: Path) -> None:
    files = {**PER_LANGUAGE, "queries": "{language}/{shard}.jsonl"}
    (fault,) = check_source(beir(tmp_path, files, shards={"de": 1, "en": 1}))
    assert "reads no 'queries' in shards" in fault.found
