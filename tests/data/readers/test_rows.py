"""Rows of a question and a passage: CSV, JSON lines and Parquet, and how faults are told."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from mlbench.common.errors import DataError
from mlbench.data.collection import Collection
from mlbench.data.input_files import Faults
from mlbench.data.locations import DataFile
from mlbench.data.readers._rows import read_rows
from mlbench.data.sources import check_source
from mlbench.data.task import Task
from tests.data.readers.building import json_lines, load, make_task, qrels_set, write

PLAIN = {"query": "question", "passage": "text"}
BY_ID = {**PLAIN, "query-id": "link number", "passage-id": "link", "relevance": "parallel"}
COLUMNS = {
    "query": "title_{language}",
    "query-id": "topic",
    "passage": "speech",
    "passage-id": "did",
    "passage-language": "spoken",
}


def rows(folder: Path, options: Mapping[str, str], **task: Any) -> Task:
    files = task.pop("files", {"rows": "{language}.jsonl"})
    return make_task(folder, "rows", files, options=options, **task)


def csv_of(*records: Mapping[str, str]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, records[0].keys())
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def speech(did: str, spoken: str, topic: str, **titles: str) -> dict[str, str]:
    """Return a row in the layout of Multi-EuP; its speech has line breaks and quotation marks."""
    said = f'{did}: "I thank you",\r\nsaid the\nspeaker'
    names = {f"title_{code}": titles.get(code, f"{topic} in {code}") for code in ("DE", "EN")}
    return {"did": did, "speech": said, "spoken": spoken, "topic": topic, **names}


def faults_of(task: Task) -> str:
    with pytest.raises(DataError) as caught:
        load(task)
    return str(caught.value)


def test_without_ids_equal_texts_are_one(tmp_path: Path) -> None:
    pairs = [("why?", "because"), ("how?", "so"), ("why?", "so"), ("who?", "me")]
    lines = json_lines(*({"question": q, "text": p} for q, p in pairs))
    write(tmp_path, {"de.jsonl": lines, "en.jsonl": lines})
    data = load(rows(tmp_path, PLAIN))
    assert data.queries.texts == ("why?", "how?", "who?") * 2
    assert data.passages.texts == ("because", "so", "me") * 2
    assert qrels_set(data) == {
        (language, str(q + more), language, str(p + more), 1)
        for language, more in (("de", 0), ("en", 3))
        for q, p in ((1, 1), (2, 2), (1, 2), (3, 3))
    }


def parallel(folder: Path, **task: Any) -> Collection:
    for code in ("de", "en"):
        found = [("a", 1), ("a", 2), ("b", 1)]
        found = found[: 2 if code == "de" else 3]
        write(
            folder,
            {
                f"{code}.jsonl": json_lines(
                    *(
                        {"link": link, "number": n, "question": f"{code} {link}{n}?", "text": text}
                        for link, n in found
                        for text in [f"{code} {link}"]
                    )
                )
            },
        )
    return load(rows(folder, BY_ID, **task))


def test_parallel_rows_hold_between_languages(tmp_path: Path) -> None:
    """German has no row of b, so its questions and passages are those of a alone."""
    data = parallel(tmp_path)
    assert data.queries.ids == ("a#1", "a#2", "a#1", "a#2", "b#1")
    assert data.passages.texts == ("de a", "en a", "en b")
    assert qrels_set(data) == {
        *((q, f"a#{n}", p, "a", 1) for q in ("de", "en") for p in ("de", "en") for n in (1, 2)),
        ("en", "b#1", "en", "b", 1),
    }


def test_files_may_serve_one_role_alone(tmp_path: Path) -> None:
    parallel(tmp_path)
    task = replace(rows(tmp_path, BY_ID), query_languages=("de",), passage_languages=("en",))
    assert qrels_set(load(task)) == {("de", f"a#{n}", "en", "a", 1) for n in (1, 2)}
    assert load(task).passages.ids == ("a", "b")


def test_questions_in_columns_and_languages_in_a_field(tmp_path: Path) -> None:
    table = csv_of(
        speech("d1", "DE", "t1"),
        speech("d2", "EN", "t1"),
        speech("d3", "EN", "t2", DE=""),
        speech("d4", "GA", "t2"),
    )
    write(tmp_path, {"all.csv": table})
    task = rows(tmp_path, COLUMNS, files={"rows": "all.csv"})
    data = load(task)
    assert data.passages.texts[0] == 'd1: "I thank you",\r\nsaid the\nspeaker'
    assert data.queries.texts == ("t1 in DE", "t1 in EN", "t2 in EN")
    assert qrels_set(data) == {
        *((q, "t1", p, d, 1) for q in ("de", "en") for p, d in (("de", "d1"), ("en", "d2"))),
        ("en", "t2", "en", "d3", 1),
    }
    one = rows(tmp_path, COLUMNS, files={"rows": "all.csv"}, languages=("en",))
    assert load(one).passages.ids == ("d2", "d3")


def test_a_field_may_name_the_language_of_the_question(tmp_path: Path) -> None:
    record = {"question": "warum?", "text": "because", "asked": "de", "language": "en"}
    write(tmp_path, {"all.jsonl": json_lines(record)})
    task = rows(tmp_path, {**PLAIN, "query-language": "asked"}, files={"rows": "all.jsonl"})
    task = replace(task, query_languages=("de",), passage_languages=("en",))
    assert qrels_set(load(task)) == {("de", "1", "en", "1", 1)}


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.CSV", "x.jsonl", "x.parquet"])
def test_every_form_says_the_same(tmp_path: Path, name: str) -> None:
    records = [speech(f"d{i}", "EN", f"t{i // 3}") for i in range(10)]
    if name.endswith("parquet"):
        parquet.write_table(pa.Table.from_pylist(records), tmp_path / name)
    else:
        text = json_lines(*records) if name.endswith("jsonl") else csv_of(*records)
        packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        write(tmp_path, {name: packed})
    data = load(rows(tmp_path, COLUMNS, files={"rows": name}, languages=("en",)))
    assert (len(data.queries), len(data.passages), len(data.qrels.query)) == (4, 10, 10)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(
    table=st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=5)
    ),
    ends=st.sampled_from(["\r\n", "\n"]),
)
def test_csv_is_read_as_pyarrow_reads_it(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], ends: str
) -> None:
    header = [f"c{i}" for i in range(len(table[0]))] if table else ["c0", "c1"]
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=ends)
        writer.writerows([header, *table])
    faults = Faults()
    found = [dict(row.fields) for row in read_rows(DataFile("", "table", path), faults)]
    faults.check()
    options = arrow_csv.ConvertOptions(column_types={name: pa.string() for name in header})
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    expected = arrow_csv.read_csv(path, parse_options=parse, convert_options=options)
    assert found == expected.to_pylist()


CSV = csv_of(*(speech(f"d{i}", "EN", "t") for i in range(3)))
HEAD = "did,speech,spoken,topic,title_DE,title_EN\r\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CSV[:-20], "x.csv:8: 3 fields, so the row is cut"),
        (CSV[: CSV.index("speaker") + 3], "x.csv:2: broken CSV: the file ends within a quotation"),
        (HEAD + "d1,a, b,EN,t,x,y\n", "x.csv:2: 7 fields, too many"),
        (HEAD + 'd1,"a "b" c",EN,t,x,y\n', "x.csv:2: broken CSV: "),
        ("", "x.csv:1: no row at all"),
        ("did,did\n1,2\n", "x.csv:1: a name given twice"),
        (HEAD.encode() + b"d1,\xff,EN,t,x,y\n", "in this row or soon after"),
        (HEAD.replace("speech", "speach") + "d1,a,EN,t,x,y\n", "no 'speech'"),
        (HEAD.replace("title_DE", "titel_DE") + "d1,a,EN,t,x,y\n" * 2, "no 'title_de'"),
        (HEAD + "d1, ,EN,t,x,y\n", "x.csv:2: 'speech' is empty"),
        (HEAD + "d1,a,EN,t,x,y\nd1,b,EN,t,x,y\n", "x.csv:3: passage 'd1' (en) has another text"),
        (HEAD + "d1,a,EN,t,x,y\nd2,b,EN,t,x,z\n", "x.csv:3: query 't' (en) has another text"),
    ],
)
def test_faults_say_where_and_what(tmp_path: Path, content: str | bytes, expected: str) -> None:
    write(tmp_path, {"x.csv": content})
    said = faults_of(rows(tmp_path, COLUMNS, files={"rows": "x.csv"}))
    assert expected in said
    assert said.count(expected) == 1


def test_what_is_repeated_or_lacking_may_be_let_through(tmp_path: Path) -> None:
    content = HEAD + "d1,a,EN,t,x,y\nd1,b,EN,t,x,z\nd2,,EN,t,x,y\nd3,c,DE,t,x,y\n"
    write(tmp_path, {"x.csv": content})
    options = {**COLUMNS, "repeated": "first", "incomplete": "skip"}
    data = load(rows(tmp_path, options, files={"rows": "x.csv"}))
    assert data.passages.texts == ("c", "a")
    assert data.queries.texts == ("x", "y")


BOTH_IN_COLUMNS = {"query": "ask_{language}", "passage": "say_{language}", "relevance": "parallel"}


def in_columns(*texts: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Return a row of questions and passages, each in German and in English."""
    fields = zip(("ask_de", "say_de"), ("ask_en", "say_en"), strict=True)
    named = [name for pair in fields for name in pair]
    return dict(zip(named, [text for pair in texts for text in pair], strict=True)) | more


@pytest.mark.parametrize("ids", [{}, {"query-id": "q", "passage-id": "p"}])
@pytest.mark.parametrize("name", ["all.parquet", "all.jsonl"])
def test_questions_and_passages_in_columns(
    tmp_path: Path, name: str, ids: Mapping[str, str]
) -> None:
    """The versions of a text share an id, whether or not a field names it."""
    records = [
        in_columns(("wer?", "who?"), ("ich", "me"), q="1", p="1"),
        in_columns(("was?", "what?"), ("ich", "me"), q="2", p="1"),
        in_columns(("wo?", ""), ("", "here"), q="3", p="2"),
    ]
    if name.endswith("parquet"):
        parquet.write_table(pa.Table.from_pylist(records), tmp_path / name)
    else:
        write(tmp_path, {name: json_lines(*records)})
    data = load(rows(tmp_path, {**BOTH_IN_COLUMNS, **ids}, files={"rows": name}))
    assert data.queries.texts == ("wer?", "was?", "wo?", "who?", "what?")
    assert data.queries.ids == ("1", "2", "3", "1", "2")
    assert data.passages.texts == ("ich", "me", "here")
    assert data.passages.ids == ("1", "1", "2")
    assert qrels_set(data) == {
        *((one, q, other, "1", 1) for one in ("de", "en") for other in ("de", "en") for q in "12"),
        ("de", "3", "en", "2", 1),
    }
    alike = {**BOTH_IN_COLUMNS, **ids, "relevance": "same-language"}
    assert qrels_set(load(rows(tmp_path, alike, files={"rows": name}))) == qrels_set(data)


def test_passages_in_columns_and_the_language_of_the_question_in_a_field(tmp_path: Path) -> None:
    record = {"question": "warum?", "say_de": "darum", "say_en": "because", "language": "de"}
    write(tmp_path, {"all.jsonl": json_lines(record)})
    options = {"query": "question", "passage": "say_{language}"}
    task = replace(rows(tmp_path, options, files={"rows": "all.jsonl"}), query_languages=("de",))
    assert qrels_set(load(task)) == {("de", "1", "de", "1", 1), ("de", "1", "en", "1", 1)}


@pytest.mark.parametrize("ids", [{}, {"query-id": "q", "passage-id": "p"}])
def test_negatives_are_judged_0(tmp_path: Path, ids: Mapping[str, str]) -> None:
    """A field holds one or a list; what another row calls the answer is no negative."""
    record = {"question": "wer?", "text": "ich", "q": "1", "p": "1"}
    other = {"question": "wer?", "text": "du", "q": "1", "p": "2", "no": "ich", "nor": []}
    records = [{**record, "no": "er", "nor": ["sie", "", "es"]}, {**other, "no": "", "nor": None}]
    records += [] if ids else [other]
    write(tmp_path, {"de.jsonl": json_lines(*records)})
    options = {**PLAIN, **ids, "negatives": "no nor"}
    data = load(rows(tmp_path, options, languages=("de",)))
    judged = zip(data.qrels.passage.tolist(), data.qrels.relevance.tolist(), strict=True)
    assert {(data.passages.texts[p], grade) for p, grade in judged} == {
        *(("ich", 1), ("du", 1), ("er", 0), ("sie", 0), ("es", 0))
    }


def test_negatives_in_columns_keep_their_versions_together(tmp_path: Path) -> None:
    row = in_columns(("wer?", "who?"), ("ich", "me"), no_de=["er", "sie"], no_en=["he", "she"])
    write(tmp_path, {"all.jsonl": json_lines(row)})
    options = {**BOTH_IN_COLUMNS, "negatives": "no_{language}"}
    data = load(rows(tmp_path, options, files={"rows": "all.jsonl"}))
    assert data.passages.texts == ("ich", "er", "sie", "me", "he", "she")
    assert data.passages.ids == ("1", "2", "3") * 2
    assert len(data.qrels.query) == 12
    options = {**options, "negatives": "no_{language} nein"}
    assert "no 'nein'" in faults_of(rows(tmp_path, options, files={"rows": "all.jsonl"}))
    row["no_de"] = [1, 2]
    write(tmp_path, {"all.jsonl": json_lines(row)})
    options = {**options, "negatives": "no_{language}"}
    said = faults_of(rows(tmp_path, options, files={"rows": "all.jsonl"}))
    assert "'no_de' is a list, and not of texts" in said


def options_at_fault(options: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    faults = check_source(
        make_task(Path("/x"), "rows", {"rows": "{language}.csv"}, options=options)
    )
    return [
        (fault.where.removeprefix("/x/small.toml, field source."), fault.found) for fault in faults
    ]


def test_what_must_be_named() -> None:
    assert options_at_fault({}) == [
        ("options.query", "missing"),
        ("options.passage", "missing"),
    ]
    assert options_at_fault({**PLAIN, "repeated": "last"}) == [("options.repeated", "'last'")]
    assert options_at_fault(BY_ID) == []
